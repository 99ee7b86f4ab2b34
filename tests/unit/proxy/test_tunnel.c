/* An upgrade end to end: what is asked, what is refused, and how the two sides end. */
#include "tests/unit/proxy/fixture.h"

#define UPGRADE                                                                                    \
    "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"                 \
    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
#define SWITCHED                                                                                   \
    "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"

static int setup(void **state)
{
    *state =
        fixture_new("rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\"]}\n",
                    "upstream: {idle_timeout: 20s, total_timeout: 60s, tunnel_timeout: 5m}\n");
    return 0;
}

static void open_tunnel(struct fixture *f)
{
    client_send(f, UPGRADE);
    upstream_accept(f);
    const char *up = take(f, f->upstream);
    assert_has(up, "Connection: Upgrade\r\n");
    assert_has(up, "Upgrade: websocket\r\n");
    upstream_send(f, SWITCHED "early");
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 101 Switching Protocols\r\n");
    assert_has(down, "Upgrade: websocket\r\n");
    assert_string_equal(body_of(down), "early");
}

static void test_bytes_pass_both_ways(void **state)
{
    struct fixture *f = *state;

    open_tunnel(f);
    assert_outcome(f, OUTCOME_OK, RESULT_KIND_COUNT); /* settled; what the client got is not over */
    client_send(f, "GET / not http any more\r\n\r\n");
    assert_string_equal(take(f, f->upstream), "GET / not http any more\r\n\r\n");
    upstream_send(f, "\x81\x05hello");
    assert_string_equal(take(f, f->client), "\x81\x05hello");
    pass_time(f, 100 * NS_PER_SEC); /* longer than a request may take */
    client_send(f, "x");
    assert_string_equal(take(f, f->upstream), "x");
}

static void test_a_half_close_is_passed_on(void **state)
{
    struct fixture *f = *state;

    open_tunnel(f);
    assert_int_equal(shutdown(f->client, SHUT_WR), 0);
    assert_string_equal(take(f, f->upstream), "<eof>");
    upstream_send(f, "bye");
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    assert_string_equal(take(f, f->client), "bye<eof>");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_the_endpoint_may_close_first(void **state)
{
    struct fixture *f = *state;

    open_tunnel(f);
    upstream_send(f, "bye");
    assert_int_equal(shutdown(f->upstream, SHUT_WR), 0);
    assert_string_equal(take(f, f->client), "bye<eof>");
    client_send(f, "late");
    assert_string_equal(take(f, f->upstream), "late");
    close(f->client);
    f->client = -1;
    assert_string_equal(take(f, f->upstream), "<eof>");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_a_reset_breaks_the_other_side(void **state)
{
    struct fixture *f = *state;

    open_tunnel(f);
    reset(f->upstream);
    f->upstream = -1;
    settle(f);
    assert_string_equal(take(f, f->client), "<reset>");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK); /* it was accepted; its end is nobody's failure */
}

static void test_silence_ends_it(void **state)
{
    struct fixture *f = *state;

    open_tunnel(f);
    pass_time(f, 301 * NS_PER_SEC);
    assert_string_equal(take(f, f->client), "<eof>");
    assert_string_equal(take(f, f->upstream), "<eof>");
}

static void test_a_refused_upgrade_is_an_answer(void **state)
{
    struct fixture *f = *state;

    client_send(f, UPGRADE);
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "HTTP/1.1 400 Bad Request\r\nContent-Length: 2\r\n\r\nno");
    assert_has(take(f, f->client), "\r\n\r\nno");
    client_send(f, GET); /* and the connection speaks HTTP on */
    assert_starts(take(f, f->upstream), "GET /x HTTP/1.1\r\n");
}

static void test_a_switch_nobody_asked_for(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, SWITCHED);
    assert_starts(take(f, f->client), "HTTP/1.1 502");
    assert_outcome(f, OUTCOME_MALFORMED, OUTCOME_MALFORMED);
}

static void test_http2_is_not_asked_for(void **state)
{
    struct fixture *f = *state;

    client_send(f, "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\n"
                   "Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA\r\n\r\n");
    upstream_accept(f);
    const char *up = take(f, f->upstream);
    assert_null(strstr(up, "Upgrade"));
    assert_null(strstr(up, "HTTP2-Settings"));
}

static void test_a_slow_side_stops_the_other(void **state)
{
    struct fixture *f = *state;
    static char block[64 * 1024];
    size_t sent = 0;
    int stuck = 0;

    open_tunnel(f);
    while (stuck < 20) {
        ssize_t n = write(f->upstream, block, sizeof(block));
        if (n > 0)
            sent += (size_t)n;
        else
            stuck++;
        settle(f);
        assert_true(sent < 64 * 1024 * 1024);
    }
    size_t received = 0;
    for (int quiet = 0; quiet < 20;) {
        ssize_t n = read(f->client, block, sizeof(block));
        if (n > 0)
            received += (size_t)n;
        quiet = n > 0 ? 0 : quiet + 1;
        settle(f);
    }
    assert_int_equal(received, sent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_bytes_pass_both_ways, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_half_close_is_passed_on, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_endpoint_may_close_first, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_reset_breaks_the_other_side, setup, teardown),
        cmocka_unit_test_setup_teardown(test_silence_ends_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_refused_upgrade_is_an_answer, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_switch_nobody_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_http2_is_not_asked_for, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_slow_side_stops_the_other, setup, teardown),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
