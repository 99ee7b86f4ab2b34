/* examples/traffic/stats.h — what was seen: counters, latency histograms, one row per second.
 *
 * Fixed memory but for the rows, which are bounded by STATS_SECONDS_MAX.
 */
#ifndef TRAFFIC_STATS_H
#define TRAFFIC_STATS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "examples/traffic/mix.h"

enum {
    STATS_VERSIONS_MAX = 16, /* further ones are counted as the last */
    STATS_VERSION_BYTES = 48,
    STATS_SECONDS_MAX = 24 * 3600,
    STATS_HISTOGRAM_SLOTS = 60 * 32,
    STATS_CLASSES = 6, /* [0]: no answer */
};

struct stats_histogram {
    uint64_t slots[STATS_HISTOGRAM_SLOTS]; /* 32 per power of two: 3 % wide */
    uint64_t count;
    int64_t max_ns;
    double sum_ns;
};

struct stats_second {
    uint32_t classes[STATS_CLASSES];
    uint32_t versions[STATS_VERSIONS_MAX];
    uint32_t connect_failures;
    int64_t max_ns; /* the slowest answer of this second */
};

struct stats_version {
    char name[STATS_VERSION_BYTES]; /* "-": an answer without one */
    uint64_t classes[STATS_CLASSES];
    uint64_t cut;
    struct stats_histogram latency;
};

enum stats_stream { STATS_NO_STREAM, STATS_STREAM_DONE, STATS_STREAM_CUT, STATS_STREAM_ERROR };

/* One request that ended. */
struct stats_result {
    const struct mix_kind *kind;
    size_t kind_index;
    int status;             /* 0: no answer came */
    bool cut;               /* the answer did not end as it announced */
    bool timed_out, reused; /* of one without an answer */
    struct str version;     /* ptr NULL: none */
    int64_t latency_ns;     /* from when it should have been sent */
    int64_t first_token_ns; /* 0: none */
    enum stats_stream stream;
};

struct stats {
    uint64_t sent, answered, cut, lost, lost_reused, timed_out, connect_failures;
    uint64_t unsent; /* due, but no connection was free when it ended */
    uint64_t mismatched, duplicated, without_id, surplus;
    uint64_t streams_done, streams_cut, streams_error;
    uint64_t bytes_sent, bytes_received;
    uint64_t statuses[600];
    struct stats_version versions[STATS_VERSIONS_MAX];
    size_t version_count;
    struct stats_histogram latency, first_token, by_kind[MIX_KINDS_MAX];
    struct stats_second *seconds;
    size_t second_count, second_cap;
    int64_t begin_ns;      /* monotonic */
    int64_t begin_wall_ns; /* for people */
};

void stats_init(struct stats *, int64_t now_ns, int64_t wall_ns);
void stats_deinit(struct stats *);
void stats_add(struct stats *, const struct stats_result *, int64_t now_ns);
void stats_connect_failed(struct stats *, int64_t now_ns);
/* q in [0, 1]; 0 when empty. */
int64_t stats_quantile(const struct stats_histogram *, double q);

#endif
