/* controller/retreat.h — a canary that was sent back is asked again.
 *
 * Failures come in bursts, and inside a burst a good canary looks like a bad one. What tells them
 * apart is time, and at weight 0 time costs nobody anything: so a crossing takes the canary to 0 at
 * once, and condemns it only when it fails again on visits after each pause of `confirm`. A visit
 * that finds it well ends the retreat. Part of the pure core.
 */
#ifndef CONTROLLER_RETREAT_H
#define CONTROLLER_RETREAT_H

#include "controller/rollout.h"

struct transition;

/* The pause after the canary has failed on `visit` visits (from 1): the policy's, or longer where
 * stable itself has bursts: 3 times the longest seen for the first pause, 6 times for the second,
 * but not for their sake more than an hour (what lasts so long is no burst). */
int64_t retreat_pause_ns(const struct policy *, uint32_t visit, int64_t longest_burst_ns);

/* Whether its time passes: not while the rollout is paused, in which nothing goes up by itself. */
bool retreat_runs(const struct rollout_state *);

/* What the present visit has seen of what `criterion` counts (CRITERIA_MAX: errors in a row). */
struct retreat_seen retreat_saw(const struct rollout_state *, const struct analysis_report *,
                                uint32_t criterion);

/* The report says that the canary must not have traffic now: sends it back, or condemns it after
 * the last visit, or pauses it when that happens too often. */
void retreat_send_back(struct transition *);
/* A look at a retreat that is on. True when it has decided. */
bool retreat_look(struct transition *);

#endif
