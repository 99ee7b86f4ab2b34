/* Reports as JSON. Rounding happens here and nowhere else: what decides keeps its bits. */
#include "controller/evidence_json.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/bounds.h"
#include "base/clock.h"

json_t *json_number(double x)
{
    char text[40];

    if (!isfinite(x))
        return json_null();
    if (x == floor(x) && fabs(x) < 1e15)
        return json_integer((json_int_t)x);
    snprintf(text, sizeof(text), "%.6g", x);
    double rounded = strtod(text, NULL);
    return rounded == floor(rounded) && fabs(rounded) < 1e15 ? json_integer((json_int_t)rounded)
                                                             : json_real(rounded);
}

json_t *json_seconds(int64_t ns)
{
    double s = round((double)ns / (double)NS_PER_MS) / 1e3;

    return s == floor(s) ? json_integer((json_int_t)s) : json_real(s);
}

json_t *json_percent(uint32_t bp)
{
    return bp % 100 == 0 ? json_integer(bp / 100) : json_real(bp / 100.0);
}

json_t *json_text(const char *text)
{
    json_t *s = text == NULL ? NULL : json_string(text);

    return s == NULL ? json_null() : s;
}

static json_t *evidence(double x)
{
    return json_number(x < 0 ? 0 : x);
}

/* A share, of which -1 means that there is none. */
static json_t *share(double x)
{
    return x < 0 ? json_null() : json_number(x);
}

static const char *const test_names[TEST_COUNT] = {
    [TEST_MAX] = "max",
    [TEST_MAX_INCREASE] = "max_increase",
    [TEST_MAX_RATIO] = "max_ratio",
    [TEST_SHIFT] = "shift",
};
static const char *const on_fail_names[] = {
    [ON_FAIL_ROLLBACK] = "rollback", [ON_FAIL_PAUSE] = "pause", [ON_FAIL_REPORT] = "report"};

static json_t *in_ms(int64_t ns)
{
    return ns < 0 ? json_null() : json_number((double)ns / (double)NS_PER_MS);
}

static json_t *observed_ms(const struct policy_criterion *c, const struct evidence_latency *latency,
                           enum variant v)
{
    const struct histogram_view *h = NULL;

    if (latency != NULL && c->metric == METRIC_LATENCY)
        h = latency->variants[v];
    else if (latency != NULL && c->metric == METRIC_TIME_TO_FIRST_TOKEN)
        h = latency->first_token[v];
    return in_ms(h == NULL ? -1 : histogram_quantile_ns(h, c->quantile));
}

static json_t *limit_ms(const struct policy_criterion *c, size_t index,
                        const struct evidence_latency *latency)
{
    if (!criterion_follows_stable(c))
        return in_ms(c->limit_ns);
    if (latency == NULL || latency->limits == NULL)
        return json_null();
    return in_ms(latency->limits->canary_ns[index]);
}

static void add_shares(json_t *o, const struct policy *policy, const struct analysis_report *report,
                       size_t index, enum variant v)
{
    struct bounds b = bounds_of(policy, report, index, v);

    json_object_set_new(o, "value", share(report->criteria[index].value[v]));
    json_object_set_new(o, "lower", share(b.lower));
    json_object_set_new(o, "upper", share(b.upper));
}

static json_t *stable_side(const struct policy *policy, const struct analysis_report *report,
                           size_t index, const struct evidence_latency *latency)
{
    const struct policy_criterion *c = &policy->analysis.criteria[index];
    const struct criterion_report *r = &report->criteria[index];
    json_t *o = json_object();

    add_shares(o, policy, report, index, VARIANT_STABLE);
    json_object_set_new(o, "requests", json_integer((json_int_t)r->requests[VARIANT_STABLE]));
    json_object_set_new(o, "bad", json_integer((json_int_t)r->bad[VARIANT_STABLE]));
    if (criterion_is_time(c))
        json_object_set_new(o, "observed_ms", observed_ms(c, latency, VARIANT_STABLE));
    return o;
}

