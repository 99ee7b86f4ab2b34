/* Two streams on one loop, joined by a TCP connection over loopback, each recording its events. */
#ifndef TESTS_UNIT_NET_TLS_FIXTURE_H
#define TESTS_UNIT_NET_TLS_FIXTURE_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/stream.h"
#include "net/tls.h"
#include "tests/support/certificates.h"

enum { NEVER = 1, TICK_MS = 5, TICKS_MAX = 4000 };

struct end {
    struct stream stream;
    const char *name;
    char *got;
    size_t got_len, got_cap;
    unsigned reads, drains;
    size_t pause_after; /* pauses once it has so many bytes */
    int connected, end; /* NEVER: not yet */
    bool read_when_connected, closed;
    bool last; /* on_bytes had the last ones, and knew */
};

struct pair {
    struct loop loop;
    uv_timer_t tick; /* so that waiting ends */
    unsigned ticks;
    struct end server, client;
};

static struct end *end_of(struct stream *s)
{
    return CONTAINER_OF(s, struct end, stream);
}

static void on_connect(struct stream *s, int status)
{
    struct end *e = end_of(s);

    assert_int_equal(e->connected, NEVER);
    e->connected = status;
    if (e->read_when_connected)
        stream_read(s);
}

static void on_bytes(struct stream *s, struct str bytes)
{
    struct end *e = end_of(s);

    assert_true(s->reading);
    assert_int_equal(e->end, NEVER);
    if (e->got_len + bytes.len > e->got_cap) {
        e->got_cap = 2 * (e->got_len + bytes.len);
        e->got = xrealloc(e->got, e->got_cap);
    }
    memcpy(e->got + e->got_len, bytes.ptr, bytes.len);
    e->got_len += bytes.len;
    e->reads++;
    e->last = stream_is_ending(s);
    if (e->got_len >= e->pause_after)
        stream_pause(s);
}

static void on_end(struct stream *s, int status)
{
    end_of(s)->end = status;
}

static void on_drain(struct stream *s)
{
    assert_int_equal(stream_pending(s), 0);
    end_of(s)->drains++;
}

static void on_closed(struct stream *s)
{
    end_of(s)->closed = true;
}

static const struct stream_events end_events = {on_connect, on_bytes, on_end, on_drain, on_closed};

static void on_tick(uv_timer_t *timer)
{
    CONTAINER_OF(timer, struct pair, tick)->ticks++;
}

/* Turns the loop until the condition holds. */
#define RUN_UNTIL(p, condition)                                                                    \
    do {                                                                                           \
        for ((p)->ticks = 0; !(condition) && (p)->ticks < TICKS_MAX;)                              \
            uv_run(&(p)->loop.uv, UV_RUN_ONCE);                                                    \
        assert_true(condition);                                                                    \
    } while (0)

/* Long enough for what must not happen to happen. */
static inline void run_a_while(struct pair *p)
{
    for (p->ticks = 0; p->ticks < 6;)
        uv_run(&p->loop.uv, UV_RUN_ONCE);
}

static void end_init(struct pair *p, struct end *e, const char *name)
{
    *e = (struct end){.name = name,
                      .pause_after = SIZE_MAX,
                      .connected = NEVER,
                      .end = NEVER,
                      .read_when_connected = true};
    stream_init(&e->stream, &p->loop, &end_events);
}

static int listen_here(struct sockaddr_in *ret)
{
    socklen_t len = sizeof(*ret);
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    *ret = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    assert_int_equal(bind(fd, (struct sockaddr *)ret, sizeof(*ret)), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)ret, &len), 0);
    return fd;
}

/* A listener that stays, so that sessions find their endpoint again. */
static int listener = -1;
static struct sockaddr_in listener_at;

/* NULL server or client: that side is plain. The client has written `early` before it connects. */
static void pair_open(struct pair *p, struct tls_server *server, struct tls_client *client,
                      const char *server_name, const char *early)
{
    if (listener < 0)
        listener = listen_here(&listener_at);
    assert_int_equal(loop_init(&p->loop, &clock_system), 0);
    uv_timer_init(&p->loop.uv, &p->tick);
    uv_timer_start(&p->tick, on_tick, TICK_MS, TICK_MS);
    end_init(p, &p->server, "server");
    end_init(p, &p->client, "client");
    if (client != NULL)
        assert_int_equal(stream_secure_client(&p->client.stream, client, server_name), 0);
    assert_int_equal(stream_connect(&p->client.stream, (struct sockaddr *)&listener_at), 0);
    if (early != NULL) {
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)early, (unsigned)strlen(early));
        assert_true(stream_write(&p->client.stream, &buf, 1) > 0);
    }
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(stream_adopt(&p->server.stream, fd), 0);
    if (server != NULL)
        assert_int_equal(stream_secure_server(&p->server.stream, server), 0);
    else
        p->server.connected = 0;
}

