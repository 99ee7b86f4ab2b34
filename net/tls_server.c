/* A listener's side of TLS. OpenSSL has one context per certificate and changes over when it has
 * read which name the client wants; a certificate of another kind (RSA, ECDSA) for the same names
 * shares its context, and the client's abilities choose between the two.
 */
#include <arpa/inet.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/ssl.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/tls_internal.h"

enum { CLIENT_CHAIN_BYTES_MAX = 32 * 1024 };

struct tls_server {
    _Atomic uint32_t references;
    const struct clock *clock;
    struct tls_tickets *tickets;
    struct tls_names names;
    size_t count;
    SSL_CTX **contexts; /* one per pair; the first is the default */
};

static int on_server_name(SSL *ssl, int *ret_alert, void *arg)
{
    const struct tls_server *t = arg;
    const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);

    (void)ret_alert;
    if (name == NULL)
        return SSL_TLSEXT_ERR_NOACK;
    size_t at = tls_names_find(&t->names, str_from(name), 0);
    if (at != 0)
        SSL_set_SSL_CTX(ssl, t->contexts[at]);
    return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **ret, unsigned char *ret_len,
                   const unsigned char *offered, unsigned len, void *arg)
{
    static const char ours[] = "http/1.1";

    (void)ssl;
    (void)arg;
    for (unsigned i = 0; i < len; i += 1u + offered[i]) {
        if (offered[i] == sizeof(ours) - 1 && i + sizeof(ours) <= len &&
            memcmp(&offered[i + 1], ours, sizeof(ours) - 1) == 0) {
            *ret = &offered[i + 1];
            *ret_len = offered[i];
            return SSL_TLSEXT_ERR_OK;
        }
    }
    return SSL_TLSEXT_ERR_ALERT_FATAL; /* no_application_protocol */
}

static int on_ticket(SSL *ssl, unsigned char *name, unsigned char *iv, EVP_CIPHER_CTX *cipher,
                     EVP_MAC_CTX *mac, int encrypt)
{
    const struct tls_server *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));

    return tls_tickets_apply(t->tickets, name, iv, cipher, mac, encrypt != 0);
}

/* Before a session is sealed: it keeps the time of the one it follows from. */
static int on_ticket_made(SSL *ssl, void *arg)
{
    const struct tls_server *t = arg;

    tls_session_stamp(SSL_get_session(ssl), SSL_session_reused(ssl) == 1, clock_mono(t->clock));
    return 1;
}

static SSL_TICKET_RETURN on_ticket_opened(SSL *ssl, SSL_SESSION *session, const unsigned char *name,
                                          size_t len, SSL_TICKET_STATUS status, void *arg)
{
    const struct tls_server *t = arg;

    (void)name;
    (void)len;
    if ((status != SSL_TICKET_SUCCESS && status != SSL_TICKET_SUCCESS_RENEW) ||
        !tls_session_is_fresh(session, clock_mono(t->clock)))
        return SSL_TICKET_RETURN_IGNORE_RENEW;
    /* In TLS 1.3 clients may use a ticket once only, so as not to be known by it again. */
    bool renew = status == SSL_TICKET_SUCCESS_RENEW || SSL_version(ssl) == TLS1_3_VERSION;
    return renew ? SSL_TICKET_RETURN_USE_RENEW : SSL_TICKET_RETURN_USE;
}

static SSL_CTX *context_new(struct tls_server *t)
{
    SSL_CTX *ctx = tls_context_new(TLS_server_method());

    SSL_CTX_set_app_data(ctx, t);
    SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF); /* tickets are all there is */
    SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket);
    CHECK(SSL_CTX_set_session_ticket_cb(ctx, on_ticket_made, on_ticket_opened, t) == 1);
    /* One with every connection (RFC 8446, C.4). OpenSSL would give two with a full handshake, and
     * each takes 6 % of it; that is for clients whose number of connections grows. */
    CHECK(SSL_CTX_set_num_tickets(ctx, 1) == 1);
    SSL_CTX_set_tlsext_servername_callback(ctx, on_server_name);
    SSL_CTX_set_tlsext_servername_arg(ctx, t);
    SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
    SSL_CTX_set_max_cert_list(ctx, CLIENT_CHAIN_BYTES_MAX);
    return ctx;
}

/* A session made under other rules for clients' certificates must not be taken up again: OpenSSL
 * compares this. */
static void set_session_context(SSL_CTX *ctx, enum tls_client_auth auth,
                                STACK_OF(X509) * authorities)
{
    unsigned char digest[EVP_MAX_MD_SIZE], all[SSL_MAX_SID_CTX_LENGTH];
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    unsigned len;

    CHECK(md != NULL && EVP_DigestInit_ex(md, EVP_sha256(), NULL) == 1);
    EVP_DigestUpdate(md, &auth, sizeof(auth));
    for (int i = 0; i < sk_X509_num(authorities); i++)
        if (X509_digest(sk_X509_value(authorities, i), EVP_sha256(), digest, &len) == 1)
            EVP_DigestUpdate(md, digest, len);
    CHECK(EVP_DigestFinal_ex(md, digest, &len) == 1 && len >= sizeof(all));
    EVP_MD_CTX_free(md);
    memcpy(all, digest, sizeof(all));
    CHECK(SSL_CTX_set_session_id_context(ctx, all, sizeof(all)) == 1);
}

