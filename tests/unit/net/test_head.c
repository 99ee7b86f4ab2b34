/* Heads: where they end, what is refused with which status, what is read from good ones. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

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

/* Its length, 0: not there yet, -1: refused before an end was looked for. */
static ptrdiff_t head_end(struct str bytes, size_t scanned)
{
    struct head h;
    const char *why;
    int status = head_parse_request(bytes, scanned, HEAD_LIMITS_MOST, &h, &why);

    return status == HEAD_MORE ? 0 : h.bytes > 0 ? (ptrdiff_t)h.bytes : -1;
}

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
    return head_parse_request(bytes, 0, HEAD_LIMITS_MOST, h, &why);
}

/* --- refused --- */

#define GET(fields)  "GET / HTTP/1.1\r\n" HOST fields "\r\n"
#define POST(fields) "POST / HTTP/1.1\r\n" HOST fields "\r\n"
#define TE           "Transfer-Encoding: chunked\r\n"
#define CL           "Content-Length: 5\r\n"

static const struct {
    const char *name, *text;
    int want;
} requests[] = {
    /* RFC 9112, 3: the request line */
    {"plain", GET(""), 0},
    {"1.0 without Host", "GET / HTTP/1.0\r\n\r\n", 0},
    {"a later minor version is read as 1.1", "GET / HTTP/1.2\r\n" HOST "\r\n", 0},
    {"HTTP/1.9 with a body", "POST / HTTP/1.9\r\n" HOST CL "\r\n", 0},
    {"a method of nobody's list", "QUERY / HTTP/1.1\r\n" HOST "\r\n", 0},
    {"a method of odd tokens", "M-SEARCH!#$%&'*+.^_`|~9 / HTTP/1.1\r\n" HOST "\r\n", 0},
    {"lower-case method", "get / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"mixed-case method", "Get / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"long method", "ABCDEFGHIJKLMNOPQRSTUVWXYZABCDEFG / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"CONNECT", "CONNECT a:443 HTTP/1.1\r\n" HOST "\r\n", 501},
    {"TRACE", "TRACE / HTTP/1.1\r\n" HOST "\r\n", 501},
    {"method with a colon", "GE:T / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"method with a quote", "GE\"T / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"method with a bracket", "GE[T / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"method of 8 bits", "G\xc9T / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"no method", " / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"no target", "GET HTTP/1.1\r\n" HOST "\r\n", 400},
    {"two spaces", "GET  / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"two spaces behind", "GET /  HTTP/1.1\r\n" HOST "\r\n", 400},
    {"space first", " GET / HTTP/1.1\r\n" HOST "\r\n", 400},
    {"space last", "GET / HTTP/1.1 \r\n" HOST "\r\n", 400},
    {"space in the target", "GET /a b HTTP/1.1\r\n" HOST "\r\n", 400},
    {"tab instead of space", "GET\t/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"vertical tab instead of space", "GET\x0b/ HTTP/1.1\r\n" HOST "\r\n", 400},
    {"bare CR instead of CRLF", "GET / HTTP/1.1\rHost: a\r\n\r\n", 400},
    {"no version", "GET /\r\n" HOST "\r\n", 400},
    {"lower-case version", "GET / http/1.1\r\n" HOST "\r\n", 400},
    {"HTTP/1.10", "GET / HTTP/1.10\r\n" HOST "\r\n", 400},
    {"HTTP/01.1", "GET / HTTP/01.1\r\n" HOST "\r\n", 400},
    {"HTTP/1", "GET / HTTP/1\r\n" HOST "\r\n", 400},
    {"HTTP/1,1", "GET / HTTP/1,1\r\n" HOST "\r\n", 400},
    {"HTTP/1.x", "GET / HTTP/1.x\r\n" HOST "\r\n", 400},
    {"another protocol", "GET / RTSP/1.0\r\n" HOST "\r\n", 400},
    {"HTTP/0.9", "GET / HTTP/0.9\r\n" HOST "\r\n", 505},
    {"HTTP/2.0", "GET / HTTP/2.0\r\n" HOST "\r\n", 505},
    {"h2 preface", "PRI * HTTP/2.0\r\n\r\n", 505},
    {"an answer", "HTTP/1.1 200 OK\r\n\r\n", 400},

    /* RFC 9112, 3.2: Host and the target (more in test_target.c) */
    {"absolute-form", "GET http://other.example/x?y HTTP/1.1\r\n" HOST "\r\n", 0},
    {"absolute-form of https", "GET https://other.example/x HTTP/1.1\r\n" HOST "\r\n", 0},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", 0},
    {"port in Host", "GET / HTTP/1.1\r\nHost: a:8080\r\n\r\n", 0},
    {"IPv6 Host", "GET / HTTP/1.1\r\nHost: [::1]:8080\r\n\r\n", 0},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"no Host with absolute-form", "GET http://a/ HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", GET(HOST), 400},
    {"two different Hosts", GET("Host: evil\r\n"), 400},
    {"two Hosts in 1.0", "GET / HTTP/1.0\r\nHost: a\r\nHost: b\r\n\r\n", 400},
    {"empty Host", "GET / HTTP/1.1\r\nHost:\r\n\r\n", 400},
    {"Host with a path", "GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"Host with a space", "GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400},
    {"a list of Hosts", "GET / HTTP/1.1\r\nHost: a, b\r\n\r\n", 400},
    {"a bad Host with absolute-form", "GET http://a/ HTTP/1.1\r\nHost: a/b\r\n\r\n", 400},
    {"GET *", "GET * HTTP/1.1\r\n" HOST "\r\n", 400},
    {"target without a slash", "GET x HTTP/1.1\r\n" HOST "\r\n", 400},
    {"fragment", "GET /#x HTTP/1.1\r\n" HOST "\r\n", 400},
    {"DEL in the target",
     "GET /a\x7f"
     "b HTTP/1.1\r\n" HOST "\r\n",
     400},

    /* RFC 9112, 5 and RFC 9110, 5: field lines */
    {"empty value", GET("x:\r\n"), 0},
    {"tab in a value", GET("X: a\tb\r\n"), 0},
    {"8 bits in a value", GET("X: caf\xe9\r\n"), 0},
    {"space before the colon", GET("X : 1\r\n"), 400},
    {"tab before the colon", GET("X\t: 1\r\n"), 400},
    {"no name", GET(": 1\r\n"), 400},
    {"no colon", GET("nonsense\r\n"), 400},
    {"a name with a space", GET("X Y: 1\r\n"), 400},
    {"a name with a bracket", GET("X[: 1\r\n"), 400},
    {"a name of 8 bits", GET("X\xa0: 1\r\n"), 400},
    {"folded line", GET("X: 1\r\n 2\r\n"), 400},
    {"folded with a tab", GET("X: 1\r\n\t2\r\n"), 400},
    {"folded first line", "GET / HTTP/1.1\r\n X: 1\r\n" HOST "\r\n", 400},
    {"folded to an empty line", GET("X: 1\r\n \r\n"), 400},
    {"control byte in a value", GET("X: \x01\r\n"), 400},
    {"vertical tab in a value", GET("X: a\x0b\r\n"), 400},
    {"escape in a value", GET("X: \x1b[2J\r\n"), 400},
    {"DEL in a value", GET("X: \x7f\r\n"), 400},
    {"bare CR in a value", GET("X: a\rb\r\n"), 400},
    {"bare CR at the end of a line", GET("X: a\r\r\n"), 400},

    /* RFC 9110, 8.6: Content-Length */
    {"zeros before the length", POST("Content-Length: 0005\r\n"), 0},
    {"the largest length", POST("Content-Length: 9223372036854775807\r\n"), 0},
    {"two lengths, equal", POST(CL CL), 400},
    {"two lengths, different", POST(CL "Content-Length: 6\r\n"), 400},
    {"two lengths, one empty", POST("Content-Length:\r\n" CL), 400},
    {"a list of lengths", POST("Content-Length: 5, 5\r\n"), 400},
    {"a list with a hole", POST("Content-Length: 5,\r\n"), 400},
    {"a list that begins with a hole", POST("Content-Length: ,5\r\n"), 400},
    {"signed length", POST("Content-Length: +5\r\n"), 400},
    {"negative length", POST("Content-Length: -5\r\n"), 400},
    {"negative zero", POST("Content-Length: -0\r\n"), 400},
    {"hex length", POST("Content-Length: 0x5\r\n"), 400},
    {"length with an underscore", POST("Content-Length: 1_0\r\n"), 400},
    {"length with a point", POST("Content-Length: 5.0\r\n"), 400},
    {"length with an exponent", POST("Content-Length: 1e1\r\n"), 400},
    {"length with a space", POST("Content-Length: 5 5\r\n"), 400},
    {"length with a parameter", POST("Content-Length: 5;a\r\n"), 400},
    {"length in quotes", POST("Content-Length: \"5\"\r\n"), 400},
    {"length with a no-break space", POST("Content-Length: 5\xa0\r\n"), 400},
    {"length with a form feed", POST("Content-Length: 5\x0c\r\n"), 400},
    {"empty length", POST("Content-Length:\r\n"), 400},
    {"2^63", POST("Content-Length: 9223372036854775808\r\n"), 400},
    {"2^64 - 1", POST("Content-Length: 18446744073709551615\r\n"), 400},
    {"2^64 + 5", POST("Content-Length: 18446744073709551621\r\n"), 400},
    {"folded length", POST("Content-Length:\r\n 5\r\n"), 400},
    {"space before the colon of the length", POST("Content-Length : 5\r\n"), 400},

    /* RFC 9112, 6.1: Transfer-Encoding */
    {"TE in capitals", POST("TRANSFER-ENCODING: CHUNKED\r\n"), 0},
    {"TE without a space", POST("Transfer-Encoding:chunked\r\n"), 0},
    {"CL and TE", POST(CL TE), 400},
    {"TE and CL", POST(TE CL), 400},
    {"TE and CL of 0", POST(TE "Content-Length: 0\r\n"), 400},
    {"TE twice", POST(TE TE), 400},
    {"TE and identity", POST(TE "Transfer-Encoding: identity\r\n"), 400},
    {"identity and TE", POST("Transfer-Encoding: identity\r\n" TE), 501},
    {"TE empty", POST("Transfer-Encoding:\r\n"), 501},
    {"TE chunked, chunked", POST("Transfer-Encoding: chunked, chunked\r\n"), 501},
    {"TE identity", POST("Transfer-Encoding: identity\r\n"), 501},
    {"TE gzip", POST("Transfer-Encoding: gzip\r\n"), 501},
    {"TE gzip, chunked", POST("Transfer-Encoding: gzip, chunked\r\n"), 501},
    {"TE chunked, gzip", POST("Transfer-Encoding: chunked, gzip\r\n"), 501},
    {"TE with a hole", POST("Transfer-Encoding: ,chunked\r\n"), 501},
    {"TE with a parameter", POST("Transfer-Encoding: chunked;q=1\r\n"), 501},
    {"TE quoted", POST("Transfer-Encoding: \"chunked\"\r\n"), 501},
    {"TE of a longer name", POST("Transfer-Encoding: xchunked\r\n"), 501},
    {"TE with a Kelvin sign",
     POST("Transfer-Encoding: chun\xe2\x84\xaa"
          "ed\r\n"),
     501},
    {"TE with a no-break space", POST("Transfer-Encoding: chunked\xa0\r\n"), 501},
    {"TE with a no-break space before",
     POST("Transfer-Encoding: \xc2\xa0"
          "chunked\r\n"),
     501},
    {"TE with a vertical tab",
     POST("Transfer-Encoding: \x0b"
          "chunked\r\n"),
     400},
    {"TE with a form feed", POST("Transfer-Encoding: chunked\x0c\r\n"), 400},
    {"TE folded", POST("Transfer-Encoding:\r\n chunked\r\n"), 400},
    {"TE with a space before the colon", POST("Transfer-Encoding : chunked\r\n"), 400},
    {"TE behind a bare CR", POST("X: y\rTransfer-Encoding: chunked\r\n"), 400},
    {"TE in 1.0", "POST / HTTP/1.0\r\n" HOST TE "\r\n", 400},
    {"TE and CL in 1.0", "POST / HTTP/1.0\r\n" HOST TE CL "\r\n", 400},

    /* RFC 9110, 10.1.1: Expect; 7.6.2: Max-Forwards */
    {"expectation met", POST(CL "Expect: 100-Continue\r\n"), 0},
    {"an expectation means nothing in 1.0", "POST / HTTP/1.0\r\nExpect: coffee\r\n\r\n", 0},
    {"other expectation", POST("Expect: coffee\r\n"), 417},
    {"an expectation and another", POST("Expect: 100-continue, coffee\r\n"), 417},
    {"OPTIONS that may go on", "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: 1\r\n\r\n", 0},
    {"OPTIONS that may not", "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: 0\r\n\r\n", 501},
    {"OPTIONS with a word", "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: x\r\n\r\n", 400},
    {"OPTIONS with two", "OPTIONS / HTTP/1.1\r\n" HOST "Max-Forwards: 1\r\nMax-Forwards: 0\r\n\r\n",
     400},
    {"other methods' means nothing", GET("Max-Forwards: 0\r\n"), 0},
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

/* No control byte but tab stands anywhere in a head, and few bytes in a name or a method. */
static void test_every_byte(void **state)
{
    static const char tchar[] = "!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                "abcdefghijklmnopqrstuvwxyz";
    char text[128];
    struct head h;
    const char *why;

    (void)state;
    for (int c = 1; c < 256; c++) { /* NUL and LF: test_head_end */
        bool token = strchr(tchar, c) != NULL, control = (c < 0x20 && c != '\t') || c == 0x7f;
        if (c == '\n')
            continue;
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX%cY: 1\r\n\r\n", c);
        assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why),
                         token || c == ':' ? 0 : 400);
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\nX: a%cb\r\n\r\n", c);
        assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why),
                         control ? 400 : 0);
        snprintf(text, sizeof(text), "GET /a%cb HTTP/1.1\r\nHost: a\r\n\r\n", c);
        assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why),
                         c <= ' ' || c >= 0x7f || c == '#' ? 400 : 0);
        snprintf(text, sizeof(text), "G%cT / HTTP/1.1\r\nHost: a\r\n\r\n", c);
        assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why),
                         !token                 ? 400
                         : c >= 'a' && c <= 'z' ? 501
                                                : 0);
        snprintf(text, sizeof(text), "HTTP/1.1 200 a%cb\r\nX: a%cb\r\n\r\n", c, c);
        assert_int_equal(head_parse_response(str_from(text), 0, HEAD_LIMITS_MOST, false, &h, &why),
                         control ? 502 : 0);
    }
}

