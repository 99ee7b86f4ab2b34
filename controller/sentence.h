/* controller/sentence.h — pieces of decision sentences that sentence.c and sentence_cause.c share.
 */
#ifndef CONTROLLER_SENTENCE_H
#define CONTROLLER_SENTENCE_H

#include "base/strbuf.h"
#include "base/units.h"
#include "controller/decision.h"

/* "25%" */
const char *sentence_percent(uint32_t weight_bp, char to[static UNITS_TEXT_MAX]);
/* Tenths of a second below a minute, whole seconds above. */
const char *sentence_duration(int64_t ns, char to[static UNITS_TEXT_MAX]);
/* "1 canary request", "2,301 canary requests" */
void sentence_requests(struct strbuf *, uint64_t n);
/* "step 2 of 4 (25%)", "the bake (100%)" */
void sentence_step(struct strbuf *, const struct policy *, const struct rollout_state *);

/* Why it was decided: the evidence, or who asked for it. */
void sentence_cause(struct strbuf *, const struct decision_facts *);
/* Each of `failed`, bits of decision.failed, with its evidence. */
void sentence_failures(struct strbuf *, const struct decision_facts *, uint32_t failed);

#endif
