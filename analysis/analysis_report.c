/* What the evidence amounts to. Nothing here is kept but the verdicts that are final: a report is
 * made from the counts each time something has changed.
 */
#include <math.h>
#include <string.h>

#include "analysis/analysis_state.h"

static bool is_full(const struct analysis *a)
{
    return a->weight_bp >= WEIGHT_FULL_BP;
}

double analysis_combined(const struct analysis *a, enum on_fail on_fail, bool wide,
                         uint32_t *ret_worst)
{
    double logs[2 * CRITERIA_MAX], weights[2 * CRITERIA_MAX], most = -INFINITY;
    struct criterion_part parts[2];
    size_t count = 0;

    *ret_worst = 0;
    for (size_t c = 0; c < a->count; c++) {
        const struct criterion *k = &a->criteria[c];
        if (wide ? !k->is_wide : !k->sequential)
            continue;
        size_t n = criterion_parts(k, wide ? &k->wide : &k->fast, is_full(a), parts);
        for (size_t i = 0; i < n; i++) {
            if (parts[i].on_fail != on_fail)
                continue;
            logs[count] = parts[i].log_e;
            weights[count] = k->policy->weight;
            double share = log(weights[count]) + logs[count];
            if (count == 0 || share > most) {
                most = share;
                *ret_worst = (uint32_t)c;
            }
            count++;
        }
    }
    return count == 0 ? LOG_E_NONE : fmax(sequential_combine(weights, logs, count), LOG_E_NONE);
}

/* --- what is final ------------------------------------------------------------------------- */

static void latch_values(struct analysis *a, struct criterion *c)
{
    if (c->method != NULL)
        c->failed = c->failed || c->method->failed;
    if (c->shift != NULL && !c->failed) {
        struct shift_report r;
        const struct shift_rule rule = {
            .test = c->policy->shift,
            .max = c->policy->limit,
            .alpha = c->policy->weight * a->plan.alpha,
            .in_flight = a->in_flight > 0 ? (uint64_t)a->in_flight : 0,
        };
        shift_report(c->shift, &rule, &r);
        c->failed = r.failed;
    }
}

static void latch_lesser(const struct analysis *a, struct criterion *c)
{
    struct criterion_part parts[2];
    size_t n = criterion_parts(c, &c->fast, is_full(a), parts);
    for (size_t i = 0; i < n; i++)
        if (parts[i].on_fail != ON_FAIL_ROLLBACK && parts[i].log_e >= c->threshold)
            c->failed = true;
}

void analysis_latch(struct analysis *a)
{
    uint32_t worst;

    if (a->values)
        for (size_t c = 0; c < a->count; c++)
            latch_values(a, &a->criteria[c]);
    if (!a->lesser)
        return;
    for (size_t c = 0; c < a->count; c++)
        if (a->criteria[c].sequential)
            latch_lesser(a, &a->criteria[c]);
    if (analysis_combined(a, ON_FAIL_PAUSE, false, &worst) >= log(1 / a->plan.alpha))
        a->criteria[worst].failed = true;
}

/* --- the report ---------------------------------------------------------------------------- */

static void report_evidence(const struct analysis *a, struct analysis_report *ret)
{
    uint32_t worst;

    ret->threshold = log(1 / a->plan.alpha);
    ret->log_e = analysis_combined(a, ON_FAIL_ROLLBACK, false, &ret->worst);
    ret->crossed = ret->log_e >= ret->threshold;
    ret->pause_log_e = a->lesser ? analysis_combined(a, ON_FAIL_PAUSE, false, &worst) : LOG_E_NONE;
    ret->alarm = fmax(ret->log_e, ret->pause_log_e) >= ret->threshold / 2;
    ret->wide.threshold = ret->threshold + log(2);
    ret->wide.log_e = LOG_E_NONE;
    if (a->wide.length > 0)
        ret->wide.log_e = analysis_combined(a, ON_FAIL_ROLLBACK, true, &ret->wide.worst);
    ret->wide.crossed = ret->wide.log_e >= ret->wide.threshold;
}

/* The open slots once, for everything that is summed over them. */
struct walk {
    struct prefixes prefixes[CRITERIA_MAX]; /* of those with an absolute limit */
    struct run longest;
    struct visit_walk visit;
    bool down;
};

static void walk_open(const struct analysis *a, struct walk *ret)
{
    struct run run = a->closed_run;
    uint32_t absolute[CRITERIA_MAX];
    size_t absolutes = 0;
    ret->longest = run;
    ret->down = a->run_tripped;
    for (uint32_t c = 0; c < a->count; c++) {
        if (a->criteria[c].policy->test != TEST_MAX)
            continue;
        absolute[absolutes++] = c;
        ret->prefixes[c] = a->criteria[c].record.closed;
    }
    if (a->visit.active)
        ret->visit = visit_walk(&a->visit);
    for (size_t i = 0; i < a->window.count; i++) {
        const struct window_slot *w = window_at(&a->window, i);
        if (w->step == a->step)
            for (size_t k = 0; k < absolutes; k++)
                prefixes_add(&ret->prefixes[absolute[k]],
                             shares_of(&w->counts[VARIANT_CANARY], absolute[k]));
        if (w->visit != a->visit_count)
            continue;
        run_add(&run, w, a->down_limits);
        ret->down = ret->down || run_trips(&run, a->policy);
        if (run.failures >= ret->longest.failures)
            ret->longest = run;
        if (a->visit.active)
            visit_add(&a->visit, &ret->visit, w, a->down_limits, analysis_patience(a));
    }
}

