/* Least requests; a/wa < b/wb is compared crosswise, in integers. */
#include "proxy/balance.h"

#include <stdbool.h>

#include "base/check.h"

enum { COMPARE_ALL_MAX = 8 };

/* < 0: a is less loaded for its weight than b; 0: alike. */
static int compare(const struct endpoint_load *a, const struct endpoint_load *b)
{
    uint64_t left = (uint64_t)a->in_flight * b->weight, right = (uint64_t)b->in_flight * a->weight;

    return left < right ? -1 : left > right;
}

/* One of those that are as loaded as `like` (NULL: of all), drawn by weight. */
static size_t draw(const struct endpoint_load *loads, size_t n, const struct endpoint_load *like,
                   uint32_t random)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (like == NULL || compare(&loads[i], like) == 0)
            sum += loads[i].weight;
    uint64_t at = (random * sum) >> 32;
    for (size_t i = 0; i < n; i++) {
        if (like != NULL && compare(&loads[i], like) != 0)
            continue;
        if (at < loads[i].weight)
            return i;
        at -= loads[i].weight;
    }
    UNREACHABLE();
}

size_t balance_pick(const struct endpoint_load *loads, size_t n, uint64_t random)
{
    CHECK(n > 0);
    if (n > COMPARE_ALL_MAX) {
        size_t one = draw(loads, n, NULL, (uint32_t)random);
        size_t other = draw(loads, n, NULL, (uint32_t)(random >> 32));
        return compare(&loads[other], &loads[one]) < 0 ? other : one;
    }
    size_t best = 0;
    for (size_t i = 1; i < n; i++)
        if (compare(&loads[i], &loads[best]) < 0)
            best = i;
    return draw(loads, n, &loads[best], (uint32_t)random);
}
