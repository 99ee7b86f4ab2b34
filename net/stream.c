/* TCP over libuv with uv_try_write first. The surprising part: at most one uv_write is in flight
 * per stream, because libuv finishes only one queued request per loop turn; what comes meanwhile is
 * joined in `next` and goes out as one.
 *
 * TLS (net/stream_tls.c) lies between this file and the owner: it reads by itself, and what it has
 * encrypted goes out through stream_write_raw. A plain stream pays one branch for it.
 */
#include "net/stream.h"

#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/acceptor.h"
#include "net/stream_internal.h"

struct stream_out {
    uv_write_t write;
    uv_connect_t connect;
    struct stream *stream; /* NULL once the stream has let go of it */
    bool connecting;       /* TCP's part of it */
    bool writing;
    char *now; /* in flight */
    size_t now_len;
    char *next; /* joined while `now` is in flight, or before the connection stands */
    size_t next_len, next_cap;
};

static void on_uv_write(uv_write_t *req, int status);

static struct stream *stream_of(uv_handle_t *handle)
{
    return CONTAINER_OF(handle, struct stream, tcp);
}

void stream_init(struct stream *s, struct loop *loop, const struct stream_events *events)
{
    *s = (struct stream){.events = events};
    CHECK(uv_tcp_init(&loop->uv, &s->tcp) == 0);
}

/* Written at once, and in bounded amounts: without the second, megabytes of a fast answer to a slow
 * reader would lie in the kernel, where nobody sees how slow it is. */
static void set_options(struct stream *s)
{
    uv_os_fd_t fd;
    int unsent = STREAM_UNSENT_BYTES;

    uv_tcp_nodelay(&s->tcp, 1);
    if (uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

int stream_adopt(struct stream *s, int fd)
{
    int status = acceptor_adopt(&s->tcp, fd);

    if (status == 0)
        set_options(s);
    return status;
}

static struct stream_out *out_of(struct stream *s)
{
    if (s->out == NULL) {
        s->out = xcalloc(1, sizeof(*s->out));
        s->out->stream = s;
    }
    return s->out;
}

static void out_free(struct stream_out *o)
{
    free(o->now);
    free(o->next);
    free(o);
}

static void keep(struct stream_out *o, const char *bytes, size_t len)
{
    if (o->next_len + len > o->next_cap) {
        size_t cap = o->next_cap * 2 > o->next_len + len ? o->next_cap * 2 : o->next_len + len;
        o->next = xrealloc(o->next, cap);
        o->next_cap = cap;
    }
    memcpy(o->next + o->next_len, bytes, len);
    o->next_len += len;
}

/* Puts `next` in flight. */
static int flush(struct stream *s)
{
    struct stream_out *o = s->out;

    CHECK(!o->writing);
    free(o->now);
    o->now = o->next;
    o->now_len = o->next_len;
    o->next = NULL;
    o->next_len = o->next_cap = 0;
    uv_buf_t buf = uv_buf_init(o->now, (unsigned)o->now_len);
    int status = uv_write(&o->write, (uv_stream_t *)&s->tcp, &buf, 1, on_uv_write);
    o->writing = status == 0;
    return status;
}

static void shut_now(struct stream *s)
{
    uv_os_fd_t fd;

    /* Not uv_shutdown: nothing is queued, and a request object would have to outlive us. */
    if (uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0)
        (void)shutdown(fd, SHUT_WR);
}

/* A FIN ends one direction, an error both: it is told even when the FIN was told before. */
void stream_end(struct stream *s, int status)
{
    if (s->broken || (s->ended && status == 0))
        return;
    s->ended = true;
    s->broken = status < 0;
    s->events->on_end(s, status);
}

static void on_uv_write(uv_write_t *req, int status)
{
    struct stream_out *o = CONTAINER_OF(req, struct stream_out, write);
    struct stream *s = o->stream;

    o->writing = false;
    if (s == NULL) {
        out_free(o);
        return;
    }
    loop_turn(stream_loop(s));
    if (status == 0 && o->next_len > 0)
        status = flush(s);
    if (status < 0) {
        s->out = NULL; /* it will never be taken */
        out_free(o);
        if (s->connecting)
            stream_tls_broken(s, status);
        else
            stream_end(s, status);
        return;
    }
    if (o->writing)
        return;
    s->out = NULL;
    out_free(o);
    if (s->connecting) /* a flight of the handshake, which is nobody's business */
        return;
    if (s->shut)
        shut_now(s);
    s->events->on_drain(s);
}

ssize_t stream_write(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    CHECK(!s->closing);
    CHECK(!s->shut);
    return s->tls != NULL ? stream_tls_write(s, bufs, count) : stream_write_raw(s, bufs, count);
}

ssize_t stream_write_raw(struct stream *s, const uv_buf_t *bufs, unsigned count)
{
    size_t done = 0;

    if (s->out == NULL) { /* else the connection does not stand, or others go first */
        int n = uv_try_write((uv_stream_t *)&s->tcp, bufs, count);
        if (n < 0 && n != UV_EAGAIN)
            return n;
        done = n < 0 ? 0 : (size_t)n;
    }
    struct stream_out *o = s->out;
    for (unsigned i = 0; i < count; i++) {
        if (done >= bufs[i].len) {
            done -= bufs[i].len;
            continue;
        }
        o = out_of(s);
        keep(o, bufs[i].base + done, bufs[i].len - done);
        done = 0;
    }
    if (o == NULL)
        return 0;
    if (!o->writing && !o->connecting && o->next_len > 0) {
        int status = flush(s);
        if (status < 0)
            return status;
    }
    return (ssize_t)stream_pending_raw(s);
}

size_t stream_pending_raw(const struct stream *s)
{
    return s->out == NULL ? 0 : (s->out->writing ? s->out->now_len : 0) + s->out->next_len;
}

size_t stream_pending(const struct stream *s)
{
    return stream_pending_raw(s) + (s->tls == NULL ? 0 : stream_tls_early(s));
}

size_t stream_backlog(const struct stream *s)
{
    return uv_stream_get_write_queue_size((const uv_stream_t *)&s->tcp) +
           (s->out == NULL ? 0 : s->out->next_len);
}

static void on_uv_connect(uv_connect_t *req, int status)
{
    struct stream_out *o = CONTAINER_OF(req, struct stream_out, connect);
    struct stream *s = o->stream;

    if (s == NULL) {
        out_free(o);
        return;
    }
    loop_turn(stream_loop(s));
    o->connecting = false;
    if (status == 0 && o->next_len > 0)
        status = flush(s);
    if (status == 0 && !o->writing) {
        s->out = NULL;
        out_free(o);
    }
    if (status == 0 && s->tls != NULL) {
        stream_tls_start(s);
        return;
    }
    s->connecting = false;
    if (status == 0 && s->shut)
        stream_shutdown_raw(s);
    s->events->on_connect(s, status);
}

int stream_connect(struct stream *s, const struct sockaddr *address)
{
    struct stream_out *o = out_of(s);

    int status = uv_tcp_connect(&o->connect, &s->tcp, address, on_uv_connect);
    if (status < 0) {
        s->out = NULL;
        out_free(o);
        return status;
    }
    set_options(s);
    o->connecting = true;
    s->connecting = true;
    if (s->tls != NULL)
        stream_tls_address(s, address);
    return 0;
}

/* libuv reports the end of the stream when an RST arrives right behind data (it takes EPOLLHUP for
 * a FIN). The kernel knows better: after a FIN the socket waits for our close, after an RST it is
 * closed. */
bool stream_was_reset(struct stream *s)
{
    struct tcp_info info;
    socklen_t len = sizeof(info);
    uv_os_fd_t fd;

    return !s->shut && uv_fileno((uv_handle_t *)&s->tcp, &fd) == 0 &&
           getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &len) == 0 && info.tcpi_state == TCP_CLOSE;
}

static void on_uv_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct loop *loop = loop_of(handle->loop);

    (void)suggested;
    *buf = uv_buf_init(loop->read_buffer, LOOP_READ_BYTES);
}

