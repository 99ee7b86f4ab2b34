/* tests/support/certificates.h — certificates made at test time, so that none in the tree expires.
 */
#ifndef TESTS_SUPPORT_CERTIFICATES_H
#define TESTS_SUPPORT_CERTIFICATES_H

#include <openssl/types.h>

#include <stdbool.h>

struct test_certificate {
    X509 *certificate;
    EVP_PKEY *key;
};

struct test_certificate_spec {
    const char *name;                      /* common name */
    const char *names;                     /* "DNS:a.example,IP:127.0.0.1"; NULL: none */
    const struct test_certificate *issuer; /* NULL: signs itself */
    bool authority, rsa;
    int days_ago, days_left; /* 0, 0: since yesterday, for a day */
};

void test_certificate_make(struct test_certificate *, const struct test_certificate_spec *);
void test_certificate_free(struct test_certificate *);

/* A folder of its own; the text of its path is static. */
const char *test_folder(void);
/* Paths in that folder, as static texts that live until the program ends. */
const char *test_path(const char *file);
const char *test_write(const char *file, const char *text);
/* The certificates one behind the other; NULL ends the list. */
const char *test_write_certificates(const char *file, const struct test_certificate *const *list);
/* passphrase may be NULL. */
const char *test_write_key(const char *file, const struct test_certificate *,
                           const char *passphrase);
/* Removes the folder and all in it. */
void test_folder_remove(void);

#endif
