/* Limits of values that are compared as distributions: sizes of answers, tokens used, and a member
 * of JSON answers named by a pointer (RFC 6901). `max` is how far the canary's may be from
 * stable's, in the units of `test`. */
#include <stdio.h>

#include "base/check.h"
#include "policies/policy_criteria.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

static const double psi_max = 10; /* beyond any that buckets of ten can give but for nonsense */

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("analysis.criteria.test", struct policy_criterion, shift),
};

/* What is wrong with a pointer, or NULL. */
static const char *pointer_error(struct str s)
{
    size_t depth = 0;

    if (s.ptr[0] == '$' || s.ptr[0] == '.')
        return "is a JSONPath, not a JSON pointer";
    if (s.ptr[0] != '/')
        return "does not begin with \"/\"";
    if (s.len > FIELD_BYTES_MAX)
        return "is longer than 256 bytes";
    for (size_t i = 0; i < s.len; i++) {
        depth += s.ptr[i] == '/';
        if (s.ptr[i] == '~' && (i + 1 == s.len || (s.ptr[i + 1] != '0' && s.ptr[i + 1] != '1')))
            return "has a \"~\" that is neither ~0 nor ~1";
        if (s.ptr[i] == '-' && s.ptr[i - 1] == '/' && (i + 1 == s.len || s.ptr[i + 1] == '/'))
            return "names the item behind an array's last, which never is there";
    }
    return depth > FIELD_DEPTH_MAX ? "is deeper than 16 names" : NULL;
}

static bool read_field(struct policy_criteria *c, const struct policy_criterion_item *item,
                       const char **ret)
{
    const struct yaml_node *n = yaml_get(item->node, STR("field"));
    char shown[YAML_SHOWN_MAX];

    if (n == NULL) {
        if (!item->node->bad && !yaml_has_bad(item->node) && !c->reader->cut)
            diagnostics_addf(c->reader->errors, item->node->at, "add field: /predictions/0/score",
                             "drift needs a field: which member of the answers is compared");
        return false;
    }
    if (n->bad || n->kind != YAML_TEXT)
        return false;
    const char *error = pointer_error(n->text);
    if (error != NULL) {
        diagnostics_addf(c->reader->errors, n->at,
                         "write names and indices behind slashes: /predictions/0/score",
                         "the field \"%s\" %s", yaml_shown(n->text, shown), error);
        return false;
    }
    *ret = arena_strdup(c->reader->arena, n->text);
    return true;
}

static bool read_max(struct policy_criteria *c, const struct policy_criterion_item *item,
                     const struct yaml_node *n, double *ret)
{
    const char *metric = metric_names[item->base.metric];
    bool ks = item->base.shift == SHIFT_KS;
    char shown[YAML_SHOWN_MAX];

    yaml_shown(n->text, shown);
    if (!schema_read_number(n->text, ret)) {
        diagnostics_addf(c->reader->errors, n->at, "write max: 0.2",
                         "\"max\" of %s must be a number, not \"%s\"", metric, shown);
        return false;
    }
    if (*ret <= 0 || *ret > psi_max || (ks && *ret >= 1)) {
        diagnostics_addf(c->reader->errors, n->at,
                         ks ? "write max: 0.1"
                            : "write max: 0.2; 0.1 is a small shift, 0.25 a large one",
                         ks ? "\"max\" of %s with test: ks must be above 0 and below 1, not %s"
                            : "\"max\" of %s must be above 0 and at most 10, not %s",
                         metric, shown);
        return false;
    }
    return true;
}

void policy_criterion_shift(struct policy_criteria *c, struct policy_criterion_item *item)
{
    const struct yaml_node *max = policy_criterion_text(item, "max");
    struct policy_criterion k = item->base;
    char what[FIELD_BYTES_MAX + 32], limit[64];

    schema_fill(&schema_policy, "analysis.criteria", item->node, bindings, ARRAY_LEN(bindings),
                c->reader->arena, &k);
    item->base.shift = k.shift;
    k.test = TEST_SHIFT;
    if (yaml_get(item->node, STR("max")) == NULL)
        policy_criteria_no_limit(c, item, "add max: 0.2");
    if (k.metric == METRIC_DRIFT && !read_field(c, item, &k.field))
        return;
    if (max == NULL || !read_max(c, item, max, &k.limit))
        return;
    snprintf(what, sizeof(what), "%s%s%s", metric_names[k.metric], k.field != NULL ? " " : "",
             k.field != NULL ? k.field : "");
    snprintf(limit, sizeof(limit), "%s max %.6g", k.shift == SHIFT_KS ? "ks" : "psi", k.limit);
    policy_criteria_group(c);
    policy_criteria_add(c, item, k, what, limit);
}
