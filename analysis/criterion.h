/* analysis/criterion.h — one criterion: its evidence against the canary, its evidence of no harm,
 * and the verdict these amount to.
 */
#ifndef ANALYSIS_CRITERION_H
#define ANALYSIS_CRITERION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/analysis.h"
#include "analysis/ring.h"
#include "analysis/sequential.h"
#include "analysis/window.h"

struct criterion {
    const struct policy_criterion *policy;
    size_t index;     /* in slot_counts */
    struct ring ring; /* one slot for each of the window */
    struct sequential_factors factors;
    uint32_t factors_bp;           /* the weight they hold for (TEST_MAX_INCREASE) */
    struct sequential_limit limit; /* TEST_MAX */
};

void criterion_init(struct criterion *, const struct policy_criterion *, size_t index,
                    const struct sequential_plan *);
void criterion_deinit(struct criterion *);
void criterion_reset(struct criterion *);
/* True when these increments change what the criterion's formulas see. */
bool criterion_concerned(const struct criterion *, const struct slot_counts more[VARIANT_COUNT]);
/* Takes the counts of a slot of the window over into the ring. */
void criterion_update(struct criterion *, size_t slot, const struct window_slot *);

/* Requests of several slots: samples of a criterion, how many of them are known to be bad, and how
 * many may still turn out so. */
struct criterion_sum {
    uint64_t sample, bad, pending;
};
void criterion_sum_add(struct criterion_sum *, const struct slot_counts *, size_t criterion);

/* The canary's requests of a step, in dispatch order, up to points at which only few of them are
 * still undecided. An undecided request counts as bad here: timeouts come late, and a record that
 * leaves them out looks better than it is. The evidence of no harm holds at all prefixes at once,
 * so the best may be taken; each level keeps the longest one with so many undecided. */
enum { PREFIX_LEVELS = 16 };
struct prefixes {
    struct criterion_sum sum; /* so far */
    struct {
        uint64_t sample, bad;
    } at[PREFIX_LEVELS];
};
void prefixes_add(struct prefixes *, const struct slot_counts *canary, size_t criterion);

/* What a report needs besides the evidence. */
struct criterion_view {
    double alpha, beta;
    size_t criteria;
    const struct prefixes *canary; /* of this step */
    const struct criterion_sum *stable;
    uint32_t weight_bp;
    bool alarm;   /* the combined evidence forbids a step up */
    bool carried; /* the combined evidence reverts and this criterion has most of it */
};
double criterion_log_e(const struct criterion *); /* floored at -1e9 */
void criterion_report(const struct criterion *, const struct criterion_view *,
                      struct criterion_report *ret);

#endif
