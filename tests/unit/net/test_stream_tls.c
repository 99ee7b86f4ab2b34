/* What an owner sees of a stream within TLS: the same as of a plain one, and who is at the end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <signal.h>
#include <stdio.h>

#include "tests/support/fake_clock.h"
#include "tests/unit/net/tls_fixture.h"

static struct authority authority, stranger;

static int make_authorities(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2) */
    authority_make(&authority, "model", "DNS:model.example,DNS:*.wild.example,IP:127.0.0.1");
    authority_make(&stranger, "stranger", "DNS:model.example");
    return 0;
}

static int remove_authorities(void **state)
{
    (void)state;
    authority_free(&authority);
    authority_free(&stranger);
    test_folder_remove();
    return 0;
}

static void test_handshake(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    struct pair p;

    (void)state;
    pair_open(&p, server, client, "Model.Example", "early");
    assert_true(p.client.stream.connecting && p.server.stream.connecting);
    assert_int_equal(stream_pending(&p.client.stream), 5);
    RUN_UNTIL(&p, has_text(&p.server, "early"));
    assert_int_equal(p.client.connected, 0);
    assert_int_equal(p.server.connected, 0);
    assert_false(p.client.stream.connecting || p.server.stream.connecting);
    RUN_UNTIL(&p, p.client.drains == 1);
    assert_true(stream_is_secure(&p.server.stream));
    assert_string_equal(stream_server_name(&p.server.stream), "Model.Example");
    assert_string_equal(stream_alpn(&p.server.stream), "http/1.1");
    assert_string_equal(stream_alpn(&p.client.stream), "http/1.1");
    assert_string_equal(stream_tls_error(&p.server.stream), "");

    /* A gathered write is one record run: one read at the other side. */
    uv_buf_t bufs[] = {uv_buf_init("one ", 4), uv_buf_init("two ", 4), uv_buf_init("three", 5)};
    assert_int_equal(stream_write(&p.server.stream, bufs, 3), 0);
    RUN_UNTIL(&p, has_text(&p.client, "one two three"));
    assert_int_equal(p.client.reads, 1);
    pair_close(&p);
    tls_server_unref(server);
    tls_client_unref(client);
}

static char pattern(size_t at)
{
    return (char)(at * 2654435761u >> 13);
}

/* Writes pieces of all sizes while the other side takes them. */
static void pump(struct end *e, size_t *sent, size_t total)
{
    static const size_t sizes[] = {1, 5, 16384, 16383, 70000, 3, 40000, 16385};
    static char text[2 * 70000];

    while (*sent < total && stream_pending(&e->stream) == 0) {
        size_t n[2] = {sizes[*sent % 8], sizes[(*sent + 3) % 8]};
        if (n[0] + n[1] > total - *sent) {
            n[0] = total - *sent;
            n[1] = 0;
        }
        if (n[0] > sizeof(text))
            n[0] = sizeof(text);
        for (size_t i = 0; i < n[0] + n[1]; i++)
            text[i] = pattern(*sent + i);
        uv_buf_t bufs[] = {uv_buf_init(text, (unsigned)n[0]),
                           uv_buf_init(text + n[0], (unsigned)n[1])};
        assert_true(stream_write(&e->stream, bufs, 2) >= 0);
        *sent += n[0] + n[1];
    }
}

/* Pauses after some bytes; while it is paused nothing comes. */
static void stutter(struct end *e, unsigned turn)
{
    if (e->stream.reading || turn % 7 != 0)
        return;
    e->pause_after = e->got_len + 200000;
    stream_read(&e->stream);
}

