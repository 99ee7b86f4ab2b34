/* Which criteria look at a request. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/where.h"
#include "tests/unit/analysis/policies.h"

static void test_which_criteria_look(void **state)
{
    static const char *const chat[] = {"/v1/chat", "/v2/"}, *const posts[] = {"POST", "PUT"};
    static const struct {
        const char *method, *path;
        uint32_t applies; /* bits: any, paths, methods, both */
    } rows[] = {
        {"GET", "/", 1},
        {"GET", "/v1/chat", 1 | 2},
        {"POST", "/v1/chat", 1 | 2 | 4 | 8},
        {"POST", "/v1/chat/completions", 1 | 2 | 4 | 8},
        {"POST", "/v1/chatter", 1 | 4},
        {"PUT", "/v2/x", 1 | 2 | 4 | 8},
        {"PUT", "/v2", 1 | 4},
        {"post", "/v1/chat", 1 | 2}, /* methods have their case */
        {"DELETE", "/V1/chat", 1},
        {"GET", "", 1},
    };
    struct test_policy t;
    (void)state;
    test_policy_init(&t);
    add_error_rate_max(&t, 0.01);
    assert_false(where_any(&t.policy.analysis));
    for (int i = 0; i < 3; i++)
        add_error_rate_max(&t, 0.01);
    t.criteria[1].where = (struct policy_where){.paths = chat, .path_count = 2};
    t.criteria[2].where = (struct policy_where){.methods = posts, .method_count = 2};
    t.criteria[3].where =
        (struct policy_where){.paths = chat, .path_count = 2, .methods = posts, .method_count = 2};
    assert_true(where_any(&t.policy.analysis));
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t applies =
            where_applies(&t.policy.analysis, str_from(rows[i].method), str_from(rows[i].path));
        if (applies != rows[i].applies)
            fail_msg("%s %s: %x", rows[i].method, rows[i].path, applies);
    }
}

/* What is only known of the answer leaves a request in. */
static void test_streams_are_not_its_business(void **state)
{
    struct test_policy t;
    (void)state;
    test_policy_init(&t);
    add_error_rate_max(&t, 0.01);
    t.criteria[0].where.stream = WHERE_STREAM;
    assert_false(where_any(&t.policy.analysis));
    assert_int_equal(where_applies(&t.policy.analysis, STR("GET"), STR("/")), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_which_criteria_look),
        cmocka_unit_test(test_streams_are_not_its_business),
    };
    return cmocka_run_group_tests_name("where", tests, NULL, NULL);
}