/* --- read --- */

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

/* --- what is asked for --- */

#define UPGRADE "Connection: Upgrade\r\nUpgrade: "

static const struct {
    const char *name, *text, *protocol; /* NULL: not an upgrade */
} upgrades[] = {
    {"WebSocket", GET(UPGRADE "websocket\r\n"), "websocket"},
    {"among other options", GET("Connection: keep-alive, upgrade\r\nUpgrade: WebSocket\r\n"),
     "WebSocket"},
    {"in two lines", GET("Connection: keep-alive\r\nUpgrade: foo/2\r\nConnection: UPGRADE\r\n"),
     "foo/2"},
    {"POST without a body", POST(UPGRADE "foo\r\n"), "foo"},
    {"POST with a length of 0", POST(UPGRADE "foo\r\nContent-Length: 0\r\n"), "foo"},
    {"not named by Connection", GET("Upgrade: websocket\r\n"), NULL},
    {"nothing named", GET("Connection: Upgrade\r\n"), NULL},
    {"an empty one", GET(UPGRADE "\r\n"), NULL},
    {"two protocols", GET(UPGRADE "websocket, h2c\r\n"), NULL},
    {"two lines", GET(UPGRADE "websocket\r\nUpgrade: websocket\r\n"), NULL},
    {"not a token", GET(UPGRADE "web socket\r\n"), NULL},
    {"a version that is none", GET(UPGRADE "websocket/\r\n"), NULL},
    {"h2c", GET(UPGRADE "h2c\r\n"), NULL},
    {"H2C", GET(UPGRADE "H2C\r\n"), NULL},
    {"HTTP/2.0", GET(UPGRADE "HTTP/2.0\r\n"), NULL},
    {"TLS/1.0", GET(UPGRADE "TLS/1.0\r\n"), NULL},
    {"a body", POST(UPGRADE "websocket\r\n" CL), NULL},
    {"a chunked body", POST(UPGRADE "websocket\r\n" TE), NULL},
    {"other methods", "PUT / HTTP/1.1\r\n" HOST UPGRADE "websocket\r\n\r\n", NULL},
    {"HTTP/1.0", "GET / HTTP/1.0\r\n" HOST UPGRADE "websocket\r\n\r\n", NULL},
};