static json_t *requests_more(const struct policy *policy, const struct analysis_report *report,
                             size_t index)
{
    if (policy->analysis.criteria[index].test != TEST_MAX)
        return json_null();
    uint64_t more = bounds_requests_more(policy, report, index);
    return more < INT64_MAX ? json_integer((json_int_t)more) : json_null();
}

/* Of limits against stable: what they come to for the canary, with stable as it is seen now. */
static json_t *allowed(const struct policy_criterion *c, const struct criterion_report *r)
{
    if (r->frozen)
        return json_number(r->frozen_p0);
    if (!criterion_is_relative(c) || r->value[VARIANT_STABLE] < 0)
        return json_null();
    return json_number(fmin(1, c->ratio * r->value[VARIANT_STABLE] + c->delta));
}

static json_t *distance(double x)
{
    return x < 0 ? json_null() : json_number(x);
}

static json_t *shift(const struct policy_criterion *c, const struct criterion_report *r)
{
    const struct shift_report *s = &r->shift;
    json_t *o = json_object();

    json_object_set_new(o, "test", json_text(c->shift == SHIFT_PSI ? "psi" : "ks"));
    json_object_set_new(o, "psi", distance(s->psi));
    json_object_set_new(o, "psi_without_noise",
                        s->psi < 0 ? json_null() : json_number(s->psi_debiased));
    json_object_set_new(o, "ks", distance(s->ks));
    json_object_set_new(o, "w1", distance(s->w1));
    json_object_set_new(o, "looked_at", json_integer((json_int_t)s->looked[VARIANT_CANARY]));
    json_object_set_new(o, "values", json_integer((json_int_t)s->values[VARIANT_CANARY]));
    json_object_set_new(o, "stable_looked_at", json_integer((json_int_t)s->looked[VARIANT_STABLE]));
    json_object_set_new(o, "stable_values", json_integer((json_int_t)s->values[VARIANT_STABLE]));
    return o;
}

static json_t *window(const struct policy_criterion *c, const struct criterion_report *r)
{
    json_t *o = json_object();

    json_object_set_new(o, "seconds", json_seconds(c->window_ns));
    json_object_set_new(o, "min_requests", json_integer((json_int_t)c->window_min_requests));
    json_object_set_new(o, "consecutive", json_integer(c->window_consecutive));
    json_object_set_new(o, "windows", json_integer((json_int_t)r->window.values));
    json_object_set_new(o, "fails_in_a_row", json_integer(r->window.fails_in_a_row));
    return o;
}

static void add_what(json_t *o, const struct policy_criterion *c, const struct criterion_report *r)
{
    json_object_set_new(o, "name", json_text(c->name));
    json_object_set_new(o, "metric", json_text(metric_names[c->metric]));
    json_object_set_new(o, "test", json_text(test_names[c->test]));
    json_object_set_new(o, "method",
                        json_text(c->method == METHOD_WINDOW ? "window" : "sequential"));
    json_object_set_new(o, "on_fail", json_text(on_fail_names[analysis_on_fail(c, r)]));
    json_object_set_new(o, "variant", json_text(variant_names[VARIANT_CANARY]));
    json_object_set_new(o, "quantile",
                        criterion_is_time(c) ? json_number(c->quantile) : json_null());
}

static void add_limit(json_t *o, const struct policy_criterion *c, size_t index,
                      const struct criterion_report *r, const struct evidence_latency *latency)
{
    json_object_set_new(o, "limit", json_number(c->test == TEST_MAX ? c->p0 : c->limit));
    json_object_set_new(o, "allowed", allowed(c, r));
    json_object_set_new(o, "frozen", json_boolean(r->frozen));
    json_object_set_new(o, "reference_missing", json_boolean(r->reference_missing));
    if (criterion_is_time(c)) {
        json_object_set_new(o, "limit_ms", limit_ms(c, index, latency));
        json_object_set_new(o, "observed_ms", observed_ms(c, latency, VARIANT_CANARY));
    }
    if (c->test == TEST_SHIFT)
        json_object_set_new(o, "shift", shift(c, r));
    if (c->method == METHOD_WINDOW)
        json_object_set_new(o, "window", window(c, r));
}

