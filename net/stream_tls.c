/* TLS between the socket and a stream's owner. OpenSSL sees neither: it reads the ciphertext that
 * the kernel just gave, and writes into a buffer of the loop's, so that a gathered write becomes as
 * few records as can be and one write(2).
 *
 * The surprising part: bytes are decrypted in place. Ciphertext is read to the loop's buffer behind
 * a margin, and what comes out of it goes to the buffer's front. What comes out can be no more than
 * what OpenSSL held of an unfinished record (less than the margin) and what it has taken since, so
 * it never overtakes. One read from the kernel is one on_bytes, and OpenSSL holds nothing decrypted
 * afterwards; only an owner that was not reading when the handshake ended leaves ciphertext behind,
 * which is kept and delivered from the loop when reading resumes.
 */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/held.h"
#include "net/stream_internal.h"
#include "net/tls.h"

enum {
    RECORD_BYTES = SSL3_RT_MAX_PLAIN_LENGTH,
    MARGIN_BYTES = 18 * 1024, /* over an encrypted record with its header */
    OUT_BYTES = 5 * MARGIN_BYTES,
    /* Handshake messages and alerts after the handshake cost work and bring nothing: so many, and
     * one more for each so many bytes of content. */
    MESSAGES_MAX = 32,
    MESSAGE_BYTES = 64 * 1024,
};

_Static_assert(MARGIN_BYTES > SSL3_RT_MAX_ENCRYPTED_LENGTH + SSL3_RT_HEADER_LENGTH, "one record");

struct stream_tls {
    SSL *ssl;
    struct stream *stream;
    struct tls_server *server; /* one of the two; a reference */
    struct tls_client *client;
    struct str in;     /* ciphertext OpenSSL did not take yet; within a callback, or `kept` */
    struct held kept;  /* ciphertext that came when the owner did not read */
    struct held early; /* written before the handshake was done, not encrypted */
    struct loop_task resume;
    char *error;       /* NULL: none */
    uint64_t content;  /* bytes of it, both ways */
    uint32_t messages; /* after the handshake */
    int write_status;  /* of the last flush, when it failed */
    int end_status;    /* what on_end will say, when `end_held` */
    bool end_held;     /* it came with bytes at which the owner stopped reading */
    bool opened;       /* TCP stands */
    bool greeted;      /* a byte came */
    bool done;         /* the handshake is */
    bool failed;       /* nothing is encrypted or decrypted any more */
    bool polling;      /* the socket is read */
};

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

/* Sends what was encrypted. Nothing follows our own FIN. */
static void flush(struct stream_tls *t)
{
    struct scratch *scratch = scratch_of(t);
    uv_buf_t buf = uv_buf_init(scratch->out, (unsigned)scratch->used);

    scratch->used = 0;
    if (buf.len == 0 || t->write_status < 0)
        return;
    ssize_t status = stream_write_raw(t->stream, &buf, 1);
    if (status < 0)
        t->write_status = (int)status;
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
            flush(t);
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

/* --- beginning and end --- */

static void on_resume(struct loop_task *task);

static int secure(struct stream *s, SSL *ssl, struct tls_server *server, struct tls_client *client)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    struct stream_tls *t;
    BIO *bio;

    CHECK(pthread_once(&once, make_method) == 0);
    if (ssl == NULL || (bio = BIO_new(method)) == NULL) {
        ERR_clear_error();
        SSL_free(ssl);
        return UV_ENOMEM;
    }
    t = xcalloc(1, sizeof(*t));
    t->stream = s;
    t->ssl = ssl;
    t->server = server == NULL ? NULL : tls_server_ref(server);
    t->client = client == NULL ? NULL : tls_client_ref(client);
    list_init(&t->resume.link);
    t->resume.run = on_resume;
    BIO_set_data(bio, t);
    BIO_set_init(bio, 1);
    SSL_set_bio(ssl, bio, bio);
    SSL_set_msg_callback(ssl, on_message);
    SSL_set_msg_callback_arg(ssl, t);
    s->tls = t;
    return 0;
}

