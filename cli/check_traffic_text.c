/* What `sluice check --rps` says of traffic that suffices: how long each step takes, and what the
 * limits of times can find at all. */
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/check_traffic.h"
#include "cli/check_traffic_parts.h"
#include "cli/output.h"

/* Of answers whose times are spread as a chat model's are (lognormal, sigma 1.07), how many canary
 * requests p50, p90 and p99 together need to find a canary that is so much slower than the ratio
 * allows. Measured at a weight of 10 %. A tail alone finds the smaller one never. */
static const struct {
    double beyond;
    uint64_t requests;
} found[] = {{2 / 1.3, 700}, {1.5 / 1.3, 15000}};

static const char *time_text(int64_t ns, char to[static UNITS_TEXT_MAX])
{
    if (ns == INT64_MAX)
        str_copy(to, UNITS_TEXT_MAX, STR("never"));
    else
        units_duration_text(ns, to);
    return to;
}

static void describe_step(const struct policy *p, const struct traffic *t, size_t step,
                          struct strbuf *out)
{
    char weight[UNITS_TEXT_MAX], time[UNITS_TEXT_MAX], hold[UNITS_TEXT_MAX];
    char least[COUNT_TEXT_MAX], p95[COUNT_TEXT_MAX];
    struct traffic_step s;

    traffic_step(p, t, step, &s);
    units_share_text((double)traffic_weight_bp(p, step) / WEIGHT_FULL_BP, weight);
    strbuf_addf(out, "    %s: %s", weight, time_text(s.passes_ns, time));
    if (s.passes_ns <= p->steps[step].hold_ns)
        strbuf_add(out, STR(", its hold"));
    else
        strbuf_addf(out, ", longer than its hold of %s",
                    units_duration_text(p->steps[step].hold_ns, hold));
    if (s.evidence_criterion == NULL)
        strbuf_addf(out, " (min_requests %s)", output_count((double)s.min_requests, least));
    else if (s.evidence_p95 == UINT64_MAX)
        strbuf_addf(out, " (\"%s\" cannot be shown)", s.evidence_criterion);
    else
        strbuf_addf(out, " (\"%s\": %s requests if none is bad, %s for 95 of 100 canaries)",
                    s.evidence_criterion, output_count((double)s.evidence_least, least),
                    output_count((double)s.evidence_p95, p95));
    strbuf_add_char(out, '\n');
}

static bool has_median(const struct policy *p, uint32_t group)
{
    for (size_t i = 0; i < p->analysis.criteria_count; i++)
        if (p->analysis.criteria[i].group == group && p->analysis.criteria[i].quantile < 0.51)
            return true;
    return false;
}

/* One line for each limit of times against stable, whatever the number of its quantiles. */
static void describe_ratio(const struct policy *p, const struct traffic *t,
                           const struct policy_criterion *c, struct strbuf *out)
{
    double rps = t->rps * traffic_weight_bp(p, 0) / WEIGHT_FULL_BP;
    char count[COUNT_TEXT_MAX], time[UNITS_TEXT_MAX], weight[UNITS_TEXT_MAX];

    if (!has_median(p, c->group)) {
        strbuf_addf(out,
                    "    %s max_ratio %.6g: where times are spread widely, as a chat model's, a "
                    "tail alone is slow to find anything: add 50%% and 90%% to its quantiles\n",
                    metric_names[c->metric], c->limit);
        return;
    }
    strbuf_addf(out, "    %s max_ratio %.6g finds a canary", metric_names[c->metric], c->limit);
    for (size_t i = 0; i < ARRAY_LEN(found); i++)
        strbuf_addf(out, "%s %.2gx as slow in about %s requests (%s at %s)", i == 0 ? "" : ", one",
                    c->limit * found[i].beyond, output_count((double)found[i].requests, count),
                    time_text(traffic_time_for(found[i].requests, rps), time),
                    units_share_text((double)traffic_weight_bp(p, 0) / WEIGHT_FULL_BP, weight));
    strbuf_add(out, STR(", where times are spread as a chat model's\n"));
}

void traffic_describe(const struct policy *p, const struct traffic *t, struct strbuf *out)
{
    char rate[UNITS_TEXT_MAX];

    strbuf_addf(out, "  %s at %.6g requests/s", p->name, t->rps);
    if (t->stable_errors >= 0)
        strbuf_addf(out, ", %s of stable's failing:\n", units_share_text(t->stable_errors, rate));
    else
        strbuf_add(out, STR(", for a canary at a tenth of each limit:\n"));
    for (size_t i = 0; i < p->step_count; i++)
        describe_step(p, t, i, out);
    for (size_t i = 0; i < p->analysis.criteria_count; i++) {
        const struct policy_criterion *c = &p->analysis.criteria[i];
        if (criterion_follows_stable(c) && (i == 0 || c[-1].group != c->group))
            describe_ratio(p, t, c, out);
    }
}

static json_t *count_json(uint64_t n)
{
    return n < INT64_MAX ? json_integer((json_int_t)n) : json_null();
}

json_t *traffic_json(const struct policy *p, const struct traffic *t)
{
    json_t *o = json_object(), *steps = json_array();

    for (size_t i = 0; i < p->step_count; i++) {
        json_t *step = json_object();
        struct traffic_step s;
        traffic_step(p, t, i, &s);
        json_object_set_new(step, "weight", json_real(traffic_weight_bp(p, i) / 100.0));
        json_object_set_new(step, "canary_rps", json_real(s.canary_rps));
        json_object_set_new(step, "min_requests", count_json(s.min_requests));
        json_object_set_new(step, "evidence", json_boolean(s.evidence));
        json_object_set_new(step, "evidence_requests_least", count_json(s.evidence_least));
        json_object_set_new(step, "evidence_requests_p95", count_json(s.evidence_p95));
        json_object_set_new(step, "hold_seconds",
                            json_real((double)p->steps[i].hold_ns / (double)NS_PER_SEC));
        json_object_set_new(step, "passes_seconds",
                            s.passes_ns == INT64_MAX
                                ? json_null()
                                : json_real((double)s.passes_ns / (double)NS_PER_SEC));
        json_array_append_new(steps, step);
    }
    json_object_set_new(o, "rollout", json_string(p->name));
    json_object_set_new(o, "rps", json_real(t->rps));
    json_object_set_new(o, "stable_errors",
                        t->stable_errors >= 0 ? json_real(t->stable_errors) : json_null());
    json_object_set_new(o, "steps", steps);
    return o;
}
