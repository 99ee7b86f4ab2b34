/* Heads: where they end, what is refused with which status, what is read from good ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "net/head.h"

#define HOST "Host: api.example.com\r\n"

static const struct {
    const char *name, *text;
    ptrdiff_t want;
} ends[] = {
    {"whole", "GET / HTTP/1.1\r\n\r\n", 18},
    {"whole with a body behind it", "GET / HTTP/1.1\r\n\r\nabc\ndef", 18},
    {"not there yet", "GET / HTTP/1.1\r\n", 0},
    {"within the last CRLF", "GET / HTTP/1.1\r\n\r", 0},
    {"bare LF", "GET / HTTP/1.1\nHost: a\r\n\r\n", -1},
    {"bare LF as the empty line", "GET / HTTP/1.1\r\n\n", -1},
    {"LF first", "\n", -1},
};

static void test_head_end(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(ends); i++) {
        struct str text = str_from(ends[i].text);
        assert_int_equal(head_end(text, 0), ends[i].want);
        /* As it grows byte by byte the answer is the same. */
        ptrdiff_t got = 0;
        for (size_t n = 1; n <= text.len && got == 0; n++)
            got = head_end((struct str){text.ptr, n}, n - 1);
        assert_int_equal(got, ends[i].want);
    }
    assert_int_equal(head_end(STR("GET /\0 HTTP/1.1\r\n\r\n"), 0), -1);
    assert_int_equal(head_end(STR("GET / HTTP/1.1\r\n\r\n\0"), 0), 18);
}

static int parse(const char *text, struct head *h)
{
    const char *why;
    struct str bytes = str_from(text);

    assert_int_equal(head_end(bytes, 0), bytes.len);
    return head_parse_request(bytes, HEAD_FIELDS_MAX, h, &why);
}