void stream_tls_free(struct stream *s)
{
    struct stream_tls *t = s->tls;

    loop_never(&t->resume);
    /* Or OpenSSL would take every session for broken whose peer left without a close_notify. */
    if (!t->failed)
        SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
    SSL_free(t->ssl);
    tls_server_unref(t->server);
    tls_client_unref(t->client);
    held_drop(&t->kept);
    held_drop(&t->early);
    free(t->error);
    free(t);
    s->tls = NULL;
}

static void set_error(struct stream_tls *t, const char *text)
{
    if (t->error == NULL) /* the first is the cause */
        t->error = xstrdup(text);
}

/* The last operation failed: nothing more can be said on this connection but the alert that OpenSSL
 * may have written. */
static void fail(struct stream_tls *t)
{
    char text[TLS_ERROR_MAX];

    tls_describe_failure(t->ssl, text);
    set_error(t, is_flood(t) ? "the peer floods us with handshake messages" : text);
    t->failed = true;
    t->in.len = 0;
    if (t->client != NULL)
        tls_client_forget(t->client, t->ssl);
    flush(t);
}

/* --- reading the socket --- */

static void on_uv_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct loop *loop = loop_of(handle->loop);

    (void)suggested;
    *buf = uv_buf_init(loop->read_buffer + MARGIN_BYTES, LOOP_READ_BYTES - MARGIN_BYTES);
}

static void on_uv_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf);

/* The socket is read for the handshake, whatever the owner wants, and then when it does. */
static void update_polling(struct stream *s)
{
    struct stream_tls *t = s->tls;
    bool want = t->opened && !s->closing && !s->ended &&
                (s->connecting || (s->reading && t->kept.len == 0 && !t->end_held));

    if (want == t->polling)
        return;
    if (want)
        t->polling = uv_read_start((uv_stream_t *)&s->tcp, on_uv_alloc, on_uv_read) == 0;
    else
        t->polling = uv_read_stop((uv_stream_t *)&s->tcp) != 0;
}

/* The end of what comes. An owner that stopped reading learns of it when it reads again. */
static void end(struct stream *s, int status)
{
    struct stream_tls *t = s->tls;

    if (!s->reading) {
        t->end_held = true;
        t->end_status = status;
        update_polling(s);
        return;
    }
    t->end_held = false;
    stream_pause(s);
    stream_end(s, status);
}

/* Content from the ciphertext at hand to the front of the loop's buffer. *ret_status: 1 when there
 * is more to come, else what on_end has to say. */
static size_t decrypt(struct stream_tls *t, int *ret_status)
{
    char *to = stream_loop(t->stream)->read_buffer;
    size_t len = 0, n;

    bool good;

    *ret_status = 1;
    ERR_clear_error();
    do {
        good = SSL_read_ex(t->ssl, to + len, LOOP_READ_BYTES - len, &n) == 1;
        len += good ? n : 0;
    } while (good && (t->in.len > 0 || SSL_pending(t->ssl) > 0));
    t->content += len;
    switch (good ? SSL_ERROR_NONE : SSL_get_error(t->ssl, 0)) {
    case SSL_ERROR_NONE:
    case SSL_ERROR_WANT_READ:
        flush(t);
        break;
    case SSL_ERROR_ZERO_RETURN:
        t->in.len = 0; /* nothing counts behind a close_notify (RFC 8446, 6.1) */
        *ret_status = 0;
        flush(t);
        break;
    default:
        fail(t);
        *ret_status = UV_EPROTO;
    }
    return len;
}

/* The handshake is over and the owner reads. */
static void deliver(struct stream *s)
{
    struct stream_tls *t = s->tls;
    int status = 1;

    if (t->failed)
        t->in.len = 0; /* lingering: it is only waited for that the peer goes */
    size_t len = t->failed ? 0 : decrypt(t, &status);
    held_drop(&t->kept);
    if (len > 0)
        s->events->on_bytes(s, (struct str){stream_loop(s)->read_buffer, len});
    if (s->closing)
        return;
    if (status <= 0)
        end(s, status);
    else
        update_polling(s);
}

