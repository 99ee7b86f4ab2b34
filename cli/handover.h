/* cli/handover.h — what two processes say to each other when one replaces the other: messages with
 * descriptors over a socket pair of packets.
 *
 *   running                                     new
 *   its sockets, its weights, COMPLETE   ──→    loads its files, binds what is not inherited
 *                                        ←──    PREPARED: nothing of the start can fail any more
 *   stops deciding; STATES               ──→    takes the rollouts up where they stand
 *                                        ←──    READY
 *   stops accepting and drains                  serves
 *
 * Either side may go away at any point before READY: then the running process goes on as it was.
 */
#ifndef CLI_HANDOVER_H
#define CLI_HANDOVER_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"

/* The new process finds its end of the socket pair by this variable. */
#define HANDOVER_ENVIRONMENT "SLUICE_HANDOVER"

enum { HANDOVER_VERSION = 1, HANDOVER_FDS_MAX = 64, HANDOVER_TEXT_MAX = 63 };

enum handover_kind {
    HANDOVER_PROXY_SOCKETS = 1, /* of one listener: text is its address, group its index */
    HANDOVER_ADMIN_SOCKET,      /* text is its address */
    HANDOVER_WEIGHTS,           /* proxy_weight_fds, in that order */
    HANDOVER_COMPLETE,          /* that was all */
    HANDOVER_PREPARED,
    HANDOVER_STATES, /* a memory file with the rollouts' states as JSON */
    HANDOVER_READY,
    HANDOVER_KIND_COUNT
};

struct handover_message {
    enum handover_kind kind;
    uint32_t group;
    char text[HANDOVER_TEXT_MAX + 1];
    int fds[HANDOVER_FDS_MAX];
    size_t fd_count;
};

/* Both ends close on exec and do not block. 0 or -errno. */
int handover_pair(int ret[static 2]);
/* 0 or -errno; -EPIPE: the other side is gone. The descriptors stay the caller's. */
int handover_send(int socket, const struct handover_message *);
/* The next message; its descriptors are the caller's and close on exec. -EAGAIN: none yet, -EPIPE:
 * the other side is gone, -EPROTO: it is none of ours, or of another version. */
int handover_receive(int socket, struct handover_message *ret);
/* Waits for it. -ETIMEDOUT. */
int handover_await(int socket, int64_t timeout_ms, struct handover_message *ret);
void handover_close_fds(struct handover_message *);

/* A memory file with these bytes, sealed, or -errno. */
int handover_write_file(const char *name, struct str bytes);
/* Its bytes (free with free()); NULL when it is larger than `max` or unreadable. */
char *handover_read_file(int fd, size_t max, size_t *ret_len);

#endif
