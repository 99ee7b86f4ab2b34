/* TCP over libuv's poll handle: libuv says when, the calls are ours. A uv_tcp_t is 88 bytes larger,
 * and its read(2) and writev(2) cost the kernel 3 to 5 % more per small message than recv and one
 * send of what was joined before.
 *
 * TLS (net/stream_tls.c) lies between this file and the owner: what the socket gives goes there
 * first, and what it has encrypted goes out through stream_write_raw. A plain stream pays one
 * branch for it.
 */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/stream_internal.h"
#include "net/stream_tls.h"

enum {
    JOINED_BYTES = 4096, /* pieces up to this sum are copied together: cheaper than an iovec */
    PIECES_MAX = 64,     /* of one call */
    READS_MAX = 4,       /* in a row while they fill the buffer */
};

struct stream_out {
    char *bytes;
    size_t at, len, cap; /* from `at` to `len` is pending */
};

static void on_poll(uv_poll_t *poll, int status, int events);

void stream_init(struct stream *s, struct loop *loop, const struct stream_events *events)
{
    *s = (struct stream){.loop = loop, .events = events, .fd = -1};
}

/* --- what is watched for --- */

static void watch(struct stream *s, int events)
{
    if (events == s->polled)
        return;
    s->polled = (uint8_t)events;
    if (events == 0)
        uv_poll_stop(&s->handle.poll);
    else
        CHECK(uv_poll_start(&s->handle.poll, events, on_poll) == 0);
}

static void watch_writable(struct stream *s)
{
    bool want = s->opening || s->out != NULL;

    watch(s, (s->polled & UV_READABLE) | (want ? UV_WRITABLE : 0));
}

void stream_poll(struct stream *s, bool read)
{
    if (!s->closing && s->fd >= 0)
        watch(s, (s->polled & UV_WRITABLE) | (read ? UV_READABLE : 0));
}

/* --- the socket --- */

/* Written at once, and in bounded amounts: without the second, megabytes of a fast answer to a slow
 * reader would lie in the kernel, where nobody sees how slow it is. */
static void set_options(int fd)
{
    int on = 1, unsent = STREAM_UNSENT_BYTES;

    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT, &unsent, sizeof(unsent));
}

int stream_adopt(struct stream *s, int fd)
{
    int status = uv_poll_init(&s->loop->uv, &s->handle.poll, fd);

    if (status < 0) {
        close(fd);
        return status;
    }
    s->fd = fd;
    set_options(fd);
    return 0;
}

int stream_connect(struct stream *s, const struct sockaddr *address)
{
    socklen_t len =
        address->sa_family == AF_INET6 ? sizeof(struct sockaddr_in6) : sizeof(struct sockaddr_in);
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0)
        return -errno;
    int status = stream_adopt(s, fd);
    if (status < 0)
        return status;
    /* A port that nobody listens on may be known at once; the socket says so when it is asked. */
    if (connect(fd, address, len) < 0 && errno != EINPROGRESS && errno != EINTR) {
        if (errno != ECONNREFUSED)
            return -errno;
        s->refused = true;
    }
    s->opening = s->connecting = true;
    watch_writable(s);
    if (s->tls != NULL)
        stream_tls_address(s, address);
    return 0;
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

/* --- writing --- */

static void out_free(struct stream *s)
{
    if (s->out != NULL)
        free(s->out->bytes);
    free(s->out);
    s->out = NULL;
}

static void keep(struct stream *s, const char *bytes, size_t len)
{
    if (s->out == NULL)
        s->out = xcalloc(1, sizeof(*s->out));
    struct stream_out *o = s->out;
    if (o->len + len > o->cap && o->at > 0) { /* what has gone makes room */
        memmove(o->bytes, o->bytes + o->at, o->len - o->at);
        o->len -= o->at;
        o->at = 0;
    }
    if (o->len + len > o->cap) {
        size_t cap = o->cap * 2 > o->len + len ? o->cap * 2 : o->len + len;
        o->bytes = xrealloc(o->bytes, cap);
        o->cap = cap;
    }
    memcpy(o->bytes + o->len, bytes, len);
    o->len += len;
}

