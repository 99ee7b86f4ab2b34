/* analysis/shift.h — whether the canary's values are distributed otherwise than stable's.
 *
 * Pure and plain data: zeroed, copied and saved as bytes. Counts are kept per bucket and weight.
 *
 * Significance. Within one bucket, which variant a value came from is the draw of the router, if
 * the variants' values are alike: in every bucket the same share of labels "canary". Against that
 * stands a share for each bucket of its own (beta prior round the weight w, strength k = 20), with
 * C and S values of canary and stable, N = C + S, in buckets b:
 *
 *   log E = sum_b [lbeta(k w + c_b, k (1-w) + s_b) - lbeta(k w, k (1-w))] - C log(C/N) - S log(S/N)
 *
 * The best common share in the denominator makes E at most the likelihood ratio against any
 * constant share, so it may be looked at after every value (Ville). The counts of each weight are
 * one such test and their evidence adds up; half of it begins with the first weight, the rest with
 * later ones, so that a canary which shifts under load does not have to pay for its good record.
 *
 * Magnitude. A difference can be certain and too small to matter. PSI = sum (p - q) log(p/q), less
 * the mean that noise alone gives it; or KS, the largest difference of the distribution functions,
 * less radii within which both are known at all times (Howard and Ramdas 2022, a
 * Dvoretzky-Kiefer-Wolfowitz bound). Stable's values are weighted so that each weight's time counts
 * as much as it does in the canary's: a distribution that changes over the day is no shift.
 *
 * A criterion fails when both hold.
 */
#ifndef ANALYSIS_SHIFT_H
#define ANALYSIS_SHIFT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/observation.h"
#include "policies/policy.h"

enum {
    SHIFT_WEIGHTS = 4, /* that late values still find; older ones are closed */
    SHIFT_EPOCHS = 16, /* of which it is known what weight they had */
    SHIFT_LEAST = 300, /* values of either variant before their distributions are compared: PSI
                          of 100 is above 0.1 by noise alone in 40 of 100 cases, of 300 in none */
};

/* The values of requests that were routed with one weight, over all epochs that had it. */
struct shift_weight {
    uint32_t weight_bp;
    uint32_t order; /* how many weights came before it */
    double log_e;   /* of these counts */
    uint64_t counts[VARIANT_COUNT][SHIFT_BUCKETS];
};

struct shift {
    uint64_t looked[VARIANT_COUNT], found[VARIANT_COUNT]; /* answers; those with a value */
    uint32_t buckets_id, edge_count;
    double edges[SHIFT_EDGES_MAX];
    struct {
        uint32_t epoch, order;
    } epochs[SHIFT_EPOCHS]; /* newest first; only those that had both variants */
    uint32_t epoch_count;
    struct shift_weight weights[SHIFT_WEIGHTS]; /* oldest first */
    uint32_t weight_count, weights_begun;
    /* Of the weights that are closed: their evidence, and what makes the magnitude. */
    double closed_log_e; /* -INFINITY: none */
    uint64_t closed_values[VARIANT_COUNT];
    double closed_canary[SHIFT_BUCKETS];
    double closed_stable[SHIFT_BUCKETS]; /* sum over weights of C s_b / S */
    double closed_spread;                /* sum of C^2 / S */
};

struct shift_rule {
    enum shift_test test;
    double max;   /* PSI or distance */
    double alpha; /* of this criterion: v alpha */
    /* Requests of the canary now in flight: what answers late may be another kind of answer, so
     * nothing is said while they are more than a tenth of what answered. */
    uint64_t in_flight;
};

struct shift_report {
    double log_e, threshold; /* threshold: log(1 / alpha) */
    /* Of all values, or of those under the weight of now where they are farther off; -1 while there
     * are too few. */
    double psi, ks;
    double psi_debiased; /* less what noise gives it: may be below 0 */
    double ks_least;     /* less the radii, at alpha: may be below 0 */
    double w1; /* Wasserstein distance between the first and the last edge, in the values' unit;
                  -1: categories, too */
    uint64_t looked[VARIANT_COUNT], found[VARIANT_COUNT];
    uint64_t values[VARIANT_COUNT]; /* evidence: values and answers without one, since buckets
                                       stand, of requests routed while both variants had some */
    bool judged;                    /* enough values, few enough in flight */
    bool kept;                      /* judged, and the distance is below `max` */
    bool failed; /* judged, log_e >= threshold, and the distance is known to be above `max` */
};

void shift_init(struct shift *); /* all of it zero but closed_log_e */
/* Requests routed with `epoch` saw `weight_bp`. */
void shift_weight(struct shift *, uint32_t epoch, uint32_t weight_bp);
void shift_observe(struct shift *, const struct shift_delta *);
void shift_report(const struct shift *, const struct shift_rule *, struct shift_report *ret);

/* The formulas. */
double shift_log_e(const uint64_t canary[static SHIFT_BUCKETS],
                   const uint64_t stable[static SHIFT_BUCKETS], double w);
/* psi, psi_debiased, ks and ks_least of counts, neither of them all 0. */
void shift_distances(const double canary[static SHIFT_BUCKETS],
                     const double stable[static SHIFT_BUCKETS], double alpha,
                     struct shift_report *ret);
/* Half-width of the band that holds a distribution function at all numbers t of samples at once,
 * but for probability alpha. INFINITY below one sample. */
double shift_band(double t, double alpha);

#endif
