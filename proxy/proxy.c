/* The data plane as a whole, in two steps: what can fail comes before what can be seen from
 * outside, so that a process that replaces another takes no connection before it is sure to serve
 * it.
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
#include "proxy/listeners.h"
#include "proxy/weight_region.h"
#include "proxy/worker.h"

struct proxy {
    struct shared shared;
    struct worker **workers;
    size_t count;
    struct listeners listeners;
    struct weight_region *weights;
    /* Of the processes before this one that may still drain, the last first. */
    struct weight_region *predecessors[PROXY_PREDECESSORS_MAX];
    size_t predecessor_count;
    bool started;       /* threads run, and the workers own the listeners' descriptors */
    bool opened;        /* the late ones', too */
    _Atomic bool leads; /* predecessors follow */
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

/* Nobody was served yet, and nobody will be. */
static void call_off(struct proxy *p)
{
    for (size_t w = 0; w < p->count; w++)
        worker_call_off(p->workers[w]);
    proxy_join(p);
    for (size_t i = 0; i < p->listeners.count; i++)
        if (p->listeners.sockets[i].late)
            close(p->listeners.sockets[i].fd);
}

void proxy_free(struct proxy *p)
{
    if (p == NULL)
        return;
    if (p->started && !p->opened)
        call_off(p);
    for (size_t w = 0; w < p->count; w++)
        if (p->workers[w] != NULL)
            worker_free(p->workers[w]);
    if (!p->started)
        listeners_close(&p->listeners);
    listeners_deinit(&p->listeners);
    access_log_free(p->shared.access_log);
    certificates_unref(p->shared.certificates);
    slots_free(p->shared.slots);
    route_table_free(p->shared.table);
    weight_region_free(p->weights);
    for (size_t i = 0; i < p->predecessor_count; i++)
        weight_region_free(p->predecessors[i]);
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

static void map_predecessors(struct proxy *p, const struct proxy_options *o)
{
    struct error error;

    for (size_t i = 0; i < o->predecessor_count; i++) {
        error = (struct error){0};
        if (p->predecessor_count < PROXY_PREDECESSORS_MAX &&
            weight_region_map(o->predecessors[i], &p->predecessors[p->predecessor_count], &error) ==
                0) {
            p->predecessor_count++;
            continue;
        }
        close(o->predecessors[i]);
        if (error.code != 0)
            log_warn("proxy.predecessor_unknown", F("error", LOG_STR(error.message)),
                     F("note", LOG_STR("it keeps its last weights while it drains")));
    }
}

int proxy_check_certificates(const struct policy_set *set, const struct clock *clock,
                             struct diagnostics *reterr)
{
    struct certificates *c = certificates_load(set, clock, NULL, reterr);

    certificates_unref(c);
    return c == NULL ? -EINVAL : 0;
}

static const struct error *first_error(const struct diagnostics *d)
{
    for (size_t i = 0; i < d->count; i++)
        if (d->items[i].code != 0)
            return &d->items[i];
    return NULL;
}

/* The first error of several stands for them; whoever loaded the set has seen all, and the warnings
 * (proxy_check_certificates). */
static int load_certificates(struct proxy *p, struct error *reterr)
{
    struct diagnostics d;

    diagnostics_init(&d);
    p->shared.certificates = certificates_load(p->shared.set, p->shared.clock, NULL, &d);
    const struct error *e = first_error(&d);
    if (e != NULL && reterr != NULL) {
        *reterr = *e;
        if (e->at.file != NULL)
            error_context(reterr, "%s:%u: ", e->at.file, e->at.line);
    }
    diagnostics_deinit(&d);
    return p->shared.certificates == NULL ? -EINVAL : 0;
}

int proxy_reload_certificates(struct proxy *p, struct diagnostics *reterr)
{
    struct certificates *renewed =
        certificates_load(p->shared.set, p->shared.clock, p->shared.certificates, reterr);

    if (renewed == NULL)
        return -EINVAL;
    certificates_unref(p->shared.certificates);
    p->shared.certificates = renewed;
    for (size_t w = 0; w < p->count; w++)
        worker_renew(p->workers[w], renewed);
    return 0;
}

void proxy_tidy(struct proxy *p)
{
    for (size_t w = 0; w < p->count; w++)
        worker_tidy(p->workers[w]);
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
    struct error error = {0};
    p->weights = weight_region_new(o->set, &error);
    if (weight_region_fd(p->weights) < 0)
        log_warn("proxy.weights_private", F("error", LOG_STR(error.message)),
                 F("note", LOG_STR("after an upgrade this process will not follow its successor")));
    p->shared.weights = weight_region_words(p->weights);
    map_predecessors(p, o);
    int status = load_certificates(p, reterr);
    if (status != 0)
        return status;
    p->shared.table = route_table_new(o->set);
    p->shared.slots = slots_new(route_pool_count(p->shared.table), o->set->count);
    p->shared.replay.bytes = config->limits.replay_bytes;
    p->shared.replay.total_bytes = config->limits.replay_total_bytes;
    if (strcmp(config->access_log.to, "off") == 0)
        return 0;
    return access_log_new(config->access_log.to, p->count, &p->shared.access_log, reterr);
}

int proxy_new(const struct proxy_options *o, struct proxy **ret, struct error *reterr)
{
    struct proxy *p = aligned_alloc(64, (sizeof(*p) + 63) / 64 * 64);

    if (p == NULL)
        abort();
    memset(p, 0, sizeof(*p));
    int status = prepare(p, o, reterr);
    if (status == 0)
        status = listeners_bind(&p->listeners, o->set->config, p->count, o->inherited, reterr);
    if (status < 0) {
        proxy_free(p);
        return status;
    }
    *ret = p;
    return 0;
}

int proxy_start(struct proxy *p, struct error *reterr)
{
    int status = listeners_listen(&p->listeners, p->shared.config, reterr);

    if (status < 0)
        return status;
    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2) */
    for (size_t w = 0; w < p->count; w++)
        p->workers[w] = worker_new(&p->shared, w, NULL, 0);
    for (size_t i = 0; i < p->listeners.count; i++) {
        const struct listener_socket *s = &p->listeners.sockets[i];
        if (!s->late)
            worker_listen(p->workers[s->worker], s->listener, s->fd);
    }
    p->started = true;
    for (size_t w = 0; w < p->count; w++)
        CHECK(worker_run(p->workers[w]) == 0);
    return 0;
}

