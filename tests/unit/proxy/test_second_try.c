/* What happens to a request whose first attempt fails, finds no room, or is taken back: who answers
 * it, how often it is sent, and what is charged to whom.
 */
#include "tests/unit/proxy/fixture.h"

static void test_canary_500_is_answered_by_stable(void **state)
{
    struct fixture *f = with_canary("");
    (void)state;

    client_send(f, GET);
    other_accept(f);
    assert_starts(take(f, f->other), "GET /x");
    other_send(f, ERROR_500);
    upstream_accept(f);
    assert_starts(take(f, f->upstream), "GET /x");
    upstream_send(f, OK_FROM_STABLE);
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 200 OK\r\n");
    assert_has(down, "x-sluice-version: 1\r\n");
    assert_counted(f, VARIANT_CANARY, OUTCOME_5XX, RESULT_SHIELDED);
    /* The canary's connection was left in order and serves again. */
    client_send(f, GET);
    assert_true(nobody_connects(f->other_listener));
    assert_starts(take(f, f->other), "GET /x");
    end(f);
}

static void test_safe_shield_never_sends_a_post_twice(void **state)
{
    struct fixture *f = with_canary("");
    (void)state;

    client_send(f, POST "abcd");
    other_accept(f);
    take(f, f->other);
    other_send(f, ERROR_500);
    assert_starts(take(f, f->client), "HTTP/1.1 500 Oops");
    assert_true(nobody_connects(f->upstream_listener));
    assert_counted(f, VARIANT_CANARY, OUTCOME_5XX, OUTCOME_5XX);
    end(f);
}

static void test_safe_shield_sends_a_post_that_nobody_got(void **state)
{
    struct fixture *f = with_canary("");
    (void)state;

    close(f->other_listener); /* the canary refuses connections */
    f->other_listener = socket(AF_INET, SOCK_STREAM, 0);
    client_send(f, POST "ab");
    upstream_accept(f);
    assert_string_equal(body_of(take(f, f->upstream)), "ab");
    client_send(f, "cd");
    assert_string_equal(take(f, f->upstream), "cd");
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
    assert_counted(f, VARIANT_CANARY, OUTCOME_CONNECT, RESULT_SHIELDED);
    end(f);
}

