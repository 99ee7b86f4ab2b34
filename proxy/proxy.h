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
#include "net/inherited.h"
#include "policies/policy_set.h"

struct proxy;

enum { PROXY_PREDECESSORS_MAX = 8, PROXY_ADDRESS_MAX = 64 };

struct proxy_options {
    struct policy_set *set;    /* a reference is taken */
    struct recorder *recorder; /* one shard per worker; outlives the proxy */
    size_t workers;
    const struct clock *clock;
    struct inherited *inherited; /* sockets to serve instead of binding them; NULL: none */
    const int *predecessors;     /* proxy_weight_fds of the process before; taken over */
    size_t predecessor_count;
};

/* How many workers a configuration means (auto = usable cores). */
size_t proxy_worker_count(const struct config *);

/* Waits up to 3 s for endpoint names to resolve and binds every listener in every worker; nobody
 * can connect yet. All weights are 0. -EADDRINUSE etc. with a message that says what to do. */
int proxy_new(const struct proxy_options *, struct proxy **ret, struct error *reterr);
/* Listens where nobody listened before, and starts the threads, which wait: the last that can fail.
 * After an error: proxy_free. */
int proxy_start(struct proxy *, struct error *reterr);
/* Takes connections from here on. After proxy_start. */
void proxy_open(struct proxy *);

/* Any thread. An older epoch than the current one is ignored. Predecessors follow (proxy_lead). */
void proxy_set_weight(struct proxy *, uint32_t rollout, uint32_t epoch, uint32_t weight_bp);
uint32_t proxy_weight_bp(const struct proxy *, uint32_t rollout);

/* Where a listener really listens, such as "127.0.0.1:8080" or "[::]:8080". After proxy_new. */
void proxy_address(const struct proxy *, size_t listener, char to[static PROXY_ADDRESS_MAX]);

/* What health_path answers from now on: false fails it, so that a balancer stops sending before the
 * listeners close. Any thread. */
void proxy_set_ready(struct proxy *, bool ready);

struct proxy_worker_stats {
    uint64_t connections; /* taken since start */
    uint64_t connections_active;
    uint64_t connections_handed; /* accepted here and given to a less loaded worker */
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
    uint64_t log_dropped;    /* lines of the access log for which there was no room */
    uint64_t handshakes;     /* TLS with clients, done */
    uint64_t handshake_failures;
};
size_t proxy_workers(const struct proxy *);
void proxy_worker_stats(const struct proxy *, size_t worker, struct proxy_worker_stats *ret);

/* --- the process that comes after this one, or came before; control thread --- */

/* The predecessors, which may still drain, get the weights as they are, and from here on every one
 * that is set: not before the decisions are this process's own. */
void proxy_lead(struct proxy *);
/* Adds every listening socket; the descriptors stay the proxy's. After proxy_start, before
 * proxy_drain. */
void proxy_sockets(const struct proxy *, struct inherited *ret);
/* The memory with the weight words: this process's first, then its predecessors'. Returns how many;
 * they stay the proxy's. */
size_t proxy_weight_fds(const struct proxy *, int ret[static PROXY_PREDECESSORS_MAX]);

/* --- upkeep and end --- */

/* Opens the access log's file anew, after it was renamed. On an error the old one stays in use. */
int proxy_reopen_log(struct proxy *, struct error *reterr);

/* Whether all the certificates, keys and authorities that a set names can be used; errors and
 * warnings in `reterr`. 0 or -EINVAL. Blocks while it reads. */
int proxy_check_certificates(const struct policy_set *, const struct clock *,
                             struct diagnostics *reterr);
/* Reads all certificates, keys and authorities again. New connections use them; those that stand go
 * on. When anything is wrong with one of them all stay as they are. `reterr` has errors and
 * warnings. Blocks while it reads; control thread. */
int proxy_reload_certificates(struct proxy *, struct diagnostics *reterr);

/* Now and then, such as each tick: frees what workers have done with. Control thread. */
void proxy_tidy(struct proxy *);

/* Stops accepting; requests in flight may finish for at most drain_ns, then the rest is cut.
 * Returns at once; any thread. Everything else here still works until proxy_free. */
void proxy_drain(struct proxy *, int64_t drain_ns);
/* Blocks until the drain is over. */
void proxy_join(struct proxy *);
/* How many requests were cut at the end of the drain. */
uint64_t proxy_cut(const struct proxy *);
/* NULL, never opened, or joined. */
void proxy_free(struct proxy *);

#endif
