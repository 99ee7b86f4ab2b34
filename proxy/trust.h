/* proxy/trust.h — whose word about the outside is believed: proxy.trusted_proxies. Pure. */
#ifndef PROXY_TRUST_H
#define PROXY_TRUST_H

#include <sys/socket.h>

#include <stdbool.h>

#include "base/str.h"
#include "net/head.h"
#include "policies/config.h"

/* True when that address is in one of the configuration's trusted networks. An IPv4 address that
 * came in as IPv6 (::ffff:a.b.c.d) is the IPv4 address. Not an IP address at all: false. */
bool trust_peer(const struct config *, const struct sockaddr *);

/* The client's own address, for logs: X-Forwarded-For is walked from the right over trusted
 * addresses to the first that is not. `peer` is who connected, and the answer unless it is trusted
 * itself. Where the list ends, or holds something that is no address, the last one seen is the
 * answer. Points into the head, or is `peer`. */
struct str trust_client(const struct config *, const struct head *, struct str peer);

#endif
