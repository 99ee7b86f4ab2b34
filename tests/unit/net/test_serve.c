/* The little HTTP server, over real loopback sockets on the test's own loop: what a client gets for
 * the bytes it sends, and when a handler learns that its client is gone. Nothing sleeps: a test
 * runs the loop until the client has what it waits for; a watchdog turns a hang into a failure.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/strbuf.h"
#include "net/serve.h"

enum { WATCHDOG_MS = 10000, BIG_BYTES = 24 * 1024 * 1024 };

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    uv_shutdown_t shutdown;
    struct strbuf got;
    const char *send;
    size_t send_len;
    const char *until; /* enough when `got` ends so; NULL: the peer's FIN */
    bool half_close, no_read, done;
};

struct fixture {
    uv_loop_t loop;
    uv_timer_t watchdog, turn;
    struct serve *serve;
    struct serve_request *held;
    bool *wake; /* set by the handler or gone callback a test waits for */
    unsigned handled, gone;
    bool flood_stopped;
    char *big;
    char peer[64];
};

/* --- the handler under test's feet --- */

static void on_gone(struct serve_request *r, void *arg)
{
    struct fixture *f = arg;

    assert_ptr_equal(r, f->held);
    f->held = NULL;
    f->gone++;
}

static void on_turn(uv_timer_t *timer)
{
    struct fixture *f = timer->data;
    struct serve_request *r = f->held;

    f->held = NULL;
    serve_reply(r, 200, STR("text/plain"), STR("later"));
}

static void answer_echo(struct serve_request *r)
{
    struct strbuf out;
    struct str value, method = serve_method(r), path = serve_path(r), body = serve_body(r);

    strbuf_init(&out, 8 * 1024 * 1024);
    strbuf_addf(&out, STR_FMT " " STR_FMT, STR_ARG(method), STR_ARG(path));
    if (serve_query_get(r, STR("q"), &value))
        strbuf_addf(&out, " q=[" STR_FMT "]", STR_ARG(value));
    value = serve_header(r, STR("X-Thing"));
    if (value.ptr != NULL)
        strbuf_addf(&out, " x-thing=[" STR_FMT "]", STR_ARG(value));
    if (body.len > 0)
        strbuf_addf(&out, " body=[" STR_FMT "]", STR_ARG(body));
    serve_reply(r, 200, STR("text/plain"), strbuf_str(&out));
    strbuf_deinit(&out);
}

static void answer_flood(struct fixture *f, struct serve_request *r)
{
    static char chunk[64 * 1024];

    serve_on_gone(r, on_gone, f);
    f->held = r;
    serve_stream_start(r, 200, STR("text/plain"));
    for (unsigned i = 0; i < 4096; i++) {
        if (!serve_stream_send(r, (struct str){chunk, sizeof(chunk)})) {
            f->flood_stopped = true;
            return;
        }
    }
}

static void answer_stream(struct serve_request *r)
{
    serve_stream_start(r, 200, STR("text/event-stream"));
    assert_true(serve_stream_send(r, STR("one")));
    assert_true(serve_stream_send(r, STR("")));
    assert_true(serve_stream_send(r, STR("twotwotwotwotwotwo")));
    serve_stream_end(r);
}

