/* What decides without looking for the ends of intervals decides as if it had. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/bounds.h"
#include "base/rng.h"

#define BETA 0.05

static struct policy_criterion criteria[] = {
    {.test = TEST_MAX, .p0 = 0.01},
    {.test = TEST_MAX_INCREASE, .ratio = 1, .delta = 0.005},
    {.test = TEST_MAX_INCREASE, .ratio = 1.5, .delta = 0},
};
static const struct policy policy = {
    .analysis = {.max_bad_promotion = BETA, .criteria = criteria, .criteria_count = 3}};

static void draw(struct rng *rng, struct criterion_report *r)
{
    *r = (struct criterion_report){.no_harm_threshold = 3};
    for (int v = 0; v < VARIANT_COUNT; v++) {
        r->requests[v] = rng_below(rng, 1U << rng_below(rng, 18));
        r->bad[v] = rng_below(rng, (uint32_t)r->requests[v] / (1 + rng_below(rng, 200)) + 1);
        r->pending[v] = rng_below(rng, 3) == 0 ? rng_below(rng, (uint32_t)r->requests[v] + 1) : 0;
        r->value[v] = r->requests[v] > 0 ? (double)r->bad[v] / (double)r->requests[v] : -1;
    }
}

static bool is_beyond(const struct analysis_report *report, size_t criterion)
{
    const struct policy_criterion *c = &criteria[criterion];
    struct bounds canary = bounds_of(&policy, report, criterion, VARIANT_CANARY);
    struct bounds stable = bounds_of(&policy, report, criterion, VARIANT_STABLE);
    const struct criterion_report *r = &report->criteria[criterion];

    if (r->requests[VARIANT_CANARY] == 0)
        return false;
    if (c->test == TEST_MAX)
        return canary.lower > c->p0;
    return r->requests[VARIANT_STABLE] > 0 && canary.lower > c->ratio * stable.upper + c->delta;
}

static void test_beyond_is_what_the_intervals_say(void **state)
{
    struct analysis_report report = {.count = 3};
    struct rng rng;
    int beyond[3] = {0};

    (void)state;
    rng_seed(&rng, 11);
    for (int i = 0; i < 6000; i++)
        for (size_t c = 0; c < 3; c++) {
            draw(&rng, &report.criteria[c]);
            bool want = is_beyond(&report, c);
            beyond[c] += want;
            assert_int_equal(bounds_are_beyond(&criteria[c], BETA, &report.criteria[c]), want);
        }
    for (size_t c = 0; c < 3; c++) /* the draw has enough of both */
        assert_in_range(beyond[c], 100, 5900);
}

static void test_intervals_hold_their_share(void **state)
{
    struct analysis_report report = {.count = 1};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 12);
    for (int i = 0; i < 3000; i++) {
        struct criterion_report *r = &report.criteria[0];
        draw(&rng, r);
        for (int v = 0; v < VARIANT_COUNT; v++) {
            struct bounds b = bounds_of(&policy, &report, 0, (enum variant)v);
            assert_true(b.lower >= 0 && b.upper <= 1 && b.lower <= b.upper);
            if (r->requests[v] > 0)
                assert_true(b.lower <= r->value[v] && r->value[v] <= b.upper + 1e-12);
        }
    }
}

static void test_requests_more(void **state)
{
    struct analysis_report report = {.count = 1};
    struct criterion_report *r = &report.criteria[0];

    (void)state;
    r->no_harm_threshold = 3;
    assert_int_equal(bounds_requests_more(&policy, &report, 0), 376);
    r->requests[VARIANT_CANARY] = 100;
    assert_int_equal(bounds_requests_more(&policy, &report, 0), 276);
    r->pending[VARIANT_CANARY] = 40; /* they may turn out bad */
    assert_int_equal(bounds_requests_more(&policy, &report, 0), 316);
    r->requests[VARIANT_CANARY] = 1000;
    assert_int_equal(bounds_requests_more(&policy, &report, 0), 1); /* but not in a row */
    r->no_harm = 3;
    assert_int_equal(bounds_requests_more(&policy, &report, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_beyond_is_what_the_intervals_say),
        cmocka_unit_test(test_intervals_hold_their_share),
        cmocka_unit_test(test_requests_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
