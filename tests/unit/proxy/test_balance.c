/* Least requests by weight, and idle endpoints sharing alike. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/rng.h"
#include "proxy/balance.h"

static void test_least(void **state)
{
    static const struct {
        struct endpoint_load loads[4];
        size_t n, want;
    } rows[] = {
        {{{5, 1}}, 1, 0},
        {{{5, 1}, {4, 1}}, 2, 1},
        {{{3, 1}, {3, 2}, {3, 1}}, 3, 1}, /* weight 2 takes twice as many */
        {{{1, 1}, {2, 4}, {9, 9}}, 3, 1}, /* 1/1, 2/4, 9/9 */
        {{{7, 1}, {7, 1}, {6, 1}, {7, 1}}, 4, 2},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        for (uint32_t random = 0; random < 8; random++)
            assert_int_equal(balance_pick(rows[i].loads, rows[i].n, random), rows[i].want);
}

static void test_ties_are_spread(void **state)
{
    struct endpoint_load loads[4] = {{0, 1}, {0, 1}, {0, 1}, {0, 1}};
    int counts[4] = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 3);
    for (int i = 0; i < 4000; i++)
        counts[balance_pick(loads, 4, (uint32_t)rng_u64(&rng))]++;
    for (int i = 0; i < 4; i++)
        assert_in_range(counts[i], 850, 1150);
}

/* With little traffic all are idle, and the weights alone must share it out. */
static void test_weights_hold_without_load(void **state)
{
    struct endpoint_load loads[3] = {{0, 7}, {0, 2}, {0, 1}};
    int counts[3] = {0};
    struct rng rng;

    (void)state;
    rng_seed(&rng, 5);
    for (int i = 0; i < 10000; i++)
        counts[balance_pick(loads, 3, (uint32_t)rng_u64(&rng))]++;
    assert_in_range(counts[0], 6850, 7150);
    assert_in_range(counts[1], 1880, 2120);
    assert_in_range(counts[2], 900, 1100);
}

/* By the sums of their weights, from the first to the last. */
static void test_draw(void **state)
{
    static const uint32_t sums[] = {1, 3, 4, 8}; /* 1, 2, 1, 4 */
    static const struct {
        uint32_t eighth;
        size_t want;
    } rows[] = {{0, 0}, {1, 1}, {2, 1}, {3, 2}, {4, 3}, {5, 3}, {6, 3}, {7, 3}};
    const uint32_t one = 9;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint32_t first = rows[i].eighth << 29;
        assert_int_equal(balance_draw(sums, 4, first), rows[i].want);
        assert_int_equal(balance_draw(sums, 4, first + (UINT32_C(1) << 29) - 1), rows[i].want);
    }
    assert_int_equal(balance_draw(&one, 1, UINT32_MAX), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_least),
        cmocka_unit_test(test_ties_are_spread),
        cmocka_unit_test(test_weights_hold_without_load),
        cmocka_unit_test(test_draw),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
