/* analysis/wide.h — the slots of the wide test: as long as the first pause of `confirm`, cut on the
 * wall clock from the first canary request on, whatever is asked again in between.
 *
 * A wide slot is made of *segments*, one for each weight that was served in it, since a comparison
 * with stable depends on the weight. They hold sums of the fast slots' counts, kept as those are
 * revised, so that what comes of them depends on the last counts alone. Entering or leaving 100 %
 * begins a slot early: no slot has stable for a part of its time only. One owner.
 */
#ifndef ANALYSIS_WIDE_H
#define ANALYSIS_WIDE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/evidence.h"
#include "analysis/process.h"
#include "analysis/sequential.h"
#include "analysis/window.h"

enum { WIDE_MIN_BAD_SLOTS = 4, WIDE_SEGMENTS_MAX = 16 /* in one slot; more begin another */ };

struct wide_segment {
    uint64_t slot;  /* ordinal of its wide slot */
    uint32_t dirty; /* bits of criteria whose tallies changed since wide_tallies */
    struct tally tallies[CRITERIA_MAX];
};

struct wide {
    int64_t length;              /* of a slot, in slots of burst_guard.slot; 0: there is no test */
    uint64_t pause;              /* that a pause may take of the start weights, in wide slots */
    struct sequential_plan plan; /* its share is not used */
    struct sequential_starts given;
    bool started, step_start;   /* step_start: its start weight is due to the next slot */
    int64_t origin, index;      /* fast slot of the start; of the newest wide slot, on the wall */
    uint64_t first_slot, slots; /* ordinal of the oldest open one, how many are */
    uint64_t first_segment;     /* ordinal, from 1 */
    struct wide_segment *segments; /* circular; heap, grown as needed */
    size_t head, count, capacity;
};

void wide_init(struct wide *, const struct policy *, const struct sequential_plan *fast);
void wide_deinit(struct wide *);
void wide_reset(struct wide *);

struct wide_opened {
    uint64_t segment; /* where the fast slot belongs; 0: nowhere, it has no canary */
    bool slot;        /* a wide slot was opened, with these */
    double start;
    enum evidence_turn turn;
};
/* A fast slot opens, which stands for the last `length` of them. */
struct wide_opened wide_open(struct wide *, int64_t slot, uint64_t length, uint32_t weight_bp,
                             bool baking);
/* The counts of a criterion in a fast slot of that segment were `before` and are `now`. */
void wide_move(struct wide *, uint64_t segment, size_t criterion,
               const struct shares before[VARIANT_COUNT], const struct shares now[VARIANT_COUNT]);

/* Of the open slots from `*slot` on, the next that has changed since: its index (0 is the oldest),
 * and which criteria in it. False: there is none. */
bool wide_changed(struct wide *, size_t *slot, uint32_t *ret_criteria);
/* The tallies of a slot, by weight; returns how many. */
size_t wide_tallies(const struct wide *, size_t slot, size_t criterion,
                    struct tally ret[static WIDE_SEGMENTS_MAX]);

/* The oldest fast slot still open belongs to `segment`: forgets the wide slots before, and returns
 * how many. */
size_t wide_release(struct wide *, uint64_t segment);

struct wide_segment *wide_segment_at(const struct wide *, size_t index);
/* In the newest slot. */
struct wide_segment *wide_segment_push(struct wide *, uint32_t weight_bp);

#endif
