/* Looks rows up and reads values. Everything is linear in a table of some hundred rows, which is
 * read a few times per reload. */
#include "policies/schema.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/units.h"

struct str schema_leaf(const struct schema_row *row)
{
    const char *dot = strrchr(row->path, '.');

    return str_from(dot == NULL ? row->path : dot + 1);
}

struct str schema_parent(const struct schema_row *row)
{
    const char *dot = strrchr(row->path, '.');

    return (struct str){row->path, dot == NULL ? 0 : (size_t)(dot - row->path)};
}

const struct schema_row *schema_find(const struct schema *s, struct str parent, struct str key)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(schema_leaf(&s->rows[i]), key) && str_eq(schema_parent(&s->rows[i]), parent))
            return &s->rows[i];
    return NULL;
}

const struct schema_row *schema_row(const struct schema *s, const char *path)
{
    for (size_t i = 0; i < s->count; i++)
        if (strcmp(s->rows[i].path, path) == 0)
            return &s->rows[i];
    return NULL;
}

struct str schema_choice(const char *choices, size_t index)
{
    struct str rest = str_from(choices), word = {NULL, 0};

    for (size_t i = 0; i <= index; i++)
        if (!str_split(&rest, '|', &word))
            return (struct str){"", 0};
    return word;
}

struct str schema_nearest(struct str word, const char *choices)
{
    struct str rest = str_from(choices), candidate, best = {"", 0};
    unsigned best_distance = 3;

    while (str_split(&rest, '|', &candidate)) {
        unsigned distance = str_distance(word, candidate);
        unsigned allowed = candidate.len < 4 ? 1 : 2;
        if (distance <= allowed && distance < best_distance && distance < candidate.len) {
            best = candidate;
            best_distance = distance;
        }
    }
    return best;
}

static bool read_choice(const char *choices, struct str text, uint64_t *ret)
{
    struct str rest = str_from(choices), word;

    for (uint64_t i = 0; str_split(&rest, '|', &word); i++) {
        if (str_eq(word, text)) {
            *ret = i;
            return true;
        }
    }
    return false;
}

/* "10" and "10%" are ten percent. A bare number below 1 may mean a share or a percentage, so it is
 * not accepted; finer than a basis point neither. */
static bool read_weight(struct str text, uint64_t *ret_bp)
{
    bool percent = str_ends_with(text, STR("%"));
    char buffer[32];
    double share;

    if (text.len > 20)
        return false;
    str_copy(buffer, sizeof(buffer), text);
    if (!percent)
        strcat(buffer, "%");
    if (!units_parse_share(str_from(buffer), &share) || (!percent && share > 0 && share < 0.01))
        return false;
    double bp = share * 10000;
    *ret_bp = (uint64_t)(bp + 0.5);
    return bp - (double)*ret_bp < 1e-6 && (double)*ret_bp - bp < 1e-6;
}

bool schema_read_number(struct str text, double *ret)
{
    char buffer[32];
    size_t digits = 0, points = 0;

    if (text.len > 20)
        return false;
    for (size_t i = 0; i < text.len; i++) {
        digits += text.ptr[i] >= '0' && text.ptr[i] <= '9';
        points += text.ptr[i] == '.' && i > 0 && i + 1 < text.len;
    }
    if (digits == 0 || points > 1 || digits + points != text.len)
        return false;
    str_copy(buffer, sizeof(buffer), text);
    *ret = strtod(buffer, NULL);
    return true;
}

static bool read_ratio(struct str text, double *ret)
{
    text.len -= str_ends_with(text, STR("x"));
    return schema_read_number(text, ret);
}

/* The word that stands for 0. */
static bool is_word(const struct schema_row *row, struct str text)
{
    return row->word != NULL && str_eq(text, str_from(row->word));
}

bool schema_read(const struct schema_row *row, struct str text, struct schema_value *ret)
{
    struct schema_value v = {.text = text};
    bool ok = true;

    switch (row->type) {
    case SCHEMA_DURATION:
        ok = is_word(row, text) || units_parse_duration(text, &v.ns);
        break;
    case SCHEMA_COUNT:
        ok = is_word(row, text) || str_to_u64(text, &v.n);
        break;
    case SCHEMA_SIZE:
        ok = units_parse_size(text, &v.n);
        break;
    case SCHEMA_SHARE:
        ok = units_parse_share(text, &v.share);
        break;
    case SCHEMA_RATIO:
        ok = read_ratio(text, &v.share);
        break;
    case SCHEMA_WEIGHT:
        ok = read_weight(text, &v.n);
        break;
    case SCHEMA_CHOICE:
        ok = read_choice(row->choices, text, &v.n);
        break;
    case SCHEMA_BOOL:
        ok = read_choice("false|true", text, &v.n);
        break;
    case SCHEMA_TEXT:
    case SCHEMA_LIMIT:
        break;
    case SCHEMA_MAP:
    case SCHEMA_TEXT_MAP:
    case SCHEMA_TYPE_COUNT:
        UNREACHABLE();
    }
    if (ok)
        *ret = v;
    return ok;
}

/* --- values into structs --- */

static void store_number(uint64_t n, const struct schema_binding *b, char *to)
{
    if (b->size == sizeof(uint64_t)) {
        memcpy(to, &n, sizeof(n));
        return;
    }
    CHECK(b->size == sizeof(uint32_t));
    CHECK(n <= UINT32_MAX); /* the row's max says so */
    uint32_t small = (uint32_t)n;
    memcpy(to, &small, sizeof(small));
}

static void store(const struct schema_row *row, struct str text, const struct schema_binding *b,
                  struct arena *arena, char *to)
{
    struct schema_value v;

    CHECK(schema_read(row, text, &v));
    if (row->type == SCHEMA_DURATION) {
        CHECK(b->size == sizeof(v.ns));
        memcpy(to, &v.ns, sizeof(v.ns));
    } else if (row->type == SCHEMA_SHARE || row->type == SCHEMA_RATIO) {
        CHECK(b->size == sizeof(v.share));
        memcpy(to, &v.share, sizeof(v.share));
    } else if (row->type == SCHEMA_TEXT) {
        const char *copy = arena_strdup(arena, v.text);
        CHECK(b->size == sizeof(copy));
        memcpy(to, &copy, sizeof(copy));
    } else if (row->type == SCHEMA_BOOL) {
        bool is = v.n != 0;
        CHECK(b->size == sizeof(is));
        memcpy(to, &is, sizeof(is));
    } else {
        store_number(v.n, b, to);
    }
}

void schema_fill(const struct schema *s, const char *prefix, struct yaml_node *map,
                 const struct schema_binding *bindings, size_t count, struct arena *arena,
                 void *into)
{
    size_t skip = strlen(prefix) == 0 ? 0 : strlen(prefix) + 1;

    for (size_t i = 0; i < count; i++) {
        const struct schema_binding *b = &bindings[i];
        const struct schema_row *row = schema_row(s, b->path);
        CHECK(row != NULL);
        const struct yaml_node *node = yaml_find(map, b->path + skip);
        bool written = node != NULL && !node->bad && node->kind == YAML_TEXT;
        if (written || row->default_text != NULL)
            store(row, written ? node->text : str_from(row->default_text), b, arena,
                  (char *)into + b->offset);
    }
}
