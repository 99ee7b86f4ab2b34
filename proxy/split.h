/* proxy/split.h — which version a request goes to. Pure. */
#ifndef PROXY_SPLIT_H
#define PROXY_SPLIT_H

#include <stdint.h>

#include "policies/policy.h"

/* `key` is uniform over 64 bits: random per request (and later a hash of what a cohort shares). It
 * is the canary's when it falls into the first weight_bp / 10000 of the range, so whoever is in at
 * 10 % still is at 25 %. The share is exact to 2^-32. */
static inline enum variant split_pick(uint64_t key, uint32_t weight_bp)
{
    return ((key >> 32) * WEIGHT_FULL_BP) >> 32 < weight_bp ? VARIANT_CANARY : VARIANT_STABLE;
}

#endif
