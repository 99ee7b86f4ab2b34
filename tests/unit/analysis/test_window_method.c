/* Windows, and how many in a row. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/window_method.h"
#include "tests/unit/analysis/policies.h"

struct world {
    struct test_policy t;
    struct window_method w;
    struct observation o;
    int64_t now_ns;
};

/* Error rate over 1 %, windows of a minute with at least 50 requests, three in a row. */
static void begin(struct world *w, struct policy_criterion c)
{
    *w = (struct world){.now_ns = 5 * NS_PER_SEC + 1};
    test_policy_init(&w->t);
    c.method = METHOD_WINDOW;
    c.window_ns = NS_PER_MIN;
    c.window_min_requests = 50;
    c.window_consecutive = 3;
    add_criterion(&w->t, c);
    window_method_init(&w->w);
    observation_init(&w->o);
}

static void look(struct world *w)
{
    window_method_observe(&w->w, &w->t.policy.analysis, 0, 1, &w->o, w->now_ns);
    observation_clear(&w->o);
}

static struct slot_counts *counts(struct world *w, enum variant v)
{
    return &observation_at(&w->o, 1, w->now_ns / NS_PER_SEC)->variants[v];
}

static void ended(struct world *w, enum variant v, uint32_t requests, uint32_t bad)
{
    struct slot_counts *c = counts(w, v);

    c->dispatched += requests;
    c->settled += requests;
    c->bad[0] += bad;
}

static void minute(struct world *w, uint32_t requests, uint32_t bad)
{
    look(w);
    w->now_ns += 30 * NS_PER_SEC;
    ended(w, VARIANT_CANARY, requests, bad);
    look(w);
    w->now_ns += 30 * NS_PER_SEC;
    look(w);
}

static const struct policy_criterion error_rate = {
    .metric = METRIC_ERROR_RATE, .test = TEST_MAX, .p0 = 0.01};

static void test_so_many_in_a_row_fail(void **state)
{
    static const struct {
        const char *what;
        struct {
            uint32_t requests, bad;
        } minutes[6];
        uint32_t in_a_row;
        uint64_t windows;
        bool failed;
    } cases[] = {
        {"three in a row", {{100, 2}, {100, 5}, {100, 100}}, 3, 3, true},
        {"two are not three", {{100, 2}, {100, 2}}, 2, 2, false},
        {"at the limit is not over it", {{100, 1}, {200, 2}, {300, 3}}, 0, 3, false},
        {"a good one begins anew", {{100, 9}, {100, 9}, {100, 1}, {100, 9}, {100, 9}}, 2, 5, false},
        {"too few are no data", {{100, 9}, {49, 49}, {100, 9}, {49, 0}, {50, 1}}, 3, 3, true},
        {"silence breaks no run", {{100, 9}, {0, 0}, {0, 0}, {100, 9}, {0, 0}}, 2, 2, false},
        {"failed is for good", {{100, 9}, {100, 9}, {100, 9}, {100, 0}, {100, 0}}, 0, 5, true},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct world w;
        begin(&w, error_rate);
        for (size_t m = 0; m < 6; m++)
            if (m < 5 || cases[i].minutes[m].requests > 0)
                minute(&w, cases[i].minutes[m].requests, cases[i].minutes[m].bad);
        if (w.w.failed != cases[i].failed || w.w.fails_in_a_row != cases[i].in_a_row ||
            w.w.windows != cases[i].windows)
            fail_msg("%s: %u in a row of %u", cases[i].what, w.w.fails_in_a_row,
                     (unsigned)w.w.windows);
        observation_deinit(&w.o);
    }
}

/* A request counts in the window in which it ends, good or bad; one that is known bad before it
 * ends does not count before. */
static void test_requests_count_where_they_end(void **state)
{
    struct world w;
    (void)state;
    begin(&w, error_rate);
    look(&w);
    counts(&w, VARIANT_CANARY)->dispatched = 200;
    counts(&w, VARIANT_CANARY)->settled = 100;
    counts(&w, VARIANT_CANARY)->bad[0] = 40; /* all of them still in flight */
    counts(&w, VARIANT_CANARY)->overdue[0] = 40;
    w.now_ns += NS_PER_MIN;
    look(&w);
    assert_int_equal(w.w.windows, 1);
    assert_true(w.w.last[VARIANT_CANARY] == 0);
    counts(&w, VARIANT_CANARY)->settled = 100;
    counts(&w, VARIANT_CANARY)->overdue[0] = -40;
    counts(&w, VARIANT_CANARY)->excluded[0] = 20;
    w.now_ns += NS_PER_MIN;
    look(&w);
    assert_true(w.w.last[VARIANT_CANARY] == 0.5);
    observation_deinit(&w.o);
}

