/* net/tls_internal.h — between the files of net/tls*.c. */
#ifndef NET_TLS_INTERNAL_H
#define NET_TLS_INTERNAL_H

#include <openssl/ssl.h>
#include <openssl/x509.h>

#include "net/tls.h"

enum { TLS_SESSION_S = 2 * 60 * 60 }; /* how long a session may be taken up again */

/* --- tls.c --- */
/* A context with what both sides have in common; never NULL. */
SSL_CTX *tls_context_new(const SSL_METHOD *);
/* When the certificates in a session were checked: now, or, when the connection it comes from took
 * another up (`resumed`), at that one's time. */
void tls_session_stamp(SSL_SESSION *, bool resumed, int64_t now_ns);
/* Checked no longer than TLS_SESSION_S ago. */
bool tls_session_is_fresh(SSL_SESSION *, int64_t now_ns);
/* Verifies peers, and remembers whom it refused and why. `mode`: SSL_VERIFY_*. */
void tls_verify(SSL_CTX *, int mode);

/* --- tls_pem.c: files. Errors go to `reterr` at the position, beginning with the file's name. */
struct tls_identity {
    X509 *certificate;
    EVP_PKEY *key;
    STACK_OF(X509) * chain; /* what is behind the certificate; may be NULL */
};
bool tls_load_identity(const struct tls_pair *, int64_t wall_ns, struct tls_identity *ret,
                       struct diagnostics *reterr);
void tls_identity_deinit(struct tls_identity *);
/* The certificates of a file of authorities; NULL: an error was added. */
STACK_OF(X509) *
    tls_load_authorities(const char *path, struct source_pos at, struct diagnostics *reterr);
/* Adds "FILE: what: OpenSSL's reason" and empties the error queue. */
void tls_openssl_error(struct diagnostics *reterr, struct source_pos at, const char *path,
                       const char *what);
/* Puts the identity into the context; false: an error was added. */
bool tls_use_identity(SSL_CTX *, const struct tls_identity *, const struct tls_pair *,
                      struct diagnostics *reterr);
/* Trusts these and nobody else. */
void tls_trust(SSL_CTX *, STACK_OF(X509) * authorities);

/* --- tls_names.c: what certificates are for --- */
struct tls_name {
    char *name;         /* lower case; "*.example.com"; an address as text */
    size_t certificate; /* index */
};
struct tls_names {
    struct tls_name *items; /* sorted by name, then index */
    size_t count;
};
void tls_names_add(struct tls_names *, const X509 *, size_t certificate);
void tls_names_sort(struct tls_names *);
void tls_names_deinit(struct tls_names *);
/* The first certificate that is for `name` (an exact name before a wildcard), or `otherwise`. */
size_t tls_names_find(const struct tls_names *, struct str name, size_t otherwise);
/* Whether this certificate is for `name`. */
bool tls_names_cover(const struct tls_names *, size_t certificate, struct str name);
/* The names of one certificate as "a.example, *.b.example", cut to what fits. */
void tls_names_text(const X509 *, char *to, size_t size);

/* --- tls_tickets.c: the keys of session tickets, shared by all workers --- */
struct tls_tickets;
struct tls_tickets *tls_tickets_new(const struct clock *);
struct tls_tickets *tls_tickets_ref(struct tls_tickets *);
void tls_tickets_unref(struct tls_tickets *);
/* OpenSSL's callback: 1 done, 2 done and to be renewed, 0 not our key, -1 failed. */
int tls_tickets_apply(struct tls_tickets *, unsigned char name[16], unsigned char *iv,
                      EVP_CIPHER_CTX *, EVP_MAC_CTX *, bool encrypt);

/* --- tls_sessions.c: a client's sessions by endpoint --- */
struct tls_sessions;
struct tls_sessions *tls_sessions_new(void);
void tls_sessions_free(struct tls_sessions *);
void tls_sessions_put(struct tls_sessions *, const char *key, const SSL_SESSION *);
void tls_sessions_drop(struct tls_sessions *, const char *key);
/* A copy of its own for this thread, or NULL. */
SSL_SESSION *tls_sessions_get(struct tls_sessions *, const char *key);

#endif
