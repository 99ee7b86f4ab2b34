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

static json_t *observed_ms(const struct evidence_latency *latency, enum variant v, double quantile)
{
    const struct histogram_view *h = latency == NULL ? NULL : latency->variants[v];
    int64_t ns = h == NULL ? -1 : histogram_quantile_ns(h, quantile);

    return ns < 0 ? json_null() : json_number((double)ns / (double)NS_PER_MS);
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
    if (c->metric == METRIC_LATENCY)
        json_object_set_new(o, "observed_ms", observed_ms(latency, VARIANT_STABLE, c->quantile));
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

static json_t *criterion(const struct policy *policy, const struct analysis_report *report,
                         size_t index, const struct evidence_latency *latency)
{
    const struct policy_criterion *c = &policy->analysis.criteria[index];
    const struct criterion_report *r = &report->criteria[index];
    json_t *o = json_object();

    json_object_set_new(o, "name", json_text(c->name));
    json_object_set_new(o, "metric", json_text(metric_names[c->metric]));
    json_object_set_new(o, "test", json_text(c->test == TEST_MAX ? "max" : "max_increase"));
    json_object_set_new(o, "variant", json_text(variant_names[VARIANT_CANARY]));
    json_object_set_new(o, "quantile",
                        c->metric == METRIC_LATENCY ? json_number(c->quantile) : json_null());
    add_shares(o, policy, report, index, VARIANT_CANARY);
    json_object_set_new(o, "limit", json_number(c->test == TEST_MAX ? c->p0 : c->limit));
    if (c->metric == METRIC_LATENCY) {
        json_object_set_new(o, "limit_ms", json_number((double)c->limit_ns / (double)NS_PER_MS));
        json_object_set_new(o, "observed_ms", observed_ms(latency, VARIANT_CANARY, c->quantile));
    }
    json_object_set_new(o, "verdict", json_text(verdict_names[r->verdict]));
    json_object_set_new(o, "requests", json_integer((json_int_t)r->requests[VARIANT_CANARY]));
    json_object_set_new(o, "bad", json_integer((json_int_t)r->bad[VARIANT_CANARY]));
    json_object_set_new(o, "evidence", evidence(r->log_e));
    json_object_set_new(o, "threshold", json_number(r->threshold));
    bool absolute = c->test == TEST_MAX;
    json_object_set_new(o, "no_harm", absolute ? evidence(r->no_harm) : json_null());
    json_object_set_new(o, "no_harm_threshold",
                        absolute ? json_number(r->no_harm_threshold) : json_null());
    json_object_set_new(o, "requests_more", requests_more(policy, report, index));
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

json_t *evidence_json_hard_down(const struct policy *policy, const struct analysis_report *report)
{
    json_t *o = json_object();

    json_object_set_new(o, "failures", json_integer((json_int_t)report->run_failures));
    json_object_set_new(o, "limit", json_integer(policy->analysis.hard_down_failures));
    json_object_set_new(o, "seconds", json_seconds(report->run_ns));
    return o;
}
