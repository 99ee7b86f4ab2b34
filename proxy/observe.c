/* Lines become events (WHATWG HTML, 9.2.6, or one JSON text per line), and those go to the judge.
 * Most events are like one before (proxy/observe_shape.h), and are not even cut into lines.
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
#include "proxy/observe_kind.h"
#include "proxy/observe_scan.h"
#include "proxy/observe_shape.h"

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
    uint8_t line;                  /* enum line */
    bool after_cr;                 /* an LF would belong to the line end before it */
    uint8_t data;                  /* enum data */
    bool has_data;                 /* the event has a data field, maybe an empty one */
    uint8_t done_len;              /* of done_text, matched */
    uint8_t text_len;              /* of the field or event name in json.text, which is free then */
    uint16_t name;                 /* words of the event's name */
    uint8_t shape;                 /* of the last event */
    struct observe_shapes *shapes; /* NULL: not looked for */
    struct observe_json json;
};

/* The bytes at hand. */
struct look {
    const char *at, *end;
    const char *from; /* where the event under way begins; NULL: not in these bytes */
    struct observe_holes holes;
};

_Static_assert(sizeof(struct observe) <= OBSERVE_BYTES_MAX, "a stream's state is small");

static void event_start(struct observe *o)
{
    o->data = DATA_NONE;
    o->has_data = false;
    o->name = 0;
}

static bool is_json(const struct observe *o)
{
    return o->data == DATA_JSON && observe_json_whole(&o->json);
}

/* The event is complete: 1 if it has a piece of content. Without data it is none, as in browsers.
 */
static unsigned event_end(struct observe *o, const struct look *look)
{
    struct observe_event ev = {.some = o->data != DATA_NONE};
    bool json = is_json(o);

    if (!o->has_data) {
        event_start(o);
        return 0;
    }
    ev.done = o->data == DATA_DONE && o->done_len == sizeof(done_text) - 1;
    ev.name = o->name;
    if (json) {
        ev.words = o->json.words | ev.name;
        ev.named = o->json.named;
        ev.present = o->json.present;
        ev.filled = o->json.filled;
        ev.choices = o->json.choices;
        ev.finished = o->json.finished;
    }
    /* Not of a stream that failed: it may be by a line of this event which is no part of `ev`. */
    if (json && !o->judge.failed && o->shapes != NULL && look->from != NULL && *look->at == '\n')
        observe_shape_learn(o->shapes, o->judge.lines, look->from, look->at + 1, &look->holes, &ev);
    event_start(o);
    return observe_judge_event(&o->judge, &ev) ? 1 : 0;
}

