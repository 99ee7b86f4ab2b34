/* A machine over bytes with one level for each step of a pointer. Whatever lies beside the pointers
 * is passed without being understood, sixteen bytes at a time: an embedding of thousands of numbers
 * costs little, and no depth of nesting costs memory.
 */
#include "proxy/fields_json.h"

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

void fields_json_start(struct fields_json *j, uint32_t slots)
{
    j->found = ~slots;
    j->depth = 0;
    j->skip = 0;
    j->node = j->plan->root;
    j->at = AT_VALUE;
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

static void scalar_ended(struct fields_json *j)
{
    struct field_value value = {.kind = FIELD_MISSING};

    if (j->scalar_len <= FIELDS_NUMBER_MAX &&
        !fields_scalar((struct str){j->scalar, j->scalar_len}, &value)) {
        j->at = AT_END;
        return;
    }
    found(j, value);
    value_ended(j);
}

static void keep_scalar(struct fields_json *j, const char *p, size_t n)
{
    if (j->scalar_len > FIELDS_NUMBER_MAX)
        return;
    if (n > FIELDS_NUMBER_MAX - (size_t)j->scalar_len) {
        j->scalar_len = FIELDS_NUMBER_MAX + 1;
        return;
    }
    memcpy(j->scalar + j->scalar_len, p, n);
    j->scalar_len = (uint8_t)(j->scalar_len + n);
}

static void key_ended(struct fields_json *j)
{
    const struct fields_node *child = level(j)->node->child;
    struct str key = {j->key, j->string.len};

    if (key.len > j->string.max)
        child = NULL;
    while (child != NULL && !str_eq(child->token, key))
        child = child->next;
    j->node = child;
    j->at = AT_COLON;
}

/* A key, or a string that is a value. */
static const char *string_bytes(struct fields_json *j, const char *p, const char *end)
{
    const char *stop;

    switch (fields_text_bytes(&j->string, p, end, &stop)) {
    case TEXT_MORE:
        break;
    case TEXT_BROKEN:
        j->at = AT_END;
        break;
    case TEXT_END:
        if (j->at == IN_KEY) {
            key_ended(j);
        } else {
            found(j, (struct field_value){.kind = FIELD_CATEGORY, .category = j->string.hash});
            value_ended(j);
        }
    }
    return stop;
}

/* --- what is passed by --- */

static const char *pass_string(struct fields_json *j, const char *p, const char *end)
{
    while (p < end) {
        if (j->escaped) {
            j->escaped = false;
            p++;
            continue;
        }
        p = observe_text_end(p, end);
        if (p == end)
            return end;
        char c = *p++;
        if (c == '\\') {
            j->escaped = true;
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
        j->escaped = false;
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
        j->at = here ? IN_STRING : PASS_STRING;
        j->escaped = false;
        fields_text_start(&j->string, NULL, 0);
    } else if (observe_is_scalar(c)) {
        j->at = here ? IN_SCALAR : PASS_SCALAR;
        j->scalar_len = 0;
        keep_scalar(j, &c, 1);
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
        j->at = c == '"' ? IN_KEY : AT_END;
        fields_text_start(&j->string, j->key, j->plan->key_max);
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
        keep_scalar(j, p, (size_t)(stop - p));
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
