/* proxy/worker.h — one data-plane thread and all it owns. Internal to proxy/. */
#ifndef PROXY_WORKER_H
#define PROXY_WORKER_H

#include <uv.h>

#include <pthread.h>
#include <stdatomic.h>

#include "analysis/recorder.h"
#include "base/check.h"
#include "base/list.h"
#include "base/rng.h"
#include "base/strbuf.h"
#include "net/acceptor.h"
#include "net/head.h"
#include "net/loop.h"
#include "proxy/access_log.h"
#include "proxy/certificates.h"
#include "proxy/forward.h"
#include "proxy/inbox.h"
#include "proxy/proxy.h"
#include "proxy/replay.h"
#include "proxy/retry.h"
#include "proxy/route.h"
#include "proxy/slots.h"
#include "proxy/weights.h"

struct worker;

/* What all workers share: constant but for the atomics. */
struct shared {
    struct policy_set *set;
    const struct config *config;
    struct route_table *table;
    struct certificates *certificates; /* the control thread's: workers have their own; or NULL */
    struct weight *weights;            /* one per rollout */
    struct recorder *recorder;
    struct slots *slots;           /* in flight at each endpoint, and who waits */
    struct access_log *access_log; /* NULL: off */
    const struct clock *clock;
    _Alignas(64) _Atomic uint64_t connections_active; /* process-wide, for limits.connections */
    _Atomic uint64_t sockets;                         /* clients' and endpoints', process-wide */
    _Atomic uint64_t cut;                             /* requests that a drain's end cut off */
    _Atomic bool unready; /* health_path says so: the listeners will close soon */
    struct replay_limits replay;
    struct worker *workers[WORKERS_MAX]; /* all of them before the first thread starts */
    size_t worker_count;
    uint64_t sockets_max; /* what RLIMIT_NOFILE leaves beside files, the admin API and a reserve */
};

/* This worker's idle connections to one endpoint. */
struct pool {
    struct list idle; /* struct upstream, the longest idle first */
    uint32_t idle_count;
};

/* This worker's requests that wait for an endpoint of one version. */
struct wait_queue {
    struct list waiting; /* exchange.wait, the longest first */
    struct list link;    /* worker.busy_queues, while there are any */
    uint32_t count;
};

/* Since when a canary has been at 0, as far as a request of it that is still under way needs it. */
struct withdrawal {
    int64_t since_ns;
    uint32_t epoch;
};

/* Connections that nobody uses are closed so many per turn of the loop: each costs microseconds,
 * and there may be thousands of them, while others wait for answers. */
enum { WORKER_CLOSES_MAX = 32 };

/* What a head may grow by on its way through, at most; a head of limits.head doubles at worst. */
enum { HEAD_EXTRA_BYTES = 8 * 1024 };

struct exchange;

/* One listening socket of one worker. */
struct listening {
    struct acceptor acceptor;
    struct worker *worker;
    struct listening *next;
    size_t listener; /* index in config.listen */
};

struct worker {
    struct loop loop;
    struct shared *shared;
    size_t index;
    struct recorder_shard *shard;
    struct observe_shapes *shapes; /* of the streams' events */
    struct rng rng;
    struct pool *pools;             /* route_pool_count */
    struct list idle_upstreams;     /* of all pools, the longest idle first */
    struct list waiting;            /* clients between requests, the longest first */
    struct list in_heads;           /* clients within a head, the longest first */
    struct list handshakes;         /* clients within a TLS handshake, the longest first */
    struct list lingering;          /* answered clients that still take the answer or still send */
    struct list exchanges;          /* under way */
    struct wait_queue *queues;      /* by slots_version */
    struct list busy_queues;        /* those in which somebody waits */
    struct retry_budget *budgets;   /* by rollout */
    struct withdrawal *withdrawals; /* by rollout */
    struct list spare;              /* exchanges that are over, for reuse */
    size_t spare_count;
    struct listening *listening; /* its sockets; of one listener there may be several */
    uv_timer_t sweep;
    uv_async_t wake;
    struct inbox inbox;                     /* connections that other workers hand to this one */
    struct certificates *certificates;      /* for new connections */
    _Atomic(struct certificates *) renewed; /* to be taken up; NULL: nothing new */
    _Atomic(struct certificates *) retired; /* no longer in use: worker_tidy lets go of them */
    _Atomic int64_t drain_deadline_ns;      /* 0: running; else: no new connections, end by then */
    bool draining;
    int64_t drain_ns;          /* since when */
    size_t clients, upstreams; /* open handles of each kind */
    pthread_t thread;
    uv_sem_t gate; /* the thread waits here at first */
    bool called_off;
    char date[FORWARD_DATE_MAX];             /* as of date_ns */
    int64_t date_ns;                         /* 0: never */
    struct strbuf scratch;                   /* a response head or an error on its way out */
    struct strbuf log_line;                  /* of the access log, while it is made */
    struct head request_head, response_head; /* of the message being handled in this callback */
    _Alignas(64) struct {
        _Atomic uint64_t connections, connections_active, connections_handed, requests,
            requests_active, upstream_connections, unmatched, rejected, refused_connections,
            overloaded, unshielded, retries_denied, queued, queue_full, streams_unseen, tunnels,
            log_dropped, handshakes, handshake_failures;
    } stats; /* written by this worker, read by anyone */
};

static inline void stat_add(_Atomic uint64_t *counter, int64_t by)
{
    /* One writer: a plain add with relaxed stores is enough. */
    atomic_store_explicit(counter,
                          atomic_load_explicit(counter, memory_order_relaxed) + (uint64_t)by,
                          memory_order_relaxed);
}

/* Takes over the listening descriptors, fds[i] as a socket of listener i. The worker runs until it
 * was told to drain and is empty. */
struct worker *worker_new(struct shared *, size_t index, const int *fds, size_t count);
/* One more socket; before worker_run. */
void worker_listen(struct worker *, size_t listener, int fd);
int worker_run(struct worker *);   /* starts the thread, which waits; 0 or -errno */
void worker_open(struct worker *); /* it goes on, and takes connections */
/* Instead of worker_open: it ends without having taken one. Then worker_join. */
void worker_call_off(struct worker *);
/* All timeouts, once. The worker's timer calls it each 100 ms; a test that steps the loop by hand
 * does so itself. */
void worker_sweep(struct worker *);
/* New connections use these from now on. The control thread; nothing happens once it drains. */
void worker_renew(struct worker *, struct certificates *);
/* Frees what this worker has done with and could be slow to free. The control thread. */
void worker_tidy(struct worker *);
/* Any thread. */
void worker_drain(struct worker *, int64_t deadline_ns);
void worker_join(struct worker *);
void worker_free(struct worker *);

/* The time of day as a Date field has it, looked up at most once a second. */
struct str worker_date(struct worker *);

static inline struct worker *worker_of(struct loop *loop)
{
    return CONTAINER_OF(loop, struct worker, loop);
}

#endif
