/* proxy/resolver.h — endpoint names to addresses, on a thread of its own.
 *
 * A name that does not resolve must keep nobody else from serving: the process starts without it,
 * its requests fail as `connect`, and it is tried again every few seconds. A name that was resolved
 * keeps its address.
 */
#ifndef PROXY_RESOLVER_H
#define PROXY_RESOLVER_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>

struct resolver;
struct resolver_name;

struct resolver *resolver_new(void);
/* Before resolver_start. The name lives as long as the resolver. */
const struct resolver_name *resolver_add(struct resolver *, const char *host, uint16_t port);
/* Starts the thread and waits for its first pass, at most wait_ms. */
void resolver_start(struct resolver *, int wait_ms);
/* Does not wait for a look-up that is under way. NULL is fine. */
void resolver_free(struct resolver *);

/* NULL: not resolved so far. Any thread. */
const struct sockaddr *resolver_address(const struct resolver_name *);

#endif
