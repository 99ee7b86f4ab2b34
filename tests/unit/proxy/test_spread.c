/* Connections between two workers that are stepped by hand. All clients come to the first one's
 * socket, which is the worst that the kernel can do. */
#include "tests/unit/proxy/fixture.h"

enum { CLIENTS_MAX = 80 };

struct spread {
    struct fixture *f;
    struct worker *second;
    int clients[CLIENTS_MAX];
    size_t count;
};

static struct spread *spread_new(void)
{
    struct spread *s = xcalloc(1, sizeof(*s));

    s->f = fixture_new(ONE_ENDPOINT, "");
    s->second = worker_new(&s->f->shared, 1, NULL, 0);
    s->clients[s->count++] = s->f->client;
    s->f->client = -1;
    return s;
}

static void turn_second(struct spread *s)
{
    for (int i = 0; i < 8; i++)
        uv_run(&s->second->loop.uv, UV_RUN_NOWAIT);
}

static void more_clients(struct spread *s, size_t count)
{
    for (size_t i = 0; i < count; i++)
        s->clients[s->count++] = connect_client(s->f);
}

static uint64_t active(const struct worker *w)
{
    return atomic_load(&w->stats.connections_active);
}

static void drain_second(struct spread *s)
{
    worker_drain(s->second, 1);
    for (int i = 0; i < 100 && uv_loop_alive(&s->second->loop.uv); i++) {
        uv_run(&s->second->loop.uv, UV_RUN_NOWAIT);
        if (!uv_is_closing((uv_handle_t *)&s->second->sweep))
            worker_sweep(s->second);
    }
}

static void spread_free(struct spread *s)
{
    for (size_t i = 0; i < s->count; i++)
        if (s->clients[i] >= 0)
            close(s->clients[i]);
    drain_second(s);
    struct worker *second = s->second;
    struct fixture *f = s->f;
    void *state = f;
    free(s);
    f->shared.worker_count = 1;
    teardown(&state);
    worker_free(second);
}

/* Whether somebody answers this client, when both workers turn. */
static const char *ask(struct spread *s, int client)
{
    put(client, "GET /x\n"); /* a bare LF: refused at once */
    settle(s->f);
    turn_second(s);
    return take(s->f, client);
}

static void test_evens_out_what_comes_to_one(void **state)
{
    struct spread *s = spread_new();

    (void)state;
    more_clients(s, 15);
    assert_int_equal(active(s->f->worker), 9); /* those in the inbox count already */
    turn_second(s);
    assert_int_equal(active(s->second), 7);
    assert_int_equal(atomic_load(&s->f->worker->stats.connections_handed), 7);
    assert_int_equal(atomic_load(&s->second->stats.connections_handed), 0);
    assert_int_equal(atomic_load(&s->f->shared.connections_active), 16);
    assert_int_equal(atomic_load(&s->f->shared.sockets), 16);
    for (size_t i = 0; i < s->count; i++)
        assert_starts(ask(s, s->clients[i]), "HTTP/1.1 400 ");
    spread_free(s);
}

static void test_many_may_differ_by_a_sixteenth(void **state)
{
    struct spread *s = spread_new();

    (void)state;
    for (size_t i = 1; i < CLIENTS_MAX; i++) {
        more_clients(s, 1);
        turn_second(s);
    }
    assert_int_equal(active(s->f->worker) + active(s->second), CLIENTS_MAX);
    assert_in_range(active(s->f->worker), CLIENTS_MAX / 2, CLIENTS_MAX / 2 + 2);
    spread_free(s);
}

static void test_a_worker_that_does_not_turn_is_not_buried(void **state)
{
    struct spread *s = spread_new();

    (void)state;
    more_clients(s, CLIENTS_MAX - 1);
    assert_in_range(inbox_count(&s->second->inbox), 1, CLIENTS_MAX / 2);
    assert_int_equal(active(s->f->worker) + inbox_count(&s->second->inbox), CLIENTS_MAX);
    assert_int_equal(atomic_load(&s->f->shared.sockets), CLIENTS_MAX);
    spread_free(s);
}

static void test_a_draining_worker_takes_none(void **state)
{
    struct spread *s = spread_new();

    (void)state;
    drain_second(s);
    more_clients(s, 7);
    assert_int_equal(active(s->f->worker), 8);
    assert_int_equal(atomic_load(&s->f->worker->stats.connections_handed), 0);
    assert_starts(ask(s, s->clients[7]), "HTTP/1.1 400 ");
    spread_free(s);
}

static void test_who_was_handed_over_is_served_by_a_drain(void **state)
{
    struct spread *s = spread_new();
    size_t closed = 0, kept = 0;

    (void)state;
    more_clients(s, 5);
    assert_true(inbox_count(&s->second->inbox) > 0);
    size_t handed = inbox_count(&s->second->inbox);
    worker_drain(s->second, INT64_MAX);
    turn_second(s);
    assert_int_equal(inbox_count(&s->second->inbox), 0);
    assert_int_equal(active(s->second), handed);
    for (size_t i = 0; i < s->count; i++) {
        const char *answer = ask(s, s->clients[i]);
        kept += strncmp(answer, "HTTP/1.1 400 ", 13) == 0;
        closed += answer[0] == '<';
    }
    assert_int_equal(kept, s->count);
    assert_int_equal(closed, 0);
    spread_free(s);
}

static void test_limits_are_those_of_the_process(void **state)
{
    struct spread *s = spread_new();

    (void)state;
    s->f->config->limits.connections = 4;
    more_clients(s, 7);
    turn_second(s);
    settle(s->f);
    turn_second(s);
    assert_int_equal(active(s->f->worker) + active(s->second), 4);
    assert_int_equal(atomic_load(&s->f->worker->stats.refused_connections) +
                         atomic_load(&s->second->stats.refused_connections),
                     4);
    assert_int_equal(atomic_load(&s->f->shared.sockets), 4);
    spread_free(s);
}

static void test_one_worker_hands_nothing_over(void **state)
{
    struct fixture *f = fixture_new(ONE_ENDPOINT, "");
    int clients[20];

    (void)state;
    for (size_t i = 0; i < 20; i++)
        clients[i] = connect_client(f);
    assert_int_equal(active(f->worker), 21);
    assert_int_equal(atomic_load(&f->worker->stats.connections_handed), 0);
    for (size_t i = 0; i < 20; i++)
        close(clients[i]);
    end(f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_evens_out_what_comes_to_one),
        cmocka_unit_test(test_many_may_differ_by_a_sixteenth),
        cmocka_unit_test(test_a_worker_that_does_not_turn_is_not_buried),
        cmocka_unit_test(test_a_draining_worker_takes_none),
        cmocka_unit_test(test_who_was_handed_over_is_served_by_a_drain),
        cmocka_unit_test(test_limits_are_those_of_the_process),
        cmocka_unit_test(test_one_worker_hands_nothing_over),
    };
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
