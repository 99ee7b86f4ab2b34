/* proxy/replay.h — the part of a request's body that was sent and may have to be sent again.
 *
 * Framed as it went out. Bounded for one request and over all requests of the process; what does
 * not fit is given up as a whole, and the request can then be sent once only.
 */
#ifndef PROXY_REPLAY_H
#define PROXY_REPLAY_H

#include <uv.h>

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Process-wide; any thread. */
struct replay_limits {
    uint64_t bytes, total_bytes; /* of one request; of all */
    _Alignas(64) _Atomic uint64_t held;
};

struct replay {
    char *ptr; /* NULL: nothing held */
    size_t len, cap;
    bool yields;   /* may use only half of what all may hold: a version's second tries beside the
                      canary's */
    bool given_up; /* something was sent that is not here */
};

/* Makes room for `bytes` in all. False: there is none, and nothing changed. */
bool replay_reserve(struct replay *, struct replay_limits *, size_t bytes);
/* False when it had to be given up just now. Nothing happens when it was before. */
bool replay_add(struct replay *, struct replay_limits *, const uv_buf_t *bufs, unsigned count);
/* Something went out that is not held. */
void replay_give_up(struct replay *, struct replay_limits *);
/* Frees what is held; a zeroed one is fine. */
void replay_clear(struct replay *, struct replay_limits *);

#endif
