/* analysis/analysis.h — the evidence of one rollout: observations in, a report out.
 *
 * Pure: no clock, no I/O, no log; the same calls give the same bits, so production, simulation and
 * replay agree. Each criterion keeps e-processes (analysis/sequential.h) over the dispatch slots
 * that may still change (analysis/ring.h):
 *
 *   fast   slots of burst_guard.slot. It crosses: the canary is taken away at once (*retreat*), and
 *          asked again by probes, each of which starts the fast test afresh.
 *   wide   slots as long as the first pause, at least four of which are needed, never started
 *          afresh: what comes back on every visit, or is steady but slow. It condemns.
 *
 * Beside them: each step's own counts for the evidence of no harm, the run of straight failures for
 * hard_down, what a probe has shown, and the same fast test on stable itself (the *placebo*), which
 * says how much bursts alone would do. Memory grows with the open slots (those with requests in
 * flight) and is bounded by total_timeout.
 */
#ifndef ANALYSIS_ANALYSIS_H
#define ANALYSIS_ANALYSIS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/observation.h"
#include "analysis/shift.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "policies/policy.h"

struct analysis;

struct analysis *analysis_new(const struct policy *); /* the policy outlives it */
void analysis_free(struct analysis *);

/* Fresh evidence (a new canary, a retry). Until analysis_weight is called nothing is counted, and
 * outcomes of requests routed with an older epoch than that call's never are. What is known of
 * stable's bursts stays, and what it did before the rollout. */
void analysis_reset(struct analysis *);

enum weight_why {
    WEIGHT_GOES_ON, /* the same step: a pause, its end, a canary that was cleared */
    WEIGHT_STEP,    /* a step begins: its start weight, fresh counts of its own */
    WEIGHT_BAKE,    /* the same, for the bake: from here on its share of the start weights */
    WEIGHT_PROBE,   /* a retreated canary is asked again: the fast test of what may roll back, and
                       the run of failures, begin afresh; the step's counts and the wide test stay */
    WEIGHT_FORCED,  /* somebody ends a retreat without an answer: afresh as with a probe, and no
                       probe */
};
/* The weight changed: closes the current slot; requests routed with `epoch` saw `weight_bp`. Call
 * before the proxies get the weight. */
void analysis_weight(struct analysis *, uint32_t epoch, uint32_t weight_bp, enum weight_why,
                     int64_t now_ns);

/* What a probe asks: is the canary still as bad as it looked, a share p1 of bad requests at the
 * least, or is it at z, which is all right? */
struct probe {
    uint32_t criterion; /* CRITERIA_MAX: errors as hard_down counts them */
    uint32_t zero;      /* no padding: it is a part of decisions, which are compared as bytes */
    double p1, z;       /* 0 < z < p1 < 1 */
};
/* Call before analysis_weight(..., WEIGHT_PROBE, ...). */
void analysis_probe(struct analysis *, const struct probe *);

/* Folds an observation, and opens slots up to now_ns. */
void analysis_observe(struct analysis *, const struct observation *, int64_t now_ns);

enum verdict { VERDICT_UNDECIDED, VERDICT_PASS, VERDICT_FAIL, VERDICT_NO_DATA, VERDICT_COUNT };
extern const char *const verdict_names[VERDICT_COUNT];

struct criterion_report {
    /* FAIL: its own evidence reached threshold, or it carried the combined crossing, or its verdict
     * is final (`failed`). PASS: the no-harm evidence of this step suffices (TEST_MAX); or enough
     * requests to show an increase (1 / delta), none seen, and no alarm (relative ones); or values
     * enough and no shift of that size. */
    enum verdict verdict;
    bool suspect; /* the whole interval of the canary's share lies beyond the limit; the burst guard
                     may still withhold the evidence that would revert it */
    bool failed;  /* for good: a shift, a window method's rule; for what pauses or reports, the
                     first crossing of its fast test */
    bool frozen;  /* relative, at 100 %: judged against frozen_p0, and by frozen_on_fail */
    bool reference_missing; /* follows stable's quantile, which is not known yet: no samples.
                               Of plain latency that is undecided, of other times no data */
    double log_e;      /* fast evidence against the canary (natural log; -inf is reported as -1e9).
                          With on_stable_degraded: hold an absolute limit counts no more than what the
                          canary does beyond stable, while both have traffic */
    double threshold;  /* log(1 / (weight alpha)): at this it alone crosses */
    double wide_log_e; /* -1e9 where there is no wide test */
    double wide_threshold;    /* threshold + log 2 */
    double frozen_p0;         /* stable's upper bound over the rollout, and the margin; 0: none */
    double no_harm;           /* logM(p0) of this step's requests, undecided ones taken as
                                  bad; 0 while the share is not below p0. TEST_MAX only */
    double no_harm_threshold; /* log(1 / beta); 0: none is asked for */
    /* this step, settled and in flight (stable's at weight 0 are left out); analysis/bounds.h says
     * what they allow the share to be */
    uint64_t requests[VARIANT_COUNT], bad[VARIANT_COUNT], pending[VARIANT_COUNT];
    double value[VARIANT_COUNT]; /* share of bad; -1 without requests */
    struct shift_report shift;   /* TEST_SHIFT: of the whole rollout; psi and ks are -1 without
                                  values on both sides */
    /* METHOD_WINDOW */
    struct criterion_window {
        uint64_t values;         /* windows with min_requests or more */
        uint32_t fails_in_a_row; /* lately */
    } window;
};

