/* analysis/reference.h — what stable lately did: the limits that follow it, and the buckets in
 * which values are compared.
 *
 * Fed by the controller's shell (controller/references.h) and by the simulation; what comes out is
 * part of what is observed, so that decisions and their replay do not depend on how it came about.
 * One owner; no clock, no I/O.
 *
 * Moving limits: for a criterion "quantile q, max_ratio R", stable's limit u is the upper edge of
 * the histogram bucket that holds stable's q-quantile, the canary's the upper edge of the bucket
 * that holds R times that, but at least stable's and the criterion's slack: of a time of tenths of
 * a millisecond the ratio is noise of the machine. Both are strict. Whatever u is: where the canary
 * is at most R times as slow as stable, it is over its limit no more often than stable is over its
 * own; how well u is known, or how old it is, costs power and never validity, as long as it was
 * known before the requests that are judged by it.
 *
 * Buckets: the deciles of stable's last 1000 numbers, or the 31 categories it had most often of
 * 1000, taken when the first value of the canary comes. What came before is no evidence.
 */
#ifndef ANALYSIS_REFERENCE_H
#define ANALYSIS_REFERENCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/histogram.h"
#include "analysis/observation.h"
#include "policies/policy.h"

/* Per criterion: bad iff its time is greater. -1: there is no reference (yet), and the request is
 * no sample of that criterion. */
struct moving_limits {
    int64_t stable_ns[CRITERIA_MAX], canary_ns[CRITERIA_MAX];
};

enum value_kind {
    VALUE_NUMBER,
    VALUE_CATEGORY, /* a string or a boolean, as a hash */
    VALUE_MISSING,  /* the answer was looked at and has none */
};

/* What one answer had to say to one criterion with TEST_SHIFT. */
struct shift_value {
    uint32_t epoch; /* of the weight its request was routed with */
    uint8_t criterion, variant, kind;
    double number;
    uint64_t category;
};

enum {
    REFERENCE_EVERY_S = 10, /* between two looks at the histograms */
    REFERENCE_WANTED_S = 60,
    REFERENCE_MAX_S = 600, /* how far back a quantile may reach */
    REFERENCE_TEACH = 1000 /* values of stable from which buckets are made */
};

struct reference;

/* NULL when no criterion of the policy follows stable or compares values. Keeps the policy's
 * criteria (the policy outlives it). */
struct reference *reference_new(const struct policy *);
void reference_free(struct reference *); /* may be NULL */

/* A criterion's histogram of stable's times since the start. Asked for one criterion of each limit
 * only: its quantiles have the same times. */
typedef void reference_histogram(void *ctx, size_t criterion, struct histogram_view *ret);

/* Call at least every 10 s; looks every 10 s, beginning with the first call. True when limits
 * changed. A quantile is taken from the shortest time back from now that has 2 / (1 - q) samples
 * and lasts a minute (or as long as it was watched), ten at most; when there are too few in that
 * time, the last limits stay. `alone`: the canary has all traffic. At the first look that says so
 * limits are taken from all that is kept and a little beyond the quantile (two standard errors),
 * and then they stay: the few answers that stable still ends are slow ones, and there is no stable
 * beside the canary to be measured by the same mistake. */
bool reference_look(struct reference *, int64_t now_ns, bool alone, reference_histogram *,
                    void *ctx);
/* Borrowed until the next look. */
const struct moving_limits *reference_limits(const struct reference *);

/* Counts a value into its criterion's delta, or learns from it while the buckets do not stand. */
void reference_value(struct reference *, const struct shift_value *, struct observation *add_to);

#endif