static void report_criteria(const struct analysis *a, const struct walk *walk,
                            struct analysis_report *ret)
{
    struct criterion_view view = {
        .alpha = a->plan.alpha,
        .beta = a->policy->analysis.max_bad_promotion,
        .step_requests = a->step_requests,
        .in_flight = a->in_flight > 0 ? (uint64_t)a->in_flight : 0,
        .weight_bp = a->weight_bp,
        .alarm = ret->alarm,
    };
    ret->count = a->count;
    ret->no_harm = true;
    for (size_t c = 0; c < a->count; c++) {
        const struct criterion *k = &a->criteria[c];
        struct criterion_report *r = &ret->criteria[c];
        view.canary = &walk->prefixes[c];
        view.carried =
            (ret->crossed && c == ret->worst) || (ret->wide.crossed && c == ret->wide.worst);
        criterion_report(k, &view, r);
        enum on_fail on_fail = criterion_on_fail(k, r->frozen);
        if (r->suspect && on_fail != ON_FAIL_REPORT)
            ret->alarm = true;
        if (k->policy->test == TEST_MAX && k->policy->require_no_harm &&
            r->no_harm < r->no_harm_threshold)
            ret->no_harm = false;
        if (!r->failed)
            continue;
        uint32_t bit = UINT32_C(1) << c;
        if (!k->sequential && on_fail == ON_FAIL_ROLLBACK)
            ret->failed_rollback |= bit;
        else if (criterion_on_fail(k, true) == ON_FAIL_PAUSE)
            ret->failed_pause |= bit;
        else
            ret->failed_report |= bit;
    }
}

static void report_retreat(const struct analysis *a, struct analysis_report *ret)
{
    bool asked_again = a->policy->analysis.confirm_count > 0;
    ret->revert = ret->wide.crossed || ret->failed_rollback != 0 || (ret->crossed && !asked_again);
    ret->retreat = asked_again && (ret->crossed || ret->hard_down);
    if (!ret->retreat)
        return;
    uint32_t criterion = CRITERIA_MAX;
    double z = 0.5;
    struct shares seen = {.sample = ret->run_failures, .bad = ret->run_failures};
    if (ret->crossed) {
        criterion = ret->worst;
        z = criterion_all_right(&a->criteria[criterion]);
        criterion_since(&a->criteria[criterion], &a->window, &seen);
    }
    ret->probe_next = visit_ask(criterion, seen, z, a->visit.active ? &a->visit.asked : NULL);
    ret->trip.requests = seen.sample;
    ret->trip.bad = seen.bad;
}

static void report_probe(const struct analysis *a, const struct walk *walk,
                         struct analysis_report *ret)
{
    if (!a->visit.active)
        return;
    int64_t now_slot = window_at(&a->window, a->window.count - 1)->slot;
    ret->probe.active = true;
    ret->probe.log_ratio = walk->visit.log_ratio;
    ret->probe.least = fmin(walk->visit.least, 0);
    ret->probe.slots = (uint64_t)(now_slot - a->visit.begin);
    ret->probe.requests = walk->visit.sum.sample;
    ret->probe.bad = walk->visit.sum.bad;
    ret->probe.cleared =
        visit_cleared(&a->visit, walk->visit.least, now_slot, analysis_patience(a));
}

static void report_placebo(const struct analysis *a, struct analysis_report *ret)
{
    const struct placebo *p = &a->placebo;
    ret->placebo.sent_back = p->sent_back;
    ret->placebo.sent_back_last_hour = placebo_last_hour(p);
    ret->placebo.bursts = p->bursts;
    ret->placebo.longest_burst_ns = p->longest * a->policy->analysis.slot_ns;
    ret->placebo.log_e = placebo_log_e(p);
    ret->stable_degraded = p->degraded && a->policy->analysis.on_stable_degraded == DEGRADED_HOLD;
}

static void report_all(const struct analysis *a, struct analysis_report *ret)
{
    struct walk walk;
    memset(ret, 0, sizeof *ret);
    walk_open(a, &walk);
    report_evidence(a, ret);
    ret->hard_down = walk.down;
    ret->run_failures = walk.longest.failures;
    ret->run_ns = run_ns(&walk.longest, a->policy);
    ret->step_requests = a->step_requests;
    ret->first_bad_slot = a->first_bad_slot;
    report_criteria(a, &walk, ret);
    report_retreat(a, ret);
    report_probe(a, &walk, ret);
    report_placebo(a, ret);
}

const struct analysis_report *analysis_look(const struct analysis *a)
{
    if (!a->cache->valid) {
        report_all(a, &a->cache->report);
        a->cache->valid = true;
    }
    return &a->cache->report;
}

void analysis_report(const struct analysis *a, struct analysis_report *ret)
{
    memcpy(ret, analysis_look(a), sizeof *ret);
}

enum on_fail analysis_on_fail(const struct policy_criterion *c, const struct criterion_report *r)
{
    return r->frozen ? c->frozen_on_fail : c->on_fail;
}
