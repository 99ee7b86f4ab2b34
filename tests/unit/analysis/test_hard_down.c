/* What counts as a failure in flight: never that a request is slower than stable lately was, since
 * in a slow minute of both all are. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/hard_down.h"
#include "tests/unit/analysis/policies.h"

enum { ERRORS, P99, P50, P95_OF_STABLE, P50_OF_STABLE, FIRST_TOKEN };

static void setup(struct test_policy *t)
{
    test_policy_init(t);
    add_error_rate_max(t, 0.01);
    add_latency_max(t, 0.99, NS_PER_SEC);
    add_latency_max(t, 0.5, NS_PER_SEC);
    for (size_t i = 0; i < 2; i++)
        add_criterion(t, (struct policy_criterion){.metric = METRIC_LATENCY,
                                                   .test = TEST_MAX_RATIO,
                                                   .quantile = i == 0 ? 0.95 : 0.5,
                                                   .ratio = 1,
                                                   .delta = 0.01});
    add_latency_max(t, 0.95, NS_PER_SEC);
    t->criteria[FIRST_TOKEN].metric = METRIC_TIME_TO_FIRST_TOKEN;
}

static void test_which_limits_count(void **state)
{
    struct test_policy t;
    (void)state;
    setup(&t);
    assert_int_equal(hard_down_limits(&t.policy.analysis), 1 << P99 | 1 << FIRST_TOKEN);
}

static void test_shares_of_a_slot(void **state)
{
    static const struct {
        const char *what;
        struct slot_counts counts;
        uint64_t sample, bad, pending;
    } rows[] = {
        {"nothing", {.dispatched = 0}, 0, 0, 0},
        {"clients that left", {.dispatched = 3, .settled = 3, .excused = 3}, 0, 0, 0},
        {"errors", {.dispatched = 5, .settled = 5, .errors = 5}, 5, 5, 0},
        {"in flight", {.dispatched = 5, .settled = 2, .errors = 2}, 5, 2, 3},
        {"hung", {.dispatched = 5, .overdue = {[P99] = 5}, .bad = {[P99] = 5}}, 5, 5, 0},
        {"both ways late, counted once",
         {.dispatched = 5, .overdue = {[P99] = 4, [FIRST_TOKEN] = 3}},
         5,
         4,
         1},
        {"slower than usual",
         {.dispatched = 5, .overdue = {[P50] = 5, [P95_OF_STABLE] = 5, [P50_OF_STABLE] = 5}},
         5,
         0,
         5},
    };
    struct test_policy t;
    (void)state;
    setup(&t);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct shares s = hard_down_shares(&rows[i].counts, hard_down_limits(&t.policy.analysis));
        if (s.sample != rows[i].sample || s.bad != rows[i].bad || s.pending != rows[i].pending)
            fail_msg("%s: %ju of %ju, %ju pending", rows[i].what, (uintmax_t)s.bad,
                     (uintmax_t)s.sample, (uintmax_t)s.pending);
    }
}

/* An outage of minutes for stable and canary alike: answers take ten times as long as they did. */
static void test_a_slow_minute_of_both_is_no_run(void **state)
{
    struct test_policy t;
    struct run run = {0};
    (void)state;
    setup(&t);
    uint32_t limits = hard_down_limits(&t.policy.analysis);
    for (int64_t slot = 0; slot < 60; slot++) {
        struct window_slot w = {.slot = slot};
        struct slot_counts *c = &w.counts[VARIANT_CANARY];
        c->dispatched = c->bad[P50_OF_STABLE] = c->bad[P95_OF_STABLE] = 10;
        c->overdue[P50_OF_STABLE] = c->overdue[P95_OF_STABLE] = 10;
        run_add(&run, &w, limits);
        assert_false(run_trips(&run, &t.policy));
    }
    assert_int_equal(run.failures, 0);
    for (int64_t slot = 60; slot < 75; slot++) {
        struct window_slot w = {.slot = slot};
        w.counts[VARIANT_CANARY].dispatched = 10;
        w.counts[VARIANT_CANARY].overdue[P99] = 10;
        run_add(&run, &w, limits);
    }
    assert_int_equal(run.failures, 150);
    assert_true(run_trips(&run, &t.policy));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_limits_count),
        cmocka_unit_test(test_shares_of_a_slot),
        cmocka_unit_test(test_a_slow_minute_of_both_is_no_run),
    };
    return cmocka_run_group_tests_name("hard_down", tests, NULL, NULL);
}
