/* The chunked decoder: what it accepts, what it refuses, and that pieces do not matter. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "net/chunked.h"

struct result {
    enum chunked_result end;
    char data[256];
    size_t data_len, left;
};

/* Decodes `text` in pieces of `piece` bytes. */
static struct result decode(struct str text, size_t piece)
{
    struct result r = {.end = CHUNKED_MORE};
    struct chunked c;
    size_t at = 0;

    chunked_init(&c);
    while (at < text.len && r.end == CHUNKED_MORE) {
        size_t n = text.len - at < piece ? text.len - at : piece;
        struct str bytes = {text.ptr + at, n}, data;
        while ((r.end = chunked_next(&c, &bytes, &data)) == CHUNKED_DATA) {
            memcpy(r.data + r.data_len, data.ptr, data.len);
            r.data_len += data.len;
        }
        at += n - bytes.len;
        if (r.end == CHUNKED_MORE)
            assert_int_equal(bytes.len, 0);
    }
    r.left = text.len - at;
    return r;
}

static const struct {
    const char *name, *text, *data;
    enum chunked_result end;
    size_t left;
} rows[] = {
    {"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", CHUNKED_END, 0},
    {"two chunks, upper-case hex", "A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "0123456789x",
     CHUNKED_END, 0},
    {"what follows is left alone", "1\r\na\r\n0\r\n\r\nGET /", "a", CHUNKED_END, 5},
    {"extension dropped", "1;name=value\r\na\r\n0;x\r\n\r\n", "a", CHUNKED_END, 0},
    {"trailers dropped", "1\r\na\r\n0\r\nx-a: 1\r\nx-b: 2\r\n\r\n", "a", CHUNKED_END, 0},
    {"leading zeros", "0001\r\na\r\n000\r\n\r\n", "a", CHUNKED_END, 0},
    {"not over yet", "5\r\nhel", "hel", CHUNKED_MORE, 0},
    {"bare LF after the size", "5\nhello\r\n0\r\n\r\n", "", CHUNKED_ERROR, 0},
    {"no CRLF after data", "5\r\nhelloX", "hello", CHUNKED_ERROR, 0},
    {"too many data bytes", "2\r\nabc\r\n", "ab", CHUNKED_ERROR, 0},
    {"0x prefix", "0x5\r\nhello\r\n", "", CHUNKED_ERROR, 0},
    {"plus sign", "+5\r\nhello\r\n", "", CHUNKED_ERROR, 0},
    {"minus sign", "-5\r\nhello\r\n", "", CHUNKED_ERROR, 0},
    {"underscore", "1_0\r\n", "", CHUNKED_ERROR, 0},
    {"space before the size", " 5\r\nhello\r\n", "", CHUNKED_ERROR, 0},
    {"space after the size", "5 \r\nhello\r\n", "", CHUNKED_ERROR, 0},
    {"no size", "\r\nhello\r\n", "", CHUNKED_ERROR, 0},
    {"size overflow", "10000000000000000\r\n", "", CHUNKED_ERROR, 0},
    {"folded trailer", "0\r\n x\r\n\r\n", "", CHUNKED_ERROR, 0},
    {"control byte in an extension", "1;a\x01\r\na\r\n0\r\n\r\n", "", CHUNKED_ERROR, 0},
};

static void test_table_in_all_pieces(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct str text = str_from(rows[i].text);
        for (size_t piece = 1; piece <= text.len; piece++) {
            struct result r = decode(text, piece);
            if (r.end != rows[i].end || r.data_len != strlen(rows[i].data) ||
                memcmp(r.data, rows[i].data, r.data_len) != 0 ||
                (r.end == CHUNKED_END && r.left != rows[i].left))
                fail_msg("%s, pieces of %zu: end %d, data %.*s, left %zu", rows[i].name, piece,
                         r.end, (int)r.data_len, r.data, r.left);
        }
    }
}

static void test_extension_and_trailers_are_bounded(void **state)
{
    struct strbuf b;

    (void)state;
    for (int trailer = 0; trailer < 2; trailer++) {
        size_t limit = trailer ? CHUNKED_TRAILER_MAX : CHUNKED_EXTENSION_MAX;
        for (int over = 0; over < 2; over++) {
            strbuf_init(&b, 64 * 1024);
            strbuf_add(&b, trailer ? STR("0\r\n") : STR("1;"));
            size_t fill = over ? limit + 8 : limit - 8;
            for (size_t i = 0; i < fill; i++)
                strbuf_add_char(&b, 'x');
            strbuf_add(&b, trailer ? STR("\r\n\r\n") : STR("\r\na\r\n0\r\n\r\n"));
            assert_int_equal(decode(strbuf_str(&b), b.len).end, over ? CHUNKED_ERROR : CHUNKED_END);
            strbuf_deinit(&b);
        }
    }
}

static void test_size_lines(void **state)
{
    char line[CHUNKED_LINE_MAX];
    static const struct {
        uint64_t size;
        const char *want;
    } sizes[] = {{1, "1\r\n"},
                 {15, "f\r\n"},
                 {16, "10\r\n"},
                 {65536, "10000\r\n"},
                 {UINT64_MAX, "ffffffffffffffff\r\n"}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(sizes); i++) {
        size_t n = chunked_line(line, sizes[i].size);
        assert_int_equal(n, strlen(sizes[i].want));
        assert_memory_equal(line, sizes[i].want, n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table_in_all_pieces),
        cmocka_unit_test(test_extension_and_trailers_are_bounded),
        cmocka_unit_test(test_size_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
