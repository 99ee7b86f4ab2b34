/* What a criterion's failure does, how much of the evidence it has, and what it is judged by once
 * stable has no traffic. */
#include "tests/unit/analysis/vectors.h"

#include "analysis/sequential.h"
#include "base/rng.h"
#include "tests/unit/analysis/steps.h"

static struct policy_criterion increase(double delta, enum on_fail on_fail, enum on_fail frozen)
{
    return (struct policy_criterion){.name = "error_rate max_increase",
                                     .metric = METRIC_ERROR_RATE,
                                     .test = TEST_MAX_INCREASE,
                                     .on_fail = on_fail,
                                     .frozen_on_fail = frozen,
                                     .limit = delta,
                                     .ratio = 1,
                                     .delta = delta};
}

static struct policy_criterion at_most(double share, enum on_fail on_fail)
{
    return (struct policy_criterion){.name = "error_rate max",
                                     .metric = METRIC_ERROR_RATE,
                                     .test = TEST_MAX,
                                     .on_fail = on_fail,
                                     .limit = share,
                                     .p0 = share};
}

/* --- groups -------------------------------------------------------------------------------- */

static void test_what_pauses_does_not_roll_back(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    add_criterion(&f.policy, at_most(0.4, ON_FAIL_ROLLBACK));
    add_criterion(&f.policy, increase(0.005, ON_FAIL_PAUSE, ON_FAIL_PAUSE));
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 10, 1, 90, 0);
    assert_int_equal(f.report.failed_pause, 2);
    assert_int_equal(f.report.criteria[1].verdict, VERDICT_FAIL);
    assert_true(f.report.alarm); /* no step up */
    assert_false(f.report.crossed || f.report.revert || f.report.retreat);
    assert_true(f.report.criteria[1].wide_log_e <= -1e9);
    for (int i = 0; i < 600; i++) /* found once, it stays found */
        steps_second(&f, 10, 0, 90, 0);
    assert_int_equal(f.report.failed_pause, 2);
    analysis_reset(f.a);
    steps_weight(&f, 1000, WEIGHT_STEP);
    assert_int_equal(steps_second(&f, 10, 0, 90, 0)->failed_pause, 0);
    steps_deinit(&f);
}

static void test_what_reports_holds_nothing_up(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    add_criterion(&f.policy, at_most(0.4, ON_FAIL_ROLLBACK));
    add_criterion(&f.policy, increase(0.005, ON_FAIL_REPORT, ON_FAIL_REPORT));
    f.policy.criteria[0].weight = f.policy.criteria[1].weight = 1;
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 10, 1, 90, 0);
    assert_int_equal(f.report.failed_report, 2);
    assert_int_equal(f.report.failed_pause, 0);
    assert_false(f.report.alarm || f.report.crossed || f.report.revert);
    steps_deinit(&f);
}

/* Several that may pause count together, as those do that may roll back. */
static void test_the_group_that_pauses_counts_together(void **state)
{
    struct steps f;
    bool alone = false;
    (void)state;
    steps_init(&f);
    add_criterion(&f.policy, at_most(0.01, ON_FAIL_PAUSE));
    add_criterion(&f.policy, at_most(0.011, ON_FAIL_PAUSE));
    add_criterion(&f.policy, at_most(0.012, ON_FAIL_PAUSE));
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 300 && f.report.failed_pause == 0; i++) {
        steps_second(&f, 20, 1, 0, 0);
        for (size_t c = 0; c < 3; c++)
            alone = alone || f.report.criteria[c].log_e >= f.report.criteria[c].threshold;
    }
    assert_int_equal(f.report.failed_pause, 1);
    assert_true(f.report.pause_log_e >= log(1 / 0.001));
    assert_false(alone);
    steps_deinit(&f);
}

