/* The system's clocks behind the table that tests replace. */
#include "base/clock.h"

#include <stdio.h>
#include <time.h>

static int64_t read_clock(clockid_t id)
{
    struct timespec t;

    clock_gettime(id, &t);
    return (int64_t)t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static int64_t system_mono(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_MONOTONIC);
}

static int64_t system_wall(void *ctx)
{
    (void)ctx;
    return read_clock(CLOCK_REALTIME);
}

const struct clock clock_system = {.mono_ns = system_mono, .wall_ns = system_wall, .ctx = NULL};

char *wall_to_text(int64_t wall_ns, char to[static WALL_TEXT_MAX])
{
    time_t seconds = (time_t)(wall_ns / NS_PER_SEC);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    size_t n = strftime(to, WALL_TEXT_MAX, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(to + n, WALL_TEXT_MAX - n, ".%03dZ", (int)(wall_ns % NS_PER_SEC / NS_PER_MS) % 1000);
    return to;
}