static void test_big_transfer_with_pauses(void **state)
{
    enum { TOTAL = 6 * 1024 * 1024 };
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    size_t up = 0, down = 0;
    struct pair p;

    (void)state;
    pair_connect(&p, server, client, "model.example");
    p.server.pause_after = p.client.pause_after = 100000;
    for (unsigned turn = 0; p.client.got_len < TOTAL || p.server.got_len < TOTAL; turn++) {
        assert_true(turn < 1000000);
        pump(&p.client, &up, TOTAL);
        pump(&p.server, &down, TOTAL);
        uv_run(&p.loop.uv, UV_RUN_NOWAIT);
        stutter(&p.client, turn);
        stutter(&p.server, turn + 3);
    }
    for (size_t i = 0; i < TOTAL; i++)
        if (p.client.got[i] != pattern(i) || p.server.got[i] != pattern(i))
            fail_msg("byte %zu is another one", i);
    pair_close(&p);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void test_paused_owner_gets_nothing_and_loses_nothing(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    struct pair p;

    (void)state;
    /* The request comes with the last flight of the handshake, and the owner does not read. */
    pair_open(&p, server, client, "model.example", "request");
    p.server.read_when_connected = false;
    RUN_UNTIL(&p, p.server.connected == 0 && p.client.connected == 0);
    stream_shutdown(&p.client.stream);
    run_a_while(&p);
    assert_int_equal(p.server.got_len, 0);
    assert_int_equal(p.server.end, NEVER);
    stream_read(&p.server.stream);
    assert_int_equal(p.server.got_len, 0); /* not from within the call */
    p.server.pause_after = 1;
    RUN_UNTIL(&p, has_text(&p.server, "request"));
    run_a_while(&p);
    assert_int_equal(p.server.end, NEVER); /* it paused again: the end waits too */
    stream_read(&p.server.stream);
    RUN_UNTIL(&p, p.server.end == 0);
    pair_close(&p);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void test_back_pressure_reaches_the_sender(void **state)
{
    enum { MUCH = 32 * 1024 * 1024 };
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    char *much = xcalloc(1, MUCH);
    struct pair p;

    (void)state;
    pair_connect(&p, server, client, "model.example");
    stream_pause(&p.server.stream);
    uv_buf_t buf = uv_buf_init(much, MUCH);
    assert_true(stream_write(&p.client.stream, &buf, 1) > 0);
    run_a_while(&p);
    assert_true(stream_pending(&p.client.stream) > 0);
    assert_int_equal(p.client.drains, 0);
    assert_int_equal(p.server.got_len, 0);
    stream_read(&p.server.stream);
    RUN_UNTIL(&p, p.server.got_len == MUCH);
    RUN_UNTIL(&p, p.client.drains == 1);
    pair_close(&p);
    free(much);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void test_half_close(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    struct pair p;

    (void)state;
    pair_connect(&p, server, client, "model.example");
    write_text(&p.client, "question");
    stream_shutdown(&p.client.stream);
    RUN_UNTIL(&p, p.server.end == 0);
    assert_true(has_text(&p.server, "question"));
    write_text(&p.server, "answer");
    RUN_UNTIL(&p, has_text(&p.client, "answer"));
    stream_shutdown(&p.server.stream);
    RUN_UNTIL(&p, p.client.end == 0);
    pair_close(&p);
    tls_server_unref(server);
    tls_client_unref(client);
}

/* Who would give the connection to somebody else at the end of an answer must not be told only
 * afterwards that it is over. */
static void test_last_bytes_are_known_for_the_last(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    struct pair p;

    (void)state;
    pair_connect(&p, server, client, "model.example");
    write_text(&p.server, "not the last");
    RUN_UNTIL(&p, has_text(&p.client, "not the last"));
    assert_false(p.client.last);
    assert_false(stream_is_ending(&p.client.stream));
    write_text(&p.server, ", the last");
    stream_close(&p.server.stream);
    RUN_UNTIL(&p, p.client.end == 0);
    assert_true(has_text(&p.client, "not the last, the last"));
    assert_true(p.client.last);
    pair_close(&p);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void test_ends(void **state)
{
    static const struct {
        const char *how;
        int expected;
    } cases[] = {{"close", 0}, {"fin", UV_EPROTO}, {"reset", UV_ECONNRESET}, {"lost", UV_EPROTO}};
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const char *how = cases[i].how;
        struct pair p;
        pair_connect(&p, server, client, "model.example");
        write_text(&p.server, "half an answer");
        RUN_UNTIL(&p, p.client.got_len > 0);
        if (how[0] == 'c')
            stream_close(&p.server.stream);
        else if (how[0] == 'f')
            shutdown(fd_of(&p.server), SHUT_WR);
        else if (how[0] == 'r')
            stream_reset(&p.server.stream);
        else { /* bytes that are no record */
            uv_buf_t buf = uv_buf_init("garbage in between", 18);
            (void)send(p.server.stream.fd, buf.base, buf.len, MSG_NOSIGNAL);
        }
        RUN_UNTIL(&p, p.client.end != NEVER);
        assert_int_equal(p.client.end, cases[i].expected);
        assert_int_equal(stream_tls_error(&p.client.stream)[0] != '\0',
                         cases[i].expected == UV_EPROTO);
        assert_true(has_text(&p.client, "half an answer"));
        pair_close(&p);
    }
    tls_server_unref(server);
    tls_client_unref(client);
}

/* A peer cannot take what was cut for whole: what is dropped is not followed by a close_notify. */
static void test_close_with_bytes_pending_is_no_clean_end(void **state)
{
    enum { MUCH = 32 * 1024 * 1024 };
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    char *much = xcalloc(1, MUCH);
    struct pair p;

    (void)state;
    pair_connect(&p, server, client, "model.example");
    uv_buf_t buf = uv_buf_init(much, MUCH);
    assert_true(stream_write(&p.server.stream, &buf, 1) > 0);
    stream_close(&p.server.stream);
    RUN_UNTIL(&p, p.client.end != NEVER);
    assert_true(p.client.end < 0);
    pair_close(&p);
    free(much);
    tls_server_unref(server);
    tls_client_unref(client);
}

static bool resumes(struct tls_server *server, struct tls_client *client, const char *name)
{
    struct pair p;

    pair_connect(&p, server, client, name);
    assert_int_equal(p.client.connected, 0);
    write_text(&p.server, "x"); /* tickets come before it */
    RUN_UNTIL(&p, p.client.got_len == 1);
    bool resumed = stream_tls_resumed(&p.client.stream);
    assert_int_equal(stream_tls_resumed(&p.server.stream), resumed);
    pair_close(&p);
    return resumed;
}

static void test_resumption(void **state)
{
    const struct tls_pair pair = {.certificate = authority.leaf_file, .key = authority.key_file};
    struct tls_server_options options = {.pairs = &pair, .count = 1, .clock = &clock_system};
    struct tls_server *server = server_new(&options, NULL), *renewed, *other;
    struct tls_client *client = client_for(&authority), *second = client_for(&authority);

    (void)state;
    assert_false(resumes(server, client, "model.example"));
    assert_true(resumes(server, client, "model.example"));
    assert_true(resumes(server, client, "model.example"));
    assert_false(resumes(server, client, "127.0.0.1")); /* verified for another name */
    assert_false(resumes(server, second, "model.example"));

    renewed = server_new(&options, server); /* the certificates were read again */
    tls_server_unref(server);
    assert_true(resumes(renewed, client, "model.example"));

    other = server_new(&options, NULL); /* another process: no key opens its tickets */
    assert_false(resumes(other, client, "model.example"));
    tls_server_unref(other);

    options.client_ca = authority.ca_file; /* other rules: nobody gets round them with a ticket */
    options.client_auth = TLS_CLIENT_AUTH_OPTIONAL;
    assert_true(resumes(renewed, second, "model.example"));
    other = server_new(&options, renewed);
    assert_false(resumes(other, second, "model.example"));
    tls_server_unref(other);
    tls_server_unref(renewed);
    tls_client_unref(client);
    tls_client_unref(second);
}

/* Taking a session up again skips the verification, and the new one that comes with it would, too:
 * an endpoint is verified anew in the end however often it was asked. */
static void test_endpoints_are_verified_again(void **state)
{
    static const char *const names[] = {"model.example", "127.0.0.1"};
    struct tls_server *server = server_for(&authority);
    struct fake_clock clock;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(names); i++) {
        fake_clock_init(&clock);
        struct tls_client *client = client_new(&(struct tls_client_options){
            .ca = authority.ca_file, .verify = true, .clock = &clock.clock});
        for (int round = 0; round < 8; round++) { /* every 50 minutes: 0:00, 0:50, 1:40, 2:30 ... */
            assert_int_equal(resumes(server, client, names[i]), round % 3 != 0);
            fake_clock_advance(&clock, 50 * NS_PER_MIN);
        }
        tls_client_unref(client);
    }
    tls_server_unref(server);
}

static void test_nobody_is_not_believed(void **state)
{
    struct tls_client *client = client_for(&authority);
    struct loop loop;
    struct end e = {.name = "client"};

    (void)state;
    /* As the name to be checked, OpenSSL would take "" for "whoever it is". */
    assert_int_equal(loop_init(&loop, &clock_system), 0);
    stream_init(&e.stream, &loop, &end_events);
    assert_true(stream_secure_client(&e.stream, client, "") < 0);
    stream_close(&e.stream);
    uv_run(&loop.uv, UV_RUN_DEFAULT);
    assert_true(e.closed);
    loop_deinit(&loop);
    tls_client_unref(client);
}

static void test_who_is_believed(void **state)
{
    struct test_certificate expired;
    struct authority old = authority;
    const struct {
        const struct authority *server;
        const char *ca, *name, *why;
        bool trusting;
    } cases[] = {
        {&authority, authority.ca_file, "model.example", NULL, false},
        {&authority, authority.ca_file, "model.example.", NULL, false},
        {&authority, authority.ca_file, "a.wild.example", NULL, false},
        {&authority, authority.ca_file, "127.0.0.1", NULL, false},
        {&authority, authority.ca_file, "a.b.wild.example", "not for a.b.wild.example", false},
        {&authority, authority.ca_file, "evil.example",
         "the certificate is for model.example, *.wild.example, 127.0.0.1, not for evil.example",
         false},
        {&authority, authority.ca_file, "127.0.0.2", "not for 127.0.0.2", false},
        {&authority, authority.ca_file, "::1", "not for 0:0:0:0:0:0:0:1", false},
        {&stranger, authority.ca_file, "model.example", "unable to get local issuer", false},
        {&stranger, NULL, "model.example", "unable to get local issuer", false},
        {&old, authority.ca_file, "model.example", "certificate has expired", false},
        {&stranger, authority.ca_file, "evil.example", NULL, true},
        {&old, authority.ca_file, "model.example", NULL, true},
    };

    (void)state;
    test_certificate_make(&expired, &(struct test_certificate_spec){.name = "model",
                                                                    .names = "DNS:model.example",
                                                                    .issuer = &authority.ca,
                                                                    .days_ago = 9,
                                                                    .days_left = -1});
    old.leaf_file =
        test_write_certificates("expired.pem", (const struct test_certificate *[]){&expired, NULL});
    old.key_file = test_write_key("expired.key", &expired, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct tls_server *server = server_for(cases[i].server);
        struct tls_client *client = client_new(&(struct tls_client_options){
            .ca = cases[i].ca, .verify = !cases[i].trusting, .clock = &clock_system});
        struct pair p;
        pair_connect(&p, server, client, cases[i].name);
        const char *why = stream_tls_error(&p.client.stream);
        if (p.client.connected != (cases[i].why == NULL ? 0 : UV_EPROTO) ||
            (cases[i].why != NULL && strstr(why, cases[i].why) == NULL))
            fail_msg("%s: %d \"%s\"", cases[i].name, p.client.connected, why);
        /* The server learns why it is refused. */
        if (cases[i].why != NULL) {
            RUN_UNTIL(&p, p.server.connected != NEVER || p.server.end != NEVER);
            assert_non_null(strstr(stream_tls_error(&p.server.stream), "the peer refused"));
        }
        pair_close(&p);
        tls_server_unref(server);
        tls_client_unref(client);
    }
    test_certificate_free(&expired);
}

static void test_clients_certificates(void **state)
{
    static const struct {
        enum tls_client_auth auth;
        char with; /* n one, g ood, w rong */
        bool good;
    } cases[] = {
        {TLS_CLIENT_AUTH_NONE, 'n', true},      {TLS_CLIENT_AUTH_NONE, 'w', true},
        {TLS_CLIENT_AUTH_OPTIONAL, 'n', true},  {TLS_CLIENT_AUTH_OPTIONAL, 'g', true},
        {TLS_CLIENT_AUTH_OPTIONAL, 'w', false}, {TLS_CLIENT_AUTH_REQUIRED, 'n', false},
        {TLS_CLIENT_AUTH_REQUIRED, 'g', true},  {TLS_CLIENT_AUTH_REQUIRED, 'w', false},
    };
    const struct tls_pair pair = {.certificate = authority.leaf_file, .key = authority.key_file};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct authority *who = cases[i].with == 'w' ? &stranger : &authority;
        bool with = cases[i].with != 'n';
        struct tls_server *server =
            server_new(&(struct tls_server_options){.pairs = &pair,
                                                    .count = 1,
                                                    .client_ca = authority.ca_file,
                                                    .client_auth = cases[i].auth,
                                                    .clock = &clock_system},
                       NULL);
        struct tls_client *client =
            client_new(&(struct tls_client_options){.ca = authority.ca_file,
                                                    .certificate = with ? who->leaf_file : NULL,
                                                    .key = with ? who->key_file : NULL,
                                                    .verify = true,
                                                    .clock = &clock_system});
        for (int round = 0; round < 2; round++) { /* the second with a session, if there is one */
            struct pair p;
            pair_connect(&p, server, client, "model.example");
            if (p.server.connected != (cases[i].good ? 0 : UV_EPROTO))
                fail_msg("case %zu: %d %s", i, p.server.connected,
                         stream_tls_error(&p.server.stream));
            if (cases[i].good) {
                write_text(&p.server, "x");
                RUN_UNTIL(&p, p.client.got_len == 1);
                assert_int_equal(stream_tls_resumed(&p.server.stream), round == 1);
            } else { /* TLS 1.3: the client takes itself for connected until it reads */
                RUN_UNTIL(&p, p.client.end != NEVER);
                assert_int_equal(p.client.end, UV_EPROTO);
                assert_non_null(strstr(stream_tls_error(&p.client.stream), "the peer refused"));
                assert_true(stream_tls_error(&p.server.stream)[0] != '\0');
            }
            pair_close(&p);
        }
        tls_server_unref(server);
        tls_client_unref(client);
    }
}

static void test_not_tls_at_all(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);
    struct pair p;

    (void)state;
    pair_open(&p, server, NULL, NULL, "GET / HTTP/1.1\r\n\r\n");
    RUN_UNTIL(&p, p.server.connected != NEVER);
    assert_int_equal(p.server.connected, UV_EPROTO);
    assert_non_null(strstr(stream_tls_error(&p.server.stream), "does not speak TLS"));
    pair_close(&p);

    pair_open(&p, NULL, client, "model.example", NULL);
    write_text(&p.server, "HTTP/1.1 400 Bad Request\r\n\r\n");
    RUN_UNTIL(&p, p.client.connected != NEVER);
    assert_int_equal(p.client.connected, UV_EPROTO);
    assert_non_null(strstr(stream_tls_error(&p.client.stream), "does not speak TLS"));
    assert_int_equal(write_text(&p.client, "x"), UV_EPROTO);
    pair_close(&p);
    tls_server_unref(server);
    tls_client_unref(client);
}

