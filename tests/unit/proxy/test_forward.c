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
    struct forward_places at;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(requests); i++) {
        assert_int_equal(
            head_parse_request(str_from(requests[i].in), 0, HEAD_LIMITS_MOST, &h, &why), 0);
        strbuf_init(&out, 4096);
        struct forward_request r = {
            .head = &h, .peer = STR("192.0.2.1"), .authority = "up:9", .request_id = STR("id")};
        forward_request_head(&r, &out, &at);
        assert_string_equal(strbuf_cstr(&out), requests[i].out);
        strbuf_deinit(&out);
    }
}

/* --- what the exchange says of the request: the client's side, the policy --- */

static const struct policy_header set[] = {{"x-team", "models"}, {"x-forwarded-for", "hidden"}};
static const char *const removed[] = {"authorization", "via", "content-length", "x-old"};
static const struct policy_upstream to_endpoint = {.host = UPSTREAM_HOST_ENDPOINT},
                                    to_name = {.host = UPSTREAM_HOST_NAME,
                                               .host_name = "model.internal:9"},
                                    changing = {.set_headers = set,
                                                .set_header_count = ARRAY_LEN(set),
                                                .remove_headers = removed,
                                                .remove_header_count = ARRAY_LEN(removed)};

#define FOR_PEER  "X-Forwarded-For: 192.0.2.1\r\n"
#define FOR_H     FOR_PEER "X-Forwarded-Proto: http\r\nX-Forwarded-Host: h\r\n"
#define OWN       FOR_H "X-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"
#define ASKS_H    " / HTTP/1.1\r\nHost: h\r\n"
#define WEBSOCKET "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: k\r\n"

