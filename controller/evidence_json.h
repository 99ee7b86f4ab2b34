/* controller/evidence_json.h — the evidence of a report as JSON, for documents and decisions.
 *
 * Numbers are finite or null, never NaN; whole numbers are JSON integers, others are rounded to six
 * digits. Evidence below zero says nothing against the canary and is given as 0.
 */
#ifndef CONTROLLER_EVIDENCE_JSON_H
#define CONTROLLER_EVIDENCE_JSON_H

#include <jansson.h>

#include "analysis/analysis.h"
#include "analysis/histogram.h"
#include "analysis/reference.h"
#include "policies/policy.h"

json_t *json_number(double);       /* new reference */
json_t *json_seconds(int64_t ns);  /* new reference */
json_t *json_percent(uint32_t bp); /* new reference: 2500 → 25 */
json_t *json_text(const char *);   /* new reference; NULL, or bytes that are not UTF-8 → null */

/* Times of this step per variant, for "observed_ms"; any of them may be NULL. */
struct evidence_latency {
    const struct histogram_view *variants[VARIANT_COUNT];
    const struct histogram_view *first_token[VARIANT_COUNT];
    const struct moving_limits *limits; /* of criteria that follow stable */
};

/* The "criteria" array of a rollout's document (controller/document.h). */
json_t *evidence_json_criteria(const struct policy *, const struct analysis_report *,
                               const struct evidence_latency *);
/* {"value", "threshold"} of all criteria together. */
json_t *evidence_json_combined(const struct analysis_report *);
/* {"value", "threshold"} of the wide test, which alone condemns where a crossing only sends back;
 * null where there is none. */
json_t *evidence_json_wide(const struct analysis_report *);
/* {"sent_back", "sent_back_last_hour", "bursts", "longest_burst_seconds", "degraded"}: what the
 * same test says of stable itself. */
json_t *evidence_json_placebo(const struct analysis_report *);
/* {"failures", "limit", "seconds"} of the run of straight failures. */
json_t *evidence_json_hard_down(const struct policy *, const struct analysis_report *);

#endif
