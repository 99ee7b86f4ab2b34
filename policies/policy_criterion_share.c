/* Limits of shares of requests: how many fail, how many end in one of some outcomes, how many
 * streams break off.
 *
 * The tests need a null probability p0 between 0 and one half: a limit of 0 cannot be told from
 * luck, and above one half "bad" would be the usual case. */
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
#include "policies/policy_criteria.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

enum { WHAT_MAX = 256 };

/* What a ratio is allowed on top, where max_increase does not say it: with few failures a ratio
 * alone would be about single requests. */
static const double delta_of_ratio = 0.001;

/* A share strictly between 0 and one half. */
static bool read_max(struct policy_criteria *c, const struct policy_criterion_item *item,
                     const struct yaml_node *n, double *ret)
{
    const char *metric = metric_names[item->base.metric];
    struct diagnostics *errors = c->reader->errors;
    char shown[YAML_SHOWN_MAX];
    int64_t ns;

    yaml_shown(n->text, shown);
    if (!units_parse_share(n->text, ret)) {
        double over = 0;
        struct str digits = {n->text.ptr, n->text.len - str_ends_with(n->text, STR("%"))};
        if (schema_read_number(digits, &over) && over > 0)
            diagnostics_addf(errors, n->at, "write 1% or 0.01",
                             "\"max\" of %s must be below 50%%, not %s", metric, shown);
        else
            diagnostics_addf(errors, n->at,
                             units_parse_duration(n->text, &ns)
                                 ? "it is a share of requests: write 1% or 0.01"
                                 : "write 1% or 0.01",
                             "\"max\" of %s must be a share, not \"%s\"", metric, shown);
        return false;
    }
    if (*ret <= 0) {
        diagnostics_addf(errors, n->at,
                         "no number of requests can show a rate of 0; write a small one like 0.01%",
                         "\"max\" of %s must be above 0%%", metric);
        return false;
    }
    if (*ret >= 0.5) {
        diagnostics_addf(errors, n->at,
                         str_ends_with(n->text, STR("%")) ? "" : "one percent is written 1%",
                         "\"max\" of %s must be below 50%%, not %s", metric, shown);
        return false;
    }
    return true;
}

static void add_max(struct policy_criteria *c, const struct policy_criterion_item *item,
                    const char *what)
{
    const struct yaml_node *n = policy_criterion_text(item, "max");
    struct policy_criterion k = item->base;
    char text[UNITS_TEXT_MAX], limit[64];

    if (n == NULL || !read_max(c, item, n, &k.limit))
        return;
    k.test = TEST_MAX;
    k.p0 = k.limit;
    snprintf(limit, sizeof(limit), "max %s", units_share_text(k.limit, text));
    policy_criteria_group(c);
    policy_criteria_add(c, item, k, what, limit);
}

/* max_increase alone is a limit of its own; beside max_ratio it is what the ratio has on top. */
static void add_relative(struct policy_criteria *c, const struct policy_criterion_item *item,
                         const char *what)
{
    const struct yaml_node *increase = policy_criterion_text(item, "max_increase");
    const struct yaml_node *ratio = policy_criterion_text(item, "max_ratio");
    struct policy_criterion k = item->base;
    char text[UNITS_TEXT_MAX] = "", limit[96];
    struct schema_value v;

    k.ratio = 1;
    k.delta = delta_of_ratio;
    if (increase != NULL) {
        CHECK(schema_read(schema_row(&schema_policy, "analysis.criteria.max_increase"),
                          increase->text, &v));
        k.delta = v.share;
        units_share_text(v.share, text);
    }
    if (ratio != NULL) {
        CHECK(schema_read(schema_row(&schema_policy, "analysis.criteria.max_ratio"), ratio->text,
                          &v));
        k.test = TEST_MAX_RATIO;
        k.ratio = k.limit = v.share;
        snprintf(limit, sizeof(limit), "max_ratio %.6g%s%s", v.share,
                 increase != NULL ? " max_increase " : "", text);
    } else if (increase != NULL && yaml_get(item->node, STR("max_ratio")) == NULL) {
        k.test = TEST_MAX_INCREASE;
        k.limit = k.delta;
        snprintf(limit, sizeof(limit), "max_increase %s", text);
    } else {
        return; /* none, or its ratio is in error */
    }
    policy_criteria_group(c);
    policy_criteria_add(c, item, k, what, limit);
}

static bool read_is(struct policy_criteria *c, const struct policy_criterion_item *item,
                    uint32_t *ret)
{
    const struct yaml_node *list = yaml_get(item->node, STR("is"));

    if (list == NULL) {
        if (!item->node->bad && !yaml_has_bad(item->node) && !c->reader->cut)
            diagnostics_addf(c->reader->errors, item->node->at, "add is: [4xx, 429]",
                             "outcome needs \"is\": which outcomes it counts");
        return false;
    }
    if (list->bad || list->kind != YAML_LIST)
        return false;
    if (list->count == 0)
        diagnostics_addf(c->reader->errors, list->at, "write is: [4xx, 429]", "\"is\" is empty");
    *ret = policy_read_kinds(c->reader, list);
    return *ret != 0;
}

/* "outcome 4xx+429": in one order, so that the same set has one name. */
static void name_kinds(uint32_t kinds, char to[static WHAT_MAX])
{
    size_t len = (size_t)snprintf(to, WHAT_MAX, "%s", metric_names[METRIC_OUTCOME]);

    for (enum outcome_kind k = OUTCOME_OK, first = OUTCOME_KIND_COUNT; k < OUTCOME_KIND_COUNT;
         k++) {
        if ((kinds & outcome_bit(k)) == 0)
            continue;
        len += (size_t)snprintf(to + len, WHAT_MAX - len, "%c%s",
                                first == OUTCOME_KIND_COUNT ? ' ' : '+', outcome_names[k]);
        first = k;
    }
}

void policy_criterion_share(struct policy_criteria *c, struct policy_criterion_item *item)
{
    static const enum outcome_kind streams[] = {
        [METRIC_STREAM_TRUNCATION_RATE] = OUTCOME_TRUNCATED,
        [METRIC_STREAM_STALL_RATE] = OUTCOME_STALLED,
        [METRIC_STREAM_EMPTY_RATE] = OUTCOME_EMPTY,
        [METRIC_STREAM_ERROR_RATE] = OUTCOME_STREAM_ERROR,
    };
    enum criterion_metric metric = item->base.metric;
    char what[WHAT_MAX];

    str_copy(what, sizeof(what), str_from(metric_names[metric]));
    if (metric == METRIC_OUTCOME) {
        if (!read_is(c, item, &item->base.kinds))
            return;
        name_kinds(item->base.kinds, what);
    } else if (metric == METRIC_ERROR_RATE) {
        item->base.kinds = c->policy->analysis.error_kinds;
    } else if (metric == METRIC_CLIENT_ABORT_RATE) {
        item->base.kinds = outcome_bit(OUTCOME_CLIENT_ABORT);
    } else {
        item->base.kinds = outcome_bit(streams[metric]);
    }
    if (yaml_get(item->node, STR("max")) == NULL &&
        yaml_get(item->node, STR("max_increase")) == NULL &&
        yaml_get(item->node, STR("max_ratio")) == NULL)
        policy_criteria_no_limit(c, item, "add max: 1%, max_increase: 0.5% or both");
    add_max(c, item, what);
    add_relative(c, item, what);
}