void proxy_open(struct proxy *p)
{
    CHECK(p->started && !p->opened);
    for (size_t i = 0; i < p->listeners.count; i++) {
        struct listener_socket *s = &p->listeners.sockets[i];
        int status = s->late ? listeners_listen_late(s) : 0;
        if (status < 0) { /* the inherited ones beside it serve everybody */
            log_warn("proxy.listen_failed", F("worker", LOG_U64(s->worker)),
                     F("error", LOG_STR(strerror(-status))));
            close(s->fd);
            s->fd = -1;
        } else if (s->late) {
            worker_listen(p->workers[s->worker], s->listener, s->fd);
        }
    }
    p->opened = true;
    for (size_t w = 0; w < p->count; w++)
        worker_open(p->workers[w]);
}

/* --- the successor --- */

void proxy_sockets(const struct proxy *p, struct inherited *ret)
{
    for (size_t i = 0; i < p->listeners.count; i++) {
        const struct listener_socket *s = &p->listeners.sockets[i];
        if (!s->shared && s->fd >= 0)
            CHECK(inherited_add(ret, s->fd, INHERITED_PROXY, (uint32_t)s->listener,
                                p->shared.config->listen[s->listener].text));
    }
}

size_t proxy_weight_fds(const struct proxy *p, int ret[static PROXY_PREDECESSORS_MAX])
{
    size_t count = 0;

    if (weight_region_fd(p->weights) >= 0)
        ret[count++] = weight_region_fd(p->weights);
    for (size_t i = 0; i < p->predecessor_count && count < PROXY_PREDECESSORS_MAX; i++)
        ret[count++] = weight_region_fd(p->predecessors[i]);
    return count;
}

/* Processes that drain follow what is decided here. Their epochs are their own. */
static void tell_predecessors(const struct proxy *p, uint32_t rollout, uint32_t weight_bp)
{
    for (size_t i = 0; i < p->predecessor_count; i++)
        weight_region_follow(p->predecessors[i], p->shared.set->policies[rollout], weight_bp);
}

void proxy_lead(struct proxy *p)
{
    atomic_store(&p->leads, true);
    for (uint32_t r = 0; r < p->shared.set->count; r++)
        tell_predecessors(p, r, proxy_weight_bp(p, r));
}

void proxy_set_weight(struct proxy *p, uint32_t rollout, uint32_t epoch, uint32_t weight_bp)
{
    CHECK(rollout < p->shared.set->count);
    if (weight_set(&p->shared.weights[rollout], epoch, weight_bp) && atomic_load(&p->leads))
        tell_predecessors(p, rollout, weight_bp);
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

void proxy_address(const struct proxy *p, size_t listener, char to[static PROXY_ADDRESS_MAX])
{
    const struct listener_socket *s = p->listeners.sockets;
    struct sockaddr_storage address = {0};
    socklen_t len = sizeof(address);
    char host[INET6_ADDRSTRLEN] = "?";

    CHECK(listener < p->shared.config->listen_count);
    while (s->listener != listener)
        s++;
    if (getsockname(s->fd, (struct sockaddr *)&address, &len) == 0)
        (void)uv_ip_name((struct sockaddr *)&address, host, sizeof(host));
    snprintf(to, PROXY_ADDRESS_MAX, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host,
             p->listeners.ports[listener]);
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
        .connections_handed = atomic_load(&w->stats.connections_handed),
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
        .log_dropped = atomic_load(&w->stats.log_dropped),
        .handshakes = atomic_load(&w->stats.handshakes),
        .handshake_failures = atomic_load(&w->stats.handshake_failures),
    };
}

/* --- the end --- */

void proxy_drain(struct proxy *p, int64_t drain_ns)
{
    int64_t deadline_ns = clock_mono(p->shared.clock) + drain_ns;

    for (size_t w = 0; w < p->count; w++)
        worker_drain(p->workers[w], deadline_ns);
}

void proxy_join(struct proxy *p)
{
    for (size_t w = 0; w < p->count; w++)
        worker_join(p->workers[w]);
}

uint64_t proxy_cut(const struct proxy *p)
{
    return atomic_load(&p->shared.cut);
}

int proxy_reopen_log(struct proxy *p, struct error *reterr)
{
    return p->shared.access_log == NULL ? 0 : access_log_reopen(p->shared.access_log, reterr);
}
