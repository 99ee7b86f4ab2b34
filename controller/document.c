/* The rollout's document, built from copies: it may be kept as long as one likes. */
#include "controller/document.h"

#include <stdio.h>
#include <string.h>

#include "analysis/outcome.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "controller/retreat.h"

static const char *const approval_names[APPROVAL_COUNT] = {
    [APPROVAL_NONE] = "none", [APPROVAL_BEFORE] = "before", [APPROVAL_AFTER] = "after"};
static const char *const action_names[] = {
    [NEXT_NONE] = "none", [NEXT_STEP] = "step", [NEXT_BAKE] = "bake", [NEXT_PROMOTE] = "promote"};

static json_t *count(uint64_t n)
{
    return n > INT64_MAX ? json_null() : json_integer((json_int_t)n);
}

/* --- next ------------------------------------------------------------------------------------- */

static json_t *next(const struct engine *e)
{
    struct rollout_next n;
    char text[NEXT_TEXT_MAX];
    json_t *o = json_object();

    rollout_next(e->policy, &e->state, &e->report, &n);
    uint64_t left = n.evidence_missing ? rollout_evidence_left(e->policy, &e->report) : 0;
    json_object_set_new(o, "action", json_text(action_names[n.action]));
    json_object_set_new(o, "weight", json_percent(n.weight_bp));
    json_object_set_new(o, "hold_seconds_left", json_seconds(n.hold_left_ns));
    json_object_set_new(o, "requests_seen", count(n.requests_seen));
    json_object_set_new(o, "requests_needed", count(n.requests_needed));
    json_object_set_new(o, "evidence_needed", json_boolean(n.evidence_needed));
    json_object_set_new(o, "evidence_requests_left",
                        n.evidence_missing && left == 0 ? json_null() : count(left));
    json_object_set_new(o, "approval", json_boolean(n.approval));
    json_object_set_new(o, "text", json_text(document_next_text(e, &n, text)));
    return o;
}

/* --- traffic ---------------------------------------------------------------------------------- */

static json_t *quantile_ms(const struct histogram_view *h, double q)
{
    int64_t ns = h == NULL ? -1 : histogram_quantile_ns(h, q);

    return ns < 0 ? json_null() : json_number((double)ns / (double)NS_PER_MS);
}

/* The rate is of the last seconds, which may have been another step's: it is never more than this
 * step's requests over this step's age. The age is without pauses that are over, so at least the
 * rate of the last seconds is left then. */
static json_t *rate(const struct document_source *src, enum variant v)
{
    const struct rollout_state *s = &src->engine->state;
    int64_t age_ns = s->held_ns + (s->phase == PHASE_PROGRESSING ? 0 : s->phase_ns);
    double requests = (double)src->step.variants[v].dispatched, rate = src->rate[v];

    if (rate < 0)
        return json_null();
    if (s->step > 0 && rate * (double)age_ns > requests * (double)NS_PER_SEC)
        rate = requests * (double)NS_PER_SEC / (double)age_ns;
    return json_number(s->step > 0 && requests <= 0 ? 0 : rate);
}

static json_t *first_token(const struct histogram_view *h)
{
    if (h == NULL || h->total == 0)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "p50", quantile_ms(h, 0.5));
    json_object_set_new(o, "p95", quantile_ms(h, 0.95));
    return o;
}

static json_t *traffic(const struct document_source *src, enum variant v)
{
    const struct recorder_variant_totals *totals = &src->step.variants[v];
    const struct histogram_view *h = src->latency.variants[v];
    json_t *o = json_object(), *outcomes = json_object(), *latency = json_object();
    uint64_t errors = 0;

    for (int k = 0; k < OUTCOME_KIND_COUNT; k++) {
        if (outcome_is_error((enum outcome_kind)k))
            errors += totals->outcomes[k];
        if (totals->outcomes[k] > 0)
            json_object_set_new(outcomes, outcome_names[k], count(totals->outcomes[k]));
    }
    json_object_set_new(latency, "p50", quantile_ms(h, 0.5));
    json_object_set_new(latency, "p90", quantile_ms(h, 0.9));
    json_object_set_new(latency, "p99", quantile_ms(h, 0.99));
    json_object_set_new(o, "version", json_text(src->engine->policy->versions[v].version));
    json_object_set_new(o, "requests", count(totals->dispatched));
    json_object_set_new(o, "requests_per_second", rate(src, v));
    json_object_set_new(o, "errors", count(errors));
    json_object_set_new(o, "outcomes", outcomes);
    json_object_set_new(o, "latency_ms", latency);
    json_object_set_new(o, "first_token_ms", first_token(src->latency.first_token[v]));
    json_object_set_new(o, "retries", count(totals->retries));
    json_object_set_new(o, "shielded",
                        count(v == VARIANT_CANARY ? src->step.results[RESULT_SHIELDED] : 0));
    json_object_set_new(o, "voided", count(totals->voided));
    return o;
}

static json_t *plan(const struct policy *policy)
{
    json_t *all = json_array();

    for (size_t i = 0; i < policy->step_count; i++) {
        const struct policy_step *step = &policy->steps[i];
        json_t *o = json_object();
        json_object_set_new(o, "weight", json_percent(step->weight_bp));
        json_object_set_new(o, "hold_seconds", json_seconds(step->hold_ns));
        json_object_set_new(o, "min_requests", count(step->min_requests));
        json_object_set_new(o, "approval", json_text(approval_names[step->approval]));
        json_array_append_new(all, o);
    }
    return all;
}

