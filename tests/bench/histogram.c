#include "tests/bench/histogram.h"

enum { STEP_BITS = 6 };

/* Below 64 a cell is one value. Above, the highest 7 bits choose the cell: the first of them is
 * always set, so that 64 cells follow for every further power of two. */
static unsigned cell_of(uint64_t value)
{
    if (value < HISTOGRAM_STEPS)
        return (unsigned)value;
    unsigned shift = 63 - (unsigned)__builtin_clzll(value) - STEP_BITS;
    return shift * HISTOGRAM_STEPS + (unsigned)(value >> shift);
}

static uint64_t upper_end(unsigned cell)
{
    if (cell < 2 * HISTOGRAM_STEPS)
        return cell;
    unsigned shift = cell / HISTOGRAM_STEPS - 1;
    uint64_t first = cell % HISTOGRAM_STEPS + HISTOGRAM_STEPS;
    return ((first + 1) << shift) - 1;
}

void histogram_add(struct histogram *h, uint64_t value)
{
    h->cells[cell_of(value)]++;
    h->count++;
}

uint64_t histogram_quantile(const struct histogram *h, double q)
{
    uint64_t wanted = (uint64_t)(q * (double)h->count), seen = 0;

    if (h->count == 0)
        return 0;
    if ((double)wanted < q * (double)h->count)
        wanted++; /* the nearest rank, rounded up */
    for (unsigned cell = 0; cell < HISTOGRAM_CELLS; cell++) {
        seen += h->cells[cell];
        if (seen >= wanted && seen > 0)
            return upper_end(cell);
    }
    return UINT64_MAX;
}
