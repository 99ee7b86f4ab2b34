/* proxy/balance.h — which endpoint of a version takes the next request. Pure. */
#ifndef PROXY_BALANCE_H
#define PROXY_BALANCE_H

#include <stddef.h>
#include <stdint.h>

struct endpoint_load {
    uint32_t in_flight; /* requests of this worker */
    uint32_t weight;    /* >= 1 */
};

/* Least requests by weight: the smallest (in_flight + 1) / weight. Up to 8 endpoints are all
 * compared, of more two drawn by `random` (power of two choices). Ties go to the one `random`
 * points at first, so that idle endpoints share alike. n >= 1; returns an index. */
size_t balance_pick(const struct endpoint_load *, size_t n, uint64_t random);

#endif
