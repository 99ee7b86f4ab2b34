/* How long promotion takes is known before a release: against simulated figures, and against the
 * rule itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/sequential.h"
#include "base/check.h"
#include "cli/promotion.h"

static void assert_about(uint64_t got, uint64_t expected, double within)
{
    double d = (double)got / (double)expected;

    if (d < 1 - within || d > 1 + within)
        fail_msg("%llu is not about %llu", (unsigned long long)got, (unsigned long long)expected);
}

/* Limit 1 %, 5 %: medians and 95th percentiles of simulated canaries, but for one: it can only come
 * after 376, 674, 902, 1105, ... requests, and at a tenth of the limit 902 is just enough. */
static void test_as_simulated(void **state)
{
    static const struct {
        double rate;
        uint64_t median, p95;
    } rows[] = {
        {0, 376, 376},      {0.0005, 376, 674},  {0.001, 376, 902},
        {0.002, 674, 1647}, {0.005, 2137, 6171}, {0.007, 8082, 22298},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_about(promotion_requests(0.01, 0.05, rows[i].rate, 0.5), rows[i].median, 0.08);
        assert_about(promotion_requests(0.01, 0.05, rows[i].rate, 0.95), rows[i].p95, 0.08);
    }
}

static void test_without_failures_it_is_the_least(void **state)
{
    static const double limits[] = {0.0001, 0.001, 0.02, 0.1, 0.4};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(limits); i++)
        assert_int_equal(promotion_requests(limits[i], 0.05, 0, 0.95),
                         sequential_requests_more(0, 0, limits[i], 0.05));
}

/* What is rarer by ten takes ten times as many requests. */
static void test_small_limits_scale(void **state)
{
    (void)state;
    assert_about(promotion_requests(0.001, 0.05, 0.0003, 0.95),
                 10 * promotion_requests(0.01, 0.05, 0.003, 0.95), 0.03);
}

static void test_at_the_limit_and_above_it_never_comes(void **state)
{
    (void)state;
    assert_true(promotion_requests(0.01, 0.05, 0.01, 0.5) == UINT64_MAX);
    assert_true(promotion_requests(0.01, 0.05, 0.2, 0.5) == UINT64_MAX);
    assert_true(promotion_requests(0.01, 0.05, 0.0099, 0.95) == UINT64_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_as_simulated),
        cmocka_unit_test(test_without_failures_it_is_the_least),
        cmocka_unit_test(test_small_limits_scale),
        cmocka_unit_test(test_at_the_limit_and_above_it_never_comes),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
