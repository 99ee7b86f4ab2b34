/* Lines become events (WHATWG HTML, 9.2.6, or one JSON text per line), and those go to the judge.
 *
 * Nothing is kept of an event but what it proves, so a megabyte of base64 costs no more memory than
 * a ping. An event counts when its empty line has come; the last one also when the stream ends
 * without it, as clients that read line by line take it then.
 */
#include "proxy/observe.h"

#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "proxy/observe_json.h"
#include "proxy/observe_judge.h"

enum line {
    LINE_MARK_1, /* a byte order mark may come */
    LINE_MARK_2,
    LINE_MARK_3,
    LINE_START,
    LINE_FIELD,
    LINE_SPACE, /* after the colon */
    LINE_DATA,
    LINE_NAME,
    LINE_ERROR,
    LINE_SKIP,
};

enum data { DATA_NONE, DATA_JSON, DATA_DONE, DATA_OTHER };

enum { FIELD_MAX = 5 };

static const char done_text[] = "[DONE]";

struct observe {
    struct observe_judge judge;
    uint8_t line;     /* enum line */
    bool after_cr;    /* an LF would belong to the line end before it */
    uint8_t data;     /* enum data */
    bool has_data;    /* the event has a data field, maybe an empty one */
    uint8_t done_len; /* of done_text, matched */
    uint8_t field_len, name_len;
    char field[FIELD_MAX];
    char name[OBSERVE_WORD_MAX];
    struct observe_json json;
};

_Static_assert(sizeof(struct observe) <= OBSERVE_BYTES_MAX, "a stream's state is small");

static void event_start(struct observe *o)
{
    o->data = DATA_NONE;
    o->has_data = false;
    o->name_len = 0;
}

/* The event is complete: 1 if it has a piece of content. Without data it is none, as in browsers.
 */
static unsigned event_end(struct observe *o)
{
    struct observe_event ev = {.some = o->data != DATA_NONE};

    if (!o->has_data) {
        event_start(o);
        return 0;
    }
    ev.done = o->data == DATA_DONE && o->done_len == sizeof(done_text) - 1;
    if (o->name_len <= sizeof(o->name))
        ev.name = observe_word_event((struct str){o->name, o->name_len});
    if (o->data == DATA_JSON && observe_json_whole(&o->json)) {
        ev.words = o->json.words | ev.name;
        ev.named = o->json.named;
        ev.present = o->json.present;
        ev.filled = o->json.filled;
        ev.choices = o->json.choices;
        ev.finished = o->json.finished;
    }
    event_start(o);
    return observe_judge_event(&o->judge, &ev) ? 1 : 0;
}

static const char *done_bytes(struct observe *o, const char *p, const char *end)
{
    for (; p < end && *p != '\n' && *p != '\r'; p++) {
        if (o->done_len < sizeof(done_text) - 1 && *p == done_text[o->done_len])
            o->done_len++;
        else if (o->done_len < sizeof(done_text) - 1 || (*p != ' ' && *p != '\t'))
            o->data = DATA_OTHER;
        if (o->data == DATA_OTHER)
            return p;
    }
    return p;
}

/* The first byte that is no space says what the data is. */
static const char *data_kind(struct observe *o, const char *p)
{
    if (*p == ' ' || *p == '\t')
        return p + 1;
    if (*p == '{' && o->judge.protocol != PROTOCOL_PLAIN) {
        o->data = DATA_JSON;
        observe_json_start(&o->json);
        return p;
    }
    o->data = *p == '[' ? DATA_DONE : DATA_OTHER;
    o->done_len = 0;
    return p;
}

/* Up to the end of the line, or of the bytes. */
static const char *data_bytes(struct observe *o, const char *p, const char *end)
{
    while (p < end && *p != '\n' && *p != '\r') {
        switch ((enum data)o->data) {
        case DATA_NONE:
            p = data_kind(o, p);
            break;
        case DATA_JSON:
            p = observe_json_bytes(&o->json, p, end);
            break;
        case DATA_DONE:
            p = done_bytes(o, p, end);
            break;
        case DATA_OTHER:
            p = observe_line_end(p, end);
            break;
        }
    }
    return p;
}

static void data_line(struct observe *o)
{
    if (o->has_data && o->data == DATA_JSON)
        observe_json_newline(&o->json);
    else if (o->has_data && o->data == DATA_DONE && o->done_len < sizeof(done_text) - 1)
        o->data = DATA_OTHER;
    o->has_data = true;
}

static const char *field_bytes(struct observe *o, const char *p, const char *end)
{
    for (; p < end && *p != ':' && *p != '\n' && *p != '\r'; p++) {
        if (o->field_len < FIELD_MAX)
            o->field[o->field_len] = *p;
        o->field_len = o->field_len > FIELD_MAX ? o->field_len : (uint8_t)(o->field_len + 1);
        if (o->field_len > FIELD_MAX) {
            o->line = LINE_SKIP;
            return p;
        }
    }
    if (p < end && *p == ':') {
        o->line = LINE_SPACE;
        return p + 1;
    }
    return p;
}

/* After the colon, and after the space if one followed it. */
static void value_start(struct observe *o)
{
    struct str field = {o->field, o->field_len};

    o->line = LINE_SKIP;
    if (str_eq(field, STR("data"))) {
        o->line = LINE_DATA;
        data_line(o);
    } else if (str_eq(field, STR("event"))) {
        o->line = LINE_NAME;
        o->name_len = 0;
    } else if (str_eq(field, STR("error"))) {
        o->line = LINE_ERROR; /* llama.cpp reports errors in a field of its own */
    }
}

