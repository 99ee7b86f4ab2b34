/* Walks a document along the schema. One mistake gives one error: what stands beneath a key that is
 * unknown, or not supported yet, is not looked at. */
#include <stdio.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

struct checker {
    const struct schema *schema;
    struct arena *arena;
    struct diagnostics *errors;
};

enum { TEXT_BYTES_MAX = 4096, HINT_MAX = 192 };

static void check_value(struct checker *c, const struct schema_row *row, struct yaml_node *node);

/* --- unknown keys --- */

/* The nearest key beneath `parent`, by spelling or because it is a known misnomer. */
static const struct schema_row *nearest_key(const struct schema *s, struct str parent,
                                            struct str key)
{
    const struct schema_row *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < s->count; i++) {
        const struct schema_row *row = &s->rows[i];
        struct str leaf = schema_leaf(row);
        if (!str_eq(schema_parent(row), parent))
            continue;
        struct str rest = str_from(row->misnomers), wrong;
        while (str_split(&rest, '|', &wrong))
            if (str_ieq(wrong, key))
                return row;
        unsigned distance = str_ieq(leaf, key) ? 0 : str_distance(leaf, key);
        if (distance < best_distance && distance < leaf.len &&
            distance <= (leaf.len < 4 ? 1u : 2u)) {
            best = row;
            best_distance = distance;
        }
    }
    return best;
}

/* Where a known key of that name does belong, or NULL. */
static const struct schema_row *elsewhere(const struct schema *s, struct str key)
{
    for (size_t i = 0; i < s->count; i++)
        if (str_eq(schema_leaf(&s->rows[i]), key))
            return &s->rows[i];
    return NULL;
}

static void hint_unknown(const struct checker *c, struct str parent, struct str key,
                         char to[static HINT_MAX])
{
    const struct schema_row *row = nearest_key(c->schema, parent, key);
    const struct schema *other = c->schema == &schema_policy ? &schema_config : &schema_policy;

    to[0] = '\0';
    if (row != NULL) {
        snprintf(to, HINT_MAX, "did you mean \"" STR_FMT "\"?", STR_ARG(schema_leaf(row)));
        return;
    }
    row = elsewhere(c->schema, key);
    if (row != NULL) {
        struct str home = schema_parent(row);
        if (home.len == 0)
            snprintf(to, HINT_MAX, "\"%s\" belongs at the top level", row->path);
        else
            snprintf(to, HINT_MAX, "it belongs in \"" STR_FMT "\"", STR_ARG(home));
        return;
    }
    row = schema_find(other, (struct str){"", 0}, key);
    if (parent.len == 0 && row != NULL)
        snprintf(to, HINT_MAX,
                 "it belongs in %s: another file, or another document after a line ---",
                 other->title);
}

static void report_unknown(struct checker *c, struct str parent, struct yaml_node *node)
{
    char name[YAML_SHOWN_MAX], hint[HINT_MAX], in[HINT_MAX] = "";

    node->bad = true;
    hint_unknown(c, parent, node->key, hint);
    if (parent.len > 0)
        snprintf(in, sizeof(in), " in \"" STR_FMT "\"", STR_ARG(parent));
    diagnostics_addf(c->errors, node->key_at, hint, "unknown key \"%s\"%s",
                     yaml_shown(node->key, name), in);
}

/* --- one value --- */

static const char *what_it_is(const struct schema_row *row)
{
    static const char *const names[SCHEMA_TYPE_COUNT] = {
        [SCHEMA_MAP] = "a mapping",
        [SCHEMA_TEXT_MAP] = "a mapping of texts",
        [SCHEMA_TEXT] = "text",
        [SCHEMA_CHOICE] = "a word",
        [SCHEMA_COUNT] = "a whole number",
        [SCHEMA_DURATION] = "a duration",
        [SCHEMA_SIZE] = "a size",
        [SCHEMA_SHARE] = "a share of at most 100%",
        [SCHEMA_WEIGHT] = "a percentage of at most 100%",
        [SCHEMA_LIMIT] = "a share or a duration",
    };
    return names[row->type];
}

