/* bench-origin: the backend of `make bench`, as cheap as one can be. Any request, once its body has
 * come, is answered with the same prepared bytes; one that accepts text/event-stream gets events
 * of the OpenAI chat shape at a rate, for ever. The streams' phases are spread over the interval,
 * as those of independent generations are. */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/queue.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/bench/common.h"

enum { HEAD_BYTES = 8192, ADDRESSES_MAX = 250, ANSWER_BYTES_MAX = 1 << 20 };

static const char help[] =
    "usage: bench-origin [--port N] [--addresses N] [--size BYTES] [--sse] [--rate N]\n"
    "\n"
    "  --port N       0: any free one (default); the first line of output says which\n"
    "  --addresses N  listens on 127.0.0.1, 127.0.0.2, ... with the same port (1)\n"
    "  --size BYTES   of the JSON body of an answer (256)\n"
    "  --sse          every answer is a stream, whatever the request accepts\n"
    "  --rate N       events per second of one stream (20)\n";

struct connection {
    TAILQ_ENTRY(connection) link; /* in streams */
    int fd;
    bool wants_stream, streams;
    bool ends;          /* the client asked for `Connection: close` */
    uint64_t body_left; /* of the request */
    uint64_t due_ns;    /* of the next event */
    size_t unsent;      /* of the answer's end */
    size_t head_len;
    char head[HEAD_BYTES]; /* only a head that came in pieces */
};

static char answer[ANSWER_BYTES_MAX + 512], event_chunk[512];
static size_t answer_len, event_len;
static const char stream_head[] = "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n"
                                  "server: bench\r\ncontent-type: text/event-stream\r\n"
                                  "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
static bool always_stream;
static uint64_t interval_ns = 50000000;
static int epoll;
static TAILQ_HEAD(streams, connection) streams = TAILQ_HEAD_INITIALIZER(streams); /* by due_ns */

static void prepare(size_t size)
{
    static const char before[] = "{\"choices\":[{\"text\":\"", after[] = "\"}]}";
    static const char event[] =
        "data: {\"id\":\"chatcmpl-7QyqpwdfhqwajicIEznoc6Q47XAyW\","
        "\"object\":\"chat.completion.chunk\",\"created\":1767225600,\"model\":\"bench\","
        "\"choices\":[{\"index\":0,\"delta\":{\"content\":\" token~\"},\"finish_reason\":null}]}"
        "\n\n";
    size_t fixed = sizeof(before) - 1 + sizeof(after) - 1;

    if (size < fixed)
        size = fixed;
    int len = snprintf(answer, sizeof(answer),
                       "HTTP/1.1 200 OK\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\nserver: bench\r\n"
                       "content-length: %zu\r\ncontent-type: application/json\r\n\r\n%s",
                       size, before);
    memset(answer + len, 'y', size - fixed);
    answer_len = (size_t)len + size - fixed;
    memcpy(answer + answer_len, after, sizeof(after) - 1);
    answer_len += sizeof(after) - 1;
    event_len = (size_t)snprintf(event_chunk, sizeof(event_chunk), "%zx\r\n%s\r\n",
                                 sizeof(event) - 1, event);
}

static void drop(struct connection *c)
{
    if (c->streams)
        TAILQ_REMOVE(&streams, c, link);
    close(c->fd);
    free(c);
}

/* True when all of it went out, or all of an answer will; else the connection is gone. */
static bool send_all(struct connection *c, const char *bytes, size_t len, bool may_wait)
{
    ssize_t n = send(c->fd, bytes, len, 0);

    if (n == (ssize_t)len)
        return true;
    if (!may_wait || (n < 0 && errno != EAGAIN)) {
        drop(c);
        return false;
    }
    c->unsent = len - (size_t)(n > 0 ? n : 0);
    common_watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLOUT, c);
    return true;
}

static void begin_stream(struct connection *c)
{
    if (!send_all(c, stream_head, sizeof(stream_head) - 1, false))
        return;
    c->streams = true;
    c->due_ns = common_now_ns() + (uint64_t)((double)interval_ns * drand48());
    struct connection *before = TAILQ_LAST(&streams, streams);
    while (before != NULL && before->due_ns > c->due_ns)
        before = TAILQ_PREV(before, streams, link);
    if (before != NULL)
        TAILQ_INSERT_AFTER(&streams, before, c, link);
    else
        TAILQ_INSERT_HEAD(&streams, c, link);
}

static bool has_name(const char *line, const char *name, size_t len)
{
    return strncasecmp(line, name, len) == 0 && line[len] == ':';
}

static void read_fields(struct connection *c, const char *line, const char *end)
{
    c->wants_stream = always_stream;
    c->body_left = 0;
    while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL && ++line < end) {
        if ((*line | 0x20) == 'c' && has_name(line, "content-length", 14))
            c->body_left = strtoull(line + 15, NULL, 10);
        else if ((*line | 0x20) == 'c' && has_name(line, "connection", 10))
            c->ends = line[12] == 'c' || line[12] == 'C';
        else if ((*line | 0x20) == 'a' && has_name(line, "accept", 6))
            c->wants_stream |= memcmp(line + 8, "text/event-stream", 17) == 0;
    }
}

