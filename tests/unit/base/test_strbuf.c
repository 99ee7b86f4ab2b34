/* A buffer keeps its maximum, and its JSON is JSON. */
#include "base/strbuf.h"

#include <stdlib.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

static void test_appends_until_the_maximum(void **state)
{
    struct strbuf b;

    (void)state;
    strbuf_init(&b, 5);
    assert_string_equal(strbuf_cstr(&b), "");
    assert_true(strbuf_add(&b, STR("abc")));
    assert_false(strbuf_add(&b, STR("def"))); /* dropped whole */
    assert_true(b.overflow);
    assert_string_equal(strbuf_cstr(&b), "abc");
    assert_false(strbuf_add_char(&b, '!')); /* it would fit, but not after a hole */
    assert_string_equal(strbuf_cstr(&b), "abc");
    strbuf_reset(&b);
    assert_false(b.overflow);
    assert_true(strbuf_addf(&b, "abc%d", 42));
    assert_string_equal(strbuf_cstr(&b), "abc42");
    assert_int_equal(strbuf_str(&b).len, 5);
    strbuf_reset(&b);
    assert_string_equal(strbuf_cstr(&b), "");
    assert_false(strbuf_addf(&b, "%s", "longer than five"));
    strbuf_deinit(&b);
}

static void test_steal_leaves_it_empty(void **state)
{
    struct strbuf b;

    (void)state;
    strbuf_init(&b, 100);
    char *empty = strbuf_steal(&b);
    assert_string_equal(empty, "");
    free(empty);
    strbuf_add(&b, STR("text"));
    char *text = strbuf_steal(&b);
    assert_string_equal(text, "text");
    free(text);
    assert_int_equal(b.len, 0);
    assert_true(strbuf_add(&b, STR("again")));
    strbuf_deinit(&b);
}

static void test_grows_over_many_appends(void **state)
{
    struct strbuf b;

    (void)state;
    strbuf_init(&b, 100000);
    for (int i = 0; i < 100000; i++)
        assert_true(strbuf_add_char(&b, (char)('a' + i % 26)));
    assert_false(strbuf_add_char(&b, 'x'));
    for (int i = 0; i < 100000; i++)
        assert_int_equal(b.ptr[i], 'a' + i % 26);
    strbuf_deinit(&b);
}

static void test_json_strings(void **state)
{
    static const struct {
        struct str in;
        const char *out;
    } rows[] = {
        {{"", 0}, "\"\""},
        {{"a\"b\\c", 5}, "\"a\\\"b\\\\c\""},
        {{"\n\t\x01\x7f", 4}, "\"\\u000a\\u0009\\u0001\\u007f\""},
        {{"a\0b", 3}, "\"a\\u0000b\""},
        {{"\xc3\xa4", 2}, "\"\xc3\xa4\""},
        {{"\xe4x", 2}, "\"\xef\xbf\xbdx\""},                               /* Latin-1 */
        {{"\xc3", 1}, "\"\xef\xbf\xbd\""},                                 /* cut */
        {{"\xed\xa0\x80", 3}, "\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\""}, /* surrogate */
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct strbuf b;
        strbuf_init(&b, 1000);
        assert_true(strbuf_add_json(&b, rows[i].in));
        assert_string_equal(strbuf_cstr(&b), rows[i].out);
        strbuf_deinit(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_appends_until_the_maximum),
        cmocka_unit_test(test_steal_leaves_it_empty),
        cmocka_unit_test(test_grows_over_many_appends),
        cmocka_unit_test(test_json_strings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
