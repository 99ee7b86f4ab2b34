/* analysis/criterion.h — one criterion: its evidence against the canary, its evidence of no harm,
 * and the verdict these amount to.
 */
#ifndef ANALYSIS_CRITERION_H
#define ANALYSIS_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/analysis.h"
#include "analysis/evidence.h"
#include "analysis/step_record.h"
#include "analysis/window_method.h"

struct criterion {
    const struct policy_criterion *policy;
    size_t index;    /* in slot_counts */
    bool sequential; /* it has evidence: neither a shift nor a window method's rule */
    bool compares;   /* by the policy both variants have traffic at some time */
    bool is_wide;    /* and a wide test beside it: it may roll back, and is asked again */
    struct evidence fast, wide;
    struct sequential_limit limit; /* TEST_MAX */
    double threshold;              /* log(1 / (v alpha)) */
    double frozen_p0;              /* 0: not frozen */
    bool failed;                   /* for good */
    struct shares since;           /* the canary's requests since the fast evidence was below 1, in
                                      slots that were closed for good */
    struct step_record record;
    struct shift *shift;          /* TEST_SHIFT; heap */
    struct window_method *method; /* METHOD_WINDOW; heap */
};

void criterion_init(struct criterion *, const struct policy *, size_t index,
                    const struct sequential_plan *fast, const struct sequential_plan *wide);
void criterion_deinit(struct criterion *);
void criterion_reset(struct criterion *);
/* Stable's traffic ends: what it did so far, and the margin, is the limit from here on. What it did
 * beside the canary, or, where the policy begins with everything on the canary, before that. */
void criterion_freeze(struct criterion *, double alpha);
void criterion_set_frozen(struct criterion *, double p0);

/* What a failure does; `frozen`: of the part that is judged by the frozen limit. */
enum on_fail criterion_on_fail(const struct criterion *, bool frozen);
/* Each part of its evidence that counts by itself: log E of it, and what its crossing does. Mostly
 * one; two when its frozen limit does something else. Returns how many. */
struct criterion_part {
    double log_e;
    enum on_fail on_fail;
};
size_t criterion_parts(const struct criterion *, const struct evidence *, bool full,
                       struct criterion_part ret[static 2]);

/* Where log z of a probe comes from: the share of bad requests that is all right. */
double criterion_all_right(const struct criterion *);
/* Of the open slots on top of criterion.since: the newest run of slots after which the fast
 * evidence was not below 1. */
void criterion_since(const struct criterion *, const struct window *, struct shares *ret);
/* The oldest slot is about to be closed for good. */
void criterion_close(struct criterion *, const struct window_slot *, bool this_step);

/* What a report needs besides. */
struct criterion_view {
    double alpha, beta;
    const struct prefixes *canary;     /* of this step; TEST_MAX */
    uint64_t step_requests, in_flight; /* of the canary: in this step; now */
    uint32_t weight_bp;
    bool alarm;   /* the combined evidence forbids a step up */
    bool carried; /* the combined evidence crossed and this criterion has most of it */
};
void criterion_report(const struct criterion *, const struct criterion_view *,
                      struct criterion_report *ret);

#endif
