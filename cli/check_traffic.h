/* cli/check_traffic.h — whether a rollout's traffic suffices for its policy, before it is ever run.
 *
 * Pure: the same arithmetic as the analysis (analysis/sequential.h).
 */
#ifndef CLI_CHECK_TRAFFIC_H
#define CLI_CHECK_TRAFFIC_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/strbuf.h"
#include "policies/policy.h"

struct traffic {
    double rps;           /* requests per second to the whole rollout; 0: not known */
    double stable_errors; /* the share of stable's requests that fail; < 0: not known */
};

/* What a step asks for. */
struct traffic_step {
    double canary_rps;
    uint64_t min_requests;
    bool evidence;           /* each `max` must be shown to hold here */
    uint64_t evidence_least; /* canary requests, when none is bad; 0 without evidence */
    uint64_t evidence_p95;   /* by which 95 of 100 healthy canaries pass; UINT64_MAX: never */
    const char *evidence_criterion; /* the one that takes longest; NULL: none */
    int64_t passes_ns;              /* the least time for all of it at p95; INT64_MAX: never */
};
/* `step` from 0; rps > 0. A canary counts as healthy when it fails as often as stable does, or at a
 * tenth of the limit where that is not known. */
void traffic_step(const struct policy *, const struct traffic *, size_t step,
                  struct traffic_step *ret);

/* Adds a warning for everything that cannot work with this traffic. Their positions borrow the
 * policy's file name. */
void traffic_check(const struct policy *, const struct traffic *, struct diagnostics *);

/* Appends what each step takes, and what a limit of times against stable can find; rps > 0. */
void traffic_describe(const struct policy *, const struct traffic *, struct strbuf *out);
/* The same for -o json. */
json_t *traffic_json(const struct policy *, const struct traffic *);

#endif
