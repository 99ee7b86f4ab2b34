/* controller/sim_batch.h — many simulated rollouts on several threads, and what they amount to.
 *
 * Rollout i has a seed of its own, made of the batch's and i: the results do not depend on how many
 * threads there are, nor on which of them does what.
 */
#ifndef CONTROLLER_SIM_BATCH_H
#define CONTROLLER_SIM_BATCH_H

#include <stddef.h>
#include <stdint.h>

#include "controller/sim_world.h"

enum { SIM_JOBS_MAX = 64 };

struct sim_batch {
    struct sim_config config;
    uint64_t seed;
    size_t count, jobs;
    /* Called by the caller's thread every tenth of a second; may be NULL. */
    void (*progress)(void *ctx, size_t done, size_t count);
    void *progress_ctx;
    struct sim_result *results; /* heap, count of them: from sim_batch_run */
    _Atomic size_t next, done;  /* internal */
};

uint64_t sim_seed(uint64_t seed, size_t index);
size_t sim_default_jobs(void); /* one per core */

void sim_batch_run(struct sim_batch *);
void sim_batch_deinit(struct sim_batch *);

/* --- figures ---------------------------------------------------------------------------------- */

struct sim_spread {
    size_t count; /* rollouts that came to that; 0: the others are NaN */
    double median, p95, mean;
};

struct sim_share {
    size_t count;
    double share, lower, upper; /* of all; 95 % interval (Clopper and Pearson 1934) */
};

struct sim_figures {
    size_t rollouts;
    struct sim_share ends[SIM_END_COUNT];
    struct sim_share reached_full; /* the canary had everything (or all but the control) */
    struct sim_share sent_back;    /* taken to weight 0 at least once */
    double retreats;               /* per rollout */
    struct sim_spread promoted_s;
    /* Until traffic was first taken away, and until it was reverted. */
    struct sim_until {
        struct sim_spread s, requests, failed;
    } down, verdict;
    struct sim_spread failed;   /* of all rollouts, to their end */
    size_t causes[CAUSE_COUNT]; /* of reverts */
    double looks, decisions;    /* per rollout */
    double virtual_s, requests; /* of all rollouts: simulated time; canary requests */
    uint64_t digest;            /* of all decisions of all rollouts */
};

void sim_figures(const struct sim_batch *, struct sim_figures *ret);

/* The exact 95 % interval of a share of which `count` of n were seen. */
void sim_interval(size_t count, size_t n, double *ret_lower, double *ret_upper);

#endif
