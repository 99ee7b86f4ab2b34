/* A machine over bytes with one level for each step of a pointer. Whatever lies beside the pointers
 * is passed without being understood, sixteen bytes at a time: an embedding of thousands of numbers
 * costs little, and no depth of nesting costs memory.
 */
#include "proxy/fields_json.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proxy/observe_scan.h"

enum fields_at {
    AT_VALUE,
    AT_FIRST_VALUE, /* or the end of an empty array */
    AT_FIRST_KEY,
    AT_KEY,
    AT_COLON,
    AT_NEXT, /* a comma or the end of what is open */
    IN_KEY,
    IN_STRING,   /* of a slot */
    IN_SCALAR,   /* ... */
    PASS,        /* in what no pointer leads into */
    PASS_STRING, /* ... */
    PASS_SCALAR, /* a number or literal of no slot */
    AT_END,      /* nothing more is looked for */
};

static const uint64_t fnv_basis = UINT64_C(0xcbf29ce484222325);
static const uint64_t fnv_prime = UINT64_C(0x100000001b3);

void fields_json_start(struct fields_json *j, uint32_t slots)
{
    j->found = ~slots;
    j->depth = 0;
    j->skip = 0;
    j->node = j->plan->root;
    j->at = AT_VALUE;
    j->escape = 0;
}

bool fields_json_done(const struct fields_json *j)
{
    return j->at == AT_END;
}

static struct fields_level *level(struct fields_json *j)
{
    return &j->levels[j->depth - 1];
}

/* Whether anything is still looked for at this node or beneath. */
static bool is_wanted(const struct fields_json *j, const struct fields_node *node)
{
    return node != NULL && (node->within & ~j->found) != 0;
}

static uint32_t wanted_here(const struct fields_json *j)
{
    return j->node == NULL ? 0 : j->node->slots & ~j->found;
}

/* --- values --- */

static void value_ended(struct fields_json *j)
{
    if (j->depth == 0 || ~j->found == 0)
        j->at = AT_END;
    else
        j->at = AT_NEXT;
}

static void found(struct fields_json *j, struct field_value value)
{
    uint32_t slots = wanted_here(j);

    if (value.kind != FIELD_NUMBER)
        slots &= ~j->plan->usage_slot;
    if (value.kind == FIELD_MISSING)
        return;
    j->found |= slots;
    for (; slots != 0; slots &= slots - 1)
        j->values[__builtin_ctz(slots)] = value;
}

static uint64_t hash_bytes(uint64_t h, const char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        h = (h ^ (unsigned char)p[i]) * fnv_prime;
    return h;
}

/* RFC 8259, 6. */
static bool is_number(const char *p)
{
    p += *p == '-';
    if (*p == '0')
        p++;
    else if (*p >= '1' && *p <= '9')
        p += strspn(p, "0123456789");
    else
        return false;
    if (*p == '.') {
        size_t digits = strspn(p + 1, "0123456789");
        if (digits == 0)
            return false;
        p += 1 + digits;
    }
    if (*p == 'e' || *p == 'E') {
        p += p[1] == '+' || p[1] == '-' ? 2 : 1;
        size_t digits = strspn(p, "0123456789");
        if (digits == 0)
            return false;
        p += digits;
    }
    return *p == '\0';
}

/* Told from strings by the NUL before them. */
static bool is_literal(struct str text, uint64_t *ret_category)
{
    static const struct str literals[] = {{"true", 4}, {"false", 5},    {"null", 4},
                                          {"NaN", 3},  {"Infinity", 8}, {"-Infinity", 9}};

    for (size_t i = 0; i < ARRAY_LEN(literals); i++) {
        if (str_eq(text, literals[i])) {
            *ret_category = hash_bytes(hash_bytes(fnv_basis, "", 1), text.ptr, text.len);
            return true;
        }
    }
    return false;
}

static void scalar_ended(struct fields_json *j)
{
    char text[FIELDS_NUMBER_MAX + 1];
    struct field_value value = {.kind = FIELD_MISSING};

    if (j->text_len <= FIELDS_NUMBER_MAX) {
        memcpy(text, j->text, j->text_len);
        text[j->text_len] = '\0';
        if (is_number(text)) {
            value.number = strtod(text, NULL);
            value.kind = isfinite(value.number) ? FIELD_NUMBER : FIELD_MISSING;
        } else if (is_literal((struct str){text, j->text_len}, &value.category)) {
            value.kind = FIELD_CATEGORY;
        } else {
            j->at = AT_END;
            return;
        }
    }
    found(j, value);
    value_ended(j);
}

static void keep_text(struct fields_json *j, const char *p, size_t n)
{
    if (j->text_len > FIELDS_NUMBER_MAX)
        return;
    if (n > FIELDS_NUMBER_MAX - (size_t)j->text_len) {
        j->text_len = FIELDS_NUMBER_MAX + 1;
        return;
    }
    memcpy(j->text + j->text_len, p, n);
    j->text_len = (uint8_t)(j->text_len + n);
}

/* --- strings --- */