static void test_upgrades(void **state)
{
    struct head h;
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(upgrades); i++) {
        const char *want = upgrades[i].protocol;
        assert_int_equal(parse(upgrades[i].text, &h), 0);
        if (h.upgrade != (want != NULL) ||
            (want != NULL && !str_eq(h.upgrade_protocol, str_from(want))))
            fail_msg("%s: %d", upgrades[i].name, h.upgrade);
        for (size_t j = 0; j < h.count; j++)
            if (h.fields[j].id == FIELD_UPGRADE)
                assert_true(h.fields[j].hop);
    }
    assert_int_equal(head_parse_response(STR("HTTP/1.1 101 Go\r\n" UPGRADE "websocket\r\n\r\n"), 0,
                                         HEAD_LIMITS_MOST, false, &h, &why),
                     0);
    assert_true(h.upgrade);
    assert_str(h.upgrade_protocol, "websocket");
    assert_int_equal(head_parse_response(STR("HTTP/1.1 101 Go\r\nUpgrade: websocket\r\n\r\n"), 0,
                                         HEAD_LIMITS_MOST, false, &h, &why),
                     0);
    assert_false(h.upgrade);
    assert_int_equal(head_parse_response(STR("HTTP/1.1 200 OK\r\n" UPGRADE "websocket\r\n\r\n"), 0,
                                         HEAD_LIMITS_MOST, false, &h, &why),
                     0);
    assert_false(h.upgrade);
}