static void pair_connect(struct pair *p, struct tls_server *server, struct tls_client *client,
                         const char *server_name)
{
    pair_open(p, server, client, server_name, NULL);
    RUN_UNTIL(p, p->server.connected != NEVER && p->client.connected != NEVER);
}

static void pair_close(struct pair *p)
{
    stream_close(&p->server.stream);
    stream_close(&p->client.stream);
    uv_close((uv_handle_t *)&p->tick, NULL);
    while (!p->server.closed || !p->client.closed)
        uv_run(&p->loop.uv, UV_RUN_ONCE);
    uv_run(&p->loop.uv, UV_RUN_DEFAULT);
    loop_deinit(&p->loop);
    free(p->server.got);
    free(p->client.got);
}

static inline ssize_t write_text(struct end *e, const char *text)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)text, (unsigned)strlen(text));

    return stream_write(&e->stream, &buf, 1);
}

static inline bool has_text(const struct end *e, const char *text)
{
    return e->got_len == strlen(text) && memcmp(e->got, text, e->got_len) == 0;
}

static inline int fd_of(const struct end *e)
{
    assert_true(e->stream.fd >= 0);
    return e->stream.fd;
}

/* --- certificates that most tests share --- */

struct authority {
    struct test_certificate ca, leaf;
    const char *ca_file, *leaf_file, *key_file;
};

static inline void authority_make(struct authority *a, const char *prefix, const char *names)
{
    char file[64];

    snprintf(file, sizeof(file), "%s authority", prefix);
    test_certificate_make(
        &a->ca, &(struct test_certificate_spec){.name = file, .authority = true, .days_left = 10});
    test_certificate_make(&a->leaf, &(struct test_certificate_spec){
                                        .name = prefix, .names = names, .issuer = &a->ca});
    snprintf(file, sizeof(file), "%s-ca.pem", prefix);
    a->ca_file = test_write_certificates(file, (const struct test_certificate *[]){&a->ca, NULL});
    snprintf(file, sizeof(file), "%s.pem", prefix);
    a->leaf_file =
        test_write_certificates(file, (const struct test_certificate *[]){&a->leaf, NULL});
    snprintf(file, sizeof(file), "%s.key", prefix);
    a->key_file = test_write_key(file, &a->leaf, NULL);
}

static inline void authority_free(struct authority *a)
{
    test_certificate_free(&a->ca);
    test_certificate_free(&a->leaf);
}

static inline void print_diagnostics(const struct diagnostics *d)
{
    for (size_t i = 0; i < d->count; i++)
        print_message("%s\n", d->items[i].message);
}

/* One that must be good. */
static inline struct tls_server *server_new(const struct tls_server_options *o,
                                            const struct tls_server *before)
{
    struct diagnostics errors;

    diagnostics_init(&errors);
    struct tls_server *t = tls_server_new(o, before, &errors);
    if (t == NULL)
        print_diagnostics(&errors);
    assert_non_null(t);
    diagnostics_deinit(&errors);
    return t;
}

static inline struct tls_client *client_new(const struct tls_client_options *o)
{
    struct diagnostics errors;

    diagnostics_init(&errors);
    struct tls_client *t = tls_client_new(o, &errors);
    if (t == NULL)
        print_diagnostics(&errors);
    assert_non_null(t);
    diagnostics_deinit(&errors);
    return t;
}

static inline struct tls_server *server_for(const struct authority *a)
{
    const struct tls_pair pair = {.certificate = a->leaf_file, .key = a->key_file};

    return server_new(
        &(struct tls_server_options){.pairs = &pair, .count = 1, .clock = &clock_system}, NULL);
}

static inline struct tls_client *client_for(const struct authority *a)
{
    return client_new(
        &(struct tls_client_options){.ca = a->ca_file, .verify = true, .clock = &clock_system});
}

#endif
