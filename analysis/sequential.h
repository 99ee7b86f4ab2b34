/* analysis/sequential.h — the formulas: anytime-valid evidence from counts of bad requests.
 *
 * All logarithms are natural. An e-process E starts at or below 1 and has mean at most 1 at every
 * stopping time while its null hypothesis holds; by Ville's inequality (1939) it ever reaches
 * 1/alpha with probability at most alpha, so it may be looked at after every request.
 *
 *   ABS(p0)       H0: whatever happened before, the next canary request is bad with probability
 *                 <= p0. A mixture of likelihood ratios over a fixed grid (Robbins 1970; Wald 1945
 *                 for one point). Robbins mixes over a continuous prior; a grid needs no incomplete
 *                 beta function, is one-sided (a canary better than p0 is never evidence), and
 *                 loses less than half a nat.
 *   REL(r, delta) H0: P(canary bad) <= r P(stable bad) + delta, at the weight w that routed them.
 *                 Bets on the inverse-probability weighted difference (Waudby-Smith and Ramdas
 *                 2024 for betting on bounded means; Lindon and Malek 2022 for counts under
 *                 randomised assignment, of which delta = 0 is the two-cell case). Ours adds the
 *                 slack (r, delta), and mixes over what is bet instead of adapting it.
 *   no-harm       the beta-binomial mixture martingale (Robbins 1970; Howard, Ramdas, McAuliffe and
 *                 Sekhon 2021, section 4): {p: logM(p) < log(1/beta)} covers the true share at all
 *                 times at once with probability 1 - beta. Its prior (1/2, 1/p0) leans to p < p0.
 *
 * Pure functions, any thread. Checked against tests/data/statistics.
 */
#ifndef ANALYSIS_SEQUENTIAL_H
#define ANALYSIS_SEQUENTIAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What REL bets on: multiples of r. Shares of failures may grow a thousandfold; a time's limit is a
 * quantile of stable's, above which a median's share can at most double, and bets from 1.5 on would
 * miss what is only 1.5 times slower. */
enum sequential_grid { GRID_SHARES, GRID_TIMES, GRID_COUNT };

enum { SEQUENTIAL_ABS_POINTS = 12, SEQUENTIAL_REL_POINTS = 8, SEQUENTIAL_POINTS_MAX = 12 };

/* What one request adds to the log-evidence of each grid point. */
struct sequential_factors {
    size_t points;
    double canary_bad[SEQUENTIAL_POINTS_MAX];
    double stable_bad[SEQUENTIAL_POINTS_MAX]; /* 0 for ABS: stable's requests are not counted */
    double ok[SEQUENTIAL_POINTS_MAX];
};

/* 0 < p0 < 1. Counts are the canary's. */
void sequential_abs(double p0, struct sequential_factors *ret);
/* r >= 1, delta >= 0. With no stable or no canary (w <= 0 or w >= 1) all factors are 0. Counts are
 * those of both variants together. */
void sequential_rel(double r, double delta, double w, enum sequential_grid,
                    struct sequential_factors *ret);
/* ret[k] = canary_bad * a_k + stable_bad * s_k + (n - canary_bad - stable_bad) * o_k. */
void sequential_log_ratio(const struct sequential_factors *, uint64_t n, uint64_t canary_bad,
                          uint64_t stable_bad, double ret[static SEQUENTIAL_POINTS_MAX]);

struct sequential_plan {
    double alpha;           /* false reverts of the whole rollout */
    double share;           /* v: the criterion's share of it; 1 / M where M of them count alike */
    uint64_t steps;         /* S >= 1, the bake counted */
    uint64_t slots;         /* H >= 1: dispatch slots that the steps last by plan */
    uint64_t bake_slots;    /* that the bake lasts; 0: there is none */
    uint32_t min_bad_slots; /* m; 0 = no guard */
};

/* log(1 / (v alpha)): at this a criterion crosses by itself. */
double sequential_threshold(const struct sequential_plan *);
/* The burst guard: the most log-evidence that one slot may add (INFINITY without a guard), so that
 * at least m slots are needed to decide. Capping only lowers E: validity is untouched. */
double sequential_cap(const struct sequential_plan *, size_t points);

/* A regression that begins late should not have to pay for an early good record, so a share of the
 * evidence starts afresh in every slot (1/2H each; with a bake a quarter is spread over the steps'
 * slots and a quarter over the bake's, which are many more), and a larger one at every step (1/2S).
 * What was given out: all of it sums to at most 1. A rollout that is held longer than its plan (it
 * waits for a person, or for evidence) must not go blind: the record of hours would outweigh any
 * failure. It gets a thousandth more, spread over all the time to come in ever smaller parts, so
 * that the chance of a false alarm is at most 1.001 alpha however long it is held. */
struct sequential_starts {
    uint64_t slots, bake_slots, steps;
};
/* The start weight of the next `count` slots, that are folded into one. */
double sequential_start(const struct sequential_plan *, struct sequential_starts *, uint64_t count,
                        bool step_start, bool baking);

/* log sum exp, -INFINITY for nothing. */
double sequential_log_sum(const double *logs, size_t count);
/* The weighted mean of e-values, valid under any dependence: log sum w_i exp(logs_i). */
double sequential_combine(const double *weights, const double *logs, size_t count);

struct sequential_prior {
    double a, b;
};
struct sequential_prior sequential_prior(double p0); /* (1/2, 1/p0) */

/* Evidence against the share being p, from `bad` of n. Two-sided: large on either side of p. */
double sequential_log_m(struct sequential_prior, uint64_t n, uint64_t bad, double p);
/* Both with what depends on the limit alone computed once, for a limit that is asked about often.
 */
struct sequential_limit {
    struct sequential_prior prior;
    double p0, log_beta, log_p, log_not_p;
};
void sequential_limit(double p0, struct sequential_limit *ret);
/* sequential_log_m(sequential_prior(p0), n, bad, p0), to the bit. */
double sequential_limit_log_m(const struct sequential_limit *, uint64_t n, uint64_t bad);
/* True when bad < n p0 and logM(p0) >= log(1/beta): the share was shown to be below p0. */
bool sequential_no_harm(uint64_t n, uint64_t bad, double p0, double beta);
/* How many more requests, none bad, until sequential_no_harm; 0 = it holds now. */
uint64_t sequential_requests_more(uint64_t n, uint64_t bad, double p0, double beta);
/* The ends of {p: logM(p) < log(1/beta)}: 0 and 1 without requests. */
double sequential_lower(struct sequential_prior, uint64_t n, uint64_t bad, double beta);
double sequential_upper(struct sequential_prior, uint64_t n, uint64_t bad, double beta);
/* Whether the lower end is above p, or the upper end below it, without looking for the end. */
bool sequential_is_above(struct sequential_prior, uint64_t n, uint64_t bad, double beta, double p);
bool sequential_is_below(struct sequential_prior, uint64_t n, uint64_t bad, double beta, double p);

#endif
