/* The weight word: late writers lose, a trip lasts until a newer epoch. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/weights.h"

static void test_newer_epoch_wins(void **state)
{
    struct weight w = {0};

    (void)state;
    assert_true(weight_set(&w, 3, 2500));
    assert_int_equal(weight_read(&w).weight_bp, 2500);
    assert_int_equal(weight_read(&w).epoch, 3);
    assert_false(weight_set(&w, 2, 10000)); /* a late raise cannot undo what came after it */
    assert_int_equal(weight_read(&w).weight_bp, 2500);
    assert_true(weight_set(&w, 4, 0));
    assert_int_equal(weight_read(&w).weight_bp, 0);
}

static void test_trip(void **state)
{
    struct weight w = {0};

    (void)state;
    assert_true(weight_set(&w, 1, 1000));
    assert_false(weight_trip(&w, 2)); /* not the epoch it saw */
    assert_true(weight_trip(&w, 1));
    assert_int_equal(weight_read(&w).weight_bp, 0);
    assert_false(weight_set(&w, 1, 1000)); /* the same epoch cannot raise it again */
    assert_int_equal(weight_read(&w).weight_bp, 0);
    assert_true(weight_set(&w, 2, 500));
    assert_int_equal(weight_read(&w).weight_bp, 500);
}

/* A process that drains has seen more epochs than the one that replaced it. */
static void test_another_writer_is_obeyed_whatever_its_epochs(void **state)
{
    struct weight w = {0};

    (void)state;
    assert_true(weight_set(&w, 40, 5000));
    weight_follow(&w, 0);
    assert_int_equal(weight_read(&w).weight_bp, 0);
    assert_int_equal(weight_read(&w).epoch, 41);
    assert_false(weight_set(&w, 40, 5000)); /* a late one of its own epochs */
    weight_follow(&w, 0);
    assert_int_equal(weight_read(&w).epoch, 41);
    assert_true(weight_trip(&w, 41));
    weight_follow(&w, 2500);
    assert_int_equal(weight_read(&w).weight_bp, 2500);
    assert_true(weight_set(&w, 0x7fffffff, 100));
    weight_follow(&w, 0); /* the last epoch: still obeyed */
    assert_int_equal(weight_read(&w).weight_bp, 0);
    assert_int_equal(weight_read(&w).epoch, 0x7fffffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_newer_epoch_wins),
        cmocka_unit_test(test_trip),
        cmocka_unit_test(test_another_writer_is_obeyed_whatever_its_epochs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
