/* A worker's thread: its listeners, its sweep, its end. Timeouts are looked at every 100 ms for all
 * connections together; no request has a timer of its own.
 */
#include "proxy/worker.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "proxy/client.h"
#include "proxy/exchange.h"
#include "proxy/pool.h"
#include "proxy/spread.h"

enum { SWEEP_MS = 100, DRAIN_GRACE_MS = 1000 };

static void on_accept(struct acceptor *a, int fd)
{
    struct listening *l = a->arg;

    loop_turn(&l->worker->loop);
    spread_accepted(l->worker, l->listener, fd);
}

static void sweep_exchanges(struct worker *w, int64_t now_ns)
{
    struct list *next;

    for (struct list *at = w->exchanges.next; at != &w->exchanges; at = next) {
        next = at->next;
        exchange_sweep(CONTAINER_OF(at, struct exchange, link), now_ns);
    }
}

static void close_acceptors(struct worker *w)
{
    for (struct listening *l = w->listening; l != NULL; l = l->next)
        acceptor_close(&l->acceptor, NULL);
}

static void close_own_handles(struct worker *w)
{
    if (uv_is_closing((uv_handle_t *)&w->sweep))
        return;
    uv_close((uv_handle_t *)&w->sweep, NULL);
    uv_close((uv_handle_t *)&w->wake, NULL);
}

static void close_expired(struct worker *w, int64_t now_ns)
{
    bool more = client_close_idle(w, now_ns - w->shared->config->limits.idle_timeout_ns);

    more = pool_expire(w, now_ns) || more;
    if (more)
        uv_async_send(&w->wake); /* in the next turn of the loop */
}

/* Draining ends when nothing is under way, or at its deadline, when what is left is cut. */
static void drain_step(struct worker *w, int64_t now_ns)
{
    int64_t deadline_ns = atomic_load_explicit(&w->drain_deadline_ns, memory_order_acquire);

    if (deadline_ns == 0)
        return;
    if (!w->draining) {
        for (struct listening *l = w->listening; l != NULL; l = l->next)
            acceptor_take(&l->acceptor); /* who is in the kernel's queue was promised service */
        spread_close(w);
        w->draining = true;
        w->drain_ns = now_ns;
        close_acceptors(w);
    }
    /* An idle connection that is closed loses the request which is on its way to us: for a moment
     * each is still served, and its answer says `Connection: close`. */
    if (now_ns - w->drain_ns >= DRAIN_GRACE_MS * NS_PER_MS &&
        client_close_idle(w, now_ns - DRAIN_GRACE_MS * NS_PER_MS))
        uv_async_send(&w->wake);
    if (now_ns >= deadline_ns) {
        while (!list_empty(&w->exchanges)) {
            atomic_fetch_add(&w->shared->cut, 1);
            exchange_abort(CONTAINER_OF(w->exchanges.next, struct exchange, link));
        }
        client_close_all(w);
    }
    if (w->clients == 0) {
        pool_close_idle(w);
        close_own_handles(w);
    }
}

void worker_sweep(struct worker *w)
{
    int64_t now_ns = loop_turn(&w->loop);

    queue_serve(w);
    sweep_exchanges(w, now_ns); /* before the recorder: it says how long clients have not read */
    recorder_sweep(w->shard, now_ns);
    client_sweep(w, now_ns);
    close_expired(w, now_ns);
    drain_step(w, now_ns);
}

static void on_sweep(uv_timer_t *timer)
{
    worker_sweep(worker_of(loop_of(timer->loop)));
}

static void take_certificates(struct worker *w)
{
    struct certificates *renewed = atomic_exchange(&w->renewed, NULL);

    if (renewed == NULL)
        return;
    /* Not here: it may be the last reference, and to free certificates and authorities takes long.
     */
    certificates_unref(atomic_exchange(&w->retired, w->certificates));
    w->certificates = renewed;
}

void worker_tidy(struct worker *w)
{
    certificates_unref(atomic_exchange(&w->retired, NULL));
}

static void on_wake(uv_async_t *async)
{
    struct worker *w = worker_of(loop_of(async->loop));

    take_certificates(w);
    loop_turn(&w->loop);
    spread_take(w);
    queue_serve(w);
    close_expired(w, w->loop.now_ns);
    drain_step(w, w->loop.now_ns);
}

void worker_listen(struct worker *w, size_t listener, int fd)
{
    struct listening *l = xcalloc(1, sizeof(*l));

    *l = (struct listening){.worker = w, .next = w->listening, .listener = listener};
    CHECK(acceptor_open(&l->acceptor, &w->loop.uv, fd, on_accept, l) == 0);
    w->listening = l;
}

/* For the few requests that become examples. */
static struct str request_id(const struct recorder_ticket *ticket)
{
    return exchange_memo(CONTAINER_OF(ticket, struct exchange, ticket), MEMO_REQUEST_ID);
}

