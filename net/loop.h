/* net/loop.h — a uv_loop with one reading of the clock per callback and one shared read buffer. */
#ifndef NET_LOOP_H
#define NET_LOOP_H

#include <uv.h>

#include <stdint.h>

#include "base/clock.h"
#include "base/list.h"

/* An answer of 64 KiB comes in one read with its head, and goes out in one write. */
enum { LOOP_READ_BYTES = 96 * 1024 };

struct loop {
    uv_loop_t uv; /* uv.data points back here */
    const struct clock *clock;
    int64_t now_ns;                    /* the same all through one callback */
    char read_buffer[LOOP_READ_BYTES]; /* bytes are consumed or copied before a callback returns */
    void *scratch;                     /* net/stream_tls.c's; heap, freed with the loop */
    struct list tasks;
    uv_idle_t tasks_due; /* runs only while there are tasks; does not keep the loop alive */
};

/* Something to do in the next turn of the loop, with nothing of the caller's on the stack.
 * Embedded; list_init(&task.link) makes it idle. */
struct loop_task {
    struct list link;
    void (*run)(struct loop_task *);
};

/* 0 or a negative UV_E*. One thread runs it. */
int loop_init(struct loop *, const struct clock *);
/* The loop must have no open handles. */
void loop_deinit(struct loop *);

/* Idempotent until it runs, once. */
void loop_later(struct loop *, struct loop_task *);
/* Idempotent: it will not run. */
void loop_never(struct loop_task *);

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
