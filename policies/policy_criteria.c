/* `analysis.criteria`: one item of the file may be several criteria, since `max` and `max_increase`
 * may stand together and `quantile` may be a list. What is expanded keeps the position of the item.
 *
 * The tests need a null probability p0 between 0 and one half: a limit of 0 cannot be told from
 * luck, and above one half "bad" would be the usual case. */
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
#include "policies/policy_read.h"
#include "policies/schema.h"
#include "policies/yaml_text.h"

const char *const metric_names[METRIC_COUNT] = {
    [METRIC_ERROR_RATE] = "error_rate",
    [METRIC_OUTCOME] = "outcome",
    [METRIC_CLIENT_ABORT_RATE] = "client_abort_rate",
    [METRIC_STREAM_TRUNCATION_RATE] = "stream_truncation_rate",
    [METRIC_STREAM_STALL_RATE] = "stream_stall_rate",
    [METRIC_STREAM_EMPTY_RATE] = "stream_empty_rate",
    [METRIC_STREAM_ERROR_RATE] = "stream_error_rate",
    [METRIC_LATENCY] = "latency",
    [METRIC_TIME_TO_FIRST_TOKEN] = "time_to_first_token",
    [METRIC_INTER_TOKEN_GAP] = "inter_token_gap",
    [METRIC_TIME_PER_OUTPUT_TOKEN] = "time_per_output_token",
    [METRIC_RESPONSE_SIZE] = "response_size",
    [METRIC_TOKEN_USAGE] = "token_usage",
    [METRIC_DRIFT] = "drift",
};

struct criteria {
    struct policy_reader *reader;
    struct policy_criterion *items;
    size_t count;
    bool full;        /* said once */
    const char *path; /* for warnings: they outlive the policy */
};

static const int64_t latency_limit_max_ns = INT64_C(3600000000000); /* what a histogram can hold */

static void add(struct criteria *c, struct source_pos at, struct policy_criterion k)
{
    if (c->count == CRITERIA_MAX) {
        if (!c->full)
            diagnostics_addf(c->reader->errors, at, NULL,
                             "too many criteria: %d is the most, counting each quantile",
                             CRITERIA_MAX);
        c->full = true;
        return;
    }
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->items[i].name, k.name) != 0)
            continue;
        diagnostics_addf(c->reader->errors, at, "remove one of the two",
                         "the criterion \"%s\" is written twice, first in line %u", k.name,
                         c->items[i].at.line);
        return;
    }
    k.at = policy_reader_keep(c->reader, at);
    k.require_no_harm = k.test == TEST_MAX;
    if (k.metric == METRIC_ERROR_RATE)
        k.kinds = outcome_errors;
    c->items[c->count++] = k;
}

/* A share strictly between 0 and one half. */
static bool read_rate(struct criteria *c, const struct yaml_node *n, double *ret)
{
    struct str leaf = n->key;
    char shown[YAML_SHOWN_MAX];
    int64_t ns;

    yaml_shown(n->text, shown);
    if (!units_parse_share(n->text, ret)) {
        bool duration = units_parse_duration(n->text, &ns);
        diagnostics_addf(c->reader->errors, n->at,
                         duration ? "an error_rate is a share of requests: write 1% or 0.01"
                                  : "write 1% or 0.01",
                         "\"" STR_FMT "\" of error_rate must be a share, not \"%s\"", STR_ARG(leaf),
                         shown);
        return false;
    }
    if (*ret <= 0) {
        diagnostics_addf(c->reader->errors, n->at,
                         "no number of requests can show a rate of 0; write a small one like 0.01%",
                         "\"" STR_FMT "\" of error_rate must be above 0%%", STR_ARG(leaf));
        return false;
    }
    if (*ret >= 0.5) {
        diagnostics_addf(c->reader->errors, n->at,
                         str_ends_with(n->text, STR("%")) ? "" : "one percent is written 1%",
                         "\"" STR_FMT "\" of error_rate must be below 50%%, not %s", STR_ARG(leaf),
                         shown);
        return false;
    }
    return true;
}

static void add_rate(struct criteria *c, const struct yaml_node *item, const struct yaml_node *n,
                     enum criterion_test test)
{
    char text[UNITS_TEXT_MAX];
    double limit;

    if (n == NULL || n->bad || n->kind != YAML_TEXT || !read_rate(c, n, &limit))
        return;
    struct policy_criterion k = {.metric = METRIC_ERROR_RATE, .test = test, .limit = limit};
    if (test == TEST_MAX) {
        k.p0 = limit;
    } else {
        k.ratio = 1;
        k.delta = limit;
    }
    k.name = arena_printf(c->reader->arena, "error_rate %s %s",
                          test == TEST_MAX ? "max" : "max_increase", units_share_text(limit, text));
    add(c, item->at, k);
}

static void read_error_rate(struct criteria *c, struct yaml_node *item)
{
    struct yaml_node *max = yaml_get(item, STR("max"));
    struct yaml_node *increase = yaml_get(item, STR("max_increase"));
    struct yaml_node *quantile = yaml_get(item, STR("quantile"));

    if (quantile != NULL)
        diagnostics_addf(c->reader->errors, quantile->key_at, "remove it, or write metric: latency",
                         "\"quantile\" does not belong to error_rate");
    if (max == NULL && increase == NULL && !item->bad && !c->reader->cut)
        diagnostics_addf(c->reader->errors, item->at, "add max: 1%, max_increase: 0.5% or both",
                         "error_rate has no limit");
    add_rate(c, item, max, TEST_MAX);
    add_rate(c, item, increase, TEST_MAX_INCREASE);
}

