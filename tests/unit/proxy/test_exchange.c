/* Every way a request can go between one client and one endpoint, and what is recorded of it. */
#include "tests/unit/proxy/fixture.h"

static int setup(void **state)
{
    *state =
        fixture_new("rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\"]}\n",
                    "upstream: {connect_timeout: 1s, first_byte_timeout: 10s, "
                    "idle_timeout: 20s, total_timeout: 60s}\n");
    return 0;
}

static void test_request_and_response(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "ab");
    upstream_accept(f);
    const char *up = take(f, f->upstream);
    assert_starts(up, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n");
    assert_has(up, "X-Forwarded-For: 127.0.0.1\r\n");
    assert_string_equal(body_of(up), "ab");
    client_send(f, "cd");
    assert_string_equal(take(f, f->upstream), "cd");
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nhel");
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 200 OK\r\n");
    assert_has(down, "x-sluice-version: 1\r\n");
    assert_string_equal(body_of(down), "hel"); /* the first bytes do not wait for the last */
    upstream_send(f, "lo\n");
    assert_string_equal(take(f, f->client), "lo\n");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_keep_alive_on_both_sides(void **state)
{
    struct fixture *f = *state;

    for (int i = 0; i < 3; i++) {
        client_send(f, GET);
        if (i == 0)
            upstream_accept(f); /* one connection serves all three */
        assert_starts(take(f, f->upstream), "GET /x");
        upstream_send(f, "HTTP/1.1 204 No Content\r\n\r\n");
        assert_starts(take(f, f->client), "HTTP/1.1 204");
    }
    assert_int_equal(accept4(f->upstream_listener, NULL, NULL, SOCK_NONBLOCK), -1);
}

static void test_head_in_single_bytes(void **state)
{
    struct fixture *f = *state;

    for (const char *p = GET; *p != '\0'; p++)
        client_send(f, (char[]){*p, '\0'});
    upstream_accept(f);
    assert_starts(take(f, f->upstream), "GET /x");
    for (const char *p = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"; *p != '\0'; p++)
        upstream_send(f, (char[]){*p, '\0'});
    assert_string_equal(body_of(take(f, f->client)), "ok");
}

static void test_pipelined_in_order(void **state)
{
    struct fixture *f = *state;

    client_send(f, "GET /1 HTTP/1.1\r\nHost: h\r\n\r\nGET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
    upstream_accept(f);
    const char *up = take(f, f->upstream);
    assert_starts(up, "GET /1");
    assert_null(strstr(up, "GET /2")); /* one at a time */
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    assert_starts(take(f, f->upstream), "GET /2");
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    const char *down = take(f, f->client);
    assert_true(strstr(down, "\r\n\r\n1HTTP") != NULL);
    assert_string_equal(down + strlen(down) - 5, "\r\n\r\n2");
}

static void test_chunked_both_ways(void **state)
{
    struct fixture *f = *state;

    client_send(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
                   "3;ext=1\r\nabc\r\n");
    upstream_accept(f);
    const char *up = take(f, f->upstream);
    assert_has(up, "Transfer-Encoding: chunked\r\n");
    assert_string_equal(body_of(up), "3\r\nabc\r\n");
    client_send(f, "1\r\nd\r\n1\r\ne\r\n0\r\n\r\n");
    assert_string_equal(take(f, f->upstream), "2\r\nde\r\n0\r\n\r\n");
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    assert_string_equal(body_of(take(f, f->client)), "2\r\nhi\r\n");
    upstream_send(f, "0\r\nx-trailer: 1\r\n\r\n");
    assert_string_equal(take(f, f->client), "0\r\n\r\n");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_close_delimited_becomes_chunked(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    take(f, f->upstream); /* unread bytes would make its close a reset */
    upstream_send(f, "HTTP/1.1 200 OK\r\n\r\nabc");
    assert_string_equal(body_of(take(f, f->client)), "3\r\nabc\r\n");
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    assert_string_equal(take(f, f->client), "0\r\n\r\n"); /* and the client may ask again */
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_http10_client_gets_plain_bytes_and_a_close(void **state)
{
    struct fixture *f = *state;

    client_send(f, "GET /x HTTP/1.0\r\n\r\n");
    upstream_accept(f);
    assert_has(take(f, f->upstream), "Host: 127.0.0.1:");
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    const char *down = take(f, f->client);
    assert_has(down, "Connection: close\r\n");
    assert_string_equal(body_of(down), "hi<eof>");
}

static void test_head_request_has_no_body(void **state)
{
    struct fixture *f = *state;

    client_send(f, "HEAD /x HTTP/1.1\r\nHost: h\r\n\r\n");
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n");
    const char *down = take(f, f->client);
    assert_has(down, "Content-Length: 5\r\n");
    assert_string_equal(body_of(down), "");
    client_send(f, GET); /* and the connections go on */
    assert_has(take(f, f->upstream), "GET /x");
}

static void test_interim_answers_pass(void **state)
{
    struct fixture *f = *state;

    client_send(f,
                "POST / HTTP/1.1\r\nHost: h\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n");
    upstream_accept(f);
    assert_has(take(f, f->upstream), "Expect: 100-continue\r\n");
    upstream_send(f, "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    assert_string_equal(take(f, f->client), "HTTP/1.1 100 Continue\r\n\r\n"
                                            "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\n\r\n");
    client_send(f, "ab");
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK\r\n");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_early_answer_while_the_body_flows(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "a");
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 413 Too Large\r\nContent-Length: 2\r\n\r\nno");
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 413");
    assert_has(down, "Connection: close\r\n");
    assert_string_equal(body_of(down), "no<eof>");
    client_send(f, "bcd"); /* what still comes is dropped and never read as a request */
    assert_outcome(f, OUTCOME_4XX, OUTCOME_4XX);
}

static void test_statuses_are_outcomes(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n");
    assert_starts(take(f, f->client), "HTTP/1.1 503 Busy");
    assert_outcome(f, OUTCOME_5XX, OUTCOME_5XX);
}

static void test_closed_before_an_answer(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "abcd");
    upstream_accept(f);
    take(f, f->upstream);
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 502 Bad Gateway\r\n");
    assert_has(down, "\"code\": \"upstream_reset\"");
    assert_outcome(f, OUTCOME_RESET, OUTCOME_RESET);
    client_send(f, GET); /* the client's connection is still good */
    upstream_accept(f);
    assert_has(take(f, f->upstream), "GET /x");
}

static void test_truncated_is_visible(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    shutdown(f->upstream, SHUT_WR);
    settle(f);
    const char *down = take(f, f->client);
    assert_null(strstr(down, "0\r\n\r\n"));
    assert_has(down, "<reset>");
    assert_outcome(f, OUTCOME_TRUNCATED, OUTCOME_TRUNCATED);
}

static void test_reset_behind_data_is_not_a_clean_end(void **state)
{
    struct fixture *f = *state;
    struct linger at_once = {.l_onoff = 1};

    client_send(f, GET);
    upstream_accept(f);
    take(f, f->upstream);
    put(f->upstream, "HTTP/1.1 200 OK\r\n\r\nhal"); /* its end would be its close */
    setsockopt(f->upstream, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    const char *down = take(f, f->client);
    assert_null(strstr(down, "0\r\n\r\n"));
    assert_outcome(f, OUTCOME_RESET, OUTCOME_RESET);
}

static void test_not_http(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
    assert_starts(take(f, f->client), "HTTP/1.1 502");
    assert_outcome(f, OUTCOME_MALFORMED, OUTCOME_MALFORMED);
}

static void test_surplus_never_answers_the_next(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\naHTTP/1.1 200 OK\r\n"
                     "Content-Length: 4\r\n\r\nevil");
    assert_string_equal(body_of(take(f, f->client)), "a");
    client_send(f, GET);
    upstream_accept(f); /* a fresh connection */
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood");
    assert_string_equal(body_of(take(f, f->client)), "good");
}

static void test_stale_connection_is_replaced_for_get(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    take(f, f->client);
    take(f, f->upstream);
    /* The request crosses with the endpoint's close: both are under way before the loop turns. */
    put(f->client, GET);
    turn(f);
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nagain");
    assert_string_equal(body_of(take(f, f->client)), "again");
}

static void test_nobody_listens(void **state)
{
    struct fixture *f = *state;

    close(f->upstream_listener);
    f->upstream_listener = -1;
    client_send(f, POST "abcd");
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 502");
    assert_has(down, "connection refused");
    assert_outcome(f, OUTCOME_CONNECT, OUTCOME_CONNECT);
}

static void test_out_of_descriptors_is_nobodys_fault(void **state)
{
    struct fixture *f = *state;

    f->shared.sockets_max = 1; /* the client has it */
    client_send(f, POST "abcd");
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 503");
    assert_has(down, "Retry-After: 1\r\n");
    struct recorder_totals t;
    recorder_totals(f->shared.recorder, 0, &t);
    assert_int_equal(t.variants[VARIANT_STABLE].voided, 1);
    assert_int_equal(t.results[RESULT_OVERLOADED], 1);
    f->shared.sockets_max = 1000;
    close(f->client);
    f->client = connect_client(f);
    client_send(f, GET); /* and when there are descriptors again, it serves again */
    upstream_accept(f);
    assert_has(take(f, f->upstream), "GET /x");
}

static void test_first_byte_timeout(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "abcd");
    upstream_accept(f);
    take(f, f->upstream);
    pass_time(f, 9 * NS_PER_SEC);
    assert_string_equal(take(f, f->client), "");
    pass_time(f, 2 * NS_PER_SEC);
    assert_starts(take(f, f->client), "HTTP/1.1 504");
    assert_string_equal(take(f, f->upstream), "<eof>"); /* the model stops working for nobody */
    assert_outcome(f, OUTCOME_TIMEOUT, OUTCOME_TIMEOUT);
}

static void test_silence_inside_a_stream(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    pass_time(f, 21 * NS_PER_SEC);
    assert_has(take(f, f->client), "<reset>");
    assert_outcome(f, OUTCOME_STALLED, OUTCOME_STALLED);
}

static void test_total_timeout(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    for (int i = 0; i < 6; i++) {
        pass_time(f, 10 * NS_PER_SEC);
        upstream_send(f, "1\r\nx\r\n");
    }
    pass_time(f, NS_PER_SEC);
    assert_has(take(f, f->client), "<reset>");
    assert_outcome(f, OUTCOME_TIMEOUT, OUTCOME_TIMEOUT);
}

static void test_body_that_does_not_come(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "a");
    upstream_accept(f);
    pass_time(f, 21 * NS_PER_SEC);
    assert_starts(take(f, f->client), "HTTP/1.1 408");
    assert_outcome(f, OUTCOME_CLIENT_ABORT, RESULT_REJECTED); /* not the endpoint's fault */
}

static void test_upload_that_stops_after_an_early_answer(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "a");
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    pass_time(f, 21 * NS_PER_SEC);
    assert_has(take(f, f->client), "<reset>");
    assert_outcome(f, OUTCOME_CLIENT_ABORT, OUTCOME_CLIENT_ABORT); /* it waited for the client */
}

static void test_body_that_dribbles_past_the_total(void **state)
{
    struct fixture *f = *state;

    client_send(f, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n");
    upstream_accept(f);
    for (int i = 0; i < 6; i++) {
        pass_time(f, 10 * NS_PER_SEC);
        client_send(f, "a");
    }
    pass_time(f, NS_PER_SEC);
    assert_starts(take(f, f->client), "HTTP/1.1 408");
    assert_outcome(f, OUTCOME_CLIENT_ABORT, RESULT_REJECTED);
}

static void test_endpoint_gives_up_on_a_slow_body(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "a");
    upstream_accept(f);
    take(f, f->upstream);
    pass_time(f, 5 * NS_PER_SEC);
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    assert_starts(take(f, f->client), "HTTP/1.1 408");
    assert_outcome(f, OUTCOME_CLIENT_ABORT, RESULT_REJECTED);
}

static void test_pipelined_request_whose_body_comes_later(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET "POST /2 HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n12345");
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
    assert_has(take(f, f->upstream), "12345");
    client_send(f, "67890"); /* must be read, though reading was paused for the first answer */
    assert_string_equal(take(f, f->upstream), "67890");
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n2");
    assert_has(take(f, f->client), "\r\n\r\n2");
}

