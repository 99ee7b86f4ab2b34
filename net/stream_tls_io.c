/* OpenSSL's side of a stream: it reads the ciphertext that the kernel just gave, and writes into a
 * buffer of the loop's, so that a gathered write becomes as few records as can be and one write(2).
 *
 * The surprising part: bytes are decrypted in place. Ciphertext is read to the loop's buffer behind
 * a margin, and what comes out of it goes to the buffer's front. What comes out can be no more than
 * what OpenSSL held of an unfinished record (less than the margin) and what it has taken since, so
 * it never overtakes.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/stream_tls.h"

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,
    OUT_BYTES = 5 * STREAM_TLS_MARGIN,
    /* Handshake messages and alerts after the handshake cost work and bring nothing: so many, and
     * one more for each so many bytes of content. */
    MESSAGES_MAX = 32,
    MESSAGE_BYTES = 64 * 1024,
    HELLO_BYTES_MAX = 16 * 1024,
};

_Static_assert(STREAM_TLS_MARGIN > SSL3_RT_MAX_ENCRYPTED_LENGTH + SSL3_RT_HEADER_LENGTH,
               "one record");

/* One per loop: what is encrypted and not yet with the kernel, and where small pieces are joined.
 */
struct scratch {
    size_t used;
    char out[OUT_BYTES];
    char record[RECORD_BYTES];
};

static struct scratch *scratch_of(const struct stream_tls *t)
{
    struct loop *loop = stream_loop(t->stream);

    if (loop->scratch == NULL)
        loop->scratch = xcalloc(1, sizeof(struct scratch));
    return loop->scratch;
}

/* --- what OpenSSL reads from and writes to --- */

void stream_tls_flush(struct stream_tls *t)
{
    struct scratch *scratch = scratch_of(t);
    uv_buf_t buf = uv_buf_init(scratch->out, (unsigned)scratch->used);

    scratch->used = 0;
    if (buf.len == 0 || t->write_status < 0)
        return;
    ssize_t status = stream_write_raw(t->stream, &buf, 1);
    if (status < 0)
        t->write_status = (int)status;
    else
        t->sent = true;
}

static bool is_flood(const struct stream_tls *t)
{
    return t->messages > MESSAGES_MAX + t->content / MESSAGE_BYTES;
}

static int bio_read(BIO *bio, char *to, int len)
{
    struct stream_tls *t = BIO_get_data(bio);

    BIO_clear_retry_flags(bio);
    if (is_flood(t))
        return -1;
    if (t->in.len == 0) {
        BIO_set_retry_read(bio);
        return -1;
    }
    size_t n = t->in.len < (size_t)len ? t->in.len : (size_t)len;
    memcpy(to, t->in.ptr, n);
    t->in = (struct str){t->in.ptr + n, t->in.len - n};
    return (int)n;
}

static int bio_write(BIO *bio, const char *from, int len)
{
    struct stream_tls *t = BIO_get_data(bio);
    struct scratch *scratch = scratch_of(t);

    BIO_clear_retry_flags(bio);
    for (size_t at = 0; at < (size_t)len;) {
        if (scratch->used == OUT_BYTES)
            stream_tls_flush(t);
        size_t room = OUT_BYTES - scratch->used, left = (size_t)len - at;
        size_t n = left < room ? left : room;
        memcpy(scratch->out + scratch->used, from + at, n);
        scratch->used += n;
        at += n;
    }
    return len;
}

static long bio_ctrl(BIO *bio, int command, long number, void *arg)
{
    (void)bio;
    (void)number;
    (void)arg;
    return command == BIO_CTRL_FLUSH;
}

static BIO_METHOD *method;

static void make_method(void)
{
    method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "stream");
    CHECK(method != NULL);
    BIO_meth_set_read(method, bio_read);
    BIO_meth_set_write(method, bio_write);
    BIO_meth_set_ctrl(method, bio_ctrl);
}

static void on_message(int sent, int version, int type, const void *bytes, size_t len, SSL *ssl,
                       void *arg)
{
    struct stream_tls *t = arg;

    (void)version;
    (void)bytes;
    (void)len;
    (void)ssl;
    if (t->done && (type == SSL3_RT_ALERT || (type == SSL3_RT_HANDSHAKE && !sent)))
        t->messages++;
}

int stream_tls_attach(struct stream_tls *t, SSL *ssl)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    BIO *bio;

    CHECK(pthread_once(&once, make_method) == 0);
    if (ssl == NULL || (bio = BIO_new(method)) == NULL) {
        ERR_clear_error();
        SSL_free(ssl);
        return UV_ENOMEM;
    }
    t->ssl = ssl;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, t);
    return 0;
}

/* Whether a ClientHello may still come. In TLS 1.2 there is but one, and what looks like handshake
 * messages is soon encrypted. */
static bool is_greeting(const struct stream_tls *t)
{
    return !t->greeted_all && SSL_version(t->ssl) != TLS1_2_VERSION;
}

