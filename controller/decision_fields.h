/* controller/decision_fields.h — the fields of a state and of a decision, by name, in a table.
 *
 * One table serves for all that must miss no field: the sum over a decision that a journal keeps of
 * each look, the text of a decision that a replay compares, and states in a journal. Values are
 * exact: a number read back has the same bits.
 */
#ifndef CONTROLLER_DECISION_FIELDS_H
#define CONTROLLER_DECISION_FIELDS_H

#include <jansson.h>

#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "controller/rollout.h"

/* Of the fields' names and kinds: sums of programs that differ in it cannot be compared. */
uint32_t decision_fields_version(void);

/* Over every field of the decision, its report and its result; not over padding and what the arrays
 * hold beyond their counts. */
uint32_t decision_sum(const struct rollout_decision *);

/* One JSON object: {"event", "cause", "after", "before", "criterion", "failed", "actions",
 * "report", "criteria"}. The same decision gives the same text, another one another. */
void decision_add_text(const struct rollout_decision *, struct strbuf *);

/* A state with all that it has, as JSON, and back. -EINVAL: a field is missing, of another kind or
 * out of its range, or no state has such values together; *ret is untouched. */
void state_add_text(const struct rollout_state *, struct strbuf *);
int state_from_text(struct str text, struct rollout_state *ret, struct error *reterr);

/* The first place where two texts of decision_add_text differ, depth first:
 * "report.criteria[0].bad" with both values, "" when one has none. False: they are the same. */
enum { DIFFERENCE_VALUE_MAX = 160, DIFFERENCE_PATH_MAX = 96 };
struct decision_difference {
    char path[DIFFERENCE_PATH_MAX];
    char recorded[DIFFERENCE_VALUE_MAX], now[DIFFERENCE_VALUE_MAX];
};
bool decision_text_difference(struct str recorded, struct str now, struct decision_difference *ret);

#endif
