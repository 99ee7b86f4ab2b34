/* Requests for which no endpoint has room: who waits, who goes first, who is sent away, and how the
 * time is counted.
 */
#include "tests/unit/proxy/fixture.h"

static void test_a_full_endpoint_is_waited_for(void **state)
{
    struct fixture *f = fixture_new(TWO_ENDPOINTS, "upstream: {max_requests: 1}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1));
    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, POST "abcd");
    assert_true(nobody_connects(f->upstream_listener));
    assert_int_equal(f->worker->stats.queued, 1);
    slots_give(f->shared.slots, 0);
    uv_async_send(&f->worker->wake);
    settle(f);
    upstream_accept(f);
    assert_string_equal(body_of(take(f, f->upstream)), "abcd");
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
    assert_outcome(f, OUTCOME_OK, OUTCOME_OK);
    assert_int_equal(slots_in_flight(f->shared.slots, 0), 0);
    slots_give(f->shared.slots, 1);
    end(f);
}

static void test_the_queue_is_bounded_in_time_and_length(void **state)
{
    struct fixture *f =
        fixture_new(TWO_ENDPOINTS, "upstream: {max_requests: 1, queue: {max: 1, timeout: 2s}}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1));
    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, GET);
    int second = connect_client(f);
    put(second, GET);
    settle(f);
    const char *down = take(f, second);
    assert_starts(down, "HTTP/1.1 503");
    assert_has(down, "queue_full");
    assert_has(down, "Retry-After: 1\r\n");
    pass_time(f, 3 * NS_PER_SEC);
    down = take(f, f->client);
    assert_starts(down, "HTTP/1.1 503");
    assert_has(down, "queue_timeout");
    assert_false(0 < slots_waiting(f->shared.slots, 0));
    close(second);
    slots_give(f->shared.slots, 0);
    slots_give(f->shared.slots, 1);
    end(f);
}

static void test_who_leaves_the_queue_is_forgotten(void **state)
{
    struct fixture *f = fixture_new(TWO_ENDPOINTS, "upstream: {max_requests: 1}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1));
    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, GET);
    pass_time(f, 100 * NS_PER_MS); /* later than a half-close would be */
    close(f->client);
    f->client = -1;
    settle(f);
    assert_false(0 < slots_waiting(f->shared.slots, 0));
    assert_outcome(f, OUTCOME_CLIENT_ABORT, OUTCOME_CLIENT_ABORT);
    slots_give(f->shared.slots, 0);
    slots_give(f->shared.slots, 1);
    end(f);
}

static void test_a_full_canary_is_charged_and_stable_answers(void **state)
{
    struct fixture *f = with_canary("shield: off\nupstream: {max_requests: 1, queue: {max: 0}}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, POST "abcd");
    upstream_accept(f);
    assert_string_equal(body_of(take(f, f->upstream)), "abcd");
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->client), "HTTP/1.1 200 OK");
    assert_counted(f, VARIANT_CANARY, OUTCOME_UNAVAILABLE, RESULT_SHIELDED);
    slots_give(f->shared.slots, 1);
    end(f);
}

static void test_who_waits_goes_first(void **state)
{
    struct fixture *f = fixture_new(ONE_ENDPOINT, "upstream: {max_requests: 1}\n");
    (void)state;

    client_send(f, GET GET); /* the second is on this connection before anybody waits */
    upstream_accept(f);
    assert_starts(take(f, f->upstream), "GET /x");
    int second = connect_client(f);
    put(second, "GET /waited HTTP/1.1\r\nHost: h\r\n\r\n");
    settle(f);
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->upstream), "GET /waited");
    close(second);
    end(f);
}

/* Both workers in turn. */
static void settle_both(struct fixture *f, struct worker *b)
{
    for (int i = 0; i < 8; i++) {
        turn(f);
        uv_run(&b->loop.uv, UV_RUN_NOWAIT);
    }
}

static void test_a_busy_worker_does_not_starve_another(void **state)
{
    struct fixture *f =
        fixture_new(ONE_ENDPOINT, "upstream: {max_requests: 1, queue: {timeout: 10s}}\n");
    uint16_t port = f->port, other_port;
    int turns = 0, between;
    (void)state;

    recorder_free(f->shared.recorder);
    f->shared.recorder = recorder_new(2, &f->set);
    f->worker->shard = recorder_shard(f->shared.recorder, 0);
    int fd = listen_on_loopback(&other_port);
    struct worker *b = worker_new(&f->shared, 1, &fd, 1);
    client_send(f, GET); /* has the slot */
    upstream_accept(f);
    f->port = other_port;
    int waits = connect_client(f);
    f->port = port;
    int second = connect_client(f);
    settle_both(f, b);
    put(waits, GET);
    put(second, GET);
    settle_both(f, b);
    assert_int_equal(slots_waiting(f->shared.slots, 0), 2);
    /* The first worker always has more; its clients ask again as soon as they are answered. */
    for (;; turns++) {
        assert_true(turns < 40);
        upstream_send(f, OK_FROM_STABLE);
        settle_both(f, b);
        between = accept4(f->upstream_listener, NULL, NULL, SOCK_NONBLOCK);
        if (between >= 0)
            break; /* the other worker's connection */
        int served = turns % 2 == 0 ? f->client : second;
        take(f, served);
        put(served, GET);
        settle_both(f, b);
    }
    close(between);
    close(waits);
    close(second);
    close(f->client);
    f->client = -1;
    worker_drain(b, 1);
    for (int i = 0; i < 100 && uv_loop_alive(&b->loop.uv); i++) {
        settle_both(f, b);
        if (!uv_is_closing((uv_handle_t *)&b->sweep))
            worker_sweep(b);
    }
    worker_free(b);
    end(f);
}

