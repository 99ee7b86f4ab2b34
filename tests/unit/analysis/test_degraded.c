/* While stable fails too an absolute limit is held against nobody; what stable's own failures would
 * have done is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "tests/unit/analysis/steps.h"

/* error_rate max 1 % alone. */
static void setup(struct steps *f, enum stable_degraded how)
{
    steps_init(f);
    add_error_rate_max(&f->policy, 0.01);
    f->policy.policy.analysis.on_stable_degraded = how;
    f->policy.policy.analysis.hard_down_failures = 0;
}

static void shared_outage(struct steps *f, int seconds, bool *ret_crossed)
{
    *ret_crossed = false;
    for (int i = 0; i < seconds; i++) {
        steps_second(f, 10, 4, 90, 36);
        *ret_crossed = *ret_crossed || f->report.crossed || f->report.wide.crossed;
    }
}

static void test_a_shared_outage_is_held_against_nobody(void **state)
{
    struct steps held, judged;
    bool crossed;
    (void)state;
    setup(&held, DEGRADED_HOLD);
    setup(&judged, DEGRADED_JUDGE);
    steps_weight(&held, 1000, WEIGHT_STEP);
    steps_weight(&judged, 1000, WEIGHT_STEP);
    shared_outage(&held, 120, &crossed);
    assert_false(crossed);
    assert_true(held.report.stable_degraded);
    shared_outage(&judged, 120, &crossed);
    assert_true(crossed);
    assert_false(judged.report.stable_degraded);
    /* Stable is well again, the canary is not. */
    for (int i = 0; i < 30 && !held.report.crossed; i++)
        steps_second(&held, 10, 4, 90, 0);
    assert_true(held.report.crossed);
    steps_deinit(&held);
    steps_deinit(&judged);
}

/* It must not be told at 100 % that it was above the limit when stable was, too. */
static void test_a_past_outage_does_not_condemn_at_full_weight(void **state)
{
    struct steps f;
    bool crossed;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 2500, WEIGHT_STEP);
    shared_outage(&f, 120, &crossed);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 25, 0, 75, 0);
    steps_weight(&f, 10000, WEIGHT_STEP);
    for (int i = 0; i < 60; i++) {
        steps_second(&f, 100, 0, 0, 0);
        assert_false(f.report.crossed);
        assert_false(f.report.wide.crossed);
        assert_false(f.report.alarm);
    }
    for (int i = 0; i < 30 && !f.report.crossed; i++)
        steps_second(&f, 100, 30, 0, 0);
    assert_true(f.report.crossed);
    steps_deinit(&f);
}

/* What the wide test knows of failures at 100 % is not lost when stable is back for a probe. */
static void test_evidence_of_full_weight_survives_a_retreat(void **state)
{
    struct steps f;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 10, 0, 90, 0);
    steps_weight(&f, 10000, WEIGHT_STEP);
    for (int i = 0; i < 100; i++) /* nobody takes it away */
        steps_second(&f, 100, 5, 0, 0);
    double known = f.report.wide.log_e;
    assert_true(known > 0);
    steps_weight(&f, 0, WEIGHT_GOES_ON);
    f.slot += 30;
    steps_look(&f);
    steps_weight(&f, 1000, WEIGHT_PROBE);
    assert_true(steps_second(&f, 1, 0, 9, 0)->wide.log_e > known - 0.2);
    steps_deinit(&f);
}

static void test_degraded_ends_with_stables_trouble(void **state)
{
    struct steps f;
    bool crossed;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 60; i++)
        assert_false(steps_second(&f, 10, 0, 90, 0)->stable_degraded);
    shared_outage(&f, 20, &crossed);
    assert_true(f.report.stable_degraded);
    for (int i = 0; i < 40; i++)
        steps_second(&f, 10, 0, 90, 0);
    assert_false(f.report.stable_degraded);
    assert_int_equal(f.report.placebo.sent_back, 1);
    steps_deinit(&f);
}

