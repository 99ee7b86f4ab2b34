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
    char data[256], trailers[256];
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
            if (r.data_len + data.len <= sizeof(r.data))
                memcpy(r.data + r.data_len, data.ptr, data.len);
            r.data_len += data.len;
        }
        at += n - bytes.len;
        if (r.end == CHUNKED_MORE)
            assert_int_equal(bytes.len, 0);
    }
    r.left = text.len - at;
    if (c.trailers != NULL)
        (void)str_copy(r.trailers, sizeof(r.trailers), trailers_kept(c.trailers));
    chunked_deinit(&c);
    return r;
}

static const struct {
    const char *name, *text, *data;
    enum chunked_result end;
    size_t left;
    const char *trailers;
} rows[] = {
    {"one chunk", "5\r\nhello\r\n0\r\n\r\n", "hello", CHUNKED_END, 0, ""},
    {"two chunks, upper-case hex", "A\r\n0123456789\r\n1\r\nx\r\n0\r\n\r\n", "0123456789x",
     CHUNKED_END, 0, ""},
    {"what follows is left alone", "1\r\na\r\n0\r\n\r\nGET /", "a", CHUNKED_END, 5, ""},
    {"extension dropped", "1;name=value\r\na\r\n0;x\r\n\r\n", "a", CHUNKED_END, 0, ""},
    {"a quoted extension ends with its line", "1;n=\"a;b\\\"\"\r\na\r\n0\r\n\r\n", "a", CHUNKED_END,
     0, ""},
    {"space before an extension", "1 \t;n\r\na\r\n0\r\n\r\n", "a", CHUNKED_END, 0, ""},
    {"leading zeros", "0001\r\na\r\n000\r\n\r\n", "a", CHUNKED_END, 0, ""},
    {"not over yet", "5\r\nhel", "hel", CHUNKED_MORE, 0, ""},
    {"not over within the last line end", "0\r\n\r", "", CHUNKED_MORE, 0, ""},
    {"bare LF after the size", "5\nhello\r\n0\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"bare CR after the size", "5\rhello\r\n0\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"bare LF after an extension", "5;x\nhello\r\n0\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"bare LF after data", "5\r\nhello\n0\r\n\r\n", "hello", CHUNKED_ERROR, 0, ""},
    {"bare LF at the end", "0\r\n\n", "", CHUNKED_ERROR, 0, ""},
    {"no CRLF after data", "5\r\nhelloX", "hello", CHUNKED_ERROR, 0, ""},
    {"too many data bytes", "2\r\nabc\r\n", "ab", CHUNKED_ERROR, 0, ""},
    {"0x prefix", "0x5\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"plus sign", "+5\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"minus sign", "-5\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"underscore", "1_0\r\n", "", CHUNKED_ERROR, 0, ""},
    {"not hex", "5g\r\n", "", CHUNKED_ERROR, 0, ""},
    {"quoted", "\"5\"\r\n", "", CHUNKED_ERROR, 0, ""},
    {"space before the size", " 5\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"space after the size", "5 \r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"space within the size", "1 0\r\n", "", CHUNKED_ERROR, 0, ""},
    {"no size", "\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"no size, but an extension", ";x\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"size overflow", "10000000000000000\r\n", "", CHUNKED_ERROR, 0, ""},
    {"size that wraps to 5", "100000000000000005\r\nhello\r\n", "", CHUNKED_ERROR, 0, ""},
    {"control byte in an extension", "1;a\x01\r\na\r\n0\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailers kept", "1\r\na\r\n0\r\nx-a: 1\r\nX-B:2\r\n\r\nNEXT", "a", CHUNKED_END, 4,
     "x-a: 1\r\nX-B:2\r\n"},
    {"trailers that must not come late are dropped",
     "0\r\nContent-Length: 9\r\nx-a: 1\r\nHost: b\r\nTransfer-Encoding: chunked\r\n"
     "Authorization: c\r\nx-b: 2\r\nX-Forwarded-For: d\r\nIf-Match: e\r\n\r\n",
     "", CHUNKED_END, 0, "x-a: 1\r\nx-b: 2\r\n"},
    {"folded trailer", "0\r\nx: 1\r\n y\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer that begins with space", "0\r\n x: 1\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer without a colon", "0\r\nnonsense\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer without a name", "0\r\n: 1\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer with space before the colon", "0\r\nx : 1\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer with a bare LF", "0\r\nx: 1\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer with a bare CR", "0\r\nx: 1\ry: 2\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
    {"trailer with a control byte", "0\r\nx: \x0b\r\n\r\n", "", CHUNKED_ERROR, 0, ""},
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
                (r.end == CHUNKED_END &&
                 (r.left != rows[i].left || strcmp(r.trailers, rows[i].trailers) != 0)))
                fail_msg("%s, pieces of %zu: end %d, data %.*s, left %zu, trailers %s",
                         rows[i].name, piece, r.end, (int)r.data_len, r.data, r.left, r.trailers);
        }
    }
    assert_int_equal(decode(STR("0\r\nx: \0\r\n\r\n"), 1).end, CHUNKED_ERROR);
    assert_int_equal(decode(STR("5\0\r\nhello\r\n"), 1).end, CHUNKED_ERROR);
}

