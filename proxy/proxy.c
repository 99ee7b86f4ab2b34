/* The data plane as a whole: sockets bound before any thread starts, so that a port in use is an
 * error of `sluice run` and not of a worker.
 */
#include "proxy/proxy.h"

#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "net/sockaddr.h"
#include "proxy/worker.h"

enum { BACKLOG = 4096 };

struct proxy {
    struct shared shared;
    struct worker **workers;
    size_t count;
    uint16_t ports[LISTEN_MAX];
};

size_t proxy_worker_count(const struct config *config)
{
    cpu_set_t set;

    if (config->workers > 0)
        return config->workers;
    if (sched_getaffinity(0, sizeof(set), &set) != 0)
        return 1;
    int n = CPU_COUNT(&set);
    return n < 1 ? 1 : n > WORKERS_MAX ? WORKERS_MAX : (size_t)n;
}

static int bind_failed(const struct config_address *a, int fd, int error, struct error *reterr)
{
    int code = error_set(reterr, -error, "cannot listen on %s: %s", a->text, strerror(error));

    if (error == EADDRINUSE)
        error_hint(reterr, "another process has that port: stop it (ss -ltnp shows it) or change "
                           "proxy.listen");
    else if (error == EACCES)
        error_hint(reterr, "ports below 1024 need root or CAP_NET_BIND_SERVICE");
    else if (error == EADDRNOTAVAIL)
        error_hint(reterr, "this machine does not have that address");
    if (fd >= 0)
        close(fd);
    return code;
}

/* A listening socket, or -errno. `first`: bound alone once, since SO_REUSEPORT would share the port
 * with another sluice of the same user without a word. */
static int bind_one(const struct config_address *a, uint16_t port, bool first, struct error *reterr)
{
    struct sockaddr_storage address;
    socklen_t len = sockaddr_parse(a->host, port, &address);
    int on = 1;

    if (len == 0)
        return error_set(reterr, -EINVAL, "%s is not a numeric address", a->text);
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return bind_failed(a, -1, errno, reterr);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
    if (first && port != 0) {
        /* Bound without SO_REUSEPORT for a moment: this fails when anybody listens there. */
        if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1) != 0)
            return bind_failed(a, fd, errno, reterr);
        close(fd);
        return bind_one(a, port, false, reterr);
    }
    setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on));
    if (bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, BACKLOG) != 0)
        return bind_failed(a, fd, errno, reterr);
    return fd;
}

/* fds[worker * listen_count + listener] */
static int bind_all(struct proxy *p, int *fds, struct error *reterr)
{
    const struct config *config = p->shared.config;

    for (size_t i = 0; i < p->count * config->listen_count; i++)
        fds[i] = -1;
    for (size_t w = 0; w < p->count; w++) {
        for (size_t l = 0; l < config->listen_count; l++) {
            uint16_t port = w == 0 ? config->listen[l].port : p->ports[l];
            int fd = bind_one(&config->listen[l], port, w == 0, reterr);
            if (fd < 0)
                return fd;
            fds[w * config->listen_count + l] = fd;
            p->ports[l] = sockaddr_bound_port(fd);
        }
    }
    return 0;
}

static void close_all(const int *fds, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (fds[i] >= 0)
            close(fds[i]);
}

static void free_shared(struct proxy *p)
{
    access_log_free(p->shared.access_log);
    route_table_free(p->shared.table);
    free(p->shared.weights);
    policy_set_unref(p->shared.set);
    free(p->workers);
    free(p);
}

/* Descriptors for everything that is not a client or an endpoint. */
enum { DESCRIPTOR_RESERVE = 128 };

static uint64_t sockets_max(const struct config *config)
{
    struct rlimit limit;
    uint64_t max = UINT32_MAX;

    if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur != RLIM_INFINITY)
        max = limit.rlim_cur > 2 * DESCRIPTOR_RESERVE ? limit.rlim_cur - DESCRIPTOR_RESERVE
                                                      : limit.rlim_cur / 2;
    if (config->limits.connections / 2 > max - max / 8) /* the default may be a little too high */
        log_warn("proxy.connections_limited",
                 F("limits.connections", LOG_U64(config->limits.connections)),
                 F("possible", LOG_U64(max - max / 8)),
                 F("note", LOG_STR("RLIMIT_NOFILE allows no more: raise it (ulimit -n) or lower "
                                   "proxy.limits.connections")));
    return max;
}

