/* A request in flight ends a run, unless an absolute limit already holds it bad: a canary that
 * answers nothing at all is found by the limits on times, and by its timeouts.
 */
#include "analysis/hard_down.h"

static const double rare_share = 0.05 + 1e-9; /* 1 - 0.95 is a little more than 0.05 */

uint32_t hard_down_limits(const struct policy_analysis *p)
{
    uint32_t limits = 0;
    for (size_t i = 0; i < p->criteria_count; i++) {
        const struct policy_criterion *c = &p->criteria[i];
        if (criterion_is_time(c) && c->test == TEST_MAX && 1 - c->quantile <= rare_share)
            limits |= UINT32_C(1) << i;
    }
    return limits;
}

/* Requests in flight that one of these criteria already holds bad. */
static int64_t overdue(const struct slot_counts *counts, uint32_t limits)
{
    int64_t most = 0;
    for (; limits != 0; limits &= limits - 1) {
        size_t c = (size_t)__builtin_ctz(limits);
        if (counts->overdue[c] > most)
            most = counts->overdue[c];
    }
    return most;
}

struct shares hard_down_shares(const struct slot_counts *canary, uint32_t limits)
{
    struct shares ret = {0};
    int64_t judged = (int64_t)canary->dispatched - canary->excused;
    int64_t late = overdue(canary, limits);
    int64_t pending = (int64_t)canary->dispatched - canary->settled - late;
    if (judged <= 0)
        return ret;
    ret.sample = (uint64_t)judged;
    ret.bad = (uint64_t)(canary->errors + late);
    ret.bad = ret.bad < ret.sample ? ret.bad : ret.sample;
    ret.pending = pending > 0 ? (uint64_t)pending : 0;
    return ret;
}

void run_add(struct run *run, const struct window_slot *w, uint32_t limits)
{
    const struct slot_counts *canary = &w->counts[VARIANT_CANARY];
    if (canary->dispatched == 0 && canary->errors == 0)
        return;
    struct shares s = hard_down_shares(canary, limits);
    if (s.sample == 0)
        return;
    if (s.bad < s.sample) {
        *run = (struct run){0};
        return;
    }
    if (run->failures == 0)
        run->first_slot = w->slot;
    run->last_slot = w->slot;
    run->failures += s.sample;
}

int64_t run_ns(const struct run *run, const struct policy *p)
{
    return (run->last_slot - run->first_slot) * p->analysis.slot_ns;
}

bool run_trips(const struct run *run, const struct policy *p)
{
    return p->analysis.hard_down_failures > 0 && run->failures >= p->analysis.hard_down_failures &&
           run_ns(run, p) >= p->analysis.hard_down_over_ns;
}