static void test_a_request_in_the_queue_is_not_the_clients_fault(void **state)
{
    struct fixture *f = fixture_new(
        ONE_ENDPOINT, "upstream: {connect_timeout: 1s, first_byte_timeout: 2s, idle_timeout: 2s, "
                      "total_timeout: 2s, max_requests: 1, queue: {timeout: 2s}}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1));
    client_send(f, POST "abcd");
    pass_time(f, 3 * NS_PER_SEC);
    assert_starts(take(f, f->client), "HTTP/1.1 503");
    slots_give(f->shared.slots, 0);
    end(f);
}

static uint64_t waits_counted(struct fixture *f, enum variant variant)
{
    struct histogram_view h;
    uint64_t sum = 0;

    recorder_histogram(f->shared.recorder, 0, variant, HIST_QUEUE, &h);
    for (size_t i = 0; i < ARRAY_LEN(h.counts); i++)
        sum += h.counts[i];
    return sum;
}

static void test_waiting_counts_for_the_version_that_was_waited_for(void **state)
{
    struct fixture *f = with_canary("upstream: {max_requests: 1, queue: {timeout: 2s}}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, GET);
    pass_time(f, 3 * NS_PER_SEC);
    upstream_accept(f);
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, f->client), "HTTP/1.1 200");
    assert_int_equal(waits_counted(f, VARIANT_CANARY), 1);
    assert_int_equal(waits_counted(f, VARIANT_STABLE), 0);
    slots_give(f->shared.slots, 1);
    end(f);
}

static void test_who_finds_no_canary_may_wait_for_stable(void **state)
{
    struct fixture *f = with_canary("upstream: {max_requests: 1, queue: {max: 1}}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1));
    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, GET);
    int second = connect_client(f);
    put(second, GET);
    settle(f);
    assert_string_equal(take(f, second), ""); /* one waits for the canary, one for stable */
    assert_int_equal(slots_waiting(f->shared.slots, slots_version(0, VARIANT_STABLE)), 1);
    slots_give(f->shared.slots, 0);
    worker_sweep(f->worker);
    upstream_accept(f);
    upstream_send(f, OK_FROM_STABLE);
    assert_starts(take(f, second), "HTTP/1.1 200");
    slots_give(f->shared.slots, 1);
    close(second);
    end(f);
}

static void test_who_waits_for_a_withdrawn_canary_waits_for_stable(void **state)
{
    struct fixture *f = with_canary("upstream: {max_requests: 1, queue: {timeout: 2s}}\n");
    (void)state;

    assert_true(slots_take(f->shared.slots, 0, 1));
    assert_true(slots_take(f->shared.slots, 1, 1));
    client_send(f, POST "abcd");
    assert_true(weight_set(&f->weight, 2, 0));
    pass_time(f, 100 * NS_PER_MS);
    assert_string_equal(take(f, f->client), "");
    slots_give(f->shared.slots, 0);
    worker_sweep(f->worker);
    upstream_accept(f);
    assert_string_equal(body_of(take(f, f->upstream)), "abcd");
    slots_give(f->shared.slots, 1);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_full_endpoint_is_waited_for),
        cmocka_unit_test(test_the_queue_is_bounded_in_time_and_length),
        cmocka_unit_test(test_who_leaves_the_queue_is_forgotten),
        cmocka_unit_test(test_a_full_canary_is_charged_and_stable_answers),
        cmocka_unit_test(test_who_waits_goes_first),
        cmocka_unit_test(test_a_busy_worker_does_not_starve_another),
        cmocka_unit_test(test_a_request_in_the_queue_is_not_the_clients_fault),
        cmocka_unit_test(test_waiting_counts_for_the_version_that_was_waited_for),
        cmocka_unit_test(test_who_finds_no_canary_may_wait_for_stable),
        cmocka_unit_test(test_who_waits_for_a_withdrawn_canary_waits_for_stable),
    };

    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