static void test_who_takes_trailers(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {GET("TE: trailers\r\nConnection: TE\r\n"), true},
        {GET("TE: gzip;q=0.5, Trailers\r\nConnection: close, te\r\n"), true},
        {GET("TE: gzip\r\nTE: trailers\r\nConnection: TE\r\n"), true},
        {GET("TE: trailers\r\n"), false}, /* some other hop's */
        {GET("TE: gzip\r\nConnection: TE\r\n"), false},
        {GET("TE: trailers;q=0\r\nConnection: TE\r\n"), false},
        {"GET / HTTP/1.0\r\nTE: trailers\r\nConnection: TE\r\n\r\n", false},
    };
    struct head h;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(parse(rows[i].text, &h), 0);
        assert_int_equal(h.te_trailers, rows[i].want);
    }
}

static void test_who_takes_event_streams(void **state)
{
    static const struct {
        const char *text;
        bool want;
    } rows[] = {
        {GET("Accept: text/event-stream\r\n"), true},
        {GET("Accept: application/json, Text/Event-Stream ; q=0.9\r\n"), true},
        {GET("Accept: application/json\r\nAccept: text/event-stream\r\n"), true},
        {GET("Accept: */*\r\n"), false},
        {GET("Accept: text/event-stream;q=0\r\n"), false},
        {GET("Accept: text/event-stream; q=0.000\r\n"), false},
        {GET("Accept: text/event-streams\r\n"), false},
        {GET(""), false},
    };
    struct head h;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(parse(rows[i].text, &h), 0);
        assert_int_equal(h.accepts_event_stream, rows[i].want);
    }
}

