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

#include <stddef.h>

#include "analysis/sequential.h"

struct ring_slot {
    double start;
    double factor[SEQUENTIAL_POINTS_MAX];
    double before[SEQUENTIAL_POINTS_MAX]; /* R, this slot's start weight not in it */
};

struct ring {
    size_t points;
    double cap;                        /* log-evidence per slot */
    double now[SEQUENTIAL_POINTS_MAX]; /* R before slot `dirty` */
    struct ring_slot *slots;           /* circular; heap, grown as needed */
    size_t head, count, capacity;
    size_t dirty; /* the oldest slot that changed since the last refold; count: none */
};

void ring_init(struct ring *, size_t points, double cap); /* E = 0 */
void ring_deinit(struct ring *);
void ring_reset(struct ring *); /* E = 0, no slots; keeps the memory */

/* Opens a slot without requests. */
void ring_open(struct ring *, double start);
/* What is now known of a slot replaces what was. */
void ring_set(struct ring *, size_t slot, const double log_ratio[static SEQUENTIAL_POINTS_MAX]);
/* Brings `now` up to date. */
void ring_refold(struct ring *);
/* Forgets the `count` oldest slots for good: their evidence stays as it is. */
void ring_close(struct ring *, size_t count);
/* log E of a ring with nothing dirty. -INFINITY before the first start weight. */
double ring_log_e(const struct ring *);

#endif