static void add_evidence(json_t *o, const struct policy *policy,
                         const struct analysis_report *report, size_t index)
{
    const struct policy_criterion *c = &policy->analysis.criteria[index];
    const struct criterion_report *r = &report->criteria[index];
    bool asked = c->test == TEST_MAX && r->no_harm_threshold > 0;
    bool sequential = c->method == METHOD_SEQUENTIAL;

    json_object_set_new(o, "evidence", sequential ? evidence(r->log_e) : json_null());
    json_object_set_new(o, "threshold", sequential ? json_number(r->threshold) : json_null());
    json_object_set_new(o, "no_harm", asked ? evidence(r->no_harm) : json_null());
    json_object_set_new(o, "no_harm_threshold",
                        asked ? json_number(r->no_harm_threshold) : json_null());
    json_object_set_new(o, "requests_more",
                        asked ? requests_more(policy, report, index) : json_null());
}

static json_t *criterion(const struct policy *policy, const struct analysis_report *report,
                         size_t index, const struct evidence_latency *latency)
{
    const struct policy_criterion *c = &policy->analysis.criteria[index];
    const struct criterion_report *r = &report->criteria[index];
    json_t *o = json_object();

    add_what(o, c, r);
    add_shares(o, policy, report, index, VARIANT_CANARY);
    add_limit(o, c, index, r, latency);
    json_object_set_new(o, "verdict", json_text(verdict_names[r->verdict]));
    json_object_set_new(o, "requests", json_integer((json_int_t)r->requests[VARIANT_CANARY]));
    json_object_set_new(o, "bad", json_integer((json_int_t)r->bad[VARIANT_CANARY]));
    add_evidence(o, policy, report, index);
    json_object_set_new(o, "stable", stable_side(policy, report, index, latency));
    return o;
}

json_t *evidence_json_criteria(const struct policy *policy, const struct analysis_report *report,
                               const struct evidence_latency *latency)
{
    json_t *all = json_array();

    for (size_t i = 0; i < report->count; i++)
        json_array_append_new(all, criterion(policy, report, i, latency));
    return all;
}

json_t *evidence_json_combined(const struct analysis_report *report)
{
    json_t *o = json_object();

    json_object_set_new(o, "value", evidence(report->log_e));
    json_object_set_new(o, "threshold", json_number(report->threshold));
    return o;
}

json_t *evidence_json_wide(const struct analysis_report *report)
{
    if (report->wide.log_e <= -1e9)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "value", evidence(report->wide.log_e));
    json_object_set_new(o, "threshold", json_number(report->wide.threshold));
    return o;
}

json_t *evidence_json_placebo(const struct analysis_report *report)
{
    json_t *o = json_object();

    json_object_set_new(o, "sent_back", json_integer((json_int_t)report->placebo.sent_back));
    json_object_set_new(o, "sent_back_last_hour",
                        json_integer((json_int_t)report->placebo.sent_back_last_hour));
    json_object_set_new(o, "bursts", json_integer((json_int_t)report->placebo.bursts));
    json_object_set_new(o, "longest_burst_seconds", json_seconds(report->placebo.longest_burst_ns));
    json_object_set_new(o, "degraded", json_boolean(report->stable_degraded));
    return o;
}

json_t *evidence_json_hard_down(const struct policy *policy, const struct analysis_report *report)
{
    json_t *o = json_object();

    json_object_set_new(o, "failures", json_integer((json_int_t)report->run_failures));
    json_object_set_new(o, "limit", json_integer(policy->analysis.hard_down_failures));
    json_object_set_new(o, "seconds", json_seconds(report->run_ns));
    return o;
}
