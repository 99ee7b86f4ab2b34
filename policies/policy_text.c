/* What surprises: the values are written as they were read, not as they were understood, so that a
 * key which is added to the language needs nothing here.
 */
#include "policies/policy_text.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/strbuf.h"

/* Every value is written with quotes and escapes: more than it was. */
enum { TEXT_BYTES_MAX = 8 * YAML_BYTES_MAX };

/* The rest says which requests come and how they are forwarded. */
static const char *const deciding[] = {"rollout", "start", "stable",  "canary",
                                       "steps",   "bake",  "analysis"};
/* How long a request may be in flight bounds the slots that stay open. */
static const char *const deciding_upstream[] = {"connect_timeout", "first_byte_timeout",
                                                "idle_timeout", "total_timeout"};
/* Of a version: everything else is about how it is reached. */
static const char *const deciding_version[] = {"version", "endpoints", "start_when"};

static void add_value(struct strbuf *out, const struct yaml_node *n);

/* "${" would be read as the beginning of a variable. */
static void add_text(struct strbuf *out, struct str text)
{
    struct strbuf plain;

    strbuf_init(&plain, TEXT_BYTES_MAX);
    for (size_t i = 0; i < text.len; i++) {
        if (text.ptr[i] == '$' && i + 1 < text.len && text.ptr[i + 1] == '{')
            strbuf_add_char(&plain, '$');
        strbuf_add_char(&plain, text.ptr[i]);
    }
    strbuf_add_json(out, strbuf_str(&plain));
    strbuf_deinit(&plain);
}

static void add_member(struct strbuf *out, const struct yaml_node *n, bool *first)
{
    strbuf_add(out, *first ? STR("") : STR(", "));
    *first = false;
    strbuf_add_json(out, n->key);
    strbuf_add(out, STR(": "));
    add_value(out, n);
}

static void add_value(struct strbuf *out, const struct yaml_node *n)
{
    bool first = true;

    if (n->kind == YAML_TEXT) {
        if (yaml_is_null(n))
            strbuf_add(out, STR("null"));
        else
            add_text(out, n->text);
        return;
    }
    strbuf_add_char(out, n->kind == YAML_MAP ? '{' : '[');
    for (const struct yaml_node *m = n->first; m != NULL; m = m->next) {
        if (n->kind == YAML_MAP) {
            add_member(out, m, &first);
            continue;
        }
        strbuf_add(out, first ? STR("") : STR(", "));
        first = false;
        add_value(out, m);
    }
    strbuf_add_char(out, n->kind == YAML_MAP ? '}' : ']');
}

static bool is_one_of(struct str key, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (str_eq(key, str_from(names[i])))
            return true;
    return false;
}

static void add_some(struct strbuf *out, const struct yaml_node *map, const char *const *names,
                     size_t count)
{
    bool first = true;

    if (map->kind != YAML_MAP) {
        add_value(out, map);
        return;
    }
    strbuf_add_char(out, '{');
    for (const struct yaml_node *m = map->first; m != NULL; m = m->next)
        if (is_one_of(m->key, names, count))
            add_member(out, m, &first);
    strbuf_add_char(out, '}');
}

static void add_section(struct strbuf *out, const struct yaml_node *n, bool *first)
{
    bool version = str_eq(n->key, STR("stable")) || str_eq(n->key, STR("canary"));
    bool upstream = str_eq(n->key, STR("upstream"));

    if (!version && !upstream && !is_one_of(n->key, deciding, ARRAY_LEN(deciding)))
        return;
    strbuf_add(out, *first ? STR("") : STR(",\n "));
    *first = false;
    strbuf_add_json(out, n->key);
    strbuf_add(out, STR(": "));
    if (version)
        add_some(out, n, deciding_version, ARRAY_LEN(deciding_version));
    else if (upstream)
        add_some(out, n, deciding_upstream, ARRAY_LEN(deciding_upstream));
    else
        add_value(out, n);
}

const char *policy_text(struct arena *arena, const struct yaml_node *root)
{
    struct strbuf out;
    bool first = true;

    if (root->kind != YAML_MAP)
        return "";
    strbuf_init(&out, TEXT_BYTES_MAX);
    strbuf_add_char(&out, '{');
    for (const struct yaml_node *n = root->first; n != NULL; n = n->next)
        add_section(&out, n, &first);
    strbuf_add(&out, STR("}\n"));
    const char *text = out.overflow ? "" : arena_strdup(arena, strbuf_str(&out));
    strbuf_deinit(&out);
    return text;
}
