/* Lists of words and mappings of header fields, as `match` and `upstream.request_headers` have
 * them: copied, checked one by one, and no item twice. */
#include "policies/policy_fields.h"

#include <ctype.h>

#include "base/check.h"
#include "policies/yaml_text.h"

static const char *lower(struct arena *arena, struct str s)
{
    char *copy = arena_strdup(arena, s);

    for (char *p = copy; *p != '\0'; p++)
        *p = (char)tolower((unsigned char)*p);
    return copy;
}

bool policy_is_token(struct str s)
{
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!isalnum((unsigned char)c) && strchr("!#$%&'*+-.^_`|~", c) == NULL)
            return false;
    }
    return s.len > 0;
}

size_t policy_read_texts(struct policy_reader *r, const struct yaml_node *list,
                         policy_text_fn *check, bool lower_case, const char *const **ret)
{
    if (list == NULL || list->bad || list->kind != YAML_LIST)
        return 0;

    const char **items = arena_alloc(r->arena, list->count * sizeof(*items));
    size_t count = 0;
    for (const struct yaml_node *n = list->first; n != NULL; n = n->next) {
        char shown[YAML_SHOWN_MAX];
        if (n->bad || !check(r, n))
            continue;
        const char *text = lower_case ? lower(r->arena, n->text) : arena_strdup(r->arena, n->text);
        bool twice = false;
        for (size_t i = 0; i < count; i++)
            twice |= strcmp(items[i], text) == 0;
        if (twice)
            diagnostics_addf(r->errors, n->at, "keep one of the two", "\"%s\" is listed twice",
                             yaml_shown(n->text, shown));
        else
            items[count++] = text;
    }
    *ret = items;
    return count;
}

bool policy_check_field_name(struct policy_reader *r, struct str name, struct source_pos at)
{
    char shown[YAML_SHOWN_MAX];

    if (policy_is_token(name))
        return true;
    diagnostics_addf(r->errors, at, NULL, "\"%s\" is not a header field name",
                     yaml_shown(name, shown));
    return false;
}

size_t policy_read_fields(struct policy_reader *r, const struct yaml_node *map,
                          policy_field_fn *check, size_t most, const struct policy_header **ret)
{
    size_t count = 0;

    if (map == NULL || map->bad || map->kind != YAML_MAP)
        return 0;
    if (map->count > most) {
        diagnostics_addf(r->errors, map->at, NULL,
                         "\"" STR_FMT "\" has %zu fields; %zu is the most", STR_ARG(map->key),
                         map->count, most);
        return 0;
    }

    struct policy_header *fields = arena_alloc(r->arena, map->count * sizeof(*fields));
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next) {
        char shown[YAML_SHOWN_MAX];
        bool twice = false;
        if (n->bad || !policy_check_field_name(r, n->key, n->key_at) ||
            !check(r, n->key, n->key_at))
            continue;
        struct policy_header f = {.name = lower(r->arena, n->key),
                                  .value = arena_strdup(r->arena, str_trim(n->text))};
        for (size_t i = 0; i < count; i++)
            twice |= strcmp(fields[i].name, f.name) == 0;
        if (twice)
            diagnostics_addf(r->errors, n->key_at, "field names are compared without case",
                             "the field \"%s\" is listed twice", yaml_shown(n->key, shown));
        else
            fields[count++] = f;
    }
    *ret = fields;
    return count;
}
