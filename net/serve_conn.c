/* One connection's bytes: input is given to the request parser as far as it is its turn, output is
 * tried at once and only the rest is queued, with one uv_write in flight.
 *
 * What surprises: a connection is never closed right after its last answer. It sends FIN, throws
 * away what still arrives and waits (briefly) for the peer's FIN: closing with unread input would
 * send RST, which may destroy the answer on its way. And a FIN from the peer means "gone" only to a
 * handler that asked to be told (serve_on_gone); else it is a half-close and the answer is sent.
 */
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/serve_internal.h"

#define LINGER_NS      (2 * NS_PER_SEC)  /* for the peer's FIN after ours */
#define WRITE_STALL_NS (30 * NS_PER_SEC) /* without one byte taken by the peer */

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf);

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    struct serve_conn *c = handle->data;

    (void)suggested;
    *buf = uv_buf_init(c->server->buffer, sizeof(c->server->buffer));
}

/* --- the end --- */

static void on_closed(uv_handle_t *handle)
{
    struct serve_conn *c = handle->data;
    struct serve *s = c->server;
    struct serve_request *r = c->request;

    c->request = NULL;
    if (r != NULL && !r->complete) {
        serve_request_give(s, r);
    } else if (r != NULL) {
        r->conn = NULL; /* its owner ends it, into the void, unless it is told now */
        if (r->gone != NULL) {
            r->in_gone = true;
            r->gone(r, r->gone_arg);
            serve_request_give(s, r);
        }
    }
    strbuf_deinit(&c->held);
    strbuf_deinit(&c->queue);
    strbuf_deinit(&c->flight);
    list_remove(&c->node);
    s->conn_count--;
    free(c);
    serve_handle_closed(s);
}

void serve_conn_drop(struct serve_conn *c, bool reset)
{
    if (c->state == CONN_CLOSED)
        return;
    c->state = CONN_CLOSED;
    c->deadline_ns = c->write_deadline_ns = 0;
    if (reset && uv_tcp_close_reset(&c->tcp, on_closed) == 0)
        return;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void on_shutdown(uv_shutdown_t *shutdown, int status)
{
    struct serve_conn *c = shutdown->data;

    if (status != 0 && status != UV_ECANCELED)
        serve_conn_drop(c, false);
}

static void read_on(struct serve_conn *c)
{
    if (!c->paused || c->half_closed)
        return;
    c->paused = false;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        serve_conn_drop(c, false);
}

/* The output is flushed: FIN, then wait for the peer's. */
static void say_goodbye(struct serve_conn *c)
{
    c->shutdown.data = c;
    if (c->half_closed || uv_shutdown(&c->shutdown, (uv_stream_t *)&c->tcp, on_shutdown) != 0) {
        serve_conn_drop(c, false);
        return;
    }
    c->deadline_ns = serve_now_ns(c->server) + LINGER_NS;
    read_on(c);
}

void serve_conn_finish(struct serve_conn *c)
{
    if (c->state == CONN_CLOSED || c->state == CONN_FINISHING)
        return;
    c->state = CONN_FINISHING;
    c->deadline_ns = 0;
    strbuf_deinit(&c->held);
    c->held_at = 0;
    if (serve_conn_queued(c) == 0)
        say_goodbye(c);
}

/* --- input --- */

static bool may_take(const struct serve_conn *c)
{
    return c->state == CONN_READING && serve_conn_queued(c) == 0;
}

static void send_continue(struct serve_conn *c)
{
    static const char line[] = "HTTP/1.1 100 Continue\r\n\r\n";
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)line, sizeof(line) - 1);

    c->request->wants_continue = false;
    serve_conn_write(c, &buf, 1);
}

/* Gives bytes to the request in hand and hands it out when whole. Returns how many were used. */
static size_t feed(struct serve_conn *c, const char *data, size_t len)
{
    size_t used = len;
    bool begun = c->request != NULL && c->request->begun;

    if (c->request == NULL)
        c->request = serve_request_take(c);
    struct serve_request *r = c->request;

    switch (serve_request_feed(r, data, len, &used)) {
    case SERVE_PARSE_MORE:
        if (!begun && r->begun)
            c->deadline_ns = serve_now_ns(c->server) + c->server->options.request_timeout_ns;
        if (r->wants_continue)
            send_continue(c);
        break;
    case SERVE_PARSE_DONE:
        c->state = CONN_HANDLING;
        c->deadline_ns = 0;
        c->server->options.handler(r, c->server->options.arg);
        break;
    case SERVE_PARSE_BAD:
        serve_answer_error(c, r->error_status, r->error_detail);
        used = len;
        break;
    }
    return used;
}

