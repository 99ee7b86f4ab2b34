/* Loads are read without a lock and may be a moment old: that costs evenness, never a connection.
 * The surprising part: a connection in an inbox counts for the worker that will serve it, or a
 * burst that one worker accepts in a single turn would all go to the same other one.
 */
#include "proxy/spread.h"

#include "proxy/client.h"

/* All are compared up to so many, beyond that two that are drawn: nearly as even, and the cost of
 * accepting does not grow with the workers. */
enum { COMPARE_ALL_MAX = 8 };

static uint64_t load(const struct worker *w)
{
    return atomic_load_explicit(&w->stats.connections_active, memory_order_relaxed) +
           inbox_count(&w->inbox);
}

static const struct worker *lesser(const struct worker *a, const struct worker *b)
{
    return load(b) < load(a) ? b : a;
}

static struct worker *least_loaded(struct worker *w)
{
    struct shared *s = w->shared;
    size_t least = 0;

    if (s->worker_count > COMPARE_ALL_MAX) {
        size_t one = rng_below(&w->rng, (uint32_t)s->worker_count);
        size_t other = rng_below(&w->rng, (uint32_t)s->worker_count);
        return s->workers[lesser(s->workers[one], s->workers[other])->index];
    }
    for (size_t i = 1; i < s->worker_count; i++)
        least = lesser(s->workers[least], s->workers[i])->index;
    return s->workers[least];
}

/* Handing over costs a wake-up of another thread: not for one connection more, nor, where there are
 * many, for a sixteenth more. */
static bool is_clearly_less(uint64_t least, uint64_t own)
{
    return own > least + 1 + least / 16;
}

void spread_accepted(struct worker *w, size_t listener, int fd)
{
    struct worker *to = least_loaded(w);

    if (to == w || !is_clearly_less(load(to), load(w))) {
        client_accept(w, listener, fd);
        return;
    }
    /* It is open, wherever it waits: sockets_max must know. */
    atomic_fetch_add(&w->shared->sockets, 1);
    if (inbox_put(&to->inbox, (struct inbox_connection){fd, (uint32_t)listener})) {
        stat_add(&w->stats.connections_handed, 1);
        uv_async_send(&to->wake);
        return;
    }
    atomic_fetch_sub(&w->shared->sockets, 1);
    client_accept(w, listener, fd);
}

static void serve(struct worker *w, const struct inbox_connection *connections, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        atomic_fetch_sub(&w->shared->sockets, 1);
        client_accept(w, connections[i].listener, connections[i].fd);
    }
}

void spread_take(struct worker *w)
{
    struct inbox_connection connections[INBOX_MAX];

    serve(w, connections, inbox_take(&w->inbox, connections));
}

void spread_close(struct worker *w)
{
    struct inbox_connection connections[INBOX_MAX];

    serve(w, connections, inbox_close(&w->inbox, connections));
}
