/* A circular array whose size is a power of two. `now` is always the evidence before slot `dirty`,
 * so opening and changing slots is cheap and only a refold computes. That also rules out a silent
 * mistake of the linear form: a slot opened while nothing is dirty that does not know what was
 * before it, and so loses all earlier evidence at the next refold.
 */
#include "analysis/ring.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

/* Far above any threshold and far below overflow: evidence is clamped here. */
#define RING_EVIDENCE_MAX 1e250

void ring_init(struct ring *r, size_t points, double cap)
{
    CHECK(points <= SEQUENTIAL_POINTS_MAX);
    *r = (struct ring){.points = points, .cap = cap};
}

void ring_deinit(struct ring *r)
{
    free(r->slots);
    *r = (struct ring){0};
}

void ring_reset(struct ring *r)
{
    r->head = r->count = r->dirty = 0;
    memset(r->now, 0, sizeof r->now);
}

static struct ring_slot *slot_at(const struct ring *r, size_t slot)
{
    return &r->slots[(r->head + slot) & (r->capacity - 1)];
}

static void grow(struct ring *r)
{
    size_t capacity = r->capacity == 0 ? 8 : 2 * r->capacity;
    struct ring_slot *slots = xmalloc(capacity * sizeof slots[0]);
    for (size_t i = 0; i < r->count; i++)
        slots[i] = *slot_at(r, i);
    free(r->slots);
    r->slots = slots;
    r->capacity = capacity;
    r->head = 0;
}

/* One slot forward: stores what was before it, and steps over it. */
static void step(struct ring *r, struct ring_slot *s, double evidence[])
{
    double start = s->start / (double)r->points;
    for (size_t k = 0; k < r->points; k++) {
        s->before[k] = evidence[k];
        double after = (evidence[k] + start) * s->factor[k];
        evidence[k] = after < RING_EVIDENCE_MAX ? after : RING_EVIDENCE_MAX;
    }
}

void ring_open(struct ring *r, double start)
{
    if (r->count == r->capacity)
        grow(r);
    struct ring_slot *s = slot_at(r, r->count);
    s->start = start;
    for (size_t k = 0; k < r->points; k++)
        s->factor[k] = 1;
    r->count++;
}

void ring_set(struct ring *r, size_t slot, const double log_ratio[static SEQUENTIAL_POINTS_MAX])
{
    CHECK(slot < r->count);
    struct ring_slot *s = slot_at(r, slot);
    for (size_t k = 0; k < r->points; k++)
        s->factor[k] = fmin(exp(fmin(r->cap, log_ratio[k])), RING_EVIDENCE_MAX);
    if (slot < r->dirty) {
        memcpy(r->now, s->before, sizeof r->now);
        r->dirty = slot;
    }
}

void ring_refold(struct ring *r)
{
    /* ring_set took `now` back to what was before the oldest dirty slot. */
    for (; r->dirty < r->count; r->dirty++)
        step(r, slot_at(r, r->dirty), r->now);
}

void ring_close(struct ring *r, size_t count)
{
    CHECK(count <= r->count);
    ring_refold(r);
    if (r->capacity > 0)
        r->head = (r->head + count) & (r->capacity - 1);
    r->count -= count;
    r->dirty = r->count;
}

double ring_log_e(const struct ring *r)
{
    double sum = 0;
    CHECK(r->dirty == r->count);
    for (size_t k = 0; k < r->points; k++)
        sum += r->now[k];
    return log(sum);
}
