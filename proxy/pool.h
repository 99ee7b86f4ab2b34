/* proxy/pool.h — connections to endpoints, kept alive per worker. Internal to proxy/.
 *
 * Idle connections keep reading, so that one the endpoint closes is dropped before it is picked.
 */
#ifndef PROXY_POOL_H
#define PROXY_POOL_H

#include "net/held.h"
#include "net/stream.h"
#include "proxy/worker.h"

enum {
    POOL_IDLE_MAX = 512, /* per endpoint and worker */
    POOL_IDLE_S = 4,     /* shorter than the 5 s after which common model servers close */
};

struct upstream {
    struct stream stream;
    struct worker *worker;
    struct pool *pool;
    struct exchange *exchange; /* NULL: idle */
    struct list idle;          /* pool.idle */
    struct list idle_anyway;   /* worker.idle_upstreams */
    int64_t idle_since_ns;
    bool reused;      /* it has answered before */
    struct held held; /* a response head of which only the beginning came */
};

/* An idle connection, or NULL. Its exchange is the caller's. */
struct upstream *pool_take(struct pool *, struct exchange *);
/* A new connection on its way; exchange_connected tells. NULL and *ret_status (UV_E*) on failure.
 */
struct upstream *pool_connect(struct worker *, struct pool *, const struct route_endpoint *,
                              struct exchange *, int *ret_status);
/* Back to the idle ones (or closed, when there are enough, or the endpoint closes it). */
void pool_give(struct upstream *);
/* Lets go of it for good. */
void pool_drop(struct upstream *);
/* Closes what has been idle too long, in all pools. True: not yet all of it (WORKER_CLOSES_MAX). */
bool pool_expire(struct worker *, int64_t now_ns);
/* Closes whatever is idle. */
void pool_close_idle(struct worker *);

#endif
