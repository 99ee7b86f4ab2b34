/* proxy/proxy.h — the data plane: N worker threads, started and stopped from the control thread.
 *
 * Each worker has its own loop, SO_REUSEPORT listeners, client and upstream connections, and its
 * recorder shard. What crosses threads: the route table (immutable), one atomic weight word per
 * rollout, the recorder's cells, and a few relaxed counters.
 */
#ifndef PROXY_PROXY_H
#define PROXY_PROXY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/recorder.h"
#include "base/clock.h"
#include "base/error.h"
#include "policies/policy_set.h"

struct proxy;

struct proxy_options {
    struct policy_set *set;    /* a reference is taken */
    struct recorder *recorder; /* one shard per worker; outlives the proxy */
    size_t workers;
    const struct clock *clock;
};

/* How many workers a configuration means (auto = usable cores). */
size_t proxy_worker_count(const struct config *);

/* Waits up to 3 s for endpoint names to resolve, binds every listener in every worker, starts the
 * threads. All weights are 0. -EADDRINUSE etc. with a message that says what to do. */
int proxy_start(const struct proxy_options *, struct proxy **ret, struct error *reterr);

/* Any thread. An older epoch than the current one is ignored. */
void proxy_set_weight(struct proxy *, uint32_t rollout, uint32_t epoch, uint32_t weight_bp);
uint32_t proxy_weight_bp(const struct proxy *, uint32_t rollout);

/* The port a listener really has (for port 0). */
uint16_t proxy_port(const struct proxy *, size_t listener);

/* What health_path answers from now on: false fails it, so that a balancer stops sending before the
 * listeners close. Any thread. */
void proxy_set_ready(struct proxy *, bool ready);

struct proxy_worker_stats {
    uint64_t connections; /* accepted since start */
    uint64_t connections_active;
    uint64_t requests;
    uint64_t requests_active;
    uint64_t upstream_connections; /* opened since start */
    uint64_t unmatched;
    uint64_t rejected;            /* refused as malformed, too large or too slow */
    uint64_t refused_connections; /* over limits.connections */
    uint64_t overloaded; /* answered 503: no descriptor or memory left for an upstream connection */
    uint64_t unshielded; /* canary failures that the shield could not give to stable */
    uint64_t retries_denied; /* retries that the budget did not allow */
    uint64_t queued;         /* requests that waited for room at an endpoint */
    uint64_t queue_full;     /* requests that found no room to wait, or waited too long */
    uint64_t streams_unseen; /* event streams passed on unread, because they came encoded */
    uint64_t tunnels;        /* connections that were upgraded */
};
size_t proxy_workers(const struct proxy *);
void proxy_worker_stats(const struct proxy *, size_t worker, struct proxy_worker_stats *ret);

/* Stops accepting, lets requests in flight finish for at most drain_ns, then closes everything and
 * joins the threads. Blocking; frees the proxy. */
void proxy_stop(struct proxy *, int64_t drain_ns);

#endif
