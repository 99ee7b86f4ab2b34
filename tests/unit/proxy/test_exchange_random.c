/* Clients, endpoints, weights and time that do anything in any order, from a seed. What is promised
 * whatever happens: every request is counted once and ends, every attempt is settled once, slots
 * and held bytes come back, a request that may have been read is not sent again, and a body reaches
 * an endpoint whole and in order, however often it is sent.
 *
 *   test_exchange_random [FIRST_SEED [COUNT]]
 */
#include "tests/unit/proxy/fixture.h"

#include <strings.h>

#include "base/rng.h"

enum {
    SEEDS = 24,
    STEPS = 3000,
    CLIENTS = 5,
    CONNECTIONS = 64, /* of the endpoints, at one time */
    REQUESTS = 8192,  /* of one seed */
    BODY_MAX = 3000,
    SCRIPT_BYTES = 16 * 1024,
    CAPTURE_BYTES = 128 * 1024,
    MAX_REQUESTS = 3, /* in flight at an endpoint */
};

struct request {
    bool post;
    size_t len;
    unsigned heads; /* how often it was seen at an endpoint */
};

struct peer {
    int fd;
    char script[SCRIPT_BYTES]; /* what it is about to send */
    size_t len, at;
};

struct connection { /* as an endpoint sees it */
    int fd;
    const char *answer; /* being sent */
    size_t at, received;
    char *bytes; /* all it received */
};

struct world {
    struct fixture *f;
    struct rng rng;
    unsigned seed, requests;
    uint32_t epoch;
    bool may_repeat; /* shield: all */
    uint32_t taken[VARIANT_COUNT];
    bool refusing[VARIANT_COUNT];
    struct peer clients[CLIENTS];
    struct connection connections[CONNECTIONS];
    struct request made[REQUESTS];
};

static unsigned first_seed = 1, seeds = SEEDS;

