/* A pushdown machine: one bit per level says object or array, and the levels near the root also say
 * which place they are. Long strings cost least: they are passed eight bytes at a time.
 */
#include "proxy/observe_json.h"

#include <endian.h>

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

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* A high bit in each byte of x that is below ' ', or that equals c. Bytes above the lowest hit may
 * be hit wrongly; only the lowest counts. */
static inline uint64_t controls(uint64_t x)
{
    return (x - ONES * ' ') & ~x & HIGHS;
}

static inline uint64_t equals(uint64_t x, uint8_t c)
{
    x ^= ONES * c;
    return (x - ONES) & ~x & HIGHS;
}

static inline uint64_t load(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    return le64toh(x);
}

/* The first quote, backslash or control byte, or end. */
static const char *text_end(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t x = load(p);
        uint64_t hit = controls(x) | equals(x, '"') | equals(x, '\\');
        if (hit != 0)
            return p + (__builtin_ctzll(hit) >> 3);
    }
    while (p < end && *p != '"' && *p != '\\' && (uint8_t)*p >= ' ')
        p++;
    return p;
}

const char *observe_line_end(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t x = load(p);
        uint64_t hit = equals(x, '\n') | equals(x, '\r');
        if (hit != 0)
            return p + (__builtin_ctzll(hit) >> 3);
    }
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

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

static void string_ended(struct observe_json *j, struct str text)
{
    j->present |= PLACE_BIT(j->place);
    if (j->some) {
        j->filled |= PLACE_BIT(j->place);
        if (j->place == PLACE_CHOICE_FINISH)
            j->choice_finished = true;
    }
    if (!j->odd && observe_word_wanted((enum place)j->place))
        j->words |= observe_word_value((enum place)j->place, text);
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
        const char *stop = text_end(p, end);
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

static bool is_scalar(char c)
{
    return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' ||
           c == '+' || c == '.';
}

/* Choices over 63 share a bit: requests for that many are not made. */
static void choice_index(struct observe_json *j, struct str text)
{
    uint64_t index;

    if (str_to_u64(text, &index))
        j->choice = (uint8_t)(index < 63 ? index : 63);
}

static void scalar_ended(struct observe_json *j)
{
    struct str text = {j->text, j->text_len};

    if (j->place != PLACE_NONE && !j->odd && !str_eq(text, STR("null"))) {
        j->present |= PLACE_BIT(j->place);
        if (str_eq(text, STR("true")))
            j->filled |= PLACE_BIT(j->place);
        if (j->place == PLACE_CHOICE_INDEX)
            choice_index(j, text);
    } else if (j->odd) {
        j->present |= PLACE_BIT(j->place); /* a long number */
    }
    value_ended(j);
}

static const char *scalar_bytes(struct observe_json *j, const char *p, const char *end)
{
    const char *from = p;

    while (p < end && is_scalar(*p))
        p++;
    if (j->place != PLACE_NONE && !j->odd)
        keep(j, from, (size_t)(p - from));
    if (p < end)
        scalar_ended(j);
    return p;
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
    } else if (is_scalar(c)) {
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

static void key(struct observe_json *j, char c)
{
    if (c == '"')
        string_start(j, IN_KEY);
    else
        j->at = AT_FAULT;
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

/* One byte of structure, not white space. */
static void structure(struct observe_json *j, char c)
{
    switch ((enum json_at)j->at) {
    case AT_FIRST_KEY:
        if (c == '}') {
            pop(j);
            return;
        }
        j->filled |= PLACE_BIT(container(j));
        key(j, c);
        return;
    case AT_KEY:
        key(j, c);
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
    default: /* AT_END: more than one value */
        j->at = AT_FAULT;
        return;
    }
}

const char *observe_json_bytes(struct observe_json *j, const char *p, const char *end)
{
    while (p < end) {
        if (j->at == IN_STRING || j->at == IN_KEY) {
            p = string_bytes(j, p, end);
            if (j->at == AT_COLON && p < end && *p == ':') { /* as it nearly always is */
                j->at = AT_VALUE;
                p++;
            }
            continue;
        }
        if (j->at == IN_SCALAR) {
            p = scalar_bytes(j, p, end);
            continue;
        }
        if (j->at == AT_FAULT)
            return observe_line_end(p, end);
        if (*p == '\n' || *p == '\r')
            return p;
        if (*p != ' ' && *p != '\t')
            structure(j, *p);
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
