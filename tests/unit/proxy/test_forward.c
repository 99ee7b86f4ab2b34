/* The heads sluice sends, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/check.h"
#include "proxy/forward.h"

static const struct {
    const char *name, *in, *out;
} requests[] = {
    {"nothing special", "GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\n\r\n",
     "GET /a?b HTTP/1.1\r\nHost: h\r\nAccept: */*\r\nX-Forwarded-For: 192.0.2.1\r\n"
     "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Request-Id: id\r\nVia: 1.1 "
     "sluice\r\n\r\n"},
    {"hop-by-hop and nominated fields go, the length stays",
     "POST / HTTP/1.1\r\nHost: h\r\nConnection: x-mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\n"
     "Upgrade: websocket\r\nTE: trailers\r\nContent-Length: 2\r\nX-Other: 2\r\n\r\n",
     "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\nX-Other: 2\r\n"
     "TE: trailers\r\nConnection: TE\r\n"
     "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
     "X-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"},
    {"Via is continued, claims about the outside are replaced",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.1.1.1\r\nVia: 1.0 fred\r\n"
     "X-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Request-Id: theirs\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\n"
     "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\nX-Request-Id: id\r\n"
     "Via: 1.0 fred, 1.1 sluice\r\n\r\n"},
    {"chunked is framed anew, an absolute target replaces Host",
     "POST http://o:1/x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n",
     "POST /x HTTP/1.1\r\nHost: o:1\r\nTransfer-Encoding: chunked\r\nX-Forwarded-For: 192.0.2.1\r\n"
     "X-Forwarded-Proto: http\r\nX-Forwarded-Host: o:1\r\nX-Request-Id: id\r\n"
     "Via: 1.1 sluice\r\n\r\n"},
    {"HTTP/1.0 without Host", "GET / HTTP/1.0\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: up:9\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
     "X-Request-Id: id\r\nVia: 1.0 sluice\r\n\r\n"},
    {"a valid traceparent passes with its tracestate",
     "GET / HTTP/1.1\r\nHost: h\r\n"
     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: "
     "a=1\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: h\r\n"
     "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\ntracestate: a=1\r\n"
     "X-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
     "X-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"},
    {"an invalid one is dropped with it",
     "GET / HTTP/1.1\r\nHost: h\r\n"
     "traceparent: 00-00000000000000000000000000000000-b7ad6b7169203331-01\r\ntracestate: "
     "a=1\r\n\r\n",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.1\r\nX-Forwarded-Proto: http\r\n"
     "X-Forwarded-Host: h\r\nX-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"},
};

static void test_requests(void **state)
{
    struct head h;
    struct strbuf out;
    const char *why;
    size_t host_at;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        assert_int_equal(head_parse_request(str_from(requests[i].in), HEAD_FIELDS_MAX, &h, &why),
                         0);
        strbuf_init(&out, 4096);
        struct forward_request r = {
            .head = &h, .peer = STR("192.0.2.1"), .authority = STR("up:9"), .request_id = "id"};
        forward_request_head(&r, &out, &host_at);
        assert_string_equal(strbuf_cstr(&out), requests[i].out);
        strbuf_deinit(&out);
    }
}

static void test_response(void **state)
{
    struct head h;
    struct strbuf out;
    const char *why;

    (void)state;
    assert_int_equal(
        head_parse_response(
            STR("HTTP/1.1 200 Fine\r\nConnection: close, x-a\r\nX-A: 1\r\nVia: 1.1 b\r\n"
                "x-sluice-version: forged\r\nX-B: 2\r\n\r\n"),
            false, &h, &why),
        0);
    strbuf_init(&out, 4096);
    struct forward_response r = {
        .head = &h, .version = "2.1.0", .request_id = "id", .framing = FRAMING_CHUNKED};
    forward_response_head(&r, &out);
    assert_string_equal(strbuf_cstr(&out),
                        "HTTP/1.1 200 Fine\r\nX-B: 2\r\nTransfer-Encoding: chunked\r\n"
                        "x-sluice-version: 2.1.0\r\nX-Request-Id: id\r\n"
                        "Via: 1.1 b, 1.1 sluice\r\n\r\n");
    strbuf_deinit(&out);
}

static void test_request_id(void **state)
{
    static const struct {
        const char *in;
        bool kept;
    } rows[] = {{"abc-123", true}, {"", false}, {"a b", false}, {"x\xc3\xa9", false}};
    struct rng rng;
    struct head h;
    const char *why;
    char id[REQUEST_ID_MAX + 1], text[256];

    (void)state;
    rng_seed(&rng, 1);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nx-request-id: %s\r\n\r\n",
                 rows[i].in);
        assert_int_equal(head_parse_request(str_from(text), HEAD_FIELDS_MAX, &h, &why), 0);
        assert_int_equal(forward_request_id(&h, &rng, id), rows[i].kept);
        if (rows[i].kept)
            assert_string_equal(id, rows[i].in);
        else
            assert_int_equal(strlen(id), 32);
    }
}

static void test_error(void **state)
{
    struct strbuf out;
    struct forward_error e = {.status = 502,
                              .code = "upstream_reset",
                              .message = "it said \"no\"",
                              .request_id = "id",
                              .version = "2",
                              .close = true};

    (void)state;
    strbuf_init(&out, 4096);
    forward_error(&e, &out);
    assert_non_null(strstr(strbuf_cstr(&out), "HTTP/1.1 502 Bad Gateway\r\n"));
    assert_non_null(strstr(strbuf_cstr(&out), "Connection: close\r\n"));
    assert_non_null(strstr(strbuf_cstr(&out), "\r\n\r\n{\"error\": {\"code\": \"upstream_reset\", "
                                              "\"message\": \"it said \\\"no\\\"\", "
                                              "\"request_id\": \"id\"}}\n"));
    strbuf_deinit(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_requests),
        cmocka_unit_test(test_response),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
