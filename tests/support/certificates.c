/* Certificates of the least size: ECDSA on P-256, unless RSA is asked for. */
#include "tests/support/certificates.h"

#include <dirent.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"

enum { PATHS_MAX = 256, DAY_S = 24 * 60 * 60 };

static char folder[64];
static char paths[PATHS_MAX][160];
static size_t path_count;

static void add_extension(X509 *x, const X509 *issuer, int nid, const char *value)
{
    X509V3_CTX ctx;

    X509V3_set_ctx_nodb(&ctx);
    X509V3_set_ctx(&ctx, (X509 *)(uintptr_t)issuer, x, NULL, NULL, 0);
    X509_EXTENSION *e = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
    CHECK(e != NULL && X509_add_ext(x, e, -1) == 1);
    X509_EXTENSION_free(e);
}

void test_certificate_make(struct test_certificate *c, const struct test_certificate_spec *spec)
{
    static long serial = 1000;
    int since = spec->days_ago == 0 ? 1 : spec->days_ago;
    int left = spec->days_left == 0 ? 1 : spec->days_left;
    X509 *x = X509_new();

    c->key = spec->rsa ? EVP_RSA_gen(2048) : EVP_EC_gen("P-256");
    c->certificate = x;
    CHECK(x != NULL && c->key != NULL);
    CHECK(X509_set_version(x, X509_VERSION_3) == 1);
    ASN1_INTEGER_set(X509_get_serialNumber(x), ++serial);
    X509_gmtime_adj(X509_getm_notBefore(x), -(long)since * DAY_S);
    X509_gmtime_adj(X509_getm_notAfter(x), (long)left * DAY_S);
    X509_set_pubkey(x, c->key);
    X509_NAME_add_entry_by_txt(X509_get_subject_name(x), "CN", MBSTRING_UTF8,
                               (const unsigned char *)spec->name, -1, -1, 0);
    const struct test_certificate *by = spec->issuer == NULL ? c : spec->issuer;
    X509_set_issuer_name(x, X509_get_subject_name(by->certificate));
    add_extension(x, by->certificate, NID_basic_constraints,
                  spec->authority ? "critical,CA:TRUE" : "CA:FALSE");
    add_extension(x, by->certificate, NID_subject_key_identifier, "hash");
    if (spec->names != NULL)
        add_extension(x, by->certificate, NID_subject_alt_name, spec->names);
    CHECK(X509_sign(x, by->key, EVP_sha256()) > 0);
}

void test_certificate_free(struct test_certificate *c)
{
    X509_free(c->certificate);
    EVP_PKEY_free(c->key);
    *c = (struct test_certificate){NULL, NULL};
}

const char *test_folder(void)
{
    if (folder[0] == '\0') {
        snprintf(folder, sizeof(folder), "/tmp/sluice-unit-XXXXXX");
        CHECK(mkdtemp(folder) != NULL);
    }
    return folder;
}

const char *test_path(const char *file)
{
    CHECK(path_count < PATHS_MAX);
    snprintf(paths[path_count], sizeof(paths[0]), "%s/%s", test_folder(), file);
    return paths[path_count++];
}

static FILE *create(const char *path)
{
    FILE *f = fopen(path, "w");

    CHECK(f != NULL);
    return f;
}

const char *test_write(const char *file, const char *text)
{
    const char *path = test_path(file);
    FILE *f = create(path);

    fputs(text, f);
    fclose(f);
    return path;
}

const char *test_write_certificates(const char *file, const struct test_certificate *const *list)
{
    const char *path = test_path(file);
    FILE *f = create(path);

    for (; *list != NULL; list++)
        CHECK(PEM_write_X509(f, (*list)->certificate) == 1);
    fclose(f);
    return path;
}

const char *test_write_key(const char *file, const struct test_certificate *c,
                           const char *passphrase)
{
    const char *path = test_path(file);
    FILE *f = create(path);

    CHECK(PEM_write_PrivateKey(f, c->key, passphrase == NULL ? NULL : EVP_aes_256_cbc(),
                               (const unsigned char *)passphrase,
                               passphrase == NULL ? 0 : (int)strlen(passphrase), NULL, NULL) == 1);
    fclose(f);
    return path;
}

void test_folder_remove(void)
{
    DIR *dir = folder[0] == '\0' ? NULL : opendir(folder);
    const struct dirent *e;

    if (dir == NULL)
        return;
    while ((e = readdir(dir)) != NULL)
        if (e->d_name[0] != '.')
            unlinkat(dirfd(dir), e->d_name, 0);
    closedir(dir);
    rmdir(folder);
    folder[0] = '\0';
}
