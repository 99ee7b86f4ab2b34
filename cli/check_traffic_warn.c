/* The warnings of `sluice check --rps`: what cannot work with this traffic, and what would. */
#include <inttypes.h>
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/check_traffic.h"
#include "cli/check_traffic_parts.h"
#include "cli/output.h"

enum {
    REFERENCE_SPAN_S = 600,     /* how far back stable's quantile is looked for */
    SHIFT_STABLE_VALUES = 1000, /* until buckets are cut */
    SHIFT_CANARY_VALUES = 300,  /* until a shift is judged */
};

struct warner {
    const struct policy *policy;
    const struct traffic *traffic;
    struct diagnostics *to;
};

/* What is not written stands where the rollout begins. */
static struct source_pos place(const struct warner *w, struct source_pos at)
{
    return at.line == 0 ? w->policy->at : at;
}

/* --- steps --- */

/* The least weight, in whole percent, at which the step's evidence comes within max_hold; 0: none
 * below 100 %. */
static uint32_t enough_percent(const struct warner *w, uint64_t needed)
{
    double seconds = (double)w->policy->analysis.max_hold_ns / (double)NS_PER_SEC;
    double percent = ceil(100 * (double)needed / (w->traffic->rps * seconds));

    return percent < 100 ? (uint32_t)percent : 0;
}

static void warn_of_min_requests(const struct warner *w, size_t step, const struct traffic_step *s)
{
    char weight[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX], hint[160], most[COUNT_TEXT_MAX];
    int64_t max_ns = w->policy->analysis.max_hold_ns;
    double seen = s->canary_rps * (double)max_ns / (double)NS_PER_SEC;

    snprintf(hint, sizeof(hint), "lower min_requests below %s, or raise analysis.max_hold",
             output_count(seen < 1 ? 1 : floor(seen), most));
    diagnostics_warnf(
        w->to, place(w, w->policy->steps[step].at), hint,
        "the step of %s never reaches its min_requests of %" PRIu64 ": %.3g canary "
        "requests/s are %.0f within max_hold (%s)",
        units_share_text((double)traffic_weight_bp(w->policy, step) / WEIGHT_FULL_BP, weight),
        s->min_requests, s->canary_rps, floor(seen), units_duration_text(max_ns, max));
}

static void warn_of_evidence(const struct warner *w, size_t step, const struct traffic_step *s)
{
    char weight[UNITS_TEXT_MAX], max[UNITS_TEXT_MAX], time[UNITS_TEXT_MAX], count[COUNT_TEXT_MAX];
    char hint[200];
    uint32_t percent = enough_percent(w, s->evidence_p95);

    units_share_text((double)traffic_weight_bp(w->policy, step) / WEIGHT_FULL_BP, weight);
    if (s->evidence_p95 == UINT64_MAX) {
        diagnostics_warnf(
            w->to, place(w, w->policy->steps[step].at),
            "raise the limit above what stable does, or write require: no_breach",
            "the step of %s never ends: a canary as good as stable cannot be shown to "
            "keep \"%s\"",
            weight, s->evidence_criterion);
        return;
    }
    units_duration_text(s->passes_ns, time);
    int len = snprintf(hint, sizeof(hint), "raise analysis.max_hold above %s", time);
    if (percent > 0)
        snprintf(hint + len, sizeof(hint) - (size_t)len, ", or the weight to %" PRIu32 "%%",
                 percent);
    diagnostics_warnf(w->to, place(w, w->policy->steps[step].at), hint,
                      "the step of %s takes %s at %.3g canary requests/s, longer than max_hold "
                      "(%s): \"%s\" needs %s of them",
                      weight, time, s->canary_rps,
                      units_duration_text(w->policy->analysis.max_hold_ns, max),
                      s->evidence_criterion, output_count((double)s->evidence_p95, count));
}

static void warn_of_steps(const struct warner *w)
{
    const struct policy *p = w->policy;

    for (size_t i = 0; i < p->step_count; i++) {
        struct traffic_step s;
        traffic_step(p, w->traffic, i, &s);
        if (s.canary_rps <= 0)
            continue;
        if (traffic_time_for(s.min_requests, s.canary_rps) > p->analysis.max_hold_ns + NS_PER_SEC)
            warn_of_min_requests(w, i, &s);
        else if (s.passes_ns > p->analysis.max_hold_ns + NS_PER_SEC)
            warn_of_evidence(w, i, &s);
    }
}

/* --- criteria --- */

static void warn_of_stable(const struct warner *w, const struct policy_criterion *c)
{
    char rate[UNITS_TEXT_MAX];
    bool holds = w->policy->analysis.on_stable_degraded == DEGRADED_HOLD;

    if (c->metric != METRIC_ERROR_RATE || c->test != TEST_MAX || w->traffic->stable_errors < c->p0)
        return;
    diagnostics_warnf(w->to, place(w, c->at),
                      "raise the limit above what stable does, or compare: max_increase: 0.5%",
                      "\"%s\": stable itself fails %s, so a canary as good as stable is %s",
                      c->name, units_share_text(w->traffic->stable_errors, rate),
                      c->on_fail == ON_FAIL_REPORT ? "reported"
                      : holds                      ? "never promoted"
                                                   : "taken back");
}

/* The most of any step below 100 %, per second; 0: there is none. */
static double most_beside(const struct policy *p, double rps, bool stable)
{
    double most = 0;

    for (size_t i = 0; i < p->step_count; i++) {
        double share = (double)traffic_weight_bp(p, i) / WEIGHT_FULL_BP;
        double part = share >= 1 ? 0 : stable ? 1 - share : share;
        most = part * rps > most ? part * rps : most;
    }
    return most;
}

