/* The server itself: its listening socket, the connections it owns and one timer that enforces
 * every deadline. The socket is made, bound and listened on by hand before libuv sees it, so that a
 * failed start leaves no handle that would need a loop turn to go away.
 */
#include "net/serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "net/serve_internal.h"
#include "net/sockaddr.h"

#define DRAIN_IDLE_NS NS_PER_SEC

enum { BACKLOG = 1024, SWEEP_MS_MAX = 500, SWEEP_MS_MIN = 5 };

int64_t serve_now_ns(const struct serve *s)
{
    return (int64_t)uv_now(s->loop) * NS_PER_MS;
}

void serve_handle_closed(struct serve *s)
{
    CHECK(s->handles > 0);
    if (--s->handles > 0 || !s->closing)
        return;
    while (s->pool != NULL) {
        struct serve_request *r = s->pool;

        s->pool = r->next_free;
        serve_request_give(NULL, r);
    }
    strbuf_deinit(&s->head);
    free(s);
}

static void on_server_handle_closed(uv_handle_t *handle)
{
    serve_handle_closed(handle->data);
}

static void refresh_date(struct serve *s)
{
    time_t now = time(NULL);
    struct tm tm;

    gmtime_r(&now, &tm);
    strftime(s->date, sizeof(s->date), "%a, %d %b %Y %H:%M:%S GMT", &tm);
}

static void on_sweep(uv_timer_t *timer)
{
    struct serve *s = timer->data;
    int64_t now_ns = serve_now_ns(s);

    refresh_date(s);
    for (struct list *l = s->conns.next, *next; l != &s->conns; l = next) {
        next = l->next;
        serve_conn_sweep(CONTAINER_OF(l, struct serve_conn, node), now_ns);
    }
}

static void on_accept(struct acceptor *a, int fd)
{
    serve_conn_accept(a->arg, fd);
}

static void on_acceptor_closed(struct acceptor *a)
{
    serve_handle_closed(a->arg);
}

/* --- the socket --- */

static int bind_and_listen(int fd, const struct serve_options *o, const struct sockaddr *address,
                           socklen_t len)
{
    int on = 1;

    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        return -errno;
    if (o->reuseport && setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof(on)) != 0)
        return -errno;
    if (bind(fd, address, len) != 0 || listen(fd, BACKLOG) != 0)
        return -errno;
    return 0;
}

static int open_listener(const struct serve_options *o, int *ret_fd, struct error *reterr)
{
    struct sockaddr_storage address;
    socklen_t len = sockaddr_parse(o->host, o->port, &address);

    if (len == 0) {
        error_set(reterr, -EINVAL, "cannot listen on \"%s\": not a numeric address", o->host);
        error_hint(reterr, "write it like 127.0.0.1 or ::1");
        return -EINVAL;
    }
    int fd = socket(address.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    int code = fd < 0 ? -errno : bind_and_listen(fd, o, (struct sockaddr *)&address, len);
    if (code == 0) {
        *ret_fd = fd;
        return 0;
    }
    if (fd >= 0)
        close(fd);
    bool v6 = address.ss_family == AF_INET6;
    return error_set(reterr, code, "cannot listen on %s%s%s:%u: %s", v6 ? "[" : "", o->host,
                     v6 ? "]" : "", (unsigned)o->port, strerror(-code));
}

/* --- life --- */

static struct serve_options with_defaults(const struct serve_options *o)
{
    struct serve_options r = *o;

    r.head_max = r.head_max != 0 ? r.head_max : 64 * 1024;
    r.body_max = r.body_max != 0 ? r.body_max : 1024 * 1024;
    r.connections_max = r.connections_max != 0 ? r.connections_max : 1024;
    r.request_timeout_ns = r.request_timeout_ns != 0 ? r.request_timeout_ns : 30 * NS_PER_SEC;
    r.idle_timeout_ns = r.idle_timeout_ns != 0 ? r.idle_timeout_ns : 75 * NS_PER_SEC;
    r.host = NULL; /* the caller's, not kept */
    return r;
}

static uint64_t sweep_interval_ms(const struct serve_options *o)
{
    int64_t shortest_ns =
        o->request_timeout_ns < o->idle_timeout_ns ? o->request_timeout_ns : o->idle_timeout_ns;
    int64_t ms = shortest_ns / 4 / NS_PER_MS;

    return (uint64_t)(ms < SWEEP_MS_MIN ? SWEEP_MS_MIN : ms > SWEEP_MS_MAX ? SWEEP_MS_MAX : ms);
}

int serve_start(uv_loop_t *loop, const struct serve_options *options, struct serve **ret,
                struct error *reterr)
{
    CHECK(options->handler != NULL);
    int fd = options->listener;
    int code = fd > 0 ? 0 : open_listener(options, &fd, reterr);
    if (code != 0)
        return code;

    signal(SIGPIPE, SIG_IGN); /* libuv writes with write(2) */
    struct serve *s = xcalloc(1, sizeof(*s));
    code = acceptor_open(&s->acceptor, loop, fd, on_accept, s);
    if (code != 0) {
        if (options->listener == 0)
            close(fd);
        free(s);
        return error_set(reterr, code, "cannot listen on %s: %s", options->host, uv_strerror(code));
    }
    s->loop = loop;
    s->port = sockaddr_bound_port(fd);
    s->options = with_defaults(options);
    list_init(&s->conns);
    strbuf_init(&s->head, SERVE_EXTRA_MAX + 4096);
    refresh_date(s);
    uv_timer_init(loop, &s->sweep);
    s->sweep.data = s;
    s->handles = 2;
    uint64_t interval_ms = sweep_interval_ms(&s->options);
    uv_timer_start(&s->sweep, on_sweep, interval_ms, interval_ms);
    *ret = s;
    return 0;
}

uint16_t serve_port(const struct serve *s)
{
    return s->port;
}

int serve_descriptor(const struct serve *s)
{
    return s->acceptor.fd;
}

size_t serve_connections(const struct serve *s)
{
    return s->conn_count;
}

void serve_drain(struct serve *s)
{
    if (s->closing || s->draining)
        return;
    s->draining = true;
    acceptor_take(&s->acceptor);
    acceptor_close(&s->acceptor, on_acceptor_closed);
    int64_t deadline_ns = serve_now_ns(s) + DRAIN_IDLE_NS;
    for (struct list *l = s->conns.next; l != &s->conns; l = l->next) {
        struct serve_conn *c = CONTAINER_OF(l, struct serve_conn, node);
        if (c->state == CONN_READING && (c->request == NULL || !c->request->begun))
            c->deadline_ns = deadline_ns;
    }
}

void serve_close(struct serve *s)
{
    if (s == NULL || s->closing)
        return;
    s->closing = true;
    acceptor_close(&s->acceptor, on_acceptor_closed);
    uv_close((uv_handle_t *)&s->sweep, on_server_handle_closed);
    for (struct list *l = s->conns.next, *next; l != &s->conns; l = next) {
        next = l->next;
        serve_conn_drop(CONTAINER_OF(l, struct serve_conn, node), false);
    }
}
