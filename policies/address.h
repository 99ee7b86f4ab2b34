/* policies/address.h — "host:port" as people write it, taken apart and checked. */
#ifndef POLICIES_ADDRESS_H
#define POLICIES_ADDRESS_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"

struct address {
    struct str host; /* no brackets; borrows the text */
    bool ipv4, ipv6; /* numeric; neither: a name */
    bool has_port;
    uint16_t port; /* 0 without one */
};

enum address_error {
    ADDRESS_OK,
    ADDRESS_NO_HOST,
    ADDRESS_BAD_NAME,
    ADDRESS_BAD_IPV4,
    ADDRESS_BAD_IPV6,
    ADDRESS_BARE_IPV6, /* without brackets */
    ADDRESS_BAD_PORT,
    ADDRESS_ERROR_COUNT,
};

/* "host", "host:port", "[v6]", "[v6]:port". On an error *ret is untouched. */
enum address_error address_parse(struct str, struct address *ret);

/* What is wrong, to be put after the value ("has a port that ..."), and the fix (or NULL). */
const char *address_error_text(enum address_error);
const char *address_error_hint(enum address_error);

/* Letters, digits, - and _ in labels of 1 to 63, at most 253 in all, not all numeric. */
bool address_is_name(struct str host);
/* 127.0.0.0/8 or ::1. */
bool address_is_loopback(const struct address *);

#endif