static void on_uv_read(uv_stream_t *handle, ssize_t nread, const uv_buf_t *buf)
{
    struct stream *s = stream_of((uv_handle_t *)handle);

    if (nread == 0)
        return;
    loop_turn(stream_loop(s));
    if (nread > 0) {
        s->events->on_bytes(s, (struct str){buf->base, (size_t)nread});
        return;
    }
    stream_pause(s);
    stream_end(s, nread != UV_EOF ? (int)nread : stream_was_reset(s) ? UV_ECONNRESET : 0);
}

void stream_read(struct stream *s)
{
    if (s->reading || s->closing || s->ended)
        return;
    if (s->tls != NULL) {
        stream_tls_read(s);
        return;
    }
    s->reading = uv_read_start((uv_stream_t *)&s->tcp, on_uv_alloc, on_uv_read) == 0;
}

void stream_pause(struct stream *s)
{
    if (!s->reading || s->closing)
        return;
    s->reading = false;
    if (s->tls != NULL)
        stream_tls_pause(s);
    else
        uv_read_stop((uv_stream_t *)&s->tcp);
}

void stream_shutdown(struct stream *s)
{
    if (s->shut || s->closing)
        return;
    s->shut = true;
    if (s->tls != NULL && !stream_tls_shutdown(s))
        return; /* once the handshake is done */
    stream_shutdown_raw(s);
}

void stream_shutdown_raw(struct stream *s)
{
    if (s->out == NULL)
        shut_now(s);
}

static void on_uv_close(uv_handle_t *handle)
{
    struct stream *s = stream_of(handle);

    /* A request in flight was cancelled before this callback, so nothing points at `out`. */
    if (s->out != NULL)
        out_free(s->out);
    if (s->tls != NULL)
        stream_tls_free(s);
    s->events->on_closed(s);
}

/* Lets go of requests whose callbacks are still to come: they run, with UV_ECANCELED, before the
 * close callback or in the same turn, and must not reach the owner. */
static void let_go(struct stream *s)
{
    if (s->out != NULL && (s->out->writing || s->out->connecting)) {
        s->out->stream = NULL;
        s->out = NULL;
    }
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    if (s->tls != NULL)
        stream_tls_goodbye(s);
    s->closing = true;
    s->reading = false;
    let_go(s);
    uv_close((uv_handle_t *)&s->tcp, on_uv_close);
}

void stream_reset(struct stream *s)
{
    if (s->closing)
        return;
    let_go(s);
    if (s->shut || uv_tcp_close_reset(&s->tcp, on_uv_close) != 0)
        uv_close((uv_handle_t *)&s->tcp, on_uv_close);
    s->closing = true;
    s->reading = false;
}
