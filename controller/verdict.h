/* controller/verdict.h — may another tool go on? One word, with reasons.
 *
 * {"rollout", "verdict": "pass|fail|undecided|no_data", "phase", "reasons": [...]}
 */
#ifndef CONTROLLER_VERDICT_H
#define CONTROLLER_VERDICT_H

#include <jansson.h>

#include <stdbool.h>

#include "controller/engine.h"

/* New reference. `decision` is the last one, or NULL. *ret_ok: the verdict is "pass". */
json_t *verdict_json(const struct engine *, const json_t *decision, bool *ret_ok);

#endif
