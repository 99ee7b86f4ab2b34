/* controller/sim_world.h — one rollout in virtual time, through the code that decides in
 * production.
 *
 * Traffic comes as a Poisson process, is split by the weight that was last set, succeeds or fails,
 * and ends when its response time is over: outcomes are late, as in life. The engine looks when the
 * controller's shell would: at once when a canary request is known bad, each second, and when time
 * alone moves the rollout; sim_config.every_tick looks every 100 ms, for comparison. All chance
 * comes from the seed. One owner; different worlds on different threads.
 */
#ifndef CONTROLLER_SIM_WORLD_H
#define CONTROLLER_SIM_WORLD_H

#include <stdbool.h>
#include <stdint.h>

#include "controller/rollout.h"
#include "controller/sim_plan.h"
#include "controller/sim_rival.h"

/* What has passed since the canary's trouble began (its first traffic, or the onset). */
struct sim_toll {
    bool known; /* it came to that, and not before the trouble began */
    int64_t ns;
    uint64_t requests, failed; /* of the canary, dispatched until then; those that fail, or will */
};

enum sim_end {
    SIM_UNDECIDED, /* max_hold, or the end of the simulation */
    SIM_PROMOTED,
    SIM_REVERTED,
    SIM_PAUSED, /* waits for people */
    SIM_END_COUNT
};
extern const char *const sim_end_names[SIM_END_COUNT];

struct sim_result {
    enum sim_end end;
    enum rollout_cause cause;
    int64_t end_ns;            /* since the start of the rollout */
    struct sim_toll down;      /* traffic was taken away for the first time */
    struct sim_toll verdict;   /* it was reverted */
    bool sent_back;            /* taken away at least once, at any time */
    uint32_t retreats;         /* taken away, and not for good */
    uint32_t step;             /* reached */
    uint32_t max_weight_bp;    /* ever served */
    uint64_t requests, failed; /* of the canary, since its trouble began */
    uint64_t looks, decisions; /* decisions: those with an event */
    uint64_t digest;           /* of all decisions with their reports */
};

/* A point of a rollout's history, for a drawing. */
struct sim_point {
    int64_t ns; /* since the start */
    uint32_t weight_bp;
    double log_e, threshold, wide_log_e, wide_threshold;
    enum rollout_event event; /* EVENT_NONE: nothing happened, that is how it stood */
};
typedef void sim_trace(void *ctx, const struct sim_point *);

struct sim_config {
    const struct sim_plan *plan;
    int64_t watch_ns; /* stable alone, before the rollout */
    int64_t max_ns;   /* since the start of the rollout; 0: as long as the policy can take */
    bool every_tick;
    const struct sim_rival_rules *rival; /* decides in place of the engine; NULL: the engine does */
    sim_trace *trace;                    /* NULL: none; a point per second, and each event */
    void *trace_ctx;
};

struct sim_world;

struct sim_world *sim_world_new(const struct sim_config *); /* borrows plan */
void sim_world_free(struct sim_world *);
void sim_world_run(struct sim_world *, uint64_t seed, struct sim_result *ret);

#endif