static void test_expectations_and_hops(void **state)
{
    struct head h;

    (void)state;
    assert_int_equal(parse(POST(CL "Expect: 100-continue\r\n"), &h), 0);
    assert_true(h.expect_continue);
    assert_int_equal(h.max_forwards, -1);
    assert_int_equal(parse("POST / HTTP/1.0\r\n" CL "Expect: 100-continue\r\n\r\n", &h), 0);
    assert_false(h.expect_continue);
    assert_int_equal(parse("OPTIONS * HTTP/1.1\r\n" HOST "Max-Forwards: 99999999999\r\n\r\n", &h),
                     0);
    assert_int_equal(h.max_forwards, INT32_MAX);
    assert_str(h.path, "*");
    assert_int_equal(parse("OPTIONS http://a HTTP/1.1\r\n" HOST "\r\n", &h), 0);
    assert_str(h.path, "*");
    assert_str(h.authority, "a");
}

/* --- responses --- */

static const struct {
    const char *name, *text;
    bool to_head;
    int want;
    enum framing framing;
} responses[] = {
    {"counted", "HTTP/1.1 200 OK\r\n" CL "\r\n", false, 0, FRAMING_LENGTH},
    {"empty", "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", false, 0, FRAMING_NONE},
    {"chunked", "HTTP/1.1 200 OK\r\n" TE "\r\n", false, 0, FRAMING_CHUNKED},
    {"by closing", "HTTP/1.1 200 OK\r\n\r\n", false, 0, FRAMING_CLOSE},
    {"1.0 by closing", "HTTP/1.0 200 OK\r\n\r\n", false, 0, FRAMING_CLOSE},
    {"a later minor version", "HTTP/1.2 200 OK\r\n" TE "\r\n", false, 0, FRAMING_CHUNKED},
    {"no reason", "HTTP/1.1 200\r\n" CL "\r\n", false, 0, FRAMING_LENGTH},
    {"to HEAD", "HTTP/1.1 200 OK\r\n" CL "\r\n", true, 0, FRAMING_NONE},
    {"to HEAD, chunked", "HTTP/1.1 200 OK\r\n" TE "\r\n", true, 0, FRAMING_NONE},
    {"204", "HTTP/1.1 204 No Content\r\n" CL "\r\n", false, 0, FRAMING_NONE},
    {"204, chunked", "HTTP/1.1 204 No Content\r\n" TE "\r\n", false, 0, FRAMING_NONE},
    {"304", "HTTP/1.1 304 Not Modified\r\n" CL "\r\n", false, 0, FRAMING_NONE},
    {"103", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n", false, 0, FRAMING_NONE},
    {"100 with a length", "HTTP/1.1 100 Continue\r\n" CL "\r\n", false, 0, FRAMING_NONE},
    {"space before a colon", "HTTP/1.1 200 OK\r\nX \t: 1\r\n" CL "Y : 2\r\n\r\n", false, 0,
     FRAMING_LENGTH},
    {"space before the length's colon", "HTTP/1.1 200 OK\r\nContent-Length : 5\r\n\r\n", false, 502,
     0},
    {"space before the coding's colon", "HTTP/1.1 200 OK\r\nTransfer-Encoding\t: chunked\r\n\r\n",
     false, 502, 0},
    {"space before Connection's colon", "HTTP/1.1 200 OK\r\nConnection : close\r\n\r\n", false, 502,
     0},
    {"a name in two words", "HTTP/1.1 200 OK\r\nX Y: 1\r\n\r\n", false, 502, 0},
    {"CL and TE", "HTTP/1.1 200 OK\r\n" CL TE "\r\n", false, 502, 0},
    {"two lengths", "HTTP/1.1 200 OK\r\n" CL "Content-Length: 4\r\n\r\n", false, 502, 0},
    {"two equal lengths", "HTTP/1.1 200 OK\r\n" CL CL "\r\n", false, 502, 0},
    {"a list of lengths", "HTTP/1.1 200 OK\r\nContent-Length: 5, 5\r\n\r\n", false, 502, 0},
    {"another coding", "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", false, 502,
     0},
    {"a broken length to HEAD", "HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n", true, 502, 0},
    {"TE in 1.0", "HTTP/1.0 200 OK\r\n" TE "\r\n", false, 502, 0},
    {"not HTTP", "ICY 200 OK\r\n\r\n", false, 502, 0},
    {"status of two digits", "HTTP/1.1 20 OK\r\n\r\n", false, 502, 0},
    {"status of four digits", "HTTP/1.1 2000 OK\r\n\r\n", false, 502, 0},
    {"status 099", "HTTP/1.1 099 Odd\r\n\r\n", false, 502, 0},
    {"status 999", "HTTP/1.1 999 Odd\r\n\r\n", false, 502, 0},
    {"signed status", "HTTP/1.1 +20 OK\r\n\r\n", false, 502, 0},
    {"two spaces", "HTTP/1.1  200 OK\r\n\r\n", false, 502, 0},
    {"HTTP/2", "HTTP/2.0 200 OK\r\n\r\n", false, 502, 0},
    {"HTTP/1.10", "HTTP/1.10 200 OK\r\n\r\n", false, 502, 0},
    {"a second status line", "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\n\r\n", false, 502, 0},
    {"folded", "HTTP/1.1 200 OK\r\nX: 1\r\n 2\r\n\r\n", false, 502, 0},
    {"CR in a value", "HTTP/1.1 200 OK\r\nX: a\rSet-Cookie: b\r\n\r\n", false, 502, 0},
};

static void test_responses(void **state)
{
    struct head h;
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        int got = head_parse_response(str_from(responses[i].text), 0, HEAD_LIMITS_MOST,
                                      responses[i].to_head, &h, &why);
        if (got != responses[i].want || (got == 0 && h.framing != responses[i].framing))
            fail_msg("%s: %d, framing %d", responses[i].name, got, h.framing);
    }
}