static const char *how_to_write(const struct schema_row *row)
{
    static const char *const hints[SCHEMA_TYPE_COUNT] = {
        [SCHEMA_DURATION] = "write a number with its unit: 250ms, 10s, 5m, 1h",
        [SCHEMA_SIZE] = "write a number with its unit: 64KiB, 10MiB",
        [SCHEMA_SHARE] = "write 1% or 0.01",
        [SCHEMA_WEIGHT] = "write percent, in steps of 0.01%: 10, 25%, 0.1%",
        [SCHEMA_COUNT] = "write digits only",
    };
    return row->type == SCHEMA_SHARE && row->example != NULL ? row->example : hints[row->type];
}

/* "auto, manual or x" */
static void list_choices(const char *choices, struct strbuf *out)
{
    struct str rest = str_from(choices), word;

    for (bool first = true; str_split(&rest, '|', &word); first = false) {
        if (!first)
            strbuf_add(out, rest.ptr == NULL ? STR(" or ") : STR(", "));
        strbuf_add(out, word);
    }
}

static void report_choice(struct checker *c, const struct schema_row *row, struct yaml_node *node)
{
    char shown[YAML_SHOWN_MAX];
    struct strbuf words;

    strbuf_init(&words, HINT_MAX - 32);
    list_choices(row->choices, &words);
    struct str later = str_from(row->later_choices), word;
    while (str_split(&later, '|', &word)) {
        if (!str_eq(word, node->text))
            continue;
        char hint[2 * HINT_MAX];
        snprintf(hint, sizeof(hint), "\"" STR_FMT "\" can be %s", STR_ARG(schema_leaf(row)),
                 strbuf_cstr(&words));
        diagnostics_addf(c->errors, node->at, hint, "\"" STR_FMT "\" is not supported yet",
                         STR_ARG(word));
        strbuf_deinit(&words);
        return;
    }
    struct str near = schema_nearest(node->text, row->choices);
    struct str near_later = schema_nearest(node->text, row->later_choices);
    if (near.len == 0 || (near_later.len > 0 &&
                          str_distance(node->text, near_later) < str_distance(node->text, near)))
        near = near_later;
    char hint[HINT_MAX] = "";
    if (near.len > 0)
        snprintf(hint, sizeof(hint), "did you mean \"" STR_FMT "\"?", STR_ARG(near));
    diagnostics_addf(c->errors, node->at, hint, "\"" STR_FMT "\" must be %s, not \"%s\"",
                     STR_ARG(schema_leaf(row)), strbuf_cstr(&words), yaml_shown(node->text, shown));
    strbuf_deinit(&words);
}

static double magnitude(const struct schema_row *row, const struct schema_value *v)
{
    switch (row->type) {
    case SCHEMA_DURATION:
        return (double)v->ns;
    case SCHEMA_SHARE:
        return v->share;
    case SCHEMA_COUNT:
    case SCHEMA_SIZE:
    case SCHEMA_WEIGHT:
        return (double)v->n;
    case SCHEMA_MAP:
    case SCHEMA_TEXT_MAP:
    case SCHEMA_TEXT:
    case SCHEMA_CHOICE:
    case SCHEMA_LIMIT:
    case SCHEMA_TYPE_COUNT:
        break;
    }
    return 0;
}

static double bound(const struct schema_row *row, const char *text)
{
    struct schema_value v;

    CHECK(schema_read(row, str_from(text), &v));
    return magnitude(row, &v);
}

static bool check_range(struct checker *c, const struct schema_row *row, struct yaml_node *node,
                        const struct schema_value *v)
{
    double x = magnitude(row, v);
    char shown[YAML_SHOWN_MAX];

    if (row->word != NULL && str_eq(node->text, str_from(row->word)))
        return true;
    if (row->min != NULL) {
        double min = bound(row, row->min);
        if (x < min || (row->above_min && x <= min)) {
            diagnostics_addf(c->errors, node->at, row->example,
                             "\"" STR_FMT "\" must be %s %s, not %s", STR_ARG(schema_leaf(row)),
                             row->above_min ? "above" : "at least", row->min,
                             yaml_shown(node->text, shown));
            return false;
        }
    }
    if (row->max != NULL) {
        double max = bound(row, row->max);
        if (x > max || (row->below_max && x >= max)) {
            diagnostics_addf(c->errors, node->at, row->example,
                             "\"" STR_FMT "\" must be %s %s, not %s", STR_ARG(schema_leaf(row)),
                             row->below_max ? "below" : "at most", row->max,
                             yaml_shown(node->text, shown));
            return false;
        }
    }
    return true;
}

