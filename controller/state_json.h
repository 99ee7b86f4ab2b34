/* controller/state_json.h — a rollout's state as JSON, for the process that comes next.
 *
 * Names, not numbers, so that another version of the program reads it or refuses it, but never
 * misunderstands it. What is read obeys the invariants of rollout_decide, whoever wrote it.
 */
#ifndef CONTROLLER_STATE_JSON_H
#define CONTROLLER_STATE_JSON_H

#include <jansson.h>

#include "base/error.h"
#include "controller/rollout.h"

/* New reference. `last_ns` is left out: it means nothing to another process. */
json_t *state_to_json(const struct rollout_state *);
/* 0, or -EINVAL with what is wrong; then *ret is untouched. */
int state_from_json(const json_t *, struct rollout_state *ret, struct error *reterr);

#endif
