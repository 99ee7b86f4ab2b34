/* TLS between the socket and a stream's owner: the handshake, then bytes both ways, then the end.
 *
 * The surprising part: one read from the kernel is one on_bytes, and OpenSSL holds nothing
 * decrypted afterwards. Only an owner that was not reading when the handshake ended leaves
 * ciphertext behind, and only one that stopped reading at the last bytes leaves an end untold; both
 * are kept and delivered from the loop when reading resumes.
 */
#include "net/stream_tls.h"

#include <openssl/err.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"

/* --- beginning and end --- */

static void on_resume(struct loop_task *task);

static int secure(struct stream *s, SSL *ssl, struct tls_server *server, struct tls_client *client)
{
    struct stream_tls *t = xcalloc(1, sizeof(*t));
    int status = stream_tls_attach(t, ssl);

    if (status < 0) {
        free(t);
        return status;
    }
    t->stream = s;
    t->server = server == NULL ? NULL : tls_server_ref(server);
    t->client = client == NULL ? NULL : tls_client_ref(client);
    list_init(&t->resume.link);
    t->resume.run = on_resume;
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

/* --- reading the socket --- */

/* The socket is read for the handshake, whatever the owner wants, and then when it does. */
static void update_polling(struct stream *s)
{
    struct stream_tls *t = s->tls;
    bool want = t->opened && !s->closing && !s->ended &&
                (s->connecting || (s->reading && t->kept.len == 0 && !t->end_held));

    stream_poll(s, want);
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

/* The handshake is over and the owner reads. */
static void deliver(struct stream *s)
{
    struct stream_tls *t = s->tls;
    int status = 1;

    if (t->failed)
        t->in.len = 0; /* lingering: it is only waited for that the peer goes */
    size_t len = t->failed ? 0 : stream_tls_decrypt(t, &status);
    held_drop(&t->kept);
    t->ending = status <= 0;
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
    stream_tls_set_error(s->tls, status == UV_EPROTO || status == UV_EOF
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
        stream_tls_set_error(t, "the peer chose a protocol that is not http/1.1");
        stream_tls_fail(t);
        connected(s, UV_EPROTO);
        return;
    }
    t->sent = false;
    int status = early.len > 0 ? stream_tls_encrypt(t, &early, 1) : 0; /* with our last flight */
    stream_tls_flush(t);
    if (t->write_status < 0)
        status = t->write_status;
    /* A long text goes out in several writes: where the first went well, it may have been read, and
     * that must not pass for a connection that never stood. */
    bool stood = status == 0 || t->sent;
    if (status == 0 && s->shut && stream_tls_shutdown(s))
        stream_shutdown_raw(s);
    connected(s, stood ? 0 : status);
    if (stood && status < 0 && !s->closing)
        stream_end(s, status);
}

/* False: it goes on, or ended the stream. */
static bool shake_hands(struct stream *s)
{
    struct stream_tls *t = s->tls;

    ERR_clear_error();
    int result = SSL_do_handshake(t->ssl);
    if (result == 1) {
        ERR_clear_error(); /* of what it tried in vain: a later failure has its own reason */
        handshake_done(s);
        return !s->closing && !t->failed && t->in.len > 0;
    }
    if (SSL_get_error(t->ssl, result) != SSL_ERROR_WANT_READ) {
        stream_tls_fail(t);
        connected(s, UV_EPROTO);
        return false;
    }
    stream_tls_flush(t);
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

void stream_tls_end(struct stream *s, int status)
{
    struct stream_tls *t = s->tls;

    if (s->connecting) {
        stream_poll(s, false);
        stream_tls_broken(s, status == UV_EOF && t->greeted ? UV_EPROTO : status);
        return;
    }
    if (status == UV_EOF && t->failed) {
        status = 0;
    } else if (status == UV_EOF) {
        stream_tls_set_error(
            t, "the connection ended without a close_notify: what came may have been cut");
        status = UV_EPROTO;
    }
    end(s, status);
}

void stream_tls_bytes(struct stream *s, struct str bytes)
{
    struct stream_tls *t = s->tls;

    t->greeted = true;
    t->in = bytes;
    if (s->connecting && t->server != NULL && !stream_tls_greet(t, t->in)) {
        stream_tls_set_error(t, "the ClientHello is too large");
        stream_tls_fail(t);
        connected(s, UV_EPROTO);
        return;
    }
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
    int status = stream_tls_encrypt(t, bufs, count);
    stream_tls_flush(t);
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
    stream_tls_flush(t);
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

bool stream_is_ending(const struct stream *s)
{
    return s->ended || (s->tls != NULL && (s->tls->ending || s->tls->end_held));
}

bool stream_tls_resumed(const struct stream *s)
{
    return s->tls != NULL && s->tls->done && SSL_session_reused(s->tls->ssl);
}