static const struct {
    const char *name, *text;
    int want;
} requests[] = {
    {"plain", "GET / HTTP/1.1\r\n" HOST "\r\n", 0},
    {"1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0},
    {"absolute-form", "GET http://other.example/x?y HTTP/1.1\r\n" HOST "\r\n", 0},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0},
    {"empty value", "GET / HTTP/1.1\r\n" HOST "x:\r\n\r\n", 0},
    {"port in Host", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", 0},
    {"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 0},
    {"expectation met",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 1\r\nExpect: 100-Continue\r\n\r\n", 0},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", "GET / HTTP/1.1\r\n" HOST HOST "\r\n", 400},
    {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"Host with user information", "GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400},
    {"Host with a wild port", "GET / HTTP/1.1\r\nHost: a:99999\r\n\r\n", 400},
    {"space before the colon", "GET / HTTP/1.1\r\n" HOST "X : 1\r\n\r\n", 400},
    {"no name", "GET / HTTP/1.1\r\n" HOST ": 1\r\n\r\n", 400},
    {"no colon", "GET / HTTP/1.1\r\n" HOST "nonsense\r\n\r\n", 400},
    {"folded line", "GET / HTTP/1.1\r\n" HOST "X: 1\r\n 2\r\n\r\n", 400},
    {"control byte in a value",
     "GET / HTTP/1.1\r\n" HOST "X: a\x01"
     "b\r\n\r\n",
     400},
    {"bare CR in a value", "GET / HTTP/1.1\r\n" HOST "X: a\rb\r\n\r\n", 400},
    {"control byte in the target",
     "GET /a\x7f"
     "b HTTP/1.1\r\n" HOST "\r\n",
     400},
    {"two lengths, equal",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 5\r\n\r\n", 400},
    {"two lengths, different",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nContent-Length: 6\r\n\r\n", 400},
    {"a list of lengths", "POST / HTTP/1.1\r\n" HOST "Content-Length: 5, 5\r\n\r\n", 400},
    {"signed length", "POST / HTTP/1.1\r\n" HOST "Content-Length: +5\r\n\r\n", 400},
    {"negative length", "POST / HTTP/1.1\r\n" HOST "Content-Length: -5\r\n\r\n", 400},
    {"hex length", "POST / HTTP/1.1\r\n" HOST "Content-Length: 0x5\r\n\r\n", 400},
    {"empty length", "POST / HTTP/1.1\r\n" HOST "Content-Length:\r\n\r\n", 400},
    {"length overflow", "POST / HTTP/1.1\r\n" HOST "Content-Length: 18446744073709551621\r\n\r\n",
     400},
    {"CL and TE",
     "POST / HTTP/1.1\r\n" HOST "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", 400},
    {"TE and CL",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n", 400},
    {"TE twice",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n",
     400},
    {"TE chunked, chunked",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: chunked, chunked\r\n\r\n", 501},
    {"TE identity", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: identity\r\n\r\n", 501},
    {"TE gzip, chunked", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: gzip, chunked\r\n\r\n",
     501},
    {"TE quoted", "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \"chunked\"\r\n\r\n", 501},
    {"TE with vertical tab",
     "POST / HTTP/1.1\r\n" HOST "Transfer-Encoding: \x0b"
     "chunked\r\n\r\n",
     400},
    {"TE in 1.0", "POST / HTTP/1.0\r\n" HOST "Transfer-Encoding: chunked\r\n\r\n", 400},
    {"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", 501},
    {"GET *", "GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target without a slash", "GET x HTTP/1.1\r\n" HOST "\r\n", 400},
    {"fragment", "GET /#x HTTP/1.1\r\n" HOST "\r\n", 400},
    {"space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400},
    {"two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"tab instead of space", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"no version", "GET /\r\n" HOST "\r\n", 400},
    {"lower-case version", "GET / http/1.1\r\n" HOST "\r\n", 400},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", 505},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", 0},
    {"h2 preface", "PRI * HTTP/2.0\r\n\r\n", 505},
    {"lower-case method", "get / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"other expectation", "POST / HTTP/1.1\r\n" HOST "Expect: coffee\r\n\r\n", 417},
};

static void test_requests(void **state)
{
    struct head h;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        int got = parse(requests[i].text, &h);
        if (got != requests[i].want)
            fail_msg("%s: %d, not %d", requests[i].name, got, requests[i].want);
    }
}

static void assert_str(struct str s, const char *want)
{
    assert_int_equal(s.len, strlen(want));
    assert_memory_equal(s.ptr, want, s.len);
}

static void test_what_is_read(void **state)
{
    struct head h;

    (void)state;
    assert_int_equal(parse("POST http://A.example:81/p/q?x=1 HTTP/1.1\r\nHost: ignored\r\n"
                           "Content-Length: 12\r\nX-Thing:  v \r\n\r\n",
                           &h),
                     0);
    assert_str(h.method, "POST");
    assert_str(h.path, "/p/q");
    assert_str(h.query, "?x=1");
    assert_str(h.host, "A.example");
    assert_str(h.authority, "A.example:81");
    assert_int_equal(h.framing, FRAMING_LENGTH);
    assert_int_equal(h.length, 12);
    assert_true(h.keep_alive);
    assert_str(head_find(&h, STR("x-thing")), "v");
    assert_null(head_find(&h, STR("absent")).ptr);
}

static void test_connection_nominates_but_not_what_frames(void **state)
{
    struct head h;

    (void)state;
    assert_int_equal(parse("POST / HTTP/1.1\r\n" HOST
                           "Connection: X-Secret, close, content-length, host\r\n"
                           "X-Secret: 1\r\nContent-Length: 3\r\nTE: trailers\r\nX-Kept: 2\r\n\r\n",
                           &h),
                     0);
    assert_false(h.keep_alive);
    for (size_t i = 0; i < h.count; i++) {
        bool hop = str_ieq(h.fields[i].name, STR("connection")) ||
                   str_ieq(h.fields[i].name, STR("x-secret")) ||
                   str_ieq(h.fields[i].name, STR("te"));
        assert_int_equal(h.fields[i].hop, hop);
    }
}

static void test_keep_alive(void **state)
{
    struct head h;

    (void)state;
    assert_int_equal(parse("GET / HTTP/1.0\r\n\r\n", &h), 0);
    assert_false(h.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n", &h), 0);
    assert_true(h.keep_alive);
    assert_int_equal(parse("GET / HTTP/1.1\r\n" HOST "Connection: foo, CLOSE\r\n\r\n", &h), 0);
    assert_false(h.keep_alive);
}

static const struct {
    const char *name, *text;
    bool to_head;
    int want;
    enum framing framing;
} responses[] = {
    {"counted", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", false, 0, FRAMING_LENGTH},
    {"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 0, FRAMING_NONE},
    {"chunked", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0, FRAMING_CHUNKED},
    {"by closing", "HTTP/1.1 200 OK\r\n\r\n", false, 0, FRAMING_CLOSE},
    {"no reason", "HTTP/1.1 200\r\nContent-Length: 3\r\n\r\n", false, 0, FRAMING_LENGTH},
    {"to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n", true, 0, FRAMING_NONE},
    {"204", "HTTP/1.1 204 No Content\r\nContent-Length: 3\r\n\r\n", false, 0, FRAMING_NONE},
    {"304", "HTTP/1.1 304 Not Modified\r\nContent-Length: 3\r\n\r\n", false, 0, FRAMING_NONE},
    {"103", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", false, 0, FRAMING_NONE},
    {"CL and TE", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n",
     false, 502, 0},
    {"two lengths", "HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\n", false, 502,
     0},
    {"not HTTP", "ICY 200 OK\r\n\r\n", false, 502, 0},
    {"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", false, 502, 0},
    {"status 999", "HTTP/1.1 999 Odd\r\n\r\n", false, 502, 0},
    {"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", false, 502, 0},
    {"folded", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", false, 502, 0},
    {"CR in a value", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", false, 502, 0},
};

static void test_responses(void **state)
{
    struct head h;
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        int got = head_parse_response(str_from(responses[i].text), responses[i].to_head, &h, &why);
        if (got != responses[i].want || (got == 0 && h.framing != responses[i].framing))
            fail_msg("%s: %d, framing %d", responses[i].name, got, h.framing);
    }
}

static void test_too_many_lines(void **state)
{
    static char text[16 * 1024];
    struct head h;

    (void)state;
    strcpy(text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 0; i < HEAD_FIELDS_MAX; i++)
        strcat(text, "x: 1\r\n");
    strcat(text, "\r\n");
    assert_int_equal(parse(text, &h), 431);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_end),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_connection_nominates_but_not_what_frames),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_too_many_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