#define expect(w, condition)                                                                       \
    do {                                                                                           \
        if (!(condition))                                                                          \
            fail_msg("seed %u: %s", (w)->seed, #condition);                                        \
    } while (0)

static uint32_t below(struct world *w, uint32_t limit)
{
    return rng_below(&w->rng, limit);
}

/* --- what the clients send --- */

static char body_byte(unsigned id, size_t i)
{
    return (char)('a' + (id * 7 + i * (i >> 8 | 1)) % 26);
}

static void add(struct peer *c, const char *bytes, size_t len)
{
    if (c->len + len <= sizeof(c->script)) {
        memcpy(c->script + c->len, bytes, len);
        c->len += len;
    }
}

static void add_text(struct peer *c, const char *text)
{
    add(c, text, strlen(text));
}

static void add_body(struct peer *c, unsigned id, size_t from, size_t len)
{
    char bytes[BODY_MAX];

    for (size_t i = 0; i < len; i++)
        bytes[i] = body_byte(id, from + i);
    add(c, bytes, len);
}

static void add_chunks(struct world *w, struct peer *c, unsigned id, size_t len)
{
    char line[32];

    for (size_t at = 0, n; at < len; at += n) {
        n = 1 + below(w, (uint32_t)(len - at));
        snprintf(line, sizeof(line), "%zx\r\n", n);
        add_text(c, line);
        add_body(c, id, at, n);
        add_text(c, "\r\n");
    }
    add_text(c, "0\r\n\r\n");
}

static void add_request(struct world *w, struct peer *c)
{
    static const char *const methods[] = {"GET", "HEAD", "POST", "POST", "PUT", "GET"};
    unsigned id = w->requests++, method = below(w, ARRAY_LEN(methods));
    bool has_body = method >= 2 && method <= 4, chunked = below(w, 2) == 0;
    struct request *r = &w->made[id];
    char head[256];

    r->post = method == 2 || method == 3;
    r->len = has_body ? below(w, 4) == 0 ? BODY_MAX : below(w, 40) : 0;
    if (!has_body && below(w, 8) == 0) {
        snprintf(head, sizeof(head),
                 "GET /u%u HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw",
                 id);
        add_text(c, head);
        return;
    }
    snprintf(head, sizeof(head), "%s /r%u HTTP/1.%u\r\nHost: h\r\n%s", methods[method], id,
             below(w, 12) == 0 && !chunked ? 0 : 1,
             has_body && below(w, 5) == 0 ? "Expect: 100-continue\r\n" : "");
    add_text(c, head);
    if (!has_body) {
        add_text(c, "\r\n");
    } else if (chunked) {
        add_text(c, "Transfer-Encoding: chunked\r\n\r\n");
        add_chunks(w, c, id, r->len);
    } else {
        snprintf(head, sizeof(head), "Content-Length: %zu\r\n\r\n", r->len);
        add_text(c, head);
        add_body(c, id, 0, r->len);
    }
    if (below(w, 40) == 0)
        add_text(c, "nonsense\r\n\r\n");
}

static void reset_peer(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    (void)setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
}

static void leave(struct world *w, struct peer *c)
{
    if (below(w, 2) == 0)
        reset_peer(c->fd);
    close(c->fd);
    c->fd = -1;
}

static void read_all(int fd, size_t most)
{
    char bytes[4096];

    for (size_t n = 0; n < most; n += sizeof(bytes))
        if (read(fd, bytes, sizeof(bytes)) <= 0)
            return;
}

static void client_acts(struct world *w)
{
    struct peer *c = &w->clients[below(w, CLIENTS)];
    uint32_t what = below(w, 40);

    if (c->fd < 0) {
        c->fd = connect_client(w->f);
        c->len = c->at = 0;
    }
    if (c->at == c->len) {
        c->at = c->len = 0;
        for (uint32_t n = 1 + (below(w, 4) == 0 ? below(w, 3) : 0); n > 0 && w->requests < REQUESTS;
             n--)
            add_request(w, c);
    }
    if (what == 0) {
        leave(w, c);
    } else if (what == 1) {
        (void)shutdown(c->fd, SHUT_WR);
    } else if (what < 14) {
        read_all(c->fd, SIZE_MAX / 2);
    } else if (c->len > c->at) {
        size_t most = c->len - c->at, n = below(w, 3) == 0 ? 1 + below(w, (uint32_t)most) : most;
        ssize_t written = write(c->fd, c->script + c->at, n);
        if (written > 0)
            c->at += (size_t)written;
        else if (written < 0 && errno != EAGAIN)
            leave(w, c);
        if (c->fd >= 0 && below(w, 60) == 0)
            leave(w, c); /* right behind it */
    }
}

/* --- what the endpoints received --- */

struct cursor {
    const char *at, *end;
};

static bool line_is(struct cursor head, const char *name, struct cursor *ret_value)
{
    for (const char *p = head.at; p < head.end; p++) {
        if (strncasecmp(p, name, strlen(name)) == 0) {
            *ret_value = (struct cursor){p + strlen(name), head.end};
            return true;
        }
        p = memchr(p, '\n', (size_t)(head.end - p));
        if (p == NULL)
            return false;
    }
    return false;
}

/* The next `len` bytes are that part of the request's body, as far as they came. */
static bool check_run(struct world *w, struct cursor *c, unsigned id, size_t from, size_t len)
{
    size_t n = (size_t)(c->end - c->at) < len ? (size_t)(c->end - c->at) : len;

    for (size_t i = 0; i < n; i++)
        expect(w, c->at[i] == body_byte(id, from + i));
    c->at += n;
    return n == len;
}

static bool check_chunks(struct world *w, struct cursor *c, unsigned id)
{
    size_t total = 0;

    for (;;) {
        const char *line = memchr(c->at, '\n', (size_t)(c->end - c->at));
        if (line == NULL)
            return false;
        size_t n = strtoul(c->at, NULL, 16);
        c->at = line + 1;
        if (!check_run(w, c, id, total, n) || c->end - c->at < 2)
            return false;
        expect(w, memcmp(c->at, "\r\n", 2) == 0);
        c->at += 2;
        total += n;
        if (n == 0)
            break;
    }
    expect(w, total == w->made[id].len);
    return true;
}

/* False: the rest was not received, or is no HTTP. */
static bool check_request(struct world *w, struct cursor *c)
{
    const char *end = memmem(c->at, (size_t)(c->end - c->at), "\r\n\r\n", 4);
    struct cursor value;

    if (end == NULL)
        return false;
    struct cursor head = {c->at, end + 2};
    const char *path = memchr(c->at, '/', (size_t)(end - c->at));
    expect(w, path != NULL && (path[1] == 'r' || path[1] == 'u'));
    unsigned id = (unsigned)strtoul(path + 2, NULL, 10);
    expect(w, id < w->requests);
    struct request *r = &w->made[id];
    expect(w, (memcmp(c->at, "POST ", 5) == 0) == r->post);
    r->heads++;
    if (r->post && !w->may_repeat)
        expect(w, r->heads == 1);
    c->at = end + 4;
    if (path[1] == 'u')
        return false; /* it may be a tunnel from here */
    if (line_is(head, "Transfer-Encoding: chunked", &value))
        return check_chunks(w, c, id);
    if (!line_is(head, "Content-Length:", &value))
        return true;
    expect(w, strtoul(value.at, NULL, 10) == r->len);
    return check_run(w, c, id, 0, r->len);
}

static void receive(struct connection *k)
{
    ssize_t n;

    while ((n = read(k->fd, k->bytes + k->received, CAPTURE_BYTES - 1 - k->received)) > 0)
        k->received += (size_t)n;
}

static void retire(struct world *w, struct connection *k)
{
    receive(k);
    close(k->fd);
    k->fd = -1;
    k->bytes[k->received] = '\0';
    struct cursor c = {k->bytes, k->bytes + k->received};
    while (c.at < c.end && check_request(w, &c)) {
    }
    free(k->bytes);
    k->bytes = NULL;
}

/* --- what the endpoints do --- */

static void accept_all(struct world *w)
{
    const int listeners[] = {w->f->upstream_listener, w->f->other_listener};

    for (size_t i = 0; i < CONNECTIONS; i++) {
        struct connection *k = &w->connections[i];
        if (k->fd >= 0)
            continue;
        uint32_t first = below(w, 2);
        k->fd = accept4(listeners[first], NULL, NULL, SOCK_NONBLOCK);
        if (k->fd < 0)
            k->fd = accept4(listeners[1 - first], NULL, NULL, SOCK_NONBLOCK);
        if (k->fd < 0)
            return;
        *k = (struct connection){.fd = k->fd, .bytes = xcalloc(1, CAPTURE_BYTES)};
    }
}

static const char *any_answer(struct world *w, const struct connection *k)
{
    static const char *const answers[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nyes",
        "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nsure",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n3\r\n me\r\n0\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\nT: v\r\n\r\n",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        "HTTP/1.1 200 OK\r\n\r\nuntil the end",
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"
        "1a\r\ndata: {\"choices\":[]}\n\nda\r\n10\r\nta: [DONE]\n\ndata\r\n0\r\n\r\n",
        "HTTP/1.1 204 None\r\n\r\n",
        "HTTP/1.1 304 Same\r\nContent-Length: 7\r\n\r\n",
        "HTTP/1.1 404 No\r\nContent-Length: 2\r\n\r\nno",
        "HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad",
        "HTTP/1.1 503 Full\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nbad\r\n0\r\n\r\n",
        "HTTP/1.1 502 Oops\r\nConnection: close\r\n\r\nbad",
        "HTTP/1.1 100 Continue\r\n\r\n",
        "HTTP/1.1 103 Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx",
        "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw",
        "HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx and more than that",
        "nonsense\r\n\r\n",
    };

    if (memmem(k->bytes, k->received, "Upgrade: x", 10) != NULL && below(w, 2) == 0)
        return "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw";
    return answers[below(w, ARRAY_LEN(answers))];
}

static void endpoint_acts(struct world *w)
{
    struct connection *k = &w->connections[below(w, 16) == 0 ? below(w, CONNECTIONS) : below(w, 6)];
    uint32_t what = below(w, 40);

    accept_all(w);
    if (k->fd < 0)
        return;
    if (what < 2 || k->received > CAPTURE_BYTES / 2) {
        if (what == 0)
            reset_peer(k->fd);
        retire(w, k);
    } else if (what == 2) {
        (void)shutdown(k->fd, SHUT_WR);
    } else if (what < 10) {
        receive(k);
    } else {
        receive(k);
        if (k->received == 0 && below(w, 50) > 0)
            return; /* seldom an answer that nobody asked for */
        if (k->answer == NULL || k->answer[k->at] == '\0') {
            k->answer = any_answer(w, k);
            k->at = 0;
        }
        size_t most = strlen(k->answer + k->at);
        size_t n = below(w, 3) == 0 ? 1 + below(w, (uint32_t)most) : most;
        ssize_t written = write(k->fd, k->answer + k->at, n);
        if (written > 0)
            k->at += (size_t)written;
    }
}

/* Another worker takes and gives back slots. */
static void slots_change(struct world *w)
{
    uint32_t pool = below(w, VARIANT_COUNT);

    if (w->taken[pool] > 0) {
        w->taken[pool]--;
        slots_give(w->f->shared.slots, pool);
        uv_async_send(&w->f->worker->wake);
    } else if (slots_take(w->f->shared.slots, pool, MAX_REQUESTS)) {
        w->taken[pool]++;
    }
}

/* An endpoint refuses connections for a while. */
static void refusal_changes(struct world *w)
{
    uint32_t which = w->refusing[0] ? 0 : w->refusing[1] ? 1 : below(w, VARIANT_COUNT);
    int fd = which == 0 ? w->f->upstream_listener : w->f->other_listener;

    w->refusing[which] = !w->refusing[which];
    if (w->refusing[which])
        (void)shutdown(fd, SHUT_RD);
    else
        assert_int_equal(listen(fd, 16), 0);
}

static void step(struct world *w)
{
    static const uint32_t weights[] = {0, WEIGHT_FULL_BP / 2, WEIGHT_FULL_BP, WEIGHT_FULL_BP};
    uint32_t what = below(w, 100);

    if (what < 40)
        client_acts(w);
    else if (what < 92)
        endpoint_acts(w);
    else if (what < 94)
        pass_time(w->f, (int64_t)below(w, 16) * below(w, 16) * NS_PER_MS);
    else if (what < 96)
        slots_change(w);
    else if (what < (w->refusing[0] || w->refusing[1] ? 99 : 97))
        refusal_changes(w);
    else if (what < 98 && below(w, 4) == 0)
        pass_time(w->f, NS_PER_SEC);
    else
        (void)weight_set(&w->f->weight, ++w->epoch, weights[below(w, ARRAY_LEN(weights))]);
    if (below(w, 3) == 0)
        turn(w->f); /* what comes now comes on top */
    else
        settle(w->f);
}

/* --- what holds at the end --- */

static uint64_t sum(const uint64_t *of, size_t n)
{
    uint64_t total = 0;

    for (size_t i = 0; i < n; i++)
        total += of[i];
    return total;
}

/* By itself: nobody sends, and no time limit is longer. What the kernel delivers late begins late.
 */
static void check_all_ended(struct world *w)
{
    for (int i = 0; i < 100 && w->f->worker->stats.requests_active > 0; i++)
        pass_time(w->f, 250 * NS_PER_MS);
    expect(w, w->f->worker->stats.requests_active == 0);
    expect(w, list_empty(&w->f->worker->exchanges));
}

static void check_counters(struct world *w)
{
    struct worker *at = w->f->worker;
    struct recorder_totals t;
    uint64_t dispatched = 0;

    recorder_totals(w->f->shared.recorder, 0, &t);
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        const struct recorder_variant_totals *of = &t.variants[v];
        expect(w, sum(of->outcomes, OUTCOME_KIND_COUNT) + of->voided == of->dispatched);
        expect(w, sum(of->retry_outcomes, OUTCOME_KIND_COUNT) == of->retries);
        dispatched += of->dispatched;
    }
    expect(w, dispatched == at->stats.requests);
    expect(w, sum(t.results, RESULT_KIND_COUNT) == at->stats.requests);
    expect(w, at->stats.requests > STEPS / 50); /* it was a test of something */
}