/* A record's header, byte by byte: it may be cut anywhere. */
static void greet_record(struct stream_tls *t, uint8_t byte)
{
    if (t->record_got++ == 0)
        t->record_type = byte;
    t->record_len = (uint16_t)(t->record_len << 8 | byte); /* its last two bytes stay */
    if (t->record_got < 5)
        return;
    t->record_left = t->record_len;
    t->record_got = 0;
}

/* Handshake messages that begin with a ClientHello: the next byte of a message's header, or what is
 * here of the message behind it. Returns how many bytes that was; 0: a giant. */
static size_t greet_message(struct stream_tls *t, const char *bytes, size_t len)
{
    if (t->hello_left > 0) {
        len = len < t->hello_left ? len : t->hello_left;
        t->hello_left -= (uint32_t)len;
        return len;
    }
    t->hello[t->hello_got++] = (uint8_t)bytes[0];
    t->greeted_all = t->hello[0] != SSL3_MT_CLIENT_HELLO;
    if (t->hello_got < sizeof(t->hello))
        return 1;
    t->hello_left = (uint32_t)(t->hello[1] << 16 | t->hello[2] << 8 | t->hello[3]);
    t->hello_got = 0;
    return t->hello_left <= HELLO_BYTES_MAX;
}

/* OpenSSL makes room for a ClientHello by what its header announces, up to 128 KiB, for anybody who
 * sends nine bytes. The header may be spread over several records, and after a HelloRetryRequest
 * comes a second ClientHello. For what follows OpenSSL makes less room than we allow. */
bool stream_tls_greet(struct stream_tls *t, struct str bytes)
{
    while (bytes.len > 0 && is_greeting(t)) {
        size_t n = 1;
        if (t->record_left == 0) {
            greet_record(t, (uint8_t)bytes.ptr[0]);
        } else {
            n = bytes.len < t->record_left ? bytes.len : t->record_left;
            if (t->record_type == SSL3_RT_HANDSHAKE)
                n = greet_message(t, bytes.ptr, n);
            if (n == 0)
                return false;
            t->record_left = (uint16_t)(t->record_left - n);
        }
        bytes = (struct str){bytes.ptr + n, bytes.len - n};
    }
    return true;
}

void stream_tls_set_error(struct stream_tls *t, const char *text)
{
    if (t->error == NULL) /* the first is the cause */
        t->error = xstrdup(text);
}

void stream_tls_fail(struct stream_tls *t)
{
    char text[TLS_ERROR_MAX];

    tls_describe_failure(t->ssl, text);
    stream_tls_set_error(t, is_flood(t) ? "the peer floods us with handshake messages" : text);
    t->failed = true;
    t->in.len = 0;
    if (t->client != NULL)
        tls_client_forget(t->client, t->ssl);
    stream_tls_flush(t);
}

size_t stream_tls_decrypt(struct stream_tls *t, int *ret_status)
{
    char *to = stream_loop(t->stream)->read_buffer;
    size_t len = 0, n;
    bool good;

    *ret_status = 1;
    /* SSL_get_error looks at the thread's queue; to empty an empty one costs five times the look.
     */
    if (ERR_peek_error() != 0)
        ERR_clear_error();
    do {
        good = SSL_read_ex(t->ssl, to + len, LOOP_READ_BYTES - len, &n) == 1;
        len += good ? n : 0;
    } while (good && (t->in.len > 0 || SSL_pending(t->ssl) > 0));
    t->content += len;
    switch (good ? SSL_ERROR_NONE : SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
        stream_tls_flush(t);
        break;
    case SSL_ERROR_ZERO_RETURN:
        t->in.len = 0; /* nothing counts behind a close_notify (RFC 8446, 6.1) */
        *ret_status = 0;
        stream_tls_flush(t);
        break;
    default:
        stream_tls_fail(t);
        *ret_status = UV_EPROTO;
    }
    return len;
}

/* Small pieces are joined to whole records; what is a record's size already is not copied. */
int stream_tls_encrypt(struct stream_tls *t, const uv_buf_t *bufs, unsigned count)
{
    char *record = scratch_of(t)->record;
    size_t joined = 0, written;
    bool good = true;

    for (unsigned i = 0; i < count && good; i++) {
        const char *from = bufs[i].base;
        size_t left = bufs[i].len;
        t->content += left;
        while (left > 0 && good) {
            bool whole = joined == 0 && (left >= RECORD_BYTES || i + 1 == count);
            size_t n = left < RECORD_BYTES - joined ? left : RECORD_BYTES - joined;
            if (whole) {
                good = SSL_write_ex(t->ssl, from, n, &written) == 1;
            } else {
                memcpy(record + joined, from, n);
                joined += n;
            }
            if (joined == RECORD_BYTES) {
                good = SSL_write_ex(t->ssl, record, joined, &written) == 1;
                joined = 0;
            }
            from += n;
            left -= n;
        }
    }
    if (joined > 0 && good)
        good = SSL_write_ex(t->ssl, record, joined, &written) == 1;
    if (!good)
        stream_tls_fail(t);
    return good ? 0 : UV_EPROTO;
}
