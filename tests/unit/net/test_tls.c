/* Files that are wrong in every way, which certificate a client gets, and clients that OpenSSL
 * itself plays: old versions, other protocols, floods.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <sys/stat.h>

#include "tests/support/fake_clock.h"
#include "tests/unit/net/tls_fixture.h"

static struct authority model, other;

static int make_authorities(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2) */
    authority_make(&model, "model", "DNS:model.example,DNS:*.wild.example,IP:127.0.0.1,IP:::1");
    authority_make(&other, "other", "DNS:other.example,DNS:a.wild.example");
    return 0;
}

static int remove_authorities(void **state)
{
    (void)state;
    authority_free(&model);
    authority_free(&other);
    test_folder_remove();
    return 0;
}

/* --- files --- */

static void test_files_that_are_wrong(void **state)
{
    const char *garbled =
        test_write("garbled.pem",
                   "-----BEGIN CERTIFICATE-----\nbm90IGEgY2VydA==\n-----END CERTIFICATE-----\n");
    const char *locked = test_write_key("locked.key", &model.leaf, "secret");
    const char *text = test_write("text.pem", "not PEM at all\n");
    const char *empty = test_write("empty.pem", "");
    const char *nowhere = test_path("nowhere.pem");
    const struct {
        const char *certificate, *key, *ca, *file, *reason;
    } cases[] = {
        {nowhere, model.key_file, NULL, nowhere, "No such file"},
        {model.leaf_file, nowhere, NULL, nowhere, "No such file"},
        {text, model.key_file, NULL, text, "there is no PEM certificate in it"},
        {model.key_file, model.key_file, NULL, model.key_file, "there is no PEM certificate in it"},
        {model.leaf_file, model.leaf_file, NULL, model.leaf_file, "no PEM private key in it"},
        {model.leaf_file, text, NULL, text, "no PEM private key in it"},
        {empty, model.key_file, NULL, empty, "it is empty"},
        {test_folder(), model.key_file, NULL, test_folder(), "it is not a file"},
        {garbled, model.key_file, NULL, garbled, "a certificate in it cannot be read"},
        {model.leaf_file, locked, NULL, locked, "the key is encrypted with a passphrase"},
        {model.leaf_file, other.key_file, NULL, other.key_file, "is not that of the first"},
        {model.leaf_file, model.key_file, nowhere, nowhere, "No such file"},
        {model.leaf_file, model.key_file, empty, empty, "it is empty"},
        {model.leaf_file, model.key_file, text, text, "there is no PEM certificate in it"},
    };
    const struct source_pos at = {"sluice.yaml", 7, 3};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        const struct tls_pair pair = {cases[i].certificate, cases[i].key, at};
        const struct tls_server_options server = {.pairs = &pair,
                                                  .count = 1,
                                                  .client_ca = cases[i].ca,
                                                  .client_auth = TLS_CLIENT_AUTH_REQUIRED,
                                                  .at = at,
                                                  .clock = &clock_system};
        const struct tls_client_options client = {.ca = cases[i].ca,
                                                  .certificate = cases[i].certificate,
                                                  .key = cases[i].key,
                                                  .verify = false,
                                                  .at = at,
                                                  .clock = &clock_system};
        for (int side = 0; side < 2; side++) {
            struct diagnostics d;
            diagnostics_init(&d);
            if (side == 0)
                assert_null(tls_server_new(&server, NULL, &d));
            else
                assert_null(tls_client_new(&client, &d));
            assert_int_equal(d.count, 1);
            assert_int_equal(d.items[0].at.line, 7);
            assert_true(strncmp(d.items[0].message, cases[i].file, strlen(cases[i].file)) == 0);
            if (strstr(d.items[0].message, cases[i].reason) == NULL)
                fail_msg("case %zu: %s", i, d.items[0].message);
            assert_int_equal(ERR_peek_error(), 0);
            diagnostics_deinit(&d);
        }
    }
}

static void test_every_wrong_file_is_told(void **state)
{
    const struct tls_pair pairs[] = {{"/nowhere/a.pem", "/nowhere/a.key", {NULL, 1, 1}},
                                     {model.leaf_file, model.key_file, {NULL, 2, 1}},
                                     {model.leaf_file, "/nowhere/c.key", {NULL, 3, 1}}};
    struct diagnostics d;

    (void)state;
    diagnostics_init(&d);
    assert_null(tls_server_new(&(struct tls_server_options){.pairs = pairs,
                                                            .count = 3,
                                                            .client_ca = "/nowhere/ca.pem",
                                                            .client_auth = TLS_CLIENT_AUTH_OPTIONAL,
                                                            .clock = &clock_system},
                               NULL, &d));
    assert_int_equal(d.count, 4);
    diagnostics_deinit(&d);
}

