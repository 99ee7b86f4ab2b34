/* tests/support/fake_clock.h — time that moves only when a test says so. */
#ifndef TESTS_SUPPORT_FAKE_CLOCK_H
#define TESTS_SUPPORT_FAKE_CLOCK_H

#include "base/clock.h"

struct fake_clock {
    struct clock clock; /* give this to what is under test */
    int64_t now_ns, wall_ns;
};

void fake_clock_init(struct fake_clock *);
void fake_clock_advance(struct fake_clock *, int64_t ns);

#endif
