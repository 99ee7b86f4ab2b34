/* Which slots are said to have carried the evidence, and with how much. */
#include "fixtures.h"

#include "controller/carried.h"

static void add(struct carried *c, int64_t slot, uint32_t canary, uint32_t bad, uint32_t stable,
                uint32_t stable_bad)
{
    struct observation o;

    observation_init(&o);
    struct slot_delta *d = observation_at(&o, 2, slot);
    d->variants[VARIANT_CANARY].dispatched = canary;
    d->variants[VARIANT_STABLE].dispatched = stable;
    for (size_t k = 0; k < 3; k++) {
        d->variants[VARIANT_CANARY].bad[k] = bad;
        d->variants[VARIANT_STABLE].bad[k] = stable_bad;
    }
    d->variants[VARIANT_CANARY].errors = bad;
    carried_add(c, &o);
    observation_deinit(&o);
}

static void test_the_stretch_begins_with_the_trouble(void **state)
{
    struct fixture f;
    struct analysis_report report = report_failing();
    struct carried c;

    (void)state;
    fixture_init(&f);
    carried_init(&c, 0);
    for (int64_t slot = 1; slot <= 60; slot++)
        add(&c, slot, 10, 0, 90, 0);
    for (int64_t slot = 61; slot <= 70; slot++)
        add(&c, slot, 10, slot == 65 ? 0 : 3, 90, 0);
    carried_weigh(&c, &f.policy, &report);
    assert_int_equal(c.slots[c.from].slot, 61);
    assert_int_equal(c.slots[c.to - 1].slot, 70);
    assert_true(c.p0 == 0.01 && fabs(c.p1 - 0.27) < 1e-12);
    double expected = 3 * log(0.27 / 0.01) + 7 * log(0.73 / 0.99);
    assert_true(fabs(c.slots[c.from].added - expected) < 1e-9);
    assert_true(c.slots[c.from + 4].added < 0);
    assert_true(c.slots[0].added == 0);
    carried_deinit(&c);
}

/* A relative limit is stable's share in the same slots, and the margin. */
static void test_a_relative_limit_moves_with_stable(void **state)
{
    struct fixture f;
    struct analysis_report report = report_failing();
    struct carried c;

    (void)state;
    fixture_init(&f);
    carried_init(&c, 1);
    for (int64_t slot = 1; slot <= 10; slot++)
        add(&c, slot, 100, 50, 100, 20);
    carried_weigh(&c, &f.policy, &report);
    assert_true(fabs(c.p0 - 0.205) < 1e-12);
    assert_int_equal(c.to - c.from, 10);
    carried_deinit(&c);
}

static void test_a_good_canary_has_no_stretch(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();
    struct carried c;

    (void)state;
    fixture_init(&f);
    carried_init(&c, 0);
    for (int64_t slot = 1; slot <= 10; slot++)
        add(&c, slot, 100, 0, 100, 0);
    add(&c, 11, 0, 0, 100, 50); /* no canary: nothing to say */
    carried_weigh(&c, &f.policy, &report);
    assert_int_equal(c.count, 10);
    assert_int_equal(c.to, c.from);
    carried_deinit(&c);
}

static void test_straight_failures_are_the_last_ones(void **state)
{
    struct fixture f;
    struct analysis_report report = report_down();
    struct carried c;

    (void)state;
    fixture_init(&f);
    carried_init(&c, CARRIED_ERRORS);
    add(&c, 1, 5, 5, 50, 0);
    add(&c, 2, 5, 4, 50, 0);
    add(&c, 3, 5, 5, 50, 0);
    add(&c, 7, 5, 5, 50, 0);
    carried_weigh(&c, &f.policy, &report);
    assert_int_equal(c.slots[c.from].slot, 3);
    assert_int_equal(c.to - c.from, 2);
    assert_true(c.p1 == 1);
    carried_deinit(&c);
}

/* Of very many slots the newest are kept, in order. */
static void test_only_the_newest_slots_are_kept(void **state)
{
    struct carried c;

    (void)state;
    carried_init(&c, 0);
    for (int64_t slot = 1; slot <= CARRIED_SLOTS_MAX + 10; slot++)
        add(&c, slot, 1, 0, 1, 0);
    add(&c, 3, 1, 1, 1, 0);
    assert_int_equal(c.count, CARRIED_SLOTS_MAX);
    assert_int_equal(c.slots[0].slot, 11);
    assert_int_equal(c.slots[c.count - 1].slot, CARRIED_SLOTS_MAX + 10);
    carried_deinit(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_stretch_begins_with_the_trouble),
        cmocka_unit_test(test_a_relative_limit_moves_with_stable),
        cmocka_unit_test(test_a_good_canary_has_no_stretch),
        cmocka_unit_test(test_straight_failures_are_the_last_ones),
        cmocka_unit_test(test_only_the_newest_slots_are_kept),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
