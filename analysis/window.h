/* analysis/window.h — the dispatch slots that may still change, oldest first.
 *
 * A slot is one slot length under one weight: a weight change closes it and opens another.
 * Increments that come late find the slot in which their request was dispatched, or the nearest one
 * that saw the same weight. Plain data, one owner.
 */
#ifndef ANALYSIS_WINDOW_H
#define ANALYSIS_WINDOW_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/observation.h"

struct window_slot {
    int64_t slot;   /* the first, when a long idle time was folded into one */
    uint32_t epoch; /* of the weight */
    uint32_t weight_bp;
    uint32_t step; /* counts step starts */
    /* For the owner, 0 at first: */
    uint32_t visit;   /* counts the fresh starts of the fast test */
    uint64_t segment; /* of the wide test that its requests belong to */
    struct slot_counts counts[VARIANT_COUNT];
};

struct window {
    struct window_slot *slots; /* circular; heap, grown as needed */
    size_t head, count, capacity;
};

void window_init(struct window *);
void window_deinit(struct window *);
/* Appends a slot without counts. */
struct window_slot *window_push(struct window *, uint32_t epoch, int64_t slot, uint32_t weight_bp,
                                uint32_t step);
void window_drop(struct window *, size_t count);                    /* the oldest */
struct window_slot *window_at(const struct window *, size_t index); /* 0 is the oldest */

/* Where the counts of (epoch, slot) belong: the newest slot of that epoch that is not later; else
 * the oldest of that epoch; else, of neighbours with another epoch, the one before; else the
 * oldest. The window must not be empty. */
size_t window_find(const struct window *, uint32_t epoch, int64_t slot);

/* Adds increments. */
void slot_counts_add(struct slot_counts *to, const struct slot_counts *more, size_t criteria);
/* The same as one value. */
struct shares {
    uint64_t sample, bad, pending;
};
struct shares shares_of(const struct slot_counts *, size_t criterion);
void shares_add(struct shares *, struct shares more);
/* Requests of which it is not known whether they will be bad for the criterion. */
uint32_t slot_counts_pending(const struct slot_counts *, size_t criterion);
/* Requests that are samples of the criterion; never fewer than are bad, even when a late increment
 * had to be counted apart from its request. */
uint64_t slot_counts_sample(const struct slot_counts *, size_t criterion);

#endif
