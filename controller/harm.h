/* controller/harm.h — what the evidence says against the canary, turned into a move.
 *
 * The order of the questions: is it condemned; is it sent back already, and what has become of it;
 * must it be sent back; must the rollout pause, or somebody be told. Part of the pure core.
 */
#ifndef CONTROLLER_HARM_H
#define CONTROLLER_HARM_H

#include <stdbool.h>

struct transition;

/* True when it has decided, or when a retreat is on and nothing else is to be asked. Also at weight
 * 0 in a pause: requests sent before it are still ending, and a condemned canary must not come back
 * with `resume`. */
bool harm_look(struct transition *);

/* Something has had nothing to go by for too long (on_no_data). True when it has decided. */
bool harm_look_for_data(struct transition *);

#endif
