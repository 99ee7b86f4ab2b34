/* Walks a document along the schema. One mistake gives one error: what stands beneath a key that is
 * unknown, or not supported yet, is not looked at. */
#include "base/check.h"
#include "policies/schema_read.h"
#include "policies/yaml_text.h"

struct checker {
    const struct schema *schema;
    struct arena *arena;
    struct diagnostics *errors;
    bool cut; /* what is missing may stand behind the end of what was read */
};

static void check_value(struct checker *c, const struct schema_row *row, struct yaml_node *node);

static void check_text_map(struct checker *c, const struct schema_row *row, struct yaml_node *map)
{
    for (struct yaml_node *n = map->first; n != NULL; n = n->next) {
        char name[YAML_SHOWN_MAX];
        if (n->bad)
            continue;
        yaml_shown(n->key, name);
        if (n->kind == YAML_TEXT && !yaml_is_null(n)) {
            n->bad = !schema_check_line(str_from(name), n, c->errors);
            continue;
        }
        diagnostics_addf(c->errors, n->at, row->example, "\"%s\" must be text", name);
        n->bad = true;
    }
}

/* A key that was meant to be this one is an error already. */
static bool is_misspelt(const struct checker *c, const struct schema_row *row, struct str parent,
                        const struct yaml_node *map)
{
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next)
        if (schema_find(c->schema, parent, n->key) == NULL &&
            schema_nearest_key(c->schema, parent, n->key) == row)
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
            schema_report_unknown(c->schema, path, n, c->errors);
            n->bad = true;
        } else if (row->later) {
            diagnostics_addf(c->errors, n->key_at, "leave it out", "\"%s\" is not supported yet",
                             row->path);
            n->bad = true;
        } else if (!row->decides) {
            check_value(c, row, n);
        }
    }
    for (size_t i = 0; i < c->schema->count && !c->cut; i++) {
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
                         item ? "an item of " : "", STR_ARG(schema_leaf(row)),
                         schema_type_words(row), found_kind(node));
        node->bad = true;
    } else if (row->type == SCHEMA_MAP) {
        check_map(c, str_from(row->path), node);
    } else if (row->type == SCHEMA_TEXT_MAP) {
        check_text_map(c, row, node);
    } else if (!schema_check_text(row, node, c->errors)) {
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
    for (struct yaml_node *n = node->first; n != NULL; n = n->next)
        check_item(c, row, n);
}

void schema_check(const struct schema *s, struct yaml_node *root, struct arena *arena,
                  struct diagnostics *reterr)
{
    struct checker c = {.schema = s, .arena = arena, .errors = reterr, .cut = root->cut};

    if (root->kind == YAML_MAP) {
        check_map(&c, (struct str){"", 0}, root);
        return;
    }
    root->bad = true;
    if (root->cut)
        return; /* said already why */
    diagnostics_addf(reterr, root->at, NULL, "%s must be a mapping, not %s", s->title,
                     found_kind(root));
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