static const struct {
    const char *name, *in;
    struct forward_request r;
    const char *out, *host_before; /* what stands where the endpoint's name belongs */
} variants[] = {
    {"TLS",
     "GET" ASKS_H "\r\n",
     {.secure = true},
     "GET" ASKS_H FOR_PEER "X-Forwarded-Proto: https\r\nX-Forwarded-Host: h\r\nX-Request-Id: id\r\n"
     "Via: 1.1 sluice\r\n\r\n",
     NULL},
    {"a stranger's claims",
     "GET" ASKS_H "X-Forwarded-For: 1.1.1.1\r\nx-forwarded-port: 1\r\n"
     "X-Forwarded-Prefix: /a\r\nForwarded: for=1.1.1.1\r\nX-Forwarded-Host: evil\r\nX-A: 1\r\n\r\n",
     {.secure = false},
     "GET" ASKS_H "X-A: 1\r\n" OWN,
     NULL},
    {"a trusted proxy's",
     "GET" ASKS_H "X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-Port: 1\r\n"
     "Forwarded: for=1.1.1.1\r\nX-Forwarded-Host: outside\r\nX-Forwarded-Proto: https\r\n\r\n",
     {.trusted = true},
     "GET" ASKS_H "X-Forwarded-Port: 1\r\nForwarded: for=1.1.1.1\r\n"
     "X-Forwarded-For: 1.1.1.1, 192.0.2.1\r\nX-Forwarded-Proto: https\r\n"
     "X-Forwarded-Host: outside\r\nX-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n",
     NULL},
    {"a trusted proxy that says nothing",
     "GET" ASKS_H "\r\n",
     {.trusted = true},
     "GET" ASKS_H OWN,
     NULL},
    {"claims for this hop only",
     "GET" ASKS_H "Connection: x-forwarded-for, via\r\n"
     "X-Forwarded-For: 1.1.1.1\r\nVia: 1.1 a\r\n\r\n",
     {.trusted = true},
     "GET" ASKS_H OWN,
     NULL},
    {"the endpoint's name",
     "GET /a HTTP/1.1\r\nHost: h\r\nX-A: 1\r\n\r\n",
     {.upstream = &to_endpoint},
     "GET /a HTTP/1.1\r\nHost: \r\nX-A: 1\r\n" OWN,
     "GET /a HTTP/1.1\r\nHost: "},
    {"a name of the policy",
     "GET / HTTP/1.0\r\n\r\n",
     {.upstream = &to_name},
     "GET / HTTP/1.1\r\nHost: model.internal:9\r\n" FOR_PEER "X-Forwarded-Proto: http\r\n"
     "X-Request-Id: id\r\nVia: 1.0 sluice\r\n\r\n",
     NULL},
    {"headers of the policy; the length stays",
     "POST" ASKS_H "Authorization: a\r\nX-Old: 1\r\n"
     "x-TEAM: mine\r\nX-New: 2\r\nVia: 1.1 a\r\nContent-Length: 0\r\n\r\n",
     {.upstream = &changing},
     "POST" ASKS_H "X-New: 2\r\nContent-Length: 0\r\nX-Forwarded-Proto: http\r\n"
     "X-Forwarded-Host: h\r\nX-Request-Id: id\r\nx-team: models\r\nx-forwarded-for: hidden\r\n\r\n",
     NULL},
    {"no upgrade unless it is wanted",
     "GET" ASKS_H WEBSOCKET "\r\n",
     {.upgrade = false},
     "GET" ASKS_H "Sec-WebSocket-Key: k\r\n" OWN,
     NULL},
    {"an upgrade",
     "GET" ASKS_H WEBSOCKET "\r\n",
     {.upgrade = true},
     "GET" ASKS_H "Sec-WebSocket-Key: k\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n" OWN,
     NULL},
    {"an upgrade that is none",
     "GET" ASKS_H "Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
     {.upgrade = true},
     "GET" ASKS_H OWN,
     NULL},
    {"TE: trailers is said in our own name",
     "GET" ASKS_H "TE: gzip, trailers\r\nConnection: TE\r\n\r\n",
     {.upgrade = true},
     "GET" ASKS_H "TE: trailers\r\nConnection: TE\r\n" OWN,
     NULL},
    {"both",
     "GET" ASKS_H "TE: trailers\r\nConnection: TE, Upgrade\r\nUpgrade: a/1\r\n\r\n",
     {.upgrade = true},
     "GET" ASKS_H "Upgrade: a/1\r\nTE: trailers\r\nConnection: Upgrade, TE\r\n" OWN,
     NULL},
    {"no encoding where a stream is looked at",
     "GET" ASKS_H "Accept-Encoding: gzip\r\nA: 1\r\n\r\n",
     {.unencoded = true},
     "GET" ASKS_H "A: 1\r\n" OWN,
     NULL},
    {"trailers are announced",
     "POST" ASKS_H "Transfer-Encoding: chunked\r\nTrailer: X-T\r\n\r\n",
     {.upgrade = false},
     "POST" ASKS_H "Trailer: X-T\r\nTransfer-Encoding: chunked\r\n" OWN,
     NULL},
    {"where there can be any",
     "POST" ASKS_H "Content-Length: 0\r\nTrailer: X-T\r\n\r\n",
     {.upgrade = false},
     "POST" ASKS_H "Content-Length: 0\r\n" OWN,
     NULL},
    {"one hop less",
     "OPTIONS * HTTP/1.1\r\nHost: h\r\nMax-Forwards: 8\r\nX: 1\r\n\r\n",
     {.upgrade = false},
     "OPTIONS * HTTP/1.1\r\nHost: h\r\nX: 1\r\nMax-Forwards: 7\r\n" OWN,
     NULL},
    {"OPTIONS of the whole server",
     "OPTIONS http://h HTTP/1.1\r\nHost: x\r\n\r\n",
     {.upgrade = false},
     "OPTIONS * HTTP/1.1\r\nHost: h\r\n" OWN,
     NULL},
    {"a length loses its zeros",
     "POST" ASKS_H "X: 1\r\ncontent-length:  0005 \r\nY: 2\r\n\r\n",
     {.upgrade = false},
     "POST" ASKS_H "X: 1\r\ncontent-length: 5\r\nY: 2\r\n" OWN,
     NULL},
    {"all but one",
     "POST" ASKS_H "Content-Length: 000\r\n\r\n",
     {.upgrade = false},
     "POST" ASKS_H "Content-Length: 0\r\n" OWN,
     NULL},
    {"no expectation from 1.0",
     "POST / HTTP/1.0\r\nHost: h\r\nExpect: 100-continue\r\n"
     "Content-Length: 0\r\n\r\n",
     {.upgrade = false},
     "POST" ASKS_H "Content-Length: 0\r\n" FOR_H "X-Request-Id: id\r\nVia: 1.0 sluice\r\n\r\n",
     NULL},
};

