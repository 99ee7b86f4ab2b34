/* controller/basis.h — what a decision rested on beyond the evidence itself, gathered when it is
 * taken, for `sluice explain`. One JSON object, the "basis" of a decision:
 *
 *   "slots"     which dispatch slots carried it (controller/carried.h), null where it was not the
 *               canary's doing:
 *       "criterion"  name; null: errors without a break (hard_down)
 *       "limit", "share"   p0 and p1
 *       "seconds"    length of a slot
 *       "from", "to"  time of the stretch
 *       "requests", "bad", "stable_requests", "stable_bad", "added"   of the whole stretch
 *       "list"       those with bad requests that added most, at most 20, in order of time:
 *                    {"time", "requests", "bad", "stable_requests", "stable_bad", "added"}
 *       "others"     how many more slots the stretch has
 *   "kinds"     {"step", "since_failure"}: outcomes of the canary's requests by kind, those above
 * 0; since_failure null: none failed. "first_failure": when the first one of this step did
 *   "examples"  up to three bad requests of the canary: {"id", "time", "kind", "in_flight",
 *               "latency_ms", "endpoint", "criteria"}
 *   "points"    weight and traffic over time: {"time", "seconds", "weight", "stable": {"requests",
 *               "errors"}, "canary": {...}}
 *   "before"    earlier decisions about this canary, oldest first, at most 20: {"id", "time",
 * "type", "cause", "reason", "weight"} "visits"    of a retreat: {"requests", "bad"} of each time
 * it was asked "serving"   {"version", "weight"}: what got most of the traffic after it, and its
 * share "override"  {"command", "does"}: the one command that undoes it, or null
 */
#ifndef CONTROLLER_BASIS_H
#define CONTROLLER_BASIS_H

#include <jansson.h>

#include "controller/decision.h"
#include "controller/events.h"
#include "controller/history.h"

enum { BASIS_SLOTS_MAX = 20, BASIS_EXAMPLES_MAX = 3, BASIS_BEFORE_MAX = 20 };

/* All borrowed. */
struct basis_source {
    const struct decision_facts *facts;
    const struct history *history;
    const struct observation *observation; /* of the look that decides: not in the history yet */
    const struct events *events;
    const struct controller_ports *ports;
    uint32_t rollout;
    const uint64_t *outcomes; /* of the canary in this step, by kind */
};

json_t *basis_json(const struct basis_source *); /* new reference */

#endif
