/* analysis/step_record.h — what a criterion has seen: of this step, for the evidence of no harm and
 * for people; of the rollout, for what is compared with stable.
 *
 * Kept as slots are revised: what changes is the difference of a slot's counts before and after.
 */
#ifndef ANALYSIS_STEP_RECORD_H
#define ANALYSIS_STEP_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/sequential.h"
#include "analysis/window.h"

/* The canary's requests of a step, in dispatch order, up to points at which only few of them are
 * still undecided. An undecided request counts as bad here: timeouts come late, and a record that
 * leaves them out looks better than it is. The evidence of no harm holds at all prefixes at once,
 * so the best may be taken; each level keeps the longest one with so many undecided. */
enum { PREFIX_LEVELS = 16 };
struct prefixes {
    struct shares sum; /* so far */
    struct {
        uint64_t sample, bad;
    } at[PREFIX_LEVELS];
};
void prefixes_add(struct prefixes *, struct shares);
/* The best evidence that the share is below the limit; 0 while no prefix is below it at all. */
double prefixes_no_harm(const struct prefixes *, const struct sequential_limit *);

struct step_record {
    struct shares step[VARIANT_COUNT];    /* of this step; stable's while the canary has traffic */
    struct prefixes closed;               /* of this step, in slots that were closed for good */
    struct shares rollout[VARIANT_COUNT]; /* while both had traffic */
    struct shares before; /* stable's at weight 0 before the rollout began; the next one keeps it */
};
/* The next step. */
void step_record_begin(struct step_record *);
/* Counts of a slot changed. */
void step_record_move(struct step_record *, const struct window_slot *, bool this_step,
                      const struct shares before[VARIANT_COUNT],
                      const struct shares now[VARIANT_COUNT]);

#endif
