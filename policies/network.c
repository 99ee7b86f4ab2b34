/* A network whose address has bits beyond its prefix is refused, not cut: "10.1.2.3/8" is as likely
 * one host with a slip in the prefix as it is a network. */
#include "policies/network.h"

#include <arpa/inet.h>
#include <stdio.h>

#include "base/check.h"

static uint8_t width(const struct config_network *n)
{
    return n->ipv6 ? 128 : 32;
}

static bool read_address(struct str text, struct config_network *n)
{
    char buffer[INET6_ADDRSTRLEN + 1];

    if (!str_copy(buffer, sizeof(buffer), text))
        return false;
    n->ipv6 = memchr(text.ptr, ':', text.len) != NULL;
    return inet_pton(n->ipv6 ? AF_INET6 : AF_INET, buffer, n->address) == 1;
}

/* Clears what is beyond the prefix; false when there was something. */
static bool clear_host_bits(struct config_network *n)
{
    bool clean = true;

    for (unsigned i = n->bits; i < width(n); i++) {
        uint8_t bit = (uint8_t)(0x80u >> (i % 8));
        clean = clean && (n->address[i / 8] & bit) == 0;
        n->address[i / 8] &= (uint8_t)~bit;
    }
    return clean;
}

/* ::ffff:a.b.c.d, of which a client of a dual-stack listener has its address. */
static bool unmap(struct config_network *n)
{
    static const uint8_t prefix[12] = {[10] = 0xff, [11] = 0xff};

    if (!n->ipv6 || n->bits < 96 || memcmp(n->address, prefix, sizeof(prefix)) != 0)
        return false;
    memmove(n->address, n->address + 12, 4);
    memset(n->address + 4, 0, 12);
    n->ipv6 = false;
    n->bits = (uint8_t)(n->bits - 96);
    return true;
}

enum network_error network_parse(struct str text, struct config_network *ret)
{
    struct config_network n = {0};
    struct str rest = text, address;
    uint64_t bits;

    if (!str_split(&rest, '/', &address) || !read_address(address, &n))
        return NETWORK_NOT_AN_ADDRESS;
    n.bits = width(&n);
    if (rest.ptr != NULL) {
        if (!str_to_u64(rest, &bits) || bits > width(&n))
            return NETWORK_BAD_PREFIX;
        n.bits = (uint8_t)bits;
    }
    bool mapped = unmap(&n), clean = clear_host_bits(&n);
    *ret = n;
    return mapped ? NETWORK_MAPPED : clean ? NETWORK_OK : NETWORK_HOST_BITS;
}

char *network_text(const struct config_network *n, char to[static NETWORK_TEXT_MAX])
{
    CHECK(inet_ntop(n->ipv6 ? AF_INET6 : AF_INET, n->address, to, NETWORK_TEXT_MAX) != NULL);
    size_t len = strlen(to);
    if (n->bits < width(n))
        snprintf(to + len, NETWORK_TEXT_MAX - len, "/%u", n->bits);
    return to;
}
