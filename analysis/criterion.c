/* Counts to evidence, evidence to verdict. The surprising part is that "no harm" does not look at
 * the same counts as the alarm: the alarm takes requests in flight as good (so that it cannot cry
 * wolf because failures are fast), no harm takes them as bad (so that it cannot pass a canary
 * because failures are slow).
 */
#include "analysis/criterion.h"

#include <math.h>

#include "analysis/bounds.h"
#include "base/check.h"

#define LOG_E_FLOOR (-1e9)

const char *const verdict_names[VERDICT_COUNT] = {
    [VERDICT_UNDECIDED] = "undecided",
    [VERDICT_PASS] = "pass",
    [VERDICT_FAIL] = "fail",
    [VERDICT_NO_DATA] = "no_data",
};

void criterion_init(struct criterion *c, const struct policy_criterion *policy, size_t index,
                    const struct sequential_plan *plan)
{
    *c = (struct criterion){.policy = policy, .index = index};
    if (policy->test == TEST_MAX) {
        sequential_abs(policy->p0, &c->factors);
        sequential_limit(policy->p0, &c->limit);
    } else {
        sequential_rel(policy->ratio, policy->delta, 0, &c->factors);
    }
    ring_init(&c->ring, c->factors.points, sequential_cap(plan, c->factors.points));
}

void criterion_deinit(struct criterion *c)
{
    ring_deinit(&c->ring);
}

void criterion_reset(struct criterion *c)
{
    ring_reset(&c->ring);
}

bool criterion_concerned(const struct criterion *c, const struct slot_counts more[VARIANT_COUNT])
{
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        if (v == VARIANT_STABLE && c->policy->test == TEST_MAX)
            continue;
        if (more[v].dispatched != 0 || more[v].bad[c->index] != 0 ||
            more[v].excluded[c->index] != 0)
            return true;
    }
    return false;
}

void criterion_update(struct criterion *c, size_t slot, const struct window_slot *w)
{
    double log_ratio[SEQUENTIAL_POINTS_MAX];
    const struct slot_counts *canary = &w->counts[VARIANT_CANARY];
    const struct slot_counts *stable = &w->counts[VARIANT_STABLE];
    uint64_t n = slot_counts_sample(canary, c->index);
    uint64_t stable_bad = 0;

    if (c->policy->test == TEST_MAX_INCREASE) {
        if (w->weight_bp != c->factors_bp)
            sequential_rel(c->policy->ratio, c->policy->delta,
                           (double)w->weight_bp / WEIGHT_FULL_BP, &c->factors);
        c->factors_bp = w->weight_bp;
        n += slot_counts_sample(stable, c->index);
        stable_bad = stable->bad[c->index];
    }
    sequential_log_ratio(&c->factors, n, canary->bad[c->index], stable_bad, log_ratio);
    ring_set(&c->ring, slot, log_ratio);
}

double criterion_log_e(const struct criterion *c)
{
    return fmax(ring_log_e(&c->ring), LOG_E_FLOOR);
}

/* --- no harm ------------------------------------------------------------------------------- */

void criterion_sum_add(struct criterion_sum *sum, const struct slot_counts *counts,
                       size_t criterion)
{
    sum->sample += slot_counts_sample(counts, criterion);
    sum->bad += counts->bad[criterion];
    sum->pending += slot_counts_pending(counts, criterion);
}

void prefixes_add(struct prefixes *p, const struct slot_counts *canary, size_t criterion)
{
    struct criterion_sum *sum = &p->sum;
    criterion_sum_add(sum, canary, criterion);

    size_t level = sum->pending == 0 ? 0 : 64 - (size_t)__builtin_clzll(sum->pending);
    if (level >= PREFIX_LEVELS)
        level = PREFIX_LEVELS - 1;
    uint64_t bad = sum->bad + sum->pending;
    p->at[level].sample = sum->sample;
    p->at[level].bad = bad < sum->sample ? bad : sum->sample;
}

/* The best evidence that the share is below the limit; 0 while no prefix is below it at all. */
static double best_no_harm(const struct prefixes *p, const struct sequential_limit *limit)
{
    double best = 0;
    for (size_t i = 0; i < PREFIX_LEVELS; i++) {
        uint64_t n = p->at[i].sample, bad = p->at[i].bad;
        if ((double)bad < (double)n * limit->p0)
            best = fmax(best, sequential_limit_log_m(limit, n, bad));
    }
    return best;
}

/* --- the report ---------------------------------------------------------------------------- */

static void report_share(enum variant v, const struct criterion_sum *sum,
                         struct criterion_report *ret)
{
    ret->requests[v] = sum->sample;
    ret->bad[v] = sum->bad;
    ret->pending[v] = sum->pending;
    ret->value[v] = sum->sample > 0 ? (double)sum->bad / (double)sum->sample : -1;
}

static bool has_data(const struct criterion *c, const struct criterion_view *view,
                     const struct criterion_report *r)
{
    if (r->requests[VARIANT_CANARY] == 0)
        return false;
    /* At full weight there is no stable to compare with; its evidence stands where it was. */
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

static enum verdict judge(const struct criterion *c, const struct criterion_view *view,
                          const struct criterion_report *r)
{
    if (view->carried || r->log_e >= r->threshold)
        return VERDICT_FAIL;
    if (!has_data(c, view, r))
        return VERDICT_NO_DATA;
    bool pass =
        c->policy->test == TEST_MAX ? r->no_harm >= r->no_harm_threshold : no_increase(c, view, r);
    return pass ? VERDICT_PASS : VERDICT_UNDECIDED;
}

void criterion_report(const struct criterion *c, const struct criterion_view *view,
                      struct criterion_report *ret)
{
    *ret = (struct criterion_report){0};
    ret->log_e = criterion_log_e(c);
    ret->threshold = log((double)view->criteria / view->alpha);
    report_share(VARIANT_STABLE, view->stable, ret);
    report_share(VARIANT_CANARY, &view->canary->sum, ret);
    if (c->policy->test == TEST_MAX) {
        ret->no_harm_threshold = log(1 / view->beta);
        ret->no_harm = best_no_harm(view->canary, &c->limit);
    }
    /* The bounds hold at all times at once, and do not know the burst guard: what they exclude is
     * not stepped up, whether or not the guard lets it be taken back yet. */
    ret->suspect = bounds_are_beyond(c->policy, view->beta, ret);
    ret->verdict = judge(c, view, ret);
}
