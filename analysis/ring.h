/* analysis/ring.h — one e-process over the dispatch slots that may still change.
 *
 * Late outcomes change slots of the past, and every later slot builds on them. The ring keeps, for
 * each open slot, what it multiplies the evidence by and what the evidence was before it; an
 * evaluation goes forward from the oldest slot that changed. In the linear domain:
 *
 *     R[k] = (R[k] + start / K) * exp(min(cap, log_ratio[k])),   E = sum R[k]
 *
 * The result depends on the slots' last values alone, bit for bit, not on the order in which they
 * became known. Slots are numbered from the oldest open one, 0. One owner.
 */
#ifndef ANALYSIS_RING_H
#define ANALYSIS_RING_H

#include <stdbool.h>
#include <stddef.h>

#include "analysis/sequential.h"

/* What a slot does to the evidence before it, ahead of its start weight. */
enum ring_turn {
    RING_ON,    /* nothing */
    RING_FRESH, /* 0: a test begins afresh */
    RING_LOWER, /* scaled down to the level that the caller says, if above it */
    RING_LEVEL, /* that level, evenly over the grid, whatever was before */
};

struct ring_slot {
    double start;
    enum ring_turn turn;
    double factor[SEQUENTIAL_POINTS_MAX];
    double before[SEQUENTIAL_POINTS_MAX]; /* R, neither turn nor start weight in it */
};

struct ring {
    size_t points;
    double cap;                        /* log-evidence per slot */
    double now[SEQUENTIAL_POINTS_MAX]; /* R before slot `dirty` */
    struct ring_slot *slots;           /* circular; heap, grown as needed */
    size_t head, count, capacity;
    bool zero;    /* no start weight so far: all evidence is 0, and there is nothing to fold */
    size_t dirty; /* the oldest slot that changed since the last refold; count: none */
};

void ring_init(struct ring *, size_t points, double cap); /* E = 0 */
void ring_deinit(struct ring *);
void ring_reset(struct ring *); /* E = 0, no slots; keeps the memory */

/* Opens a slot without requests. */
void ring_open(struct ring *, double start, enum ring_turn);
/* What is now known of a slot replaces what was. */
void ring_set(struct ring *, size_t slot, const double log_ratio[static SEQUENTIAL_POINTS_MAX]);
/* As if the slot had changed. */
void ring_touch(struct ring *, size_t slot);
/* Steps over the oldest dirty slot. `level` is for RING_LOWER and RING_LEVEL. */
void ring_step(struct ring *, double level);
/* Brings `now` up to date, in a ring whose slots know RING_ON and RING_FRESH only. */
void ring_refold(struct ring *);
/* Forgets the `count` oldest slots for good: their evidence stays as it is. Nothing is dirty. */
void ring_close(struct ring *, size_t count);
/* Of a ring with nothing dirty: E, E as it was after a slot, and log E (-INFINITY for 0). */
double ring_sum(const struct ring *);
double ring_sum_after(const struct ring *, size_t slot);
double ring_log_e(const struct ring *);

/* For saving: the evidence before the oldest open slot, from which the rest follows. */
const double *ring_base(const struct ring *);
struct ring_slot *ring_slot_at(const struct ring *, size_t slot);
/* Into a ring without slots. */
void ring_set_base(struct ring *, const double base[static SEQUENTIAL_POINTS_MAX]);

#endif
