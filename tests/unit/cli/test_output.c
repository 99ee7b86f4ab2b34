/* Tables line up by what is seen, colours come only where asked, and what a server sends cannot
 * steer a terminal. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "cli/output.h"

static void columns_line_up_in_utf8(void **state)
{
    static const char *const headings[] = {"name", "n", "last"};
    static const enum align aligns[] = {ALIGN_LEFT, ALIGN_RIGHT, ALIGN_LEFT};
    struct table *t = table_new(headings, aligns, 3);
    struct strbuf out;

    (void)state;
    table_cell(t, COLOUR_NONE, "Zürich");
    table_cell(t, COLOUR_NONE, "7");
    table_cell(t, COLOUR_NONE, "→ a");
    table_cell(t, COLOUR_NONE, "x");
    table_cell(t, COLOUR_NONE, "1,234");
    table_cell(t, COLOUR_NONE, "%s", "");
    strbuf_init(&out, 4096);
    table_print(t, &out, false, 2);
    assert_string_equal(strbuf_cstr(&out), "  name        n  last\n"
                                           "  Zürich      7  → a\n"
                                           "  x       1,234\n");
    strbuf_deinit(&out);
    table_free(t);
}

static void colours_do_not_move_columns(void **state)
{
    static const char *const headings[] = {"a", "b"};
    static const enum align aligns[] = {ALIGN_LEFT, ALIGN_LEFT};
    struct table *t = table_new(headings, aligns, 2);
    struct strbuf out;

    (void)state;
    table_cell(t, COLOUR_RED, "fail");
    table_cell(t, COLOUR_NONE, "x");
    strbuf_init(&out, 4096);
    table_print(t, &out, true, 0);
    assert_string_equal(strbuf_cstr(&out), "\033[2ma\033[0m     \033[2mb\033[0m\n"
                                           "\033[31mfail\033[0m  x\n");
    strbuf_deinit(&out);
    table_free(t);
}

static void control_bytes_are_harmless(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    output_add(&out, false, COLOUR_NONE, STR("a\033[2Jb\rc\nd\xc2\x9b\x7f é\u202ex\u2066→"));
    assert_string_equal(strbuf_cstr(&out), "a?[2Jb?c?d?? é?x?→");
    strbuf_deinit(&out);
}

static void counts_are_grouped(void **state)
{
    char text[COUNT_TEXT_MAX];

    (void)state;
    assert_string_equal(output_count(0, text), "0");
    assert_string_equal(output_count(999, text), "999");
    assert_string_equal(output_count(1000, text), "1,000");
    assert_string_equal(output_count(1234567, text), "1,234,567");
    assert_string_equal(output_count(-5, text), "0");
    assert_string_equal(output_count(1e300, text), "1,000,000,000,000,000");
}

static void colours_are_for_terminals(void **state)
{
    FILE *file = tmpfile();

    (void)state;
    assert_non_null(file);
    unsetenv("NO_COLOR");
    assert_false(output_colours(file));
    fclose(file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_line_up_in_utf8),    cmocka_unit_test(colours_do_not_move_columns),
        cmocka_unit_test(control_bytes_are_harmless), cmocka_unit_test(counts_are_grouped),
        cmocka_unit_test(colours_are_for_terminals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
