/* PEM files, and what is wrong with them in words: the message names the file and the reason, since
 * whoever reads it has just renewed one and sees it refused. OpenSSL is given the text, never the
 * path: its own file errors say less, and its passphrase prompt would stop a daemon.
 */
#include <errno.h>
#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/tls_internal.h"

enum { AUTHORITIES_MAX = 4096, CHAIN_MAX = 32, DATE_MAX = 40, NAMES_MAX = 120 };

void tls_openssl_error(struct diagnostics *reterr, struct source_pos at, const char *path,
                       const char *what)
{
    unsigned long code = ERR_peek_last_error();
    const char *reason = ERR_reason_error_string(code);

    diagnostics_addf(reterr, at, NULL, "%s: %s: %s", path, what,
                     reason == NULL ? "OpenSSL does not say why" : reason);
    ERR_clear_error();
}

/* The whole file as a memory BIO, or NULL with the error added. */
static BIO *open_file(const char *path, struct source_pos at, struct diagnostics *reterr)
{
    struct stat st;
    const char *why = NULL;
    char *text = NULL;
    ssize_t len = -1;

    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0 || fstat(fd, &st) != 0) {
        why = strerror(errno);
    } else if (!S_ISREG(st.st_mode)) {
        why = "it is not a file";
    } else if (st.st_size == 0) {
        why = "it is empty";
    } else if (st.st_size > TLS_FILE_BYTES_MAX) {
        why = "it is larger than 4 MiB";
    } else {
        text = xmalloc((size_t)st.st_size);
        len = read(fd, text, (size_t)st.st_size);
        why = len < 0 ? strerror(errno) : NULL;
    }
    if (fd >= 0)
        close(fd);
    BIO *bio = NULL;
    if (why != NULL) {
        diagnostics_addf(reterr, at, NULL, "%s: cannot be read: %s", path, why);
    } else {
        bio = BIO_new(BIO_s_mem());
        CHECK(bio != NULL && BIO_write(bio, text, (int)len) == (int)len);
    }
    if (text != NULL)
        OPENSSL_cleanse(text, (size_t)st.st_size);
    free(text);
    return bio;
}

/* Whether PEM reading stopped because there is no more, which is no error. */
static bool no_more(void)
{
    unsigned long code = ERR_peek_last_error();

    return ERR_GET_LIB(code) == ERR_LIB_PEM && ERR_GET_REASON(code) == PEM_R_NO_START_LINE;
}

/* All certificates of a file, in its order; NULL with the error added when there is none. */
static STACK_OF(X509) * read_certificates(const char *path, size_t max, struct source_pos at,
                                          struct diagnostics *reterr)
{
    STACK_OF(X509) *all = sk_X509_new_null();
    BIO *bio = open_file(path, at, reterr);
    X509 *x;

    CHECK(all != NULL);
    if (bio == NULL) {
        sk_X509_free(all);
        return NULL;
    }
    ERR_clear_error();
    while ((x = PEM_read_bio_X509_AUX(bio, NULL, NULL, NULL)) != NULL)
        CHECK(sk_X509_push(all, x) > 0);
    bool good = no_more(), any = sk_X509_num(all) > 0;
    BIO_free(bio);
    if (!good)
        tls_openssl_error(reterr, at, path, "a certificate in it cannot be read");
    else if (!any)
        diagnostics_addf(reterr, at, "a PEM file has lines such as -----BEGIN CERTIFICATE-----",
                         "%s: there is no PEM certificate in it", path);
    else if ((size_t)sk_X509_num(all) > max)
        diagnostics_addf(reterr, at, NULL, "%s: there are more than %zu certificates in it", path,
                         max);
    ERR_clear_error();
    if (good && any && (size_t)sk_X509_num(all) <= max)
        return all;
    sk_X509_pop_free(all, X509_free);
    return NULL;
}

STACK_OF(X509) *
    tls_load_authorities(const char *path, struct source_pos at, struct diagnostics *reterr)
{
    return read_certificates(path, AUTHORITIES_MAX, at, reterr);
}

static int refuse_passphrase(char *buf, int size, int writing, void *arg)
{
    (void)buf;
    (void)size;
    (void)writing;
    *(bool *)arg = true;
    return -1;
}