/* After input or output moved: closes a half-closed connection with nothing left to do, and sets
 * reading to what the held input allows. */
static void settle(struct serve_conn *c)
{
    size_t held = c->held.len - c->held_at;

    if (c->state == CONN_CLOSED)
        return;
    if (held == 0 && c->held.len > 0) {
        strbuf_deinit(&c->held);
        c->held_at = 0;
    }
    if (c->half_closed && may_take(c) && held == 0) {
        serve_conn_drop(c, false);
        return;
    }
    if (held < SERVE_HELD_MAX) {
        read_on(c);
    } else if (!c->paused) {
        c->paused = true;
        uv_read_stop((uv_stream_t *)&c->tcp);
    }
}

/* Goes on with input that had to wait. */
static void advance(struct serve_conn *c)
{
    if (c->advancing)
        return;
    c->advancing = true;
    while (may_take(c) && c->held_at < c->held.len) {
        size_t used = feed(c, c->held.ptr + c->held_at, c->held.len - c->held_at);
        if (c->held.len > 0) /* else serve_conn_finish emptied it meanwhile */
            c->held_at += used;
    }
    c->advancing = false;
    settle(c);
}

static void take_input(struct serve_conn *c, const char *data, size_t len)
{
    size_t used = 0;

    c->advancing = true;
    while (may_take(c) && c->held.len == 0 && used < len)
        used += feed(c, data + used, len - used);
    c->advancing = false;
    if (c->state == CONN_FINISHING || c->state == CONN_CLOSED)
        return;
    if (used < len && !strbuf_add(&c->held, (struct str){data + used, len - used})) {
        serve_conn_drop(c, true); /* not reachable: reading stops at SERVE_HELD_MAX */
        return;
    }
    advance(c);
}

static void take_eof(struct serve_conn *c)
{
    c->half_closed = true;
    uv_read_stop((uv_stream_t *)&c->tcp);
    switch (c->state) {
    case CONN_READING:
        if (c->held.len == c->held_at && serve_conn_queued(c) == 0)
            serve_conn_drop(c, false);
        break;
    case CONN_HANDLING:
        if (c->request->gone != NULL)
            serve_conn_drop(c, false);
        break;
    case CONN_FINISHING:
        if (serve_conn_queued(c) == 0)
            serve_conn_drop(c, false);
        break;
    case CONN_CLOSED:
        break;
    }
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct serve_conn *c = stream->data;

    if (nread == UV_EOF)
        take_eof(c);
    else if (nread < 0)
        serve_conn_drop(c, false);
    else if (nread > 0 && c->state != CONN_FINISHING && c->state != CONN_CLOSED)
        take_input(c, buf->base, (size_t)nread);
}

void serve_conn_next(struct serve_conn *c, bool keep_alive)
{
    if (c->state == CONN_CLOSED)
        return;
    if (!keep_alive) {
        serve_conn_finish(c);
        return;
    }
    c->state = CONN_READING;
    c->deadline_ns = serve_now_ns(c->server) + c->server->options.idle_timeout_ns;
    if (c->held.len > 0 || c->half_closed || c->paused)
        advance(c);
}

/* --- output --- */

size_t serve_conn_queued(const struct serve_conn *c)
{
    return c->flight.len + c->queue.len;
}

static void on_written(uv_write_t *write, int status);

static void start_flight(struct serve_conn *c)
{
    struct strbuf empty = c->flight;

    CHECK(c->flight.len == 0);
    c->flight = c->queue;
    c->queue = empty;
    c->write.data = c;
    c->write_left = c->flight.len;
    c->write_deadline_ns = serve_now_ns(c->server) + WRITE_STALL_NS;
    uv_buf_t buf = uv_buf_init(c->flight.ptr, (unsigned)c->flight.len);
    if (uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written) != 0)
        serve_conn_drop(c, false);
}