static void warn_of_reference(const struct warner *w, const struct policy_criterion *c)
{
    double needed = ceil(2 / (1 - c->quantile) - 1e-6); /* 2000, not 2001 */
    double seen = most_beside(w->policy, w->traffic->rps, true) * REFERENCE_SPAN_S;
    char count[COUNT_TEXT_MAX];

    if (!criterion_follows_stable(c) || seen >= needed || !policy_compares(w->policy))
        return;
    diagnostics_warnf(w->to, place(w, c->at), "judge a lower quantile: [50%, 90%]",
                      "\"%s\" can never be judged: it needs %s of stable's requests in 10 minutes, "
                      "which sees %.0f",
                      c->name, output_count(needed, count), floor(seen));
}

static bool is_first_comparison(const struct policy *p, const struct policy_criterion *c)
{
    const struct policy_criterion *first = p->analysis.criteria;

    while (!criterion_is_relative(first))
        first++;
    return first == c;
}

/* Stable as it was before takes the place of stable beside the canary, if anybody looked. Said once
 * for all that it concerns. */
static void warn_of_no_stable(const struct warner *w, const struct policy_criterion *c)
{
    const char *hint = w->policy->start_auto && c->test != TEST_SHIFT
                           ? "begin with a step below 100%, leave a share on stable "
                             "(bake.control), or write start: manual and watch stable first"
                           : "begin with a step below 100%, or leave a share on stable "
                             "(bake.control)";

    if (policy_compares(w->policy) || c->test == TEST_MAX)
        return;
    if (c->test == TEST_SHIFT)
        diagnostics_warnf(w->to, place(w, c->at), hint,
                          "\"%s\" can never be judged: the first step is 100%%, so stable's values "
                          "never come beside the canary's",
                          c->name);
    else if (is_first_comparison(w->policy, c))
        diagnostics_warnf(
            w->to, place(w, c->at), hint,
            "the first step is 100%%, so the canary is held to what stable did before "
            "the rollout: \"%s\", and what else compares, has no data and holds the "
            "step when this process did not see stable's traffic before",
            c->name);
}

/* Enough windows in a row must fit into the step. */
static void warn_of_short_holds(const struct warner *w, const struct policy_criterion *c)
{
    char hold[UNITS_TEXT_MAX], weight[UNITS_TEXT_MAX];
    char needs[UNITS_TEXT_MAX], hint[120];
    int64_t needs_ns = c->window_ns * (int64_t)c->window_consecutive;

    if (c->method != METHOD_WINDOW)
        return;
    for (size_t i = 0; i < w->policy->step_count; i++) {
        const struct policy_step *step = &w->policy->steps[i];
        if (step->hold_ns >= needs_ns)
            continue;
        units_duration_text(needs_ns, needs);
        snprintf(hint, sizeof(hint), "hold it for %s or longer, or make the window shorter", needs);
        diagnostics_warnf(
            w->to, place(w, step->at), hint,
            "the step of %s may end before \"%s\" can fail: its hold is %s, and that takes %s",
            units_share_text((double)traffic_weight_bp(w->policy, i) / WEIGHT_FULL_BP, weight),
            c->name, units_duration_text(step->hold_ns, hold), needs);
    }
}

static void warn_of_window(const struct warner *w, const struct policy_criterion *c)
{
    double most = 0;

    if (c->method != METHOD_WINDOW)
        return;
    for (size_t i = 0; i < w->policy->step_count; i++) {
        double rps = w->traffic->rps * traffic_weight_bp(w->policy, i) / WEIGHT_FULL_BP;
        most = rps > most ? rps : most;
    }
    double seen = most * (double)c->window_ns / (double)NS_PER_SEC;
    if (seen >= (double)c->window_min_requests)
        return;
    diagnostics_warnf(w->to, place(w, c->at), "make the window longer, or min_requests smaller",
                      "\"%s\" can never fail: no window has its min_requests of %" PRIu64
                      ", but at most "
                      "%.0f",
                      c->name, c->window_min_requests, floor(seen));
}

/* Both variants' values must have come before stable is gone. */
static void warn_of_shift(const struct warner *w, const struct policy_criterion *c)
{
    const struct policy *p = w->policy;
    double canary = 0, most = most_beside(p, w->traffic->rps, true);

    if (c->test != TEST_SHIFT || !policy_compares(p))
        return;
    for (size_t i = 0; i < p->step_count; i++) {
        double share = (double)traffic_weight_bp(p, i) / WEIGHT_FULL_BP;
        if (share < 1)
            canary += share * w->traffic->rps * (double)p->steps[i].hold_ns / (double)NS_PER_SEC;
    }
    if (canary >= SHIFT_CANARY_VALUES &&
        most * (double)p->analysis.max_hold_ns / (double)NS_PER_SEC >= SHIFT_STABLE_VALUES)
        return;
    diagnostics_warnf(
        w->to, place(w, c->at), "hold the steps longer, or send the canary more",
        "\"%s\" is not judged before 100%%: it needs %d values of the canary, and the "
        "holds see %.0f requests",
        c->name, SHIFT_CANARY_VALUES, floor(canary));
}

void traffic_check(const struct policy *p, const struct traffic *t, struct diagnostics *to)
{
    const struct warner w = {p, t, to};

    if (!policy_has_canary(p))
        return;
    if (t->rps > 0)
        warn_of_steps(&w);
    for (size_t i = 0; i < p->analysis.criteria_count; i++) {
        const struct policy_criterion *c = &p->analysis.criteria[i];
        warn_of_stable(&w, c);
        warn_of_no_stable(&w, c);
        warn_of_short_holds(&w, c);
        if (!(t->rps > 0))
            continue;
        warn_of_reference(&w, c);
        warn_of_window(&w, c);
        warn_of_shift(&w, c);
    }
}
