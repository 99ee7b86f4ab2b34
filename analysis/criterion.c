/* Counts to evidence, evidence to verdict. A criterion is one of three things: a test of shares
 * (most), a comparison of distributions, or a window's rule; what is common is that it has counts
 * and a verdict.
 */
#include "analysis/criterion.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/bounds.h"
#include "base/arena.h"
#include "base/check.h"

/* The prior of stable's record, which leans to shares below 1/200. */
#define FROZEN_SHARE (1.0 / 200)
/* Above it nothing is judged by a frozen limit: the grid of alternatives has no room. */
#define FROZEN_MAX 0.9

const char *const verdict_names[VERDICT_COUNT] = {
    [VERDICT_UNDECIDED] = "undecided",
    [VERDICT_PASS] = "pass",
    [VERDICT_FAIL] = "fail",
    [VERDICT_NO_DATA] = "no_data",
};

void criterion_init(struct criterion *c, const struct policy *p, size_t index,
                    const struct sequential_plan *fast, const struct sequential_plan *wide)
{
    const struct policy_criterion *policy = &p->analysis.criteria[index];
    bool hold = p->analysis.on_stable_degraded == DEGRADED_HOLD;
    struct sequential_plan plan = *fast;

    *c = (struct criterion){.policy = policy, .index = index};
    plan.share = policy->weight;
    c->threshold = sequential_threshold(&plan);
    c->sequential = policy->test != TEST_SHIFT && policy->method == METHOD_SEQUENTIAL;
    c->compares = policy_compares(p);
    if (policy->test == TEST_MAX)
        sequential_limit(policy->p0, &c->limit);
    if (policy->test == TEST_SHIFT) {
        c->shift = xmalloc(sizeof *c->shift);
        shift_init(c->shift);
    } else if (policy->method == METHOD_WINDOW) {
        c->method = xmalloc(sizeof *c->method);
        window_method_init(c->method);
    }
    if (!c->sequential)
        return;
    evidence_init(&c->fast, policy, hold, &plan);
    c->is_wide = policy->on_fail == ON_FAIL_ROLLBACK && p->analysis.confirm_count > 0;
    if (!c->is_wide)
        return;
    plan = *wide;
    plan.share = policy->weight;
    evidence_init(&c->wide, policy, hold, &plan);
}

void criterion_deinit(struct criterion *c)
{
    evidence_deinit(&c->fast);
    evidence_deinit(&c->wide);
    free(c->shift);
    free(c->method);
}

void criterion_reset(struct criterion *c)
{
    evidence_reset(&c->fast);
    evidence_reset(&c->wide);
    c->frozen_p0 = 0;
    c->failed = false;
    c->since = (struct shares){0};
    /* What is in flight stays undecided there, and is left out. */
    c->record = (struct step_record){.before = c->record.before};
    if (c->shift != NULL)
        shift_init(c->shift);
    if (c->method != NULL)
        window_method_init(c->method);
}

/* --- the frozen limit ---------------------------------------------------------------------- */

void criterion_set_frozen(struct criterion *c, double p0)
{
    c->frozen_p0 = p0;
    evidence_freeze(&c->fast, p0);
    if (c->is_wide)
        evidence_freeze(&c->wide, p0);
}

void criterion_freeze(struct criterion *c, double alpha)
{
    const struct shares *stable =
        c->compares ? &c->record.rollout[VARIANT_STABLE] : &c->record.before;
    struct sequential_prior prior = sequential_prior(FROZEN_SHARE);
    uint64_t good = stable->sample - stable->bad;
    uint64_t known = stable->bad + (good > stable->pending ? good - stable->pending : 0);

    if (!c->sequential || !criterion_is_relative(c->policy) || c->frozen_p0 > 0 || known == 0)
        return;
    double upper = sequential_upper(prior, known, stable->bad, alpha);
    double p0 = c->policy->ratio * upper + c->policy->delta;
    if (p0 > FROZEN_MAX)
        return;
    criterion_set_frozen(c, p0);
}

enum on_fail criterion_on_fail(const struct criterion *c, bool frozen)
{
    return frozen && c->frozen_p0 > 0 ? c->policy->frozen_on_fail : c->policy->on_fail;
}