static void on_written(uv_write_t *write, int status)
{
    struct serve_conn *c = write->data;

    if (c->state == CONN_CLOSED)
        return;
    if (status != 0) {
        serve_conn_drop(c, false);
        return;
    }
    c->write_deadline_ns = 0;
    strbuf_deinit(&c->flight);
    if (c->queue.len > 0) {
        start_flight(c);
        return;
    }
    strbuf_deinit(&c->queue);
    if (c->state == CONN_FINISHING)
        say_goodbye(c);
    else
        advance(c);
}

void serve_conn_write(struct serve_conn *c, const uv_buf_t *bufs, unsigned count)
{
    size_t done = 0;

    if (c->state == CONN_CLOSED)
        return;
    if (serve_conn_queued(c) == 0) {
        int n = uv_try_write((uv_stream_t *)&c->tcp, bufs, count);
        if (n < 0 && n != UV_EAGAIN) {
            serve_conn_drop(c, false);
            return;
        }
        done = n > 0 ? (size_t)n : 0;
    }
    bool fits = true;
    for (unsigned i = 0; i < count; i++) {
        size_t skip = done < bufs[i].len ? done : bufs[i].len;

        done -= skip;
        if (skip < bufs[i].len)
            fits = strbuf_add(&c->queue, (struct str){bufs[i].base + skip, bufs[i].len - skip}) &&
                   fits;
    }
    if (!fits)
        serve_conn_drop(c, true);
    else if (c->queue.len > 0 && c->flight.len == 0)
        start_flight(c);
}

/* --- time and birth --- */

static bool write_stalled(struct serve_conn *c, int64_t now_ns)
{
    if (c->write_deadline_ns == 0)
        return false;
    size_t left = uv_stream_get_write_queue_size((const uv_stream_t *)&c->tcp);
    if (left < c->write_left) {
        c->write_left = left;
        c->write_deadline_ns = now_ns + WRITE_STALL_NS;
    }
    return now_ns >= c->write_deadline_ns;
}

void serve_conn_sweep(struct serve_conn *c, int64_t now_ns)
{
    if (c->state == CONN_CLOSED)
        return;
    if (write_stalled(c, now_ns)) {
        serve_conn_drop(c, true);
        return;
    }
    if (c->deadline_ns == 0 || now_ns < c->deadline_ns)
        return;
    if (c->state == CONN_READING && serve_conn_queued(c) > 0)
        return; /* the last answer is still on its way: write_stalled decides */
    if (c->state == CONN_READING && c->request != NULL && c->request->begun)
        serve_answer_error(c, 408, "the request did not arrive in time");
    else
        serve_conn_drop(c, false);
}

static void note_peer(struct serve_conn *c)
{
    struct sockaddr_storage name;
    int len = sizeof(name);

    if (uv_tcp_getpeername(&c->tcp, (struct sockaddr *)&name, &len) != 0)
        return;
    if (name.ss_family == AF_INET6)
        uv_ip6_name((struct sockaddr_in6 *)&name, c->peer, sizeof(c->peer));
    else
        uv_ip4_name((struct sockaddr_in *)&name, c->peer, sizeof(c->peer));
}

void serve_conn_accept(struct serve *s, int fd)
{
    struct serve_conn *c = xcalloc(1, sizeof(*c));

    c->server = s;
    c->tcp.data = c;
    strbuf_init(&c->held, SERVE_HELD_MAX + SERVE_READ_BYTES);
    strbuf_init(&c->queue, SERVE_REPLY_QUEUE_MAX);
    strbuf_init(&c->flight, SERVE_REPLY_QUEUE_MAX);
    uv_tcp_init(s->loop, &c->tcp);
    list_push(&s->conns, &c->node);
    s->conn_count++;
    s->handles++;
    if (acceptor_adopt(&c->tcp, fd) != 0 || s->conn_count > s->options.connections_max) {
        serve_conn_drop(c, false);
        return;
    }
    uv_tcp_nodelay(&c->tcp, 1);
    note_peer(c);
    c->deadline_ns = serve_now_ns(s) + s->options.idle_timeout_ns;
    if (uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read) != 0)
        serve_conn_drop(c, false);
}
