/* controller/document.h — a rollout as people and programs read it: one JSON object.
 *
 * Served by the admin API and printed by `sluice status -o json`. Fields (null: not known or none;
 * numbers are always finite):
 *
 *   "rollout"        name
 *   "phase"          "idle" | "pending" | "progressing" | "paused" | "awaiting_approval" |
 *                    "baking" | "promoted" | "rolled_back" (reserved: "smoke_testing")
 *   "step", "steps"  1-based, 0 before the first; how many there are
 *   "weight"         percent of the traffic that the canary gets, a number
 *   "stable", "canary"   versions; canary null: none
 *   "serving"        the version that most of the traffic gets
 *   "mode"           "enforce" | "observe"
 *   "frozen"         false
 *   "problems"       sentences: what needs a person
 *   "started"        RFC 3339, when the first step began in this process; null: not yet
 *   "phase_seconds"  since the phase began
 *   "held_seconds", "hold_seconds"   of this step or of the bake, and what it asks for
 *   "retreat"        null, or {"visit", "visits", "probing", "pause_seconds", "asked_in_seconds",
 *                    "weight_before", "seen": [{"requests", "bad"}]}: the canary was sent back to 0
 *                    and is asked again after pauses; after so many visits it is condemned
 *   "retreats_in_step"
 *   "bake"           {"seconds", "control"}; 0 and 0 without one
 *   "evidence"       {"value", "threshold"}: against the canary, all criteria together, natural
 *                    logarithm; at the threshold the canary is taken back, at half of it it does
 *                    not go up; 0: none
 *   "wide"           the same of the slow test, which condemns without visits; null: none
 *   "placebo"        {"sent_back", "sent_back_last_hour", "bursts", "longest_burst_seconds",
 *                    "degraded"}: what the fast test says of stable itself
 *   "criteria"       one per criterion:
 *       "name"       "error_rate max 1%"
 *       "metric"     "error_rate" | "latency";  "test" "max" | "max_increase"
 *       "variant"    "canary";  "quantile" of latency, else null
 *       "value", "lower", "upper"   of this step: the share of bad requests (failed, or over the
 *                    latency limit) with its interval, which holds at any time
 *       "limit"      that share's limit: 0.01; for latency p99: 0.01; for max_increase: the
 * increase "limit_ms", "observed_ms"   latency only: the limit, and the canary's own quantile
 *       "verdict"    "undecided" | "pass" | "fail" | "no_data"
 *       "requests", "bad"           of the canary in this step
 *       "evidence", "threshold"     against the canary; at the threshold this criterion alone
 *                    takes it back
 *       "no_harm", "no_harm_threshold"   max only: evidence that the limit holds
 *       "requests_more"  max only: requests until that is shown if none is bad; 0: shown; null:
 *                    not in sight
 *       "stable"     {"value", "lower", "upper", "requests", "bad", "observed_ms" (latency)}
 *   "hard_down"      {"failures", "limit", "seconds"}: the run of straight failures now
 *   "next"           what the rollout waits for:
 *       "action"     "step" | "promote" | "none"
 *       "weight"     percent after it; "hold_seconds_left"
 *       "requests_seen", "requests_needed"   canary requests of this step
 *       "evidence_needed"   the limits must have been shown to hold first
 *       "evidence_requests_left"   if none is bad; null: not in sight
 *       "approval"   somebody has to approve
 *       "text"       "812 more requests and 4m"
 *   "traffic"        {"stable": T, "canary": T}, canary null without one, of this step:
 *       T: "version", "requests", "requests_per_second" (of the last seconds), "errors",
 *          "outcomes" {kind: count, of those above 0}, "latency_ms" {"p50", "p90", "p99"},
 *          "first_token_ms" {"p50", "p95"} of event streams, null without any,
 *          "retries"   attempts beyond the requests above, those for the shield among them
 *          "shielded"  canary only: its failures that stable answered instead; stable: 0
 *          "voided"    of "requests": ended by sluice itself, in no outcome and no criterion
 *   "plan"           the steps: {"weight", "hold_seconds", "min_requests", "approval"}
 *   "decision"       the last one (controller/decision.h), or null
 */
#ifndef CONTROLLER_DOCUMENT_H
#define CONTROLLER_DOCUMENT_H

#include <jansson.h>

#include "analysis/recorder.h"
#include "controller/engine.h"
#include "controller/evidence_json.h"

/* All borrowed; the document shares nothing with it. */
struct document_source {
    const struct engine *engine;
    struct recorder_totals step;     /* of this step, as are the times */
    struct evidence_latency latency; /* NULLs: not known */
    double rate[VARIANT_COUNT];      /* requests per second; < 0: not known */
    int64_t started_wall_ns;         /* 0: not started */
    json_t *decision;                /* NULL: none */
};

json_t *document_new(const struct document_source *); /* new reference */

/* Sentences: what needs a person. New reference. */
json_t *document_problems(const struct engine *);

/* "812 more requests and 4m": what `next.text` says; returns `to`. */
enum { NEXT_TEXT_MAX = 256 };
char *document_next_text(const struct engine *, const struct rollout_next *,
                         char to[static NEXT_TEXT_MAX]);

#endif
