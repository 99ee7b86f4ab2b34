/* Bodies: their ends, and the framing they leave with. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "net/body.h"

static const struct {
    const char *name;
    enum framing in, as;
    uint64_t length;
    const char *text, *want, *left;
    enum body_result end;
} rows[] = {
    {"counted", FRAMING_LENGTH, FRAMING_LENGTH, 5, "helloNEXT", "hello", "NEXT", BODY_DONE},
    {"counted, not over", FRAMING_LENGTH, FRAMING_LENGTH, 9, "hello", "hello", "", BODY_MORE},
    {"chunked to chunked, joined", FRAMING_CHUNKED, FRAMING_CHUNKED, 0,
     "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\nNEXT", "5\r\nhello\r\n0\r\n\r\n", "NEXT", BODY_DONE},
    {"chunked to bare", FRAMING_CHUNKED, FRAMING_CLOSE, 0, "2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n",
     "hello", "", BODY_DONE},
    {"an empty chunked body", FRAMING_CHUNKED, FRAMING_CHUNKED, 0, "0\r\n\r\n", "0\r\n\r\n", "",
     BODY_DONE},
    {"by closing to chunked", FRAMING_CLOSE, FRAMING_CHUNKED, 0, "hello", "5\r\nhello\r\n", "",
     BODY_MORE},
    {"no body", FRAMING_NONE, FRAMING_NONE, 0, "NEXT", "", "NEXT", BODY_DONE},
    {"trailers go out behind the last chunk", FRAMING_CHUNKED, FRAMING_CHUNKED, 0,
     "5\r\nhello\r\n0\r\nX-A: 1\r\nHost: b\r\nX-B: 2\r\n\r\nNEXT",
     "5\r\nhello\r\n0\r\nX-A: 1\r\nX-B: 2\r\n\r\n", "NEXT", BODY_DONE},
    {"trailers of nothing", FRAMING_CHUNKED, FRAMING_CHUNKED, 0, "0\r\nX-A: 1\r\n\r\n",
     "0\r\nX-A: 1\r\n\r\n", "", BODY_DONE},
    {"forbidden trailers only", FRAMING_CHUNKED, FRAMING_CHUNKED, 0,
     "1\r\nx\r\n0\r\nContent-Length: 9\r\n\r\n", "1\r\nx\r\n0\r\n\r\n", "", BODY_DONE},
    {"no trailers without chunks", FRAMING_CHUNKED, FRAMING_CLOSE, 0,
     "1\r\nx\r\n0\r\nX-A: 1\r\n\r\n", "x", "", BODY_DONE},
    {"a broken trailer", FRAMING_CHUNKED, FRAMING_CHUNKED, 0, "0\r\nX A: 1\r\n\r\n", "", NULL,
     BODY_ERROR},
    {"broken", FRAMING_CHUNKED, FRAMING_CHUNKED, 0, "zz\r\n", "", NULL, BODY_ERROR},
};

static enum body_result run(struct body *b, struct str *bytes, enum framing as, struct strbuf *to)
{
    enum body_result r;

    do {
        struct body_out out = {.count = 0};
        r = body_read(b, bytes, as, &out);
        for (unsigned i = 0; i < out.count && r != BODY_ERROR; i++)
            strbuf_add(to, (struct str){out.bufs[i].base, out.bufs[i].len});
    } while (r == BODY_AGAIN);
    return r;
}

static void test_table(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct body b;
        struct strbuf got;
        struct str bytes = str_from(rows[i].text);
        body_init(&b, rows[i].in, rows[i].length);
        strbuf_init(&got, 4096);
        assert_int_equal(run(&b, &bytes, rows[i].as, &got), rows[i].end);
        assert_string_equal(strbuf_cstr(&got), rows[i].want);
        if (rows[i].left != NULL)
            assert_true(str_eq(bytes, str_from(rows[i].left)));
        assert_int_equal(b.done, rows[i].end == BODY_DONE);
        body_deinit(&b);
        strbuf_deinit(&got);
    }
}

static void test_more_runs_than_fit(void **state)
{
    struct body b;
    struct strbuf in, got;

    (void)state;
    strbuf_init(&in, 4096);
    strbuf_init(&got, 4096);
    for (int i = 0; i < 3 * BODY_RUNS_MAX; i++)
        strbuf_add(&in, STR("1\r\nx\r\n"));
    strbuf_add(&in, STR("0\r\n\r\n"));
    struct str bytes = strbuf_str(&in);
    body_init(&b, FRAMING_CHUNKED, 0);
    assert_int_equal(run(&b, &bytes, FRAMING_CLOSE, &got), BODY_DONE);
    assert_int_equal(got.len, 3 * BODY_RUNS_MAX);
    assert_int_equal(b.bytes, 3 * BODY_RUNS_MAX);
    strbuf_deinit(&in);
    strbuf_deinit(&got);
}

static void test_dropped_trailers(void **state)
{
    struct body b;
    struct strbuf got;
    struct str bytes = STR("1\r\nx\r\n0\r\nX-A: 1\r\n\r\n"), bad = STR("0\r\nX A: 1\r\n\r\n");

    (void)state;
    body_init(&b, FRAMING_CHUNKED, 0);
    b.drop_trailers = true;
    strbuf_init(&got, 4096);
    assert_int_equal(run(&b, &bytes, FRAMING_CHUNKED, &got), BODY_DONE);
    assert_string_equal(strbuf_cstr(&got), "1\r\nx\r\n0\r\n\r\n");
    body_deinit(&b);
    body_deinit(&b); /* harmless */
    body_init(&b, FRAMING_CHUNKED, 0);
    b.drop_trailers = true; /* dropped ones are checked all the same */
    assert_int_equal(run(&b, &bad, FRAMING_CHUNKED, &got), BODY_ERROR);
    body_deinit(&b);
    strbuf_deinit(&got);
}

