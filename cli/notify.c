/* libsystemd is not linked for one sendto. */
#include "cli/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/str.h"

static int64_t watchdog_ns(bool handed_over)
{
    const char *usec = getenv("WATCHDOG_USEC"), *pid = getenv("WATCHDOG_PID");
    uint64_t value;

    if (usec == NULL || !str_to_u64(str_from(usec), &value) || value == 0 ||
        value > (uint64_t)(INT64_MAX / NS_PER_US))
        return 0;
    uint64_t whom;
    if (pid != NULL && !handed_over &&
        (!str_to_u64(str_from(pid), &whom) || whom != (uint64_t)getpid()))
        return 0;
    return (int64_t)value * NS_PER_US;
}

void notify_init(struct notify *n, bool handed_over)
{
    const char *path = getenv("NOTIFY_SOCKET");

    *n = (struct notify){.fd = -1, .to = {.sun_family = AF_UNIX}};
    if (path == NULL || (path[0] != '/' && path[0] != '@'))
        return;
    size_t len = strlen(path);
    if (len >= sizeof(n->to.sun_path))
        return;
    memcpy(n->to.sun_path, path, len);
    if (path[0] == '@')
        n->to.sun_path[0] = '\0'; /* an abstract name: its length is its end */
    n->to_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len + (path[0] != '@'));
    n->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    n->watchdog_ns = watchdog_ns(handed_over);
}

void notify_deinit(struct notify *n)
{
    if (n->fd >= 0)
        close(n->fd);
    n->fd = -1;
}

void notify_send(const struct notify *n, const char *fmt, ...)
{
    char text[512];
    va_list args;

    if (n->fd < 0)
        return;
    va_start(args, fmt);
    int len = vsnprintf(text, sizeof(text), fmt, args);
    va_end(args);
    if (len > 0 && (size_t)len < sizeof(text))
        (void)sendto(n->fd, text, (size_t)len, MSG_NOSIGNAL, (const struct sockaddr *)&n->to,
                     n->to_len);
}
