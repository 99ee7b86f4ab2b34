/* proxy/balance.h — which endpoint of a version takes the next request. Pure. */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

#include <stddef.h>
#include <stdint.h>

struct endpoint_load {
    uint32_t in_flight; /* requests */
    uint32_t weight;    /* >= 1 */
};

/* Least requests by weight: the smallest in_flight / weight. Up to 8 endpoints are all compared; of
 * more, two are drawn by weight (power of two choices). Endpoints that are equal, as idle ones are,
 * are drawn by weight, so that weights share out traffic however little there is of it. n >= 1;
 * `random` is uniform over 64 bits; returns an index. */
size_t balance_pick(const struct endpoint_load *, size_t n, uint64_t random);

#endif
