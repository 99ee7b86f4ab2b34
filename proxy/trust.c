/* Whatever stands left of an address that is not ours was written by it, so it proves nothing. */
#include "proxy/trust.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>

struct address {
    uint8_t bytes[16];
    bool ipv6;
};

static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};

static void set_ipv6(const uint8_t from[16], struct address *to)
{
    to->ipv6 = memcmp(from, mapped, sizeof(mapped)) != 0;
    if (to->ipv6)
        memcpy(to->bytes, from, 16);
    else
        memcpy(to->bytes, from + 12, 4);
}

static bool from_sockaddr(const struct sockaddr *from, struct address *to)
{
    *to = (struct address){.ipv6 = false};
    if (from->sa_family == AF_INET) {
        memcpy(to->bytes, &((const struct sockaddr_in *)(const void *)from)->sin_addr, 4);
        return true;
    }
    if (from->sa_family != AF_INET6)
        return false;
    set_ipv6(((const struct sockaddr_in6 *)(const void *)from)->sin6_addr.s6_addr, to);
    return true;
}

/* "192.0.2.1", "192.0.2.1:80", "2001:db8::1", "[2001:db8::1]", "[2001:db8::1]:80". The address
 * alone goes to *ret_text. */
static bool from_text(struct str s, struct address *to, struct str *ret_text)
{
    char text[INET6_ADDRSTRLEN];
    uint8_t bytes[16];
    const char *colon = memchr(s.ptr, ':', s.len);
    uint64_t port;

    *to = (struct address){.ipv6 = false};
    if (s.len > 0 && s.ptr[0] == '[') {
        const char *end = memchr(s.ptr, ']', s.len);
        if (end == NULL)
            return false;
        struct str after = {end + 1, s.len - (size_t)(end + 1 - s.ptr)};
        if (after.len > 0 &&
            (after.ptr[0] != ':' || !str_to_u64((struct str){after.ptr + 1, after.len - 1}, &port)))
            return false;
        s = (struct str){s.ptr + 1, (size_t)(end - s.ptr) - 1};
    } else if (colon != NULL && memrchr(s.ptr, ':', s.len) == colon) {
        struct str digits = {colon + 1, s.len - (size_t)(colon + 1 - s.ptr)};
        if (!str_to_u64(digits, &port))
            return false;
        s = (struct str){s.ptr, (size_t)(colon - s.ptr)};
    }
    *ret_text = s;
    if (!str_copy(text, sizeof(text), s) || strlen(text) != s.len)
        return false;
    if (inet_pton(AF_INET, text, to->bytes) == 1)
        return true;
    if (inet_pton(AF_INET6, text, bytes) != 1)
        return false;
    set_ipv6(bytes, to);
    return true;
}

static bool within(const struct config_network *n, const struct address *a)
{
    size_t whole = n->bits / 8;
    unsigned rest = n->bits % 8;

    if (n->ipv6 != a->ipv6 || memcmp(n->address, a->bytes, whole) != 0)
        return false;
    return rest == 0 || ((n->address[whole] ^ a->bytes[whole]) & (0xff00u >> rest) & 0xffu) == 0;
}

static bool trusted(const struct config *c, const struct address *a)
{
    for (size_t i = 0; i < c->trusted_proxy_count; i++)
        if (within(&c->trusted_proxies[i], a))
            return true;
    return false;
}

bool trust_peer(const struct config *c, const struct sockaddr *peer)
{
    struct address a;

    return c->trusted_proxy_count > 0 && from_sockaddr(peer, &a) && trusted(c, &a);
}

/* Takes the last member off a list. */
static struct str last_member(struct str *list)
{
    const char *comma = memrchr(list->ptr, ',', list->len);
    size_t from = comma == NULL ? 0 : (size_t)(comma - list->ptr) + 1;
    struct str member = {list->ptr + from, list->len - from};

    list->len = comma == NULL ? 0 : from - 1;
    return str_trim(member);
}

struct str trust_client(const struct config *c, const struct head *h, struct str peer)
{
    struct address a;
    struct str found = peer, text;

    if (c->trusted_proxy_count == 0 || h->index[FIELD_X_FORWARDED_FOR] == 0 ||
        !from_text(peer, &a, &text) || !trusted(c, &a))
        return peer;
    for (size_t i = h->count; i > 0; i--) {
        const struct head_field *f = &h->fields[i - 1];
        struct str list = f->value;
        if (f->id != FIELD_X_FORWARDED_FOR || f->hop)
            continue;
        while (list.len > 0) {
            struct str member = last_member(&list);
            if (member.len == 0)
                continue;
            if (!from_text(member, &a, &text))
                return found;
            found = text;
            if (!trusted(c, &a))
                return found;
        }
    }
    return found;
}
