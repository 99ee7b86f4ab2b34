/* Ports that answer from a struct, and two policies without a file. */
#ifndef TESTS_UNIT_ADMIN_FAKE_PORTS_H
#define TESTS_UNIT_ADMIN_FAKE_PORTS_H

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "admin/ports.h"
#include "analysis/analysis.h"
#include "base/clock.h"

struct fake {
    struct command last; /* the last command that arrived */
    unsigned commands;   /* how many */
    bool refuse, verdict_ok;
    const char *not_ready;
    struct controller_event events[8];
    size_t event_count;
    uint64_t homeless; /* attempts of chat's canary that reached no endpoint */
};

static const struct policy_endpoint fake_endpoints[] = {
    {.url = "http://127.0.0.1:9001", .authority = "127.0.0.1:9001", .weight = 1},
    {.url = "http://127.0.0.1:9002", .authority = "127.0.0.1:9002", .weight = 1},
};
static const struct policy_criterion fake_criteria[] = {
    {.name = "error_rate max 1%"},
    {.name = "latency p99 max_ratio 1.3", .metric = METRIC_LATENCY, .test = TEST_MAX_RATIO},
};
static const struct policy fake_chat = {
    .name = "chat",
    .analysis = {.criteria = fake_criteria, .criteria_count = 2},
    .versions = {{.version = "2.0.0", .endpoints = fake_endpoints, .endpoint_count = 2},
                 {.version = "2.1 \"beta\"\\x\n",
                  .endpoints = fake_endpoints,
                  .endpoint_count = 1}},
};
static const struct policy fake_embed = {
    .name = "embed",
    .versions = {{.version = "7", .endpoints = fake_endpoints, .endpoint_count = 1}},
};
static const struct policy *const fake_policies[] = {&fake_chat, &fake_embed};
static const struct policy_set fake_set = {.policies = fake_policies, .count = 2};

static json_t *fake_document_at(void *ctx, size_t index)
{
    (void)ctx;
    return json_pack("{s:s, s:s}", "rollout", fake_policies[index]->name, "phase",
                     index == 0 ? "progressing" : "idle");
}

static json_t *fake_document(void *ctx, const char *rollout)
{
    for (size_t i = 0; i < fake_set.count; i++)
        if (strcmp(fake_policies[i]->name, rollout) == 0)
            return fake_document_at(ctx, i);
    return NULL;
}

static int fake_command(void *ctx, const char *rollout, const struct command *c,
                        struct command_result *ret)
{
    struct fake *f = ctx;

    if (strcmp(rollout, "chat") != 0)
        return -ENOENT;
    f->last = *c;
    f->commands++;
    *ret = (struct command_result){.ok = !f->refuse};
    snprintf(ret->title, sizeof(ret->title), "Not at this step");
    snprintf(ret->detail, sizeof(ret->detail), f->refuse ? "chat is at step 1" : "on to step 2");
    return 0;
}

static json_t *fake_verdict(void *ctx, const char *rollout, bool *ret_ok)
{
    struct fake *f = ctx;

    *ret_ok = f->verdict_ok;
    return strcmp(rollout, "chat") == 0
               ? json_pack("{s:s}", "verdict", f->verdict_ok ? "pass" : "undecided")
               : NULL;
}

static json_t *fake_decision(void *ctx, const char *id)
{
    (void)ctx;
    return strcmp(id, "chat-17") == 0 ? json_pack("{s:s}", "id", id) : NULL;
}

static size_t fake_events(void *ctx, uint64_t after, struct controller_event *ret, size_t max)
{
    struct fake *f = ctx;
    size_t n = 0;

    for (size_t i = 0; i < f->event_count && n < max; i++)
        if (f->events[i].id > after)
            ret[n++] = f->events[i];
    return n;
}

static void fake_gauges(void *ctx, size_t index, struct controller_gauges *ret)
{
    static struct analysis_report report;

    (void)ctx;
    memset(&report, 0, sizeof(report));
    report.count = fake_policies[index]->analysis.criteria_count;
    report.placebo.sent_back = 2;
    report.placebo.longest_burst_ns = 1500 * NS_PER_MS;
    for (size_t c = 0; c < report.count; c++) {
        report.criteria[c].log_e = c == 0 ? 3.5 : -2;
        report.criteria[c].threshold = 7;
    }
    *ret = (struct controller_gauges){
        .report = &report,
        .rollout = fake_policies[index]->name,
        .stable = "2.0.0",
        .phase = index == 0 ? "progressing" : "idle",
        .weight_bp = index == 0 ? 2550 : 0,
        .step = index == 0 ? 2 : 0,
        .steps = 4,
        .log_e = -1e9,
        .threshold = 6.9,
        .decisions = 3,
        .retreats = 5,
        .clearances = 4,
        .canary = index == 0 ? "2.1.0" : NULL,
    };
}