static void test_dates_are_warnings(void **state)
{
    static const struct {
        int days_ago, days_left;
        const char *expected;
    } cases[] = {{9, -1, "has expired at"}, {-3, 9, "is not valid before"}, {1, 1, NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct test_certificate c;
        struct diagnostics d;
        test_certificate_make(&c, &(struct test_certificate_spec){.name = "x",
                                                                  .names = "DNS:date.example",
                                                                  .days_ago = cases[i].days_ago,
                                                                  .days_left = cases[i].days_left});
        const struct tls_pair pair = {
            test_write_certificates("date.pem", (const struct test_certificate *[]){&c, NULL}),
            test_write_key("date.key", &c, NULL),
            {NULL, 0, 0}};
        diagnostics_init(&d);
        struct tls_server *t = tls_server_new(
            &(struct tls_server_options){.pairs = &pair, .count = 1, .clock = &clock_system}, NULL,
            &d);
        assert_non_null(t);
        assert_true(diagnostics_ok(&d));
        assert_int_equal(d.count, cases[i].expected != NULL);
        if (d.count == 1) {
            assert_non_null(strstr(d.items[0].message, cases[i].expected));
            assert_non_null(strstr(d.items[0].message, "date.example"));
        }
        tls_server_unref(t);
        diagnostics_deinit(&d);
        test_certificate_free(&c);
    }
}

/* --- names --- */

static struct tls_server *two_names(void)
{
    const struct tls_pair pairs[] = {{model.leaf_file, model.key_file, {NULL, 0, 0}},
                                     {other.leaf_file, other.key_file, {NULL, 0, 0}}};

    return server_new(
        &(struct tls_server_options){.pairs = pairs, .count = 2, .clock = &clock_system}, NULL);
}

static void test_which_certificate_a_client_gets(void **state)
{
    static const struct {
        const char *name;
        char expected; /* model's or other's */
    } cases[] = {{"model.example", 'm'},    {"other.example", 'o'},  {"OTHER.example", 'o'},
                 {"a.wild.example", 'o'},   {"b.wild.example", 'm'}, {"unknown.example", 'm'},
                 {"a.b.wild.example", 'm'}, {"127.0.0.1", 'm'}};
    struct tls_server *server = two_names();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        /* Believes only the one that is expected; the name is not looked at where it is unknown. */
        bool known = cases[i].name[0] != 'u' && strstr(cases[i].name, "a.b") == NULL;
        const struct authority *a = cases[i].expected == 'm' ? &model : &other;
        struct tls_client *client = client_for(a);
        struct pair p;
        pair_connect(&p, server, client, cases[i].name);
        if (known)
            assert_int_equal(p.client.connected, 0);
        else
            assert_non_null(strstr(stream_tls_error(&p.client.stream), "is for model.example"));
        pair_close(&p);
        tls_client_unref(client);
    }
    tls_server_unref(server);
}

static void test_covers(void **state)
{
    static const struct {
        const char *sni, *host;
        bool expected;
    } cases[] = {
        {"model.example", "model.example", true},
        {"model.example", "MODEL.example.", true},
        {"model.example", "b.wild.example", true},
        {"model.example", "a.wild.example", true}, /* its wildcard, whoever else has the name */
        {"model.example", "other.example", false},
        {"model.example", "unknown.example", false},
        {"model.example", "127.0.0.1", true},
        {"model.example", "[::1]", true},
        {"model.example", "[0:0::1]", true},
        {"model.example", "[::2]", false},
        {"other.example", "a.wild.example", true},
        {"other.example", "b.wild.example", false},
        {"other.example", "model.example", false},
        {"unknown.example", "unknown.example", true}, /* it got what it asked for */
        {"unknown.example", "model.example", true},
        {"unknown.example", "other.example", false},
        {"", "model.example", true},
        {"", "other.example", false},
        {"model.example", "", false},
    };
    struct tls_server *server = two_names();

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        if (tls_server_covers(server, cases[i].sni, str_from(cases[i].host)) != cases[i].expected)
            fail_msg("%s, %s", cases[i].sni, cases[i].host);
    tls_server_unref(server);
}

/* --- clients that OpenSSL plays, over a plain stream --- */

struct player {
    SSL_CTX *ctx;
    SSL *ssl;
    size_t fed; /* of what the stream got */
};

