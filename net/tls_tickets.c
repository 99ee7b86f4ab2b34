/* Session tickets are sealed with keys that all workers share, so that a client may come back to
 * any of them. The newest key seals; it is replaced every hour, and those before it still open what
 * they sealed until the sessions in it are too old anyway.
 */
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/rand.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/tls_internal.h"

#define ROTATE_NS NS_PER_HOUR
/* The newest, and as many as TLS_SESSION_S can still need. */
enum { KEYS = 2 + TLS_SESSION_S / 3600 };

struct ticket_key {
    unsigned char name[16], cipher[32], mac[32];
};

struct tls_tickets {
    _Atomic uint32_t references;
    const struct clock *clock;
    EVP_CIPHER *cipher;
    pthread_mutex_t lock; /* over the rest; held for no longer than a copy of a key */
    int64_t made_ns;      /* the newest */
    size_t count;
    struct ticket_key keys[KEYS]; /* the newest first */
};

static void add_key(struct tls_tickets *t, int64_t now_ns)
{
    memmove(&t->keys[1], &t->keys[0], (KEYS - 1) * sizeof(t->keys[0]));
    CHECK(RAND_bytes((unsigned char *)&t->keys[0], sizeof(t->keys[0])) == 1);
    t->count = t->count < KEYS ? t->count + 1 : KEYS;
    t->made_ns = now_ns;
}

struct tls_tickets *tls_tickets_new(const struct clock *clock)
{
    struct tls_tickets *t = xcalloc(1, sizeof(*t));

    t->references = 1;
    t->clock = clock;
    t->cipher = EVP_CIPHER_fetch(NULL, "AES-256-CBC", NULL);
    CHECK(t->cipher != NULL);
    CHECK(pthread_mutex_init(&t->lock, NULL) == 0);
    add_key(t, clock_mono(clock));
    return t;
}

struct tls_tickets *tls_tickets_ref(struct tls_tickets *t)
{
    atomic_fetch_add(&t->references, 1);
    return t;
}

void tls_tickets_unref(struct tls_tickets *t)
{
    if (t == NULL || atomic_fetch_sub(&t->references, 1) > 1)
        return;
    EVP_CIPHER_free(t->cipher);
    pthread_mutex_destroy(&t->lock);
    OPENSSL_cleanse(t->keys, sizeof(t->keys));
    free(t);
}

/* The newest key, made new when it is old: a key is used for at most twice ROTATE_NS, and one that
 * nobody came for in the meantime opens nothing any more. */
static void newest_key(struct tls_tickets *t, struct ticket_key *ret)
{
    int64_t now_ns = clock_mono(t->clock);

    pthread_mutex_lock(&t->lock);
    int64_t age_ns = now_ns - t->made_ns;
    if (age_ns >= KEYS * ROTATE_NS)
        t->count = 0;
    if (age_ns >= ROTATE_NS)
        add_key(t, now_ns);
    *ret = t->keys[0];
    pthread_mutex_unlock(&t->lock);
}

/* 0: unknown, 1: the newest, 2: an older one. */
static int find_key(struct tls_tickets *t, const unsigned char *name, struct ticket_key *ret)
{
    int found = 0;

    pthread_mutex_lock(&t->lock);
    for (size_t i = 0; i < t->count && found == 0; i++) {
        if (memcmp(t->keys[i].name, name, sizeof(t->keys[i].name)) == 0) {
            *ret = t->keys[i];
            found = i == 0 ? 1 : 2;
        }
    }
    pthread_mutex_unlock(&t->lock);
    return found;
}

static int begin(const struct tls_tickets *t, struct ticket_key *key, const unsigned char *iv,
                 EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
    OSSL_PARAM params[] = {
        OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY, key->mac, sizeof(key->mac)),
        OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)(uintptr_t) "SHA256", 0),
        OSSL_PARAM_construct_end(),
    };

    return EVP_MAC_CTX_set_params(mac, params) == 1 &&
           EVP_CipherInit_ex2(cipher, t->cipher, key->cipher, iv, encrypt, NULL) == 1;
}

int tls_tickets_apply(struct tls_tickets *t, unsigned char name[16], unsigned char *iv,
                      EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, bool encrypt)
{
    struct ticket_key key;
    int found = 1;

    if (encrypt) {
        newest_key(t, &key);
        memcpy(name, key.name, sizeof(key.name));
        if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(t->cipher)) != 1)
            return -1;
    } else {
        found = find_key(t, name, &key);
        if (found == 0)
            return 0;
    }
    int status = begin(t, &key, iv, cipher, mac, encrypt) == 1 ? found : -1;
    OPENSSL_cleanse(&key, sizeof(key));
    return status;
}