size_t criterion_parts(const struct criterion *c, const struct evidence *e, bool full,
                       struct criterion_part ret[static 2])
{
    enum on_fail before = criterion_on_fail(c, false), frozen = criterion_on_fail(c, true);
    if (before == frozen) {
        ret[0] = (struct criterion_part){evidence_log_e(e, full), before};
        return 1;
    }
    ret[0] = (struct criterion_part){evidence_log_e_compared(e), before};
    ret[1] = (struct criterion_part){evidence_log_e_frozen(e), frozen};
    return 2;
}

/* --- what a probe asks ---------------------------------------------------------------------- */

double criterion_all_right(const struct criterion *c)
{
    const struct shares *stable = &c->record.rollout[VARIANT_STABLE];
    if (c->policy->test == TEST_MAX)
        return c->policy->p0;
    if (c->frozen_p0 > 0)
        return c->frozen_p0;
    double share = stable->sample > 0 ? (double)stable->bad / (double)stable->sample : 0;
    return c->policy->ratio * share + c->policy->delta;
}

static void since_add(const struct criterion *c, struct shares *since, size_t slot,
                      const struct window_slot *w)
{
    const struct ring *ring = &c->fast.main.ring;
    if (ring_slot_at(ring, slot)->turn == RING_FRESH)
        *since = (struct shares){0};
    shares_add(since, shares_of(&w->counts[VARIANT_CANARY], c->index));
    double e = ring_sum_after(ring, slot);
    if (c->fast.kind == EVIDENCE_FROZEN)
        e += ring_sum_after(&c->fast.other.ring, slot);
    if (e < 1)
        *since = (struct shares){0};
}

void criterion_since(const struct criterion *c, const struct window *window, struct shares *ret)
{
    *ret = c->since;
    for (size_t i = 0; i < window->count; i++)
        since_add(c, ret, i, window_at(window, i));
}

void criterion_close(struct criterion *c, const struct window_slot *w, bool this_step)
{
    if (this_step && c->policy->test == TEST_MAX)
        prefixes_add(&c->record.closed, shares_of(&w->counts[VARIANT_CANARY], c->index));
    if (!c->sequential)
        return;
    since_add(c, &c->since, 0, w);
    evidence_close(&c->fast, 1);
}

/* --- the report ---------------------------------------------------------------------------- */

static void report_share(enum variant v, const struct shares *sum, struct criterion_report *ret)
{
    ret->requests[v] = sum->sample;
    ret->bad[v] = sum->bad;
    ret->pending[v] = sum->pending;
    ret->value[v] = sum->sample > 0 ? (double)sum->bad / (double)sum->sample : -1;
}

static bool has_data(const struct criterion *c, const struct criterion_view *view,
                     const struct criterion_report *r)
{
    if (c->shift != NULL)
        return r->shift.found[VARIANT_CANARY] > 0 && r->shift.found[VARIANT_STABLE] > 0;
    if (r->requests[VARIANT_CANARY] == 0 || (c->method != NULL && window_method_starves(c->method)))
        return false;
    /* At full weight there is no stable to compare with; its evidence stands where it was, and is
     * none at all when there never was one and nothing was known of it before. */
    if (c->policy->test != TEST_MAX && !c->compares && c->frozen_p0 <= 0)
        return false;
    return c->policy->test == TEST_MAX || view->weight_bp >= WEIGHT_FULL_BP ||
           r->requests[VARIANT_STABLE] > 0;
}

/* No sign of an increase, among so many requests that one would show. At full weight there is
 * nothing to compare with and the evidence stands where it was. */
static bool no_increase(const struct criterion *c, const struct criterion_view *view,
                        const struct criterion_report *r)
{
    if (view->alarm || r->suspect)
        return false;
    if (view->weight_bp >= WEIGHT_FULL_BP)
        return true;
    return (double)r->requests[VARIANT_CANARY] * c->policy->delta >= 1 &&
           r->value[VARIANT_CANARY] <=
               c->policy->ratio * r->value[VARIANT_STABLE] + c->policy->delta;
}

static bool passes(const struct criterion *c, const struct criterion_view *view,
                   const struct criterion_report *r)
{
    if (c->shift != NULL)
        return r->shift.kept;
    if (c->method != NULL)
        return c->method->windows > 0 && c->method->fails_in_a_row == 0;
    if (c->policy->test != TEST_MAX)
        return no_increase(c, view, r);
    if (c->policy->require_no_harm)
        return r->no_harm >= r->no_harm_threshold;
    return !view->alarm && !r->suspect;
}