static void player_init(struct player *y, SSL_SESSION *session)
{
    *y = (struct player){.ctx = SSL_CTX_new(TLS_client_method())};
    SSL_CTX_set_security_level(y->ctx, 0);
    y->ssl = SSL_new(y->ctx);
    SSL_set_connect_state(y->ssl);
    SSL_set_bio(y->ssl, BIO_new(BIO_s_mem()), BIO_new(BIO_s_mem()));
    if (session != NULL)
        SSL_set_session(y->ssl, session);
}

static void player_deinit(struct player *y)
{
    SSL_free(y->ssl);
    SSL_CTX_free(y->ctx);
}

/* Bytes between the stream and OpenSSL. */
static void carry(struct pair *p, struct player *y)
{
    struct end *e = &p->client;
    char bytes[4096];
    int n;

    if (e->got_len > y->fed) {
        BIO_write(SSL_get_rbio(y->ssl), e->got + y->fed, (int)(e->got_len - y->fed));
        y->fed = e->got_len;
    }
    while ((n = BIO_read(SSL_get_wbio(y->ssl), bytes, sizeof(bytes))) > 0) {
        uv_buf_t buf = uv_buf_init(bytes, (unsigned)n);
        stream_write(&e->stream, &buf, 1);
    }
}

/* Plays the handshake to its end; returns what the server made of it. */
static int play(struct pair *p, struct player *y, struct tls_server *server)
{
    pair_open(p, server, NULL, NULL, NULL);
    RUN_UNTIL(p, p->client.connected == 0);
    for (p->ticks = 0; p->ticks < TICKS_MAX;) {
        bool done = SSL_do_handshake(y->ssl) == 1;
        if (p->server.connected != NEVER && (done || p->server.connected < 0))
            break;
        carry(p, y);
        uv_run(&p->loop.uv, UV_RUN_ONCE);
    }
    ERR_clear_error();
    return p->server.connected;
}

static void test_versions_and_protocols(void **state)
{
    static const unsigned char h2[] = "\x02h2", both[] = "\x02h2\x08http/1.1",
                               old[] = "\x08http/1.0";
    const struct {
        int version;
        const unsigned char *alpn;
        unsigned alpn_len;
        const char *cipher, *chosen, *why; /* why NULL: good */
    } cases[] = {
        {TLS1_3_VERSION, NULL, 0, NULL, "", NULL},
        {TLS1_2_VERSION, NULL, 0, NULL, "", NULL},
        {TLS1_1_VERSION, NULL, 0, NULL, "", "unsupported protocol"},
        {TLS1_VERSION, NULL, 0, NULL, "", "unsupported protocol"},
        {TLS1_3_VERSION, both, sizeof(both) - 1, NULL, "http/1.1", NULL},
        {TLS1_2_VERSION, both, sizeof(both) - 1, NULL, "http/1.1", NULL},
        {TLS1_3_VERSION, h2, sizeof(h2) - 1, NULL, "", "no application protocol"},
        {TLS1_2_VERSION, old, sizeof(old) - 1, NULL, "", "no application protocol"},
        {TLS1_2_VERSION, NULL, 0, "ECDHE-ECDSA-AES128-SHA", "", "no shared cipher"},
        {TLS1_2_VERSION, NULL, 0, "ECDHE-ECDSA-AES256-GCM-SHA384", "", NULL},
    };
    struct tls_server *server = server_for(&model);

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct player y;
        struct pair p;
        player_init(&y, NULL);
        SSL_set_min_proto_version(y.ssl, cases[i].version);
        SSL_set_max_proto_version(y.ssl, cases[i].version);
        if (cases[i].alpn != NULL)
            SSL_set_alpn_protos(y.ssl, cases[i].alpn, cases[i].alpn_len);
        if (cases[i].cipher != NULL)
            assert_int_equal(SSL_set_cipher_list(y.ssl, cases[i].cipher), 1);
        int status = play(&p, &y, server);
        if (status != (cases[i].why == NULL ? 0 : UV_EPROTO) ||
            strcmp(stream_alpn(&p.server.stream), cases[i].chosen) != 0 ||
            (cases[i].why != NULL &&
             strstr(stream_tls_error(&p.server.stream), cases[i].why) == NULL))
            fail_msg("case %zu: %d %s", i, status, stream_tls_error(&p.server.stream));
        pair_close(&p);
        player_deinit(&y);
    }
    tls_server_unref(server);
}

