/* From requests to limits and distributions to evidence: recorder, reference and analysis together,
 * with a clock in the hand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/analysis.h"
#include "base/rng.h"
#include "controller/references.h"
#include "tests/unit/analysis/policies.h"

enum { ERRORS, MEDIAN, TAIL, SIZES }; /* the criteria */

struct world {
    struct test_policy t;
    struct recorder *recorder;
    struct reference *reference;
    struct controller_ports ports;
    struct observation o;
    struct slot_counts seen[VARIANT_COUNT]; /* since world_forget */
    struct analysis *analysis;
    struct analysis_report report;
    struct rng rng;
    int64_t now_ns;
    int published;
    uint32_t epoch;
    double weight;
    double slower, larger; /* the canary's times and sizes over stable's */
};

static void moving_histogram(void *ctx, uint32_t rollout, size_t criterion,
                             struct histogram_view *ret)
{
    struct world *w = ctx;

    recorder_moving_histogram(w->recorder, rollout, criterion, ret);
}

static void limits(void *ctx, uint32_t rollout, const struct moving_limits *l)
{
    struct world *w = ctx;

    w->published++;
    recorder_limits(w->recorder, rollout, l);
}

static void values(void *ctx, uint32_t rollout,
                   void (*take)(void *take_ctx, const struct shift_value *), void *take_ctx)
{
    struct world *w = ctx;

    recorder_values(w->recorder, rollout, take, take_ctx);
}

static void set_weight(struct world *w, uint32_t weight_bp)
{
    w->epoch++;
    w->weight = (double)weight_bp / WEIGHT_FULL_BP;
    analysis_weight(w->analysis, w->epoch, weight_bp, WEIGHT_STEP, w->now_ns);
}

static void world_begin(struct world *w, double slower, double larger)
{
    memset(w, 0, sizeof *w);
    test_policy_init(&w->t);
    add_error_rate_max(&w->t, 0.01);
    for (int i = 0; i < 2; i++)
        add_criterion(&w->t, (struct policy_criterion){.metric = METRIC_LATENCY,
                                                       .test = TEST_MAX_RATIO,
                                                       .group = 1,
                                                       .quantile = i == 0 ? 0.5 : 0.99,
                                                       .limit = 1.3,
                                                       .ratio = 1,
                                                       .delta = i == 0 ? 0.02 : 0.002});
    add_criterion(&w->t, (struct policy_criterion){
                             .metric = METRIC_RESPONSE_SIZE, .test = TEST_SHIFT, .limit = 0.2});
    w->recorder = recorder_new(2, &w->t.set);
    w->reference = reference_new(&w->t.policy);
    w->ports = (struct controller_ports){
        .moving_histogram = moving_histogram, .limits = limits, .values = values, .ctx = w};
    observation_init(&w->o);
    for (size_t i = 0; i < w->t.policy.analysis.criteria_count; i++)
        w->t.criteria[i].weight = 0.25;
    w->analysis = analysis_new(&w->t.policy);
    rng_seed(&w->rng, 8);
    w->now_ns = 1000 * NS_PER_SEC;
    set_weight(w, 1000);
    w->slower = slower;
    w->larger = larger;
}

static void world_end(struct world *w)
{
    analysis_free(w->analysis);
    reference_free(w->reference);
    recorder_free(w->recorder);
    observation_deinit(&w->o);
}

static void request(struct world *w)
{
    bool canary = rng_unit(&w->rng) < w->weight;
    struct recorder_shard *shard = recorder_shard(w->recorder, rng_below(&w->rng, 2));
    double ms = 200 * exp(rng_normal(&w->rng) / 3) * (canary ? w->slower : 1);
    double bytes = 4000 * exp(rng_normal(&w->rng) / 2) * (canary ? w->larger : 1);
    struct recorder_ticket ticket;
    struct outcome outcome = {.kind = OUTCOME_OK,
                              .latency_ns = (int64_t)(ms * (double)NS_PER_MS),
                              .first_byte_ns = NS_PER_MS,
                              .first_token_ns = -1,
                              .longest_gap_ns = -1,
                              .per_token_ns = -1,
                              .connect_ns = -1,
                              .queue_ns = -1,
                              .response_bytes = (int64_t)bytes,
                              .tokens = -1,
                              .stream = STREAM_NO};

    memset(&ticket, 0, sizeof ticket);
    recorder_dispatch(shard, &ticket, 0, w->epoch, canary ? VARIANT_CANARY : VARIANT_STABLE,
                      UINT32_MAX, w->now_ns);
    recorder_sent(&ticket, w->now_ns);
    recorder_finish(shard, &ticket, &outcome, w->now_ns + outcome.latency_ns);
}

/* What the controller does at each look. */
static void look(struct world *w)
{
    observation_clear(&w->o);
    references_observe(w->reference, &w->ports, 0, w->now_ns, false, &w->o);
    recorder_read(w->recorder, 0, &w->o);
    for (size_t i = 0; i < w->o.count; i++)
        for (int v = 0; v < VARIANT_COUNT; v++) {
            const struct slot_counts *c = &w->o.deltas[i].variants[v];
            w->seen[v].dispatched += c->dispatched;
            for (size_t k = 0; k < 4; k++) {
                w->seen[v].bad[k] += c->bad[k];
                w->seen[v].excluded[k] += c->excluded[k];
            }
        }
    for (size_t i = 0; i < w->o.shift_count; i++)
        assert_int_equal(w->o.shifts[i].criterion, SIZES);
    analysis_observe(w->analysis, &w->o, w->now_ns);
    analysis_report(w->analysis, &w->report);
}

