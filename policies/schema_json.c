/* A row becomes a JSON Schema. Values are text in YAML before they are anything else, so numbers
 * are allowed as JSON numbers and as strings, and any string may hold a ${VARIABLE}. */
#include "base/check.h"
#include "policies/schema_docs.h"

#define VARIABLE "\\$\\{"

static const char duration_pattern[] = "(0|([0-9]+(\\.[0-9]+)?(d|h|m|s|ms|us|ns))+)";
static const char size_pattern[] = "[0-9]+(\\.[0-9]+)?(B|KiB|KB|MiB|MB|GiB|GB)?";
static const char ratio_pattern[] = "[0-9]+(\\.[0-9]+)?x?";
static const char share_pattern[] = "[0-9]+(\\.[0-9]+)?%?";

struct printer {
    const struct schema *schema;
    struct strbuf *out;
    int indent;
};

static void print_type(struct printer *p, const struct schema_row *row, bool with_lists);

static void newline(struct printer *p)
{
    strbuf_add_char(p->out, '\n');
    for (int i = 0; i < p->indent; i++)
        strbuf_add(p->out, STR("  "));
}

/* Starts a member: `, "name": ` on a line of its own. */
static void member(struct printer *p, bool *first, struct str name)
{
    if (!*first)
        strbuf_add_char(p->out, ',');
    *first = false;
    newline(p);
    strbuf_add_json(p->out, name);
    strbuf_add(p->out, STR(": "));
}

static void text_member(struct printer *p, bool *first, const char *name, const char *value)
{
    member(p, first, str_from(name));
    strbuf_add_json(p->out, str_from(value));
}

static void raw_member(struct printer *p, bool *first, const char *name, const char *json)
{
    member(p, first, str_from(name));
    strbuf_add(p->out, str_from(json));
}

/* "^(pattern)$", or anything with a variable in it. */
static void pattern_member(struct printer *p, bool *first, const char *pattern)
{
    struct strbuf whole;

    strbuf_init(&whole, 512);
    strbuf_addf(&whole, "^(%s)$|" VARIABLE, pattern);
    text_member(p, first, "pattern", strbuf_cstr(&whole));
    strbuf_deinit(&whole);
}

static void number_member(struct printer *p, bool *first, const char *name, double value)
{
    member(p, first, str_from(name));
    strbuf_addf(p->out, "%.15g", value);
}

/* The bounds of a bare number, in its own unit. */
static void print_bounds(struct printer *p, bool *first, const struct schema_row *row)
{
    struct schema_value v;

    if (row->type == SCHEMA_DURATION) { /* of bare numbers, only 0 */
        raw_member(p, first, "minimum", "0");
        raw_member(p, first, "maximum", "0");
        return;
    }
    if (row->min != NULL) {
        CHECK(schema_read(row, str_from(row->min), &v));
        bool real = row->type == SCHEMA_SHARE || row->type == SCHEMA_RATIO;
        double min = row->type == SCHEMA_WEIGHT ? (v.n == 0 ? 0 : 1) : real ? v.share : (double)v.n;
        number_member(p, first, row->above_min ? "exclusiveMinimum" : "minimum", min);
    }
    if (row->max != NULL) {
        CHECK(schema_read(row, str_from(row->max), &v));
        bool real = row->type == SCHEMA_SHARE || row->type == SCHEMA_RATIO;
        double max = row->type == SCHEMA_WEIGHT ? (double)v.n / 100 : real ? v.share : (double)v.n;
        number_member(p, first, row->below_max ? "exclusiveMaximum" : "maximum", max);
    }
}

static void print_enum(struct printer *p, bool *first, const char *choices)
{
    struct str rest = str_from(choices), word;

    member(p, first, STR("enum"));
    strbuf_add_char(p->out, '[');
    for (bool comma = false; str_split(&rest, '|', &word); comma = true) {
        uint64_t n;
        strbuf_add(p->out, comma ? STR(", ") : STR(""));
        strbuf_add_json(p->out, word);
        if (str_to_u64(word, &n)) /* YAML's 429 is a number to an editor */
            strbuf_addf(p->out, ", " STR_FMT, STR_ARG(word));
    }
    strbuf_add_char(p->out, ']');
}