static const char *name_bytes(struct observe *o, const char *p, const char *end)
{
    const char *stop = observe_line_end(p, end);
    size_t n = (size_t)(stop - p);

    if (o->name_len > sizeof(o->name) || n > sizeof(o->name) - o->name_len) {
        o->name_len = sizeof(o->name) + 1;
    } else {
        memcpy(o->name + o->name_len, p, n);
        o->name_len = (uint8_t)(o->name_len + n);
    }
    return stop;
}

/* The line is over. A field without a colon has the empty value: `data` alone is data. */
static unsigned line_end(struct observe *o)
{
    unsigned pieces = 0;

    if (o->line == LINE_START) {
        if (!o->judge.lines)
            pieces = event_end(o);
    } else if (o->line == LINE_FIELD || o->line == LINE_SPACE) {
        value_start(o);
    }
    if (o->judge.lines && o->data != DATA_NONE)
        pieces = event_end(o);
    o->line = LINE_START;
    return pieces;
}

/* What a line is, by its first byte. */
static void line_start(struct observe *o, char c)
{
    if (o->judge.lines) {
        o->line = LINE_DATA;
        o->has_data = true;
    } else {
        o->line = c == ':' ? LINE_SKIP : LINE_FIELD;
        o->field_len = 0;
    }
}

/* A byte order mark before the first line is not part of it. */
static const char *mark(struct observe *o, const char *p)
{
    static const char bytes[] = "\xEF\xBB\xBF";
    unsigned at = (unsigned)(o->line - LINE_MARK_1);

    if (*p == bytes[at]) {
        o->line++; /* the last one is followed by LINE_START */
        return p + 1;
    }
    o->line = LINE_START;
    if (at > 0) { /* a line that starts with one of these bytes means nothing */
        line_start(o, *bytes);
        if (o->judge.lines)
            o->data = DATA_OTHER;
        else
            o->line = LINE_SKIP;
    }
    return p;
}

static const char *line_bytes(struct observe *o, const char *p, const char *end)
{
    switch ((enum line)o->line) {
    case LINE_MARK_1:
    case LINE_MARK_2:
    case LINE_MARK_3:
        return mark(o, p);
    case LINE_START:
        line_start(o, *p);
        return p;
    case LINE_FIELD:
        return field_bytes(o, p, end);
    case LINE_SPACE:
        value_start(o);
        return *p == ' ' ? p + 1 : p;
    case LINE_DATA:
        return data_bytes(o, p, end);
    case LINE_NAME:
        return name_bytes(o, p, end);
    case LINE_ERROR:
        if (*p == ' ' || *p == '\t')
            return p + 1;
        o->line = LINE_SKIP;
        o->judge.failed = o->judge.protocol != PROTOCOL_PLAIN;
        return p;
    case LINE_SKIP:
        return observe_line_end(p, end);
    }
    return end;
}

unsigned observe_bytes(struct observe *o, struct str run)
{
    const char *p = run.ptr, *end = run.ptr + run.len;
    unsigned pieces = 0;

    while (p < end && !o->judge.ended) {
        if (*p == '\n' && o->after_cr) {
            o->after_cr = false;
            p++;
        } else if ((*p == '\n' || *p == '\r') && o->line >= LINE_START) {
            o->after_cr = *p == '\r';
            pieces += line_end(o);
            p++;
        } else {
            o->after_cr = false;
            p = line_bytes(o, p, end);
        }
    }
    return pieces;
}

/* The stream ended within an event: it counts if nothing is missing but its empty line. */
static bool is_event_whole(const struct observe *o)
{
    return o->data != DATA_JSON || observe_json_whole(&o->json);
}

enum outcome_kind observe_end(const struct observe *o, bool whole)
{
    struct observe last = *o;

    if (!last.judge.ended && is_event_whole(&last)) {
        line_end(&last);
        if (!last.judge.ended)
            event_end(&last);
    }
    return observe_judge_end(&last.judge, whole);
}

enum stream_kind { STREAM_NONE, STREAM_EVENTS, STREAM_LINES };

static enum stream_kind stream_kind(const struct head *response)
{
    static const char *const line_types[] = {
        "application/x-ndjson",    "application/ndjson",    "application/jsonl",
        "application/x-jsonl",     "application/jsonlines", "application/x-jsonlines",
        "application/stream+json",
    };
    const struct head_field *field = head_get(response, FIELD_CONTENT_TYPE);
    struct str type;

    if (field == NULL || response->status / 100 != 2 || response->framing == FRAMING_NONE)
        return STREAM_NONE;
    struct str rest = field->value;
    str_split(&rest, ';', &type);
    type = str_trim(type);
    if (str_ieq(type, STR("text/event-stream")))
        return STREAM_EVENTS;
    for (size_t i = 0; i < ARRAY_LEN(line_types); i++) {
        if (str_ieq(type, str_from(line_types[i])))
            return STREAM_LINES;
    }
    return STREAM_NONE;
}

static bool is_encoded(const struct head *response)
{
    for (size_t i = 0; i < response->count; i++) {
        const struct head_field *f = &response->fields[i];
        if (str_ieq(f->name, STR("content-encoding")) && f->value.len > 0 &&
            !str_ieq(f->value, STR("identity")))
            return true;
    }
    return false;
}

struct observe *observe_new(enum stream_protocol protocol, const struct head *response,
                            bool *ret_unseen)
{
    enum stream_kind kind = stream_kind(response);

    *ret_unseen = kind != STREAM_NONE && is_encoded(response);
    if (kind == STREAM_NONE || *ret_unseen)
        return NULL;
    struct observe *o = xcalloc(1, sizeof(*o));
    observe_judge_init(&o->judge, protocol, kind == STREAM_LINES);
    o->line = LINE_MARK_1;
    return o;
}

void observe_free(struct observe *o)
{
    free(o);
}
