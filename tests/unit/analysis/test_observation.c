/* One entry per (epoch, slot), in rising order, whoever reports first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/observation.h"
#include "base/rng.h"

static void test_entries_are_found_again(void **state)
{
    struct observation o;
    (void)state;
    observation_init(&o);
    observation_at(&o, 1, 10)->variants[VARIANT_CANARY].dispatched = 3;
    observation_at(&o, 1, 11)->variants[VARIANT_CANARY].dispatched = 4;
    observation_at(&o, 1, 10)->variants[VARIANT_CANARY].dispatched += 5;
    assert_int_equal(o.count, 2);
    assert_int_equal(o.deltas[0].variants[VARIANT_CANARY].dispatched, 8);
    assert_int_equal(o.deltas[1].variants[VARIANT_CANARY].dispatched, 4);
    observation_clear(&o);
    assert_int_equal(o.count, 0);
    assert_int_equal(observation_at(&o, 1, 10)->variants[VARIANT_CANARY].dispatched, 0);
    observation_deinit(&o);
    observation_deinit(&o);
}

static void test_any_order_of_reports(void **state)
{
    struct observation o;
    struct rng rng;
    (void)state;
    observation_init(&o);
    rng_seed(&rng, 4);
    for (int i = 0; i < 20000; i++)
        observation_at(&o, rng_below(&rng, 4), rng_below(&rng, 500) - 250)
            ->variants[VARIANT_STABLE]
            .dispatched++;
    uint32_t sum = 0;
    assert_int_equal(o.count, 2000);
    for (size_t i = 0; i < o.count; i++) {
        const struct slot_delta *d = &o.deltas[i];
        sum += d->variants[VARIANT_STABLE].dispatched;
        if (i > 0)
            assert_true(d[-1].epoch < d->epoch ||
                        (d[-1].epoch == d->epoch && d[-1].slot < d->slot));
    }
    assert_int_equal(sum, 20000);
    observation_deinit(&o);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_entries_are_found_again),
        cmocka_unit_test(test_any_order_of_reports),
    };
    return cmocka_run_group_tests_name("observation", tests, NULL, NULL);
}