/* Which buffers are content, behind a head of the caller's and whatever frames it. */
static void test_content_runs(void **state)
{
    struct body b;
    struct body_out out = {.count = 0};
    struct str bytes = STR("2\r\nhe\r\n3\r\nllo\r\n0\r\nX-A: 1\r\n\r\n");

    (void)state;
    out.bufs[out.count++] = uv_buf_init((char *)"HEAD", 4);
    body_init(&b, FRAMING_CHUNKED, 0);
    assert_int_equal(body_read(&b, &bytes, FRAMING_CHUNKED, &out), BODY_DONE);
    assert_int_equal(out.run_count, 2);
    assert_memory_equal(out.runs[0].base, "he", 2);
    assert_memory_equal(out.runs[1].base, "llo", 3);
    assert_int_equal(out.runs[0].len + out.runs[1].len, 5);
    out.count = 0;
    assert_int_equal(body_read(&b, &bytes, FRAMING_CHUNKED, &out), BODY_DONE);
    assert_int_equal(out.run_count, 0);
    body_deinit(&b);
}

/* One write of one buffer where framing anew would change nothing; else the framing is ours. */
static void test_a_read_that_is_one_chunk(void **state)
{
    static const struct {
        const char *what, *text, *want;
        unsigned bufs;
    } cases[] = {
        {"as we would write it", "5\r\nhello\r\n", "5\r\nhello\r\n", 1},
        {"of two digits", "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n",
         "1a\r\nabcdefghijklmnopqrstuvwxyz\r\n", 1},
        {"in upper case", "A\r\n0123456789\r\n", "a\r\n0123456789\r\n", 3},
        {"a zero in front", "05\r\nhello\r\n", "5\r\nhello\r\n", 3},
        {"an extension", "5;a=b\r\nhello\r\n", "5\r\nhello\r\n", 3},
        {"two chunks", "2\r\nhe\r\n3\r\nllo\r\n", "5\r\nhello\r\n", 4},
        {"without its line end", "5\r\nhello", "5\r\nhello\r\n", 3},
        {"half of it", "5\r\nhe", "2\r\nhe\r\n", 3},
        {"data that looks like a line end", "9\r\nhello\r\n", "7\r\nhello\r\n\r\n", 3},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct body b;
        struct body_out out = {.count = 0};
        struct str bytes = str_from(cases[i].text);
        struct strbuf sent, content, want;

        strbuf_init(&sent, 4096);
        strbuf_init(&content, 4096);
        strbuf_init(&want, 4096);
        body_init(&b, FRAMING_CHUNKED, 0);
        assert_int_equal(body_read(&b, &bytes, FRAMING_CHUNKED, &out), BODY_MORE);
        assert_int_equal(bytes.len, 0);
        assert_int_equal(out.count, cases[i].bufs);
        for (unsigned k = 0; k < out.count; k++)
            strbuf_add(&sent, (struct str){out.bufs[k].base, out.bufs[k].len});
        for (unsigned k = 0; k < out.run_count; k++)
            strbuf_add(&content, (struct str){out.runs[k].base, out.runs[k].len});
        assert_string_equal(strbuf_cstr(&sent), cases[i].want);
        assert_int_equal(content.len, b.bytes);
        bytes = strbuf_str(&sent); /* it says the same read again */
        body_init(&b, FRAMING_CHUNKED, 0);
        assert_int_equal(run(&b, &bytes, FRAMING_CLOSE, &want), BODY_MORE);
        assert_true(str_eq(strbuf_str(&content), strbuf_str(&want)));
        strbuf_deinit(&sent);
        strbuf_deinit(&content);
        strbuf_deinit(&want);
    }
}

/* What was taken in one go leaves the decoder where the bytes one by one would have. */
static void test_one_chunk_after_another(void **state)
{
    struct body b;
    struct strbuf got;
    static const char *const reads[] = {"5\r\nhello\r\n", "2\r\nab", "\r\n", "1\r\nc\r\n",
                                        "1\r\n",          "d",       "\r",   "\n0\r\n\r\n"};

    (void)state;
    strbuf_init(&got, 4096);
    body_init(&b, FRAMING_CHUNKED, 0);
    for (size_t i = 0; i < ARRAY_LEN(reads); i++) {
        struct str bytes = str_from(reads[i]);
        assert_int_equal(run(&b, &bytes, FRAMING_CHUNKED, &got),
                         i + 1 < ARRAY_LEN(reads) ? BODY_MORE : BODY_DONE);
    }
    assert_string_equal(strbuf_cstr(&got),
                        "5\r\nhello\r\n2\r\nab\r\n1\r\nc\r\n1\r\nd\r\n0\r\n\r\n");
    assert_int_equal(b.bytes, 9);
    strbuf_deinit(&got);
}

static void test_close_ends_it(void **state)
{
    struct body b;
    struct body_out out = {.count = 0};

    (void)state;
    body_init(&b, FRAMING_CLOSE, 0);
    body_close(&b, FRAMING_CHUNKED, &out);
    assert_int_equal(out.count, 1);
    assert_memory_equal(out.bufs[0].base, "0\r\n\r\n", 5);
    assert_true(b.done);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_table),
        cmocka_unit_test(test_more_runs_than_fit),
        cmocka_unit_test(test_dropped_trailers),
        cmocka_unit_test(test_content_runs),
        cmocka_unit_test(test_a_read_that_is_one_chunk),
        cmocka_unit_test(test_one_chunk_after_another),
        cmocka_unit_test(test_close_ends_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
