/* proxy/balance.h — who of several endpoints is least loaded for its weight. Pure. */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct endpoint_load {
    uint32_t in_flight; /* requests */
    uint32_t weight;    /* >= 1 */
};

/* Whether in_flight / weight of the first is less than that of the second. */
bool balance_is_less(const struct endpoint_load *, const struct endpoint_load *);

/* Least requests by weight: the smallest in_flight / weight of all. Endpoints that are equal, as
 * idle ones are, are drawn by weight, so that weights share out traffic however little there is of
 * it. n >= 1; `random` is uniform over 32 bits; returns an index. */
size_t balance_pick(const struct endpoint_load *, size_t n, uint32_t random);

/* One of n by weight, whatever its load: sums[i] is the weight of 0..i together. n >= 1. */
size_t balance_draw(const uint32_t *sums, size_t n, uint32_t random);

#endif
