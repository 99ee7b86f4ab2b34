/* `analysis.criteria`: the list, what its items have in common, and how they share the evidence.
 * One item may be several criteria, since `max` and `max_increase` may stand together and
 * `quantile` may be a list; what it becomes keeps the item's position. The limits themselves are
 * read by kind: policy_criterion_share.c, _time.c and _shift.c. */
#include "policies/policy_criteria.h"

#include <inttypes.h>
#include <stdio.h>

#include "base/check.h"
#include "base/units.h"
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

static const struct schema_binding bindings[] = {
    SCHEMA_BIND("analysis.criteria.on_fail", struct policy_criterion, on_fail),
    SCHEMA_BIND("analysis.criteria.method", struct policy_criterion, method),
    SCHEMA_BIND("analysis.criteria.window", struct policy_criterion, window_ns),
    SCHEMA_BIND("analysis.criteria.min_requests", struct policy_criterion, window_min_requests),
    SCHEMA_BIND("analysis.criteria.consecutive", struct policy_criterion, window_consecutive),
};

/* --- what a reader of limits adds --- */

void policy_criteria_group(struct policy_criteria *c)
{
    c->group++;
}

static enum on_fail when_frozen(const struct policy_criterion *k)
{
    bool days_differ = k->metric == METRIC_OUTCOME || criterion_is_time(k);

    if (criterion_is_relative(k) && days_differ && k->on_fail == ON_FAIL_ROLLBACK)
        return ON_FAIL_PAUSE;
    return k->on_fail;
}

enum { WINDOWS_TEXT_MAX = 64 };

static const char *windows_text(const struct policy_criterion *k, char to[static WINDOWS_TEXT_MAX])
{
    char length[UNITS_TEXT_MAX];

    to[0] = '\0';
    if (k->method == METHOD_WINDOW)
        snprintf(to, WINDOWS_TEXT_MAX, " in %" PRIu32 " window%s of %s", k->window_consecutive,
                 k->window_consecutive == 1 ? "" : "s", units_duration_text(k->window_ns, length));
    return to;
}

void policy_criteria_add(struct policy_criteria *c, const struct policy_criterion_item *item,
                         struct policy_criterion k, const char *what, const char *limit)
{
    struct source_pos at = item->node->at;
    char windows[WINDOWS_TEXT_MAX];

    if (item->mute)
        return;
    if (c->count == CRITERIA_MAX) {
        if (!c->full)
            diagnostics_addf(c->reader->errors, at, NULL,
                             "too many criteria: %d is the most, counting each quantile",
                             CRITERIA_MAX);
        c->full = true;
        return;
    }
    k.name = arena_printf(c->reader->arena, "%s %s%s%s", what, limit, windows_text(&k, windows),
                          item->suffix);
    for (size_t i = 0; i < c->count; i++) {
        if (strcmp(c->items[i].name, k.name) != 0)
            continue;
        diagnostics_addf(c->reader->errors, at, "remove one of the two",
                         "the criterion \"%s\" is written twice, first in line %u", k.name,
                         c->items[i].at.line);
        return;
    }
    k.at = policy_reader_keep(c->reader, at);
    k.group = c->group;
    k.require_no_harm = k.test == TEST_MAX && item->require_no_harm;
    k.frozen_on_fail = when_frozen(&k);
    c->items[c->count++] = k;
}

void policy_criteria_no_limit(struct policy_criteria *c, const struct policy_criterion_item *item,
                              const char *hint)
{
    if (!item->node->bad && !yaml_has_bad(item->node) && !c->reader->cut)
        diagnostics_addf(c->reader->errors, item->node->at, hint, "%s has no limit",
                         metric_names[item->base.metric]);
}

const struct yaml_node *policy_criterion_text(const struct policy_criterion_item *item,
                                              const char *key)
{
    const struct yaml_node *n = yaml_get(item->node, str_from(key));

    return n == NULL || n->bad || n->kind != YAML_TEXT ? NULL : n;
}

/* --- what does not belong together --- */

static void check_owners(const struct policy_criteria *c, const struct policy_criterion_item *item)
{
    static const char compare[] = "times are compared as a multiple: max_ratio: 1.3";
    const struct {
        const char *key;
        uint32_t metrics;
        const char *hint;
    } owners[] = {
        {"max_increase", metrics_shares,
         (METRIC_BIT(item->base.metric) & metrics_times) != 0 ? compare
                                                              : "write max: how far it may move"},
        {"max_ratio", metrics_shares | metrics_times, "write max: how far it may move"},
        {"quantile", metrics_times, "remove it, or write metric: latency"},
        {"slack", metrics_times, "remove it, or write metric: latency"},
        {"is", METRIC_BIT(METRIC_OUTCOME), "remove it, or write metric: outcome"},
        {"field", METRIC_BIT(METRIC_DRIFT), "remove it, or write metric: drift"},
        {"test", metrics_values, "remove it: it is about metrics that are values, such as drift"},
        {"require", metrics_shares | metrics_times, "remove it: a shift is never shown not to be"},
        {"method", metrics_shares | metrics_times, "remove it: windows are of shares and times"},
    };

    for (size_t i = 0; i < ARRAY_LEN(owners); i++) {
        struct yaml_node *n = yaml_get(item->node, str_from(owners[i].key));
        if (n == NULL || (owners[i].metrics & METRIC_BIT(item->base.metric)) != 0)
            continue;
        if (!n->bad)
            diagnostics_addf(c->reader->errors, n->key_at, owners[i].hint,
                             "\"%s\" does not belong to %s", owners[i].key,
                             metric_names[item->base.metric]);
        n->bad = true;
    }
}