/* --- plain, or judged by llhttp --- */

#define ANSWER(fields) "HTTP/1.1 200 OK\r\n" fields "\r\n"

static const struct {
    const char *name, *text;
    bool plain;
} judged[] = {
    {"GET", GET(""), true},
    {"POST", POST("Content-Type: application/json\r\n" CL), true},
    {"methods of nobody's list", "QUERY / HTTP/1.1\r\n" HOST "\r\n", true},
    {"a query", "GET /a/b?c=d?e&f=%20 HTTP/1.1\r\n" HOST "\r\n", true},
    {"keep-alive", GET("Connection: Keep-Alive\r\n"), true},
    {"close", GET("Connection: close\r\n"), true},
    {"letters, digits, dashes, dots", GET("X-Y.9: 1\r\n"), true},
    {"an empty value", GET("X:\r\n"), true},
    {"a length of 0", POST("Content-Length: 0\r\n"), true},
    {"an answer", ANSWER(CL "Date: Sun, 06 Nov 1994 08:49:37 GMT\r\n"), true},
    {"an answer without a reason", "HTTP/1.1 204\r\n\r\n", true},

    {"HTTP/1.0", "GET / HTTP/1.0\r\n" HOST "\r\n", false},
    {"HTTP/1.2", "GET / HTTP/1.2\r\n" HOST "\r\n", false},
    {"a method with a dash", "M-SEARCH / HTTP/1.1\r\n" HOST "\r\n", false},
    {"an absolute target", "GET http://a/ HTTP/1.1\r\n" HOST "\r\n", false},
    {"OPTIONS *", "OPTIONS * HTTP/1.1\r\n" HOST "\r\n", false},
    {"a rare letter in a name", GET("x_y: 1\r\n"), false},
    {"a tab", GET("X: a\tb\r\n"), false},
    {"8 bits", GET("X: caf\xe9\r\n"), false},
    {"chunked", POST(TE), false},
    {"zeros before the length", POST("Content-Length: 05\r\n"), false},
    {"an upgrade", GET(UPGRADE "websocket\r\n"), false},
    {"Upgrade alone", GET("Upgrade: websocket\r\n"), false},
    {"Connection that names something", GET("Connection: X-A\r\n"), false},
    {"a list", GET("Connection: keep-alive, close\r\n"), false},
    {"an empty Connection", GET("Connection:\r\n"), false},
    {"Connection twice", GET("Connection: close\r\nConnection: close\r\n"), false},
    {"Proxy-Connection", GET("Proxy-Connection: keep-alive\r\n"), false},
    {"HTTP2-Settings", GET("HTTP2-Settings: AAMA\r\n"), false},
    {"an answer of 1.0", "HTTP/1.0 200 OK\r\n\r\n", false},
    {"an answer of 1.2", "HTTP/1.2 200 OK\r\n\r\n", false},
    {"a reason of 8 bits", "HTTP/1.1 200 D\xe9j\xe0\r\n\r\n", false},
    {"a chunked answer", ANSWER(TE), false},
    {"space before a colon", ANSWER("X : 1\r\n"), false},
    {"an answer that upgrades", "HTTP/1.1 101 Go\r\n" UPGRADE "websocket\r\n\r\n", false},
};

