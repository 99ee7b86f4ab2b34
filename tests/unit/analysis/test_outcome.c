/* What counts as an error, and how kinds are named in metrics. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/outcome.h"

static void test_status(void **state)
{
    static const struct {
        int status;
        enum outcome_kind want;
    } rows[] = {
        {200, OUTCOME_OK},  {204, OUTCOME_OK},  {304, OUTCOME_OK},  {399, OUTCOME_OK},
        {400, OUTCOME_4XX}, {404, OUTCOME_4XX}, {428, OUTCOME_4XX}, {429, OUTCOME_429},
        {430, OUTCOME_4XX}, {499, OUTCOME_4XX}, {500, OUTCOME_5XX}, {503, OUTCOME_5XX},
        {599, OUTCOME_5XX}, {101, OUTCOME_OK},  {999, OUTCOME_5XX},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        assert_int_equal(outcome_of_status(rows[i].status), rows[i].want);
}

static void test_errors(void **state)
{
    (void)state;
    for (int kind = 0; kind < OUTCOME_KIND_COUNT; kind++) {
        bool fine = kind == OUTCOME_OK || kind == OUTCOME_4XX || kind == OUTCOME_429 ||
                    kind == OUTCOME_CLIENT_ABORT;
        assert_int_equal(outcome_is_error((enum outcome_kind)kind), !fine);
    }
}

static void test_names(void **state)
{
    (void)state;
    for (int kind = 0; kind < OUTCOME_KIND_COUNT; kind++) {
        assert_non_null(outcome_names[kind]);
        for (int other = 0; other < kind; other++)
            assert_string_not_equal(outcome_names[kind], outcome_names[other]);
    }
    for (int result = 0; result < RESULT_KIND_COUNT; result++) {
        assert_non_null(result_names[result]);
        for (int other = 0; other < result; other++)
            assert_string_not_equal(result_names[result], result_names[other]);
    }
    for (int kind = 0; kind < OUTCOME_KIND_COUNT; kind++)
        assert_string_equal(result_names[kind], outcome_names[kind]);
    assert_string_equal(result_names[RESULT_SHIELDED], "shielded");
    assert_string_equal(result_names[RESULT_CUT], "cut");
    assert_string_equal(outcome_names[OUTCOME_4XX], "4xx");
    assert_string_equal(outcome_names[OUTCOME_CLIENT_ABORT], "client_abort");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_status),
        cmocka_unit_test(test_errors),
        cmocka_unit_test(test_names),
    };
    return cmocka_run_group_tests_name("outcome", tests, NULL, NULL);
}
