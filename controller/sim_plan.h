/* controller/sim_plan.h — a world made ready to be simulated many times: distributions as tables,
 * and what each way to end means for each criterion. Const after sim_plan_new; any thread.
 */
#ifndef CONTROLLER_SIM_PLAN_H
#define CONTROLLER_SIM_PLAN_H

#include <stddef.h>
#include <stdint.h>

#include "analysis/judge.h"
#include "analysis/outcome.h"
#include "controller/sim_spec.h"
#include "policies/policy.h"

#define SIM_TICK_NS INT64_C(100000000) /* the controller's tick */

/* A distribution of times by its quantiles, the upper thousandth finer; between two of them a
 * time is drawn evenly. */
enum { SIM_KNOTS = 1024, SIM_TAIL_KNOTS = 256 };
struct sim_quantiles {
    float knots[SIM_KNOTS + 1], tail[SIM_TAIL_KNOTS + 1]; /* ns */
};

/* 32 random bits → ns. */
static inline double sim_quantile(const struct sim_quantiles *q, uint32_t random)
{
    const float *at = q->knots + (random >> 22);
    uint32_t rest = random & 0x3fffff;
    double scale = 0x1.0p-22;

    if (random >> 22 == SIM_KNOTS - 1) {
        at = q->tail + (rest >> 14);
        rest &= 0x3fff;
        scale = 0x1.0p-14;
    }
    return (double)at[0] + (double)(at[1] - at[0]) * ((double)rest * scale);
}

enum { SIM_TIME_METRICS = METRIC_TIME_PER_OUTPUT_TOKEN - METRIC_LATENCY + 1 };

/* How one variant answers, in one regime. */
struct sim_answers {
    uint32_t bad;                            /* of 2^32: the share that does not end in ok */
    uint32_t kind_below[OUTCOME_KIND_COUNT]; /* cumulated; kind k ends at kind_below[k] */
    uint32_t streams_below;                  /* of 2^16 */
    bool has_time[SIM_TIME_METRICS];
    struct sim_quantiles times[SIM_TIME_METRICS];
    double failure_ns; /* < 0: as an answer */
    enum outcome_kind failure_kind;
};

/* Criteria that follow the same times of stable. */
struct sim_group {
    enum criterion_metric metric;
    enum where_stream stream;
};

struct sim_plan {
    struct policy policy; /* a shallow copy: the one given outlives the plan */
    struct sim_spec spec;
    struct sim_answers answers[VARIANT_COUNT]; /* the canary's hold from the onset on */
    struct judge judge;
    struct sim_group groups[CRITERIA_MAX];
    size_t group_count;
    uint8_t group_of[CRITERIA_MAX];     /* by criterion */
    double answer_max_ns;               /* none takes longer */
    uint32_t *poisson;                  /* cumulated, of 2^32: requests in a tick */
    size_t poisson_from, poisson_count; /* the first is poisson_from requests */
};

/* `policy` outlives the plan. The spec passed sim_spec_check. */
struct sim_plan *sim_plan_new(const struct policy *, const struct sim_spec *, bool bake);
void sim_plan_free(struct sim_plan *);

/* Requests in a tick, from 32 random bits. */
uint32_t sim_plan_arrivals(const struct sim_plan *, uint32_t random);

#endif
