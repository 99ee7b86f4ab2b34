/* Requests that wait for an endpoint with room: per worker and version, first come first served.
 * The surprising part: a slot may become free on another worker, so who waits first says so in
 * shared memory and only then looks again, and who gives back looks there afterwards; one of the
 * two sees the other. The sweep each 100 ms serves what was missed.
 */
#include "proxy/exchange.h"
#include "proxy/slots.h"

static struct wait_queue *queue_of(struct worker *w, uint32_t rollout, enum variant variant)
{
    return &w->queues[slots_version(rollout, variant)];
}

bool queue_has_room(const struct exchange *ex, enum variant variant)
{
    return queue_of(ex->worker, ex->route->rollout, variant)->count <
           ex->route->policy->upstream.queue_max;
}

void queue_enter(struct exchange *ex)
{
    struct worker *w = ex->worker;
    struct wait_queue *q = queue_of(w, ex->route->rollout, ex->variant);
    size_t version = slots_version(ex->route->rollout, ex->variant);

    if (!queue_has_room(ex, ex->variant)) {
        static const struct failure full = {
            503, "queue_full", "every endpoint has max_requests in flight, and the queue is full"};
        stat_add(&w->stats.queue_full, 1);
        attempt_unavailable(ex, &full);
        return;
    }
    stat_add(&w->stats.queued, 1);
    exchange_enter(ex, EX_QUEUED);
    ex->queued_ns = w->loop.now_ns;
    list_push(&q->waiting, &ex->wait);
    if (q->count++ == 0)
        list_push(&w->busy_queues, &q->link);
    slots_wait(w->shared->slots, version, 1);
    client_update_reading(ex->client);
    uv_async_send(&w->wake); /* looks again, now that it is known that somebody waits */
}

void queue_leave(struct exchange *ex)
{
    struct worker *w = ex->worker;
    struct wait_queue *q = queue_of(w, ex->route->rollout, ex->variant);

    exchange_enter(ex, EX_ATTEMPTING);
    list_remove(&ex->wait);
    if (--q->count == 0)
        list_remove(&q->link);
    slots_wait(w->shared->slots, slots_version(ex->route->rollout, ex->variant), -1);
    ex->queue_ns += w->loop.now_ns - ex->queued_ns;
}

/* Those who wait here and those who wait elsewhere are woken in proportion, or a busy worker would
 * always find its own first. */
void queue_notify(struct worker *w, uint32_t rollout, enum variant variant)
{
    uint32_t all = slots_waiting(w->shared->slots, slots_version(rollout, variant));
    uint32_t own = queue_of(w, rollout, variant)->count;

    if (all == 0)
        return;
    if (own == all || (own > 0 && rng_u64(&w->rng) % all < own)) {
        uv_async_send(&w->wake);
        return;
    }
    for (size_t i = 0; i < w->shared->worker_count; i++)
        if (w->shared->workers[i] != w)
            uv_async_send(&w->shared->workers[i]->wake);
}

static void serve(struct wait_queue *q)
{
    struct str none = {NULL, 0};

    while (q->count > 0) {
        struct exchange *ex = CONTAINER_OF(q->waiting.next, struct exchange, wait);
        struct client *c = ex->client;
        if (!attempt_choose(ex))
            return;
        queue_leave(ex);
        send_begin(ex, false, &none);
        client_resume(c);
    }
}

void queue_serve(struct worker *w)
{
    struct list *next;

    for (struct list *at = w->busy_queues.next; at != &w->busy_queues; at = next) {
        next = at->next;
        serve(CONTAINER_OF(at, struct wait_queue, link));
    }
}
