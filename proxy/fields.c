/* Cuts streams into their events and gives each to the JSON machine. Only lines of data matter
 * here: whether the stream is any good is for observe.c to say.
 */
#include "proxy/fields.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "proxy/observe_kind.h"
#include "proxy/observe_scan.h"

enum { VALUES_MAX = FIELDS_SLOTS_MAX };

enum form { FORM_TEXT, FORM_EVENTS, FORM_LINES };

enum line {
    LINE_START,
    LINE_NAME, /* within "data:" */
    LINE_DATA,
    LINE_SKIP,
};

static const char data_name[] = "data:";

struct fields {
    const struct fields_plan *plan;
    uint32_t slots;  /* those that are looked for */
    uint8_t form;    /* enum form */
    uint8_t line;    /* enum line */
    uint8_t matched; /* of data_name */
    bool in_event;   /* the event has data */
    bool after_cr;   /* an LF would belong to the line end before it */
    struct fields_json json;
    struct field_value values[VALUES_MAX];
    struct fields_level levels[]; /* and the key behind them */
};

/* Without its parameters. */
static struct str media_type(const struct head *response)
{
    const struct head_field *field = head_get(response, FIELD_CONTENT_TYPE);
    struct str type = {NULL, 0};

    if (field == NULL)
        return type;
    struct str rest = field->value;
    str_split(&rest, ';', &type);
    return str_trim(type);
}

static bool is_json_type(struct str type)
{
    const size_t suffix = sizeof("+json") - 1;

    return str_ieq(type, STR("application/json")) ||
           (type.len > suffix &&
            str_ieq((struct str){type.ptr + type.len - suffix, suffix}, STR("+json")));
}

static bool find_form(const struct head *response, enum form *ret)
{
    bool unseen;

    switch (observe_kind(response, &unseen)) {
    case STREAM_EVENTS:
        *ret = FORM_EVENTS;
        return !unseen;
    case STREAM_LINES:
        *ret = FORM_LINES;
        return !unseen;
    case STREAM_NONE:
        break;
    }
    *ret = FORM_TEXT;
    return response->status / 100 == 2 && response->framing != FRAMING_NONE &&
           is_json_type(media_type(response)) && !observe_is_encoded(response);
}

static uint32_t slots_of(const struct fields_plan *plan, uint32_t criteria)
{
    uint32_t slots = 0;

    for (uint32_t c = criteria & plan->criteria & ~plan->sizes; c != 0; c &= c - 1)
        slots |= UINT32_C(1) << plan->slot_of[__builtin_ctz(c)];
    return slots;
}

struct fields *fields_new(const struct fields_plan *plan, uint32_t criteria,
                          const struct head *response)
{
    uint32_t slots = slots_of(plan, criteria);
    enum form form;

    if (slots == 0 || !find_form(response, &form))
        return NULL;
    size_t levels = plan->depth * sizeof(struct fields_level);
    struct fields *f = xcalloc(1, sizeof(*f) + levels + plan->key_max + 1);
    f->plan = plan;
    f->slots = slots;
    f->form = (uint8_t)form;
    f->json.plan = plan;
    f->json.levels = f->levels;
    f->json.key = (char *)f->levels + levels;
    f->json.values = f->values;
    fields_json_start(&f->json, slots);
    return f;
}

void fields_free(struct fields *f)
{
    free(f);
}

static void event_end(struct fields *f)
{
    if (f->in_event)
        fields_json_end(&f->json);
    f->in_event = false;
}

/* More of the event's data. Its lines are joined by LF. */
static void data_start(struct fields *f)
{
    f->line = LINE_DATA;
    if (f->in_event)
        fields_json_bytes(&f->json, "\n", &"\n"[1]);
    else
        fields_json_start(&f->json, f->slots);
    f->in_event = true;
}

static void line_end(struct fields *f)
{
    if (f->form == FORM_LINES || f->line == LINE_START)
        event_end(f);
    f->line = LINE_START;
    f->matched = 0;
}

/* Within a line that is not over: at least one byte. */
static const char *line_bytes(struct fields *f, const char *p, const char *end)
{
    const char *stop;

    switch ((enum line)f->line) {
    case LINE_START:
        if (f->form == FORM_LINES)
            data_start(f);
        else
            f->line = LINE_NAME;
        return p;
    case LINE_NAME:
        if (*p != data_name[f->matched]) {
            /* A byte order mark may stand before the first line. */
            f->line = f->matched == 0 && (unsigned char)*p > 0x7f ? LINE_NAME : LINE_SKIP;
        } else if (++f->matched == sizeof(data_name) - 1) {
            data_start(f);
        }
        return p + 1;
    case LINE_DATA:
        stop = observe_line_end(p, end);
        fields_json_bytes(&f->json, p, stop);
        return stop;
    case LINE_SKIP:
        return observe_line_end(p, end);
    }
    return end;
}

static void stream_bytes(struct fields *f, const char *p, const char *end)
{
    while (p < end) {
        if (*p == '\n' && f->after_cr) {
            f->after_cr = false;
            p++;
        } else if (*p == '\n' || *p == '\r') {
            f->after_cr = *p == '\r';
            line_end(f);
            p++;
        } else {
            f->after_cr = false;
            p = line_bytes(f, p, end);
        }
    }
}

void fields_bytes(struct fields *f, struct str run)
{
    if (f->form == FORM_TEXT)
        fields_json_bytes(&f->json, run.ptr, run.ptr + run.len);
    else
        stream_bytes(f, run.ptr, run.ptr + run.len);
}

void fields_end(struct fields *f)
{
    if (f->form == FORM_TEXT || f->in_event)
        fields_json_end(&f->json);
}

struct field_value fields_value(const struct fields *f, size_t criterion)
{
    uint32_t bit = UINT32_C(1) << criterion;
    const struct field_value missing = {.kind = FIELD_MISSING};

    if ((f->plan->criteria & ~f->plan->sizes & bit) == 0)
        return missing;
    return f->values[f->plan->slot_of[criterion]];
}

int64_t fields_tokens(const struct fields *f)
{
    const double max = 9e15; /* beyond it doubles are not all integers */

    if (f->plan->usage == 0)
        return -1;
    struct field_value v = f->values[__builtin_ctz(f->plan->usage_slot)];
    if (v.kind != FIELD_NUMBER || !(v.number >= 0 && v.number <= max))
        return -1;
    return (int64_t)v.number;
}
