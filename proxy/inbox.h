/* proxy/inbox.h — connections that one worker accepted and another is to serve.
 *
 * Bounded, first come first served. Any thread puts, the owner takes. A lock: it is held for a few
 * instructions, and only where a connection changes hands.
 */
#ifndef PROXY_INBOX_H
#define PROXY_INBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { INBOX_MAX = 64 };

struct inbox_connection {
    int fd;
    uint32_t listener; /* index in config.listen */
};

struct inbox {
    pthread_mutex_t lock;
    bool closed;
    _Atomic uint32_t count; /* written under the lock, read by anyone */
    struct inbox_connection connections[INBOX_MAX];
};

void inbox_init(struct inbox *);
/* Closes the descriptors that nobody took. */
void inbox_deinit(struct inbox *);

/* The descriptor is the inbox's from here on. False: it is full or closed, and the descriptor still
 * the caller's. */
bool inbox_put(struct inbox *, struct inbox_connection);
/* All there are, which are the caller's from here on. Returns how many. */
size_t inbox_take(struct inbox *, struct inbox_connection ret[static INBOX_MAX]);
/* As inbox_take, and nobody can put any more. */
size_t inbox_close(struct inbox *, struct inbox_connection ret[static INBOX_MAX]);

static inline uint32_t inbox_count(const struct inbox *i)
{
    return atomic_load_explicit(&i->count, memory_order_relaxed);
}

#endif
