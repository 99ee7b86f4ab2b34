/* a/wa < b/wb is compared crosswise, in integers. */
#include "proxy/balance.h"

#include "base/check.h"

bool balance_is_less(const struct endpoint_load *a, const struct endpoint_load *b)
{
    return (uint64_t)a->in_flight * b->weight < (uint64_t)b->in_flight * a->weight;
}

static bool is_equal(const struct endpoint_load *a, const struct endpoint_load *b)
{
    return (uint64_t)a->in_flight * b->weight == (uint64_t)b->in_flight * a->weight;
}

/* A number below `sum`, each as likely. */
static uint64_t below(uint64_t sum, uint32_t random)
{
    return (random * sum) >> 32;
}

/* One of those that are as loaded as `like`, drawn by weight. */
static size_t draw_equal(const struct endpoint_load *loads, size_t n,
                         const struct endpoint_load *like, uint32_t random)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < n; i++)
        if (is_equal(&loads[i], like))
            sum += loads[i].weight;
    uint64_t at = below(sum, random);
    for (size_t i = 0; i < n; i++) {
        if (!is_equal(&loads[i], like))
            continue;
        if (at < loads[i].weight)
            return i;
        at -= loads[i].weight;
    }
    UNREACHABLE();
}

size_t balance_pick(const struct endpoint_load *loads, size_t n, uint32_t random)
{
    size_t best = 0;

    CHECK(n > 0);
    for (size_t i = 1; i < n; i++)
        if (balance_is_less(&loads[i], &loads[best]))
            best = i;
    return draw_equal(loads, n, &loads[best], random);
}

size_t balance_draw(const uint32_t *sums, size_t n, uint32_t random)
{
    CHECK(n > 0);
    uint64_t at = below(sums[n - 1], random);
    size_t low = 0, high = n - 1;

    while (low < high) { /* the first whose sum is above */
        size_t middle = low + (high - low) / 2;
        if (sums[middle] > at)
            high = middle;
        else
            low = middle + 1;
    }
    return low;
}