/* Work for us and nothing for the client: it is cut, and what it may do is bounded. */
static void test_floods_are_cut(void **state)
{
    struct tls_server *server = server_for(&model);
    struct player y;
    struct pair p;
    int updates = 0;

    (void)state;
    player_init(&y, NULL);
    SSL_set_min_proto_version(y.ssl, TLS1_3_VERSION);
    assert_int_equal(play(&p, &y, server), 0);
    for (; p.server.end == NEVER && updates < 1000; updates++) {
        assert_int_equal(SSL_key_update(y.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_do_handshake(y.ssl), 1);
        carry(&p, &y);
        uv_run(&p.loop.uv, UV_RUN_NOWAIT);
    }
    assert_int_equal(p.server.end, UV_EPROTO);
    assert_in_range(updates, 20, 60);
    assert_non_null(strstr(stream_tls_error(&p.server.stream), "floods"));
    pair_close(&p);
    player_deinit(&y);
    tls_server_unref(server);
}

static void test_key_updates_among_content_are_fine(void **state)
{
    enum { ROUNDS = 100, PIECE = 64 * 1024 };
    static char piece[PIECE];
    struct tls_server *server = server_for(&model);
    struct player y;
    struct pair p;

    (void)state;
    player_init(&y, NULL);
    SSL_set_min_proto_version(y.ssl, TLS1_3_VERSION);
    assert_int_equal(play(&p, &y, server), 0);
    for (size_t i = 0; i < ROUNDS; i++) {
        assert_int_equal(SSL_key_update(y.ssl, SSL_KEY_UPDATE_REQUESTED), 1);
        assert_int_equal(SSL_write(y.ssl, piece, PIECE), PIECE);
        carry(&p, &y);
        RUN_UNTIL(&p, p.server.got_len == (i + 1) * PIECE);
        assert_int_equal(write_text(&p.server, "ok"), 0); /* our keys changed, too */
    }
    pair_close(&p);
    player_deinit(&y);
    tls_server_unref(server);
}

static void test_renegotiation_is_refused(void **state)
{
    struct tls_server *server = server_for(&model);
    struct player y;
    struct pair p;

    (void)state;
    player_init(&y, NULL);
    SSL_set_max_proto_version(y.ssl, TLS1_2_VERSION);
    assert_int_equal(play(&p, &y, server), 0);
    assert_int_equal(SSL_renegotiate(y.ssl), 1);
    (void)SSL_do_handshake(y.ssl);
    carry(&p, &y);
    run_a_while(&p);
    carry(&p, &y);
    assert_int_not_equal(SSL_do_handshake(y.ssl), 1);
    ERR_clear_error();
    pair_close(&p);
    player_deinit(&y);
    tls_server_unref(server);
}

/* A client that can do only one kind of signature gets the certificate it can check. */
static void test_two_kinds_of_key_for_one_name(void **state)
{
    static const struct {
        const char *algorithms;
        int kind;
    } cases[] = {{"RSA-PSS+SHA256", EVP_PKEY_RSA}, {"ECDSA+SHA256", EVP_PKEY_EC}};
    struct test_certificate rsa;

    (void)state;
    test_certificate_make(&rsa,
                          &(struct test_certificate_spec){
                              .name = "rsa",
                              .names = "DNS:model.example,DNS:*.wild.example,IP:127.0.0.1,IP:::1",
                              .issuer = &model.ca,
                              .rsa = true});
    const struct tls_pair pairs[] = {
        {model.leaf_file, model.key_file, {NULL, 0, 0}},
        {test_write_certificates("rsa.pem", (const struct test_certificate *[]){&rsa, NULL}),
         test_write_key("rsa.key", &rsa, NULL),
         {NULL, 0, 0}}};
    struct tls_server *server = server_new(
        &(struct tls_server_options){.pairs = pairs, .count = 2, .clock = &clock_system}, NULL);
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        struct player y;
        struct pair p;
        player_init(&y, NULL);
        assert_int_equal(SSL_set1_sigalgs_list(y.ssl, cases[i].algorithms), 1);
        SSL_set_tlsext_host_name(y.ssl, "model.example");
        assert_int_equal(play(&p, &y, server), 0);
        EVP_PKEY *key = X509_get0_pubkey(SSL_get0_peer_certificate(y.ssl));
        assert_int_equal(EVP_PKEY_get_base_id(key), cases[i].kind);
        pair_close(&p);
        player_deinit(&y);
    }
    tls_server_unref(server);
    test_certificate_free(&rsa);
}

static int tickets;

