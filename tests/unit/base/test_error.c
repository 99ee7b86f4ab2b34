/* Errors carry where and what to do; diagnostics keep them all, in order. */
#include "base/error.h"

#include <errno.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/strbuf.h"

static void test_context_comes_first(void **state)
{
    struct error e = {0};

    (void)state;
    assert_int_equal(error_set(&e, -EINVAL, "bad %s", "port"), -EINVAL);
    error_context(&e, "loading %s: ", "a.yaml");
    error_hint(&e, "write %d", 80);
    assert_int_equal(e.code, -EINVAL);
    assert_string_equal(e.message, "loading a.yaml: bad port");
    assert_string_equal(e.hint, "write 80");
    assert_int_equal(error_at(&e, (struct source_pos){"a", 1, 2}, -EIO, "new"), -EIO);
    assert_string_equal(e.hint, ""); /* nothing is left of the one before */
    assert_int_equal(e.at.column, 2);
    assert_int_equal(error_set(NULL, -EIO, "dropped"), -EIO);
    error_context(NULL, "x");
    error_hint(NULL, "x");
}

static void test_long_messages_are_cut(void **state)
{
    struct error e;
    char text[1000];

    (void)state;
    memset(text, 'x', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    error_set(&e, -EINVAL, "%s", text);
    error_context(&e, "%s", text);
    error_hint(&e, "%s", text);
    assert_int_equal(strlen(e.message), sizeof(e.message) - 1);
    assert_int_equal(strlen(e.hint), sizeof(e.hint) - 1);
}

static void test_warnings_are_no_failure(void **state)
{
    struct diagnostics d;

    (void)state;
    diagnostics_init(&d);
    assert_true(diagnostics_ok(&d));
    for (int i = 0; i < DIAGNOSTICS_MAX + 5; i++)
        diagnostics_warnf(&d, (struct source_pos){0}, NULL, "careful");
    assert_true(diagnostics_ok(&d));
    diagnostics_addf(&d, (struct source_pos){0}, "fix it", "broken"); /* no room, still a failure */
    assert_false(diagnostics_ok(&d));
    assert_int_equal(d.count, DIAGNOSTICS_MAX);
    assert_int_equal(d.dropped, 1);
    diagnostics_deinit(&d);
}

static void test_sorted_as_a_reader_wants(void **state)
{
    static const struct source_pos places[] = {
        {"b", 1, 1}, {"a", 2, 1}, {"a", 1, 9}, {"a", 1, 2}, {NULL, 0, 0}, {"a", 1, 2},
    };
    static const char *const order[] = {"4", "3", "5", "2", "1", "0"};
    struct diagnostics d;

    (void)state;
    diagnostics_init(&d);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        diagnostics_addf(&d, places[i], NULL, "%zu", i);
    diagnostics_sort(&d);
    for (size_t i = 0; i < ARRAY_LEN(places); i++)
        assert_string_equal(d.items[i].message, order[i]);
    diagnostics_deinit(&d);
}

static void test_printed_with_line_and_caret(void **state)
{
    static const struct {
        struct source_pos at;
        int code;
        const char *hint, *source, *printed;
    } rows[] = {
        {{"a.yaml", 2, 4},
         -EINVAL,
         "fix",
         "one\ntwo three\n",
         "a.yaml:2:4: m\n    2 | two three\n      |    ^\n  hint: fix\n"},
        {{"a.yaml", 1, 1}, 0, "", "one\r\n", "a.yaml:1:1: warning: m\n    1 | one\n      | ^\n"},
        /* columns are characters, tabs stay tabs */
        {{"a", 1, 4},
         -EINVAL,
         "",
         "\t\xc3\xa4:x",
         "a:1:4: m\n    1 | \t\xc3\xa4:x\n      | \t  ^\n"},
        {{"a", 1, 3}, -EINVAL, "", "a\x01\xff", "a:1:3: m\n    1 | a\?\?\n      |   ^\n"},
        /* nothing hides or moves what follows it */
        {{"a", 1, 4}, -EINVAL, "", "a\xe2\x80\xae:x", "a:1:4: m\n    1 | a?:x\n      |    ^\n"},
        {{"a\x1b[2J", 0, 0}, -EINVAL, "b\xe2\x81\xa6", NULL, "a?[2J: m\n  hint: b?\n"},
        {{"a", 1, 4}, -EINVAL, "", "abc", "a:1:4: m\n    1 | abc\n      |    ^\n"}, /* the end */
        {{"a", 1, 9}, -EINVAL, "", "abc", "a:1:9: m\n    1 | abc\n"},
        {{"a", 7, 1}, -EINVAL, "", "abc", "a:7:1: m\n"},
        {{"a", 0, 0}, -EINVAL, "", "abc", "a: m\n"},
        {{NULL, 0, 0}, -EINVAL, "h", NULL, "m\n  hint: h\n"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct error e;
        struct strbuf out;
        error_at(&e, rows[i].at, rows[i].code, "m");
        error_hint(&e, "%s", rows[i].hint);
        strbuf_init(&out, 1000);
        diagnostics_print(&e, str_from(rows[i].source), &out);
        assert_string_equal(strbuf_cstr(&out), rows[i].printed);
        strbuf_deinit(&out);
    }
}

/* However long the line, it and its caret fit a terminal of 80, and the caret stands where it must.
 */
static void test_long_lines_are_cut_around_the_caret(void **state)
{
    char line[5000];

    (void)state;
    for (uint32_t length = 60; length < 200; length++) {
        for (uint32_t column = 1; column <= length + 1; column++) {
            struct error e;
            struct strbuf out;
            struct str rest, row = {NULL, 0}, shown;
            memset(line, '-', length);
            line[column - 1] = 'x';
            error_at(&e, (struct source_pos){"a", 1, column}, -EINVAL, "m");
            strbuf_init(&out, 1000);
            diagnostics_print(&e, (struct str){line, length}, &out);
            assert_false(out.overflow);
            rest = strbuf_str(&out);
            assert_true(str_split(&rest, '\n', &row) && str_split(&rest, '\n', &shown) &&
                        str_split(&rest, '\n', &row));
            assert_true(shown.len <= 80 && row.len <= 81);
            assert_int_equal(row.ptr[row.len - 1], '^');
            if (column <= length)
                assert_int_equal(shown.ptr[row.len - 1], 'x');
            else
                assert_int_equal(shown.len, row.len - 1);
            if (length > 72 && column < 40)
                assert_true(str_ends_with(shown, STR("-...")));
            if (length > 72 && column > 80)
                assert_true(str_starts_with(shown, STR("    1 | ...-")));
            strbuf_deinit(&out);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_context_comes_first),
        cmocka_unit_test(test_long_messages_are_cut),
        cmocka_unit_test(test_warnings_are_no_failure),
        cmocka_unit_test(test_sorted_as_a_reader_wants),
        cmocka_unit_test(test_printed_with_line_and_caret),
        cmocka_unit_test(test_long_lines_are_cut_around_the_caret),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