static bool check_text(struct checker *c, const struct schema_row *row, struct yaml_node *node)
{
    struct str leaf = schema_leaf(row);

    if (node->text.len == 0) {
        diagnostics_addf(c->errors, node->at, row->example, "\"" STR_FMT "\" is empty",
                         STR_ARG(leaf));
        return false;
    }
    if (node->text.len > TEXT_BYTES_MAX) {
        diagnostics_addf(c->errors, node->at, NULL, "\"" STR_FMT "\" is longer than 4096 bytes",
                         STR_ARG(leaf));
        return false;
    }
    for (size_t i = 0; i < node->text.len; i++) {
        unsigned char byte = (unsigned char)node->text.ptr[i];
        if (byte < 0x20 || byte == 0x7f) {
            diagnostics_addf(c->errors, node->at, "write it on one line, without escapes",
                             "\"" STR_FMT "\" contains a control character", STR_ARG(leaf));
            return false;
        }
    }
    return true;
}

/* Shares and weights that are numbers, but not usable ones. True when an error was added. */
static bool report_number(struct checker *c, const struct schema_row *row, struct yaml_node *node)
{
    struct str number = node->text, name = schema_leaf(row);
    char shown[YAML_SHOWN_MAX], hint[HINT_MAX];
    double share;

    if (row->type != SCHEMA_SHARE && row->type != SCHEMA_WEIGHT)
        return false;
    bool percent = str_ends_with(number, STR("%"));
    number.len -= percent;
    for (size_t i = 0; i < number.len; i++)
        if ((number.ptr[i] < '0' || number.ptr[i] > '9') && number.ptr[i] != '.')
            return false;
    yaml_shown(node->text, shown);
    if (row->type == SCHEMA_WEIGHT && !percent && units_parse_share(number, &share)) {
        snprintf(hint, sizeof(hint), "write %s%% or %.8g%%", shown, share * 100);
        diagnostics_addf(c->errors, node->at, hint,
                         "the weight %s may mean a share or a percentage", shown);
    } else if (row->type == SCHEMA_WEIGHT && units_parse_share(node->text, &share)) {
        diagnostics_addf(c->errors, node->at, NULL, "the weight %s is finer than 0.01%%", shown);
    } else if (row->type == SCHEMA_SHARE && !percent && number.len > 0) {
        snprintf(hint, sizeof(hint), "a percentage is written %s%%", shown);
        diagnostics_addf(c->errors, node->at, hint,
                         "\"" STR_FMT "\" must be a share of at most 1, not %s", STR_ARG(name),
                         shown);
    } else {
        return false;
    }
    return true;
}

static bool check_scalar(struct checker *c, const struct schema_row *row, struct yaml_node *node)
{
    char shown[YAML_SHOWN_MAX];
    struct schema_value v;

    if (!check_text(c, row, node))
        return false;
    if (schema_read(row, node->text, &v))
        return check_range(c, row, node, &v);
    if (row->type == SCHEMA_CHOICE) {
        report_choice(c, row, node);
        return false;
    }
    if (report_number(c, row, node))
        return false;
    char what[HINT_MAX];
    snprintf(what, sizeof(what), "%s%s%s", what_it_is(row), row->word != NULL ? " or " : "",
             row->word != NULL ? row->word : "");
    diagnostics_addf(c->errors, node->at, how_to_write(row),
                     "\"" STR_FMT "\" must be %s, not \"%s\"", STR_ARG(schema_leaf(row)), what,
                     yaml_shown(node->text, shown));
    return false;
}