static void ask_clients(SSL_CTX *ctx, enum tls_client_auth auth, STACK_OF(X509) * authorities)
{
    tls_trust(ctx, authorities);
    for (int i = 0; i < sk_X509_num(authorities); i++)
        CHECK(SSL_CTX_add_client_CA(ctx, sk_X509_value(authorities, i)) == 1);
    tls_verify(ctx, SSL_VERIFY_PEER |
                        (auth == TLS_CLIENT_AUTH_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0));
}

/* Whether j is for the same names as i. */
static bool same_names(const struct tls_names *n, size_t i, size_t j)
{
    for (size_t k = 0; k < n->count; k++) {
        size_t one = n->items[k].certificate, other = one == i ? j : i;
        if ((one == i || one == j) && !tls_names_cover(n, other, str_from(n->items[k].name)))
            return false;
    }
    return true;
}

static bool fill_contexts(struct tls_server *t, const struct tls_server_options *o,
                          const struct tls_identity *ids, struct diagnostics *reterr)
{
    bool good = true;

    for (size_t i = 0; i < o->count; i++)
        good &= tls_use_identity(t->contexts[i], &ids[i], &o->pairs[i], reterr);
    if (!good)
        return false;
    for (size_t i = 0; i < o->count; i++) {
        int kind = EVP_PKEY_get_base_id(ids[i].key);
        /* From the last to the first: of one kind, what is put in last counts. */
        for (size_t j = o->count - 1; j > i; j--)
            if (EVP_PKEY_get_base_id(ids[j].key) != kind && same_names(&t->names, i, j))
                (void)tls_use_identity(t->contexts[i], &ids[j], &o->pairs[j], reterr);
    }
    return true;
}

static bool load(struct tls_server *t, const struct tls_server_options *o, struct tls_identity *ids,
                 struct diagnostics *reterr)
{
    STACK_OF(X509) *authorities = NULL;
    bool good = true;

    for (size_t i = 0; i < o->count; i++) {
        if (tls_load_identity(&o->pairs[i], clock_wall(o->clock), &ids[i], reterr))
            tls_names_add(&t->names, ids[i].certificate, i);
        else
            good = false;
    }
    tls_names_sort(&t->names);
    if (o->client_ca != NULL && o->client_auth != TLS_CLIENT_AUTH_NONE) {
        authorities = tls_load_authorities(o->client_ca, o->at, reterr);
        good &= authorities != NULL;
    }
    if (good) {
        for (size_t i = 0; i < o->count; i++) {
            set_session_context(t->contexts[i], o->client_auth, authorities);
            if (authorities != NULL)
                ask_clients(t->contexts[i], o->client_auth, authorities);
        }
        good = fill_contexts(t, o, ids, reterr);
    }
    sk_X509_pop_free(authorities, X509_free);
    return good;
}

struct tls_server *tls_server_new(const struct tls_server_options *o,
                                  const struct tls_server *before, struct diagnostics *reterr)
{
    struct tls_server *t = xcalloc(1, sizeof(*t));
    struct tls_identity *ids = xcalloc(o->count, sizeof(*ids));

    CHECK(o->count > 0);
    t->references = 1;
    t->clock = o->clock;
    t->tickets = before != NULL ? tls_tickets_ref(before->tickets) : tls_tickets_new(o->clock);
    t->count = o->count;
    t->contexts = xcalloc(o->count, sizeof(*t->contexts));
    for (size_t i = 0; i < o->count; i++)
        t->contexts[i] = context_new(t);
    bool good = load(t, o, ids, reterr);
    for (size_t i = 0; i < o->count; i++)
        tls_identity_deinit(&ids[i]);
    free(ids);
    if (good)
        return t;
    tls_server_unref(t);
    return NULL;
}

struct tls_server *tls_server_ref(struct tls_server *t)
{
    atomic_fetch_add(&t->references, 1);
    return t;
}

void tls_server_unref(struct tls_server *t)
{
    if (t == NULL || atomic_fetch_sub(&t->references, 1) > 1)
        return;
    for (size_t i = 0; i < t->count; i++)
        SSL_CTX_free(t->contexts[i]);
    tls_names_deinit(&t->names);
    tls_tickets_unref(t->tickets);
    free(t->contexts);
    free(t);
}

SSL *tls_server_connection(struct tls_server *t)
{
    SSL *ssl = SSL_new(t->contexts[0]);

    if (ssl != NULL)
        SSL_set_accept_state(ssl);
    return ssl;
}

bool tls_server_covers(const struct tls_server *t, const char *sni, struct str host)
{
    unsigned char address[sizeof(struct in6_addr)];
    char text[INET6_ADDRSTRLEN];

    if (host.len > 2 && host.ptr[0] == '[' && host.ptr[host.len - 1] == ']')
        host = (struct str){host.ptr + 1, host.len - 2};
    if (str_copy(text, sizeof(text), host) && inet_pton(AF_INET6, text, address) == 1 &&
        inet_ntop(AF_INET6, address, text, sizeof(text)) != NULL)
        host = str_from(text);
    if (sni[0] != '\0' && str_ieq(str_from(sni), host))
        return true;
    size_t presented = tls_names_find(&t->names, str_from(sni), 0);
    return tls_names_cover(&t->names, presented, host);
}