/* 200 requests per second, a look each second. */
static void run(struct world *w, int seconds)
{
    for (int i = 0; i < seconds; i++) {
        for (int j = 0; j < 200; j++, w->now_ns += NS_PER_SEC / 200)
            request(w);
        look(w);
    }
}

static void forget(struct world *w)
{
    memset(w->seen, 0, sizeof w->seen);
}

static double share(const struct world *w, enum variant v, size_t criterion)
{
    const struct slot_counts *c = &w->seen[v];

    return (double)c->bad[criterion] / (double)(c->dispatched - c->excluded[criterion]);
}

static const struct shift_report *sizes(const struct world *w)
{
    return &w->report.criteria[SIZES].shift;
}

/* Until stable's quantile is known nobody is a sample; then each variant is judged by its own. */
static void test_limits_follow_stable(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, 1, 1);
    look(&w);
    run(&w, 9);
    assert_int_equal(w.published, 0);
    for (int v = 0; v < VARIANT_COUNT; v++) {
        assert_true(w.seen[v].dispatched > 0);
        assert_int_equal(w.seen[v].excluded[MEDIAN], w.seen[v].dispatched);
        assert_int_equal(w.seen[v].excluded[TAIL], w.seen[v].dispatched);
        assert_int_equal(w.seen[v].excluded[ERRORS], 0);
    }
    run(&w, 3);
    assert_int_equal(w.published, 1);
    forget(&w);
    run(&w, 100);
    assert_true(w.published >= 3);
    for (int v = 0; v < VARIANT_COUNT; v++)
        assert_int_equal(w.seen[v].excluded[MEDIAN] + w.seen[v].excluded[TAIL], 0);
    assert_true(fabs(share(&w, VARIANT_STABLE, MEDIAN) - 0.5) < 0.02);
    assert_true(fabs(share(&w, VARIANT_STABLE, TAIL) - 0.01) < 0.004);
    /* 1.3 times a median is 0.79 standard deviations above it here */
    assert_true(fabs(share(&w, VARIANT_CANARY, MEDIAN) - 0.215) < 0.04);
    assert_true(share(&w, VARIANT_CANARY, TAIL) < 0.005);
    world_end(&w);
}

/* Exactly as slow as is allowed: over its limit as often as stable is over its own. Twice as slow:
 * far more often, in the median above all. */
static void test_a_canary_that_is_slower(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, 1.3, 1);
    look(&w);
    run(&w, 12);
    forget(&w);
    run(&w, 200);
    assert_true(share(&w, VARIANT_CANARY, MEDIAN) < 0.5 + 0.02);
    assert_true(share(&w, VARIANT_CANARY, TAIL) < 0.01 + 0.005);
    assert_false(w.report.alarm);
    w.slower = 2;
    forget(&w);
    run(&w, 60);
    assert_true(share(&w, VARIANT_CANARY, MEDIAN) > 0.85);
    assert_true(share(&w, VARIANT_CANARY, TAIL) > 0.1);
    assert_true(w.report.revert);
    for (size_t i = MEDIAN; i <= TAIL; i++)
        assert_int_equal(w.report.criteria[i].verdict, VERDICT_FAIL);
    world_end(&w);
}

static void test_sizes_are_compared(void **state)
{
    struct world w;
    (void)state;
    world_begin(&w, 1, 1);
    look(&w);
    run(&w, 300);
    const struct shift_report *r = sizes(&w);
    assert_true(r->judged && r->kept && !r->failed);
    assert_true(r->log_e < 0);
    assert_int_equal(r->looked[VARIANT_CANARY], w.seen[VARIANT_CANARY].dispatched);
    assert_int_equal(r->found[VARIANT_STABLE], w.seen[VARIANT_STABLE].dispatched);
    assert_in_range(r->looked[VARIANT_STABLE] - r->values[VARIANT_STABLE], REFERENCE_TEACH,
                    REFERENCE_TEACH + 250);
    assert_int_equal(w.report.criteria[SIZES].verdict, VERDICT_PASS);
    assert_false(w.report.revert);
    set_weight(&w, 2500); /* and with the load it talks more */
    w.larger = 1.5;
    run(&w, 10);
    assert_true(sizes(&w)->failed && w.report.revert);
    assert_int_equal(w.report.failed_rollback, 1u << SIZES);
    world_end(&w);
    world_begin(&w, 1, 1.5);
    look(&w);
    run(&w, 30);
    assert_true(sizes(&w)->failed && sizes(&w)->w1 > 200);
    assert_int_equal(w.report.criteria[SIZES].verdict, VERDICT_FAIL);
    world_end(&w);
}

/* No reference, or nobody to ask: nothing happens. */
static void test_those_who_need_none(void **state)
{
    struct world w;
    const struct controller_ports no_ports = {0};
    (void)state;
    world_begin(&w, 1, 1);
    references_observe(NULL, &w.ports, 0, w.now_ns, false, &w.o);
    references_observe(w.reference, &no_ports, 0, w.now_ns, false, &w.o);
    run(&w, 5);
    references_observe(NULL, &w.ports, 0, w.now_ns, false, &w.o);
    assert_int_equal(w.published, 0);
    world_end(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_follow_stable),
        cmocka_unit_test(test_a_canary_that_is_slower),
        cmocka_unit_test(test_sizes_are_compared),
        cmocka_unit_test(test_those_who_need_none),
    };
    return cmocka_run_group_tests_name("references", tests, NULL, NULL);
}
