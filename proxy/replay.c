/* Grows by doubling, and asks the process-wide sum before each growth. */
#include "proxy/replay.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { FIRST_BYTES = 4096 };

static void drop(struct replay *r, struct replay_limits *limits)
{
    if (r->cap > 0)
        atomic_fetch_sub_explicit(&limits->held, r->cap, memory_order_relaxed);
    free(r->ptr);
    r->ptr = NULL;
    r->len = r->cap = 0;
}

static bool grow(struct replay *r, struct replay_limits *limits, size_t len)
{
    size_t cap = r->cap == 0 ? FIRST_BYTES : r->cap;

    if (len > limits->bytes)
        return false;
    while (cap < len)
        cap *= 2;
    if (cap > limits->bytes)
        cap = (size_t)limits->bytes;
    uint64_t more = cap - r->cap, total = r->yields ? limits->total_bytes / 2 : limits->total_bytes;
    if (atomic_fetch_add_explicit(&limits->held, more, memory_order_relaxed) + more > total) {
        atomic_fetch_sub_explicit(&limits->held, more, memory_order_relaxed);
        return false;
    }
    r->ptr = xrealloc(r->ptr, cap);
    r->cap = cap;
    return true;
}

bool replay_reserve(struct replay *r, struct replay_limits *limits, size_t bytes)
{
    return !r->given_up && (bytes <= r->cap || grow(r, limits, bytes));
}

bool replay_add(struct replay *r, struct replay_limits *limits, const uv_buf_t *bufs,
                unsigned count)
{
    size_t sum = 0;

    if (r->given_up)
        return true;
    for (unsigned i = 0; i < count; i++)
        sum += bufs[i].len;
    if (r->len + sum > r->cap && !grow(r, limits, r->len + sum)) {
        replay_give_up(r, limits);
        return false;
    }
    for (unsigned i = 0; i < count; i++) {
        memcpy(r->ptr + r->len, bufs[i].base, bufs[i].len);
        r->len += bufs[i].len;
    }
    return true;
}

void replay_give_up(struct replay *r, struct replay_limits *limits)
{
    drop(r, limits);
    r->given_up = true;
}

void replay_clear(struct replay *r, struct replay_limits *limits)
{
    drop(r, limits);
    r->given_up = false;
}