struct worker *worker_new(struct shared *shared, size_t index, const int *fds, size_t count)
{
    struct worker *w = aligned_alloc(64, (sizeof(*w) + 63) / 64 * 64);
    size_t pools = route_pool_count(shared->table), rollouts = route_count(shared->table);

    if (w == NULL)
        abort();
    memset(w, 0, sizeof(*w));
    CHECK(loop_init(&w->loop, shared->clock) == 0);
    w->shared = shared;
    w->certificates = certificates_ref(shared->certificates);
    w->index = index;
    w->shard = recorder_shard(shared->recorder, index);
    recorder_ids(w->shard, request_id);
    w->shapes = observe_shapes_new();
    rng_seed_system(&w->rng);
    w->pools = xcalloc(pools, sizeof(*w->pools));
    for (size_t i = 0; i < pools; i++)
        list_init(&w->pools[i].idle);
    list_init(&w->idle_upstreams);
    list_init(&w->waiting);
    list_init(&w->in_heads);
    list_init(&w->handshakes);
    list_init(&w->lingering);
    list_init(&w->exchanges);
    list_init(&w->spare);
    list_init(&w->busy_queues);
    w->queues = xcalloc(rollouts * VARIANT_COUNT + 1, sizeof(*w->queues));
    for (size_t i = 0; i < rollouts * VARIANT_COUNT; i++) {
        list_init(&w->queues[i].waiting);
        list_init(&w->queues[i].link);
    }
    w->budgets = xcalloc(rollouts + 1, sizeof(*w->budgets));
    w->withdrawals = xcalloc(rollouts + 1, sizeof(*w->withdrawals));
    inbox_init(&w->inbox);
    CHECK(index < WORKERS_MAX && index == shared->worker_count);
    shared->workers[shared->worker_count++] = w;
    strbuf_init(&w->log_line, ACCESS_LOG_LINE_MAX);
    strbuf_init(&w->scratch, 2 * shared->config->limits.head_bytes + HEAD_EXTRA_BYTES);
    for (size_t i = 0; i < count; i++)
        worker_listen(w, i, fds[i]);
    CHECK(uv_timer_init(&w->loop.uv, &w->sweep) == 0);
    CHECK(uv_timer_start(&w->sweep, on_sweep, SWEEP_MS, SWEEP_MS) == 0);
    CHECK(uv_async_init(&w->loop.uv, &w->wake, on_wake) == 0);
    CHECK(uv_sem_init(&w->gate, 0) == 0);
    return w;
}

static void *thread_main(void *arg)
{
    struct worker *w = arg;

    uv_sem_wait(&w->gate);
    if (w->called_off) {
        close_acceptors(w);
        close_own_handles(w);
    }
    uv_run(&w->loop.uv, UV_RUN_DEFAULT);
    return NULL;
}

int worker_run(struct worker *w)
{
    return -pthread_create(&w->thread, NULL, thread_main, w);
}

void worker_open(struct worker *w)
{
    uv_sem_post(&w->gate);
}

void worker_call_off(struct worker *w)
{
    w->called_off = true;
    uv_sem_post(&w->gate);
}

void worker_renew(struct worker *w, struct certificates *certificates)
{
    if (atomic_load(&w->drain_deadline_ns) != 0)
        return; /* it takes no more connections, and may be gone */
    certificates_unref(atomic_exchange(&w->renewed, certificates_ref(certificates)));
    uv_async_send(&w->wake);
}

struct str worker_date(struct worker *w)
{
    if (w->date_ns == 0 || w->loop.now_ns - w->date_ns >= NS_PER_SEC) {
        forward_date(clock_wall(w->shared->clock) / NS_PER_SEC, w->date);
        w->date_ns = w->loop.now_ns;
    }
    return (struct str){w->date, FORWARD_DATE_MAX - 1};
}

void worker_drain(struct worker *w, int64_t deadline_ns)
{
    atomic_store_explicit(&w->drain_deadline_ns, deadline_ns, memory_order_release);
    uv_async_send(&w->wake);
}

void worker_join(struct worker *w)
{
    pthread_join(w->thread, NULL);
}

void worker_free(struct worker *w)
{
    exchange_free_spare(w);
    loop_deinit(&w->loop);
    inbox_deinit(&w->inbox);
    uv_sem_destroy(&w->gate);
    certificates_unref(w->renewed);
    certificates_unref(w->retired);
    certificates_unref(w->certificates);
    strbuf_deinit(&w->scratch);
    strbuf_deinit(&w->log_line);
    for (struct listening *l = w->listening, *after; l != NULL; l = after) {
        after = l->next;
        free(l);
    }
    observe_shapes_free(w->shapes);
    free(w->pools);
    free(w->queues);
    free(w->budgets);
    free(w->withdrawals);
    free(w);
}
