/* admin/event_streams.h — GET /v1/events: what happens, as server-sent events, from where a client
 * left off. Control thread only.
 */
#ifndef ADMIN_EVENT_STREAMS_H
#define ADMIN_EVENT_STREAMS_H

#include "admin/ports.h"
#include "net/serve.h"

enum { EVENT_SUBSCRIBERS_MAX = 64 }; /* 503 beyond */

struct event_streams;

struct event_streams *event_streams_new(const struct admin_ports *);
/* Ends every stream. */
void event_streams_free(struct event_streams *);

/* Answers the request with a stream that stays open. `Last-Event-ID` or ?after=N: events with a
 * larger id, as far as they are kept; without either: those from now on. ?rollout=NAME narrows;
 * the caller has checked that there is such a rollout. */
void event_streams_subscribe(struct event_streams *, struct serve_request *);
/* Sends what is new to every subscriber. Call after each tick and each command. */
void event_streams_pump(struct event_streams *);
/* A comment on every stream, so that middle boxes and dead peers are noticed. */
void event_streams_keep_alive(struct event_streams *);

#endif
