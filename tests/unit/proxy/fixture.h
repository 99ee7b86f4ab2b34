/* One worker stepped by hand between scripted sockets, with a clock that only moves when told. */
#ifndef TESTS_UNIT_PROXY_FIXTURE_H
#define TESTS_UNIT_PROXY_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "proxy/worker.h"
#include "tests/support/fake_clock.h"

enum { TEXT_MAX = 256 * 1024 };

struct fixture {
    struct fake_clock clock;
    struct shared shared;
    struct policy_set set;
    struct policy *policy;
    struct config *config;
    struct weight weight;
    struct worker *worker;
    uint16_t port, upstream_port;
    int upstream_listener, client, upstream;
    int other_listener, other; /* a second endpoint */
    uint16_t other_port;
    char text[TEXT_MAX];
};

static inline int listen_on_loopback(uint16_t *ret_port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(a);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 16), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &len), 0);
    *ret_port = ntohs(a.sin_port);
    return fd;
}

static inline void turn(struct fixture *f)
{
    uv_run(&f->worker->loop.uv, UV_RUN_NOWAIT);
}

/* Loopback delivers at once, but the loop needs a few turns to hand bytes on. */
static inline void settle(struct fixture *f)
{
    for (int i = 0; i < 8; i++)
        turn(f);
}

static inline int connect_client(struct fixture *f)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
                            .sin_port = htons(f->port)};
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(fcntl(fd, F_SETFL, O_NONBLOCK), 0);
    settle(f);
    return fd;
}

/* A worker for one rollout: `versions` with %u for the ports of two scripted endpoints, and more of
 * the policy in `rest`. */
static inline struct fixture *fixture_new(const char *versions, const char *rest)
{
    struct fixture *f = xcalloc(1, sizeof(*f));
    struct diagnostics d;
    char text[1024];

    fake_clock_init(&f->clock);
    f->upstream_listener = listen_on_loopback(&f->upstream_port);
    f->other_listener = listen_on_loopback(&f->other_port);
    int n = snprintf(text, sizeof(text), versions, f->upstream_port, f->other_port);
    snprintf(text + n, sizeof(text) - (size_t)n, "%s", rest);
    diagnostics_init(&d);
    assert_int_equal(policy_parse(STR("t.yaml"), str_from(text), &f->policy, &d), 0);
    diagnostics_deinit(&d);
    f->config = config_default();
    f->config->limits.body_bytes = 1024 * 1024;
    f->config->limits.body_timeout_ns = 20 * NS_PER_SEC;
    const struct policy **policies = xcalloc(1, sizeof(*policies));
    policies[0] = f->policy;
    /* A reference more than is ever given back: the fixture owns the parts. */
    f->set =
        (struct policy_set){.config = f->config, .policies = policies, .count = 1, .references = 2};
    f->shared = (struct shared){.set = &f->set,
                                .config = f->config,
                                .weights = &f->weight,
                                .clock = &f->clock.clock,
                                .sockets_max = 1000,
                                .recorder = recorder_new(2, &f->set)};
    f->shared.table = route_table_new(&f->set);
    f->shared.slots = slots_new(route_pool_count(f->shared.table), 1);
    f->shared.replay.bytes = f->config->limits.replay_bytes;
    f->shared.replay.total_bytes = f->config->limits.replay_total_bytes;
    int fd = listen_on_loopback(&f->port);
    f->worker = worker_new(&f->shared, 0, &fd, 1);
    f->client = connect_client(f);
    f->upstream = f->other = -1;
    return f;
}

static inline int teardown(void **state)
{
    struct fixture *f = *state;

    if (f->client >= 0)
        close(f->client);
    if (f->upstream >= 0)
        close(f->upstream);
    if (f->other >= 0)
        close(f->other);
    close(f->upstream_listener);
    close(f->other_listener);
    worker_drain(f->worker, 1);
    for (int i = 0; i < 100 && uv_loop_alive(&f->worker->loop.uv); i++) {
        turn(f);
        if (f->worker->sweep.loop != NULL && !uv_is_closing((uv_handle_t *)&f->worker->sweep))
            worker_sweep(f->worker);
    }
    worker_free(f->worker);
    slots_free(f->shared.slots);
    route_table_free(f->shared.table);
    recorder_free(f->shared.recorder);
    policy_free(f->policy);
    config_free(f->config);
    free((void *)(uintptr_t)f->set.policies);
    free(f);
    return 0;
}

