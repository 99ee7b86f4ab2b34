/* analysis/bounds.h — what the counts in a report allow the true shares to be.
 *
 * For people: looking for an end of an interval costs more than all else of a look, so that it is
 * done when somebody asks. What decides asks only on which side of an interval a limit lies. Pure.
 */
#ifndef ANALYSIS_BOUNDS_H
#define ANALYSIS_BOUNDS_H

#include "analysis/analysis.h"
#include "policies/policy.h"

/* The share of bad requests lies in there at all times at once, but for probability 2 beta. */
struct bounds {
    double lower, upper; /* 0 and 1 without requests */
};
struct bounds bounds_of(const struct policy *, const struct analysis_report *, size_t criterion,
                        enum variant);
/* If none of the next is bad: requests until no harm is shown; 0: it is. TEST_MAX only. */
uint64_t bounds_requests_more(const struct policy *, const struct analysis_report *,
                              size_t criterion);

/* Whether the whole interval of the canary's share lies beyond the criterion's limit: above p0 (or
 * the frozen limit), or above anything that stable's interval allows. */
bool bounds_are_beyond(const struct policy_criterion *, double beta,
                       const struct criterion_report *);
/* Whether it lies above anything that stable's share of the same step may be; without stable: true.
 */
bool bounds_are_above_stable(const struct policy_criterion *, double beta,
                             const struct criterion_report *);

#endif
