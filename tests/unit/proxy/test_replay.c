/* What is held is what was sent, within the bounds of one request and of all. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "proxy/replay.h"

static bool add(struct replay *r, struct replay_limits *limits, char *text)
{
    uv_buf_t bufs[] = {uv_buf_init(text, 1), uv_buf_init(text + 1, (unsigned)strlen(text) - 1)};

    return replay_add(r, limits, bufs, ARRAY_LEN(bufs));
}

static void test_holds_what_it_was_given(void **state)
{
    struct replay_limits limits = {.bytes = 100000, .total_bytes = 1000000};
    struct replay r = {0};
    char text[] = "abcdefghij";

    (void)state;
    for (int i = 0; i < 5000; i++)
        assert_true(add(&r, &limits, text));
    assert_int_equal(r.len, 50000);
    for (size_t i = 0; i < r.len; i++)
        assert_int_equal(r.ptr[i], text[i % 10]);
    assert_true(limits.held >= 50000);
    replay_clear(&r, &limits);
    assert_int_equal(limits.held, 0);
}

static void test_one_request_is_bounded(void **state)
{
    struct replay_limits limits = {.bytes = 15, .total_bytes = 1000000};
    struct replay r = {0};
    char text[] = "abcdefghij";

    (void)state;
    assert_true(add(&r, &limits, text));
    assert_false(add(&r, &limits, text)); /* said once */
    assert_true(r.given_up);
    assert_null(r.ptr);
    assert_true(add(&r, &limits, text));
    assert_int_equal(limits.held, 0);
    replay_clear(&r, &limits);
}

static void test_all_requests_are_bounded(void **state)
{
    struct replay_limits limits = {.bytes = 8192, .total_bytes = 3 * 4096};
    struct replay r[4] = {0};
    char text[] = "abcdefghij";

    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_true(add(&r[i], &limits, text));
    assert_false(add(&r[3], &limits, text));
    replay_clear(&r[0], &limits);
    replay_clear(&r[3], &limits);
    assert_true(add(&r[3], &limits, text));
    for (size_t i = 0; i < 4; i++)
        replay_clear(&r[i], &limits);
    assert_int_equal(limits.held, 0);
}

static void test_nothing_may_be_held(void **state)
{
    struct replay_limits limits = {0};
    struct replay r = {0};
    char text[] = "ab";

    (void)state;
    assert_false(add(&r, &limits, text));
    assert_int_equal(limits.held, 0);
    replay_clear(&r, &limits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_holds_what_it_was_given),
        cmocka_unit_test(test_one_request_is_bounded),
        cmocka_unit_test(test_all_requests_are_bounded),
        cmocka_unit_test(test_nothing_may_be_held),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