static void test_a_larger_weight_crosses_earlier(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    add_criterion(&f.policy, at_most(0.01, ON_FAIL_ROLLBACK));
    add_criterion(&f.policy, at_most(0.4, ON_FAIL_ROLLBACK));
    f.policy.criteria[0].weight = 0.9;
    f.policy.criteria[1].weight = 0.1;
    steps_weight(&f, 1000, WEIGHT_STEP);
    steps_second(&f, 10, 1, 0, 0);
    assert_true(fabs(f.report.criteria[0].threshold - log(1 / 0.0009)) < 1e-12);
    assert_true(fabs(f.report.criteria[1].threshold - log(1 / 0.0001)) < 1e-12);
    double combined =
        log(0.9 * exp(f.report.criteria[0].log_e) + 0.1 * exp(f.report.criteria[1].log_e));
    assert_true(fabs(f.report.log_e - combined) < 1e-12);
    steps_deinit(&f);
}

/* Without visits the first crossing condemns, and there is no wide test. */
static void test_without_visits(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    f.policy.policy.analysis.confirm_count = 0;
    add_criterion(&f.policy, at_most(0.01, ON_FAIL_ROLLBACK));
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 10 && !f.report.crossed; i++)
        steps_second(&f, 10, 10, 0, 0);
    assert_true(f.report.crossed && f.report.revert);
    assert_false(f.report.retreat);
    assert_true(f.report.wide.log_e <= -1e9);
    steps_deinit(&f);
}

/* --- values and windows -------------------------------------------------------------------- */

static void test_a_windows_rule_is_final(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    add_criterion(&f.policy, at_most(0.4, ON_FAIL_ROLLBACK));
    struct policy_criterion rule = at_most(0.05, ON_FAIL_ROLLBACK);
    rule.method = METHOD_WINDOW;
    rule.window_ns = 10 * NS_PER_SEC;
    rule.window_min_requests = 5;
    rule.window_consecutive = 2;
    add_criterion(&f.policy, rule);
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 15; i++)
        assert_int_equal(steps_second(&f, 10, 2, 90, 0)->failed_rollback, 0);
    for (int i = 0; i < 15; i++)
        steps_second(&f, 10, 2, 90, 0);
    assert_int_equal(f.report.failed_rollback, 2);
    assert_true(f.report.revert);
    assert_int_equal(f.report.criteria[1].verdict, VERDICT_FAIL);
    assert_true(f.report.criteria[1].window.fails_in_a_row >= 2);
    steps_deinit(&f);
}

/* --- frozen limits ------------------------------------------------------------------------- */

static void test_reference_frozen_limits(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors2.json", "frozen_limit");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct steps f;
        steps_init(&f);
        add_criterion(&f.policy,
                      increase(number(row, "margin"), ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK));
        f.policy.policy.analysis.max_false_revert = number(row, "alpha");
        steps_weight(&f, 1000, WEIGHT_STEP);
        steps_second(&f, 1, 0, (uint32_t)count_of(row, "stable_n"),
                     (uint32_t)count_of(row, "stable_bad"));
        steps_weight(&f, 10000, WEIGHT_STEP);
        steps_look(&f);
        assert_true(f.report.criteria[0].frozen);
        compare(&v, f.report.criteria[0].frozen_p0, number(row, "p0"), "p0");
        steps_deinit(&f);
    }
    vectors_close(&v, "frozen_limit, through the analysis");
}

static void go_full(struct steps *f, enum on_fail frozen)
{
    steps_init(f);
    add_criterion(&f->policy, at_most(0.4, ON_FAIL_ROLLBACK));
    add_criterion(&f->policy, increase(0.01, ON_FAIL_ROLLBACK, frozen));
    steps_weight(f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 120; i++)
        steps_second(f, 10, 0, 90, i % 10 == 0);
    assert_false(f->report.criteria[1].frozen);
    steps_weight(f, 10000, WEIGHT_STEP);
}

