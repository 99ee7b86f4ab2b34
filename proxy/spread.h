/* proxy/spread.h — which worker serves a new connection. Internal to proxy/.
 *
 * The kernel deals connections out to the workers' sockets by a hash of their addresses, which for
 * a few connections is uneven, and a connection stays where it is for as long as it lives. So a
 * worker that has clearly more of them than another gives it what it accepts.
 */
#ifndef PROXY_SPREAD_H
#define PROXY_SPREAD_H

#include "proxy/worker.h"

/* A connection that this worker accepted, to this one or to a less loaded one. */
void spread_accepted(struct worker *, size_t listener, int fd);
/* What other workers have handed to this one. */
void spread_take(struct worker *);
/* As spread_take, for the last time: from here on the others keep theirs. */
void spread_close(struct worker *);

#endif