static void test_peer_leaves_during_the_handshake(void **state)
{
    static const struct {
        const char *sent;
        int expected;
    } cases[] = {{NULL, UV_EOF}, {"\x16\x03\x01\x02", UV_EPROTO}};
    struct tls_server *server = server_for(&authority);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct pair p;
        pair_open(&p, server, NULL, NULL, cases[i].sent);
        RUN_UNTIL(&p, p.client.connected == 0);
        stream_shutdown(&p.client.stream);
        RUN_UNTIL(&p, p.server.connected != NEVER);
        assert_int_equal(p.server.connected, cases[i].expected);
        assert_int_equal(p.server.got_len, 0);
        assert_int_equal(p.server.end, NEVER);
        pair_close(&p);
    }
    tls_server_unref(server);
}

/* Nine bytes must not make OpenSSL take 128 KiB. */
static void test_room_is_made_for_no_giant(void **state)
{
    static const struct {
        size_t len;
        const char *bytes;
    } cases[] = {
        {9, "\x16\x03\x01\x02\x00\x01\x01\xf0\x00"},
        {14, "\x16\x03\x01\x00\x02\x01\x01\x16\x03\x01\x00\x02\xf0\x00"},
    };
    struct tls_server *server = server_for(&authority);

    (void)state;
    for (size_t i = 0; i < 2 * ARRAY_LEN(cases); i++) {
        size_t len = cases[i / 2].len, piece = i % 2 == 0 ? len : 1;
        struct pair p;
        pair_open(&p, server, NULL, NULL, NULL);
        RUN_UNTIL(&p, p.client.connected == 0);
        for (size_t at = 0; at < len; at += piece) {
            uv_buf_t buf = uv_buf_init((char *)(uintptr_t)cases[i / 2].bytes + at, (unsigned)piece);
            assert_int_equal(stream_write(&p.client.stream, &buf, 1), 0);
            uv_run(&p.loop.uv, UV_RUN_NOWAIT);
        }
        RUN_UNTIL(&p, p.server.connected == UV_EPROTO);
        assert_string_equal(stream_tls_error(&p.server.stream), "the ClientHello is too large");
        pair_close(&p);
    }
    tls_server_unref(server);
}