/* Where an event that is like one before ends, if one begins here. */
static const char *known_event(struct observe *o, struct look *look, unsigned *pieces)
{
    const char *stop;

    if (o->shapes == NULL || o->line != LINE_START || o->data != DATA_NONE || o->has_data ||
        o->name != 0)
        return NULL;
    const struct observe_shape *s =
        observe_shape_find(o->shapes, &o->shape, o->judge.lines, look->at, look->end, &stop);
    if (s == NULL) {
        look->from = look->at;
        look->holes.count = 0;
        return NULL;
    }
    *pieces += observe_judge_event(&o->judge, &s->proves) ? 1 : 0;
    return stop;
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
static const char *data_bytes(struct observe *o, struct look *look)
{
    const char *p = look->at, *end = look->end;

    while (p < end && *p != '\n' && *p != '\r') {
        switch ((enum data)o->data) {
        case DATA_NONE:
            p = data_kind(o, p);
            break;
        case DATA_JSON:
            p = observe_json_bytes(&o->json, p, end, &look->holes);
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
    if (o->has_data && o->data == DATA_DONE && o->done_len < sizeof(done_text) - 1)
        o->data = DATA_OTHER;
    o->has_data = true;
}

/* More of a field's name or an event's; more than there is room for is neither. */
static void keep(struct observe *o, size_t max, const char *p, size_t n)
{
    if (o->text_len > max || n > max - o->text_len) {
        o->text_len = (uint8_t)(max + 1);
        return;
    }
    memcpy(o->json.text + o->text_len, p, n);
    o->text_len = (uint8_t)(o->text_len + n);
}

static const char *field_bytes(struct observe *o, const char *p, const char *end)
{
    const char *from = p;

    while (p < end && *p != ':' && *p != '\n' && *p != '\r' && p - from <= FIELD_MAX)
        p++;
    keep(o, FIELD_MAX, from, (size_t)(p - from));
    if (o->text_len > FIELD_MAX) {
        o->line = LINE_SKIP;
    } else if (p < end && *p == ':') {
        o->line = LINE_SPACE;
        p++;
    }
    return p;
}

/* After the colon, and after the space if one followed it. */
static void value_start(struct observe *o)
{
    struct str field = {o->json.text, o->text_len};

    o->line = LINE_SKIP;
    if (str_eq(field, STR("data"))) {
        o->line = LINE_DATA;
        data_line(o);
    } else if (str_eq(field, STR("event"))) {
        o->line = LINE_NAME;
        o->name = 0;
        o->text_len = 0;
    } else if (str_eq(field, STR("error"))) {
        o->line = LINE_ERROR; /* llama.cpp reports errors in a field of its own */
    }
}

static const char *name_bytes(struct observe *o, const char *p, const char *end)
{
    const char *stop = observe_line_end(p, end);

    keep(o, OBSERVE_WORD_MAX, p, (size_t)(stop - p));
    return stop;
}

static void name_ended(struct observe *o)
{
    if (o->text_len <= OBSERVE_WORD_MAX)
        o->name = (uint16_t)observe_word_event((struct str){o->json.text, o->text_len});
}

/* The line is over. A field without a colon has the empty value: `data` alone is data. */
static unsigned line_end(struct observe *o, const struct look *look)
{
    unsigned pieces = 0;

    if (o->line == LINE_DATA && o->data == DATA_JSON)
        observe_json_newline(&o->json);
    if (o->line == LINE_START) {
        if (!o->judge.lines)
            pieces = event_end(o, look);
    } else if (o->line == LINE_FIELD || o->line == LINE_SPACE) {
        value_start(o);
    }
    if (o->line == LINE_NAME)
        name_ended(o);
    if (o->judge.lines && o->data != DATA_NONE)
        pieces = event_end(o, look);
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
        o->text_len = 0;
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

static const char *line_bytes(struct observe *o, struct look *look)
{
    const char *p = look->at, *end = look->end;

    switch ((enum line)o->line) {
    case LINE_MARK_1:
    case LINE_MARK_2:
    case LINE_MARK_3:
        return mark(o, p);
    case LINE_START:
        if (!o->judge.lines && end - p > 5 && memcmp(p, "data:", 5) == 0) {
            o->line = LINE_DATA; /* as most lines are, whole in these bytes */
            data_line(o);
            return p[5] == ' ' ? p + 6 : p + 5;
        }
        line_start(o, *p);
        return p;
    case LINE_FIELD:
        return field_bytes(o, p, end);
    case LINE_SPACE:
        value_start(o);
        return *p == ' ' ? p + 1 : p;
    case LINE_DATA:
        return data_bytes(o, look);
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
    struct look look;
    unsigned pieces = 0;

    look.at = run.ptr;
    look.end = run.ptr + run.len;
    look.from = NULL;
    look.holes.count = 0;
    while (look.at < look.end && !o->judge.ended) {
        const char *known;
        char c = *look.at;
        if (c == '\n' && o->after_cr) {
            o->after_cr = false;
            look.at++;
        } else if ((c == '\n' || c == '\r') && o->line >= LINE_START) {
            o->after_cr = c == '\r';
            pieces += line_end(o, &look);
            look.at++;
        } else {
            o->after_cr = false;
            known = known_event(o, &look, &pieces);
            look.at = known != NULL ? known : line_bytes(o, &look);
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
    struct look none;

    none.from = NULL;
    if (!last.judge.ended && is_event_whole(&last)) {
        line_end(&last, &none);
        if (!last.judge.ended)
            event_end(&last, &none);
    }
    return observe_judge_end(&last.judge, whole);
}

struct observe_shapes *observe_shapes_new(void)
{
    return xcalloc(1, sizeof(struct observe_shapes));
}

void observe_shapes_free(struct observe_shapes *shapes)
{
    free(shapes);
}

struct observe *observe_new(enum stream_protocol protocol, const struct head *response,
                            struct observe_shapes *shapes, bool *ret_unseen)
{
    enum stream_kind kind = observe_kind(response, ret_unseen);

    if (kind == STREAM_NONE || *ret_unseen)
        return NULL;
    struct observe *o = xcalloc(1, sizeof(*o));
    observe_judge_init(&o->judge, protocol, kind == STREAM_LINES);
    o->line = LINE_MARK_1;
    o->shapes = protocol == PROTOCOL_PLAIN ? NULL : shapes; /* there JSON is text like any other */
    return o;
}

void observe_free(struct observe *o)
{
    free(o);
}
