/* An upstream's side of TLS: whom to believe, who we are, and the sessions to take up again. A
 * session is only ever offered to the endpoint that gave it under the name it was verified for,
 * since taking it up skips the verification.
 */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/tls_internal.h"

enum { NAME_MAX_BYTES = 255, KEY_MAX = 512 };

struct tls_client {
    _Atomic uint32_t references;
    const struct clock *clock;
    SSL_CTX *context;
    struct tls_sessions *sessions;
    bool verify;
};

/* Each connection's session key hangs on its SSL and goes with it. */
static int key_index;

static void free_key(void *parent, void *key, CRYPTO_EX_DATA *data, int index, long l, void *p)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)l;
    (void)p;
    free(key);
}

static void make_key_index(void)
{
    key_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_key);
    CHECK(key_index >= 0);
}

static int on_session(SSL *ssl, SSL_SESSION *session)
{
    const struct tls_client *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
    const char *key = SSL_get_ex_data(ssl, key_index);

    if (key == NULL || !SSL_SESSION_is_resumable(session))
        return 0;
    tls_session_stamp(session, SSL_session_reused(ssl) == 1, clock_mono(t->clock));
    tls_sessions_put(t->sessions, key, session);
    return 0; /* a copy was kept, not this one */
}

static void check_system_store(struct source_pos at, struct diagnostics *reterr)
{
    const char *file = getenv(X509_get_default_cert_file_env());
    const char *folder = getenv(X509_get_default_cert_dir_env());

    if (access(file != NULL ? file : X509_get_default_cert_file(), R_OK) != 0 &&
        access(folder != NULL ? folder : X509_get_default_cert_dir(), R_OK) != 0)
        diagnostics_warnf(reterr, at, "install ca-certificates, or name a file: upstream.tls.ca",
                          "this system has no certificate authorities: every endpoint with "
                          "https:// will fail");
}

static bool load(struct tls_client *t, const struct tls_client_options *o,
                 struct diagnostics *reterr)
{
    const struct tls_pair pair = {o->certificate, o->key, o->at};
    struct tls_identity id;
    bool good = true;

    if (o->ca != NULL) {
        STACK_OF(X509) *authorities = tls_load_authorities(o->ca, o->at, reterr);
        good = authorities != NULL;
        if (good)
            tls_trust(t->context, authorities);
        sk_X509_pop_free(authorities, X509_free);
    } else if (o->verify) {
        CHECK(SSL_CTX_set_default_verify_paths(t->context) == 1);
        check_system_store(o->at, reterr);
    }
    if (o->certificate == NULL)
        return good;
    if (!tls_load_identity(&pair, clock_wall(o->clock), &id, reterr))
        return false;
    good &= tls_use_identity(t->context, &id, &pair, reterr);
    tls_identity_deinit(&id);
    return good;
}

struct tls_client *tls_client_new(const struct tls_client_options *o, struct diagnostics *reterr)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    static const unsigned char protocols[] = "\x08http/1.1";
    struct tls_client *t = xcalloc(1, sizeof(*t));

    CHECK(pthread_once(&once, make_key_index) == 0);
    t->references = 1;
    t->clock = o->clock;
    t->verify = o->verify;
    t->sessions = tls_sessions_new();
    t->context = tls_context_new(TLS_client_method());
    SSL_CTX_set_app_data(t->context, t);
    if (o->verify)
        tls_verify(t->context, SSL_VERIFY_PEER);
    CHECK(SSL_CTX_set_alpn_protos(t->context, protocols, sizeof(protocols) - 1) == 0);
    SSL_CTX_set_session_cache_mode(t->context, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
    SSL_CTX_sess_set_new_cb(t->context, on_session);
    if (load(t, o, reterr))
        return t;
    tls_client_unref(t);
    return NULL;
}

struct tls_client *tls_client_ref(struct tls_client *t)
{
    atomic_fetch_add(&t->references, 1);
    return t;
}

void tls_client_unref(struct tls_client *t)
{
    if (t == NULL || atomic_fetch_sub(&t->references, 1) > 1)
        return;
    SSL_CTX_free(t->context);
    tls_sessions_free(t->sessions);
    free(t);
}

/* Says whom we want and checks that it is who answers. An address is no name: it is checked, but
 * not sent (RFC 6066, 3). */
static bool expect(const struct tls_client *t, SSL *ssl, const char *name)
{
    unsigned char address[sizeof(struct in6_addr)];
    X509_VERIFY_PARAM *param = SSL_get0_param(ssl);

    if (inet_pton(AF_INET, name, address) == 1 || inet_pton(AF_INET6, name, address) == 1)
        return !t->verify || X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
    if (SSL_set_tlsext_host_name(ssl, name) != 1)
        return false;
    SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
    return !t->verify || SSL_set1_host(ssl, name) == 1;
}

SSL *tls_client_connection(struct tls_client *t, const char *server_name)
{
    struct str name = str_from(server_name);
    char text[NAME_MAX_BYTES + 1];
    SSL *ssl;

    if (name.len > 1 && name.ptr[name.len - 1] == '.') /* the root's dot is no part of it */
        name.len--;
    if (!str_copy(text, sizeof(text), name) || (ssl = SSL_new(t->context)) == NULL)
        return NULL;
    SSL_set_connect_state(ssl);
    if (expect(t, ssl, text) && SSL_set_ex_data(ssl, key_index, xstrdup(text)) == 1)
        return ssl;
    SSL_free(ssl);
    return NULL;
}

/* The name the connection was made for, then the address it goes to. */
static char *session_key(const char *name, const struct sockaddr *address)
{
    char host[INET6_ADDRSTRLEN] = "", key[KEY_MAX];
    const struct sockaddr_in *v4 = (const struct sockaddr_in *)(const void *)address;
    const struct sockaddr_in6 *v6 = (const struct sockaddr_in6 *)(const void *)address;
    bool is_v6 = address->sa_family == AF_INET6;

    inet_ntop(address->sa_family, is_v6 ? (const void *)&v6->sin6_addr : &v4->sin_addr, host,
              sizeof(host));
    snprintf(key, sizeof(key), "%s %s %u", name, host,
             (unsigned)ntohs(is_v6 ? v6->sin6_port : v4->sin_port));
    return xstrdup(key);
}

void tls_client_resume(struct tls_client *t, SSL *ssl, const struct sockaddr *address)
{
    char *name = SSL_get_ex_data(ssl, key_index), *key = session_key(name, address);

    free(name);
    CHECK(SSL_set_ex_data(ssl, key_index, key) == 1);
    SSL_SESSION *session = tls_sessions_get(t->sessions, key);
    if (session == NULL)
        return;
    if (tls_session_is_fresh(session, clock_mono(t->clock)))
        (void)SSL_set_session(ssl, session);
    SSL_SESSION_free(session);
}

void tls_client_forget(struct tls_client *t, SSL *ssl)
{
    tls_sessions_drop(t->sessions, SSL_get_ex_data(ssl, key_index));
}