static int64_t fake_tick_late(void *ctx)
{
    (void)ctx;
    return 1500000;
}

/* Each endpoint gave 10 ok and 2 5xx. */
static void fake_endpoint_totals(void *ctx, uint32_t rollout, enum variant variant,
                                 uint32_t endpoint, uint64_t ret[static OUTCOME_KIND_COUNT])
{
    (void)ctx, (void)rollout, (void)variant, (void)endpoint;
    memset(ret, 0, OUTCOME_KIND_COUNT * sizeof(*ret));
    ret[OUTCOME_OK] = 10;
    ret[OUTCOME_5XX] = 2;
}

static void fake_totals(void *ctx, uint32_t rollout, struct recorder_totals *ret)
{
    struct fake *f = ctx;

    *ret = (struct recorder_totals){.values_lost = 9};
    for (int v = 0; v < VARIANT_COUNT; v++) {
        size_t n = fake_policies[rollout]->versions[v].endpoint_count;
        ret->variants[v].outcomes[OUTCOME_OK] = 10 * n;
        ret->variants[v].outcomes[OUTCOME_5XX] = 2 * n;
        ret->variants[v].retries = 5;
        ret->variants[v].retry_outcomes[OUTCOME_OK] = 4;
        ret->variants[v].retry_outcomes[OUTCOME_CONNECT] = 1;
        ret->variants[v].voided = 3;
    }
    if (rollout == 0)
        ret->variants[VARIANT_CANARY].outcomes[OUTCOME_UNAVAILABLE] = f->homeless;
    ret->results[OUTCOME_OK] = 30;
    ret->results[RESULT_SHIELDED] = 6;
}

/* As if every worker had done the same. */
static void fake_worker_totals(void *ctx, size_t worker, uint32_t rollout,
                               struct recorder_totals *ret)
{
    (void)worker;
    fake_totals(ctx, rollout, ret);
}

/* 4 of 3 ms, 1 of 2 s, 1 of the largest there is. Only chat's canary streams; nothing queues. */
static void fake_histogram(void *ctx, uint32_t rollout, enum variant variant,
                           enum recorder_histogram which, struct histogram_view *ret)
{
    bool streams = rollout == 0 && variant == VARIANT_CANARY;

    (void)ctx;
    *ret = (struct histogram_view){.total = 0};
    if (which == HIST_QUEUE || ((which == HIST_FIRST_TOKEN || which == HIST_TOKEN_GAP) && !streams))
        return;
    ret->total = 6;
    ret->counts[histogram_bucket(3000)] = 4;
    ret->counts[histogram_bucket(2000000)] = 1;
    ret->counts[histogram_bucket(HISTOGRAM_MAX_US)] += 1;
}

static size_t fake_workers(void *ctx)
{
    (void)ctx;
    return 2;
}

static void fake_worker(void *ctx, size_t index, struct admin_worker *ret)
{
    (void)ctx;
    *ret = (struct admin_worker){.connections = 100 + index, .unmatched = 1, .queue_full = 8};
}

static const char *fake_not_ready(void *ctx)
{
    return ((struct fake *)ctx)->not_ready;
}

static struct admin_ports fake_ports(struct fake *f)
{
    return (struct admin_ports){
        .set = &fake_set,
        .document = fake_document,
        .document_at = fake_document_at,
        .command = fake_command,
        .verdict = fake_verdict,
        .decision = fake_decision,
        .events = fake_events,
        .gauges = fake_gauges,
        .tick_late_ns = fake_tick_late,
        .totals = fake_totals,
        .worker_totals = fake_worker_totals,
        .endpoint_totals = fake_endpoint_totals,
        .histogram = fake_histogram,
        .workers = fake_workers,
        .worker = fake_worker,
        .not_ready = fake_not_ready,
        .ctx = f,
    };
}

#endif