static int count_ticket(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    (void)session;
    tickets++;
    return 0;
}

/* Connects, takes a ticket; *session is offered and replaced by the new one. */
static bool play_resumption(struct tls_server *server, SSL_SESSION **session, int version)
{
    struct player y;
    struct pair p;
    char byte;

    player_init(&y, *session);
    SSL_CTX_set_session_cache_mode(y.ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(y.ctx, count_ticket);
    SSL_set_min_proto_version(y.ssl, version);
    SSL_set_max_proto_version(y.ssl, version);
    assert_int_equal(play(&p, &y, server), 0);
    write_text(&p.server, "x");
    for (p.ticks = 0; SSL_read(y.ssl, &byte, 1) != 1 && p.ticks < TICKS_MAX;) {
        uv_run(&p.loop.uv, UV_RUN_ONCE);
        carry(&p, &y);
    }
    bool resumed = SSL_session_reused(y.ssl);
    SSL_SESSION_free(*session);
    *session = SSL_get1_session(y.ssl);
    SSL_shutdown(y.ssl);
    pair_close(&p);
    player_deinit(&y);
    return resumed;
}

/* For the model's certificate, by a clock that the test moves. */
static struct tls_server *server_on(struct fake_clock *clock)
{
    const struct tls_pair pair = {model.leaf_file, model.key_file, {NULL, 0, 0}};

    return server_new(
        &(struct tls_server_options){.pairs = &pair, .count = 1, .clock = &clock->clock}, NULL);
}

static void test_ticket_keys_change(void **state)
{
    struct fake_clock clock;

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_SESSION *session = NULL;
        fake_clock_init(&clock);
        struct tls_server *server = server_on(&clock);
        assert_false(play_resumption(server, &session, version));
        assert_true(play_resumption(server, &session, version));
        for (int hour = 0; hour < 2; hour++) { /* each time the key before is still good */
            fake_clock_advance(&clock, NS_PER_HOUR);
            assert_true(play_resumption(server, &session, version));
        }
        SSL_SESSION *kept = session;
        SSL_SESSION_up_ref(kept);
        for (int hour = 0; hour < 5; hour++) { /* others came in the meantime */
            SSL_SESSION *theirs = NULL;
            fake_clock_advance(&clock, NS_PER_HOUR);
            assert_false(play_resumption(server, &theirs, version));
            SSL_SESSION_free(theirs);
        }
        assert_false(play_resumption(server, &kept, version));
        SSL_SESSION_free(kept);
        SSL_SESSION_free(session);
        tls_server_unref(server);
    }
}

/* A client that uses each ticket once, as TLS 1.3 would have it, never runs out of them. */
static void test_a_ticket_with_every_connection(void **state)
{
    struct tls_server *server = server_for(&model);
    SSL_SESSION *session = NULL;

    (void)state;
    tickets = 0;
    for (int round = 0; round < 4; round++) {
        assert_int_equal(play_resumption(server, &session, TLS1_3_VERSION), round > 0);
        assert_int_equal(tickets, round + 1);
    }
    SSL_SESSION_free(session);
    tls_server_unref(server);
}

/* TLS 1.3 gives a session that is taken up a new time: the certificates in it must not live on with
 * it. */
static void test_sessions_end_however_often_taken_up(void **state)
{
    struct fake_clock clock;

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        SSL_SESSION *session = NULL;
        fake_clock_init(&clock);
        struct tls_server *server = server_on(&clock);
        for (int round = 0; round < 8; round++) { /* every 50 minutes: 0:00, 0:50, 1:40, 2:30 ... */
            assert_int_equal(play_resumption(server, &session, version), round % 3 != 0);
            fake_clock_advance(&clock, 50 * NS_PER_MIN);
        }
        SSL_SESSION_free(session);
        tls_server_unref(server);
    }
}