static void on_request(struct serve_request *r, void *arg)
{
    struct fixture *f = arg;
    struct str path = serve_path(r), peer = serve_peer(r);

    f->handled++;
    snprintf(f->peer, sizeof(f->peer), STR_FMT, STR_ARG(peer));
    if (str_starts_with(path, STR("/echo"))) {
        answer_echo(r);
    } else if (str_eq(path, STR("/later"))) {
        f->held = r;
        uv_timer_start(&f->turn, on_turn, 0, 0);
    } else if (str_eq(path, STR("/hold"))) {
        serve_on_gone(r, on_gone, f);
        f->held = r;
    } else if (str_eq(path, STR("/keep"))) {
        f->held = r; /* without asking to be told */
    } else if (str_eq(path, STR("/stream"))) {
        answer_stream(r);
    } else if (str_eq(path, STR("/exact"))) {
        serve_add_header(r, STR("content-length"), STR("21"));
        answer_stream(r);
    } else if (str_eq(path, STR("/short"))) {
        serve_add_header(r, STR("content-length"), STR("99"));
        answer_stream(r);
    } else if (str_eq(path, STR("/cut")) || str_eq(path, STR("/reset"))) {
        serve_stream_start(r, 200, STR("text/plain"));
        serve_stream_send(r, STR("begun"));
        serve_abort(r, str_eq(path, STR("/reset")));
    } else if (str_eq(path, STR("/big"))) {
        serve_reply(r, 200, STR("text/plain"), (struct str){f->big, BIG_BYTES});
    } else if (str_eq(path, STR("/flood"))) {
        answer_flood(f, r);
    } else if (str_eq(path, STR("/empty"))) {
        serve_reply(r, 204, STR(""), STR(""));
    } else if (str_eq(path, STR("/split"))) {
        serve_add_header(r, STR("x-good"), STR("yes"));
        serve_add_header(r, STR("x-bad"), STR("a\r\nset-cookie: b"));
        serve_add_header(r, STR("x bad"), STR("name"));
        serve_reply(r, 200, STR("text/plain"), STR("ok"));
    } else {
        serve_reply(r, 404, STR("text/plain"), STR("no"));
    }
}

/* --- the fixture --- */

static void on_watchdog(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("the loop hung: what the test waits for never came");
}

static int fixture_start(struct fixture *f, const struct serve_options *given)
{
    struct serve_options o = given != NULL ? *given : (struct serve_options){.port = 0};
    struct error error = {0};

    o.host = o.host != NULL ? o.host : "127.0.0.1";
    o.handler = on_request;
    o.arg = f;
    int code = serve_start(&f->loop, &o, &f->serve, &error);
    if (code != 0)
        print_message("%s\n", error.message);
    return code;
}

static void fixture_init(struct fixture *f, const struct serve_options *options)
{
    memset(f, 0, sizeof(*f));
    uv_loop_init(&f->loop);
    uv_timer_init(&f->loop, &f->watchdog);
    uv_timer_init(&f->loop, &f->turn);
    uv_timer_start(&f->watchdog, on_watchdog, WATCHDOG_MS, 0);
    f->turn.data = f;
    assert_int_equal(fixture_start(f, options), 0);
    assert_true(serve_port(f->serve) > 0);
}

/* Everything closed, nothing left behind: the loop must come to rest by itself. */
static void fixture_end(struct fixture *f)
{
    serve_close(f->serve);
    uv_close((uv_handle_t *)&f->watchdog, NULL);
    uv_close((uv_handle_t *)&f->turn, NULL);
    assert_int_equal(uv_run(&f->loop, UV_RUN_DEFAULT), 0);
    assert_int_equal(uv_loop_close(&f->loop), 0);
    free(f->big);
}

/* --- the client --- */

static void on_client_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    static char memory[64 * 1024];

    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(memory, sizeof(memory));
}

static bool enough(const struct client *c)
{
    return c->until != NULL && str_ends_with(strbuf_str(&c->got), str_from(c->until));
}

static void on_client_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct client *c = stream->data;

    if (nread < 0) {
        c->done = true;
        uv_read_stop(stream);
    } else {
        assert_true(strbuf_add(&c->got, (struct str){buf->base, (size_t)nread}));
        if (enough(c))
            c->done = true;
    }
}

static void on_client_connected(uv_connect_t *connect, int status)
{
    struct client *c = connect->data;
    uv_stream_t *stream = (uv_stream_t *)&c->tcp;
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)c->send, (unsigned)c->send_len);

    assert_int_equal(status, 0);
    if (c->send_len > 0)
        assert_int_equal(uv_write(&c->write, stream, &buf, 1, NULL), 0);
    if (c->half_close)
        assert_int_equal(uv_shutdown(&c->shutdown, stream, NULL), 0);
    if (!c->no_read)
        assert_int_equal(uv_read_start(stream, on_client_alloc, on_client_read), 0);
}