static void test_variants(void **state)
{
    struct head h;
    struct strbuf out;
    const char *why;
    struct forward_places at;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(variants); i++) {
        assert_int_equal(
            head_parse_request(str_from(variants[i].in), 0, HEAD_LIMITS_MOST, &h, &why), 0);
        struct forward_request r = variants[i].r;
        r.head = &h;
        r.peer = STR("192.0.2.1");
        r.authority = "up:9";
        r.request_id = STR("id");
        strbuf_init(&out, 4096);
        forward_request_head(&r, &out, &at);
        if (strcmp(strbuf_cstr(&out), variants[i].out) != 0)
            print_error("%s:\n", variants[i].name);
        assert_string_equal(strbuf_cstr(&out), variants[i].out);
        const char *before = variants[i].host_before;
        assert_int_equal(at.host, before == NULL ? 0 : strlen(before));
        strbuf_deinit(&out);
    }
}

static void test_whose_trailers_pass(void **state)
{
    struct head h;
    const char *why;

    (void)state;
    assert_int_equal(head_parse_request(STR("POST" ASKS_H "Transfer-Encoding: chunked\r\n\r\n"), 0,
                                        HEAD_LIMITS_MOST, &h, &why),
                     0);
    assert_true(forward_request_trailers(&h));
    /* The names that Connection lists are not kept until the trailers come. */
    assert_int_equal(head_parse_request(STR("POST" ASKS_H "Transfer-Encoding: chunked\r\n"
                                            "Connection: x-t, close\r\n\r\n"),
                                        0, HEAD_LIMITS_MOST, &h, &why),
                     0);
    assert_false(forward_request_trailers(&h));
    assert_int_equal(head_parse_response(STR("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n"
                                             "Connection: close\r\n\r\n"),
                                         0, HEAD_LIMITS_MOST, false, &h, &why),
                     0);
    assert_true(forward_response_trailers(&h, true));
    assert_false(forward_response_trailers(&h, false));
}

static const struct {
    const char *name, *in;
    struct forward_response r;
    const char *out;
} responses[] = {
    {"hop-by-hop fields go, Via is continued",
     "HTTP/1.1 200 Fine\r\nConnection: close, x-a\r\nX-A: 1\r\nVia: 1.1 b\r\n"
     "x-sluice-version: forged\r\nX-B: 2\r\n\r\n",
     {.framing = FRAMING_CHUNKED},
     "HTTP/1.1 200 Fine\r\nX-B: 2\r\nTransfer-Encoding: chunked\r\nx-sluice-version: 2.1.0\r\n"
     "X-Request-Id: id\r\nVia: 1.1 b, 1.1 sluice\r\n\r\n"},
    {"a space before the colon goes",
     "HTTP/1.1 200 OK\r\nA: 1\r\nX-A \t: 2 \r\nB: 3\r\nDate : now\r\nContent-Length: 0\r\n\r\n",
     {.date = {"later", 5}},
     "HTTP/1.1 200 OK\r\nA: 1\r\nX-A: 2\r\nB: 3\r\nDate: now\r\nContent-Length: 0\r\n"
     "x-sluice-version: 2.1.0\r\nX-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"},
    {"a date where there is none, an id where there is one",
     "HTTP/1.0 404 No\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\n\r\n",
     {.date = {"today", 5}, .close = true},
     "HTTP/1.1 404 No\r\nX-Request-Id: theirs\r\nContent-Length: 0\r\nDate: today\r\n"
     "x-sluice-version: 2.1.0\r\nVia: 1.0 sluice\r\nConnection: close\r\n\r\n"},
    {"an id for this hop only",
     "HTTP/1.1 204 No\r\nConnection: x-request-id\r\nX-Request-Id: x\r\n\r\n",
     {.keep_alive_10 = true},
     "HTTP/1.1 204 No\r\nx-sluice-version: 2.1.0\r\nX-Request-Id: id\r\nVia: 1.1 sluice\r\n"
     "Connection: keep-alive\r\n\r\n"},
    {"204 has no length",
     "HTTP/1.1 204 No\r\nContent-Length: 5\r\n\r\n",
     {.close = false},
     "HTTP/1.1 204 No\r\nx-sluice-version: 2.1.0\r\nX-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"},
    {"trailers are announced where they go",
     "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n",
     {.framing = FRAMING_CHUNKED, .trailers = true},
     "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\nx-sluice-version: 2.1.0\r\n"
     "X-Request-Id: id\r\nVia: 1.1 sluice\r\n\r\n"},
    {"and nowhere else",
     "HTTP/1.1 200 OK\r\nTrailer: X-T\r\nTransfer-Encoding: chunked\r\n\r\n",
     {.framing = FRAMING_CLOSE, .trailers = true, .close = true},
     "HTTP/1.1 200 OK\r\nx-sluice-version: 2.1.0\r\nX-Request-Id: id\r\nVia: 1.1 sluice\r\n"
     "Connection: close\r\n\r\n"},
    {"101",
     "HTTP/1.1 101 Go\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-A: b\r\n\r\n",
     {.upgrade = true},
     "HTTP/1.1 101 Go\r\nSec-A: b\r\nx-sluice-version: 2.1.0\r\nX-Request-Id: id\r\n"
     "Via: 1.1 sluice\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"},
    {"426 says what it wants",
     "HTTP/1.1 426 No\r\nConnection: upgrade\r\nUpgrade: websocket\r\nContent-Length: 0\r\n\r\n",
     {.close = true},
     "HTTP/1.1 426 No\r\nContent-Length: 0\r\nx-sluice-version: 2.1.0\r\nX-Request-Id: id\r\n"
     "Via: 1.1 sluice\r\nUpgrade: websocket\r\nConnection: Upgrade, close\r\n\r\n"},
    {"an offer goes",
     "HTTP/1.1 200 OK\r\nConnection: upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\r\n",
     {.upgrade = true},
     "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nx-sluice-version: 2.1.0\r\nX-Request-Id: id\r\n"
     "Via: 1.1 sluice\r\n\r\n"},
};

