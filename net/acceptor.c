/* uv_poll on the listening socket, accept4 by ourselves. */
#include "net/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/check.h"

/* A queue is never longer than net.core.somaxconn; TAKE_TURNS_MAX × 64 connections of it are taken.
 */
enum { PER_TURN_MAX = 64, RETRY_MS = 100, TAKE_TURNS_MAX = 1024 };

static void on_retry(uv_timer_t *timer);

/* Nothing to be had: look again later, and do not spin meanwhile. */
static void rest(struct acceptor *a)
{
    a->exhausted++;
    uv_poll_stop(&a->poll);
    uv_timer_start(&a->retry, on_retry, RETRY_MS, 0);
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    struct acceptor *a = CONTAINER_OF(poll, struct acceptor, poll);

    (void)events;
    for (int i = 0; i < PER_TURN_MAX && status == 0 && !uv_is_closing((uv_handle_t *)poll); i++) {
        int fd = accept4(a->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd >= 0) {
            a->on_accept(a, fd);
        } else if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
            rest(a);
            return;
        } else if (errno != ECONNABORTED && errno != EINTR) {
            return; /* EAGAIN: the queue is empty */
        }
    }
}

static void on_retry(uv_timer_t *timer)
{
    struct acceptor *a = CONTAINER_OF(timer, struct acceptor, retry);

    uv_poll_start(&a->poll, UV_READABLE, on_readable);
}

/* Until the queue is empty, or there is nothing to take a connection with. */
void acceptor_take(struct acceptor *a)
{
    uint64_t exhausted = a->exhausted;
    struct pollfd p = {.fd = a->fd, .events = POLLIN};

    for (int i = 0; i < TAKE_TURNS_MAX && a->exhausted == exhausted && poll(&p, 1, 0) == 1; i++)
        on_readable(&a->poll, 0, UV_READABLE);
}

int acceptor_open(struct acceptor *a, uv_loop_t *loop, int fd, acceptor_fn *on_accept, void *arg)
{
    *a = (struct acceptor){.on_accept = on_accept, .arg = arg, .fd = fd};
    int status = uv_poll_init(loop, &a->poll, fd);
    if (status < 0)
        return status;
    CHECK(uv_timer_init(loop, &a->retry) == 0);
    a->open_handles = 2;
    CHECK(uv_poll_start(&a->poll, UV_READABLE, on_readable) == 0);
    return 0;
}

static void handle_closed(struct acceptor *a)
{
    if (--a->open_handles == 0 && a->on_closed != NULL)
        a->on_closed(a);
}

static void on_poll_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF(handle, struct acceptor, poll));
}

static void on_retry_closed(uv_handle_t *handle)
{
    handle_closed(CONTAINER_OF(handle, struct acceptor, retry));
}

void acceptor_close(struct acceptor *a, void (*on_closed)(struct acceptor *))
{
    if (a->fd < 0)
        return;
    a->on_closed = on_closed;
    uv_close((uv_handle_t *)&a->poll, on_poll_closed);
    uv_close((uv_handle_t *)&a->retry, on_retry_closed);
    close(a->fd); /* after uv_close, which takes it out of the poll set */
    a->fd = -1;
}

int acceptor_adopt(uv_tcp_t *tcp, int fd)
{
    int status = uv_tcp_open(tcp, fd);

    if (status < 0)
        close(fd);
    return status;
}
