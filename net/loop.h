/* net/loop.h — a uv_loop with one reading of the clock per callback and one shared read buffer. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <uv.h>

#include <stdint.h>

#include "base/clock.h"

enum { LOOP_READ_BYTES = 64 * 1024 };

struct loop {
    uv_loop_t uv; /* uv.data points back here */
    const struct clock *clock;
    int64_t now_ns;                    /* the same all through one callback */
    char read_buffer[LOOP_READ_BYTES]; /* bytes are consumed or copied before a callback returns */
};

/* 0 or a negative UV_E*. One thread runs it. */
int loop_init(struct loop *, const struct clock *);
/* The loop must have no open handles. */
void loop_deinit(struct loop *);

/* At the start of every libuv callback. Returns now. */
static inline int64_t loop_turn(struct loop *l)
{
    return l->now_ns = clock_mono(l->clock);
}

static inline struct loop *loop_of(const uv_loop_t *uv)
{
    return uv->data;
}

#endif
