/* Starts at an hour of monotonic time, so that subtracting a timeout stays positive. */
#include "tests/support/fake_clock.h"

static int64_t mono(void *ctx)
{
    return ((struct fake_clock *)ctx)->now_ns;
}

static int64_t wall(void *ctx)
{
    return ((struct fake_clock *)ctx)->wall_ns;
}

void fake_clock_init(struct fake_clock *f)
{
    *f = (struct fake_clock){.now_ns = NS_PER_HOUR,
                             .wall_ns = INT64_C(1790000000) * NS_PER_SEC,
                             .clock = {.mono_ns = mono, .wall_ns = wall, .ctx = f}};
}

void fake_clock_advance(struct fake_clock *f, int64_t ns)
{
    f->now_ns += ns;
    f->wall_ns += ns;
}
