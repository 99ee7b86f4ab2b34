/* The checks that keep web pages out. "same-site" is refused like "cross-site": for a browser,
 * http://localhost:3000 is the same site as http://localhost:9900, and it is not us. */
#include "admin/access.h"

#include <arpa/inet.h>
#include <stdint.h>

enum { ADDRESS_TEXT_MAX = 64 };

bool access_address_is_loopback(const char *address)
{
    struct in_addr v4;
    struct in6_addr v6;

    if (inet_pton(AF_INET, address, &v4) == 1)
        return (ntohl(v4.s_addr) >> 24) == 127;
    return inet_pton(AF_INET6, address, &v6) == 1 && IN6_IS_ADDR_LOOPBACK(&v6);
}

static bool is_port(struct str s)
{
    uint64_t port;

    return s.len <= 5 && str_to_u64(s, &port) && port > 0 && port <= 65535;
}

/* Splits "host:port" and "[v6]:port". False when what follows the host is not a port. */
static bool split_host(struct str authority, struct str *ret_host)
{
    const char *end = NULL;

    if (authority.len > 0 && authority.ptr[0] == '[') {
        end = memchr(authority.ptr, ']', authority.len);
        if (end == NULL)
            return false;
        end++;
    } else {
        end = memchr(authority.ptr, ':', authority.len);
        if (end == NULL)
            end = authority.ptr + authority.len;
    }
    struct str rest = {end, authority.len - (size_t)(end - authority.ptr)};
    *ret_host = (struct str){authority.ptr, (size_t)(end - authority.ptr)};
    return rest.len == 0 ||
           (rest.ptr[0] == ':' && is_port((struct str){rest.ptr + 1, rest.len - 1}));
}

bool access_host_is_local(struct str authority)
{
    struct str host;
    char address[ADDRESS_TEXT_MAX];

    if (authority.len == 0 || !split_host(authority, &host))
        return false;
    if (str_ieq(host, STR("localhost")))
        return true;
    if (host.len > 2 && host.ptr[0] == '[')
        host = (struct str){host.ptr + 1, host.len - 2};
    else if (memchr(host.ptr, ':', host.len) != NULL)
        return false;
    return str_copy(address, sizeof(address), host) && strlen(address) == host.len &&
           access_address_is_loopback(address);
}

/* An origin is ours when it is exactly the Host that the request names. */
static bool origin_is_host(struct str origin, struct str host)
{
    static const struct str schemes[] = {{"http://", 7}, {"https://", 8}};

    for (size_t i = 0; i < 2; i++)
        if (str_starts_with(origin, schemes[i]))
            return str_ieq((struct str){origin.ptr + schemes[i].len, origin.len - schemes[i].len},
                           host);
    return false;
}

enum access access_check(struct str host, struct str origin, struct str sec_fetch_site)
{
    if (host.ptr == NULL || host.len == 0)
        return ACCESS_NO_HOST;
    if (!access_host_is_local(host))
        return ACCESS_FOREIGN_HOST;
    if (origin.ptr != NULL && !origin_is_host(origin, host))
        return ACCESS_FOREIGN_ORIGIN;
    if (sec_fetch_site.ptr != NULL && !str_ieq(sec_fetch_site, STR("same-origin")) &&
        !str_ieq(sec_fetch_site, STR("none")))
        return ACCESS_FOREIGN_ORIGIN;
    return ACCESS_OK;
}

bool access_content_type_is_json(struct str content_type)
{
    struct str rest = content_type, type;

    return content_type.ptr != NULL && str_split(&rest, ';', &type) &&
           str_ieq(str_trim(type), STR("application/json"));
}
