/* The bodies of verbs: a member that is misspelt or of another verb is an error that names it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "admin/api.h"
#include "base/check.h"

static const struct {
    enum command_kind kind;
    const char *body;
    const char *error; /* part of the message; NULL: accepted */
} rows[] = {
    {COMMAND_PROMOTE, "", NULL},
    {COMMAND_PROMOTE, " \t", NULL},
    {COMMAND_PROMOTE, "{}", NULL},
    {COMMAND_PROMOTE, "{\"reason\":\"x\",\"expect_step\":2,\"force\":true,\"full\":false}", NULL},
    {COMMAND_PAUSE, "{\"weight\":0}", NULL},
    {COMMAND_PAUSE, "{\"weight\":0.0}", NULL},
    {COMMAND_ROLLBACK, "{\"reason\":\"\"}", NULL},
    {COMMAND_PROMOTE, "{\"expectstep\":2}", "\"expectstep\""},
    {COMMAND_PROMOTE, "{\"expect_step\":0}", "\"expect_step\""},
    {COMMAND_PROMOTE, "{\"expect_step\":-1}", "\"expect_step\""},
    {COMMAND_PROMOTE, "{\"expect_step\":4294967297}", "\"expect_step\""},
    {COMMAND_PROMOTE, "{\"expect_step\":\"2\"}", "\"expect_step\""},
    {COMMAND_PROMOTE, "{\"expect_step\":2.5}", "\"expect_step\""},
    {COMMAND_PROMOTE, "{\"expect_step\":null}", "\"expect_step\""},
    {COMMAND_PROMOTE, "{\"force\":1}", "\"force\""},
    {COMMAND_PROMOTE, "{\"full\":\"yes\"}", "\"full\""},
    {COMMAND_PROMOTE, "{\"reason\":7}", "\"reason\""},
    {COMMAND_PROMOTE, "{\"weight\":0}", "\"weight\""},
    {COMMAND_PAUSE, "{\"weight\":5}", "\"weight\""},
    {COMMAND_PAUSE, "{\"weight\":false}", "\"weight\""},
    {COMMAND_PAUSE, "{\"full\":true}", "\"full\""},
    {COMMAND_PROMOTE, "{\"full\":true,\"full\":false}", "not valid JSON"},
    {COMMAND_PROMOTE, "{\"full\":tr", "not valid JSON"},
    {COMMAND_PROMOTE, "[]", "object"},
    {COMMAND_PROMOTE, "true", "not valid JSON"},
};

static void bodies(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct command c = {.expect_step = 99};
        struct error error = {.code = 0};
        int rc = api_parse_command(str_from(rows[i].body), rows[i].kind, &c, &error);
        if ((rc == 0) != (rows[i].error == NULL))
            fail_msg("row %zu: %s: rc %d %s", i, rows[i].body, rc, error.message);
        if (rc == 0)
            continue;
        assert_int_equal(rc, -EINVAL);
        assert_int_equal(c.expect_step, 99); /* untouched */
        if (strstr(error.message, rows[i].error) == NULL)
            fail_msg("row %zu: \"%s\" does not say %s", i, error.message, rows[i].error);
    }
}

static void every_member_arrives(void **state)
{
    struct command c;

    (void)state;
    assert_int_equal(api_parse_command(STR("{\"reason\":\"INC-1\",\"expect_step\":3,\"force\":true,"
                                           "\"full\":true}"),
                                       COMMAND_PROMOTE, &c, NULL),
                     0);
    assert_int_equal(c.kind, COMMAND_PROMOTE);
    assert_string_equal(c.reason, "INC-1");
    assert_int_equal(c.expect_step, 3);
    assert_true(c.force && c.full && !c.zero);
    assert_int_equal(api_parse_command(STR("{\"weight\":0}"), COMMAND_PAUSE, &c, NULL), 0);
    assert_true(c.zero && !c.force && c.expect_step == 0);
}

static void a_reason_that_does_not_fit_is_refused_and_not_cut(void **state)
{
    char body[512] = "{\"reason\":\"";
    struct command c;
    size_t n = strlen(body);

    (void)state;
    memset(body + n, 'x', sizeof(c.reason) - 1);
    strcpy(body + n + sizeof(c.reason) - 1, "\"}");
    assert_int_equal(api_parse_command(str_from(body), COMMAND_PAUSE, &c, NULL), 0);
    strcpy(body + n + sizeof(c.reason) - 1, "x\"}");
    assert_int_equal(api_parse_command(str_from(body), COMMAND_PAUSE, &c, NULL), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bodies),
        cmocka_unit_test(every_member_arrives),
        cmocka_unit_test(a_reason_that_does_not_fit_is_refused_and_not_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
