/* tests/sim/world.h — one rollout in virtual time, through the production code.
 *
 * Traffic arrives as a Poisson process, is split by the weight that the engine last set, succeeds
 * or fails, and ends when its response time is over: outcomes are late, as in life. Every 100 ms of
 * virtual time the engine looks. All randomness comes from the seed.
 */
#ifndef TESTS_SIM_WORLD_H
#define TESTS_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/rollout.h"
#include "policies/policy.h"

struct world_variant {
    double errors;            /* share of requests that fail, before the onset */
    double errors_after;      /* and from then on */
    int64_t latency_ns;       /* median; response times are lognormal */
    int64_t latency_after_ns; /* from the onset on */
    double sigma;             /* of the logarithm */
    int64_t failure_ns;       /* how long a failure takes; < 0: as long as a success */
};

struct world_config {
    const struct policy *policy;
    uint64_t seed;
    double rps;       /* both variants together */
    int64_t onset_ns; /* after the first canary traffic */
    struct world_variant variants[VARIANT_COUNT];
    int64_t max_ns; /* the end of the world: undecided */
};

struct world_result {
    enum world_end { WORLD_UNDECIDED, WORLD_PROMOTED, WORLD_REVERTED, WORLD_END_COUNT } end;
    enum rollout_cause cause;  /* of the end */
    int64_t end_ns;            /* since the start */
    int64_t since_onset_ns;    /* of the canary's trouble, or its first traffic if later */
    uint64_t canary_requests;  /* dispatched to it */
    uint64_t canary_failed;    /* of them, those that fail or will */
    uint32_t step;             /* reached */
    uint32_t max_weight_bp;    /* ever served */
    uint64_t looks, decisions; /* decisions: those with an event */
    uint64_t digest;           /* of all decisions with their reports: equal runs, equal digests */
};

void world_run(const struct world_config *, struct world_result *ret);

#endif