/* --- shapes --- */

static void check_text_map(struct checker *c, const struct schema_row *row, struct yaml_node *map)
{
    for (struct yaml_node *n = map->first; n != NULL; n = n->next) {
        char name[YAML_SHOWN_MAX];
        if (n->kind == YAML_TEXT && !yaml_is_null(n))
            continue;
        diagnostics_addf(c->errors, n->at, row->example, "\"%s\" must be text",
                         yaml_shown(n->key, name));
        n->bad = true;
    }
}

/* A key that was meant to be this one is an error already. */
static bool is_misspelt(const struct checker *c, const struct schema_row *row, struct str parent,
                        const struct yaml_node *map)
{
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next)
        if (schema_find(c->schema, parent, n->key) == NULL &&
            nearest_key(c->schema, parent, n->key) == row)
            return true;
    return false;
}

static void report_missing(struct checker *c, const struct schema_row *row, struct str parent,
                           struct source_pos at)
{
    if (parent.len == 0)
        diagnostics_addf(c->errors, at, row->example, "\"%s\" is missing", row->path);
    else
        diagnostics_addf(c->errors, at, row->example,
                         "\"" STR_FMT "\" is missing in \"" STR_FMT "\"", STR_ARG(schema_leaf(row)),
                         STR_ARG(parent));
}

/* Checks the member that gives the others their meaning, if there is one. */
static bool check_decider(struct checker *c, struct str path, struct yaml_node *map)
{
    for (size_t i = 0; i < c->schema->count; i++) {
        const struct schema_row *row = &c->schema->rows[i];
        struct yaml_node *n = row->decides && str_eq(schema_parent(row), path)
                                  ? yaml_get(map, schema_leaf(row))
                                  : NULL;
        if (n == NULL)
            continue;
        check_value(c, row, n);
        return !n->bad;
    }
    return true;
}

static void check_map(struct checker *c, struct str path, struct yaml_node *map)
{
    if (!check_decider(c, path, map)) {
        map->bad = true;
        return;
    }
    for (struct yaml_node *n = map->first; n != NULL; n = n->next) {
        const struct schema_row *row = schema_find(c->schema, path, n->key);
        if (row == NULL) {
            report_unknown(c, path, n);
        } else if (row->later) {
            diagnostics_addf(c->errors, n->key_at, "leave it out", "\"%s\" is not supported yet",
                             row->path);
            n->bad = true;
        } else if (!row->decides) {
            check_value(c, row, n);
        }
    }
    for (size_t i = 0; i < c->schema->count; i++) {
        const struct schema_row *row = &c->schema->rows[i];
        if (row->required && str_eq(schema_parent(row), path) &&
            yaml_get(map, schema_leaf(row)) == NULL) {
            if (!is_misspelt(c, row, path, map))
                report_missing(c, row, path, map->at);
            map->bad = true;
        }
    }
}

/* Makes {key: text} of a plain text. */
static void expand_shorthand(struct checker *c, const struct schema_row *row,
                             struct yaml_node *node)
{
    struct yaml_node *member = arena_alloc(c->arena, sizeof(*member));

    *member = (struct yaml_node){.kind = YAML_TEXT,
                                 .quoted = node->quoted,
                                 .at = node->at,
                                 .text = node->text,
                                 .key = str_from(row->shorthand),
                                 .key_at = node->at};
    node->kind = YAML_MAP;
    node->first = member;
    node->count = 1;
}

static const char *found_kind(const struct yaml_node *node)
{
    return node->kind == YAML_MAP ? "a mapping" : node->kind == YAML_LIST ? "a list" : "text";
}