/* The request that bytes begin or go on with. */
static void take(struct connection *c, const char *bytes, size_t len)
{
    if (c->body_left == 0) {
        const char *end = memmem(bytes, len, "\r\n\r\n", 4);
        if (end == NULL) {
            if (len >= HEAD_BYTES) {
                drop(c);
                return;
            }
            memcpy(c->head, bytes, len);
            c->head_len = len;
            return;
        }
        c->head_len = 0;
        read_fields(c, bytes, end + 2);
        len -= (size_t)(end + 4 - bytes);
    }
    c->body_left -= len < c->body_left ? len : c->body_left;
    if (c->body_left > 0)
        return;
    if (c->wants_stream)
        begin_stream(c);
    else if (send_all(c, answer, answer_len, true) && c->ends && c->unsent == 0)
        drop(c);
}

static void on_readable(struct connection *c)
{
    char *room = common_buffer;

    if (c->head_len > 0) { /* the head goes on: put its beginning in front */
        memcpy(room, c->head, c->head_len);
        room += c->head_len;
    }
    ssize_t n = recv(c->fd, room, COMMON_READ_BYTES - c->head_len, 0);
    if (n == 0 || (n < 0 && errno != EAGAIN))
        drop(c);
    else if (n > 0 && !c->streams)
        take(c, common_buffer, c->head_len + (size_t)n);
}

static void on_event(struct connection *c, uint32_t events)
{
    if (c->unsent > 0 && (events & (EPOLLERR | EPOLLHUP)) == 0) {
        size_t len = c->unsent;
        c->unsent = 0;
        if (!send_all(c, answer + answer_len - len, len, true) || c->unsent > 0)
            return;
        if (c->ends)
            drop(c);
        else
            common_watch(epoll, EPOLL_CTL_MOD, c->fd, EPOLLIN, c);
        return;
    }
    on_readable(c);
}

/* Sends the events that are due. All streams have one interval, so that one that was first goes to
 * the end of the list and the list stays in order. */
static void send_due(void)
{
    uint64_t now = common_now_ns();
    struct connection *c;

    while ((c = TAILQ_FIRST(&streams)) != NULL && c->due_ns <= now) {
        TAILQ_REMOVE(&streams, c, link);
        TAILQ_INSERT_TAIL(&streams, c, link);
        c->due_ns += interval_ns;
        send_all(c, event_chunk, event_len, false);
    }
}

static void accept_all(int listener)
{
    int fd;

    while ((fd = common_accept(listener)) >= 0) {
        struct connection *c = common_allocate(sizeof(*c));
        c->fd = fd;
        common_watch(epoll, EPOLL_CTL_ADD, fd, EPOLLIN, c);
    }
}

static void serve(int *listeners, unsigned addresses)
{
    struct epoll_event events[COMMON_EVENTS];

    for (;;) {
        struct connection *first = TAILQ_FIRST(&streams);
        int n = common_wait(epoll, events, first != NULL ? first->due_ns : UINT64_MAX);
        for (int i = 0; i < n; i++) {
            int *listener = events[i].data.ptr;
            if (listener >= listeners && listener < listeners + addresses)
                accept_all(*listener);
            else
                on_event(events[i].data.ptr, events[i].events);
        }
        send_due();
    }
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"port", required_argument, NULL, 'p'},
        {"addresses", required_argument, NULL, 'a'},
        {"size", required_argument, NULL, 's'},
        {"sse", no_argument, NULL, 'e'},
        {"rate", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    static int listeners[ADDRESSES_MAX];
    unsigned addresses = 1;
    size_t size = 256;
    uint16_t port = 0;
    int option;

    common_init("bench-origin");
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'p')
            port = (uint16_t)common_number("--port", optarg, UINT16_MAX);
        else if (option == 'a')
            addresses = (unsigned)common_number("--addresses", optarg, ADDRESSES_MAX);
        else if (option == 's')
            size = (size_t)common_number("--size", optarg, ANSWER_BYTES_MAX);
        else if (option == 'e')
            always_stream = true;
        else if (option == 'r')
            interval_ns = (uint64_t)(1e9 / common_number("--rate", optarg, 1e6));
        else
            common_usage(help, option == 'h');
    }
    prepare(size);
    epoll = epoll_create1(EPOLL_CLOEXEC);
    for (unsigned i = 0; i < addresses; i++) {
        listeners[i] = common_listen(common_address(i + 1, port), &port);
        common_watch(epoll, EPOLL_CTL_ADD, listeners[i], EPOLLIN, &listeners[i]);
    }
    printf("%u\n", port);
    fflush(stdout);
    serve(listeners, addresses);
}
