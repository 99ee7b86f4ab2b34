/* The event streams. Subscribers hold only the id of the last event they were sent: the controller
 * keeps the events, so that a slow reader costs the bounded queue of its connection and no more.
 * Ids start again at 1 when the process does: a client that returns with an id that was never given
 * is sent everything. */
#include "admin/event_streams.h"

#include <inttypes.h>
#include <stdlib.h>

#include "admin/reply.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/list.h"
#include "base/strbuf.h"

enum {
    BATCH = 32,
    RETRY_MS = 2000, /* how soon a browser's EventSource comes back */
    FRAME_BYTES_MAX = 1024 * 1024,
};

struct subscriber {
    struct list node;
    struct event_streams *events;
    struct serve_request *request;
    uint64_t after;
    char rollout[ROLLOUT_NAME_MAX + 1]; /* "": every one */
};

struct event_streams {
    const struct admin_ports *ports;
    struct list subscribers;
    size_t count;
    uint64_t newest;
};

static size_t fetch(const struct event_streams *e, uint64_t after, struct controller_event *ret,
                    size_t max)
{
    return e->ports->events(e->ports->ctx, after, ret, max);
}

/* Moves `newest` up to the last event there is. */
static void find_newest(struct event_streams *e)
{
    struct controller_event batch[BATCH];
    size_t n;

    while ((n = fetch(e, e->newest, batch, BATCH)) > 0)
        e->newest = batch[n - 1].id;
}

struct event_streams *event_streams_new(const struct admin_ports *ports)
{
    struct event_streams *e = xcalloc(1, sizeof(*e));

    e->ports = ports;
    list_init(&e->subscribers);
    return e;
}

static void remove_subscriber(struct subscriber *s)
{
    list_remove(&s->node);
    s->events->count--;
    free(s);
}

void event_streams_free(struct event_streams *e)
{
    if (e == NULL)
        return;
    while (!list_empty(&e->subscribers)) {
        struct subscriber *s = CONTAINER_OF(e->subscribers.next, struct subscriber, node);
        struct serve_request *request = s->request;
        remove_subscriber(s);
        serve_on_gone(request, NULL, NULL);
        serve_stream_end(request);
    }
    free(e);
}

static void on_gone(struct serve_request *request, void *arg)
{
    (void)request;
    remove_subscriber(arg);
}

/* `data:` lines may not hold a line end; the events' JSON has none, but a frame must never be
 * split by one. */
static void add_frame(struct strbuf *b, const struct controller_event *event)
{
    strbuf_addf(b, "id: %" PRIu64 "\nevent: %s\ndata: ", event->id, event->type);
    for (const char *p = event->json; *p != '\0'; p++)
        strbuf_add_char(b, *p == '\n' || *p == '\r' ? ' ' : *p);
    strbuf_add(b, STR("\n\n"));
}

/* False when the subscriber is gone. */
static bool send_text(struct subscriber *s, const struct strbuf *b)
{
    return b->len == 0 || serve_stream_send(s->request, strbuf_str(b));
}

static void deliver(struct subscriber *s)
{
    struct controller_event batch[BATCH];
    bool alive = true;
    size_t n;

    while (alive && (n = fetch(s->events, s->after, batch, BATCH)) > 0) {
        struct strbuf frames;
        strbuf_init(&frames, FRAME_BYTES_MAX);
        if (s->after != 0 && batch[0].id > s->after + 1)
            strbuf_addf(&frames,
                        "event: events.lost\ndata: {\"after\":%" PRIu64 ",\"next\":%" PRIu64
                        "}\n\n",
                        s->after, batch[0].id);
        for (size_t i = 0; i < n; i++)
            if (s->rollout[0] == '\0' || strcmp(s->rollout, batch[i].rollout) == 0)
                add_frame(&frames, &batch[i]);
        s->after = batch[n - 1].id;
        alive = send_text(s, &frames);
        strbuf_deinit(&frames);
    }
}

/* The id to go on from: the client's, or the newest. False: it is not a number. */
static bool resume_from(struct event_streams *e, struct serve_request *r, uint64_t *ret)
{
    struct str text = serve_header(r, STR("last-event-id"));
    struct controller_event one;

    if (text.ptr == NULL && !serve_query_get(r, STR("after"), &text)) {
        *ret = e->newest;
        return true;
    }
    if (!str_to_u64(text, ret))
        return false;
    if (*ret > 0 && fetch(e, *ret - 1, &one, 1) == 0)
        *ret = 0;
    return true;
}

void event_streams_subscribe(struct event_streams *e, struct serve_request *r)
{
    struct str rollout = {NULL, 0};
    struct strbuf hello;
    uint64_t after;

    if (e->count == EVENT_SUBSCRIBERS_MAX) {
        reply_problem(r, 503, "too-many-streams", "Too many event streams",
                      "%d streams are open, which is the most there may be.",
                      EVENT_SUBSCRIBERS_MAX);
        return;
    }
    find_newest(e);
    if (!resume_from(e, r, &after)) {
        reply_problem(r, 400, "event-id", "Bad event id",
                      "Last-Event-ID and ?after= take the id of an event, a whole number.");
        return;
    }
    struct subscriber *s = xcalloc(1, sizeof(*s));
    s->events = e;
    s->request = r;
    s->after = after;
    if (serve_query_get(r, STR("rollout"), &rollout))
        str_copy(s->rollout, sizeof(s->rollout), rollout);
    list_push(&e->subscribers, &s->node);
    e->count++;
    serve_on_gone(r, on_gone, s);
    reply_headers(r);
    serve_stream_start(r, 200, STR("text/event-stream"));
    strbuf_init(&hello, 64);
    strbuf_addf(&hello, "retry: %d\n\n", RETRY_MS);
    if (send_text(s, &hello))
        deliver(s);
    strbuf_deinit(&hello);
}

void event_streams_pump(struct event_streams *e)
{
    uint64_t before = e->newest;

    if (e->count == 0)
        return;
    find_newest(e);
    if (e->newest == before)
        return;
    for (struct list *l = e->subscribers.next, *next; l != &e->subscribers; l = next) {
        next = l->next;
        deliver(CONTAINER_OF(l, struct subscriber, node));
    }
}

void event_streams_keep_alive(struct event_streams *e)
{
    for (struct list *l = e->subscribers.next, *next; l != &e->subscribers; l = next) {
        next = l->next;
        struct subscriber *s = CONTAINER_OF(l, struct subscriber, node);
        serve_stream_send(s->request, STR(": alive\n\n"));
    }
}