struct analysis_report {
    /* The fast test, over the criteria that may roll back: log of the weighted mean of e-values. */
    double log_e;
    double threshold; /* log(1 / alpha) */
    bool crossed;     /* log_e >= threshold */
    bool revert;      /* condemned: by the wide test, by a criterion that failed for good, or, where
                         nothing is asked again (confirm: []), by the fast test */
    bool retreat;     /* crossed, or hard_down, where it is asked again */
    bool alarm;       /* log_e >= threshold / 2, or a criterion is suspect: no step up */
    bool no_harm;     /* every TEST_MAX criterion that must be was shown to hold on this step's
                         requests */
    bool stable_degraded; /* stable itself breaks an absolute limit (on_stable_degraded: hold): no
                             step up, and absolute limits wait */
    uint32_t worst;       /* index of the criterion with the largest share of the fast evidence */
    double pause_log_e;   /* as log_e, over the criteria that may pause; -1e9: there is none */
    struct {
        double log_e, threshold; /* log(1 / alpha) + log 2 */
        bool crossed;
        uint32_t worst;
    } wide; /* log_e -1e9: there is no wide test (confirm: []) */
    /* Criteria whose failure is final, by what their failure does: bit masks. */
    uint32_t failed_rollback, failed_pause, failed_report;
    /* What to ask if it retreats now; zeros while there is no reason to. */
    struct probe probe_next;
    /* What probe_next.p1 was taken from: that criterion's canary requests since its fast evidence
     * was last below 1 (criterion CRITERIA_MAX: the run of failures). For people. */
    struct {
        uint64_t requests, bad;
    } trip;
    struct {
        bool active;      /* since analysis_weight(..., WEIGHT_PROBE, ...), until another weight */
        double log_ratio; /* for p1 against z, of all its requests, those in flight taken as bad */
        double least;     /* the same at the best of the ends of its slots, from (m + 2) slots on */
        uint64_t slots;   /* that are over */
        uint64_t requests, bad; /* of the criterion it asks about, since it began; for people */
        bool cleared;           /* least <= -log 20 and (m + 2) slots are over */
    } probe;
    struct {
        uint64_t sent_back;           /* how often stable itself would have been, ever */
        uint64_t sent_back_last_hour; /* of the last hour */
        uint64_t bursts;              /* of stable's failures, ever */
        int64_t longest_burst_ns;
        double log_e; /* of its present test */
    } placebo;
    bool hard_down;        /* the run of straight failures reached failures and over */
    uint64_t run_failures; /* the longest live run, for display */
    int64_t run_ns;
    uint64_t step_requests; /* canary requests dispatched in this step */
    /* of the canary in this step, for the message of a rollback: */
    /* slot of the first known error or broken absolute limit in this step, -1: none */
    int64_t first_bad_slot;
    size_t count;
    struct criterion_report criteria[CRITERIA_MAX];
};

/* Every byte of *ret is set, so that equal reports compare equal with memcmp. */
void analysis_report(const struct analysis *, struct analysis_report *ret);

/* What the criterion's failure does now: on_fail, or frozen_on_fail once its limit is frozen. */
enum on_fail analysis_on_fail(const struct policy_criterion *, const struct criterion_report *);

/* All of it as bytes: compact, versioned, little endian, for the same build and policy. Loaded, it
 * gives the same bits from there on. 0, or -ENOBUFS when the buffer's maximum is too small. */
int analysis_save(const struct analysis *, struct strbuf *);
/* Into a fresh analysis of the same policy. -EINVAL (with a reason) leaves it as after new. */
int analysis_load(struct analysis *, struct str, struct error *reterr);

#endif
