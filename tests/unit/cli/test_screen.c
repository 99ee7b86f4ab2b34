/* A page on a terminal that is too small for it: what matters stays, nothing wraps or scrolls. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/screen.h"

static const struct {
    const char *page;
    size_t columns, rows;
    const char *want;
} clips[] = {
    {"", 80, 24, ""},
    {"a\nb\n", 80, 24, "a\nb\n"},
    {"no line end", 80, 24, "no line end\n"},
    /* columns */
    {"0123456789\n", 10, 5, "0123456789\n"},
    {"0123456789a\n", 10, 5, "012345678…\n"},
    {"ab\n", 1, 5, "…\n"},
    {"ab\n", 0, 5, "…\n"},
    {"plan ███ 3m\n", 8, 5, "plan ██…\n"},
    {"Zürich\n", 6, 5, "Zürich\n"},
    /* wide and combining characters */
    {"漢字漢字\n", 8, 5, "漢字漢字\n"},
    {"漢字漢字\n", 7, 5, "漢字漢…\n"},
    {"漢字漢字\n", 6, 5, "漢字…\n"},
    {"e\xcc\x81"
     "e\xcc\x81\n",
     2, 5,
     "e\xcc\x81"
     "e\xcc\x81\n"},
    {"🚀🚀\n", 3, 5, "🚀…\n"},
    /* colours take no room, and end where the line is cut */
    {"\033[31mfail\033[0m\n", 4, 5, "\033[31mfail\033[0m\n"},
    {"\033[31mfailed\033[0m x\n", 4, 5, "\033[31mfai…\033[0m\n"},
    {"\033[31mok\033[0m and more\n", 4, 5, "\033[31mok\033[0m …\n"},
    {"\033[1;31mopen\n", 9, 5, "\033[1;31mopen\033[0m\n"},
    {"\033[31", 9, 5, "\033[31\033[0m\n"},
    /* bytes that are no UTF-8 */
    {"\xff\xfe\xe2\x82\n", 4, 5, "\xff\xfe\xe2\x82\n"},
    {"\xe2\x82", 1, 5, "…\n"},
    /* rows: the top stays, the rest is counted */
    {"a\nb\nc\n", 80, 3, "a\nb\nc\n"},
    {"a\nb\nc\nd\n", 80, 3, "a\nb\n… 2 more lines\n"},
    {"a\nb\nc", 80, 2, "a\n… 2 more lines\n"},
    {"a\nb\nc\nd\n", 8, 3, "a\nb\n… 2 mor…\n"},
    {"a\nb\n", 80, 1, "a\n"},
    {"a\nb\n", 80, 0, "a\n"},
    {"\n\n\n", 80, 2, "\n… 2 more lines\n"},
};

static void pages_are_cut(void **state)
{
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(clips); i++) {
        strbuf_reset(&out);
        screen_clip(str_from(clips[i].page), clips[i].columns, clips[i].rows, &out);
        if (strcmp(strbuf_cstr(&out), clips[i].want) != 0)
            fail_msg("row %zu: \"%s\" at %zux%zu: \"%s\"", i, clips[i].page, clips[i].columns,
                     clips[i].rows, strbuf_cstr(&out));
    }
    strbuf_deinit(&out);
}

static void a_notice_stands_under_the_header(void **state)
{
    static const struct {
        const char *page;
        size_t after;
        const char *want;
    } rows[] = {
        {"h1\nh2\nrest\n", 2, "h1\nh2\n!\nrest\n"},
        {"h1\nh2\n", 0, "!\nh1\nh2\n"},
        {"h1\n", 2, "h1\n!\n"},
        {"", 2, "!\n"},
    };
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 4096);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        strbuf_reset(&out);
        screen_insert(str_from(rows[i].page), rows[i].after, STR("!"), &out);
        assert_string_equal(strbuf_cstr(&out), rows[i].want);
    }
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_are_cut),
        cmocka_unit_test(a_notice_stands_under_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
