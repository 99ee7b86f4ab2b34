/* controller/carried.h — which dispatch slots carried a criterion's evidence, for people.
 *
 * The tests weigh many beginnings and many sizes of harm at once, and what one slot adds to that is
 * no number of its own. What is said here is simpler, and close to it: the stretch of slots that
 * speaks loudest against the canary, and what each slot adds there to the log of how much likelier
 * its counts are at the share seen in that stretch than at the limit,
 *
 *     bad log(p1 / p0) + (requests - bad) log((1 - p1) / (1 - p0)).
 *
 * p1 is the canary's share in the stretch; p0 the limit: an absolute one as it is, a relative one
 * ratio times stable's share in the same slots plus the margin. Pure.
 */
#ifndef CONTROLLER_CARRIED_H
#define CONTROLLER_CARRIED_H

#include <stddef.h>
#include <stdint.h>

#include "analysis/analysis.h"
#include "analysis/observation.h"
#include "policies/policy.h"

enum {
    CARRIED_SLOTS_MAX = 8192,      /* of which the newest are kept */
    CARRIED_ERRORS = CRITERIA_MAX, /* in place of a criterion: errors as hard_down counts them */
};

struct carried_slot {
    uint32_t epoch;
    int64_t slot;
    int64_t requests[VARIANT_COUNT], bad[VARIANT_COUNT]; /* samples of the criterion */
    double added;                                        /* 0 outside of the stretch */
};

struct carried {
    uint32_t criterion;
    struct carried_slot *slots; /* heap; by epoch and slot */
    size_t count, capacity;
    /* after carried_weigh: the stretch slots[from..to), and p0, p1 in it */
    size_t from, to;
    double p0, p1;
};

void carried_init(struct carried *, uint32_t criterion);
void carried_deinit(struct carried *);
/* Slots without canary requests are not kept. */
void carried_add(struct carried *, const struct observation *);
/* Looks for the stretch. `report` says whether a relative limit was frozen. CARRIED_ERRORS: from
 * the first failure on that no good request came after. */
void carried_weigh(struct carried *, const struct policy *, const struct analysis_report *);

#endif
