/* analysis/recorder_part.h — what the recorder has of one rollout in one shard. For recorder*.c.
 *
 * Made when the rollout's first request comes to the shard. Whatever is not said to be the reader's
 * is written by the shard's worker alone.
 */
#ifndef ANALYSIS_RECORDER_PART_H
#define ANALYSIS_RECORDER_PART_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/cells.h"
#include "analysis/judge.h"
#include "analysis/recorder.h"
#include "analysis/snapshot.h"
#include "analysis/value_ring.h"
#include "base/clock.h"

#define WHEEL_TICK_NS (100 * NS_PER_MS)

/* What a cell keeps per variant, in words: in how many turns of the wheel a request can break the
 * first limit at the earliest (-1: never); the steps; the limits (analysis/judge.h). */
enum { STEP_WORDS = sizeof(struct judge_step) / sizeof(int64_t) };
static inline size_t recorder_limits_size(const struct judge *j)
{
    return 1 + (j->plain_count + 1) * STEP_WORDS + j->time_count;
}
static inline int64_t recorder_turns(const int64_t *of_cell)
{
    return of_cell[0];
}
static inline const struct judge_step *recorder_steps(const int64_t *of_cell)
{
    return (const struct judge_step *)(const void *)&of_cell[1];
}
static inline const int64_t *recorder_time_limits(const struct judge *j, const int64_t *of_cell)
{
    return &of_cell[1 + (j->plain_count + 1) * STEP_WORDS];
}

enum {
    WHEEL_BUCKETS = 64,
    /* Stable's latencies that are no samples; the others are in HIST_LATENCY. Of a rollout with a
     * limit on latency that follows stable only. */
    HIST_OTHER_LATENCY = HIST_COUNT,
    HIST_KEPT,
};

typedef _Atomic uint64_t counter;

/* Criteria that follow stable and have the same samples of it: several quantiles of one limit. */
struct moving_group {
    uint32_t criteria;
    uint8_t metric;
    bool all_latency; /* its times are those of HIST_LATENCY */
    struct histogram *_Atomic times;
};

struct examples;

struct recorder_part {
    const struct recorder_shard *shard;
    const struct policy *policy;
    struct judge judge;
    struct cells *cells;
    struct warm_ups *warm_ups;            /* of the recorder */
    const struct snapshot *limits;        /* of the recorder; NULL: nothing follows stable */
    uint64_t limits_seen;                 /* their sequence */
    int64_t slot, slot_start_ns, slot_ns; /* of the last dispatch */
    bool splits_latency;                  /* there is a HIST_OTHER_LATENCY */
    size_t endpoint_count[VARIANT_COUNT];
    size_t new_endpoints[VARIANT_COUNT]; /* that may still be; 0 without criteria of time */
    bool *warm[VARIANT_COUNT];           /* the others */
    size_t group_count;
    struct moving_group *groups;
    struct value_ring *values; /* NULL: no criterion of shifts */
    struct examples *examples;
    counter alarms; /* of the canary; written once its cell has changed */
    counter overflows;
    counter dispatched[VARIANT_COUNT], voided[VARIANT_COUNT];
    counter outcomes[VARIANT_COUNT][OUTCOME_KIND_COUNT];
    counter retry_outcomes[VARIANT_COUNT][OUTCOME_KIND_COUNT];
    counter results[RESULT_KIND_COUNT];
    counter *endpoints[VARIANT_COUNT]; /* [endpoint * OUTCOME_KIND_COUNT + kind] */
    struct histogram *_Atomic histograms[VARIANT_COUNT][HIST_KEPT];
};

/* How new an endpoint is: shared by all workers. */
struct warm_up {
    _Atomic int64_t since_ns;  /* its first request; 0: none yet */
    _Atomic uint32_t requests; /* while it is new */
};
struct warm_ups {
    struct warm_up *endpoints[VARIANT_COUNT];
};

struct recorder_shard {
    struct recorder *recorder;
    size_t rollout_count;
    struct recorder_part *_Atomic *parts; /* by rollout; NULL until something happens */
    struct str (*id_of)(const struct recorder_ticket *);
    struct list wheel[WHEEL_BUCKETS];
    int64_t wheel_tick; /* the last one swept; it may hold tickets due in the rest of it */
};

struct recorder {
    const struct policy_set *set;
    size_t shard_count, rollout_count;
    struct recorder_shard **shards; /* allocated one by one: no cache line in common */
    struct warm_ups *warm_ups;      /* by rollout */
    struct snapshot **limits;       /* by rollout, written by the control thread: see
                                       recorder_part.limits */
};

static inline void recorder_add(counter *c)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static inline uint64_t recorder_get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* For the shard's own worker. */
__attribute__((cold, noinline)) struct recorder_part *recorder_part_add(struct recorder_shard *,
                                                                        uint32_t rollout);
/* For readers: NULL when nothing happened yet. */
struct recorder_part *recorder_part_seen(const struct recorder *, size_t shard, uint32_t rollout);
/* Takes the limits that the control thread told of last, for the cells that are opened next. */
void recorder_part_limits(struct recorder_part *);
__attribute__((cold, noinline)) struct histogram *recorder_make_histogram(
    struct histogram *_Atomic *);

#endif