static void emit(struct fields_json *j, const char *p, size_t n)
{
    if (j->at == IN_STRING) {
        j->hash = hash_bytes(j->hash, p, n);
    } else if (j->key_len > j->plan->key_max || n > j->plan->key_max - j->key_len) {
        j->key_len = j->plan->key_max + 1;
    } else {
        memcpy(j->key + j->key_len, p, n);
        j->key_len += n;
    }
}

static void emit_character(struct fields_json *j, uint32_t c)
{
    char utf8[4];
    size_t n = 0;

    if (c < 0x80) {
        utf8[n++] = (char)c;
    } else if (c < 0x800) {
        utf8[n++] = (char)(0xc0 | c >> 6);
        utf8[n++] = (char)(0x80 | (c & 0x3f));
    } else if (c < 0x10000) {
        utf8[n++] = (char)(0xe0 | c >> 12);
        utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (c & 0x3f));
    } else {
        utf8[n++] = (char)(0xf0 | c >> 18);
        utf8[n++] = (char)(0x80 | (c >> 12 & 0x3f));
        utf8[n++] = (char)(0x80 | (c >> 6 & 0x3f));
        utf8[n++] = (char)(0x80 | (c & 0x3f));
    }
    emit(j, utf8, n);
}

/* Half a pair that stays alone is no character, but it is told from others. */
static void flush_high(struct fields_json *j)
{
    if (j->high != 0)
        emit_character(j, j->high);
    j->high = 0;
}

