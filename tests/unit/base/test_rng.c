/* The generators are the published ones, and the distributions have their moments. */
#include "base/rng.h"

#include <math.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

/* The authors' reference code gives these from the state 1, 2, 3, 4; splitmix64 from 1234567. */
static void test_published_values(void **state)
{
    static const uint64_t xoshiro[] = {11520, 0, 1509978240, UINT64_C(1215971899390074240)};
    static const uint64_t splitmix[] = {UINT64_C(6457827717110365317),
                                        UINT64_C(3203168211198807973),
                                        UINT64_C(9817491932198370423)};
    struct rng r = {{1, 2, 3, 4}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(xoshiro); i++)
        assert_true(rng_u64(&r) == xoshiro[i]);
    rng_seed(&r, 1234567);
    for (size_t i = 0; i < ARRAY_LEN(splitmix); i++)
        assert_true(r.s[i] == splitmix[i]);
}

static void test_same_seed_same_numbers(void **state)
{
    struct rng a, b, c;

    (void)state;
    rng_seed(&a, 7);
    rng_seed(&b, 7);
    rng_seed(&c, 8);
    for (int i = 0; i < 100; i++)
        assert_true(rng_u64(&a) == rng_u64(&b));
    assert_true(rng_u64(&a) != rng_u64(&c));
    rng_seed_system(&a);
    rng_seed_system(&b);
    assert_true(rng_u64(&a) != rng_u64(&b));
}

static void test_below_is_uniform(void **state)
{
    enum { SIDES = 7, N = 70000 };
    int counts[SIDES] = {0};
    struct rng r;

    (void)state;
    rng_seed(&r, 1);
    for (int i = 0; i < N; i++) {
        uint32_t x = rng_below(&r, SIDES);
        assert_true(x < SIDES);
        counts[x]++;
    }
    for (int i = 0; i < SIDES; i++) /* 5 standard deviations of 93 */
        assert_in_range(counts[i], 10000 - 465, 10000 + 465);
    assert_int_equal(rng_below(&r, 1), 0);
}

struct moments {
    double mean, variance;
};

static struct moments moments(double (*draw)(struct rng *, double), double parameter)
{
    enum { N = 200000 };
    double sum = 0, squares = 0;
    struct rng r;

    rng_seed(&r, 3);
    for (int i = 0; i < N; i++) {
        double x = draw(&r, parameter);
        sum += x;
        squares += x * x;
    }
    return (struct moments){sum / N, squares / N - sum / N * (sum / N)};
}

static double draw_unit(struct rng *r, double unused)
{
    double x = rng_unit(r);

    (void)unused;
    assert_true(x >= 0 && x < 1);
    return x;
}

static double draw_normal(struct rng *r, double unused)
{
    (void)unused;
    return rng_normal(r);
}

static double draw_poisson(struct rng *r, double mean)
{
    return rng_poisson(r, mean);
}

static void test_moments_of_the_distributions(void **state)
{
    static const struct {
        double (*draw)(struct rng *, double);
        double parameter, mean, variance;
    } rows[] = {
        {draw_unit, 0, 0.5, 1.0 / 12}, {draw_normal, 0, 0, 1},     {rng_exponential, 2, 2, 4},
        {draw_poisson, 0.3, 0.3, 0.3}, {draw_poisson, 25, 25, 25}, {draw_poisson, 1000, 1000, 1000},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct moments m = moments(rows[i].draw, rows[i].parameter);
        double deviation = sqrt(rows[i].variance / 200000);
        assert_true(fabs(m.mean - rows[i].mean) < 5 * deviation);
        assert_true(fabs(m.variance / rows[i].variance - 1) < 0.05);
    }
    struct rng r;
    rng_seed(&r, 1);
    assert_int_equal(rng_poisson(&r, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_published_values),
        cmocka_unit_test(test_same_seed_same_numbers),
        cmocka_unit_test(test_below_is_uniform),
        cmocka_unit_test(test_moments_of_the_distributions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