static void test_what_is_judged_twice(void **state)
{
    struct head h;
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(judged); i++) {
        struct str text = str_from(judged[i].text);
        int got = str_starts_with(text, STR("HTTP/"))
                      ? head_parse_response(text, 0, HEAD_LIMITS_MOST, false, &h, &why)
                      : head_parse_request(text, 0, HEAD_LIMITS_MOST, &h, &why);
        if (got != 0 || h.plain != judged[i].plain)
            fail_msg("%s: %d, plain %d", judged[i].name, got, h.plain);
    }
}

/* --- sizes --- */

static void test_what_is_there_and_what_twice(void **state)
{
    struct head h;

    (void)state;
    assert_int_equal(parse(GET("Accept: a\r\nX: 1\r\nVia: 1.1 a\r\nVIA: 1.1 b\r\nX: 2\r\n"), &h),
                     0);
    assert_true(head_has(&h, FIELD_ACCEPT) && head_has(&h, FIELD_VIA) && head_has(&h, FIELD_HOST));
    assert_false(head_has(&h, FIELD_EXPECT) || head_has(&h, FIELD_CONTENT_LENGTH));
    assert_int_equal(h.repeated & ~FIELD_BIT(FIELD_OTHER), FIELD_BIT(FIELD_VIA));
    assert_str(head_get(&h, FIELD_VIA)->value, "1.1 a");
    assert_null(head_get(&h, FIELD_EXPECT));
}