/* The alert must get through to a client that still sends: FIN first, then reading on. */
static void test_lingering_after_a_failed_handshake(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct pair p;

    (void)state;
    pair_open(&p, server, NULL, NULL, "this is no ClientHello");
    RUN_UNTIL(&p, p.server.connected == UV_EPROTO);
    stream_shutdown(&p.server.stream);
    RUN_UNTIL(&p, p.client.end == 0);
    write_text(&p.client, "more of it");
    stream_shutdown(&p.client.stream);
    RUN_UNTIL(&p, p.server.end == 0);
    assert_int_equal(p.server.got_len, 0);
    pair_close(&p);
    tls_server_unref(server);
}

static void test_close_in_any_state(void **state)
{
    struct tls_server *server = server_for(&authority);
    struct tls_client *client = client_for(&authority);

    (void)state;
    for (int turns = 0; turns < 12; turns++) {
        struct pair p;
        pair_open(&p, server, client, "model.example", "early");
        for (int i = 0; i < turns; i++)
            uv_run(&p.loop.uv, UV_RUN_NOWAIT);
        if (turns % 2 == 0)
            stream_reset(&p.client.stream);
        pair_close(&p);
    }
    tls_server_unref(server);
    tls_client_unref(client);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handshake),
        cmocka_unit_test(test_big_transfer_with_pauses),
        cmocka_unit_test(test_paused_owner_gets_nothing_and_loses_nothing),
        cmocka_unit_test(test_back_pressure_reaches_the_sender),
        cmocka_unit_test(test_half_close),
        cmocka_unit_test(test_last_bytes_are_known_for_the_last),
        cmocka_unit_test(test_ends),
        cmocka_unit_test(test_close_with_bytes_pending_is_no_clean_end),
        cmocka_unit_test(test_resumption),
        cmocka_unit_test(test_endpoints_are_verified_again),
        cmocka_unit_test(test_nobody_is_not_believed),
        cmocka_unit_test(test_who_is_believed),
        cmocka_unit_test(test_clients_certificates),
        cmocka_unit_test(test_not_tls_at_all),
        cmocka_unit_test(test_peer_leaves_during_the_handshake),
        cmocka_unit_test(test_room_is_made_for_no_giant),
        cmocka_unit_test(test_lingering_after_a_failed_handshake),
        cmocka_unit_test(test_close_in_any_state),
    };
    return cmocka_run_group_tests(tests, make_authorities, remove_authorities);
}
