/* policies/network.h — "10.0.0.0/8": networks as people write them, checked. */
#ifndef POLICIES_NETWORK_H
#define POLICIES_NETWORK_H

#include "base/str.h"
#include "policies/config.h"

enum network_error {
    NETWORK_OK,
    NETWORK_NOT_AN_ADDRESS,
    NETWORK_BAD_PREFIX, /* no number, or more bits than the address has */
    NETWORK_HOST_BITS,  /* bits are set beyond the prefix */
    NETWORK_MAPPED,     /* IPv4 written as IPv6 (RFC 4291, 2.5.5.2) */
};

/* "ADDRESS/BITS", or an address alone: all of its bits. IPv6 without brackets. With
 * NETWORK_HOST_BITS and NETWORK_MAPPED *ret is the network that was meant; otherwise it is only set
 * when all is well. */
enum network_error network_parse(struct str, struct config_network *ret);

enum { NETWORK_TEXT_MAX = 64 };
/* "10.0.0.0/8"; of a single address the address alone. Returns `to`. */
char *network_text(const struct config_network *, char to[static NETWORK_TEXT_MAX]);

#endif