/* All answers have a latency, so what is missing is enough of stable's traffic to follow. That is
 * no metric that fell silent, and rollouts with few requests an hour would never move. Of other
 * times nobody knows whether any will ever come. */
static bool too_little_to_follow(const struct criterion *c, const struct criterion_report *r)
{
    const struct policy_where *where = &c->policy->where;

    return r->reference_missing && c->policy->metric == METRIC_LATENCY && where->path_count == 0 &&
           where->method_count == 0 && where->stream == WHERE_ANY;
}

static enum verdict judge(const struct criterion *c, const struct criterion_view *view,
                          const struct criterion_report *r)
{
    if (r->failed || view->carried || (c->sequential && r->log_e >= r->threshold))
        return VERDICT_FAIL;
    if (!has_data(c, view, r))
        return too_little_to_follow(c, r) ? VERDICT_UNDECIDED : VERDICT_NO_DATA;
    return passes(c, view, r) ? VERDICT_PASS : VERDICT_UNDECIDED;
}

static void report_evidence(const struct criterion *c, const struct criterion_view *view,
                            struct criterion_report *ret)
{
    bool full = view->weight_bp >= WEIGHT_FULL_BP;
    ret->threshold = c->threshold;
    ret->wide_threshold = c->threshold + log(2);
    ret->log_e = ret->wide_log_e = LOG_E_NONE;
    if (c->sequential)
        ret->log_e = evidence_log_e(&c->fast, full);
    if (c->is_wide)
        ret->wide_log_e = evidence_log_e(&c->wide, full);
    ret->frozen_p0 = c->frozen_p0;
    ret->frozen = full && c->frozen_p0 > 0;
}

static void report_values(const struct criterion *c, const struct criterion_view *view,
                          struct criterion_report *ret)
{
    if (c->shift != NULL) {
        const struct shift_rule rule = {
            .test = c->policy->shift,
            .max = c->policy->limit,
            .alpha = c->policy->weight * view->alpha,
            .in_flight = view->in_flight,
        };
        shift_report(c->shift, &rule, &ret->shift);
        ret->log_e = fmax(ret->shift.log_e, LOG_E_NONE);
        if (ret->shift.values[VARIANT_CANARY] == 0 || ret->shift.values[VARIANT_STABLE] == 0)
            ret->shift.psi = ret->shift.ks = -1;
    }
    if (c->method != NULL) {
        ret->window.values = c->method->windows;
        ret->window.fails_in_a_row = c->method->fails_in_a_row;
    }
}

void criterion_report(const struct criterion *c, const struct criterion_view *view,
                      struct criterion_report *ret)
{
    const struct shares *canary = &c->record.step[VARIANT_CANARY];
    const struct shares *stable = &c->record.step[VARIANT_STABLE];

    report_evidence(c, view, ret);
    report_share(VARIANT_STABLE, stable, ret);
    report_share(VARIANT_CANARY, canary, ret);
    if (c->shift != NULL || c->method != NULL)
        report_values(c, view, ret);
    ret->reference_missing = criterion_follows_stable(c->policy) && view->step_requests > 0 &&
                             canary->sample == 0 && stable->sample == 0;
    if (c->policy->test == TEST_MAX) {
        ret->no_harm_threshold = log(1 / view->beta);
        ret->no_harm = prefixes_no_harm(view->canary, &c->limit);
    }
    /* The bounds hold at all times at once, and do not know the burst guard: what they exclude is
     * not stepped up, whether or not the guard lets it be taken back yet. As in the evidence, a
     * limit that stable breaks likewise accuses nobody: what an outage of both leaves in the counts
     * would hold up a step for hours after its end. */
    ret->suspect = c->shift == NULL && bounds_are_beyond(c->policy, view->beta, ret) &&
                   (c->fast.kind != EVIDENCE_HELD || view->weight_bp >= WEIGHT_FULL_BP ||
                    bounds_are_above_stable(c->policy, view->beta, ret));
    ret->failed = c->failed;
    ret->verdict = judge(c, view, ret);
}