static void fill(struct strbuf *b, char c, size_t n)
{
    while (n-- > 0)
        strbuf_add_char(b, c);
}

static enum chunked_result end_of(struct strbuf *b)
{
    struct result r = decode(strbuf_str(b), b->len);

    assert_false(b->overflow);
    strbuf_deinit(b);
    return r.end;
}

static void test_an_extension_is_bounded(void **state)
{
    struct strbuf b;

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        strbuf_init(&b, 64 * 1024);
        strbuf_add(&b, STR("1;"));
        fill(&b, 'x', CHUNKED_EXTENSION_MAX + over);
        strbuf_add(&b, STR("\r\na\r\n0\r\n\r\n"));
        assert_int_equal(end_of(&b), over ? CHUNKED_ERROR : CHUNKED_END);
    }
}

/* Many small ones count together; those of large chunks, such as signatures, pass. */
static void test_extensions_together_are_bounded_by_the_data(void **state)
{
    static const struct {
        size_t chunks, extension, data;
        enum chunked_result end;
    } cases[] = {
        {500, 500, 1, CHUNKED_ERROR},  {4, 4096, 1, CHUNKED_END},  {5, 4096, 1, CHUNKED_ERROR},
        {500, 85, 65536, CHUNKED_END}, {16384, 1, 1, CHUNKED_END}, {16385, 1, 1, CHUNKED_ERROR},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct strbuf b;
        strbuf_init(&b, 64 * 1024 * 1024);
        for (size_t n = 0; n < cases[i].chunks; n++) {
            strbuf_addf(&b, "%zx;", cases[i].data);
            fill(&b, 'x', cases[i].extension);
            strbuf_add(&b, STR("\r\n"));
            fill(&b, 'd', cases[i].data);
            strbuf_add(&b, STR("\r\n"));
        }
        strbuf_add(&b, STR("0\r\n\r\n"));
        assert_int_equal(end_of(&b), cases[i].end);
    }
}

static void test_trailers_are_bounded(void **state)
{
    struct strbuf b;

    (void)state;
    for (size_t over = 0; over < 2; over++) {
        strbuf_init(&b, 64 * 1024);
        strbuf_add(&b, STR("0\r\nx:"));
        fill(&b, 'x', TRAILERS_BYTES_MAX - 4 + over);
        strbuf_add(&b, STR("\r\n\r\n"));
        assert_int_equal(end_of(&b), over ? CHUNKED_ERROR : CHUNKED_END);
        strbuf_init(&b, 64 * 1024);
        strbuf_add(&b, STR("0\r\n"));
        for (size_t n = 0; n < TRAILERS_FIELDS_MAX + over; n++) /* dropped ones count too */
            strbuf_add(&b, n % 2 == 0 ? STR("x: 1\r\n") : STR("host: 1\r\n"));
        strbuf_add(&b, STR("\r\n"));
        assert_int_equal(end_of(&b), over ? CHUNKED_ERROR : CHUNKED_END);
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
        cmocka_unit_test(test_an_extension_is_bounded),
        cmocka_unit_test(test_extensions_together_are_bounded_by_the_data),
        cmocka_unit_test(test_trailers_are_bounded),
        cmocka_unit_test(test_size_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
