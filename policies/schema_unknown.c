/* Keys that nobody knows: most are a slip, another tool's word, or in the wrong place. */
#include <stdio.h>

#include "policies/schema_read.h"
#include "policies/yaml_text.h"

enum { HINT_MAX = 192 };

const struct schema_row *schema_nearest_key(const struct schema *s, struct str parent,
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

static void hint_unknown(const struct schema *s, struct str parent, struct str key,
                         char to[static HINT_MAX])
{
    const struct schema_row *row = schema_nearest_key(s, parent, key);
    const struct schema *other = s == &schema_policy ? &schema_config : &schema_policy;

    to[0] = '\0';
    if (row != NULL) {
        snprintf(to, HINT_MAX, "did you mean \"" STR_FMT "\"?", STR_ARG(schema_leaf(row)));
        return;
    }
    row = elsewhere(s, key);
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

void schema_report_unknown(const struct schema *s, struct str parent, const struct yaml_node *node,
                           struct diagnostics *reterr)
{
    char name[YAML_SHOWN_MAX], hint[HINT_MAX], in[HINT_MAX] = "";

    hint_unknown(s, parent, node->key, hint);
    if (parent.len > 0)
        snprintf(in, sizeof(in), " in \"" STR_FMT "\"", STR_ARG(parent));
    diagnostics_addf(reterr, node->key_at, hint, "unknown key \"%s\"%s",
                     yaml_shown(node->key, name), in);
}
