/* base/clock.h — time that tests can hold in their hands.
 *
 * Monotonic time measures and schedules; wall time is only for people, logs and file formats.
 * Nothing stores a monotonic instant. All in nanoseconds.
 */
#ifndef BASE_CLOCK_H
#define BASE_CLOCK_H

#include <stdint.h>

#define NS_PER_US   INT64_C(1000)
#define NS_PER_MS   INT64_C(1000000)
#define NS_PER_SEC  INT64_C(1000000000)
#define NS_PER_MIN  (60 * NS_PER_SEC)
#define NS_PER_HOUR (60 * NS_PER_MIN)

struct clock {
    int64_t (*mono_ns)(void *ctx);
    int64_t (*wall_ns)(void *ctx); /* since 1970-01-01 UTC */
    void *ctx;
};

extern const struct clock clock_system; /* CLOCK_MONOTONIC and CLOCK_REALTIME; any thread */

static inline int64_t clock_mono(const struct clock *c)
{
    return c->mono_ns(c->ctx);
}

static inline int64_t clock_wall(const struct clock *c)
{
    return c->wall_ns(c->ctx);
}

enum { WALL_TEXT_MAX = 32 };
/* RFC 3339 UTC with milliseconds: 2026-11-20T18:49:12.345Z. Returns `to`. */
char *wall_to_text(int64_t wall_ns, char to[static WALL_TEXT_MAX]);

#endif
