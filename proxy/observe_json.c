/* A pushdown machine: one bit per level says object or array, and the levels near the root also say
 * which place they are. It takes bytes at any cut; members that lie whole in what came, as nearly
 * all do, go a short way of their own (members), with the same result. Long strings cost least:
 * they are passed sixteen bytes at a time.
 */
#include "proxy/observe_json.h"

#include "proxy/observe_scan.h"

enum json_at {
    AT_FIRST_KEY,
    AT_KEY,
    AT_COLON,
    AT_FIRST_VALUE,
    AT_VALUE,
    AT_NEXT, /* a comma or the end of what is open */
    AT_END,
    IN_KEY,
    IN_STRING,
    IN_SCALAR,
    AT_FAULT,
};

void observe_json_start(struct observe_json *j)
{
    /* What stands in text, places and objects beyond their lengths is never read. */
    j->named = j->present = j->filled = j->choices = j->finished = 0;
    j->words = 0;
    j->at = AT_VALUE;
    j->place = PLACE_ROOT;
    j->depth = 0;
}

bool observe_json_whole(const struct observe_json *j)
{
    return j->at == AT_END;
}

static enum place container(const struct observe_json *j)
{
    unsigned level = j->depth - 1u;

    return level < OBSERVE_JSON_PLACES_MAX ? (enum place)j->places[level] : PLACE_NONE;
}

static bool in_object(const struct observe_json *j)
{
    unsigned level = j->depth - 1u;

    return (j->objects[level / 8] >> (level % 8) & 1) != 0;
}

static void push(struct observe_json *j, bool object)
{
    if (j->depth == OBSERVE_JSON_DEPTH_MAX) {
        j->at = AT_FAULT;
        return;
    }
    uint8_t bit = (uint8_t)(1u << (j->depth % 8));
    if (object)
        j->objects[j->depth / 8] |= bit;
    else
        j->objects[j->depth / 8] &= (uint8_t)~bit;
    if (j->depth < OBSERVE_JSON_PLACES_MAX)
        j->places[j->depth] = j->place;
    j->depth++;
    j->present |= PLACE_BIT(j->place);
    j->at = object ? AT_FIRST_KEY : AT_FIRST_VALUE;
    if (j->place == PLACE_CHOICE) {
        j->choice = 0;
        j->choice_finished = false;
    }
}

static void value_ended(struct observe_json *j)
{
    j->at = j->depth == 0 ? AT_END : AT_NEXT;
}

static void pop(struct observe_json *j)
{
    if (container(j) == PLACE_CHOICE) {
        j->choices |= UINT64_C(1) << j->choice;
        if (j->choice_finished)
            j->finished |= UINT64_C(1) << j->choice;
    }
    j->depth--;
    value_ended(j);
}

static void string_start(struct observe_json *j, enum json_at at)
{
    j->at = (uint8_t)at;
    j->escaped = j->some = j->odd = false;
    j->text_len = 0;
}

/* Too much for a word makes it none. */
static void keep(struct observe_json *j, const char *p, size_t n)
{
    if (n > sizeof(j->text) - j->text_len) {
        j->odd = true;
        return;
    }
    memcpy(j->text + j->text_len, p, n);
    j->text_len = (uint8_t)(j->text_len + n);
}

static void key_ended(struct observe_json *j, struct str key)
{
    j->place = (uint8_t)(j->odd ? (container(j) == PLACE_ROOT ? PLACE_OTHER : PLACE_NONE)
                                : observe_word_key(container(j), key));
    j->named |= PLACE_BIT(j->place);
    j->at = AT_COLON;
}

/* The value at `place` is a string; `word` is its text, or empty if it cannot be a word. */
static inline void is_string(struct observe_json *j, enum place place, bool some, struct str word)
{
    j->present |= PLACE_BIT(place);
    if (!some)
        return;
    j->filled |= PLACE_BIT(place);
    if (place == PLACE_CHOICE_FINISH)
        j->choice_finished = true;
    if (observe_word_wanted(place) && word.len > 0)
        j->words |= (uint16_t)observe_word_value(place, word);
}

