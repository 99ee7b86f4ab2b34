#ifndef TESTS_BENCH_HISTOGRAM_H
#define TESTS_BENCH_HISTOGRAM_H

#include <stdint.h>

/* Log-linear: every power of two is cut into 64, so that a quantile is at most 1.6 % too high. */
enum { HISTOGRAM_STEPS = 64, HISTOGRAM_CELLS = 64 * 59 };

struct histogram {
    uint64_t count;
    uint64_t cells[HISTOGRAM_CELLS];
};

void histogram_add(struct histogram *h, uint64_t value);

/* The upper end of the cell where the q-th value (0 < q <= 1) lies; 0 when there is none. */
uint64_t histogram_quantile(const struct histogram *h, double q);

#endif
