/* Least requests; (a+1)/wa < (b+1)/wb is compared crosswise, in integers. */
#include "proxy/balance.h"

#include <stdbool.h>

#include "base/check.h"

enum { COMPARE_ALL_MAX = 8 };

static bool less(const struct endpoint_load *a, const struct endpoint_load *b)
{
    return (uint64_t)(a->in_flight + 1) * b->weight < (uint64_t)(b->in_flight + 1) * a->weight;
}

size_t balance_pick(const struct endpoint_load *loads, size_t n, uint64_t random)
{
    CHECK(n > 0);
    size_t best = (size_t)((random & 0xffffffff) % n);
    if (n > COMPARE_ALL_MAX) {
        size_t other = (size_t)((random >> 32) % n);
        return less(&loads[other], &loads[best]) ? other : best;
    }
    for (size_t i = 1; i < n; i++) {
        size_t candidate = (best + i) % n;
        if (less(&loads[candidate], &loads[best])) {
            best = candidate;
            i = 0;
        }
    }
    return best;
}