static void test_close_that_was_announced_is_kept(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "a");
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n"); /* before the body came */
    assert_has(take(f, f->client), "Connection: close\r\n");
    client_send(f, "bcd" GET);
    upstream_send(f, "ok");
    assert_string_equal(take(f, f->client), "ok<eof>");
    assert_null(strstr(take(f, f->upstream), "GET")); /* nothing after `close` is served */
}

static void test_half_close_after_a_long_upload(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "ab");
    upstream_accept(f);
    fake_clock_advance(&f->clock, 3 * NS_PER_SEC);
    put(f->client, "cd");
    shutdown(f->client, SHUT_WR);
    settle(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_string_equal(body_of(take(f, f->client)), "ok<eof>");
}

static void test_reset_after_a_half_close_frees_the_endpoint(void **state)
{
    struct fixture *f = *state;
    struct linger at_once = {.l_onoff = 1};

    put(f->client, GET);
    shutdown(f->client, SHUT_WR);
    settle(f);
    upstream_accept(f);
    take(f, f->upstream);
    setsockopt(f->client, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close(f->client);
    f->client = -1;
    settle(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n");
    upstream_send(f, "1\r\nx\r\n");
    const char *up = take(f, f->upstream);
    assert_true(strstr(up, "<eof>") != NULL || strstr(up, "<reset>") != NULL);
    assert_outcome(f, OUTCOME_CLIENT_ABORT, OUTCOME_CLIENT_ABORT);
}

static void test_broken_coding_right_behind_the_head(void **state)
{
    struct fixture *f = *state;

    client_send(f, GET);
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    assert_starts(take(f, f->client), "HTTP/1.1 502"); /* nothing was sent yet: say so */
    assert_outcome(f, OUTCOME_MALFORMED, OUTCOME_MALFORMED);
}

static void test_head_that_cannot_be_sent_on_whole(void **state)
{
    struct fixture *f = *state;
    static char big[200 * 1024];

    /* A configuration may allow more than the buffers were made for: never a part of a head. */
    f->worker->shared->config = f->config;
    f->config->limits.head_bytes = 1024 * 1024;
    client_send(f, GET);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 204 No Content\r\n\r\n");
    take(f, f->client);
    strcpy(big, "POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\nX: ");
    memset(big + strlen(big), 'x', 180 * 1024);
    strcat(big, "\r\n\r\nabcd");
    take(f, f->upstream);
    client_send(f, big);
    assert_starts(take(f, f->client), "HTTP/1.1 431");
    assert_string_equal(take(f, f->upstream), ""); /* nothing of it was sent */
}

static void test_head_that_does_not_come(void **state)
{
    struct fixture *f = *state;

    client_send(f, "GET / HT");
    pass_time(f, 11 * NS_PER_SEC);
    assert_starts(take(f, f->client), "HTTP/1.1 408");
}

static void test_idle_connection_ends(void **state)
{
    struct fixture *f = *state;

    pass_time(f, 74 * NS_PER_SEC);
    assert_string_equal(take(f, f->client), "");
    pass_time(f, 2 * NS_PER_SEC);
    assert_string_equal(take(f, f->client), "<eof>");
}

static void test_client_that_goes_away(void **state)
{
    struct fixture *f = *state;

    client_send(f, POST "abcd");
    upstream_accept(f);
    take(f, f->upstream);
    fake_clock_advance(&f->clock, NS_PER_SEC);
    close(f->client);
    f->client = -1;
    settle(f);
    assert_string_equal(take(f, f->upstream), "<eof>");
    assert_outcome(f, OUTCOME_CLIENT_ABORT, OUTCOME_CLIENT_ABORT);
}

static void test_half_close_is_answered(void **state)
{
    struct fixture *f = *state;

    put(f->client, GET);
    shutdown(f->client, SHUT_WR);
    settle(f);
    upstream_accept(f);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_string_equal(body_of(take(f, f->client)), "ok<eof>");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

static void test_refusals_close(void **state)
{
    static const struct {
        const char *sent, *status;
    } rows[] = {
        {"GET / HTTP/1.1\nHost: h\n\n", "HTTP/1.1 400 "},
        {"GET / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n",
         "HTTP/1.1 400 "},
        {"GET / HTTP/3.0\r\n\r\n", "HTTP/1.1 505 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip\r\n\r\n", "HTTP/1.1 501 "},
        {"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9999999\r\n\r\n", "HTTP/1.1 413 "},
        {"\x16\x03\x01\x02\r\n\r\n", "HTTP/1.1 400 "},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        client_send(f, rows[i].sent);
        const char *down = take(f, f->client);
        assert_starts(down, rows[i].status);
        assert_has(down, "{\"error\": {\"code\": ");
        assert_has(down, "<eof>");
        close(f->client);
        f->client = connect_client(f);
    }
    assert_int_equal(accept4(f->upstream_listener, NULL, NULL, SOCK_NONBLOCK), -1);
}

static void test_broken_chunks_are_not_forwarded_whole(void **state)
{
    struct fixture *f = *state;

    client_send(f, "POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    upstream_accept(f);
    take(f, f->upstream);
    client_send(f, "-1\r\n");
    assert_starts(take(f, f->client), "HTTP/1.1 400");
    assert_string_equal(take(f, f->upstream), "<eof>"); /* never completed upstream */
    assert_outcome(f, OUTCOME_CLIENT_ABORT, RESULT_REJECTED);
}

static void test_slow_reader_stops_the_source(void **state)
{
    struct fixture *f = *state;
    static char block[64 * 1024];
    size_t sent = 0, received = 0;
    int stuck = 0;

    client_send(f, GET);
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 52428800\r\n\r\n");
    /* The client reads nothing: after what kernel buffers hold, the endpoint must be stopped. */
    while (stuck < 20) {
        ssize_t n = write(f->upstream, block, sizeof(block));
        if (n > 0)
            sent += (size_t)n;
        stuck = n > 0 ? 0 : stuck + 1;
        settle(f);
    }
    assert_true(sent < 40 * 1024 * 1024);
    /* Then it reads, and everything comes. */
    while (received < 52428800) {
        ssize_t n = read(f->client, block, sizeof(block));
        if (n > 0)
            received += (size_t)n;
        size_t left = 52428800 - sent;
        ssize_t put_now =
            left == 0 ? 0 : write(f->upstream, block, left < sizeof(block) ? left : sizeof(block));
        if (put_now > 0)
            sent += (size_t)put_now;
        turn(f);
    }
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
}

#define T(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

static void test_an_old_client_sees_the_end_of_our_own_answers(void **state)
{
    struct fixture *f = *state;

    client_send(f, "GET /x HTTP/1.0\r\nHost: h\r\nConnection: keep-alive\r\n\r\n");
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "nonsense\r\n\r\n");
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 502");
    assert_has(down, "Connection: close\r\n");
    assert_has(down, "<eof>");
}

static void test_reset_behind_a_refused_request(void **state)
{
    struct fixture *f = *state;

    put(f->client, "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 99999999\r\n\r\nabcdef");
    reset(f->client); /* the 413 cannot be written; what follows the head goes nowhere */
    f->client = -1;
    settle(f);
    assert_int_equal(f->worker->clients, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_request_and_response),
        T(test_keep_alive_on_both_sides),
        T(test_head_in_single_bytes),
        T(test_pipelined_in_order),
        T(test_chunked_both_ways),
        T(test_close_delimited_becomes_chunked),
        T(test_http10_client_gets_plain_bytes_and_a_close),
        T(test_head_request_has_no_body),
        T(test_interim_answers_pass),
        T(test_early_answer_while_the_body_flows),
        T(test_statuses_are_outcomes),
        T(test_closed_before_an_answer),
        T(test_truncated_is_visible),
        T(test_reset_behind_data_is_not_a_clean_end),
        T(test_not_http),
        T(test_surplus_never_answers_the_next),
        T(test_stale_connection_is_replaced_for_get),
        T(test_nobody_listens),
        T(test_out_of_descriptors_is_nobodys_fault),
        T(test_first_byte_timeout),
        T(test_silence_inside_a_stream),
        T(test_total_timeout),
        T(test_body_that_does_not_come),
        T(test_upload_that_stops_after_an_early_answer),
        T(test_body_that_dribbles_past_the_total),
        T(test_endpoint_gives_up_on_a_slow_body),
        T(test_pipelined_request_whose_body_comes_later),
        T(test_close_that_was_announced_is_kept),
        T(test_half_close_after_a_long_upload),
        T(test_reset_after_a_half_close_frees_the_endpoint),
        T(test_broken_coding_right_behind_the_head),
        T(test_head_that_cannot_be_sent_on_whole),
        T(test_head_that_does_not_come),
        T(test_idle_connection_ends),
        T(test_client_that_goes_away),
        T(test_half_close_is_answered),
        T(test_refusals_close),
        T(test_broken_chunks_are_not_forwarded_whole),
        T(test_slow_reader_stops_the_source),
        T(test_an_old_client_sees_the_end_of_our_own_answers),
        T(test_reset_behind_a_refused_request),
    };
    signal(SIGPIPE, SIG_IGN); /* as proxy_start does */
    return cmocka_run_group_tests(tests, NULL, NULL);
}
