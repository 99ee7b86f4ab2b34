/* cli/notify.h — tells systemd how this process is (sd_notify's protocol: a datagram with lines of
 * NAME=value to $NOTIFY_SOCKET). Without that variable everything here does nothing.
 */
#ifndef CLI_NOTIFY_H
#define CLI_NOTIFY_H

#include <sys/socket.h>
#include <sys/un.h>

#include <stdbool.h>
#include <stdint.h>

struct notify {
    int fd; /* -1: nobody listens */
    struct sockaddr_un to;
    socklen_t to_len;
    int64_t watchdog_ns; /* how often it wants to hear from us; 0: never */
};

/* Reads the environment. `handed_over`: a WATCHDOG_PID that names the process before means us. */
void notify_init(struct notify *, bool handed_over);
void notify_deinit(struct notify *);
/* One datagram, such as "READY=1\nSTATUS=serving". Never blocks; what cannot be sent is lost. */
void notify_send(const struct notify *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
