/* One ring for both: each event is a decision's. The event's JSON is the decision's with the event
 * number as "id" and the decision's own id as "decision".
 */
#include "controller/events.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

struct entry {
    struct controller_event event; /* owns its json */
    char decision_id[DECISION_ID_MAX];
    char *decision, *summary;
};

struct events {
    uint64_t last; /* id of the newest; entries[(id - 1) % EVENTS_MAX] */
    struct entry entries[EVENTS_MAX];
};

struct events *events_new(void)
{
    return xcalloc(1, sizeof(struct events));
}

static void clear(struct entry *e)
{
    free((void *)(uintptr_t)e->event.json);
    free(e->decision);
    free(e->summary);
    memset(e, 0, sizeof(*e));
}

void events_free(struct events *events)
{
    if (events == NULL)
        return;
    for (size_t i = 0; i < EVENTS_MAX; i++)
        clear(&events->entries[i]);
    free(events);
}

static char *event_text(const struct decision_record *r, uint64_t id)
{
    json_t *o = json_copy(r->json);

    json_object_set_new(o, "id", json_integer((json_int_t)id));
    json_object_set_new(o, "decision", json_text(r->id));
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(o);
    CHECK(text != NULL);
    return text;
}

/* In a few words, for lists and for what came before a later decision: that one must not parse the
 * evidence of twenty others while a canary waits to be taken back. */
static char *summary_text(const struct decision_record *r)
{
    static const char *const keys[] = {"time", "rollout", "type",      "cause", "reason", "phase",
                                       "step", "weight",  "criterion", "who",   "why"};
    json_t *o = json_object();

    json_object_set_new(o, "id", json_text(r->id));
    for (size_t i = 0; i < ARRAY_LEN(keys); i++)
        json_object_set(o, keys[i], json_object_get(r->json, keys[i]));
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(o);
    CHECK(text != NULL);
    return text;
}

static char *decision_text(const struct decision_record *r)
{
    json_t *o = json_copy(r->json);

    if (r->basis != NULL)
        json_object_set(o, "basis", r->basis);
    char *text = json_dumps(o, JSON_COMPACT | JSON_REAL_PRECISION(12));
    json_decref(o);
    CHECK(text != NULL);
    return text;
}

const struct controller_event *events_add(struct events *events, const struct decision_record *r,
                                          const char *rollout)
{
    uint64_t id = ++events->last;
    struct entry *e = &events->entries[(id - 1) % EVENTS_MAX];

    clear(e);
    e->event = (struct controller_event){.id = id,
                                         .wall_ns = r->wall_ns,
                                         .type = event_names[r->event],
                                         .rollout = rollout,
                                         .json = event_text(r, id)};
    snprintf(e->decision_id, sizeof(e->decision_id), "%s", r->id);
    e->decision = decision_text(r);
    e->summary = summary_text(r);
    return &e->event;
}

size_t events_after(const struct events *events, uint64_t after, struct controller_event *ret,
                    size_t max)
{
    uint64_t oldest = events->last > EVENTS_MAX ? events->last - EVENTS_MAX : 0;
    size_t n = 0;

    for (uint64_t id = (after > oldest ? after : oldest) + 1; id <= events->last && n < max; id++)
        ret[n++] = events->entries[(id - 1) % EVENTS_MAX].event;
    return n;
}

json_t *events_decision(const struct events *events, const char *id)
{
    for (size_t i = 0; i < EVENTS_MAX; i++) {
        const struct entry *e = &events->entries[i];
        if (e->decision != NULL && strcmp(e->decision_id, id) == 0)
            return json_loads(e->decision, 0, NULL);
    }
    return NULL;
}

/* --- lists ------------------------------------------------------------------------------------ */

static json_t *summary(const struct entry *e)
{
    return json_loads(e->summary, 0, NULL);
}

/* The next older one of the rollout, below *at, which goes down to it; NULL: none is kept. */
static const struct entry *older(const struct events *events, const char *rollout, uint64_t *at)
{
    uint64_t oldest = events->last > EVENTS_MAX ? events->last - EVENTS_MAX : 0;

    for (; *at > oldest; (*at)--) {
        const struct entry *e = &events->entries[(*at - 1) % EVENTS_MAX];
        if (rollout == NULL || strcmp(e->event.rollout, rollout) == 0) {
            (*at)--;
            return e;
        }
    }
    return NULL;
}

json_t *events_list(const struct events *events, const char *rollout, size_t max)
{
    json_t *list = json_array();
    uint64_t at = events->last;
    const struct entry *e;

    while (json_array_size(list) < max && (e = older(events, rollout, &at)) != NULL)
        json_array_append_new(list, summary(e));
    return list;
}

json_t *events_before(const struct events *events, const char *rollout, size_t max)
{
    json_t *list = json_array();
    uint64_t at = events->last;
    const struct entry *e;

    while (json_array_size(list) < max && (e = older(events, rollout, &at)) != NULL) {
        json_array_insert_new(list, 0, summary(e));
        if (strcmp(e->event.type, event_names[EVENT_STARTED]) == 0)
            break;
    }
    return list;
}
