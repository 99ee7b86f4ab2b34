/* A take that went over the limit gives back at once: the count may stand above `max` for an
 * instant, what is really in flight never does. */
#include "proxy/slots.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

struct endpoint {
    _Alignas(64) _Atomic uint32_t in_flight;
};

struct slots {
    struct endpoint *endpoints;
    _Atomic uint32_t *waiting;
};

struct slots *slots_new(size_t pools, size_t rollouts)
{
    struct slots *s = xcalloc(1, sizeof(*s));

    s->endpoints = aligned_alloc(64, (pools + 1) * sizeof(*s->endpoints));
    if (s->endpoints == NULL)
        abort();
    memset(s->endpoints, 0, (pools + 1) * sizeof(*s->endpoints));
    s->waiting = xcalloc(rollouts * VARIANT_COUNT + 1, sizeof(*s->waiting));
    return s;
}

void slots_free(struct slots *s)
{
    if (s == NULL)
        return;
    free(s->endpoints);
    free((void *)s->waiting);
    free(s);
}

bool slots_take(struct slots *s, size_t pool, uint32_t max)
{
    _Atomic uint32_t *count = &s->endpoints[pool].in_flight;

    if (atomic_fetch_add_explicit(count, 1, memory_order_relaxed) < max)
        return true;
    atomic_fetch_sub_explicit(count, 1, memory_order_relaxed);
    return false;
}

void slots_give(struct slots *s, size_t pool)
{
    uint32_t before =
        atomic_fetch_sub_explicit(&s->endpoints[pool].in_flight, 1, memory_order_seq_cst);

    CHECK(before > 0);
}

uint32_t slots_in_flight(const struct slots *s, size_t pool)
{
    return atomic_load_explicit(&s->endpoints[pool].in_flight, memory_order_relaxed);
}

void slots_wait(struct slots *s, size_t version, int by)
{
    atomic_fetch_add_explicit(&s->waiting[version], (uint32_t)by, memory_order_seq_cst);
}

uint32_t slots_waiting(const struct slots *s, size_t version)
{
    return atomic_load_explicit(&s->waiting[version], memory_order_seq_cst);
}
