/* Bucket arithmetic and readers' copies. A reader sums the buckets that it saw, so `total` always
 * agrees with `counts`, even while the writer goes on. Counts in a view saturate instead of
 * wrapping: 2^32 requests in one bucket must not look like none. Times lie close together, so a
 * reader looks only where the writer says that something is: a page of metrics sums thousands of
 * histograms, most of whose 13 KiB are zeros. */

#include "analysis/histogram.h"

#include <math.h>
#include <stdatomic.h>

#include "base/clock.h"

enum { SUB_BITS = 7, SUB_BUCKETS = 1 << SUB_BITS };
enum { CHUNK_BITS = 6, CHUNK_BUCKETS = 1 << CHUNK_BITS };
_Static_assert(HISTOGRAM_BUCKETS % CHUNK_BUCKETS == 0, "the last chunk is whole");
_Static_assert(HISTOGRAM_BUCKETS / CHUNK_BUCKETS <= 64, "a bit for each chunk");

uint32_t histogram_bucket(uint64_t us)
{
    if (us < SUB_BUCKETS)
        return (uint32_t)us;
    if (us > HISTOGRAM_MAX_US)
        return HISTOGRAM_BUCKETS - 1;
    uint32_t exponent = 63u - (uint32_t)__builtin_clzll(us);
    uint32_t sub = (uint32_t)(us >> (exponent - SUB_BITS)) & (SUB_BUCKETS - 1);
    return (exponent - SUB_BITS + 1) * SUB_BUCKETS + sub;
}

uint64_t histogram_upper_us(uint32_t bucket)
{
    if (bucket < SUB_BUCKETS)
        return (uint64_t)bucket + 1;
    uint32_t shift = bucket / SUB_BUCKETS - 1;
    return (uint64_t)(SUB_BUCKETS + bucket % SUB_BUCKETS + 1) << shift;
}

void histogram_add(struct histogram *h, int64_t ns)
{
    if (ns < 0)
        return;
    uint32_t bucket = histogram_bucket((uint64_t)(ns / NS_PER_US));
    _Atomic uint32_t *count = &h->counts[bucket];
    uint32_t was = atomic_load_explicit(count, memory_order_relaxed);
    if (was != UINT32_MAX)
        atomic_store_explicit(count, was + 1, memory_order_relaxed);
    if (was == 0) {
        uint64_t used = atomic_load_explicit(&h->used, memory_order_relaxed);
        atomic_store_explicit(&h->used, used | UINT64_C(1) << (bucket >> CHUNK_BITS),
                              memory_order_relaxed);
    }
}

void histogram_merge(struct histogram_view *into, const struct histogram *h)
{
    uint64_t used = atomic_load_explicit(&h->used, memory_order_relaxed);

    for (; used != 0; used &= used - 1) {
        uint32_t first = (uint32_t)__builtin_ctzll(used) << CHUNK_BITS;
        for (uint32_t i = first; i < first + CHUNK_BUCKETS; i++) {
            uint32_t more = atomic_load_explicit(&h->counts[i], memory_order_relaxed);
            uint32_t room = UINT32_MAX - into->counts[i];
            if (more > room)
                more = room;
            into->counts[i] += more;
            into->total += more;
        }
    }
}

void histogram_subtract(struct histogram_view *into, const struct histogram_view *earlier)
{
    into->total = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        uint32_t less = earlier->counts[i];
        into->counts[i] = into->counts[i] > less ? into->counts[i] - less : 0;
        into->total += into->counts[i];
    }
}

int64_t histogram_quantile_ns(const struct histogram_view *h, double q)
{
    if (h->total == 0)
        return -1;
    double exact = ceil(q * (double)h->total);
    uint64_t rank = exact < 1 ? 1 : (uint64_t)exact;
    if (rank > h->total)
        rank = h->total;
    uint64_t below = 0;
    uint32_t i = 0;
    while ((below += h->counts[i]) < rank)
        i++;
    return (int64_t)histogram_upper_us(i) * NS_PER_US;
}

uint64_t histogram_count_below(const struct histogram_view *h, int64_t ns)
{
    uint64_t below = 0;
    for (uint32_t i = 0; i < HISTOGRAM_BUCKETS; i++) {
        if ((int64_t)histogram_upper_us(i) * NS_PER_US > ns)
            break;
        below += h->counts[i];
    }
    return below;
}