/* The type's pattern, or the word that stands for 0. */
static void word_pattern(struct printer *p, bool *first, const struct schema_row *row,
                         const char *type_pattern)
{
    struct strbuf pattern;

    strbuf_init(&pattern, 256);
    strbuf_addf(&pattern, "%s%s%s", type_pattern, row->word != NULL ? "|" : "",
                row->word != NULL ? row->word : "");
    pattern_member(p, first, strbuf_cstr(&pattern));
    strbuf_deinit(&pattern);
}

static void print_scalar(struct printer *p, bool *first, const struct schema_row *row)
{
    static const char limit[] = "[0-9]+(\\.[0-9]+)?%?|([0-9]+(\\.[0-9]+)?(h|m|s|ms|us))+";

    switch (row->type) {
    case SCHEMA_TEXT:
        raw_member(p, first, "type", "[\"string\", \"number\"]");
        if (row->pattern != NULL)
            pattern_member(p, first, row->pattern);
        break;
    case SCHEMA_CHOICE:
        print_enum(p, first, row->choices);
        break;
    case SCHEMA_COUNT:
        raw_member(p, first, "type", "[\"integer\", \"string\"]");
        print_bounds(p, first, row);
        word_pattern(p, first, row, "[0-9]+");
        break;
    case SCHEMA_DURATION:
    case SCHEMA_SIZE:
        raw_member(p, first, "type", "[\"string\", \"integer\"]");
        print_bounds(p, first, row);
        word_pattern(p, first, row, row->type == SCHEMA_SIZE ? size_pattern : duration_pattern);
        break;
    case SCHEMA_SHARE:
    case SCHEMA_WEIGHT:
        raw_member(p, first, "type", "[\"string\", \"number\"]");
        print_bounds(p, first, row);
        pattern_member(p, first, share_pattern);
        break;
    case SCHEMA_BOOL:
        raw_member(p, first, "type", "[\"boolean\", \"string\"]");
        pattern_member(p, first, "true|false");
        break;
    case SCHEMA_RATIO:
        raw_member(p, first, "type", "[\"string\", \"number\"]");
        print_bounds(p, first, row);
        pattern_member(p, first, ratio_pattern);
        break;
    case SCHEMA_LIMIT:
        raw_member(p, first, "type", "[\"string\", \"number\"]");
        raw_member(p, first, "exclusiveMinimum", "0");
        raw_member(p, first, "maximum", "10");
        pattern_member(p, first, limit);
        break;
    case SCHEMA_TEXT_MAP:
        raw_member(p, first, "type", "\"object\"");
        raw_member(p, first, "additionalProperties",
                   "{\"type\": [\"string\", \"number\", \"boolean\"]}");
        break;
    case SCHEMA_MAP:
    case SCHEMA_TYPE_COUNT:
        UNREACHABLE();
    }
}

/* --- defaults --- */

static void print_value(struct printer *p, const struct yaml_node *node)
{
    uint64_t n;

    if (node->kind == YAML_TEXT) {
        if (str_to_u64(node->text, &n))
            strbuf_add(p->out, node->text);
        else
            strbuf_add_json(p->out, node->text);
        return;
    }
    strbuf_add_char(p->out, node->kind == YAML_LIST ? '[' : '{');
    for (const struct yaml_node *c = node->first; c != NULL; c = c->next) {
        if (node->kind == YAML_MAP) {
            strbuf_add_json(p->out, c->key);
            strbuf_add(p->out, STR(": "));
        }
        print_value(p, c);
        strbuf_add(p->out, c->next != NULL ? STR(", ") : STR(""));
    }
    strbuf_add_char(p->out, node->kind == YAML_LIST ? ']' : '}');
}

static void print_default(struct printer *p, bool *first, const struct schema_row *row)
{
    struct diagnostics none;
    struct yaml_node *node;
    struct arena arena;

    if (row->default_text == NULL)
        return;
    if (row->type == SCHEMA_BOOL) {
        raw_member(p, first, "default", row->default_text);
        return;
    }
    diagnostics_init(&none);
    arena_init(&arena);
    CHECK(yaml_parse("default", str_from(row->default_text), &arena, &node, &none) == 0);
    member(p, first, STR("default"));
    print_value(p, node);
    arena_deinit(&arena);
    diagnostics_deinit(&none);
}

/* --- objects and lists --- */

