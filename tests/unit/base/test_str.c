/* Slices: what they compare, cut and refuse. */
#include "base/str.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

static void test_comparing(void **state)
{
    static const struct {
        struct str a, b;
        bool eq, ieq;
    } rows[] = {
        {{"Host", 4}, {"host", 4}, false, true},
        {{"host", 4}, {"host", 4}, true, true},
        {{"a\0b", 3}, {"a\0c", 3}, false, false}, /* nothing ends at a NUL */
        {{"a\0B", 3}, {"A\0b", 3}, false, true},
        {{"\xc4", 1}, {"\xe4", 1}, false, false}, /* ASCII only */
        {{"[", 1}, {"{", 1}, false, false},       /* differ by the bit that letters do */
        {{"ab", 2}, {"abc", 3}, false, false},
        {{NULL, 0}, {"", 0}, true, true},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(str_eq(rows[i].a, rows[i].b), rows[i].eq);
        assert_int_equal(str_ieq(rows[i].a, rows[i].b), rows[i].ieq);
    }
    assert_true(str_starts_with(STR("/v1/x"), STR("/v1")));
    assert_true(str_starts_with(STR(""), STR("")));
    assert_false(str_starts_with(STR("/v"), STR("/v1")));
    assert_true(str_ends_with(STR("a.yaml"), STR(".yaml")));
    assert_false(str_ends_with(STR("yaml"), STR(".yaml")));
}

static void test_trimming_and_splitting(void **state)
{
    struct str rest = STR("a,,b"), head;

    (void)state;
    assert_true(str_eq(str_trim(STR(" \ta b\t ")), STR("a b")));
    assert_int_equal(str_trim(STR(" \t ")).len, 0);
    assert_true(str_split(&rest, ',', &head) && str_eq(head, STR("a")));
    assert_true(str_split(&rest, ',', &head) && str_eq(head, STR("")));
    assert_true(str_split(&rest, ',', &head) && str_eq(head, STR("b")));
    assert_false(str_split(&rest, ',', &head));
    rest = STR("a,"); /* a separator at the end has an empty piece behind it */
    assert_true(str_split(&rest, ',', &head));
    assert_true(str_split(&rest, ',', &head) && head.len == 0);
    assert_false(str_split(&rest, ',', &head));
}

static void test_numbers(void **state)
{
    static const struct {
        const char *text;
        bool ok;
        uint64_t value;
    } rows[] = {
        {"0", true, 0},
        {"007", true, 7},
        {"18446744073709551615", true, UINT64_MAX},
        {"18446744073709551616", false, 0},
        {"99999999999999999999", false, 0},
        {"", false, 0},
        {"-1", false, 0},
        {"+1", false, 0},
        {" 1", false, 0},
        {"1 ", false, 0},
        {"0x1", false, 0},
        {"1.0", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t value = 42;
        assert_int_equal(str_to_u64(str_from(rows[i].text), &value), rows[i].ok);
        assert_true(value == (rows[i].ok ? rows[i].value : 42));
    }
}

static void test_copying_always_terminates(void **state)
{
    char to[4] = "xxx";

    (void)state;
    assert_true(str_copy(to, sizeof(to), STR("abc")));
    assert_string_equal(to, "abc");
    assert_false(str_copy(to, sizeof(to), STR("abcd")));
    assert_string_equal(to, "abc");
    assert_true(str_copy(to, sizeof(to), (struct str){NULL, 0}));
    assert_string_equal(to, "");
}

static void test_distance_counts_slips(void **state)
{
    static const struct {
        const char *a, *b;
        unsigned distance;
    } rows[] = {
        {"", "", 0},
        {"", "abc", 3},
        {"abc", "", 3},
        {"steps", "steps", 0},
        {"stepps", "steps", 1},
        {"stabel", "stable", 1}, /* neighbours */
        {"rolout", "rollout", 1},
        {"cat", "cut", 1},
        {"kitten", "sitting", 3},
    };
    char longest[66];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(str_distance(str_from(rows[i].a), str_from(rows[i].b)), rows[i].distance);
        assert_int_equal(str_distance(str_from(rows[i].b), str_from(rows[i].a)), rows[i].distance);
    }
    memset(longest, 'x', sizeof(longest));
    assert_int_equal(str_distance((struct str){longest, 65}, STR("x")), 65);
    assert_int_equal(str_distance((struct str){longest, 64}, STR("")), 64);
}

static void test_utf8(void **state)
{
    static const struct {
        struct str s;
        size_t length;
    } rows[] = {
        {{"", 0}, 0},
        {{"a", 1}, 1},
        {{"\xc3\xa4", 2}, 2},
        {{"\xe2\x82\xac", 3}, 3},
        {{"\xf0\x9f\x98\x80", 4}, 4},
        {{"\xf4\x8f\xbf\xbf", 4}, 4},
        {{"\xc3", 1}, 0},             /* cut */
        {{"\x80", 1}, 0},             /* no start */
        {{"\xc0\xaf", 2}, 0},         /* overlong */
        {{"\xe0\x9f\xbf", 3}, 0},     /* overlong */
        {{"\xed\xa0\x80", 3}, 0},     /* surrogate */
        {{"\xf4\x90\x80\x80", 4}, 0}, /* above U+10FFFF */
        {{"\xff", 1}, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_int_equal(str_utf8_length(rows[i].s), rows[i].length);
}

static void test_what_a_terminal_may_get(void **state)
{
    static const struct {
        const char *text, *shown;
        size_t taken;
    } rows[] = {
        {"a", "a", 1},
        {"\xc3\xa4", "\xc3\xa4", 2},
        {"\xf0\x9f\x8e\x89", "\xf0\x9f\x8e\x89", 4},
        {"\x1b[2J", "?", 1},
        {"\t", "?", 1},
        {"\x7f", "?", 1},
        {"\xff", "?", 1},
        {"\xc2\x9b", "?", 2},         /* the other way to write ESC [ */
        {"\xe2\x80\xae", "?", 3},     /* right-to-left override */
        {"\xe2\x80\x8b", "?", 3},     /* zero-width space */
        {"\xe2\x80\xa8", "?", 3},     /* line separator */
        {"\xf3\xa0\x81\x81", "?", 4}, /* a tag */
        {"\xe2\x80\xa6", "\xe2\x80\xa6", 3},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        size_t taken = 0;
        struct str got = str_utf8_visible(str_from(rows[i].text), &taken);
        assert_true(str_eq(got, str_from(rows[i].shown)));
        assert_int_equal(taken, rows[i].taken);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comparing),
        cmocka_unit_test(test_trimming_and_splitting),
        cmocka_unit_test(test_numbers),
        cmocka_unit_test(test_copying_always_terminates),
        cmocka_unit_test(test_distance_counts_slips),
        cmocka_unit_test(test_utf8),
        cmocka_unit_test(test_what_a_terminal_may_get),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
