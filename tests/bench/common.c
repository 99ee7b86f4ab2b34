#include "tests/bench/common.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { BACKLOG = 4096, CONNECT_TIMEOUT_MS = 5000 };

char common_buffer[COMMON_READ_BYTES];
static const char *program = "bench";

void common_die(const char *what)
{
    if (errno != 0)
        fprintf(stderr, "%s: %s: %m\n", program, what);
    else
        fprintf(stderr, "%s: %s\n", program, what);
    exit(1);
}

void common_init(const char *name)
{
    struct rlimit files;

    program = name;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    signal(SIGPIPE, SIG_IGN);
    prctl(PR_SET_TIMERSLACK, 1UL, 0UL, 0UL, 0UL); /* else a due time is missed by up to 50 us */
}

void *common_allocate(size_t size)
{
    void *memory = calloc(1, size);

    if (memory == NULL)
        common_die("memory");
    return memory;
}

uint64_t common_now_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void common_usage(const char *help, bool asked)
{
    fputs(help, asked ? stdout : stderr);
    exit(asked ? 0 : 2);
}

double common_number(const char *option, const char *text, double max)
{
    char *end;
    double value = strtod(text, &end);

    if (end == text || *end != '\0' || !(value >= 0 && value <= max)) {
        fprintf(stderr, "%s: %s: not a number from 0 to %.0f: %s\n", program, option, max, text);
        exit(2);
    }
    return value;
}

struct sockaddr_in common_address(unsigned n, uint16_t port)
{
    return (struct sockaddr_in){.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr.s_addr = htonl(INADDR_LOOPBACK + n - 1)};
}

static void set_nodelay(int fd)
{
    int on = 1;

    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
}

int common_listen(struct sockaddr_in address, uint16_t *ret_port)
{
    socklen_t size = sizeof(address);
    int on = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0 ||
        bind(fd, (struct sockaddr *)&address, size) != 0 || listen(fd, BACKLOG) != 0 ||
        getsockname(fd, (struct sockaddr *)&address, &size) != 0)
        common_die("listen");
    *ret_port = ntohs(address.sin_port);
    return fd;
}

int common_accept(int listener)
{
    int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

    if (fd >= 0)
        set_nodelay(fd);
    else if (errno != EAGAIN && errno != ECONNABORTED)
        common_die("accept");
    return fd;
}

int common_connect(struct sockaddr_in address)
{
    int error = 0, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    socklen_t size = sizeof(error);

    if (fd < 0)
        common_die("socket");
    set_nodelay(fd);
    if (connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0)
        return fd;
    struct pollfd connecting = {.fd = fd, .events = POLLOUT};
    if (errno == EINPROGRESS && poll(&connecting, 1, CONNECT_TIMEOUT_MS) == 1 &&
        getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size) == 0 && error == 0)
        return fd;
    close(fd);
    return -1;
}

void common_watch(int epoll, int operation, int fd, uint32_t events, void *data)
{
    struct epoll_event event = {.events = events, .data.ptr = data};

    if (epoll_ctl(epoll, operation, fd, &event) != 0)
        common_die("epoll_ctl");
}

int common_wait(int epoll, struct epoll_event *events, uint64_t until_ns)
{
    uint64_t now = until_ns == UINT64_MAX ? 0 : common_now_ns();
    uint64_t left = until_ns > now ? until_ns - now : 0;
    struct timespec timeout = {.tv_sec = (time_t)(left / 1000000000),
                               .tv_nsec = (long)(left % 1000000000)};
    int n =
        epoll_pwait2(epoll, events, COMMON_EVENTS, until_ns == UINT64_MAX ? NULL : &timeout, NULL);

    if (n < 0 && errno != EINTR)
        common_die("epoll_pwait2");
    return n < 0 ? 0 : n;
}