/* --- the whole -------------------------------------------------------------------------------- */

static void add_place(json_t *o, const struct engine *e)
{
    const struct policy *policy = e->policy;
    const struct rollout_state *s = &e->state;
    const char *canary = policy->versions[VARIANT_CANARY].version;
    const char *stable = policy->versions[VARIANT_STABLE].version;
    bool most = 2 * s->weight_bp > WEIGHT_FULL_BP;

    json_object_set_new(o, "rollout", json_text(policy->name));
    json_object_set_new(o, "phase", json_text(phase_names[s->phase]));
    json_object_set_new(o, "step", json_integer(s->step));
    json_object_set_new(o, "steps", json_integer((json_int_t)policy->step_count));
    json_object_set_new(o, "weight", json_percent(s->weight_bp));
    json_object_set_new(o, "stable", json_text(stable));
    json_object_set_new(o, "canary", json_text(canary));
    json_object_set_new(o, "serving", json_text(most ? canary : stable));
    json_object_set_new(o, "mode",
                        json_text(policy->analysis.mode == MODE_OBSERVE ? "observe" : "enforce"));
    json_object_set_new(o, "frozen", json_false());
    json_object_set_new(o, "problems", document_problems(e));
}

static void add_times(json_t *o, const struct document_source *src)
{
    const struct rollout_state *s = &src->engine->state;
    const struct policy_step *step = rollout_step(src->engine->policy, s);
    char when[WALL_TEXT_MAX];

    json_object_set_new(o, "started",
                        src->started_wall_ns == 0
                            ? json_null()
                            : json_text(wall_to_text(src->started_wall_ns, when)));
    json_object_set_new(o, "phase_seconds", json_seconds(s->phase_ns));
    json_object_set_new(o, "held_seconds", json_seconds(s->held_ns));
    json_object_set_new(o, "hold_seconds",
                        json_seconds(rollout_bakes(s) ? src->engine->policy->bake.for_ns
                                     : step == NULL   ? 0
                                                      : step->hold_ns));
}

/* How often it is asked: after each pause, and the first time. */
static json_t *retreat(const struct engine *e)
{
    const struct rollout_retreat *r = &e->state.retreat;
    size_t visits = e->policy->analysis.confirm_count + 1;

    if (r->visit == 0)
        return json_null();
    json_t *o = json_object(), *seen = json_array();
    for (uint32_t i = 0; i < r->visit && i < ARRAY_LEN(r->seen); i++) {
        json_t *one = json_object();
        json_object_set_new(one, "requests", count(r->seen[i].requests));
        json_object_set_new(one, "bad", count(r->seen[i].bad));
        json_array_append_new(seen, one);
    }
    json_object_set_new(o, "visit", json_integer(r->visit));
    json_object_set_new(o, "visits", json_integer((json_int_t)visits));
    json_object_set_new(o, "probing", json_boolean(r->probing));
    json_object_set_new(o, "pause_seconds", json_seconds(r->pause_ns));
    json_object_set_new(o, "asked_in_seconds",
                        r->probing || !retreat_runs(&e->state) ? json_null()
                                                               : json_seconds(r->left_ns));
    json_object_set_new(o, "since_seconds", json_seconds(r->since_ns));
    json_object_set_new(o, "weight_before", json_percent(r->weight_bp));
    json_object_set_new(o, "seen", seen);
    return o;
}

static json_t *bake(const struct policy *policy)
{
    json_t *o = json_object();

    json_object_set_new(o, "seconds", json_seconds(policy->bake.for_ns));
    json_object_set_new(o, "control", json_percent(policy->bake.control_bp));
    return o;
}

static void add_evidence(json_t *o, const struct document_source *src)
{
    const struct engine *e = src->engine;

    json_object_set_new(o, "evidence", evidence_json_combined(&e->report));
    json_object_set_new(o, "wide", evidence_json_wide(&e->report));
    json_object_set_new(o, "placebo", evidence_json_placebo(&e->report));
    json_object_set_new(o, "criteria",
                        evidence_json_criteria(e->policy, &e->report, &src->latency));
    json_object_set_new(o, "hard_down", evidence_json_hard_down(e->policy, &e->report));
}

json_t *document_new(const struct document_source *src)
{
    const struct engine *e = src->engine;
    json_t *o = json_object(), *both = json_object();

    add_place(o, e);
    add_times(o, src);
    json_object_set_new(o, "retreat", retreat(e));
    json_object_set_new(o, "retreats_in_step", json_integer(e->state.retreats_in_step));
    json_object_set_new(o, "bake", bake(e->policy));
    add_evidence(o, src);
    json_object_set_new(o, "next", next(e));
    json_object_set_new(both, "stable", traffic(src, VARIANT_STABLE));
    json_object_set_new(both, "canary",
                        policy_has_canary(e->policy) ? traffic(src, VARIANT_CANARY) : json_null());
    json_object_set_new(o, "traffic", both);
    json_object_set_new(o, "plan", plan(e->policy));
    json_object_set_new(o, "decision",
                        src->decision == NULL ? json_null() : json_incref(src->decision));
    return o;
}