/* The ClientHello that follows a HelloRetryRequest gets no more room than the first. */
static void test_room_is_made_for_no_second_giant(void **state)
{
    static const char giant[] = "\x16\x03\x03\x00\x04\x01\x01\xf0\x00";
    static const char changed[] = "\x14\x03\x03\x00\x01\x01";
    struct tls_server *server = server_for(&model);

    (void)state;
    for (int compatible = 0; compatible < 2; compatible++) {
        struct player y;
        struct pair p;
        player_init(&y, NULL);
        SSL_set_min_proto_version(y.ssl, TLS1_3_VERSION);
        assert_int_equal(SSL_set1_groups_list(y.ssl, "P-521:X25519"), 1);
        pair_open(&p, server, NULL, NULL, NULL);
        RUN_UNTIL(&p, p.client.connected == 0);
        assert_int_not_equal(SSL_do_handshake(y.ssl), 1);
        carry(&p, &y);
        RUN_UNTIL(&p, p.client.got_len > 0);
        assert_int_equal(p.client.got[0], 0x16); /* the HelloRetryRequest */
        for (size_t i = compatible == 0 ? sizeof(changed) - 1 : 0; i < sizeof(changed) - 1; i++) {
            uv_buf_t buf = uv_buf_init((char *)(uintptr_t)&changed[i], 1);
            assert_int_equal(stream_write(&p.client.stream, &buf, 1), 0);
        }
        uv_buf_t buf = uv_buf_init((char *)(uintptr_t)giant, sizeof(giant) - 1);
        assert_int_equal(stream_write(&p.client.stream, &buf, 1), 0);
        run_a_while(&p);
        assert_int_equal(p.server.connected, UV_EPROTO);
        assert_string_equal(stream_tls_error(&p.server.stream), "the ClientHello is too large");
        ERR_clear_error();
        pair_close(&p);
        player_deinit(&y);
    }
    tls_server_unref(server);
}

/* And it is let through when it is an honest one, also in TLS 1.2 where other messages follow. */
static void test_second_hello_is_fine(void **state)
{
    struct tls_server *server = server_for(&model);

    (void)state;
    for (int version = TLS1_2_VERSION; version <= TLS1_3_VERSION; version++) {
        struct player y;
        struct pair p;
        player_init(&y, NULL);
        SSL_set_min_proto_version(y.ssl, version);
        SSL_set_max_proto_version(y.ssl, version);
        assert_int_equal(SSL_set1_groups_list(y.ssl, "P-521:P-256"), 1);
        assert_int_equal(play(&p, &y, server), 0);
        pair_close(&p);
        player_deinit(&y);
    }
    tls_server_unref(server);
}

/* Where a session is taken up, TLS 1.2 encrypts the very next message, whatever it looks like. */
static void test_encrypted_bytes_are_no_hello(void **state)
{
    static char finished[] = "\x14\x03\x03\x00\x01\x01\x16\x03\x03\x00\x28\x01\xf0\x00\x00"
                             "0123456789abcdef0123456789abcdef0123";
    struct tls_server *server = server_for(&model);
    SSL_SESSION *session = NULL;
    struct player y;
    struct pair p;

    (void)state;
    assert_false(play_resumption(server, &session, TLS1_2_VERSION));
    player_init(&y, session);
    SSL_set_max_proto_version(y.ssl, TLS1_2_VERSION);
    pair_open(&p, server, NULL, NULL, NULL);
    RUN_UNTIL(&p, p.client.connected == 0);
    assert_int_not_equal(SSL_do_handshake(y.ssl), 1);
    carry(&p, &y);
    RUN_UNTIL(&p, p.client.got_len > 0);
    uv_buf_t buf = uv_buf_init(finished, sizeof(finished) - 1);
    assert_int_equal(stream_write(&p.client.stream, &buf, 1), 0);
    RUN_UNTIL(&p, p.server.connected != NEVER);
    assert_string_equal(stream_tls_error(&p.server.stream), "decryption failed or bad record mac");
    ERR_clear_error();
    pair_close(&p);
    player_deinit(&y);
    SSL_SESSION_free(session);
    tls_server_unref(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_files_that_are_wrong),
        cmocka_unit_test(test_every_wrong_file_is_told),
        cmocka_unit_test(test_dates_are_warnings),
        cmocka_unit_test(test_which_certificate_a_client_gets),
        cmocka_unit_test(test_covers),
        cmocka_unit_test(test_versions_and_protocols),
        cmocka_unit_test(test_floods_are_cut),
        cmocka_unit_test(test_key_updates_among_content_are_fine),
        cmocka_unit_test(test_renegotiation_is_refused),
        cmocka_unit_test(test_two_kinds_of_key_for_one_name),
        cmocka_unit_test(test_ticket_keys_change),
        cmocka_unit_test(test_a_ticket_with_every_connection),
        cmocka_unit_test(test_sessions_end_however_often_taken_up),
        cmocka_unit_test(test_room_is_made_for_no_second_giant),
        cmocka_unit_test(test_second_hello_is_fine),
        cmocka_unit_test(test_encrypted_bytes_are_no_hello),
    };
    return cmocka_run_group_tests(tests, make_authorities, remove_authorities);
}