static void check_item(struct checker *c, const struct schema_row *row, struct yaml_node *node)
{
    bool wants_map = row->type == SCHEMA_MAP || row->type == SCHEMA_TEXT_MAP;

    if (node->bad)
        return;
    if (yaml_is_null(node)) {
        struct source_pos at = node->key.ptr == NULL ? node->at : node->key_at;
        diagnostics_addf(c->errors, at, row->example != NULL ? row->example : "leave the key out",
                         "\"" STR_FMT "\" has no value", STR_ARG(schema_leaf(row)));
        node->bad = true;
        return;
    }
    if (row->shorthand != NULL && node->kind == YAML_TEXT)
        expand_shorthand(c, row, node);
    if (wants_map != (node->kind == YAML_MAP) || node->kind == YAML_LIST) {
        bool item = row->many != SCHEMA_ONE && node->key.ptr == NULL;
        diagnostics_addf(c->errors, node->at, row->example, "%s\"" STR_FMT "\" must be %s, not %s",
                         item ? "an item of " : "", STR_ARG(schema_leaf(row)), what_it_is(row),
                         found_kind(node));
        node->bad = true;
    } else if (row->type == SCHEMA_MAP) {
        check_map(c, str_from(row->path), node);
    } else if (row->type == SCHEMA_TEXT_MAP) {
        check_text_map(c, row, node);
    } else if (!check_scalar(c, row, node)) {
        node->bad = true;
    }
}

/* One value where a list may stand becomes a list of one. */
static void wrap_in_list(struct checker *c, struct yaml_node *node)
{
    struct yaml_node *item = arena_alloc(c->arena, sizeof(*item));

    *item = *node;
    item->next = NULL;
    item->key = (struct str){NULL, 0};
    node->kind = YAML_LIST;
    node->first = item;
    node->count = 1;
}

static void check_value(struct checker *c, const struct schema_row *row, struct yaml_node *node)
{
    if (row->many == SCHEMA_ONE || node->bad || yaml_is_null(node)) {
        check_item(c, row, node);
        return;
    }
    if (row->many == SCHEMA_ONE_OR_MANY && node->kind != YAML_LIST)
        wrap_in_list(c, node);
    if (node->kind != YAML_LIST) {
        diagnostics_addf(c->errors, node->at, row->example,
                         "\"" STR_FMT "\" must be a list, not %s", STR_ARG(schema_leaf(row)),
                         found_kind(node));
        node->bad = true;
        return;
    }
    if (row->items_max > 0 && node->count > row->items_max) {
        diagnostics_addf(c->errors, node->at, NULL,
                         "\"" STR_FMT "\" has %zu items; %zu is the most",
                         STR_ARG(schema_leaf(row)), node->count, row->items_max);
        node->bad = true;
        return;
    }
    if (row->later_items && node->count > 0) {
        diagnostics_addf(c->errors, node->at, row->example,
                         "items of \"" STR_FMT "\" are not supported yet",
                         STR_ARG(schema_leaf(row)));
        node->bad = true;
        return;
    }
    for (struct yaml_node *n = node->first; n != NULL; n = n->next)
        check_item(c, row, n);
}

void schema_check(const struct schema *s, struct yaml_node *root, struct arena *arena,
                  struct diagnostics *reterr)
{
    struct checker c = {.schema = s, .arena = arena, .errors = reterr};

    if (root->kind == YAML_MAP) {
        check_map(&c, (struct str){"", 0}, root);
        return;
    }
    diagnostics_addf(reterr, root->at, NULL, "%s must be a mapping, not %s", s->title,
                     found_kind(root));
    root->bad = true;
}

static void forget_positions(struct yaml_node *node)
{
    node->at = node->key_at = (struct source_pos){0};
    for (struct yaml_node *n = node->first; n != NULL; n = n->next)
        forget_positions(n); /* a default of our own: a few levels */
}

struct yaml_node *schema_default(const struct schema *s, const char *path, struct arena *arena)
{
    const struct schema_row *row = schema_row(s, path);
    struct diagnostics none;
    struct checker c = {.schema = s, .arena = arena, .errors = &none};
    struct yaml_node *node = NULL;

    CHECK(row != NULL && row->default_text != NULL);
    diagnostics_init(&none);
    CHECK(yaml_parse("default", str_from(row->default_text), arena, &node, &none) == 0);
    CHECK(node != NULL);
    check_value(&c, row, node);
    CHECK(none.count == 0);
    diagnostics_deinit(&none);
    forget_positions(node);
    return node;
}
