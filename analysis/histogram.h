/* analysis/histogram.h — a mergeable log-linear histogram of whole microseconds.
 *
 * 128 linear buckets per power of two: a value is known to within 1/128 (0.8 %). Fixed memory;
 * 0 to HISTOGRAM_MAX_US (one hour), larger values land in the last bucket. Bucket i of x:
 * x < 128: i = x; else e = floor(log2 x), i = (e-6)*128 + ((x >> (e-7)) & 127).
 *
 * One writer, any readers: counters are relaxed atomics that only grow, so a reader's copy is a
 * consistent lower bound of each bucket.
 */
#ifndef ANALYSIS_HISTOGRAM_H
#define ANALYSIS_HISTOGRAM_H

#include <stdint.h>

enum { HISTOGRAM_BUCKETS = 3328 };
#define HISTOGRAM_MAX_US UINT64_C(3600000000)

struct histogram {
    _Atomic uint64_t used; /* bit i: something is in the i-th 64 buckets */
    _Atomic uint32_t counts[HISTOGRAM_BUCKETS];
};

/* A reader's plain copy: merged over workers, or a difference of two copies. */
struct histogram_view {
    uint64_t total;
    uint32_t counts[HISTOGRAM_BUCKETS];
};

uint32_t histogram_bucket(uint64_t us);
uint64_t histogram_upper_us(uint32_t bucket);       /* exclusive upper edge */
void histogram_add(struct histogram *, int64_t ns); /* the writer; negative values are ignored */
void histogram_merge(struct histogram_view *into, const struct histogram *);
/* into -= earlier, bucket by bucket (earlier is an older copy of the same). */
void histogram_subtract(struct histogram_view *into, const struct histogram_view *earlier);
/* The upper edge of the bucket with the q-quantile (nearest rank), in ns; -1 when empty. */
int64_t histogram_quantile_ns(const struct histogram_view *, double q);
/* How many are in buckets wholly at or below `ns` (for cumulative metric buckets). */
uint64_t histogram_count_below(const struct histogram_view *, int64_t ns);

#endif
