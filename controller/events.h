/* controller/events.h — the last decisions and events of this process, in rings.
 *
 * Control thread only. Kept as JSON text: a decision with its evidence is a few kilobytes then, and
 * is read far less often than it is kept.
 */
#ifndef CONTROLLER_EVENTS_H
#define CONTROLLER_EVENTS_H

#include <jansson.h>

#include "controller/controller.h"
#include "controller/decision.h"

enum { EVENTS_MAX = 1000 };

struct events;

struct events *events_new(void);
void events_free(struct events *);

/* Keeps a decision and its event; the oldest goes. `rollout` outlives the ring. Returns the event,
 * borrowed until EVENTS_MAX later ones. */
const struct controller_event *events_add(struct events *, const struct decision_record *,
                                          const char *rollout);
/* As controller_events(). */
size_t events_after(const struct events *, uint64_t after, struct controller_event *ret,
                    size_t max);
/* New reference, or NULL. */
json_t *events_decision(const struct events *, const char *id);
/* Decisions in a few words each, newest first, at most `max`; `rollout` NULL: of all. {"id",
 * "time", "rollout", "type", "cause", "reason", "phase", "step", "weight", "criterion", "who",
 * "why"}. New reference. */
json_t *events_list(const struct events *, const char *rollout, size_t max);
/* The same, oldest first, since the rollout's canary got its first traffic. */
json_t *events_before(const struct events *, const char *rollout, size_t max);

#endif