static int prepare(struct proxy *p, const struct proxy_options *o, struct error *reterr)
{
    const struct config *config = o->set->config;

    p->count = o->workers;
    p->workers = xcalloc(p->count, sizeof(*p->workers));
    p->shared.set = policy_set_ref(o->set);
    p->shared.config = config;
    p->shared.recorder = o->recorder;
    p->shared.clock = o->clock;
    p->shared.sockets_max = sockets_max(config);
    p->shared.weights = aligned_alloc(64, (o->set->count + 1) * sizeof(struct weight));
    if (p->shared.weights == NULL)
        abort();
    memset(p->shared.weights, 0, (o->set->count + 1) * sizeof(struct weight));
    p->shared.table = route_table_new(o->set);
    if (strcmp(config->access_log.to, "off") == 0)
        return 0;
    return access_log_new(config->access_log.to, p->count, &p->shared.access_log, reterr);
}

int proxy_start(const struct proxy_options *o, struct proxy **ret, struct error *reterr)
{
    struct proxy *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);
    size_t listeners = o->set->config->listen_count;

    if (p == NULL)
        abort();
    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2) */
    memset(p, 0, sizeof(*p));
    int *fds = xmalloc(o->workers * listeners * sizeof(*fds));
    int status = prepare(p, o, reterr);
    if (status == 0) {
        status = bind_all(p, fds, reterr);
        if (status < 0)
            close_all(fds, o->workers * listeners);
    }
    if (status < 0) {
        free(fds);
        free_shared(p);
        return status;
    }
    for (size_t w = 0; w < p->count; w++)
        p->workers[w] = worker_new(&p->shared, w, &fds[w * listeners], listeners);
    free(fds);
    for (size_t w = 0; w < p->count; w++)
        CHECK(worker_run(p->workers[w]) == 0);
    *ret = p;
    return 0;
}

void proxy_set_weight(struct proxy *p, uint32_t rollout, uint32_t epoch, uint32_t weight_bp)
{
    CHECK(rollout < p->shared.set->count);
    weight_set(&p->shared.weights[rollout], epoch, weight_bp);
}

uint32_t proxy_weight_bp(const struct proxy *p, uint32_t rollout)
{
    CHECK(rollout < p->shared.set->count);
    return weight_read(&p->shared.weights[rollout]).weight_bp;
}

void proxy_set_ready(struct proxy *p, bool ready)
{
    atomic_store_explicit(&p->shared.unready, !ready, memory_order_relaxed);
}

uint16_t proxy_port(const struct proxy *p, size_t listener)
{
    CHECK(listener < p->shared.config->listen_count);
    return p->ports[listener];
}

size_t proxy_workers(const struct proxy *p)
{
    return p->count;
}

void proxy_worker_stats(const struct proxy *p, size_t worker, struct proxy_worker_stats *ret)
{
    CHECK(worker < p->count);
    const struct worker *w = p->workers[worker];
    *ret = (struct proxy_worker_stats){
        .connections = atomic_load(&w->stats.connections),
        .connections_active = atomic_load(&w->stats.connections_active),
        .requests = atomic_load(&w->stats.requests),
        .requests_active = atomic_load(&w->stats.requests_active),
        .upstream_connections = atomic_load(&w->stats.upstream_connections),
        .unmatched = atomic_load(&w->stats.unmatched),
        .rejected = atomic_load(&w->stats.rejected),
        .refused_connections = atomic_load(&w->stats.refused_connections),
        .overloaded = atomic_load(&w->stats.overloaded),
        .unshielded = atomic_load(&w->stats.unshielded),
        .retries_denied = atomic_load(&w->stats.retries_denied),
        .queued = atomic_load(&w->stats.queued),
        .queue_full = atomic_load(&w->stats.queue_full),
        .streams_unseen = atomic_load(&w->stats.streams_unseen),
        .tunnels = atomic_load(&w->stats.tunnels),
    };
}

void proxy_stop(struct proxy *p, int64_t drain_ns)
{
    int64_t deadline_ns = clock_mono(p->shared.clock) + drain_ns;

    for (size_t w = 0; w < p->count; w++)
        worker_drain(p->workers[w], deadline_ns);
    for (size_t w = 0; w < p->count; w++)
        worker_join(p->workers[w]);
    for (size_t w = 0; w < p->count; w++)
        worker_free(p->workers[w]);
    free_shared(p);
}
