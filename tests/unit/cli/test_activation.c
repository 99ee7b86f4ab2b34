/* The variables of sd_listen_fds(3). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>

#include "cli/activation.h"

static void test_how_many(void **state)
{
    static const struct {
        const char *pid, *fds;
        int count;
    } rows[] = {
        {NULL, NULL, 0},       {"42", NULL, 0},       {NULL, "2", 0},
        {"42", "2", 2},        {"43", "2", 0},        {"42", "0", 0},
        {"42", "64", 64},      {"42", "65", -EINVAL}, {"42", "", -EINVAL},
        {"", "1", -EINVAL},    {"42", "-1", -EINVAL}, {"42", "two", -EINVAL},
        {"42", "2 ", -EINVAL}, {"x", "2", -EINVAL},   {"42", "99999999999999999999", -EINVAL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_int_equal(activation_count(rows[i].pid, rows[i].fds, 42), rows[i].count);
}

static void test_what_for(void **state)
{
    static const char names[] = "admin:proxy:proxy-tls:unknown::proxyx:admin2:admin";
    static const enum inherited_role roles[] = {
        INHERITED_ADMIN, INHERITED_PROXY, INHERITED_PROXY, INHERITED_ANY, INHERITED_ANY,
        INHERITED_ANY,   INHERITED_ANY,   INHERITED_ADMIN, INHERITED_ANY, INHERITED_ANY,
    };

    (void)state;
    for (size_t i = 0; i < sizeof(roles) / sizeof(roles[0]); i++)
        assert_int_equal(activation_role(names, i), roles[i]);
    assert_int_equal(activation_role(NULL, 0), INHERITED_ANY);
    assert_int_equal(activation_role("", 0), INHERITED_ANY);
    assert_int_equal(activation_role("proxy", 0), INHERITED_PROXY);
    assert_int_equal(activation_role("proxy", 1), INHERITED_ANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_how_many),
        cmocka_unit_test(test_what_for),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
