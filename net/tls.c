/* What server and client have in common: the rules of a context, and failures in words. */
#include "net/tls.h"

#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/tls_internal.h"

/* TLS 1.2 only; those of 1.3 are all good. */
#define CIPHERS                                                                                    \
    "ECDHE-ECDSA-AES128-GCM-SHA256:ECDHE-RSA-AES128-GCM-SHA256:"                                   \
    "ECDHE-ECDSA-AES256-GCM-SHA384:ECDHE-RSA-AES256-GCM-SHA384:"                                   \
    "ECDHE-ECDSA-CHACHA20-POLY1305:ECDHE-RSA-CHACHA20-POLY1305"
#define GROUPS "X25519:P-256:P-384"

SSL_CTX *tls_context_new(const SSL_METHOD *method)
{
    SSL_CTX *ctx = SSL_CTX_new(method);

    CHECK(ctx != NULL);
    CHECK(SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION) == 1);
    CHECK(SSL_CTX_set_max_proto_version(ctx, TLS1_3_VERSION) == 1);
    CHECK(SSL_CTX_set_cipher_list(ctx, CIPHERS) == 1);
    CHECK(SSL_CTX_set1_groups_list(ctx, GROUPS) == 1);
    SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION);
    SSL_CTX_clear_options(ctx, SSL_OP_IGNORE_UNEXPECTED_EOF | SSL_OP_LEGACY_SERVER_CONNECT |
                                   SSL_OP_ALLOW_UNSAFE_LEGACY_RENEGOTIATION);
    /* Buffers of 16 KiB are not kept for connections that say nothing. What a certificate's file
     * holds is sent, no more. */
    SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_NO_AUTO_CHAIN);
    SSL_CTX_set_timeout(ctx, TLS_SESSION_S);
    return ctx;
}

/* TLS 1.3 hands out new sessions on connections that took one up, each with a time of its own: by
 * that time alone a certificate that was checked once would be believed for ever. What OpenSSL
 * calls a ticket's application data goes from one to the next, on both sides. */
static bool stamp_of(SSL_SESSION *session, int64_t *ret_ns)
{
    void *data;
    size_t len;

    if (SSL_SESSION_get0_ticket_appdata(session, &data, &len) != 1 || len != sizeof(*ret_ns))
        return false;
    memcpy(ret_ns, data, sizeof(*ret_ns));
    return true;
}

void tls_session_stamp(SSL_SESSION *session, bool resumed, int64_t now_ns)
{
    int64_t stamp_ns;

    if (!resumed || !stamp_of(session, &stamp_ns))
        (void)SSL_SESSION_set1_ticket_appdata(session, &now_ns, sizeof(now_ns));
}

bool tls_session_is_fresh(SSL_SESSION *session, int64_t now_ns)
{
    int64_t stamp_ns;

    return stamp_of(session, &stamp_ns) && now_ns - stamp_ns <= TLS_SESSION_S * NS_PER_SEC;
}

/* OpenSSL's "tlsv1 alert unknown ca" is the peer's alert "unknown ca". */
static const char *alert_text(const char *reason)
{
    const char *alert = strstr(reason, " alert ");

    return alert == NULL ? reason : alert + strlen(" alert ");
}

/* Why a certificate was refused hangs on the connection: OpenSSL forgets whose it was. */
static int refusal_index;

static void free_refusal(void *parent, void *text, CRYPTO_EX_DATA *data, int index, long l, void *p)
{
    (void)parent;
    (void)data;
    (void)index;
    (void)l;
    (void)p;
    free(text);
}

static void make_refusal_index(void)
{
    refusal_index = SSL_get_ex_new_index(0, NULL, NULL, NULL, free_refusal);
    CHECK(refusal_index >= 0);
}

static void describe_refusal(X509_STORE_CTX *store, const SSL *ssl, char to[static TLS_ERROR_MAX])
{
    X509_VERIFY_PARAM *param = SSL_get0_param((SSL *)(uintptr_t)ssl);
    int why = X509_STORE_CTX_get_error(store);
    const X509 *x = X509_STORE_CTX_get_current_cert(store);
    char names[TLS_ERROR_MAX / 2] = "";

    if (x != NULL)
        tls_names_text(x, names, sizeof(names));
    if (names[0] == '\0')
        (void)str_copy(names, sizeof(names), STR("nobody"));
    if (why == X509_V_ERR_HOSTNAME_MISMATCH || why == X509_V_ERR_IP_ADDRESS_MISMATCH) {
        const char *wanted = X509_VERIFY_PARAM_get0_host(param, 0);
        char *address = wanted == NULL ? X509_VERIFY_PARAM_get1_ip_asc(param) : NULL;
        snprintf(to, TLS_ERROR_MAX, "the certificate is for %s, not for %.100s", names,
                 wanted != NULL    ? wanted
                 : address != NULL ? address
                                   : "this address");
        OPENSSL_free(address);
        return;
    }
    snprintf(to, TLS_ERROR_MAX, "the certificate for %s was not accepted: %.100s", names,
             X509_verify_cert_error_string(why));
}

static int on_verify(int good, X509_STORE_CTX *store)
{
    SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
    char text[TLS_ERROR_MAX];

    if (good == 1 || SSL_get_ex_data(ssl, refusal_index) != NULL)
        return good;
    describe_refusal(store, ssl, text);
    char *kept = xstrdup(text);
    if (SSL_set_ex_data(ssl, refusal_index, kept) != 1)
        free(kept);
    return good;
}

void tls_verify(SSL_CTX *ctx, int mode)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    CHECK(pthread_once(&once, make_refusal_index) == 0);
    SSL_CTX_set_verify(ctx, mode, on_verify);
}

/* The first that TLS itself says; what lies before it is how one of its tools put it. Empties the
 * queue. */
static unsigned long cause(void)
{
    unsigned long first = ERR_get_error(), code = first;

    while (code != 0 && ERR_GET_LIB(code) != ERR_LIB_SSL)
        code = ERR_get_error();
    ERR_clear_error();
    return code != 0 ? code : first;
}

void tls_describe_failure(SSL *ssl, char ret[static TLS_ERROR_MAX])
{
    unsigned long code = cause();
    const char *refusal = NULL;
    const char *reason = ERR_reason_error_string(code);
    int number = ERR_GET_REASON(code);

    if (ERR_GET_LIB(code) != ERR_LIB_SSL)
        number = 0;
    if (number == SSL_R_CERTIFICATE_VERIFY_FAILED)
        refusal = SSL_get_ex_data(ssl, refusal_index);
    if (refusal != NULL)
        snprintf(ret, TLS_ERROR_MAX, "%s", refusal);
    else if (number > SSL_AD_REASON_OFFSET)
        snprintf(ret, TLS_ERROR_MAX, "the peer refused: %s", alert_text(reason));
    else if (number == SSL_R_WRONG_VERSION_NUMBER || number == SSL_R_HTTP_REQUEST)
        snprintf(ret, TLS_ERROR_MAX, "the peer does not speak TLS (%s)", reason);
    else if (number == SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE)
        snprintf(ret, TLS_ERROR_MAX, "the client sent no certificate");
    else
        snprintf(ret, TLS_ERROR_MAX, "%s", reason == NULL ? "the TLS connection broke" : reason);
}