static void check_nothing_left(struct world *w)
{
    struct shared *s = &w->f->shared;
    struct worker *at = w->f->worker;

    expect(w, list_empty(&at->exchanges));
    expect(w, list_empty(&at->busy_queues));
    for (enum variant v = 0; v < VARIANT_COUNT; v++) {
        expect(w, slots_in_flight(s->slots, v) == 0);
        expect(w, !slots_waiting(s->slots, slots_version(0, v)));
    }
    expect(w, atomic_load(&s->replay.held) == 0);
    expect(w, at->clients == 0);
    expect(w, at->upstreams == 0);
    expect(w, atomic_load(&s->sockets) == 0);
    expect(w, atomic_load(&s->connections_active) == 0);
}

/* Everybody still there stays silent: all must end by themselves. Half of the seeds drain. */
static void wind_down(struct world *w)
{
    for (uint32_t v = 0; v < VARIANT_COUNT; v++)
        for (; w->taken[v] > 0; w->taken[v]--)
            slots_give(w->f->shared.slots, v);
    if (w->seed % 2 == 0)
        worker_drain(w->f->worker, w->f->clock.now_ns + NS_PER_SEC);
    for (int i = 0; i < 400; i++) {
        for (size_t c = 0; c < CLIENTS; c++)
            if (w->clients[c].fd >= 0)
                read_all(w->clients[c].fd, SIZE_MAX / 2);
        if (w->seed % 2 == 1 || i < 20)
            pass_time(w->f, 250 * NS_PER_MS);
        else
            settle(w->f);
    }
    accept_all(w);
    for (size_t i = 0; i < CONNECTIONS; i++)
        if (w->connections[i].fd >= 0)
            retire(w, &w->connections[i]);
    for (size_t c = 0; c < CLIENTS; c++)
        if (w->clients[c].fd >= 0)
            close(w->clients[c].fd);
    settle(w->f);
}

