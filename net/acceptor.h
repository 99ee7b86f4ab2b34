/* net/acceptor.h — takes connections from a listening socket, and survives running out of
 * descriptors.
 *
 * Not uv_listen: when descriptors run out, libuv frees one spare per loop, which another thread may
 * take first, and then never leaves its accept loop. Here at most a few connections are taken per
 * turn, and when there are none to be had the socket is left alone for 100 ms, while clients wait
 * in the kernel's queue. One loop, one thread.
 */
#ifndef NET_ACCEPTOR_H
#define NET_ACCEPTOR_H

#include <uv.h>

#include <stdbool.h>
#include <stdint.h>

struct acceptor;

/* `fd`: a new connection, non-blocking and close-on-exec; the callee owns it. */
typedef void acceptor_fn(struct acceptor *, int fd);

struct acceptor {
    uv_poll_t poll;
    uv_timer_t retry;
    acceptor_fn *on_accept;
    void (*on_closed)(struct acceptor *); /* may be NULL; last, memory may go */
    void *arg;                            /* the owner's */
    uint64_t exhausted; /* how often there was no descriptor or memory for a connection */
    int fd;
    uint8_t open_handles;
};

/* Takes over a bound, listening, non-blocking socket (closed by acceptor_close). 0 or UV_E*, then
 * the socket is still the caller's and nothing is to be closed. */
int acceptor_open(struct acceptor *, uv_loop_t *, int fd, acceptor_fn *on_accept, void *arg);
/* Takes what waits in the kernel's queue now, before a close would reset it. */
void acceptor_take(struct acceptor *);
/* Asynchronous, idempotent. */
void acceptor_close(struct acceptor *, void (*on_closed)(struct acceptor *));

/* A new stream handle on an accepted descriptor. Closes the descriptor when it fails. 0 or UV_E*.
 */
int acceptor_adopt(uv_tcp_t *, int fd);

#endif