static void unit_ended(struct fields_json *j)
{
    uint32_t unit = j->unit;

    j->escape = 0;
    if (j->high != 0 && unit >= 0xdc00 && unit < 0xe000) {
        emit_character(j, 0x10000 + ((uint32_t)(j->high - 0xd800) << 10) + (unit - 0xdc00));
        j->high = 0;
        return;
    }
    flush_high(j);
    if (unit >= 0xd800 && unit < 0xdc00)
        j->high = (uint16_t)unit;
    else
        emit_character(j, unit);
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    c = (char)(c | 0x20);
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* One byte behind a backslash. False: it is no escape. */
static bool escaped_byte(struct fields_json *j, char c)
{
    static const char names[] = "\"\\/bfnrt", meant[] = "\"\\/\b\f\n\r\t";

    if (j->escape == 1) {
        if (c == 'u') {
            j->escape = 2;
            j->unit = 0;
            return true;
        }
        const char *name = c == '\0' ? NULL : strchr(names, c);
        if (name == NULL)
            return false;
        flush_high(j);
        emit(j, &meant[name - names], 1);
        j->escape = 0;
        return true;
    }
    int digit = hex_digit(c);
    if (digit < 0)
        return false;
    j->unit = (uint16_t)(j->unit << 4 | digit);
    if (++j->escape == 6)
        unit_ended(j);
    return true;
}

static void key_ended(struct fields_json *j)
{
    const struct fields_node *child = level(j)->node->child;
    struct str key = {j->key, j->key_len};

    if (key.len > j->plan->key_max)
        child = NULL;
    while (child != NULL && !str_eq(child->token, key))
        child = child->next;
    j->node = child;
    j->at = AT_COLON;
}

static void string_ended(struct fields_json *j)
{
    flush_high(j);
    if (j->at == IN_KEY) {
        key_ended(j);
        return;
    }
    found(j, (struct field_value){.kind = FIELD_CATEGORY, .category = j->hash});
    value_ended(j);
}

static void string_start(struct fields_json *j, enum fields_at at)
{
    j->at = (uint8_t)at;
    j->escape = 0;
    j->high = 0;
    j->key_len = 0;
    j->hash = fnv_basis;
}

/* A key, or a string that is a value. */
static const char *string_bytes(struct fields_json *j, const char *p, const char *end)
{
    while (p < end) {
        if (j->escape != 0) {
            if (!escaped_byte(j, *p++)) {
                j->at = AT_END;
                return p;
            }
            continue;
        }
        const char *stop = observe_text_end(p, end);
        if (stop > p) {
            flush_high(j);
            emit(j, p, (size_t)(stop - p));
        }
        if (stop == end)
            return end;
        p = stop + 1;
        if (*stop == '"') {
            string_ended(j);
            return p;
        }
        if (*stop != '\\') { /* a control byte */
            j->at = AT_END;
            return p;
        }
        j->escape = 1;
    }
    return p;
}

/* --- what is passed by --- */

static const char *pass_string(struct fields_json *j, const char *p, const char *end)
{
    while (p < end) {
        if (j->escape != 0) {
            j->escape = 0;
            p++;
            continue;
        }
        p = observe_text_end(p, end);
        if (p == end)
            return end;
        char c = *p++;
        if (c == '\\') {
            j->escape = 1;
        } else if (c == '"') {
            if (j->skip > 0)
                j->at = PASS;
            else
                value_ended(j);
            return p;
        } else {
            j->at = AT_END; /* a control byte */
            return p;
        }
    }
    return p;
}

/* The first quote or bracket, or end. */
static const char *mark(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* With this bit set, [ is { and ] is }. */
        __m128i set = _mm_or_si128(v, _mm_set1_epi8(0x20));
        __m128i hit = _mm_or_si128(_mm_or_si128(_mm_cmpeq_epi8(set, _mm_set1_epi8('{')),
                                                _mm_cmpeq_epi8(set, _mm_set1_epi8('}'))),
                                   _mm_cmpeq_epi8(v, _mm_set1_epi8('"')));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    while (p < end && *p != '"' && (*p | 0x20) != '{' && (*p | 0x20) != '}')
        p++;
    return p;
}

static const char *pass(struct fields_json *j, const char *p, const char *end)
{
    p = mark(p, end);
    if (p == end)
        return end;
    char c = *p++;
    if (c == '"') {
        j->at = PASS_STRING;
        j->escape = 0;
    } else if ((c | 0x20) == '{') {
        if (++j->skip == UINT32_MAX)
            j->at = AT_END;
    } else if (--j->skip == 0) {
        value_ended(j);
    }
    return p;
}

/* --- structure --- */

static void open_level(struct fields_json *j, bool object)
{
    if (!is_wanted(j, j->node) || j->node->child == NULL) {
        j->at = PASS;
        j->skip = 1;
        return;
    }
    CHECK(j->depth < j->plan->depth);
    j->depth++;
    *level(j) = (struct fields_level){.node = j->node, .object = object};
    j->at = object ? AT_FIRST_KEY : AT_FIRST_VALUE;
}

static void close_level(struct fields_json *j)
{
    j->depth--;
    value_ended(j);
}

static void value(struct fields_json *j, char c)
{
    bool here = wanted_here(j) != 0;

    if (c == '{' || c == '[') {
        open_level(j, c == '{');
    } else if (c == '"') {
        string_start(j, here ? IN_STRING : PASS_STRING);
    } else if (observe_is_scalar(c)) {
        j->at = here ? IN_SCALAR : PASS_SCALAR;
        j->text_len = 0;
        keep_text(j, &c, 1);
    } else {
        j->at = AT_END;
    }
}

/* The node of the element that comes. */
static void element(struct fields_json *j, char c)
{
    const struct fields_node *child = level(j)->node->child;

    while (child != NULL && child->index != level(j)->index)
        child = child->next;
    j->node = child;
    value(j, c);
}

static void next(struct fields_json *j, char c)
{
    struct fields_level *l = level(j);

    if (c == (l->object ? '}' : ']')) {
        close_level(j);
    } else if (c != ',') {
        j->at = AT_END;
    } else if (!is_wanted(j, l->node)) { /* all that was looked for here is found */
        j->depth--;
        j->at = PASS;
        j->skip = 1;
    } else if (l->object) {
        j->at = AT_KEY;
    } else {
        l->index += l->index < FIELDS_NO_INDEX - 1;
        j->at = AT_VALUE;
    }
}

/* One byte that is no white space, where no string or scalar is under way. */
static void structure(struct fields_json *j, char c)
{
    switch ((enum fields_at)j->at) {
    case AT_VALUE:
        if (j->depth > 0 && !level(j)->object)
            element(j, c);
        else
            value(j, c);
        return;
    case AT_FIRST_VALUE:
        if (c == ']')
            close_level(j);
        else
            element(j, c);
        return;
    case AT_FIRST_KEY:
        if (c == '}') {
            close_level(j);
            return;
        }
        /* fall through */
    case AT_KEY:
        if (c == '"')
            string_start(j, IN_KEY);
        else
            j->at = AT_END;
        return;
    case AT_COLON:
        j->at = c == ':' ? AT_VALUE : AT_END;
        return;
    case AT_NEXT:
        next(j, c);
        return;
    default:
        return;
    }
}

static const char *scalar_bytes(struct fields_json *j, const char *p, const char *end)
{
    const char *stop = observe_scalar_end(p, end);

    if (j->at == IN_SCALAR)
        keep_text(j, p, (size_t)(stop - p));
    if (stop < end && j->at == IN_SCALAR)
        scalar_ended(j);
    else if (stop < end)
        value_ended(j);
    return stop;
}

static bool is_space(char c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

/* Some servers send a byte order mark; nothing else begins with its bytes. */
static bool is_mark(const struct fields_json *j, char c)
{
    return j->depth == 0 && j->at == AT_VALUE && (c == '\xef' || c == '\xbb' || c == '\xbf');
}

void fields_json_bytes(struct fields_json *j, const char *p, const char *end)
{
    while (p < end && j->at != AT_END) {
        switch ((enum fields_at)j->at) {
        case IN_KEY:
        case IN_STRING:
            p = string_bytes(j, p, end);
            break;
        case IN_SCALAR:
        case PASS_SCALAR:
            p = scalar_bytes(j, p, end);
            break;
        case PASS:
            p = pass(j, p, end);
            break;
        case PASS_STRING:
            p = pass_string(j, p, end);
            break;
        default:
            if (!is_space(*p) && !is_mark(j, *p))
                structure(j, *p);
            p++;
        }
    }
}

void fields_json_end(struct fields_json *j)
{
    if (j->at == IN_SCALAR && j->depth == 0)
        scalar_ended(j);
    j->at = AT_END;
}