/* Windows begin at whole slots, so that it does not matter how often somebody looks within one. */
static void test_windows_do_not_depend_on_looks(void **state)
{
    struct world often, seldom;
    (void)state;
    begin(&often, error_rate);
    begin(&seldom, error_rate);
    look(&often);
    look(&seldom);
    for (int64_t now = 6 * NS_PER_SEC; now <= 400 * NS_PER_SEC; now += NS_PER_SEC / 4) {
        often.now_ns = seldom.now_ns = now;
        uint32_t bad = now / NS_PER_SEC % 60 < 5;
        ended(&often, VARIANT_CANARY, 10, bad);
        ended(&seldom, VARIANT_CANARY, 10, bad);
        look(&often);
        if (now % NS_PER_SEC == 0)
            look(&seldom);
    }
    assert_memory_equal(&often.w, &seldom.w, sizeof often.w);
    assert_int_equal(often.w.windows, 6);
    observation_deinit(&often.o);
    observation_deinit(&seldom.o);
}

/* One request in ten is asked about (`where`), answers take half a minute, and the weight rises:
 * ten times as many begin as end. */
static void test_others_in_flight_are_no_samples(void **state)
{
    struct world w;
    (void)state;
    begin(&w, error_rate);
    look(&w);
    w.now_ns += NS_PER_MIN;
    counts(&w, VARIANT_CANARY)->dispatched = 10000;
    counts(&w, VARIANT_CANARY)->excluded[0] = 9000;
    counts(&w, VARIANT_CANARY)->settled = 1000;
    counts(&w, VARIANT_CANARY)->bad[0] = 1;
    look(&w);
    assert_int_equal(w.w.windows, 1);
    assert_true(w.w.last[VARIANT_CANARY] == 0.01);
    observation_deinit(&w.o);
}

static void test_relative_limits_need_both(void **state)
{
    struct world w;
    (void)state;
    begin(&w, (struct policy_criterion){
                  .metric = METRIC_OUTCOME, .test = TEST_MAX_INCREASE, .ratio = 1, .delta = 0.05});
    look(&w);
    for (int i = 0; i < 4; i++) {
        w.now_ns += NS_PER_MIN;
        ended(&w, VARIANT_CANARY, 100, 30);
        ended(&w, VARIANT_STABLE, 900, 234); /* 26 % */
        look(&w);
    }
    assert_int_equal(w.w.fails_in_a_row, 0);
    for (int i = 0; i < 3; i++) {
        w.now_ns += NS_PER_MIN;
        ended(&w, VARIANT_CANARY, 100, 30);
        ended(&w, VARIANT_STABLE, i == 1 ? 49 : 900, 12); /* once too few */
        look(&w);
    }
    assert_int_equal(w.w.fails_in_a_row, 2);
    assert_false(w.w.failed);
    observation_deinit(&w.o);
}

/* A rule that its traffic can never feed is visible as such, and is no pass; nor is the silence of
 * a pause, or one window that a change of weight cut short. */
static void test_windows_with_too_few_starve(void **state)
{
    struct world w;
    (void)state;
    begin(&w, error_rate);
    minute(&w, 0, 0);
    minute(&w, 49, 0);
    minute(&w, 0, 0);
    assert_false(window_method_starves(&w.w));
    minute(&w, 49, 0);
    assert_true(window_method_starves(&w.w));
    minute(&w, 50, 0);
    assert_false(window_method_starves(&w.w));
    observation_deinit(&w.o);
}

/* Late failures of a canary that was superseded. */
static void test_another_canarys_requests_do_not_count(void **state)
{
    struct world w;
    (void)state;
    begin(&w, error_rate);
    look(&w);
    struct slot_counts *late = observation_at(&w.o, 0, 3)->variants;
    late[VARIANT_CANARY].settled = late[VARIANT_CANARY].bad[0] = 100;
    w.now_ns += NS_PER_MIN;
    look(&w);
    assert_int_equal(w.w.windows, 0);
    observation_deinit(&w.o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_so_many_in_a_row_fail),
        cmocka_unit_test(test_requests_count_where_they_end),
        cmocka_unit_test(test_windows_do_not_depend_on_looks),
        cmocka_unit_test(test_others_in_flight_are_no_samples),
        cmocka_unit_test(test_relative_limits_need_both),
        cmocka_unit_test(test_windows_with_too_few_starve),
        cmocka_unit_test(test_another_canarys_requests_do_not_count),
    };
    return cmocka_run_group_tests_name("window_method", tests, NULL, NULL);
}
