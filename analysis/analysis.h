/* analysis/analysis.h — the evidence of one rollout: observations in, a report out.
 *
 * Pure: no clock, no I/O, no log; the same calls give the same bits, so production, simulation and
 * replay agree. Holds for each criterion an e-process (analysis/sequential.h) over a ring of open
 * dispatch slots (analysis/ring.h), the step's own counts for promotion evidence, and the run of
 * straight failures for hard_down. Memory grows with the open slots (those with requests in flight)
 * and is bounded by total_timeout.
 */
#ifndef ANALYSIS_ANALYSIS_H
#define ANALYSIS_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/observation.h"
#include "policies/policy.h"

struct analysis;

struct analysis *analysis_new(const struct policy *); /* the policy outlives it */
void analysis_free(struct analysis *);

/* Fresh evidence (a new canary, a retry). Until analysis_weight is called nothing is counted, and
 * outcomes of requests routed with an older epoch than that call's never are. */
void analysis_reset(struct analysis *);
/* The weight changed: closes the current slot; requests routed with `epoch` saw `weight_bp`. A step
 * start gets its start weight and fresh own-step counts. Call before the proxies get the weight. */
void analysis_weight(struct analysis *, uint32_t epoch, uint32_t weight_bp, bool step_start,
                     int64_t now_ns);
/* Folds an observation, and opens slots up to now_ns. */
void analysis_observe(struct analysis *, const struct observation *, int64_t now_ns);

enum verdict { VERDICT_UNDECIDED, VERDICT_PASS, VERDICT_FAIL, VERDICT_NO_DATA, VERDICT_COUNT };
extern const char *const verdict_names[VERDICT_COUNT];

struct criterion_report {
    /* FAIL: its own evidence reached threshold, or it carried the combined crossing. PASS: the
     * no-harm evidence of this step suffices (TEST_MAX); or enough requests to show an increase
     * (1 / delta), none seen, and no alarm (TEST_MAX_INCREASE). */
    enum verdict verdict;
    bool suspect; /* the whole interval of the canary's share lies beyond the limit; the burst guard
                     may still withhold the evidence that would revert it */
    double log_e; /* evidence against the canary (natural log; -inf is reported as -1e9) */
    double threshold;         /* log(M / alpha): at this it alone reverts */
    double no_harm;           /* logM(p0) of this step's requests, undecided ones taken as
                                  bad; 0 while the share is not below p0. TEST_MAX only */
    double no_harm_threshold; /* log(1 / beta) */
    /* this step, settled and in flight; analysis/bounds.h says what they allow the share to be */
    uint64_t requests[VARIANT_COUNT], bad[VARIANT_COUNT], pending[VARIANT_COUNT];
    double value[VARIANT_COUNT]; /* share of bad; -1 without requests */
};

struct analysis_report {
    double log_e;          /* LSE of log v_i + log_e_i */
    double threshold;      /* log(1 / alpha) */
    bool revert;           /* log_e >= threshold */
    bool alarm;            /* log_e >= threshold / 2, or a criterion is suspect: no step up */
    bool no_harm;          /* every TEST_MAX criterion shown to hold on this step's requests */
    uint32_t worst;        /* index of the criterion with the largest share of the evidence */
    bool hard_down;        /* the run of straight failures reached failures and over */
    uint64_t run_failures; /* the longest live run, for display */
    int64_t run_ns;
    uint64_t step_requests; /* canary requests dispatched in this step */
    /* of the canary in this step, for the message of a rollback: */
    int64_t first_bad_slot; /* slot of the first known error in this step, -1 */
    size_t count;
    struct criterion_report criteria[CRITERIA_MAX];
};

void analysis_report(const struct analysis *, struct analysis_report *ret);

#endif