static void test_responses(void **state)
{
    struct head h;
    struct strbuf out;
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(responses); i++) {
        assert_int_equal(
            head_parse_response(str_from(responses[i].in), 0, HEAD_LIMITS_MOST, false, &h, &why),
            0);
        struct forward_response r = responses[i].r;
        r.head = &h;
        r.version = STR("2.1.0");
        r.request_id = STR("id");
        strbuf_init(&out, 4096);
        forward_response_head(&r, &out);
        if (strcmp(strbuf_cstr(&out), responses[i].out) != 0)
            print_error("%s:\n", responses[i].name);
        assert_string_equal(strbuf_cstr(&out), responses[i].out);
        strbuf_deinit(&out);
    }
}

static void test_interim(void **state)
{
    struct head h;
    struct strbuf out;
    const char *why;

    (void)state;
    assert_int_equal(
        head_parse_response(STR("HTTP/1.1 103 Hints\r\nLink: </a>\r\nConnection: x-a\r\nX-A: 1\r\n"
                                "Content-Length: 5\r\nX-Sluice-Version: 9\r\nTrailer: x\r\n\r\n"),
                            0, HEAD_LIMITS_MOST, false, &h, &why),
        0);
    strbuf_init(&out, 4096);
    forward_interim_head(&h, &out);
    assert_string_equal(strbuf_cstr(&out), "HTTP/1.1 103 Hints\r\nLink: </a>\r\n\r\n");
    strbuf_deinit(&out);
}

static void test_dates(void **state)
{
    char text[FORWARD_DATE_MAX];

    (void)state;
    assert_true(str_eq(forward_date(784111777, text), STR("Sun, 06 Nov 1994 08:49:37 GMT")));
    assert_true(str_eq(forward_date(1709164800, text), STR("Thu, 29 Feb 2024 00:00:00 GMT")));
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
        assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why), 0);
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
        cmocka_unit_test(test_variants),
        cmocka_unit_test(test_whose_trailers_pass),
        cmocka_unit_test(test_responses),
        cmocka_unit_test(test_interim),
        cmocka_unit_test(test_dates),
        cmocka_unit_test(test_request_id),
        cmocka_unit_test(test_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