static void client_open(struct client *c, struct fixture *f)
{
    struct sockaddr_in address;

    c->connect.data = c->tcp.data = c;
    strbuf_init(&c->got, 2 * BIG_BYTES);
    uv_tcp_init(&f->loop, &c->tcp);
    uv_ip4_addr("127.0.0.1", serve_port(f->serve), &address);
    uv_tcp_connect(&c->connect, &c->tcp, (struct sockaddr *)&address, on_client_connected);
}

static void client_more(struct client *c, const char *text)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

    assert_int_equal(uv_try_write((uv_stream_t *)&c->tcp, &buf, 1), (int)buf.len);
}

#define RUN_UNTIL(f, condition)                                                                    \
    do {                                                                                           \
        while (!(condition))                                                                       \
            uv_run(&(f)->loop, UV_RUN_ONCE);                                                       \
    } while (0)

static void client_close(struct client *c, struct fixture *f)
{
    uv_close((uv_handle_t *)&c->tcp, NULL);
    while (uv_is_active((uv_handle_t *)&c->tcp))
        uv_run(&f->loop, UV_RUN_NOWAIT);
    uv_run(&f->loop, UV_RUN_NOWAIT); /* its close callback */
    strbuf_deinit(&c->got);
}

/* The answer without its date lines, so that it can be compared. */
static char *without_dates(const struct strbuf *got)
{
    char *text = xstrndup(strbuf_str(got)), *at;

    while ((at = strstr(text, "date: ")) != NULL) {
        char *end = strstr(at, "\r\n");
        assert_non_null(end);
        memmove(at, end + 2, strlen(end + 2) + 1);
    }
    return text;
}

/* --- what a client gets --- */

#define GET(path)      "GET " path " HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_LAST(path) "GET " path " HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
#define OK_PLAIN(length)                                                                           \
    "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: " length "\r\n"
#define CLOSE "connection: close\r\n\r\n"

struct exchange {
    const char *name, *request, *answer;
};

