/* net/tls.h — what a TLS server or client is: certificates, keys, authorities, sessions.
 *
 * Both are immutable once built and counted: a renewed certificate is a new object, and connections
 * made with the old one go on. Any thread may use them; building reads files and blocks. TLS 1.2
 * and 1.3 with forward secrecy and authenticated ciphers only; no renegotiation, no compression.
 */
#ifndef NET_TLS_H
#define NET_TLS_H

#include <openssl/types.h>
#include <sys/socket.h>

#include <stdbool.h>
#include <stddef.h>

#include "base/clock.h"
#include "base/error.h"

enum { TLS_FILE_BYTES_MAX = 4 * 1024 * 1024 };

struct tls_server;
struct tls_client;

/* PEM files. The certificate's file holds its chain behind it. */
struct tls_pair {
    const char *certificate, *key;
    struct source_pos at; /* where they are named, for errors */
};

enum tls_client_auth { TLS_CLIENT_AUTH_NONE, TLS_CLIENT_AUTH_OPTIONAL, TLS_CLIENT_AUTH_REQUIRED };

struct tls_server_options {
    const struct tls_pair *pairs; /* the first is the default, the others are chosen by SNI */
    size_t count;                 /* >= 1 */
    const char *client_ca;        /* PEM; NULL: clients are not asked */
    enum tls_client_auth client_auth;
    struct source_pos at; /* for errors in client_ca */
    const struct clock *clock;
};

struct tls_client_options {
    const char *ca;                /* PEM; NULL: the system's */
    const char *certificate, *key; /* ours; NULL: none */
    bool verify; /* the chain, and that the certificate is for the server's name */
    struct source_pos at;
    const struct clock *clock;
};

/* NULL when there are errors; every one of them, and warnings (a certificate that has expired), are
 * in `reterr`. `before` (may be NULL) hands its ticket keys on, so that sessions outlive a renewal.
 * When the clients' authorities changed, old sessions are not taken up again all the same. */
struct tls_server *tls_server_new(const struct tls_server_options *,
                                  const struct tls_server *before, struct diagnostics *reterr);
struct tls_server *tls_server_ref(struct tls_server *);
void tls_server_unref(struct tls_server *); /* NULL is fine */
/* Whether the certificate that a client got who asked for `sni` ("" when it did not ask) would also
 * do for `host` (a name or an address, no port): false means that it should ask elsewhere (421). */
bool tls_server_covers(const struct tls_server *, const char *sni, struct str host);

struct tls_client *tls_client_new(const struct tls_client_options *, struct diagnostics *reterr);
struct tls_client *tls_client_ref(struct tls_client *);
void tls_client_unref(struct tls_client *); /* NULL is fine */

/* --- for net/stream_tls.c --- */

enum { TLS_ERROR_MAX = 256 };

/* One connection's state; the caller frees it with SSL_free and keeps a reference meanwhile. */
SSL *tls_server_connection(struct tls_server *);
SSL *tls_client_connection(struct tls_client *, const char *server_name);
/* Takes up the session of an earlier connection to this endpoint, if there is one. */
void tls_client_resume(struct tls_client *, SSL *, const struct sockaddr *);
/* The handshake failed: what was remembered of the endpoint is not tried again. */
void tls_client_forget(struct tls_client *, SSL *);
/* Why the last operation on this thread failed, for people; empties OpenSSL's error queue. */
void tls_describe_failure(SSL *, char ret[static TLS_ERROR_MAX]);

#endif
