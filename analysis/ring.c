/* A circular array whose size is a power of two. `now` is always the evidence before slot `dirty`,
 * so opening and changing slots is cheap and only a refold computes. That also rules out a silent
 * mistake of the linear form: a slot opened while nothing is dirty that does not know what was
 * before it, and so loses all earlier evidence at the next refold.
 */
#include "analysis/ring.h"

#include <math.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { RING_LANES = 2 };

/* Far above any threshold and far below overflow: evidence is clamped here. */
#define RING_EVIDENCE_MAX 1e250

void ring_init(struct ring *r, size_t points, double cap)
{
    CHECK(points <= SEQUENTIAL_POINTS_MAX);
    CHECK(points % RING_LANES == 0);
    *r = (struct ring){.points = points, .cap = cap, .zero = true};
}

void ring_deinit(struct ring *r)
{
    free(r->slots);
    *r = (struct ring){0};
}

void ring_reset(struct ring *r)
{
    r->head = r->count = r->dirty = 0;
    r->zero = true;
    memset(r->now, 0, sizeof r->now);
}

struct ring_slot *ring_slot_at(const struct ring *r, size_t slot)
{
    return &r->slots[(r->head + slot) & (r->capacity - 1)];
}

static void grow(struct ring *r)
{
    size_t capacity = r->capacity == 0 ? 8 : 2 * r->capacity;
    struct ring_slot *slots = xmalloc(capacity * sizeof slots[0]);
    for (size_t i = 0; i < r->count; i++)
        slots[i] = *ring_slot_at(r, i);
    free(r->slots);
    r->slots = slots;
    r->capacity = capacity;
    r->head = 0;
}

static double sum_of(const double evidence[], size_t points)
{
    double sum = 0;
    for (size_t k = 0; k < points; k++)
        sum += evidence[k];
    return sum;
}

static void turn(const struct ring *r, const struct ring_slot *s, double level, double evidence[])
{
    double sum, scale;
    switch (s->turn) {
    case RING_ON:
        return;
    case RING_FRESH:
        memset(evidence, 0, r->points * sizeof evidence[0]);
        return;
    case RING_LOWER:
        sum = sum_of(evidence, r->points);
        if (sum <= level)
            return;
        scale = level / sum;
        for (size_t k = 0; k < r->points; k++)
            evidence[k] *= scale;
        return;
    case RING_LEVEL:
        for (size_t k = 0; k < r->points; k++)
            evidence[k] = level / (double)r->points;
        return;
    }
}

/* Two grid points at once: this runs for each open slot behind one that changed, and is most of
 * what a look costs where answers take minutes. */
typedef double lanes __attribute__((vector_size(RING_LANES * 8), aligned(8), may_alias));
typedef int64_t masks __attribute__((vector_size(RING_LANES * 8)));

static inline void fold(double *now, double start, const double *factor)
{
    const lanes most = (lanes){0} + RING_EVIDENCE_MAX;
    lanes after = (*(const lanes *)now + start) * *(const lanes *)factor;
    masks below = after < most;
    *(lanes *)now = (lanes)((below & (masks)after) | (~below & (masks)most));
}

void ring_step(struct ring *r, double level)
{
    CHECK(r->dirty < r->count);
    struct ring_slot *s = ring_slot_at(r, r->dirty++);
    double start = s->start / (double)r->points;
    memcpy(s->before, r->now, sizeof s->before);
    if (s->turn != RING_ON)
        turn(r, s, level, r->now);
    for (size_t k = 0; k < r->points; k += RING_LANES)
        fold(&r->now[k], start, &s->factor[k]);
}

void ring_open(struct ring *r, double start, enum ring_turn how)
{
    if (r->count == r->capacity)
        grow(r);
    struct ring_slot *s = ring_slot_at(r, r->count);
    s->start = start;
    s->turn = how;
    r->zero = r->zero && start <= 0 && how != RING_LEVEL;
    memset(s->before, 0, sizeof s->before);
    for (size_t k = 0; k < SEQUENTIAL_POINTS_MAX; k++)
        s->factor[k] = 1;
    r->count++;
}

void ring_touch(struct ring *r, size_t slot)
{
    CHECK(slot <= r->count);
    if (slot >= r->dirty)
        return;
    memcpy(r->now, ring_slot_at(r, slot)->before, sizeof r->now);
    r->dirty = slot;
}

void ring_set(struct ring *r, size_t slot, const double log_ratio[static SEQUENTIAL_POINTS_MAX])
{
    CHECK(slot < r->count);
    struct ring_slot *s = ring_slot_at(r, slot);
    for (size_t k = 0; k < r->points; k++) {
        double factor = exp(log_ratio[k] < r->cap ? log_ratio[k] : r->cap);
        s->factor[k] = factor < RING_EVIDENCE_MAX ? factor : RING_EVIDENCE_MAX;
    }
    ring_touch(r, slot);
}

void ring_refold(struct ring *r)
{
    /* ring_touch took `now` back to what was before the oldest dirty slot. */
    if (r->zero)
        r->dirty = r->count;
    while (r->dirty < r->count)
        ring_step(r, 0);
}

void ring_close(struct ring *r, size_t count)
{
    CHECK(count <= r->count && r->dirty == r->count);
    if (r->capacity > 0)
        r->head = (r->head + count) & (r->capacity - 1);
    r->count -= count;
    r->dirty = r->count;
}

double ring_sum(const struct ring *r)
{
    CHECK(r->dirty == r->count);
    return sum_of(r->now, r->points);
}

double ring_sum_after(const struct ring *r, size_t slot)
{
    CHECK(slot < r->count);
    return slot + 1 == r->count ? ring_sum(r)
                                : sum_of(ring_slot_at(r, slot + 1)->before, r->points);
}

double ring_log_e(const struct ring *r)
{
    return log(ring_sum(r));
}

const double *ring_base(const struct ring *r)
{
    CHECK(r->dirty == r->count);
    return r->count > 0 ? ring_slot_at(r, 0)->before : r->now;
}

void ring_set_base(struct ring *r, const double base[static SEQUENTIAL_POINTS_MAX])
{
    CHECK(r->count == 0);
    memcpy(r->now, base, sizeof r->now);
    r->zero = !(sum_of(r->now, r->points) > 0);
}
