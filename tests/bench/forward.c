/* bench-forward: the practical floor of `make bench`. It passes bytes on between a client and an
 * origin, a connection there for each one here, and knows nothing of HTTP: four socket calls for a
 * request, like any proxy on epoll, and next to nothing else. Which origin is chosen per
 * connection, every fifth the second one. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/common.h"

enum { CANARY_EVERY = 5 };

static const char help[] =
    "usage: bench-forward [--port N] --to PORT [--canary PORT]\n"
    "\n"
    "  --port N       0: any free one (default); the first line of output says which\n"
    "  --to PORT      of 127.0.0.1, where four of five connections go, or all\n"
    "  --canary PORT  where the fifth goes\n";

/* One end of a pair. What its peer could not take yet is pending here, and then it is not read. */
struct side {
    struct side *peer;
    int fd;
    bool dead;
    size_t pending_len, pending_sent;
    char *pending;
};

static int epoll;
static uint16_t stable, canary;

/* A pair is freed when the events at hand are done, which may name it again. */
static struct side *graves[COMMON_EVENTS];
static int graves_len;

static void end_pair(struct side *s)
{
    struct side *first = s < s->peer ? s : s->peer;

    if (s->dead)
        return;
    for (int i = 0; i < 2; i++) {
        close(first[i].fd);
        free(first[i].pending);
        first[i].dead = true;
    }
    graves[graves_len++] = first;
}

/* An end reads unless what it read is pending, and is told of room when there is something for it.
 */
static void watch(struct side *s)
{
    uint32_t events = (s->pending_len == 0 ? (uint32_t)EPOLLIN : 0) |
                      (s->peer->pending_len > 0 ? (uint32_t)EPOLLOUT : 0);

    common_watch(epoll, EPOLL_CTL_MOD, s->fd, events, s);
}

static void hold(struct side *s, const char *bytes, size_t len)
{
    s->pending = common_allocate(len);
    memcpy(s->pending, bytes, len);
    s->pending_len = len;
    s->pending_sent = 0;
    watch(s);
    watch(s->peer);
}

static void on_readable(struct side *s)
{
    ssize_t n = recv(s->fd, common_buffer, COMMON_READ_BYTES, 0);

    if (n < 0 && errno == EAGAIN)
        return;
    if (n <= 0) {
        end_pair(s);
        return;
    }
    ssize_t sent = send(s->peer->fd, common_buffer, (size_t)n, 0);
    if (sent == n)
        return;
    if (sent < 0 && errno != EAGAIN)
        end_pair(s);
    else
        hold(s, common_buffer + (sent > 0 ? sent : 0), (size_t)(n - (sent > 0 ? sent : 0)));
}

/* There is room at s: what its peer holds goes on. */
static void on_writable(struct side *s)
{
    struct side *from = s->peer;
    ssize_t n =
        send(s->fd, from->pending + from->pending_sent, from->pending_len - from->pending_sent, 0);

    if (n < 0 && errno != EAGAIN) {
        end_pair(s);
        return;
    }
    from->pending_sent += (size_t)(n > 0 ? n : 0);
    if (from->pending_sent < from->pending_len)
        return;
    free(from->pending);
    from->pending = NULL;
    from->pending_len = 0;
    watch(s);
    watch(from);
}

static void accept_all(int listener)
{
    static unsigned accepted;
    int fd, upstream;

    while ((fd = common_accept(listener)) >= 0) {
        bool second = canary != 0 && accepted++ % CANARY_EVERY == CANARY_EVERY - 1;
        upstream = common_connect(common_address(1, second ? canary : stable));
        if (upstream < 0) {
            close(fd);
            continue;
        }
        struct side *pair = common_allocate(2 * sizeof(*pair));
        pair[0] = (struct side){.peer = &pair[1], .fd = fd};
        pair[1] = (struct side){.peer = &pair[0], .fd = upstream};
        common_watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, &pair[0]);
        common_watch(epoll, EPOLL_CTL_ADD, upstream, EPOLLIN, &pair[1]);
    }
}

static void on_event(struct side *s, uint32_t events)
{
    if (!s->dead && (events & EPOLLOUT) != 0 && s->peer->pending_len > 0)
        on_writable(s);
    if (!s->dead && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0) {
        if (s->pending_len == 0)
            on_readable(s);
        else if ((events & (EPOLLHUP | EPOLLERR)) != 0)
            end_pair(s);
    }
}

static void forward(int listener)
{
    struct epoll_event events[COMMON_EVENTS];

    for (;;) {
        int n = common_wait(epoll, events, UINT64_MAX);
        for (int i = 0; i < n; i++) {
            if (events[i].data.ptr == NULL)
                accept_all(listener);
            else
                on_event(events[i].data.ptr, events[i].events);
        }
        while (graves_len > 0)
            free(graves[--graves_len]);
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"to", required_argument, NULL, 't'},
        {"canary", required_argument, NULL, 'c'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    uint16_t port = 0;
    int option;

    common_init("bench-forward");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (uint16_t)common_number("--port", optarg, UINT16_MAX);
        else if (option == 't')
            stable = (uint16_t)common_number("--to", optarg, UINT16_MAX);
        else if (option == 'c')
            canary = (uint16_t)common_number("--canary", optarg, UINT16_MAX);
        else
            common_usage(help, option == 'h');
    }
    if (stable == 0)
        common_usage(help, false);
    int listener = common_listen(common_address(1, port), &port);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    common_watch(epoll, EPOLL_CTL_ADD, listener, EPOLLIN, NULL);
    printf("%u\n", port);
    fflush(stdout);
    forward(listener);
}
