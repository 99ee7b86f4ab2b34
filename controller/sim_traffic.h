/* controller/sim_traffic.h — requests of a simulated world: who comes when, who answers, and how.
 *
 * Which requests come, and all chance that is in them, depends on the seed and the time alone,
 * never on the weight: two worlds of one seed under different rules see the same stream. Judged by
 * the rules of analysis/recorder.h. One owner.
 */
#ifndef CONTROLLER_SIM_TRAFFIC_H
#define CONTROLLER_SIM_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "controller/sim_calendar.h"
#include "controller/sim_plan.h"

enum { SIM_ENDPOINTS_MAX = 256 };

/* One request, as it is going to be. */
struct sim_request {
    enum variant variant;
    enum outcome_kind kind;
    enum outcome_stream stream;
    double end_ns;                  /* when it ends, since its dispatch */
    bool sent;                      /* the backend had it */
    double times[SIM_TIME_METRICS]; /* ns; -1: it has none. Latency: end_ns, once it was sent */
    double head_ns;                 /* when its kind of answer is known; -1: never */
    double offset;                  /* of its dispatch within the tick, in ticks */
    bool warm_up;
};

void sim_request_outcome(const struct sim_request *, struct outcome *ret);

/* Bursts of one cause. */
struct sim_trouble {
    struct rng rng;
    double begins_ns, ends_ns; /* since the start of the world */
};

struct sim_traffic {
    const struct sim_plan *plan;
    struct sim_calendar *calendar;
    struct rng rng;
    struct sim_trouble troubles[VARIANT_COUNT + 1]; /* stable's, the canary's, both together */
    /* Of the canary: */
    int64_t first_tick, onset_tick; /* its first traffic, the beginning of its regression; -1 */
    uint64_t requests, failed;      /* dispatched since the onset; of them, those that fail */
    uint64_t all_requests;          /* dispatched since the start */
    void (*seen)(void *ctx, const struct sim_request *); /* NULL: nobody looks on */
    void *seen_ctx;
    uint32_t warm_count[SIM_ENDPOINTS_MAX];
    int64_t warm_since[SIM_ENDPOINTS_MAX]; /* ticks; -1: no request yet */
};

void sim_traffic_begin(struct sim_traffic *, const struct sim_plan *, struct sim_calendar *,
                       uint64_t seed);

/* The requests of one tick.
 *
 * @param since_ns   of the rollout's start, at the tick; negative while stable is watched before it
 * @param weight_bp  of the canary; requests count into (epoch, slot)
 */
struct sim_moment {
    int64_t tick, since_ns, slot;
    uint32_t epoch, weight_bp;
    const struct moving_limits *limits; /* NULL: no criterion follows stable */
};
void sim_traffic_tick(struct sim_traffic *, const struct sim_moment *);

#endif
