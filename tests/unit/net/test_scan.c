/* Runs of bytes: at every alignment and length the same answer as one byte at a time gives, and no
 * byte beyond the slice is touched (each lies at the end of an allocation that ASan guards). */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/check.h"
#include "net/scan.h"

enum { LENGTH_MAX = 70 };

static bool is_plain(unsigned char c)
{
    return c >= 0x20 && c <= 0x7e;
}

static bool is_word(unsigned char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '.';
}

static bool is_target(unsigned char c)
{
    return c > 0x20 && c <= 0x7e && c != '?' && c != '#';
}

static const struct {
    const char *name;
    size_t (*scan)(struct str s, size_t from);
    bool (*is)(unsigned char c);
} kinds[] = {
    {"plain", scan_plain, is_plain},
    {"plain, rest", scan_plain_rest, is_plain},
    {"word, rest", scan_word_rest, is_word},
    {"target, rest", scan_target_rest, is_target},
    {"plain, bytes", scan_plain_bytes, is_plain},
    {"word", scan_word, is_word},
    {"word, bytes", scan_word_bytes, is_word},
    {"target", scan_target, is_target},
    {"target, bytes", scan_target_bytes, is_target},
};

static size_t expected(size_t kind, struct str s, size_t from)
{
    while (from < s.len && kinds[kind].is((unsigned char)s.ptr[from]))
        from++;
    return from < s.len ? from : s.len;
}

static void compare(struct str s, size_t from)
{
    for (size_t k = 0; k < ARRAY_LEN(kinds); k++) {
        size_t want = expected(k, s, from), got = kinds[k].scan(s, from);
        if (got != want)
            fail_msg("%s: %zu of %zu from %zu, not %zu", kinds[k].name, got, s.len, from, want);
    }
}

/* A slice of that length whose last byte is an allocation's last. */
static char *at_the_end(size_t len, size_t shift)
{
    char *block = malloc(len + shift + 1);

    assert_non_null(block);
    memset(block, 'a', len + shift + 1);
    return block;
}

static void test_the_end_of_a_slice_is_an_end(void **state)
{
    (void)state;
    for (size_t shift = 0; shift < 16; shift++)
        for (size_t len = 0; len <= LENGTH_MAX; len++) {
            char *block = at_the_end(len, shift);
            for (size_t from = 0; from <= len + 8; from++)
                compare((struct str){block + shift + 1, len}, from);
            free(block);
        }
}

static void test_one_byte_anywhere(void **state)
{
    static const char bytes[] = {'\0', '\t', '\n', '\r', 0x1f, ' ', '!', '#',        '-',
                                 '.',  '/',  ':',  '?',  '@',  '[', '_', '`',        '{',
                                 '~',  0x7f, 'Z',  'z',  '0',  '9', ',', (char)0x80, (char)0xff};

    (void)state;
    for (size_t len = 1; len <= LENGTH_MAX; len++) {
        char *block = at_the_end(len, 0);
        struct str s = {block + 1, len};
        for (size_t at = 0; at < len; at++)
            for (size_t b = 0; b < sizeof(bytes); b++) {
                block[1 + at] = bytes[b];
                compare(s, 0);
                compare(s, at);
                compare(s, at + 1);
                block[1 + at] = 'a';
            }
        free(block);
    }
}

/* Neighbours that the arithmetic on eight bytes at a time could mistake for one another. */
static void test_every_pair_of_bytes(void **state)
{
    char text[24];

    (void)state;
    memset(text, 'a', sizeof(text));
    for (int first = 0; first < 256; first++)
        for (int second = 0; second < 256; second++) {
            text[4] = (char)first;
            text[5] = (char)second;
            compare((struct str){text, sizeof(text)}, 0);
            compare((struct str){text, 12}, 0);
        }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_end_of_a_slice_is_an_end),
        cmocka_unit_test(test_one_byte_anywhere),
        cmocka_unit_test(test_every_pair_of_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
