/* A circular array whose size is a power of two, sorted by (epoch, slot), so that a search is a
 * bisection. Increments of requests whose slot was closed for good are counted in a neighbour,
 * which is why a slot may hold more bad or settled requests than dispatched ones; the helpers here
 * clamp.
 */
#include "analysis/window.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"

void window_init(struct window *w)
{
    *w = (struct window){0};
}

void window_deinit(struct window *w)
{
    free(w->slots);
    window_init(w);
}

struct window_slot *window_at(const struct window *w, size_t index)
{
    CHECK(index < w->count);
    return &w->slots[(w->head + index) & (w->capacity - 1)];
}

static void grow(struct window *w)
{
    size_t capacity = w->capacity == 0 ? 8 : 2 * w->capacity;
    struct window_slot *slots = xmalloc(capacity * sizeof slots[0]);
    for (size_t i = 0; i < w->count; i++)
        slots[i] = *window_at(w, i);
    free(w->slots);
    w->slots = slots;
    w->capacity = capacity;
    w->head = 0;
}

struct window_slot *window_push(struct window *w, uint32_t epoch, int64_t slot, uint32_t weight_bp,
                                uint32_t step)
{
    if (w->count == w->capacity)
        grow(w);
    w->count++;
    struct window_slot *s = window_at(w, w->count - 1);
    *s = (struct window_slot){.slot = slot, .epoch = epoch, .weight_bp = weight_bp, .step = step};
    return s;
}

void window_drop(struct window *w, size_t count)
{
    CHECK(count <= w->count);
    if (w->capacity > 0)
        w->head = (w->head + count) & (w->capacity - 1);
    w->count -= count;
}

/* The number of slots at or before (epoch, slot). */
static size_t rank(const struct window *w, uint32_t epoch, int64_t slot)
{
    size_t low = 0, high = w->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        const struct window_slot *s = window_at(w, middle);
        if (s->epoch < epoch || (s->epoch == epoch && s->slot <= slot))
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

size_t window_find(const struct window *w, uint32_t epoch, int64_t slot)
{
    size_t after = rank(w, epoch, slot);
    if (after > 0 && window_at(w, after - 1)->epoch == epoch)
        return after - 1;
    if (after < w->count && window_at(w, after)->epoch == epoch)
        return after;
    return after > 0 ? after - 1 : 0;
}

void slot_counts_add(struct slot_counts *to, const struct slot_counts *more, size_t criteria)
{
    to->dispatched += more->dispatched;
    to->settled += more->settled;
    to->errors += more->errors;
    to->excused += more->excused;
    for (size_t c = 0; c < criteria; c++) {
        to->bad[c] += more->bad[c];
        to->excluded[c] += more->excluded[c];
        to->overdue[c] += more->overdue[c];
    }
}

uint32_t slot_counts_pending(const struct slot_counts *counts, size_t criterion)
{
    int64_t pending = (int64_t)counts->dispatched - counts->settled - counts->overdue[criterion];
    /* Some of those in flight may be no samples already. */
    int64_t most = (int64_t)slot_counts_sample(counts, criterion) - counts->bad[criterion];
    if (pending > most)
        pending = most;
    return pending > 0 ? (uint32_t)pending : 0;
}

uint64_t slot_counts_sample(const struct slot_counts *counts, size_t criterion)
{
    int64_t sample = (int64_t)counts->dispatched - counts->excluded[criterion];
    int64_t bad = counts->bad[criterion];
    return (uint64_t)(sample > bad ? sample : bad);
}

struct shares shares_of(const struct slot_counts *counts, size_t criterion)
{
    return (struct shares){.sample = slot_counts_sample(counts, criterion),
                           .bad = counts->bad[criterion],
                           .pending = slot_counts_pending(counts, criterion)};
}

void shares_add(struct shares *sum, struct shares more)
{
    sum->sample += more.sample;
    sum->bad += more.bad;
    sum->pending += more.pending;
}