static void test_shield_all_replays_a_post(void **state)
{
    struct fixture *f = with_canary("shield: all\n");
    (void)state;

    client_send(f, "POST /x HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
    other_accept(f);
    take(f, f->other);
    client_send(f, "2\r\nde\r\n");
    assert_string_equal(take(f, f->other), "2\r\nde\r\n");
    close(f->other); /* it dies with a part of the request */
    f->other = -1;
    settle(f);
    upstream_accept(f);
    assert_string_equal(body_of(take(f, f->upstream)), "3\r\nabc\r\n2\r\nde\r\n");
    client_send(f, "0\r\n\r\n");
    assert_string_equal(take(f, f->upstream), "0\r\n\r\n");
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
    assert_counted(f, VARIANT_CANARY, OUTCOME_RESET, RESULT_SHIELDED);
    assert_int_equal(f->shared.replay.held, 0);
    end(f);
}

static void test_what_is_too_long_to_hold_is_sent_once(void **state)
{
    struct fixture *f = with_canary("shield: all\n");
    (void)state;

    f->shared.replay.bytes = 3;
    client_send(f, POST "abcd");
    other_accept(f);
    take(f, f->other);
    other_send(f, ERROR_500);
    assert_starts(take(f, f->client), "HTTP/1.1 500 Oops");
    assert_int_equal(f->worker->stats.unshielded, 1);
    assert_int_equal(f->shared.replay.held, 0);
    end(f);
}

static void test_shield_off_passes_the_failure_on(void **state)
{
    struct fixture *f = with_canary("shield: off\n");
    (void)state;

    client_send(f, GET);
    other_accept(f);
    take(f, f->other);
    other_send(f, ERROR_500);
    assert_starts(take(f, f->client), "HTTP/1.1 500 Oops");
    assert_true(nobody_connects(f->upstream_listener));
    end(f);
}

static void test_nothing_is_shielded_after_the_first_byte(void **state)
{
    struct fixture *f = with_canary("shield: all\n");
    (void)state;

    client_send(f, GET);
    other_accept(f);
    take(f, f->other);
    other_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel");
    close(f->other);
    f->other = -1;
    settle(f);
    assert_true(nobody_connects(f->upstream_listener));
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 200 OK");
    assert_has(down, "<reset>");
    assert_counted(f, VARIANT_CANARY, OUTCOME_TRUNCATED, OUTCOME_TRUNCATED);
    end(f);
}

static void test_a_canary_that_hangs_is_shielded_in_time(void **state)
{
    struct fixture *f =
        with_canary("upstream: {first_byte_timeout: 5s, idle_timeout: 8s, total_timeout: 8s}\n");
    (void)state;

    client_send(f, GET);
    other_accept(f);
    pass_time(f, 6 * NS_PER_SEC);
    upstream_accept(f);
    assert_has(take(f, f->other), "<eof>"); /* the canary's model stops working for nobody */
    take(f, f->upstream);
    pass_time(f, 3 * NS_PER_SEC); /* stable has only what is left of the request's time */
    assert_starts(take(f, f->client), "HTTP/1.1 504");
    assert_counted(f, VARIANT_CANARY, OUTCOME_TIMEOUT, OUTCOME_TIMEOUT);
    end(f);
}

static void test_the_failure_is_passed_on_when_stable_has_no_room(void **state)
{
    struct fixture *f = with_canary("upstream: {max_requests: 1}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1)); /* stable's only slot */
    client_send(f, GET);
    other_accept(f);
    take(f, f->other);
    other_send(f, ERROR_500);
    assert_starts(take(f, f->client), "HTTP/1.1 500 Oops");
    slots_give(f->shared.slots, 0);
    end(f);
}

static void test_a_retry_goes_to_the_other_endpoint(void **state)
{
    struct fixture *f = fixture_new(TWO_ENDPOINTS, "");
    (void)state;

    client_send(f, GET);
    /* Whichever was drawn fails; the other answers. */
    int first = accept4(f->upstream_listener, NULL, NULL, SOCK_NONBLOCK);
    bool upstream_was_first = first >= 0;
    if (!upstream_was_first)
        first = accept4(f->other_listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(first >= 0);
    take(f, first);
    close(first);
    settle(f);
    int second = accept4(upstream_was_first ? f->other_listener : f->upstream_listener, NULL, NULL,
                         SOCK_NONBLOCK);
    assert_true(second >= 0);
    assert_starts(take(f, second), "GET /x");
    put(second, OK_FROM_STABLE);
    settle(f);
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
    assert_outcome(f, OUTCOME_RESET, OUTCOME_OK); /* the first attempt is the evidence */
    close(second);
    end(f);
}

static void test_a_retry_needs_budget(void **state)
{
    struct fixture *f = fixture_new(TWO_ENDPOINTS, "upstream: {retries: {max: 1, budget: 0%}}\n");
    (void)state;

    client_send(f, GET);
    int first = accept4(f->upstream_listener, NULL, NULL, SOCK_NONBLOCK);
    if (first < 0)
        first = accept4(f->other_listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(first >= 0);
    close(first);
    settle(f);
    assert_starts(take(f, f->client), "HTTP/1.1 502");
    assert_int_equal(f->worker->stats.retries_denied, 1);
    end(f);
}

static void test_a_withdrawn_canary_keeps_its_requests_for_a_while(void **state)
{
    struct fixture *f = with_canary("on_rollback: {drain: 30s}\n");
    (void)state;

    client_send(f, POST "abcd");
    other_accept(f);
    take(f, f->other);
    other_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhel");
    assert_has(take(f, f->client), "hel");
    assert_true(weight_set(&f->weight, 2, 0));
    pass_time(f, NS_PER_SEC);
    pass_time(f, 28 * NS_PER_SEC);
    other_send(f, "l");
    assert_string_equal(take(f, f->client), "l"); /* it drains */
    pass_time(f, 3 * NS_PER_SEC);
    assert_string_equal(take(f, f->client), "<reset>");
    struct recorder_totals t;
    recorder_totals(f->shared.recorder, 0, &t);
    assert_int_equal(t.variants[VARIANT_CANARY].voided, 1);
    assert_int_equal(t.results[RESULT_CUT], 1);
    end(f);
}

static void test_a_cut_canary_hands_over_what_can_be_sent_again(void **state)
{
    struct fixture *f = with_canary("on_rollback: cut\n");
    (void)state;

    client_send(f, GET);
    other_accept(f);
    take(f, f->other);
    assert_true(weight_set(&f->weight, 2, 0));
    pass_time(f, 100 * NS_PER_MS);
    upstream_accept(f);
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
    struct recorder_totals t;
    recorder_totals(f->shared.recorder, 0, &t);
    assert_int_equal(t.variants[VARIANT_CANARY].voided, 1);
    end(f);
}

static void test_a_cut_post_is_answered_503(void **state)
{
    struct fixture *f = with_canary("on_rollback: cut\n");
    (void)state;

    client_send(f, POST "abcd");
    other_accept(f);
    take(f, f->other);
    assert_true(weight_set(&f->weight, 2, 0));
    pass_time(f, 100 * NS_PER_MS);
    assert_starts(take(f, f->client), "HTTP/1.1 503");
    assert_true(nobody_connects(f->upstream_listener));
    end(f);
}

static void test_a_crash_at_work_is_the_versions(void **state)
{
    struct fixture *f = fixture_new(ONE_ENDPOINT, "upstream: {retries: {max: 0}}\n");
    (void)state;

    for (int i = 0; i < 2;
         i++) { /* warm, or cold and only after a while: not a race with idleness */
        client_send(f, GET);
        upstream_accept(f);
        take(f, f->upstream);
        upstream_send(f, OK_FROM_STABLE);
        take(f, f->client);
        pass_time(f, i * 2 * NS_PER_SEC);
        client_send(f, GET);
        assert_starts(take(f, f->upstream), "GET");
        pass_time(f, i * 2 * NS_PER_SEC);
        close(f->upstream);
        f->upstream = -1;
        settle(f);
        upstream_accept(f); /* the client does not suffer */
        upstream_send(f, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok");
        assert_starts(take(f, f->client), "HTTP/1.1 200");
    }
    struct recorder_totals t;
    recorder_totals(f->shared.recorder, 0, &t);
    assert_int_equal(t.variants[VARIANT_STABLE].outcomes[OUTCOME_RESET], 2);
    assert_int_equal(t.results[OUTCOME_OK], 4);
    end(f);
}

static void test_an_answer_that_breaks_before_its_first_byte_is_shielded(void **state)
{
    struct fixture *f = with_canary("");
    (void)state;

    client_send(f, GET);
    other_accept(f);
    take(f, f->other);
    other_send(f, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n");
    upstream_accept(f);
    upstream_send(f, OK_FROM_STABLE);
    const char *down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 200 OK");
    assert_string_equal(body_of(down), "stable");
    assert_counted(f, VARIANT_CANARY, OUTCOME_MALFORMED, RESULT_SHIELDED);
    end(f);
}

static void test_an_upgrade_can_be_shielded(void **state)
{
    struct fixture *f = with_canary("");
    (void)state;

    client_send(f, "GET /ws HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
                   "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n");
    other_accept(f);
    take(f, f->other);
    other_send(f, ERROR_500);
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n");
    assert_starts(take(f, f->client), "HTTP/1.1 101");
    reset(f->client);
    f->client = -1;
    settle(f);
    assert_counted(f, VARIANT_CANARY, OUTCOME_5XX, RESULT_SHIELDED);
    end(f);
}

static void test_only_a_canarys_request_goes_unshielded(void **state)
{
    struct fixture *f = fixture_new(ONE_ENDPOINT, "");
    (void)state;

    f->shared.replay.bytes = 3;
    client_send(f, "PUT /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\nabcd");
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, OK_FROM_STABLE);
    take(f, f->client);
    assert_int_equal(f->worker->stats.unshielded, 0);
    end(f);
}

static void stale_connection(const char *policy, bool sent_again)
{
    struct fixture *f = fixture_new(
        "rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\"]}\n", policy);
    struct recorder_totals t;

    client_send(f, POST "abcd");
    upstream_accept(f);
    take(f, f->upstream);
    upstream_send(f, OK_FROM_STABLE);
    take(f, f->client);
    pass_time(f, 2 * NS_PER_SEC);
    client_send(f, POST "wxyz"); /* over the kept connection, which the endpoint closes just now */
    close(f->upstream);
    f->upstream = -1;
    settle(f);
    recorder_totals(f->shared.recorder, 0, &t);
    if (sent_again) {
        upstream_accept(f);
        assert_string_equal(body_of(take(f, f->upstream)), "wxyz");
        upstream_send(f, OK_FROM_STABLE);
        assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
        assert_int_equal(t.variants[VARIANT_STABLE].outcomes[OUTCOME_RESET], 0);
        assert_int_equal(t.variants[VARIANT_STABLE].retries, 0); /* the same attempt */
    } else {
        assert_true(nobody_connects(f->upstream_listener));
        assert_starts(take(f, f->client), "HTTP/1.1 502");
        assert_int_equal(t.variants[VARIANT_STABLE].outcomes[OUTCOME_RESET], 1);
    }
    end(f);
}

static void test_a_post_on_a_stale_connection_is_not_repeated(void **state)
{
    (void)state;
    stale_connection("", false);
}

static void test_a_post_on_a_stale_connection_is_repeated_when_it_may(void **state)
{
    (void)state;
    stale_connection("shield: all\n", true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_canary_500_is_answered_by_stable),
        cmocka_unit_test(test_safe_shield_never_sends_a_post_twice),
        cmocka_unit_test(test_safe_shield_sends_a_post_that_nobody_got),
        cmocka_unit_test(test_shield_all_replays_a_post),
        cmocka_unit_test(test_what_is_too_long_to_hold_is_sent_once),
        cmocka_unit_test(test_shield_off_passes_the_failure_on),
        cmocka_unit_test(test_nothing_is_shielded_after_the_first_byte),
        cmocka_unit_test(test_a_canary_that_hangs_is_shielded_in_time),
        cmocka_unit_test(test_the_failure_is_passed_on_when_stable_has_no_room),
        cmocka_unit_test(test_a_retry_goes_to_the_other_endpoint),
        cmocka_unit_test(test_a_retry_needs_budget),
        cmocka_unit_test(test_a_withdrawn_canary_keeps_its_requests_for_a_while),
        cmocka_unit_test(test_a_cut_canary_hands_over_what_can_be_sent_again),
        cmocka_unit_test(test_a_cut_post_is_answered_503),
        cmocka_unit_test(test_a_crash_at_work_is_the_versions),
        cmocka_unit_test(test_an_answer_that_breaks_before_its_first_byte_is_shielded),
        cmocka_unit_test(test_an_upgrade_can_be_shielded),
        cmocka_unit_test(test_only_a_canarys_request_goes_unshielded),
        cmocka_unit_test(test_a_post_on_a_stale_connection_is_not_repeated),
        cmocka_unit_test(test_a_post_on_a_stale_connection_is_repeated_when_it_may),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