static void test_a_comparison_goes_on_at_full_weight(void **state)
{
    struct steps f;
    (void)state;
    go_full(&f, ON_FAIL_ROLLBACK);
    for (int i = 0; i < 120; i++)
        steps_second(&f, 100, 1, 0, 0);
    assert_false(f.report.crossed || f.report.alarm);
    assert_int_equal(f.report.criteria[1].verdict, VERDICT_PASS);
    for (int i = 0; i < 60 && !f.report.crossed; i++)
        steps_second(&f, 100, 10, 0, 0);
    assert_true(f.report.crossed);
    assert_int_equal(f.report.worst, 1);
    /* The probe asks about the frozen limit. */
    assert_true(f.report.probe_next.z == f.report.criteria[1].frozen_p0);
    steps_deinit(&f);
}

static void test_a_frozen_limit_may_pause_only(void **state)
{
    struct steps f;
    (void)state;
    go_full(&f, ON_FAIL_PAUSE);
    for (int i = 0; i < 120 && f.report.failed_pause == 0; i++)
        steps_second(&f, 100, 10, 0, 0);
    assert_int_equal(f.report.failed_pause, 2);
    assert_false(f.report.crossed || f.report.revert);
    assert_int_equal(analysis_on_fail(&f.policy.criteria[1], &f.report.criteria[1]), ON_FAIL_PAUSE);
    steps_deinit(&f);
}

static void test_nothing_to_freeze(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    add_criterion(&f.policy, increase(0.01, ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK));
    steps_weight(&f, 10000, WEIGHT_STEP);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 100, 50, 0, 0);
    assert_false(f.report.criteria[0].frozen || f.report.crossed);
    steps_deinit(&f);
}

/* --- everything on the canary at once ------------------------------------------------------ */

/* Stable alone for five minutes, one in a thousand bad; then blue/green, as after `retry`. */
static void switch_over(struct steps *f, bool watched, bool saved)
{
    struct strbuf bytes;
    struct error error;

    steps_init(f);
    f->policy.steps[0].weight_bp = WEIGHT_FULL_BP;
    f->policy.policy.step_count = 1;
    add_criterion(&f->policy, at_most(0.4, ON_FAIL_ROLLBACK));
    add_criterion(&f->policy, increase(0.01, ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK));
    steps_weight(f, 0, WEIGHT_GOES_ON);
    for (int i = 0; watched && i < 300; i++)
        steps_second(f, 0, 0, 100, i % 10 == 0);
    if (saved) {
        strbuf_init(&bytes, 1 << 20);
        assert_int_equal(analysis_save(f->a, &bytes), 0);
        analysis_free(f->a);
        f->a = analysis_new(&f->policy.policy);
        assert_int_equal(analysis_load(f->a, strbuf_str(&bytes), &error), 0);
        strbuf_deinit(&bytes);
    }
    analysis_reset(f->a);
    steps_weight(f, WEIGHT_FULL_BP, WEIGHT_STEP);
}

static void test_blue_green_is_held_to_what_stable_did_before(void **state)
{
    (void)state;
    for (int saved = 0; saved < 2; saved++) {
        struct steps f;
        switch_over(&f, true, saved != 0);
        for (int i = 0; i < 120; i++)
            steps_second(&f, 100, i % 10 == 0, 0, 0);
        double upper = sequential_upper(sequential_prior(1.0 / 200), 30000, 30, 0.001);
        assert_true(f.report.criteria[1].frozen);
        assert_true(f.report.criteria[1].frozen_p0 == upper + 0.01);
        assert_int_equal(f.report.criteria[1].verdict, VERDICT_PASS);
        assert_false(f.report.alarm);
        for (int i = 0; i < 60 && !f.report.crossed; i++)
            steps_second(&f, 100, 10, 0, 0);
        assert_true(f.report.crossed);
        assert_int_equal(f.report.worst, 1);
        steps_deinit(&f);
    }
}

/* What was seen of stable outlives one canary, and what it did after a canary had begun is not
 * taken for it. */