static ssize_t send_bytes(int fd, const char *bytes, size_t len)
{
    ssize_t n;

    do {
        n = send(fd, bytes, len, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

static ssize_t send_pieces(int fd, const uv_buf_t *bufs, unsigned count)
{
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)bufs, .msg_iovlen = count};
    ssize_t n;

    do {
        n = sendmsg(fd, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n >= 0 ? n : errno == EAGAIN ? 0 : -errno;
}

/* How many bytes the kernel took, or a negative UV_E*. */
static ssize_t send_gathered(int fd, const uv_buf_t *bufs, unsigned count)
{
    char joined[JOINED_BYTES];
    size_t len = 0;

    if (count == 1)
        return send_bytes(fd, bufs[0].base, bufs[0].len);
    for (unsigned i = 0; i < count; i++) {
        if (bufs[i].len > JOINED_BYTES - len)
            return send_pieces(fd, bufs, count < PIECES_MAX ? count : PIECES_MAX);
        memcpy(joined + len, bufs[i].base, bufs[i].len);
        len += bufs[i].len;
    }
    return send_bytes(fd, joined, len);
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

    if (s->out == NULL && !s->opening) { /* else others go first */
        ssize_t n = send_gathered(s->fd, bufs, count);
        if (n < 0) {
            s->torn |= n != UV_EPIPE;
            return n;
        }
        done = (size_t)n;
    }
    for (unsigned i = 0; i < count; i++) {
        if (done >= bufs[i].len) {
            done -= bufs[i].len;
            continue;
        }
        keep(s, bufs[i].base + done, bufs[i].len - done);
        done = 0;
    }
    if (s->out == NULL)
        return 0;
    watch_writable(s);
    return (ssize_t)stream_pending_raw(s);
}

size_t stream_pending_raw(const struct stream *s)
{
    return s->out == NULL ? 0 : s->out->len - s->out->at;
}

size_t stream_pending(const struct stream *s)
{
    return stream_pending_raw(s) + (s->tls == NULL ? 0 : stream_tls_early(s));
}

/* The kernel takes more. A negative UV_E*, or 0. */
static int send_pending(struct stream *s)
{
    struct stream_out *o = s->out;

    if (o == NULL)
        return 0;
    ssize_t n = send_bytes(s->fd, o->bytes + o->at, o->len - o->at);
    if (n < 0)
        return (int)n;
    o->at += (size_t)n;
    if (o->at == o->len)
        out_free(s);
    return 0;
}

static void on_writable(struct stream *s)
{
    int status = send_pending(s);

    if (status < 0) {
        out_free(s); /* it will never be taken */
        watch(s, 0); /* nor does anything come behind on_end */
        if (s->connecting)
            stream_tls_broken(s, status);
        else
            stream_end(s, status);
        return;
    }
    if (s->out != NULL)
        return;
    watch_writable(s);
    if (s->connecting) /* a flight of the handshake, which is nobody's business */
        return;
    if (s->shut)
        (void)shutdown(s->fd, SHUT_WR);
    s->events->on_drain(s);
}

/* --- connecting --- */

static int connect_result(const struct stream *s)
{
    int error = 0;
    socklen_t len = sizeof(error);

    if (s->refused)
        return UV_ECONNREFUSED;
    if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
        return -errno;
    return -error;
}

static void on_connected(struct stream *s)
{
    bool waited = s->out != NULL;
    int status = connect_result(s);

    s->opening = false;
    if (status == 0)
        status = send_pending(s);
    watch(s, 0);
    if (status == 0)
        watch_writable(s);
    if (status == 0 && s->tls != NULL) {
        stream_tls_start(s);
        return;
    }
    s->connecting = false;
    if (status == 0 && s->shut)
        stream_shutdown_raw(s);
    if (status == 0 && s->reading)
        stream_poll(s, true);
    s->events->on_connect(s, status);
    if (status == 0 && waited && !s->closing && s->out == NULL)
        s->events->on_drain(s);
}

/* --- reading --- */

/* An error is told once, to whoever asks first. Where that was a write, the kernel lets what came
 * before the RST be read and then says "end", as if a FIN had come. (It said EPIPE if there was one
 * before the RST.) */
static int end_of_reading(const struct stream *s)
{
    return s->torn ? UV_ECONNRESET : UV_EOF;
}

/* How much was asked for came: there may be more. */
static bool read_once(struct stream *s)
{
    size_t margin = s->tls == NULL ? 0 : STREAM_TLS_MARGIN; /* it decrypts in place */
    char *to = s->loop->read_buffer + margin;
    ssize_t n;

    do {
        n = recv(s->fd, to, LOOP_READ_BYTES - margin, 0);
    } while (n < 0 && errno == EINTR);
    if (n < 0 && errno == EAGAIN)
        return false;
    int status = n > 0 ? 0 : n == 0 ? end_of_reading(s) : -errno;
    if (s->tls != NULL && n > 0) {
        stream_tls_bytes(s, (struct str){to, (size_t)n});
    } else if (s->tls != NULL) {
        stream_tls_end(s, status);
    } else if (n > 0) {
        s->events->on_bytes(s, (struct str){to, (size_t)n});
    } else {
        stream_pause(s);
        stream_end(s, status == UV_EOF ? 0 : status);
    }
    return n == (ssize_t)(LOOP_READ_BYTES - margin);
}

static void on_readable(struct stream *s)
{
    for (int i = 0; i < READS_MAX && !s->closing && (s->polled & UV_READABLE) != 0; i++)
        if (!read_once(s))
            return;
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct stream *s = CONTAINER_OF(poll, struct stream, handle.poll);
    int polled = s->polled;

    loop_turn(s->loop);
    if (status < 0) { /* libuv found an error and watches no more: the calls will tell which */
        events = polled;
        s->polled = 0;
        watch(s, polled);
    }
    if (s->opening) {
        on_connected(s);
        return;
    }
    if ((events & UV_WRITABLE) != 0)
        on_writable(s);
    if ((events & UV_READABLE) != 0)
        on_readable(s);
}

void stream_read(struct stream *s)
{
    if (s->reading || s->closing || s->ended)
        return;
    if (s->tls != NULL) {
        stream_tls_read(s);
        return;
    }
    s->reading = true;
    if (!s->opening)
        stream_poll(s, true);
}

void stream_pause(struct stream *s)
{
    if (!s->reading || s->closing)
        return;
    s->reading = false;
    if (s->tls != NULL)
        stream_tls_pause(s);
    else
        stream_poll(s, false);
}

/* --- the end --- */

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
    if (s->out == NULL && !s->opening)
        (void)shutdown(s->fd, SHUT_WR);
}

static void on_uv_close(uv_handle_t *handle)
{
    struct stream *s = CONTAINER_OF(handle, struct stream, handle);

    out_free(s);
    if (s->tls != NULL)
        stream_tls_free(s);
    s->events->on_closed(s);
}

static void close_socket(struct stream *s)
{
    s->closing = true;
    s->reading = false;
    if (s->fd < 0) /* a handle all the same, so that on_closed comes from the loop */
        CHECK(uv_idle_init(&s->loop->uv, &s->handle.unopened) == 0);
    uv_close((uv_handle_t *)&s->handle, on_uv_close);
    if (s->fd >= 0)
        close(s->fd); /* after uv_close, which takes it out of the poll set */
    s->fd = -1;
}

void stream_close(struct stream *s)
{
    if (s->closing)
        return;
    if (s->tls != NULL)
        stream_tls_goodbye(s);
    close_socket(s);
}

void stream_reset(struct stream *s)
{
    const struct linger at_once = {.l_onoff = 1, .l_linger = 0};

    if (s->closing)
        return;
    if (!s->shut && s->fd >= 0)
        (void)setsockopt(s->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof(at_once));
    close_socket(s);
}
