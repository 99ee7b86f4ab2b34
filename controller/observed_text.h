/* controller/observed_text.h — what was seen of a criterion, in words: one place, so that a
 * notification, an explanation and a status line say the same.
 */
#ifndef CONTROLLER_OBSERVED_TEXT_H
#define CONTROLLER_OBSERVED_TEXT_H

#include "analysis/analysis.h"
#include "base/strbuf.h"
#include "controller/rollout.h"

/* "error_rate max 1%: 19.8% of 253 canary requests failed (50 errors; stable 0.1% of 2,301)".
 * `lately`: those that carried it, when they are not all of the step; then "45 of 45 canary
 * requests failed (8.29% of 579 in this step; stable 0% of 603)". NULL: not known. */
void observed_text(struct strbuf *, const struct policy_criterion *,
                   const struct criterion_report *, const struct retreat_seen *lately);

/* What a bad request of the criterion did: "failed", "took longer than 500ms", "were cut short".
 * NULL: the criteria of hard_down, which failed. */
void observed_verb(struct strbuf *, const struct policy_criterion *);
/* "requests", or "streams" where only those count. */
const char *observed_noun(const struct policy_criterion *);

#endif