static void on_resume(struct loop_task *task)
{
    struct stream_tls *t = CONTAINER_OF(task, struct stream_tls, resume);
    struct stream *s = t->stream;

    if (!s->reading || s->closing || s->connecting)
        return;
    if (t->end_held) {
        end(s, t->end_status);
        return;
    }
    t->in = held_str(&t->kept);
    deliver(s);
}

/* --- the handshake --- */

static ssize_t encrypt(struct stream_tls *t, const uv_buf_t *bufs, unsigned count);

static void connected(struct stream *s, int status)
{
    struct stream_tls *t = s->tls;
    bool early = t->early.len > 0;

    held_drop(&t->early);
    s->connecting = false;
    update_polling(s);
    s->events->on_connect(s, status);
    if (status == 0 && early && !s->closing && stream_pending(s) == 0)
        s->events->on_drain(s);
}

void stream_tls_broken(struct stream *s, int status)
{
    s->tls->failed = true;
    set_error(s->tls, status == UV_EPROTO || status == UV_EOF
                          ? "the peer closed the connection during the handshake"
                          : uv_strerror(status));
    connected(s, status);
}

/* We ask for one protocol; a server that picks another one has not understood. */
static bool alpn_is_good(const struct stream *s)
{
    const char *name = stream_alpn(s);

    return name[0] == '\0' || strcmp(name, "http/1.1") == 0;
}

static void handshake_done(struct stream *s)
{
    struct stream_tls *t = s->tls;
    uv_buf_t early = uv_buf_init(t->early.ptr, (unsigned)t->early.len);

    t->done = true;
    if (!alpn_is_good(s)) {
        set_error(t, "the peer chose a protocol that is not http/1.1");
        fail(t);
        connected(s, UV_EPROTO);
        return;
    }
    if (early.len > 0)
        (void)encrypt(t, &early, 1); /* with our last flight, in one write */
    flush(t);
    int status = t->write_status;
    if (status == 0 && s->shut && stream_tls_shutdown(s))
        stream_shutdown_raw(s);
    connected(s, status);
}

/* False: it goes on, or ended the stream. */
static bool shake_hands(struct stream *s)
{
    struct stream_tls *t = s->tls;

    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    if (result == 1) {
        handshake_done(s);
        return !s->closing && !t->failed && t->in.len > 0;
    }
    if (SSL_get_error(t->ssl, result) != SSL_ERROR_WANT_READ) {
        fail(t);
        connected(s, UV_EPROTO);
        return false;
    }
    flush(t);
    if (t->write_status < 0)
        stream_tls_broken(s, t->write_status);
    return false;
}

void stream_tls_start(struct stream *s)
{
    s->tls->opened = true;
    update_polling(s);
    (void)shake_hands(s);
}

void stream_tls_address(struct stream *s, const struct sockaddr *address)
{
    tls_client_resume(s->tls->client, s->tls->ssl, address);
}

static void on_uv_end(struct stream *s, int status)
{
    struct stream_tls *t = s->tls;
    bool fin = status == UV_EOF;

    if (fin && stream_was_reset(s))
        status = UV_ECONNRESET;
    if (s->connecting) {
        t->polling = uv_read_stop((uv_stream_t *)&s->tcp) != 0;
        stream_tls_broken(s, status == UV_EOF && t->greeted ? UV_EPROTO : status);
        return;
    }
    if (status == UV_EOF && t->failed) {
        status = 0;
    } else if (status == UV_EOF) {
        set_error(t, "the connection ended without a close_notify: what came may have been cut");
        status = UV_EPROTO;
    }
    end(s, status);
}

static void on_uv_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf)
{
    struct stream *s = CONTAINER_OF((uv_tcp_t *)handle, struct stream, tcp);
    struct stream_tls *t = s->tls;

    if (nread == 0)
        return;
    loop_turn(stream_loop(s));
    if (nread < 0) {
        on_uv_end(s, (int)nread);
        return;
    }
    t->greeted = true;
    t->in = (struct str){buf->base, (size_t)nread};
    if (s->connecting && !shake_hands(s))
        return;
    if (s->reading) {
        deliver(s);
        return;
    }
    held_keep(&t->kept, t->in);
    t->in.len = 0;
    update_polling(s);
}