/* Every request ends with the connection's end, so the whole answer is compared. */
static const struct exchange exchanges[] = {
    {"a GET", GET_LAST("/echo"), OK_PLAIN("9") CLOSE "GET /echo"},
    {"keep-alive is the default and pipelined requests are answered in order",
     GET("/echo/1") GET("/later") GET_LAST("/echo/3"),
     OK_PLAIN("11") "\r\nGET /echo/1" OK_PLAIN("5") "\r\nlater" OK_PLAIN("11") CLOSE "GET /echo/3"},
    {"what is pipelined behind the last request is not answered", GET_LAST("/echo") GET("/echo/2"),
     OK_PLAIN("9") CLOSE "GET /echo"},
    {"a body by length, then another request",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nhello" GET_LAST("/echo"),
     OK_PLAIN("23") "\r\nPOST /echo body=[hello]" OK_PLAIN("9") CLOSE "GET /echo"},
    {"a chunked body with extension and trailer, then another request",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3;x=y\r\nabc\r\n"
     "4\r\ndefg\r\n0\r\nx-thing: trailer\r\n\r\n" GET_LAST("/echo"),
     OK_PLAIN("25") "\r\nPOST /echo body=[abcdefg]" OK_PLAIN("9") CLOSE "GET /echo"},
    {"HEAD has the length and no body", "HEAD /echo HTTP/1.1\r\nHost: a\r\n\r\n" GET_LAST("/echo"),
     OK_PLAIN("10") "\r\n" OK_PLAIN("9") CLOSE "GET /echo"},
    {"204 has neither", GET("/empty") GET_LAST("/echo"),
     "HTTP/1.1 204 No Content\r\n\r\n" OK_PLAIN("9") CLOSE "GET /echo"},
    {"path and query are decoded, the header's name has no case and its value no padding",
     "GET /echo/a%20b%2Fc?x=1&q=d+e%26f HTTP/1.1\r\nHost: a\r\nX-THING: \t v w \t\r\n"
     "Connection: close\r\n\r\n",
     OK_PLAIN("39") CLOSE "GET /echo/a b/c q=[d e&f] x-thing=[v w]"},
    {"an absolute target",
     "GET http://b:80/echo?q=1 HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n",
     OK_PLAIN("15") CLOSE "GET /echo q=[1]"},
    {"an upgrade nobody offers is ignored",
     "GET /echo HTTP/1.1\r\nHost: a\r\nUpgrade: h2c\r\nConnection: upgrade, close\r\n\r\n",
     OK_PLAIN("9") CLOSE "GET /echo"},
    {"an empty header value",
     "GET /echo HTTP/1.1\r\nHost: a\r\nx-thing:\r\nConnection: close\r\n\r\n",
     OK_PLAIN("20") CLOSE "GET /echo x-thing=[]"},
    {"HTTP/1.0 closes", "GET /echo HTTP/1.0\r\n\r\n", OK_PLAIN("9") CLOSE "GET /echo"},
    {"HTTP/1.0 keeps when asked",
     "GET /echo HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /echo HTTP/1.0\r\n\r\n",
     OK_PLAIN("9") "connection: keep-alive\r\n\r\nGET /echo" OK_PLAIN("9") CLOSE "GET /echo"},
    {"a stream is chunked and the connection lives on", GET("/stream") GET_LAST("/echo"),
     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
     "3\r\none\r\n12\r\ntwotwotwotwotwotwo\r\n0\r\n\r\n" OK_PLAIN("9") CLOSE "GET /echo"},
    {"a stream to HTTP/1.0 ends with the connection",
     "GET /stream HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n" CLOSE "onetwotwotwotwotwotwo"},
    {"a stream of announced length is sent as it is", GET("/exact") GET_LAST("/echo"),
     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 21\r\n\r\n"
     "onetwotwotwotwotwotwo" OK_PLAIN("9") CLOSE "GET /echo"},
    {"one that falls short of it ends the connection", GET("/short") GET("/echo"),
     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ncontent-length: 99\r\n\r\n"
     "onetwotwotwotwotwotwo"},
    {"HEAD of a stream", "HEAD /stream HTTP/1.1\r\nHost: a\r\n\r\n" GET_LAST("/echo"),
     "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: "
     "chunked\r\n\r\n" OK_PLAIN("9") CLOSE "GET /echo"},
    {"an aborted stream has no last chunk", GET("/cut"),
     "HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ntransfer-encoding: chunked\r\n\r\n"
     "5\r\nbegun\r\n"},
    {"an added field cannot split the answer", GET_LAST("/split"),
     OK_PLAIN("2") "x-good: yes\r\n" CLOSE "ok"},
    {"the body need not wait for 100 Continue and then gets none",
     "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 2\r\n"
     "Connection: close\r\n\r\nhi",
     OK_PLAIN("20") CLOSE "POST /echo body=[hi]"},
};

static char *ask(struct fixture *f, const char *request, size_t len, bool half_close)
{
    struct client c = {.send = request, .send_len = len, .half_close = half_close};

    client_open(&c, f);
    RUN_UNTIL(f, c.done);
    char *answer = without_dates(&c.got);
    client_close(&c, f);
    return answer;
}

static void a_client_gets_the_answer_its_bytes_ask_for(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, NULL);
    for (size_t i = 0; i < ARRAY_LEN(exchanges); i++) {
        const struct exchange *e = &exchanges[i];
        char *answer = ask(&f, e->request, strlen(e->request), false);

        if (strcmp(answer, e->answer) != 0)
            fail_msg("%s:\n--- got\n%s\n--- want\n%s\n", e->name, answer, e->answer);
        free(answer);
    }
    assert_string_equal(f.peer, "127.0.0.1");
    fixture_end(&f);
}

static void a_half_closing_client_is_still_answered(void **state)
{
    struct fixture f;
    static const char request[] = GET("/later") GET("/echo");

    (void)state;
    fixture_init(&f, NULL);
    char *answer = ask(&f, request, sizeof(request) - 1, true);
    assert_string_equal(answer, OK_PLAIN("5") "\r\nlater" OK_PLAIN("9") "\r\nGET /echo");
    free(answer);
    fixture_end(&f);
}