static void test_what_stable_did_before_is_kept(void **state)
{
    struct steps f;
    (void)state;
    switch_over(&f, true, false);
    steps_look(&f);
    double p0 = f.report.criteria[1].frozen_p0;
    steps_weight(&f, 0, WEIGHT_GOES_ON);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 0, 0, 100, 50);
    analysis_reset(f.a);
    steps_weight(&f, WEIGHT_FULL_BP, WEIGHT_STEP);
    steps_look(&f);
    assert_true(p0 > 0.01 && f.report.criteria[1].frozen_p0 == p0);
    steps_deinit(&f);
}

static void test_blue_green_without_stable_passes_nothing(void **state)
{
    struct steps f;
    (void)state;
    switch_over(&f, false, false);
    for (int i = 0; i < 120; i++)
        steps_second(&f, 100, 0, 0, 0);
    assert_false(f.report.criteria[1].frozen);
    assert_int_equal(f.report.criteria[1].verdict, VERDICT_NO_DATA);
    assert_int_equal(f.report.criteria[0].verdict, VERDICT_PASS);
    steps_deinit(&f);
}

/* --- validity ------------------------------------------------------------------------------ */

/* Every criterion exactly at its limit, all four steps and a bake: alpha is one in a thousand
 * rollouts; of thirty none may even retreat. */
static void test_at_all_limits_nothing_happens(void **state)
{
    struct rng rng;
    (void)state;
    rng_seed(&rng, 12);
    for (int rollout = 0; rollout < 30; rollout++) {
        struct steps f;
        steps_init(&f);
        f.policy.policy.bake.for_ns = 10 * NS_PER_MIN;
        f.policy.policy.analysis.on_stable_degraded = DEGRADED_JUDGE;
        add_criterion(&f.policy, at_most(0.01, ON_FAIL_ROLLBACK));
        add_criterion(&f.policy, increase(0.005, ON_FAIL_ROLLBACK, ON_FAIL_PAUSE));
        for (size_t step = 0; step < 5; step++) {
            uint32_t share = step < 4 ? f.policy.steps[step].weight_bp : WEIGHT_FULL_BP;
            steps_weight(&f, share, step < 4 ? WEIGHT_STEP : WEIGHT_BAKE);
            for (int i = 0; i < 600; i++) {
                uint32_t n[VARIANT_COUNT] = {0}, bad[VARIANT_COUNT] = {0};
                for (uint32_t k = rng_poisson(&rng, 20); k > 0; k--) {
                    size_t v = rng_below(&rng, 10000) < share ? VARIANT_CANARY : VARIANT_STABLE;
                    n[v]++;
                    bad[v] += rng_below(&rng, 1000) < (v == VARIANT_CANARY ? 10 : 5);
                }
                steps_second(&f, n[VARIANT_CANARY], bad[VARIANT_CANARY], n[VARIANT_STABLE],
                             bad[VARIANT_STABLE]);
                assert_false(f.report.retreat || f.report.revert || f.report.failed_pause != 0);
            }
        }
        steps_deinit(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_pauses_does_not_roll_back),
        cmocka_unit_test(test_what_reports_holds_nothing_up),
        cmocka_unit_test(test_the_group_that_pauses_counts_together),
        cmocka_unit_test(test_a_larger_weight_crosses_earlier),
        cmocka_unit_test(test_without_visits),
        cmocka_unit_test(test_a_windows_rule_is_final),
        cmocka_unit_test(test_reference_frozen_limits),
        cmocka_unit_test(test_a_comparison_goes_on_at_full_weight),
        cmocka_unit_test(test_a_frozen_limit_may_pause_only),
        cmocka_unit_test(test_nothing_to_freeze),
        cmocka_unit_test(test_blue_green_is_held_to_what_stable_did_before),
        cmocka_unit_test(test_what_stable_did_before_is_kept),
        cmocka_unit_test(test_blue_green_without_stable_passes_nothing),
        cmocka_unit_test(test_at_all_limits_nothing_happens),
    };
    return cmocka_run_group_tests_name("groups", tests, NULL, NULL);
}