/* --- the owner's side --- */

int stream_secure_server(struct stream *s, struct tls_server *server)
{
    int status = secure(s, tls_server_connection(server), server, NULL);

    if (status < 0)
        return status;
    s->connecting = true;
    s->tls->opened = true;
    update_polling(s);
    return 0;
}

int stream_secure_client(struct stream *s, struct tls_client *client, const char *server_name)
{
    return secure(s, tls_client_connection(client, server_name), NULL, client);
}

void stream_tls_read(struct stream *s)
{
    struct stream_tls *t = s->tls;

    s->reading = true;
    if ((t->kept.len > 0 || t->end_held) && !s->connecting)
        loop_later(stream_loop(s), &t->resume);
    else
        update_polling(s);
}

void stream_tls_pause(struct stream *s)
{
    update_polling(s);
}

/* Small pieces are joined to whole records; what is a record's size already is not copied. */
static ssize_t encrypt(struct stream_tls *t, const uv_buf_t *bufs, unsigned count)
{
    char *record = scratch_of(t)->record;
    size_t joined = 0, written;
    bool good = true;

    ERR_clear_error();
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
        fail(t);
    return good ? 0 : UV_EPROTO;
}

ssize_t stream_tls_write(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    struct stream_tls *t = s->tls;

    if (s->connecting) {
        for (unsigned i = 0; i < count; i++)
            held_keep(&t->early, (struct str){bufs[i].base, bufs[i].len});
        return (ssize_t)stream_pending(s);
    }
    if (t->failed)
        return UV_EPROTO;
    ssize_t status = encrypt(t, bufs, count);
    flush(t);
    if (t->write_status < 0)
        return t->write_status;
    return status < 0 ? status : (ssize_t)stream_pending(s);
}

size_t stream_tls_early(const struct stream *s)
{
    return s->tls->early.len;
}

bool stream_tls_shutdown(struct stream *s)
{
    struct stream_tls *t = s->tls;

    if (t->failed || t->write_status < 0)
        return true; /* the FIN alone: the alert is out, or nothing ever will be */
    if (!t->done)
        return false;
    ERR_clear_error();
    (void)SSL_shutdown(t->ssl);
    ERR_clear_error();
    flush(t);
    t->write_status = UV_EPIPE; /* nothing follows */
    return true;
}

void stream_tls_goodbye(struct stream *s)
{
    /* Where something is still pending, it is lost, and the peer must be able to tell. */
    if (!s->shut && !s->broken && !s->connecting && s->tls->opened && stream_pending_raw(s) == 0)
        (void)stream_tls_shutdown(s);
}

/* --- what is known of it --- */

const char *stream_server_name(const struct stream *s)
{
    const char *name =
        s->tls == NULL ? NULL : SSL_get_servername(s->tls->ssl, TLSEXT_NAMETYPE_host_name);

    return name == NULL ? "" : name;
}

const char *stream_alpn(const struct stream *s)
{
    const unsigned char *name = NULL;
    unsigned len = 0;

    if (s->tls != NULL)
        SSL_get0_alpn_selected(s->tls->ssl, &name, &len);
    return len == 0 ? "" : len == 8 && memcmp(name, "http/1.1", 8) == 0 ? "http/1.1" : "other";
}

bool stream_covers(const struct stream *s, struct str host)
{
    return s->tls == NULL || s->tls->server == NULL ||
           tls_server_covers(s->tls->server, stream_server_name(s), host);
}

const char *stream_tls_error(const struct stream *s)
{
    return s->tls == NULL || s->tls->error == NULL ? "" : s->tls->error;
}

bool stream_tls_resumed(const struct stream *s)
{
    return s->tls != NULL && s->tls->done && SSL_session_reused(s->tls->ssl);
}