static void test_heads_are_bounded(void **state)
{
    struct str text = STR(GET("X: 1\r\n"));
    struct head h;
    const char *why;

    (void)state;
    for (size_t n = 1; n <= text.len; n++) {
        struct str part = {text.ptr, n};
        for (size_t max = text.len - 1; max <= text.len; max++) {
            struct head_limits limits = {max, HEAD_FIELDS_MAX};
            int want = n < text.len ? HEAD_MORE : max < text.len ? 431 : 0;
            assert_int_equal(head_parse_request(part, 0, limits, &h, &why), want);
        }
        if (n > 10)
            assert_int_equal(head_parse_request(part, n - 1, (struct head_limits){10, 1}, &h, &why),
                             431);
    }
}

static void test_lines_are_counted(void **state)
{
    static char text[16 * 1024];
    struct head h;
    const char *why;

    (void)state;
    strcpy(text, "GET / HTTP/1.1\r\n" HOST);
    for (int i = 1; i < HEAD_FIELDS_MAX; i++)
        strcat(text, "x: 1\r\n");
    size_t len = strlen(text);
    strcpy(text + len, "\r\n");
    assert_int_equal(parse(text, &h), 0);
    assert_int_equal(head_parse_request(str_from(text), 0,
                                        (struct head_limits){SIZE_MAX, HEAD_FIELDS_MAX - 1}, &h,
                                        &why),
                     431);
    strcpy(text + len, "x: 1\r\n\r\n");
    assert_int_equal(parse(text, &h), 431);
    assert_int_equal(
        head_parse_request(STR(GET("")), 0, (struct head_limits){SIZE_MAX, 1}, &h, &why), 0);
    assert_int_equal(
        head_parse_request(STR(GET("x: 1\r\n")), 0, (struct head_limits){SIZE_MAX, 1}, &h, &why),
        431);
}

static void test_targets_are_bounded(void **state)
{
    static char text[HEAD_TARGET_MAX + 64];
    struct head h;

    (void)state;
    for (int over = 0; over < 2; over++) {
        memset(text, 'x', sizeof(text));
        memcpy(text, "GET /", 5);
        strcpy(text + 4 + HEAD_TARGET_MAX + over, " HTTP/1.1\r\n" HOST "\r\n");
        assert_int_equal(parse(text, &h), over ? 414 : 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_head_end),
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_every_byte),
        cmocka_unit_test(test_what_is_read),
        cmocka_unit_test(test_connection_nominates_but_not_what_frames),
        cmocka_unit_test(test_keep_alive),
        cmocka_unit_test(test_upgrades),
        cmocka_unit_test(test_who_takes_trailers),
        cmocka_unit_test(test_who_takes_event_streams),
        cmocka_unit_test(test_expectations_and_hops),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_what_is_judged_twice),
        cmocka_unit_test(test_what_is_there_and_what_twice),
        cmocka_unit_test(test_heads_are_bounded),
        cmocka_unit_test(test_lines_are_counted),
        cmocka_unit_test(test_targets_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
