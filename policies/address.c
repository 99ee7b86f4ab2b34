/* A host that looks like an IPv4 address must be one: "10.0.0.256" is a typo, not a name. */
#include "policies/address.h"

#include <arpa/inet.h>

#include "base/check.h"

static const struct {
    const char *text, *hint;
} errors[ADDRESS_ERROR_COUNT] = {
    [ADDRESS_NO_HOST] = {"names no host", "write HOST:PORT, like 127.0.0.1:8080"},
    [ADDRESS_BAD_NAME] = {"is not a host name", "a name has letters, digits, \"-\" and \".\""},
    [ADDRESS_BAD_IPV4] = {"is not an IPv4 address", "write four numbers from 0 to 255"},
    [ADDRESS_BAD_IPV6] = {"is not an IPv6 address", "write it like [2001:db8::1]:8080"},
    [ADDRESS_BARE_IPV6] = {"is an IPv6 address without brackets",
                           "write it like [2001:db8::1]:8080"},
    [ADDRESS_BAD_PORT] = {"has a bad port", "a port is a number from 1 to 65535"},
};

const char *address_error_text(enum address_error e)
{
    return errors[e].text;
}

const char *address_error_hint(enum address_error e)
{
    return errors[e].hint;
}

static bool is_numeric(struct str host, int family)
{
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];

    return str_copy(text, sizeof(text), host) && inet_pton(family, text, bytes) == 1;
}

static bool is_label_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_';
}

bool address_is_name(struct str host)
{
    struct str rest = host, label = {NULL, 0};

    if (host.len == 0 || host.len > 253)
        return false;
    while (str_split(&rest, '.', &label)) {
        if (label.len == 0 || label.len > 63 || label.ptr[0] == '-' ||
            label.ptr[label.len - 1] == '-')
            return false;
        for (size_t i = 0; i < label.len; i++)
            if (!is_label_char(label.ptr[i]))
                return false;
    }
    uint64_t n;
    return !str_to_u64(label, &n); /* no top-level domain is a number */
}

static bool looks_like_ipv4(struct str host)
{
    for (size_t i = 0; i < host.len; i++)
        if ((host.ptr[i] < '0' || host.ptr[i] > '9') && host.ptr[i] != '.')
            return false;
    return host.len > 0;
}

static enum address_error parse_port(struct str text, struct address *a)
{
    uint64_t port;

    if (!str_to_u64(text, &port) || port > 65535)
        return ADDRESS_BAD_PORT;
    a->has_port = true;
    a->port = (uint16_t)port;
    return ADDRESS_OK;
}

static enum address_error parse_bracketed(struct str s, struct address *a)
{
    const char *close = memchr(s.ptr, ']', s.len);

    if (close == NULL)
        return ADDRESS_BAD_IPV6;
    a->host = (struct str){s.ptr + 1, (size_t)(close - s.ptr) - 1};
    a->ipv6 = true;
    if (!is_numeric(a->host, AF_INET6))
        return ADDRESS_BAD_IPV6;
    struct str rest = {close + 1, s.len - a->host.len - 2};
    if (rest.len == 0)
        return ADDRESS_OK;
    if (rest.ptr[0] != ':')
        return ADDRESS_BAD_IPV6;
    return parse_port((struct str){rest.ptr + 1, rest.len - 1}, a);
}

static enum address_error parse_plain(struct str s, struct address *a)
{
    struct str rest = s;

    if (is_numeric(s, AF_INET6))
        return ADDRESS_BARE_IPV6;
    str_split(&rest, ':', &a->host);
    if (a->host.len == 0)
        return ADDRESS_NO_HOST;
    if (looks_like_ipv4(a->host)) {
        if (!is_numeric(a->host, AF_INET))
            return ADDRESS_BAD_IPV4;
        a->ipv4 = true;
    } else if (!address_is_name(a->host)) {
        return ADDRESS_BAD_NAME;
    }
    return rest.ptr == NULL ? ADDRESS_OK : parse_port(rest, a);
}

enum address_error address_parse(struct str s, struct address *ret)
{
    struct address a = {0};

    if (s.len == 0)
        return ADDRESS_NO_HOST;
    enum address_error e = s.ptr[0] == '[' ? parse_bracketed(s, &a) : parse_plain(s, &a);
    if (e == ADDRESS_OK)
        *ret = a;
    return e;
}

bool address_is_loopback(const struct address *a)
{
    static const unsigned char v6_loopback[16] = {[15] = 1};
    char text[INET6_ADDRSTRLEN + 1];
    unsigned char bytes[16];

    if (a->ipv4)
        return str_starts_with(a->host, STR("127."));
    if (!a->ipv6 || !str_copy(text, sizeof(text), a->host))
        return false;
    CHECK(inet_pton(AF_INET6, text, bytes) == 1);
    return memcmp(bytes, v6_loopback, sizeof(bytes)) == 0;
}
