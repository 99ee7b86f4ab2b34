/* Limits of times. "The p99 is at most 500 ms" is the same as "at most 1 % of the requests take
 * longer", so that a time's limit is one of a share; against stable, what is longer follows
 * stable's own quantile (analysis/reference.h). */
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
#include "policies/policy_criteria.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

static const int64_t limit_max_ns = INT64_C(3600000000000); /* what a histogram can hold */

static bool read_max(struct policy_criteria *c, const struct policy_criterion_item *item,
                     const struct yaml_node *n, int64_t *ret)
{
    const char *metric = metric_names[item->base.metric];
    char shown[YAML_SHOWN_MAX];

    if (!units_parse_duration(n->text, ret)) {
        diagnostics_addf(c->reader->errors, n->at, "write a number with its unit: 500ms, 2s",
                         "\"max\" of %s must be a duration, not \"%s\"", metric,
                         yaml_shown(n->text, shown));
        return false;
    }
    if (*ret <= 0 || *ret > limit_max_ns) {
        diagnostics_addf(c->reader->errors, n->at, NULL,
                         "\"max\" of %s must be above 0s and at most 1h, not %s", metric,
                         yaml_shown(n->text, shown));
        return false;
    }
    return true;
}

static void add(struct policy_criteria *c, const struct policy_criterion_item *item,
                struct policy_criterion k, const char *limit)
{
    char what[64];

    snprintf(what, sizeof(what), "%s p%.8g", metric_names[k.metric], k.quantile * 100);
    policy_criteria_add(c, item, k, what, limit);
}

static void add_max(struct policy_criteria *c, const struct policy_criterion_item *item,
                    const struct yaml_node *quantiles)
{
    const struct yaml_node *max = policy_criterion_text(item, "max");
    const struct schema_row *row = schema_row(&schema_policy, "analysis.criteria.quantile");
    struct policy_criterion k = item->base;
    char text[UNITS_TEXT_MAX], limit[64];
    struct schema_value v;

    if (max == NULL || !read_max(c, item, max, &k.limit_ns) || quantiles == NULL)
        return;
    k.test = TEST_MAX;
    k.limit = (double)k.limit_ns / 1e9;
    snprintf(limit, sizeof(limit), "max %s", units_duration_text(k.limit_ns, text));
    policy_criteria_group(c);
    for (const struct yaml_node *n = quantiles->first; n != NULL; n = n->next) {
        if (n->bad)
            continue;
        CHECK(schema_read(row, n->text, &v));
        k.quantile = v.share;
        k.p0 = 1 - v.share;
        if (v.share > 0.5)
            add(c, item, k, limit);
        else
            diagnostics_addf(c->reader->errors, n->at, "write 90%, or compare it: max_ratio: 1.3",
                             "with \"max\" the quantile must be above 50%%");
    }
}

/* How much further the canary's tail may reach over the moved limit: a fifth of the tail, at most
 * 2 %, is what no user sees and a healthy canary sometimes does. */
static double delta_of(double quantile)
{
    double fifth = 0.2 * (1 - quantile);

    return fifth < 0.02 ? fifth : 0.02;
}

static int64_t slack_of(const struct policy_criterion_item *item)
{
    const struct schema_row *row = schema_row(&schema_policy, "analysis.criteria.slack");
    const struct yaml_node *slack = policy_criterion_text(item, "slack");
    struct schema_value v;

    CHECK(schema_read(row, slack != NULL ? slack->text : str_from(row->default_text), &v));
    return v.ns;
}

static void add_ratio(struct policy_criteria *c, const struct policy_criterion_item *item,
                      const struct yaml_node *quantiles)
{
    const struct yaml_node *ratio = policy_criterion_text(item, "max_ratio");
    const struct schema_row *row = schema_row(&schema_policy, "analysis.criteria.quantile");
    struct policy_criterion k = item->base;
    struct schema_value v;
    char limit[64];

    if (ratio == NULL || quantiles == NULL)
        return;
    CHECK(schema_read(schema_row(&schema_policy, "analysis.criteria.max_ratio"), ratio->text, &v));
    k.test = TEST_MAX_RATIO;
    k.limit = v.share;
    k.ratio = 1;
    k.slack_ns = slack_of(item);
    snprintf(limit, sizeof(limit), "max_ratio %.6g", v.share);
    policy_criteria_group(c);
    for (const struct yaml_node *n = quantiles->first; n != NULL; n = n->next) {
        if (n->bad)
            continue;
        CHECK(schema_read(row, n->text, &v));
        k.quantile = v.share;
        k.delta = delta_of(v.share);
        add(c, item, k, limit);
    }
}

void policy_criterion_time(struct policy_criteria *c, struct policy_criterion_item *item)
{
    const struct yaml_node *quantiles = yaml_get(item->node, STR("quantile"));
    bool whole = !item->node->bad && !yaml_has_bad(item->node) && !c->reader->cut;

    if (quantiles == NULL && whole)
        diagnostics_addf(c->reader->errors, item->node->at, "add quantile: 99%",
                         "%s needs a quantile", metric_names[item->base.metric]);
    if (quantiles != NULL && quantiles->kind == YAML_LIST && !quantiles->bad &&
        quantiles->count == 0)
        diagnostics_addf(c->reader->errors, quantiles->at, "write quantile: 99%",
                         "\"quantile\" is empty");
    if (yaml_get(item->node, STR("max")) == NULL && yaml_get(item->node, STR("max_ratio")) == NULL)
        policy_criteria_no_limit(c, item, "add max_ratio: 1.3 (against stable) or max: 500ms");
    const struct yaml_node *slack = yaml_get(item->node, STR("slack"));
    if (slack != NULL && !slack->bad && whole && yaml_get(item->node, STR("max_ratio")) == NULL)
        diagnostics_addf(c->reader->errors, slack->key_at, "remove it, or write max_ratio: 1.3",
                         "\"slack\" means nothing without max_ratio");
    if (quantiles != NULL && (quantiles->bad || quantiles->kind != YAML_LIST))
        quantiles = NULL;
    add_max(c, item, quantiles);
    add_ratio(c, item, quantiles);
}
