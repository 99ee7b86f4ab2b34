/* analysis/observation.h — what was seen since the last look, as a value that can be saved and
 * replayed: increments of the counters of dispatch slots.
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
    uint32_t errors;                 /* settled as an error (outcome_is_error), whether or not a
                                        criterion asks for it: hard_down counts these */
    uint32_t excused;                /* settled, but neither good nor bad: the client went away, or
                                        the attempt is charged to nobody */
    uint32_t bad[CRITERIA_MAX];      /* known bad, possibly while still in flight */
    uint32_t excluded[CRITERIA_MAX]; /* not a sample of this criterion: excused; fast errors
                                        for latency. Never also in bad */
    int32_t overdue[CRITERIA_MAX];   /* in flight and in bad already: the one counter that falls
                                        again, when such a request ends. What may still turn out
                                        bad is dispatched - settled - overdue[c] */
};

struct slot_delta {
    uint32_t epoch; /* of the weight the request was routed with */
    int64_t slot;   /* floor(dispatch time / slot length), monotonic clock */
    struct slot_counts variants[VARIANT_COUNT]; /* increments */
};

struct observation {
    struct slot_delta *deltas; /* heap, grown as needed, kept between looks; at most one entry per
                                  (epoch, slot), in rising order */
    size_t count, capacity;
};

void observation_init(struct observation *);
void observation_deinit(struct observation *);
void observation_clear(struct observation *);
/* The entry of (epoch, slot), added zeroed when it is new; borrowed until the next call. */
struct slot_delta *observation_at(struct observation *, uint32_t epoch, int64_t slot);

#endif