static bool read_latency_limit(struct criteria *c, const struct yaml_node *n, int64_t *ret)
{
    char shown[YAML_SHOWN_MAX];

    if (n->bad || n->kind != YAML_TEXT)
        return false;
    if (!units_parse_duration(n->text, ret)) {
        diagnostics_addf(c->reader->errors, n->at, "write a number with its unit: 500ms, 2s",
                         "\"max\" of latency must be a duration, not \"%s\"",
                         yaml_shown(n->text, shown));
        return false;
    }
    if (*ret <= 0 || *ret > latency_limit_max_ns) {
        diagnostics_addf(c->reader->errors, n->at, NULL,
                         "\"max\" of latency must be above 0s and at most 1h, not %s",
                         yaml_shown(n->text, shown));
        return false;
    }
    return true;
}

static void add_latency(struct criteria *c, const struct yaml_node *item, struct yaml_node *n,
                        int64_t limit_ns)
{
    char limit[UNITS_TEXT_MAX];
    struct schema_value v;

    if (n->bad || n->kind != YAML_TEXT)
        return;
    CHECK(schema_read(schema_row(&schema_policy, "analysis.criteria.quantile"), n->text, &v));
    add(c, item->at,
        (struct policy_criterion){
            .name = arena_printf(c->reader->arena, "latency p%.8g max %s", v.share * 100,
                                 units_duration_text(limit_ns, limit)),
            .metric = METRIC_LATENCY,
            .test = TEST_MAX,
            .quantile = v.share,
            .limit = (double)limit_ns / 1e9,
            .limit_ns = limit_ns,
            .p0 = 1 - v.share,
        });
}

static void read_latency(struct criteria *c, struct yaml_node *item)
{
    struct yaml_node *max = yaml_get(item, STR("max"));
    struct yaml_node *increase = yaml_get(item, STR("max_increase"));
    struct yaml_node *quantiles = yaml_get(item, STR("quantile"));
    struct diagnostics *errors = c->reader->errors;
    int64_t limit_ns;

    if (increase != NULL)
        diagnostics_addf(errors, increase->key_at, "write max: 500ms",
                         "\"max_increase\" is not supported yet for latency");
    if (quantiles == NULL && !c->reader->cut)
        diagnostics_addf(errors, item->at, "add quantile: 99%", "latency needs a quantile");
    else if (quantiles != NULL && quantiles->kind == YAML_LIST && quantiles->count == 0)
        diagnostics_addf(errors, quantiles->at, "write quantile: 99%", "\"quantile\" is empty");
    if (max == NULL && increase == NULL && yaml_get(item, STR("max_ratio")) == NULL &&
        !c->reader->cut)
        diagnostics_addf(errors, item->at, "add max: 500ms", "latency has no limit");
    if (max == NULL || !read_latency_limit(c, max, &limit_ns) || quantiles == NULL ||
        quantiles->bad || quantiles->kind != YAML_LIST)
        return;
    for (struct yaml_node *n = quantiles->first; n != NULL; n = n->next)
        add_latency(c, item, n, limit_ns);
}

static void read_criterion(struct criteria *c, struct yaml_node *item)
{
    const struct yaml_node *metric = yaml_get(item, STR("metric"));

    if (metric == NULL || metric->bad || metric->kind != YAML_TEXT)
        return;
    if (str_eq(metric->text, STR("latency")))
        read_latency(c, item);
    else
        read_error_rate(c, item);
}

/* Of two limits for the same thing the stricter is always broken first. That is no error, since
 * nothing is lost; but the looser one only looks as if it did something. */
static void warn_of_looser(const struct criteria *c)
{
    for (size_t i = 0; i < c->count; i++) {
        const struct policy_criterion *looser = &c->items[i], *stricter = NULL;
        for (size_t j = 0; j < c->count; j++) {
            const struct policy_criterion *k = &c->items[j];
            bool same = k->metric == looser->metric && k->test == looser->test &&
                        k->quantile >= looser->quantile && k->quantile <= looser->quantile;
            if (same && k->limit < (stricter == NULL ? looser : stricter)->limit)
                stricter = k;
        }
        if (stricter == NULL || looser->at.line == 0)
            continue;
        struct source_pos at = {c->path, looser->at.line, looser->at.column};
        diagnostics_warnf(c->reader->errors, at, "keep the one that you mean",
                          "\"%s\" never decides: \"%s\" (line %u) is stricter", looser->name,
                          stricter->name, stricter->at.line);
    }
}

void policy_read_criteria(struct policy_reader *r, struct yaml_node *list,
                          struct policy_analysis *a)
{
    struct criteria c = {.reader = r,
                         .items = arena_alloc(r->arena, CRITERIA_MAX * sizeof(*c.items))};

    a->criteria = c.items;
    if (list == NULL)
        list = schema_default(&schema_policy, "analysis.criteria", r->scratch);
    if (list->kind != YAML_LIST || list->bad)
        return;
    if (list->count == 0)
        diagnostics_addf(r->errors, list->at, "leave the key out for the defaults",
                         "\"criteria\" is empty: nothing would be judged");
    for (struct yaml_node *item = list->first; item != NULL; item = item->next)
        read_criterion(&c, item);
    for (size_t i = 0; i < c.count; i++) {
        c.items[i].group = (uint32_t)i;
        c.items[i].weight = 1 / (double)c.count;
    }
    a->error_kinds = outcome_errors;
    c.path = list->at.file; /* outlives the policy */
    if (!c.full)
        warn_of_looser(&c);
    a->criteria_count = c.count;
}