/* A port that was asked for by number stays the socket's while it does not listen. */
static void keep_port(int fd, uint16_t port)
{
    struct sockaddr_in a = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    int on = 1;

    assert_int_equal(shutdown(fd, SHUT_RD), 0);
    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)), 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 16), 0);
}

static struct world *world_new(unsigned seed)
{
    static const char *const shields[] = {"off", "safe", "all"};
    static const char *const ends[] = {"cut", "{drain: 500ms}", "{drain: 0s}"};
    struct world *w = xcalloc(1, sizeof(*w));
    char rest[512];

    w->seed = seed;
    rng_seed(&w->rng, seed);
    w->may_repeat = seed % 3 == 2;
    snprintf(rest, sizeof(rest),
             "shield: %s\non_rollback: %s\nupstream: {connect_timeout: 1s, first_byte_timeout: 2s, "
             "idle_timeout: 2s, total_timeout: 5s, tunnel_timeout: 3s, max_requests: %d, "
             "queue: {max: %u, timeout: 500ms}, retries: {max: %u, budget: 50%%}}\n",
             shields[seed % 3], ends[seed / 3 % 2], MAX_REQUESTS, below(w, 3), below(w, 3));
    w->f =
        fixture_new("rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\"]}\n"
                    "canary: {version: \"2\", endpoints: [\"http://127.0.0.1:%u\"]}\n",
                    rest);
    keep_port(w->f->upstream_listener, w->f->upstream_port);
    keep_port(w->f->other_listener, w->f->other_port);
    w->f->config->limits.body_timeout_ns = 2 * NS_PER_SEC;
    w->f->config->limits.header_timeout_ns = 2 * NS_PER_SEC;
    w->f->config->limits.idle_timeout_ns = 10 * NS_PER_SEC;
    w->f->config->limits.body_bytes = BODY_MAX;
    w->f->config->client_eof = (enum client_eof)below(w, 3);
    w->f->shared.replay.bytes = BODY_MAX / 2;
    w->f->shared.replay.total_bytes = 3 * BODY_MAX;
    rng_seed(&w->f->worker->rng, seed + UINT64_C(1000000));
    for (size_t i = 0; i < CLIENTS; i++)
        w->clients[i].fd = -1;
    for (size_t i = 0; i < CONNECTIONS; i++)
        w->connections[i].fd = -1;
    w->epoch = 1;
    (void)weight_set(&w->f->weight, w->epoch, WEIGHT_FULL_BP / 2);
    return w;
}

static void test_whatever_happens(void **state)
{
    (void)state;
    for (unsigned seed = first_seed; seed < first_seed + seeds; seed++) {
        struct world *w = world_new(seed);
        for (int i = 0; i < STEPS && w->requests < REQUESTS; i++)
            step(w);
        wind_down(w);
        check_all_ended(w);
        worker_drain(w->f->worker, 1);
        for (int i = 0; i < 20; i++) {
            if (!uv_is_closing((uv_handle_t *)&w->f->worker->sweep))
                worker_sweep(w->f->worker);
            settle(w->f);
        }
        check_counters(w);
        check_nothing_left(w);
        void *fixture = w->f;
        teardown(&fixture);
        free(w);
    }
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_whatever_happens),
    };

    if (argc > 1)
        first_seed = (unsigned)strtoul(argv[1], NULL, 10);
    if (argc > 2)
        seeds = (unsigned)strtoul(argv[2], NULL, 10);
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
