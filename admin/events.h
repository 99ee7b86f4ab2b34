/* admin/events.h — GET /v1/events: what happens, as server-sent events, from where a client left
 * off. Control thread only.
 */
#ifndef ADMIN_EVENTS_H
#define ADMIN_EVENTS_H

#include "admin/ports.h"
#include "net/serve.h"

enum { EVENT_SUBSCRIBERS_MAX = 64 }; /* 503 beyond */

struct events;

struct events *events_new(const struct admin_ports *);
/* Ends every stream. */
void events_free(struct events *);

/* Answers the request with a stream that stays open. `Last-Event-ID` or ?after=N: events with a
 * larger id, as far as they are kept; without either: those from now on. ?rollout=NAME narrows. */
void events_subscribe(struct events *, struct serve_request *);
/* Sends what is new to every subscriber. Call after each tick and each command. */
void events_pump(struct events *);
/* A comment on every stream, so that middle boxes and dead peers are noticed. */
void events_keep_alive(struct events *);

#endif