static EVP_PKEY *read_key(const char *path, struct source_pos at, struct diagnostics *reterr)
{
    static const char mark[] = "PRIVATE KEY-----";
    bool encrypted = false;
    BIO *bio = open_file(path, at, reterr);

    if (bio == NULL)
        return NULL;
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    bool any = len > 0 && memmem(text, (size_t)len, mark, sizeof(mark) - 1) != NULL;
    ERR_clear_error();
    EVP_PKEY *key = PEM_read_bio_PrivateKey(bio, NULL, refuse_passphrase, &encrypted);
    BIO_free(bio);
    if (key != NULL)
        return key;
    if (encrypted)
        diagnostics_addf(reterr, at, "decrypt it: openssl pkey -in KEY -out PLAIN_KEY",
                         "%s: the key is encrypted with a passphrase", path);
    else if (!any)
        diagnostics_addf(reterr, at, "a PEM file has lines such as -----BEGIN PRIVATE KEY-----",
                         "%s: there is no PEM private key in it", path);
    else
        tls_openssl_error(reterr, at, path, "the key cannot be read");
    ERR_clear_error();
    return NULL;
}

static const char *date_text(const ASN1_TIME *time, char to[static DATE_MAX])
{
    struct tm tm;

    if (ASN1_TIME_to_tm(time, &tm) != 1 || strftime(to, DATE_MAX, "%Y-%m-%d %H:%M UTC", &tm) == 0)
        (void)str_copy(to, DATE_MAX, STR("an unknown date"));
    return to;
}

/* Clients will refuse it; but refusing to start would take down those who do not look, too. */
static void check_dates(const X509 *x, const char *path, struct source_pos at, int64_t wall_ns,
                        struct diagnostics *reterr)
{
    time_t now = (time_t)(wall_ns / NS_PER_SEC);
    char date[DATE_MAX], names[NAMES_MAX];

    tls_names_text(x, names, sizeof(names));
    if (X509_cmp_time(X509_get0_notAfter(x), &now) < 0)
        diagnostics_warnf(reterr, at, NULL, "%s: the certificate for %s has expired at %s", path,
                          names, date_text(X509_get0_notAfter(x), date));
    else if (X509_cmp_time(X509_get0_notBefore(x), &now) > 0)
        diagnostics_warnf(reterr, at, NULL, "%s: the certificate for %s is not valid before %s",
                          path, names, date_text(X509_get0_notBefore(x), date));
}

void tls_identity_deinit(struct tls_identity *i)
{
    X509_free(i->certificate);
    EVP_PKEY_free(i->key);
    sk_X509_pop_free(i->chain, X509_free);
    *i = (struct tls_identity){0};
}

bool tls_load_identity(const struct tls_pair *pair, int64_t wall_ns, struct tls_identity *ret,
                       struct diagnostics *reterr)
{
    *ret = (struct tls_identity){0};
    ret->chain = read_certificates(pair->certificate, CHAIN_MAX, pair->at, reterr);
    ret->key = read_key(pair->key, pair->at, reterr); /* both are looked at: both may be wrong */
    if (ret->chain == NULL || ret->key == NULL) {
        tls_identity_deinit(ret);
        return false;
    }
    for (int i = 0; i < sk_X509_num(ret->chain); i++)
        check_dates(sk_X509_value(ret->chain, i), pair->certificate, pair->at, wall_ns, reterr);
    ret->certificate = sk_X509_shift(ret->chain);
    if (X509_check_private_key(ret->certificate, ret->key) == 1)
        return true;
    ERR_clear_error();
    diagnostics_addf(reterr, pair->at, "the server's own certificate stands first in its file",
                     "%s: the key is not that of the first certificate in %s", pair->key,
                     pair->certificate);
    tls_identity_deinit(ret);
    return false;
}

bool tls_use_identity(SSL_CTX *ctx, const struct tls_identity *i, const struct tls_pair *pair,
                      struct diagnostics *reterr)
{
    ERR_clear_error();
    if (SSL_CTX_use_cert_and_key(ctx, i->certificate, i->key, i->chain, 1) == 1)
        return true;
    tls_openssl_error(reterr, pair->at, pair->certificate, "the certificate cannot be used");
    return false;
}

void tls_trust(SSL_CTX *ctx, STACK_OF(X509) * authorities)
{
    X509_STORE *store = X509_STORE_new();

    CHECK(store != NULL);
    for (int i = 0; i < sk_X509_num(authorities); i++)
        CHECK(X509_STORE_add_cert(store, sk_X509_value(authorities, i)) == 1);
    SSL_CTX_set_cert_store(ctx, store);
}