/* `method: window` counts against one fixed limit; its keys mean nothing without it. */
static void check_window(const struct policy_criteria *c, struct policy_criterion_item *item)
{
    static const char *const own[] = {"window", "min_requests", "consecutive"};
    static const char *const relative[] = {"max_increase", "max_ratio"};
    bool windows = item->base.method == METHOD_WINDOW;
    const struct yaml_node *method = yaml_get(item->node, STR("method"));

    for (size_t i = 0; i < ARRAY_LEN(own); i++) {
        const struct yaml_node *n = yaml_get(item->node, str_from(own[i]));
        if (n != NULL && !windows && (method == NULL || !method->bad) && !c->reader->cut)
            diagnostics_addf(c->reader->errors, n->key_at, "add method: window, or remove it",
                             "\"%s\" means nothing without method: window", own[i]);
    }
    for (size_t i = 0; i < ARRAY_LEN(relative); i++) {
        struct yaml_node *n = yaml_get(item->node, str_from(relative[i]));
        if (n == NULL || n->bad || !windows)
            continue;
        diagnostics_addf(c->reader->errors, n->key_at, "write max: 1%, or remove method: window",
                         "method: window takes \"max\" alone, not \"%s\"", relative[i]);
        n->bad = true;
    }
    if (!windows) {
        item->base.window_ns = 0;
        item->base.window_min_requests = 0;
        item->base.window_consecutive = 0;
    }
}

/* Evidence that a limit holds is asked for where there is one, it can be had and it matters. */
static void read_require(const struct policy_criteria *c, struct policy_criterion_item *item)
{
    const struct yaml_node *n = policy_criterion_text(item, "require");
    const char *why = item->base.method == METHOD_WINDOW     ? "with method: window"
                      : item->base.on_fail == ON_FAIL_REPORT ? "with on_fail: report"
                                                             : NULL;

    item->require_no_harm = why == NULL && (n == NULL || str_eq(n->text, STR("no_harm")));
    if (n == NULL || c->reader->cut)
        return;
    if (why != NULL && str_eq(n->text, STR("no_harm")))
        diagnostics_addf(c->reader->errors, n->at, "remove it", "no evidence can be required %s",
                         why);
    else if (yaml_get(item->node, STR("max")) == NULL)
        diagnostics_addf(c->reader->errors, n->key_at, "remove it",
                         "\"require\" is about \"max\", which is not written");
}

/* --- the list --- */

static size_t errors_of(const struct diagnostics *d)
{
    return d->count + d->dropped - d->warnings;
}

static void read_item(struct policy_criteria *c, struct yaml_node *node)
{
    const struct yaml_node *metric = yaml_get(node, STR("metric"));
    struct policy_criterion_item item = {.node = node};
    size_t before = errors_of(c->reader->errors);

    if (metric == NULL || metric->bad || metric->kind != YAML_TEXT)
        return;
    while (!str_eq(metric->text, str_from(metric_names[item.base.metric])))
        item.base.metric++;
    schema_fill(&schema_policy, "analysis.criteria", node, bindings, ARRAY_LEN(bindings),
                c->reader->arena, &item.base);
    check_owners(c, &item);
    check_window(c, &item);
    read_require(c, &item);
    policy_read_where(c, yaml_get(node, STR("where")), &item.base, &item.suffix);
    item.mute = yaml_has_bad(node) || errors_of(c->reader->errors) != before;
    if ((METRIC_BIT(item.base.metric) & metrics_shares) != 0)
        policy_criterion_share(c, &item);
    else if ((METRIC_BIT(item.base.metric) & metrics_times) != 0)
        policy_criterion_time(c, &item);
    else
        policy_criterion_shift(c, &item);
}

/* Limits of one kind of on_fail count alike, however many quantiles each has. Groups lose the gaps
 * that limits in error left. */
static void share_evidence(struct policy_criteria *c)
{
    uint32_t members[CRITERIA_MAX] = {0}, groups = 0, last = 0;
    size_t reported = 0, others = 0;

    for (size_t i = 0; i < c->count; i++) {
        struct policy_criterion *k = &c->items[i];
        if (i == 0 || k->group != last) {
            groups++;
            *(k->on_fail == ON_FAIL_REPORT ? &reported : &others) += 1;
        }
        last = k->group;
        k->group = groups - 1;
        members[k->group]++;
    }
    for (size_t i = 0; i < c->count; i++) {
        struct policy_criterion *k = &c->items[i];
        size_t alike = k->on_fail == ON_FAIL_REPORT ? reported : others;
        k->weight = 1 / ((double)alike * members[k->group]);
    }
}

void policy_read_criteria(struct policy_reader *r, struct yaml_node *list, struct policy *p)
{
    struct policy_criteria c = {
        .reader = r, .policy = p, .items = arena_alloc(r->arena, CRITERIA_MAX * sizeof(*c.items))};

    p->analysis.criteria = c.items;
    if (list == NULL)
        list = schema_default(&schema_policy, "analysis.criteria", r->scratch);
    if (list->kind != YAML_LIST || list->bad)
        return;
    if (list->count == 0)
        diagnostics_addf(r->errors, list->at, "leave the key out for the defaults",
                         "\"criteria\" is empty: nothing would be judged");
    for (struct yaml_node *item = list->first; item != NULL; item = item->next)
        read_item(&c, item);
    share_evidence(&c);
    if (!c.full)
        policy_criteria_warn_of_idle(&c);
    p->analysis.criteria_count = c.count;
}