static void string_ended(struct observe_json *j, struct str text)
{
    is_string(j, (enum place)j->place, j->some, j->odd ? STR("") : text);
    value_ended(j);
}

static const char *string_bytes(struct observe_json *j, const char *p, const char *end)
{
    bool key = j->at == IN_KEY;
    bool wanted = key ? container(j) != PLACE_NONE : observe_word_wanted((enum place)j->place);

    while (p < end) {
        if (j->escaped) {
            if ((uint8_t)*p < ' ') {
                j->at = AT_FAULT;
                return p;
            }
            j->escaped = false;
            p++;
            continue;
        }
        const char *stop = observe_text_end(p, end);
        size_t n = (size_t)(stop - p);
        j->some = j->some || n > 0;
        if (stop < end && *stop == '"') {
            struct str text = {p, n}; /* most often it lies whole in this run */
            if (wanted && !j->odd && j->text_len > 0) {
                keep(j, p, n);
                text = (struct str){j->text, j->text_len};
            }
            if (key)
                key_ended(j, text);
            else
                string_ended(j, text);
            return stop + 1;
        }
        if (wanted && !j->odd)
            keep(j, p, n);
        if (stop == end)
            return end;
        if (*stop != '\\') {
            j->at = AT_FAULT;
            return stop;
        }
        j->some = j->odd = true;
        p = stop + 1;
        if (p < end && (uint8_t)*p >= ' ')
            p++;
        else
            j->escaped = true; /* what is escaped comes with the next run, or is a control byte */
    }
    return p;
}

/* Choices over 63 share a bit: requests for that many are not made. */
static void choice_index(struct observe_json *j, struct str text)
{
    uint64_t index;

    if (str_to_u64(text, &index))
        j->choice = (uint8_t)(index < 63 ? index : 63);
}

/* The value at `place` is a number or a literal. What is too long for either of ours is a number.
 */
static inline void is_scalar_value(struct observe_json *j, enum place place, struct str text)
{
    if (place == PLACE_NONE || str_eq(text, STR("null")))
        return;
    j->present |= PLACE_BIT(place);
    if (str_eq(text, STR("true")))
        j->filled |= PLACE_BIT(place);
    if (place == PLACE_CHOICE_INDEX)
        choice_index(j, text);
}

static void scalar_ended(struct observe_json *j)
{
    is_scalar_value(j, (enum place)j->place, j->odd ? STR("") : (struct str){j->text, j->text_len});
    value_ended(j);
}

static const char *scalar_bytes(struct observe_json *j, const char *p, const char *end)
{
    const char *stop = observe_scalar_end(p, end);

    if (j->place != PLACE_NONE && !j->odd)
        keep(j, p, (size_t)(stop - p));
    if (stop < end)
        scalar_ended(j);
    return stop;
}

static void value(struct observe_json *j, char c)
{
    if (c == '{') {
        push(j, true);
    } else if (j->depth == 0) {
        j->at = AT_FAULT; /* events are objects */
    } else if (c == '[') {
        push(j, false);
    } else if (c == '"') {
        string_start(j, IN_STRING);
    } else if (observe_is_scalar(c)) {
        string_start(j, IN_SCALAR);
        keep(j, &c, 1);
    } else {
        j->at = AT_FAULT;
    }
}

static void element(struct observe_json *j, char c)
{
    j->place = container(j) == PLACE_CHOICES ? PLACE_CHOICE : PLACE_NONE;
    value(j, c);
}

static void next(struct observe_json *j, char c)
{
    bool object = in_object(j);

    if (c == ',')
        j->at = object ? AT_KEY : AT_VALUE;
    else if (c == (object ? '}' : ']'))
        pop(j);
    else
        j->at = AT_FAULT;
}

/* One byte of structure, not white space and not the quote of a key. */
static void structure(struct observe_json *j, char c)
{
    switch ((enum json_at)j->at) {
    case AT_FIRST_KEY: /* the quote of a key does not come here */
        if (c == '}')
            pop(j);
        else
            j->at = AT_FAULT;
        return;
    case AT_COLON:
        /* AT_VALUE stands for the value of a member and of an array; the level tells them apart. */
        j->at = c == ':' ? AT_VALUE : AT_FAULT;
        return;
    case AT_FIRST_VALUE:
        if (c == ']') {
            pop(j);
            return;
        }
        j->filled |= PLACE_BIT(container(j));
        element(j, c);
        return;
    case AT_VALUE:
        if (j->depth > 0 && !in_object(j))
            element(j, c);
        else
            value(j, c);
        return;
    case AT_NEXT:
        next(j, c);
        return;
    default: /* AT_KEY; AT_END: more than one value */
        j->at = AT_FAULT;
        return;
    }
}