static void print_required(struct printer *p, bool *first, struct str parent)
{
    bool any = false;

    for (size_t i = 0; i < p->schema->count; i++) {
        const struct schema_row *row = &p->schema->rows[i];
        if (!row->required || row->later || !str_eq(schema_parent(row), parent))
            continue;
        if (!any)
            member(p, first, STR("required"));
        strbuf_add(p->out, any ? STR(", ") : STR("["));
        strbuf_add_json(p->out, schema_leaf(row));
        any = true;
    }
    if (any)
        strbuf_add_char(p->out, ']');
}

static void print_members(struct printer *p, bool *first, struct str parent)
{
    bool none = true;

    raw_member(p, first, "type", "\"object\"");
    raw_member(p, first, "additionalProperties", "false");
    print_required(p, first, parent);
    member(p, first, STR("properties"));
    strbuf_add_char(p->out, '{');
    p->indent++;
    for (size_t i = 0; i < p->schema->count; i++) {
        const struct schema_row *row = &p->schema->rows[i];
        if (row->later || !str_eq(schema_parent(row), parent))
            continue;
        member(p, &none, schema_leaf(row));
        print_type(p, row, true);
    }
    p->indent--;
    newline(p);
    strbuf_add_char(p->out, '}');
}

/* One value, where text may stand for a mapping of one key. */
static void print_one(struct printer *p, bool *first, const struct schema_row *row)
{
    if (row->type != SCHEMA_MAP) {
        print_scalar(p, first, row);
        return;
    }
    if (row->shorthand == NULL) {
        print_members(p, first, str_from(row->path));
        return;
    }
    member(p, first, STR("anyOf"));
    strbuf_add_char(p->out, '[');
    p->indent++;
    newline(p);
    print_type(p, schema_find(p->schema, str_from(row->path), str_from(row->shorthand)), true);
    strbuf_add_char(p->out, ',');
    newline(p);
    strbuf_add_char(p->out, '{');
    p->indent++;
    bool none = true;
    print_members(p, &none, str_from(row->path));
    p->indent--;
    newline(p);
    strbuf_add_char(p->out, '}');
    p->indent--;
    newline(p);
    strbuf_add_char(p->out, ']');
}

static void print_list(struct printer *p, bool *first, const struct schema_row *row)
{
    raw_member(p, first, "type", "\"array\"");
    if (!row->may_be_empty)
        raw_member(p, first, "minItems", "1");
    if (row->items_max > 0)
        number_member(p, first, "maxItems", (double)row->items_max);
    member(p, first, STR("items"));
    print_type(p, row, false);
}

static void print_one_or_many(struct printer *p, bool *first, const struct schema_row *row)
{
    bool none = true;

    member(p, first, STR("anyOf"));
    strbuf_add_char(p->out, '[');
    p->indent++;
    newline(p);
    print_type(p, row, false);
    strbuf_add_char(p->out, ',');
    newline(p);
    strbuf_add_char(p->out, '{');
    p->indent++;
    print_list(p, &none, row);
    p->indent--;
    newline(p);
    strbuf_add_char(p->out, '}');
    p->indent--;
    newline(p);
    strbuf_add_char(p->out, ']');
}

/* The schema of a row's value; without lists, of one of its items. */
static void print_type(struct printer *p, const struct schema_row *row, bool with_lists)
{
    bool first = true;

    strbuf_add_char(p->out, '{');
    p->indent++;
    if (with_lists) {
        text_member(p, &first, "description", row->doc);
        print_default(p, &first, row);
    }
    if (with_lists && row->many == SCHEMA_MANY)
        print_list(p, &first, row);
    else if (with_lists && row->many == SCHEMA_ONE_OR_MANY)
        print_one_or_many(p, &first, row);
    else
        print_one(p, &first, row);
    p->indent--;
    newline(p);
    strbuf_add_char(p->out, '}');
}

void schema_print_json(const struct schema *s, struct strbuf *out)
{
    struct printer p = {.schema = s, .out = out, .indent = 1};
    bool first = true;

    strbuf_add_char(out, '{');
    text_member(&p, &first, "$schema", "https://json-schema.org/draft/2020-12/schema");
    text_member(&p, &first, "title",
                s == &schema_policy ? "sluice policy" : "sluice configuration");
    text_member(&p, &first, "description",
                s == &schema_policy
                    ? "One rollout: a stable version, a canary, and how it is judged."
                    : "The proxy, the controller, and where the policies are.");
    print_members(&p, &first, (struct str){"", 0});
    strbuf_add(out, STR("\n}\n"));
}
