/* analysis/analysis_state.h — struct analysis itself, for the files that make it up. Nobody else
 * includes it. */
#ifndef ANALYSIS_ANALYSIS_STATE_H
#define ANALYSIS_ANALYSIS_STATE_H

#include "analysis/analysis.h"
#include "analysis/criterion.h"
#include "analysis/hard_down.h"
#include "analysis/placebo.h"
#include "analysis/visit.h"
#include "analysis/wide.h"
#include "analysis/window.h"

struct analysis_cache {
    bool valid;
    struct analysis_report report;
};

struct analysis {
    const struct policy *policy;
    struct sequential_plan plan; /* its share is not used */
    size_t open_max;
    size_t count;
    struct criterion *criteria; /* heap */
    bool values;                /* some are shifts, or follow a window's rule */
    uint32_t down_limits;       /* hard_down_limits */
    bool lesser;                /* some may pause or report, or come to */
    struct window window;       /* the fast slots: each criterion's fast ring has one for each */
    struct wide wide;
    struct placebo placebo;

    bool started;         /* a weight is known */
    uint32_t first_epoch; /* outcomes of an older one are another canary's */
    uint32_t epoch, weight_bp, step, visit_count;
    bool baking;
    struct sequential_starts given, lesser_given; /* lesser: to what may not roll back */

    uint64_t step_requests; /* of the canary, dispatched in this step */
    int64_t in_flight;      /* of the canary */
    struct run closed_run;
    bool run_tripped; /* by a run that was closed since */
    struct visit visit;
    int64_t first_bad_slot;
    struct analysis_cache *cache; /* heap: the last report, while nothing has changed */
};

/* Opens the slots up to that one. True when there were any. */
bool analysis_advance(struct analysis *, int64_t slot);
/* Opens a slot that stands for `length` slots, the earlier ones of them empty; 0: it is a part of
 * the one before. */
void analysis_open_slot(struct analysis *, int64_t slot, uint64_t length, bool step_start,
                        enum evidence_turn);
/* Brings all tests up to date with the counts. */
void analysis_refold(struct analysis *);
/* Closes what has settled, the oldest first; after a refold. */
void analysis_close_finished(struct analysis *, int64_t now_slot);
/* Puts the counts of all slots into rings that do not know them. */
void analysis_refill(struct analysis *);

/* Slots before the end of which a probe does not clear. */
static inline int64_t analysis_patience(const struct analysis *a)
{
    return (int64_t)a->policy->analysis.min_bad_slots + 2;
}

/* The fast test over the criteria whose failure does `on_fail`: log of the weighted mean, and which
 * has most of it. LOG_E_NONE: there are none. */
double analysis_combined(const struct analysis *, enum on_fail, bool wide, uint32_t *ret_worst);
/* The report as it is kept; until something changes. */
const struct analysis_report *analysis_look(const struct analysis *);
/* Latches what has failed for good; after every observation. */
void analysis_latch(struct analysis *);

#endif