/* Cut anywhere, a request means the same. */
static void a_request_may_arrive_in_any_two_pieces(void **state)
{
    static const char request[] = "POST /echo?q=1 HTTP/1.1\r\nHost: a\r\nx-thing: v\r\n"
                                  "Transfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
                                  "3\r\nabc\r\n0\r\n\r\n";
    struct fixture f;

    (void)state;
    fixture_init(&f, NULL);
    for (size_t cut = 1; cut + 1 < sizeof(request); cut++) {
        struct client c = {.send = request, .send_len = cut};

        client_open(&c, &f);
        RUN_UNTIL(&f, uv_is_writable((uv_stream_t *)&c.tcp));
        RUN_UNTIL(&f, uv_stream_get_write_queue_size((uv_stream_t *)&c.tcp) == 0);
        uv_run(&f.loop, UV_RUN_NOWAIT);
        client_more(&c, request + cut);
        RUN_UNTIL(&f, c.done);
        char *answer = without_dates(&c.got);
        assert_string_equal(answer, OK_PLAIN("39") CLOSE "POST /echo q=[1] x-thing=[v] body=[abc]");
        free(answer);
        client_close(&c, &f);
    }
    fixture_end(&f);
}

/* --- what is refused --- */

static const struct {
    const char *name, *request;
    int status;
} refusals[] = {
    {"garbage", "hello there\r\n\r\n", 400},
    {"a TLS hello", "\x16\x03\x01\x02\x05", 400},
    {"no Host", "GET / HTTP/1.1\r\n\r\n", 400},
    {"two Hosts", "GET / HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n", 400},
    {"space before the colon", "GET / HTTP/1.1\r\nHost: a\r\nx : y\r\n\r\n", 400},
    {"space before the colon, whatever follows",
     "GET / HTTP/1.1\r\nHost: a\r\nContent-Length : 3\r\n\r\nabc", 400},
    {"length and chunked at once",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nTransfer-Encoding: chunked\r\n\r\n"
     "0\r\n\r\n",
     400},
    {"two lengths",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\nContent-Length: 5\r\n\r\nabcde", 400},
    {"a signed length", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde", 400},
    {"chunked is not the last coding",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked, gzip\r\n\r\n0\r\n\r\n", 400},
    {"a broken chunk size",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0x3\r\nabc\r\n", 400},
    {"transfer-encoding in HTTP/1.0",
     "POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400},
    {"a broken escape", GET("/echo/%zz"), 400},
    {"an escaped NUL", GET("/echo/%00"), 400},
    {"a fragment", GET("/echo#x"), 400},
    {"CONNECT", "CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501},
    {"HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505},
    {"another expectation",
     "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: tea\r\nContent-Length: 1\r\n\r\n", 417},
    {"an announced body over the limit",
     "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 1001\r\n\r\n", 413},
    {"the same, while the client waits for 100 Continue",
     "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1001\r\n\r\n", 413},
    {"a chunk over the limit",
     "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3E9\r\n", 413},
};

static const struct serve_options small = {.head_max = 1000, .body_max = 1000};

static void what_is_malformed_is_refused_and_the_connection_closed(void **state)
{
    struct fixture f;
    char want[64];

    (void)state;
    fixture_init(&f, &small);
    for (size_t i = 0; i < ARRAY_LEN(refusals); i++) {
        char more[2048];
        bool too_big = strstr(refusals[i].name, "chunk over") != NULL;
        int n = snprintf(more, sizeof(more), "%s%*s", refusals[i].request, too_big ? 1001 : 0, "");
        char *answer = ask(&f, more, (size_t)n, false);

        snprintf(want, sizeof(want), "HTTP/1.1 %d %s\r\n", refusals[i].status,
                 serve_reason(refusals[i].status));
        if (!str_starts_with(str_from(answer), str_from(want)) ||
            strstr(answer, "connection: close") == NULL || strstr(answer, "\nHTTP/1.1 ") != NULL)
            fail_msg("%s: %s", refusals[i].name, answer);
        free(answer);
    }
    assert_int_equal(f.handled, 0);
    fixture_end(&f);
}

/* Heads, trailers and chunk extensions that never end: `fill` is repeated after `begin`. */
static const struct {
    const char *name, *begin, *fill;
} endless[] = {
    {"target", "GET /", "aaaaaaaa"},
    {"field name", "GET / HTTP/1.1\r\n", "aaaaaaaa"},
    {"field value", "GET / HTTP/1.1\r\nx: ", "aaaaaaaa"},
    {"padding", "GET / HTTP/1.1\r\nx:", "        "},
    {"fields", "GET / HTTP/1.1\r\n", "a: b\r\n"},
    {"chunk extension", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n1;",
     "aaaaaaaa"},
    {"trailers", "POST /echo HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n",
     "a: b\r\n"},
};

static void what_never_ends_is_cut_with_431(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f, &small);
    for (size_t i = 0; i < ARRAY_LEN(endless); i++) {
        struct strbuf request;

        strbuf_init(&request, 1024 * 1024);
        strbuf_add(&request, str_from(endless[i].begin));
        while (request.len < 200 * 1024)
            strbuf_add(&request, str_from(endless[i].fill));
        char *answer = ask(&f, request.ptr, request.len, false);
        if (!str_starts_with(str_from(answer), STR("HTTP/1.1 431 ")))
            fail_msg("%s: %s", endless[i].name, answer);
        free(answer);
        strbuf_deinit(&request);
    }
    fixture_end(&f);
}

static void a_whole_body_at_the_limit_is_taken(void **state)
{
    struct fixture f;
    char request[2048];

    (void)state;
    fixture_init(&f, &small);
    int n = snprintf(request, sizeof(request),
                     "POST /echo HTTP/1.1\r\nHost: a\r\nConnection: close\r\n"
                     "Content-Length: 1000\r\n\r\n%01000d",
                     7);
    char *answer = ask(&f, request, (size_t)n, false);
    assert_true(str_starts_with(str_from(answer), STR("HTTP/1.1 200 OK\r\n")));
    free(answer);
    fixture_end(&f);
}

/* --- waiting and time --- */

static void a_client_that_waits_for_100_continue_gets_it(void **state)
{
    struct fixture f;
    static const char head[] = "POST /echo HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\n"
                               "Content-Length: 2\r\nConnection: close\r\n\r\n";
    struct client c = {.send = head, .send_len = sizeof(head) - 1};

    (void)state;
    fixture_init(&f, NULL);
    c.until = "HTTP/1.1 100 Continue\r\n\r\n";
    client_open(&c, &f);
    RUN_UNTIL(&f, c.done);
    assert_int_equal(f.handled, 0);
    c.done = false;
    client_more(&c, "hi");
    RUN_UNTIL(&f, c.done);
    char *answer = without_dates(&c.got);
    assert_string_equal(answer, "HTTP/1.1 100 Continue\r\n\r\n" OK_PLAIN("20") CLOSE
                        "POST /echo body=[hi]");
    free(answer);
    client_close(&c, &f);
    fixture_end(&f);
}

static void a_request_that_does_not_arrive_is_answered_408(void **state)
{
    struct fixture f;
    static const struct serve_options quick = {.request_timeout_ns = 20 * NS_PER_MS};
    static const char *const parts[] = {
        "GET / HTTP/1.1\r\nHos", "POST /echo HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nabc"};

    (void)state;
    fixture_init(&f, &quick);
    for (size_t i = 0; i < ARRAY_LEN(parts); i++) {
        char *answer = ask(&f, parts[i], strlen(parts[i]), false);
        assert_true(str_starts_with(str_from(answer), STR("HTTP/1.1 408 Request Timeout\r\n")));
        free(answer);
    }
    assert_int_equal(f.handled, 0);
    fixture_end(&f);
}

static void an_idle_connection_is_closed_without_a_word(void **state)
{
    struct fixture f;
    static const struct serve_options quick = {.idle_timeout_ns = 20 * NS_PER_MS};

    (void)state;
    fixture_init(&f, &quick);
    char *answer = ask(&f, "", 0, false);
    assert_string_equal(answer, "");
    free(answer);
    answer = ask(&f, GET("/echo"), strlen(GET("/echo")), false);
    assert_string_equal(answer, OK_PLAIN("9") "\r\nGET /echo");
    free(answer);
    fixture_end(&f);
}

static void a_connection_too_many_is_closed_at_once(void **state)
{
    struct fixture f;
    static const struct serve_options one = {.connections_max = 1};
    struct client first = {
        .send = GET("/echo"), .send_len = strlen(GET("/echo")), .until = "GET /echo"};

    (void)state;
    fixture_init(&f, &one);
    client_open(&first, &f);
    RUN_UNTIL(&f, first.done);
    struct client second = {.send = "", .send_len = 0};
    client_open(&second, &f);
    RUN_UNTIL(&f, second.done);
    assert_int_equal(second.got.len, 0);
    client_close(&second, &f);
    client_close(&first, &f);
    fixture_end(&f);
}

/* --- slow, gone, reset --- */

static void a_large_answer_reaches_a_client_that_reads_late(void **state)
{
    struct fixture f;
    static const char request[] = GET("/big") GET_LAST("/echo");
    struct client c = {.send = request, .send_len = sizeof(request) - 1, .no_read = true};

    (void)state;
    fixture_init(&f, NULL);
    f.big = xmalloc(BIG_BYTES);
    memset(f.big, 'x', BIG_BYTES);
    client_open(&c, &f);
    RUN_UNTIL(&f, f.handled == 1);
    for (unsigned i = 0; i < 10; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    assert_int_equal(f.handled, 1); /* the next is not begun while this one is on its way */
    uv_read_start((uv_stream_t *)&c.tcp, on_client_alloc, on_client_read);
    RUN_UNTIL(&f, c.done);
    assert_int_equal(f.handled, 2);
    assert_true(c.got.len > BIG_BYTES);
    assert_true(str_ends_with(strbuf_str(&c.got), STR("GET /echo")));
    client_close(&c, &f);
    fixture_end(&f);
}

static void a_stream_nobody_reads_is_dropped(void **state)
{
    struct fixture f;
    struct client c = {.send = GET("/flood"), .send_len = strlen(GET("/flood")), .no_read = true};

    (void)state;
    fixture_init(&f, NULL);
    client_open(&c, &f);
    RUN_UNTIL(&f, f.gone == 1);
    assert_true(f.flood_stopped);
    client_close(&c, &f);
    fixture_end(&f);
}

static void a_handler_is_told_when_its_client_goes(void **state)
{
    struct fixture f;
    struct client c = {.send = GET("/hold"), .send_len = strlen(GET("/hold"))};

    (void)state;
    fixture_init(&f, NULL);
    client_open(&c, &f);
    RUN_UNTIL(&f, f.handled == 1);
    assert_non_null(f.held);
    client_close(&c, &f);
    RUN_UNTIL(&f, f.gone == 1);
    assert_null(f.held);
    fixture_end(&f);
}

static void an_answer_to_a_client_that_went_is_dropped(void **state)
{
    struct fixture f;
    struct client c = {.send = GET("/keep"), .send_len = strlen(GET("/keep"))};

    (void)state;
    fixture_init(&f, NULL);
    client_open(&c, &f);
    RUN_UNTIL(&f, f.handled == 1);
    uv_tcp_close_reset(&c.tcp, NULL);
    for (unsigned i = 0; i < 10; i++)
        uv_run(&f.loop, UV_RUN_NOWAIT);
    strbuf_deinit(&c.got);
    struct str path = serve_path(f.held); /* still readable */
    assert_true(str_eq(path, STR("/keep")));
    serve_stream_start(f.held, 200, STR("text/plain"));
    assert_false(serve_stream_send(f.held, STR("nobody hears")));
    serve_stream_end(f.held);
    assert_int_equal(f.gone, 0);
    fixture_end(&f);
}

/* Read by hand: libuv reports a reset behind data as an end. */
static void an_abort_with_reset_is_seen_as_one(void **state)
{
    struct fixture f;
    struct client c = {.send = GET("/reset"), .send_len = strlen(GET("/reset")), .no_read = true};
    char bytes[512];
    uv_os_fd_t fd;
    ssize_t n;

    (void)state;
    fixture_init(&f, NULL);
    client_open(&c, &f);
    RUN_UNTIL(&f, f.handled == 1);
    assert_int_equal(uv_fileno((uv_handle_t *)&c.tcp, &fd), 0);
    while ((n = recv(fd, bytes, sizeof(bytes), 0)) > 0)
        continue;
    assert_int_equal(n, -1);
    assert_int_equal(errno, ECONNRESET);
    client_close(&c, &f);
    fixture_end(&f);
}

static void closing_the_server_tells_handlers_and_ends_connections(void **state)
{
    struct fixture f;
    struct client idle = {
        .send = GET("/echo"), .send_len = strlen(GET("/echo")), .until = "GET /echo"};
    struct client held = {.send = GET("/hold"), .send_len = strlen(GET("/hold"))};

    (void)state;
    fixture_init(&f, NULL);
    client_open(&idle, &f);
    RUN_UNTIL(&f, idle.done);
    idle.done = false;
    client_open(&held, &f);
    RUN_UNTIL(&f, f.handled == 2);
    serve_close(f.serve);
    RUN_UNTIL(&f, idle.done && held.done);
    assert_int_equal(f.gone, 1);
    f.serve = NULL;
    client_close(&idle, &f);
    client_close(&held, &f);
    fixture_end(&f);
}

static void a_port_in_use_is_named(void **state)
{
    struct fixture f;
    struct serve *second = NULL;
    struct error error = {0};
    char want[64];

    (void)state;
    fixture_init(&f, NULL);
    struct serve_options o = {
        .host = "127.0.0.1", .port = serve_port(f.serve), .handler = on_request};
    assert_int_equal(serve_start(&f.loop, &o, &second, &error), UV_EADDRINUSE);
    snprintf(want, sizeof(want), "cannot listen on 127.0.0.1:%u: ", (unsigned)o.port);
    assert_true(str_starts_with(str_from(error.message), str_from(want)));
    assert_null(second);
    o.host = "localhost";
    assert_int_equal(serve_start(&f.loop, &o, &second, &error), -EINVAL);
    fixture_end(&f);
}

static void two_servers_share_a_port_when_asked(void **state)
{
    struct fixture f;
    struct serve *second = NULL;
    struct error error = {0};
    static const struct serve_options shared = {.reuseport = true};

    (void)state;
    fixture_init(&f, &shared);
    struct serve_options o = {.host = "127.0.0.1",
                              .port = serve_port(f.serve),
                              .reuseport = true,
                              .handler = on_request,
                              .arg = &f};
    assert_int_equal(serve_start(&f.loop, &o, &second, &error), 0);
    assert_int_equal(serve_port(second), o.port);
    serve_close(second);
    fixture_end(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_gets_the_answer_its_bytes_ask_for),
        cmocka_unit_test(a_half_closing_client_is_still_answered),
        cmocka_unit_test(a_request_may_arrive_in_any_two_pieces),
        cmocka_unit_test(what_is_malformed_is_refused_and_the_connection_closed),
        cmocka_unit_test(what_never_ends_is_cut_with_431),
        cmocka_unit_test(a_whole_body_at_the_limit_is_taken),
        cmocka_unit_test(a_client_that_waits_for_100_continue_gets_it),
        cmocka_unit_test(a_request_that_does_not_arrive_is_answered_408),
        cmocka_unit_test(an_idle_connection_is_closed_without_a_word),
        cmocka_unit_test(a_connection_too_many_is_closed_at_once),
        cmocka_unit_test(a_large_answer_reaches_a_client_that_reads_late),
        cmocka_unit_test(a_stream_nobody_reads_is_dropped),
        cmocka_unit_test(a_handler_is_told_when_its_client_goes),
        cmocka_unit_test(an_answer_to_a_client_that_went_is_dropped),
        cmocka_unit_test(an_abort_with_reset_is_seen_as_one),
        cmocka_unit_test(closing_the_server_tells_handlers_and_ends_connections),
        cmocka_unit_test(a_port_in_use_is_named),
        cmocka_unit_test(two_servers_share_a_port_when_asked),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