static inline void put(int fd, const char *text)
{
    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static inline void client_send(struct fixture *f, const char *text)
{
    put(f->client, text);
    settle(f);
}

static inline void upstream_accept(struct fixture *f)
{
    if (f->upstream >= 0)
        close(f->upstream);
    f->upstream = accept4(f->upstream_listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(f->upstream >= 0);
    settle(f);
}

static inline void upstream_send(struct fixture *f, const char *text)
{
    put(f->upstream, text);
    settle(f);
}

/* All there is to read now; "<eof>" or "<reset>" is appended when that is what comes. */
static inline const char *take(struct fixture *f, int fd)
{
    size_t n = 0;
    ssize_t got;

    for (int quiet = 0; quiet < 3;) {
        got = read(fd, f->text + n, sizeof(f->text) - n - 16);
        if (got > 0) {
            n += (size_t)got;
            quiet = 0;
        } else if (got == 0 || errno == ECONNRESET) {
            n += (size_t)sprintf(f->text + n, "%s", got == 0 ? "<eof>" : "<reset>");
            break;
        } else {
            quiet++;
        }
        settle(f);
    }
    f->text[n] = '\0';
    return f->text;
}

static inline const char *body_of(const char *answer)
{
    const char *end = strstr(answer, "\r\n\r\n");

    assert_non_null(end);
    return end + 4;
}

static inline void assert_starts(const char *text, const char *with)
{
    if (strncmp(text, with, strlen(with)) != 0)
        fail_msg("%s\ndoes not start with\n%s", text, with);
}

static inline void assert_has(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("%s\ndoes not hold\n%s", text, part);
}

/* One first attempt at that version with this outcome, and one result. */
static inline void assert_counted(struct fixture *f, enum variant variant, enum outcome_kind kind,
                                  unsigned result)
{
    struct recorder_totals t;

    recorder_totals(f->shared.recorder, 0, &t);
    for (unsigned k = 0; k < OUTCOME_KIND_COUNT; k++)
        assert_int_equal(t.variants[variant].outcomes[k], k == kind);
    for (unsigned k = 0; k < RESULT_KIND_COUNT; k++)
        assert_int_equal(t.results[k], k == result);
    assert_int_equal(t.variants[variant].dispatched, 1);
}

static inline void assert_outcome(struct fixture *f, enum outcome_kind kind, unsigned result)
{
    assert_counted(f, VARIANT_STABLE, kind, result);
}

static inline void pass_time(struct fixture *f, int64_t ns)
{
    fake_clock_advance(&f->clock, ns);
    worker_sweep(f->worker);
    settle(f);
}

#define GET  "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"
#define POST "POST /x HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n"

#define CANARY                                                                                     \
    "rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\"]}\n"                 \
    "canary: {version: \"2\", endpoints: [\"http://127.0.0.1:%u\"]}\n"
#define ONE_ENDPOINT "rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\"]}\n"
#define TWO_ENDPOINTS                                                                              \
    "rollout: t\nstable: {version: \"1\", endpoints: [\"http://127.0.0.1:%u\", "                   \
    "\"http://127.0.0.1:%u\"]}\n"

/* All requests go to the canary, which is the fixture's other endpoint. */
static inline struct fixture *with_canary(const char *rest)
{
    struct fixture *f = fixture_new(CANARY, rest);

    assert_true(weight_set(&f->weight, 1, WEIGHT_FULL_BP));
    return f;
}

static inline void other_accept(struct fixture *f)
{
    if (f->other >= 0)
        close(f->other);
    f->other = accept4(f->other_listener, NULL, NULL, SOCK_NONBLOCK);
    assert_true(f->other >= 0);
    settle(f);
}

static inline bool nobody_connects(int listener)
{
    return accept4(listener, NULL, NULL, SOCK_NONBLOCK) < 0 && errno == EAGAIN;
}

static inline void other_send(struct fixture *f, const char *text)
{
    put(f->other, text);
    settle(f);
}

static inline void end(struct fixture *f)
{
    void *state = f;

    teardown(&state);
}

#define OK_FROM_STABLE "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nstable"
#define ERROR_500      "HTTP/1.1 500 Oops\r\nContent-Length: 3\r\n\r\nbad"

static inline void reset(int fd)
{
    const struct linger now = {.l_onoff = 1, .l_linger = 0};

    assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now)), 0);
    close(fd);
}

#endif
