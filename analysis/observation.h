/* analysis/observation.h — what was seen since the last look, as a value that can be saved and
 * replayed: increments of the counters of dispatch slots, and of the buckets that values fell into.
 */
#ifndef ANALYSIS_OBSERVATION_H
#define ANALYSIS_OBSERVATION_H

#include <stddef.h>
#include <stdint.h>

#include "policies/policy.h"

/* Of the requests dispatched in one slot to one variant. Per criterion c the formulas use
 * n = dispatched - excluded[c] and s = bad[c]; a request in flight is a provisional ok. */
struct slot_counts {
    uint32_t dispatched;
    uint32_t settled;                /* ended, one way or another; <= dispatched */
    uint32_t errors;                 /* settled as an error (the policy's error_kinds), whether or
                                        not a criterion asks for it: hard_down counts these */
    uint32_t excused;                /* settled, but neither good nor bad: the client went away, or
                                        the attempt is charged to nobody */
    uint32_t bad[CRITERIA_MAX];      /* known bad, possibly while still in flight */
    uint32_t excluded[CRITERIA_MAX]; /* not a sample of this criterion: excused; fast errors for
                                        latency; not asked about (where), at a new endpoint, or
                                        without a limit to hold it against: these possibly while
                                        still in flight. Never also in bad */
    int32_t overdue[CRITERIA_MAX];   /* in flight and in bad already: the one counter that falls
                                        again, when such a request ends. What may still turn out
                                        bad: slot_counts_pending (analysis/window.h). Against a
                                        limit near stable's median this says little: half of what
                                        is well is over it for a while. Hence hard_down_limits */
};

struct slot_delta {
    uint32_t epoch; /* of the weight the request was routed with */
    int64_t slot;   /* floor(dispatch time / slot length), monotonic clock */
    struct slot_counts variants[VARIANT_COUNT]; /* increments */
};

enum {
    SHIFT_BUCKETS = 32,
    SHIFT_REST = SHIFT_BUCKETS - 1, /* none of the others: a category that is not among the most
                                       seen, or an answer without a value */
    SHIFT_EDGES_MAX = 9,            /* between ten deciles of numbers */
};

/* Of the answers to requests that were routed with one epoch's weight, what a criterion that
 * compares distributions saw (analysis/shift.h). */
struct shift_delta {
    uint32_t epoch, criterion;
    uint32_t looked[VARIANT_COUNT]; /* answers looked at, all of them */
    uint32_t found[VARIANT_COUNT];  /* of those, answers that had a value */
    /* Evidence: of those, what came since the buckets stand. Numbers: bucket i is above edge i - 1
     * and not above edge i. */
    uint32_t counts[VARIANT_COUNT][SHIFT_BUCKETS];
    /* Not increments: given in an epoch's first delta with counts, else 0. */
    uint32_t buckets_id; /* of one set of buckets: counts of another cannot be added to it */
    uint32_t edge_count; /* numbers: the edges between them, rising */
    double edges[SHIFT_EDGES_MAX];
};

struct observation {
    struct slot_delta *deltas; /* heap, grown as needed, kept between looks; at most one entry per
                                  (epoch, slot), in rising order */
    size_t count, capacity;
    struct shift_delta *shifts; /* the same, per (epoch, criterion) */
    size_t shift_count, shift_capacity;
};

void observation_init(struct observation *);
void observation_deinit(struct observation *);
void observation_clear(struct observation *);
/* The entry of (epoch, slot), added zeroed when it is new; borrowed until the next call. */
struct slot_delta *observation_at(struct observation *, uint32_t epoch, int64_t slot);
struct shift_delta *observation_shift_at(struct observation *, uint32_t epoch, uint32_t criterion);

#endif
