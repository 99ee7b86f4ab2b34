/* A line is a line, whatever is in it. */
#include "base/log.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/strbuf.h"

static int fds[2];

/* What one call writes, after the time. */
static void written(char *to, size_t size)
{
    ssize_t n = read(fds[0], to, size - 1);

    to[n > 0 ? n : 0] = '\0';
}

static void test_text_lines(void **state)
{
    char line[20000];

    (void)state;
    log_init(LOG_INFO, LOG_TEXT, fds[1]);
    log_info("rollout.advanced", F("rollout", LOG_STR("chat")), F("weight_bp", LOG_U64(2500)),
             F("note", LOG_STR("a b\n\"c\"")), F("ok", LOG_BOOL(true)), F("x", LOG_F64(0.5)),
             F("n", LOG_I64(-1)), F("empty", LOG_STR("")));
    written(line, sizeof(line));
    assert_string_equal(line + strlen("2026-11-20T18:49:12.345Z "),
                        "info rollout.advanced rollout=chat weight_bp=2500 "
                        "note=\"a b\\u000a\\\"c\\\"\" ok=true x=0.5 n=-1 empty=\"\"\n");
    log_debug("quiet");
    written(line, sizeof(line));
    assert_string_equal(line, "");
}

static void test_json_lines(void **state)
{
    char line[20000];

    (void)state;
    log_init(LOG_INFO, LOG_JSON, fds[1]);
    log_warn("odd", F("name", LOG_STR("a\"b")), F("rate", LOG_F64(0.0 / 0.0)));
    written(line, sizeof(line));
    assert_non_null(
        strstr(line, "\"level\":\"warn\",\"event\":\"odd\",\"name\":\"a\\\"b\",\"rate\":null}\n"));
}

/* A value of any length leaves the line whole: the field is missing, the next ones are not. */
static void test_fields_that_do_not_fit(void **state)
{
    char line[40000], *value = malloc(20000);

    (void)state;
    memset(value, 'x', 19999);
    value[19999] = '\0';
    log_init(LOG_INFO, LOG_JSON, fds[1]);
    log_info("long", F("value", LOG_STR(value)), F("after", LOG_U64(1)));
    written(line, sizeof(line));
    assert_non_null(strstr(line, "\"event\":\"long\",\"after\":1}\n"));
    free(value);
}

static int setup(void **state)
{
    (void)state;
    unsetenv("SLUICE_LOG");
    return pipe2(fds, O_NONBLOCK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_text_lines),
        cmocka_unit_test(test_json_lines),
        cmocka_unit_test(test_fields_that_do_not_fit),
    };

    return cmocka_run_group_tests(tests, setup, NULL);
}