/* --- members that lie whole in the bytes ---------------------------------------------------- */

/* The value of a member: whole if it is a string or scalar that can be, else its first byte. */
static inline const char *member_value(struct observe_json *j, const char *p, const char *end,
                                       struct observe_holes *holes)
{
    enum place place = (enum place)j->place;
    const char *stop;
    bool escapes;

    if (*p == '"') {
        stop = observe_string_end(p + 1, end, &escapes);
        if (stop != NULL) {
            struct str text = {p + 1, (size_t)(stop - p - 1)};
            is_string(j, place, text.len > 0, escapes ? STR("") : text);
            if (text.len > 0 && !observe_word_wanted(place))
                observe_hole(holes, p + 1, stop, true);
            j->at = AT_NEXT;
            return stop + 1;
        }
    } else if (observe_is_scalar(*p)) {
        stop = observe_scalar_end(p + 1, end);
        if (stop < end && stop - p <= (ptrdiff_t)sizeof(j->text)) {
            is_scalar_value(j, place, (struct str){p, (size_t)(stop - p)});
            if (place != PLACE_CHOICE_INDEX && (*p == '-' || (*p >= '0' && *p <= '9')))
                observe_hole(holes, p, stop, false);
            j->at = AT_NEXT;
            return stop;
        }
    }
    value(j, *p);
    return p + 1;
}

/* From the quote before a key on, as far as there are whole members, a space at most before a key
 * or a value. Stops where the machine must go on. */
static const char *members(struct observe_json *j, const char *p, const char *end,
                           struct observe_holes *holes)
{
    enum { MEMBER_REST = 4 }; /* what stands at least behind a key: `":1}` */
    enum place object = container(j);

    for (;;) {
        const char *stop = observe_text_end(p + 1, end);
        if (end - stop < MEMBER_REST || stop[0] != '"' || stop[1] != ':') {
            string_start(j, IN_KEY);
            return p + 1;
        }
        j->place = (uint8_t)observe_word_key(object, (struct str){p + 1, (size_t)(stop - p - 1)});
        j->named |= PLACE_BIT(j->place);
        p = stop[2] == ' ' ? stop + 3 : stop + 2;
        j->at = AT_VALUE;
        if ((uint8_t)*p <= ' ')
            return p;
        p = member_value(j, p, end, holes);
        if (j->at != AT_NEXT || end - p < 3 || *p != ',')
            return p;
        j->at = AT_KEY;
        p = p[1] == ' ' ? p + 2 : p + 1;
        if (*p != '"')
            return p;
    }
}

const char *observe_json_bytes(struct observe_json *j, const char *p, const char *end,
                               struct observe_holes *holes)
{
    while (p < end) {
        char c = *p;
        switch ((enum json_at)j->at) {
        case IN_KEY:
        case IN_STRING:
            p = string_bytes(j, p, end);
            continue;
        case IN_SCALAR:
            p = scalar_bytes(j, p, end);
            continue;
        case AT_FAULT:
            return observe_line_end(p, end);
        case AT_FIRST_KEY:
        case AT_KEY:
            if (c == '"') {
                if (j->at == AT_FIRST_KEY)
                    j->filled |= PLACE_BIT(container(j));
                p = members(j, p, end, holes);
                continue;
            }
            break;
        default:
            break;
        }
        if (c == '\n' || c == '\r')
            return p;
        if (c != ' ' && c != '\t')
            structure(j, c);
        p++;
    }
    return p;
}

void observe_json_newline(struct observe_json *j)
{
    if (j->at == IN_SCALAR)
        scalar_ended(j);
    else if (j->at == IN_STRING || j->at == IN_KEY)
        j->at = AT_FAULT;
}