/* Nor does what it left in the step's counts hold up the step once it is over; but a canary that is
 * worse than stable at the same time is as suspect as ever. */
static void test_a_past_outage_holds_up_nobody(void **state)
{
    struct steps f;
    bool crossed;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 1000, WEIGHT_STEP);
    shared_outage(&f, 120, &crossed);
    for (int i = 0; i < 60; i++)
        steps_second(&f, 10, 0, 90, 0);
    assert_true(f.report.criteria[0].value[VARIANT_CANARY] > 0.2);
    assert_false(f.report.criteria[0].suspect);
    assert_false(f.report.alarm);
    assert_false(f.report.no_harm); /* that the limit holds was not shown */
    for (int i = 0; i < 300 && !f.report.criteria[0].suspect; i++)
        steps_second(&f, 10, 5, 90, 0);
    assert_true(f.report.criteria[0].suspect);
    steps_deinit(&f);
}

/* While it goes on it is told without a gap, also where the placebo begins again. */
static void test_degraded_lasts_as_long_as_stables_trouble(void **state)
{
    struct steps f;
    bool crossed;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 1000, WEIGHT_STEP);
    shared_outage(&f, 20, &crossed);
    for (int i = 0; i < 200; i++)
        assert_true(steps_second(&f, 10, 4, 90, 36)->stable_degraded);
    assert_true(f.report.placebo.sent_back > 1);
    steps_deinit(&f);
}

/* Before a rollout begins stable's bursts are known, and a new canary does not forget them. */
static void test_bursts_of_an_idle_rollout(void **state)
{
    struct steps f;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 0, WEIGHT_GOES_ON);
    for (int i = 0; i < 3600; i++) /* 8 s of failures every 20 minutes, with gaps in them */
        steps_second(&f, 0, 0, 100, i % 1200 >= 600 && i % 1200 < 608 && i % 4 != 2 ? 50 : 0);
    assert_int_equal(f.report.placebo.bursts, 3);
    assert_int_equal(f.report.placebo.longest_burst_ns, 8 * NS_PER_SEC);
    assert_int_equal(f.report.placebo.sent_back, 3);
    assert_int_equal(f.report.placebo.sent_back_last_hour, 3);
    assert_false(f.report.crossed);
    analysis_reset(f.a);
    steps_weight(&f, 1000, WEIGHT_STEP);
    assert_int_equal(steps_second(&f, 10, 0, 90, 0)->placebo.bursts, 3);
    for (int i = 0; i < 700; i++)
        steps_second(&f, 10, 0, 90, 0);
    assert_int_equal(f.report.placebo.sent_back_last_hour, 2); /* the first was longer ago */
    assert_int_equal(f.report.placebo.sent_back, 3);
    steps_deinit(&f);
}

/* Two failures an hour apart are two bursts, a steady rate below the limit is none. */
static void test_what_is_no_burst(void **state)
{
    struct steps f;
    (void)state;
    setup(&f, DEGRADED_HOLD);
    steps_weight(&f, 0, WEIGHT_GOES_ON);
    for (int i = 0; i < 1000; i++)
        steps_second(&f, 0, 0, 100, i % 2 == 0 ? 1 : 0);
    assert_int_equal(f.report.placebo.bursts, 0);
    assert_int_equal(f.report.placebo.sent_back, 0);
    steps_deinit(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_shared_outage_is_held_against_nobody),
        cmocka_unit_test(test_a_past_outage_does_not_condemn_at_full_weight),
        cmocka_unit_test(test_evidence_of_full_weight_survives_a_retreat),
        cmocka_unit_test(test_degraded_ends_with_stables_trouble),
        cmocka_unit_test(test_a_past_outage_holds_up_nobody),
        cmocka_unit_test(test_degraded_lasts_as_long_as_stables_trouble),
        cmocka_unit_test(test_bursts_of_an_idle_rollout),
        cmocka_unit_test(test_what_is_no_burst),
    };
    return cmocka_run_group_tests_name("degraded", tests, NULL, NULL);
}
