/* `where`: which requests a criterion looks at. One that can never have a request is an error when
 * its own keys say so, and a warning when `match` does, which may be about to change. */
#include <stdio.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "policies/policy_criteria.h"
#include "policies/policy_fields.h"

enum { SUFFIX_MAX = 8192 };

/* `prefix` is a prefix of `path` that ends where a name does. */
static bool is_beneath(const char *path, const char *prefix)
{
    size_t len = strlen(prefix);

    if (strncmp(path, prefix, len) != 0)
        return false;
    return prefix[len - 1] == '/' || path[len] == '\0' || path[len] == '/';
}

static void warn_of_paths(const struct policy_criteria *c, const struct yaml_node *list,
                          const struct policy_where *w)
{
    const struct policy_match *m = &c->policy->match;

    for (size_t i = 0; i < w->path_count; i++)
        for (size_t j = 0; j < m->path_count; j++)
            if (is_beneath(w->paths[i], m->paths[j]) || is_beneath(m->paths[j], w->paths[i]))
                return;
    if (w->path_count > 0 && m->path_count > 0)
        diagnostics_warnf(c->reader->errors, list->at, "write a path that match.paths takes",
                          "the criterion sees no request: the rollout takes none of these paths");
}

static void warn_of_methods(const struct policy_criteria *c, const struct yaml_node *list,
                            const struct policy_where *w)
{
    const struct policy_match *m = &c->policy->match;

    for (size_t i = 0; i < w->method_count; i++)
        for (size_t j = 0; j < m->method_count; j++)
            if (strcmp(w->methods[i], m->methods[j]) == 0)
                return;
    if (w->method_count > 0 && m->method_count > 0)
        diagnostics_warnf(c->reader->errors, list->at, "write a method that match.methods has",
                          "the criterion sees no request: the rollout takes none of these methods");
}

static void read_stream(struct policy_criteria *c, const struct yaml_node *n,
                        const struct policy_criterion *k, enum where_stream *ret)
{
    if (n == NULL || n->bad || n->kind != YAML_TEXT)
        return;
    *ret = str_eq(n->text, STR("true")) ? WHERE_STREAM : WHERE_NO_STREAM;
    if (*ret == WHERE_NO_STREAM && (METRIC_BIT(k->metric) & metrics_streams) != 0)
        diagnostics_addf(c->reader->errors, n->at, "remove it",
                         "%s is about streams: without them there is nothing to see",
                         metric_names[k->metric]);
    if (*ret == WHERE_STREAM && k->metric == METRIC_DRIFT)
        diagnostics_addf(c->reader->errors, n->at, "remove it",
                         "drift reads JSON answers: none of them is a stream");
}

static void add_words(struct strbuf *out, const char *const *items, size_t count)
{
    for (size_t i = 0; i < count; i++)
        strbuf_addf(out, "%c%s", i == 0 ? ' ' : ',', items[i]);
}

void policy_read_where(struct policy_criteria *c, const struct yaml_node *where,
                       struct policy_criterion *k, const char **ret_suffix)
{
    struct policy_where *w = &k->where;
    struct strbuf suffix;

    *ret_suffix = "";
    if (where == NULL || where->bad || where->kind != YAML_MAP)
        return;
    if (where->count == 0 && !c->reader->cut)
        diagnostics_addf(c->reader->errors, where->at, "leave it out, or add paths: [/predict]",
                         "\"where\" is empty");
    const struct yaml_node *paths = yaml_get(where, STR("paths"));
    const struct yaml_node *methods = yaml_get(where, STR("methods"));
    w->path_count = policy_read_any_of(c->reader, paths, policy_check_path, false, &w->paths);
    w->method_count =
        policy_read_any_of(c->reader, methods, policy_check_method, false, &w->methods);
    warn_of_paths(c, paths, w);
    warn_of_methods(c, methods, w);
    read_stream(c, yaml_get(where, STR("stream")), k, &w->stream);

    strbuf_init(&suffix, SUFFIX_MAX);
    strbuf_add(&suffix, STR(" where"));
    add_words(&suffix, w->methods, w->method_count);
    add_words(&suffix, w->paths, w->path_count);
    if (w->stream != WHERE_ANY)
        strbuf_addf(&suffix, " %s", w->stream == WHERE_STREAM ? "stream" : "no stream");
    *ret_suffix = arena_strdup(c->reader->arena, str_from(strbuf_cstr(&suffix)));
    strbuf_deinit(&suffix);
}
