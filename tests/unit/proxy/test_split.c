/* The split: exact shares, and whoever is in at 10 % still is at 25 %. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "proxy/split.h"

static void test_ends(void **state)
{
    (void)state;
    assert_int_equal(split_pick(0, 0), VARIANT_STABLE);
    assert_int_equal(split_pick(0, 1), VARIANT_CANARY);
    assert_int_equal(split_pick(UINT64_MAX, 9999), VARIANT_STABLE);
    assert_int_equal(split_pick(UINT64_MAX, 10000), VARIANT_CANARY);
}

static void test_monotone(void **state)
{
    struct rng rng;

    (void)state;
    rng_seed(&rng, 1);
    for (int i = 0; i < 2000; i++) {
        uint64_t key = rng_u64(&rng);
        bool in = false;
        for (uint32_t bp = 0; bp <= WEIGHT_FULL_BP; bp += 50) {
            bool now = split_pick(key, bp) == VARIANT_CANARY;
            assert_false(in && !now);
            in = now;
        }
        assert_true(in);
    }
}

static void test_shares(void **state)
{
    static const uint32_t weights[] = {10, 100, 1000, 2500, 5000};
    const int n = 400000;
    struct rng rng;

    (void)state;
    rng_seed(&rng, 7);
    for (size_t w = 0; w < sizeof(weights) / sizeof(weights[0]); w++) {
        double p = weights[w] / 10000.0, count = 0;
        for (int i = 0; i < n; i++)
            count += split_pick(rng_u64(&rng), weights[w]) == VARIANT_CANARY;
        double deviation = (count - n * p) * (count - n * p) / (n * p * (1 - p));
        assert_true(deviation < 16); /* four standard deviations, squared */
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_monotone),
        cmocka_unit_test(test_shares),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
