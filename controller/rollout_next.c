/* What a rollout waits for, and what can move it: the half of rollout.h that moves nothing. The
 * core goes by it, and people see why the core does not move, so the two cannot differ.
 */
#include <string.h>

#include "analysis/bounds.h"
#include "base/check.h"
#include "controller/retreat.h"
#include "controller/rollout.h"

const char *rollout_canary(const struct policy *policy)
{
    if (!policy_has_canary(policy))
        return NULL;
    const char *canary = policy->versions[VARIANT_CANARY].version;
    const char *stable = policy->versions[VARIANT_STABLE].version;
    return stable != NULL && strcmp(canary, stable) == 0 ? NULL : canary;
}

const struct policy_step *rollout_step(const struct policy *policy, const struct rollout_state *s)
{
    return s->step == 0 || s->step > policy->step_count ? NULL : &policy->steps[s->step - 1];
}

bool rollout_bakes(const struct rollout_state *s)
{
    return s->phase == PHASE_BAKING || (s->phase == PHASE_PAUSED && s->paused_from == PHASE_BAKING);
}

static uint32_t most_weight(const struct policy *policy)
{
    return WEIGHT_FULL_BP - policy->bake.control_bp;
}

uint32_t rollout_step_weight(const struct policy *policy, uint32_t step)
{
    CHECK(step >= 1 && step <= policy->step_count);
    bool observe = policy->analysis.mode == MODE_OBSERVE;
    uint32_t weight_bp = policy->steps[observe ? 0 : step - 1].weight_bp;

    return weight_bp < most_weight(policy) ? weight_bp : most_weight(policy);
}

uint32_t rollout_home_weight(const struct policy *policy, const struct rollout_state *s)
{
    if (s->step == 0 || s->step > policy->step_count)
        return 0;
    if (rollout_bakes(s) && policy->analysis.mode != MODE_OBSERVE)
        return most_weight(policy);
    return rollout_step_weight(policy, s->step);
}

bool rollout_needs_evidence(const struct policy *policy, uint32_t step)
{
    if (step < policy->step_count)
        return policy->analysis.evidence == EVIDENCE_BEFORE_EACH ||
               policy->steps[step].weight_bp >= WEIGHT_FULL_BP;
    return policy->steps[step - 1].weight_bp < WEIGHT_FULL_BP || policy->step_count == 1;
}

bool rollout_needs_approval(const struct policy *policy, uint32_t step)
{
    bool after = step > 0 && policy->steps[step - 1].approval == APPROVAL_AFTER;
    bool before = step < policy->step_count && policy->steps[step].approval == APPROVAL_BEFORE;
    return after || before;
}

uint64_t rollout_evidence_left(const struct policy *policy, const struct analysis_report *report)
{
    uint64_t most = 0;

    for (size_t i = 0; i < report->count; i++) {
        const struct policy_criterion *c = &policy->analysis.criteria[i];
        if (c->test != TEST_MAX || !c->require_no_harm)
            continue;
        uint64_t more = bounds_requests_more(policy, report, i);
        most = more > most ? more : most;
    }
    return most;
}

bool rollout_is_over_for(const struct policy *policy, const struct rollout_state *s,
                         const struct policy_criterion *c, const struct criterion_report *r)
{
    bool never_began = criterion_is_relative(c) && !policy_compares(policy);

    return c->test != TEST_MAX && !r->frozen && !never_began && s->weight_bp >= WEIGHT_FULL_BP;
}

uint32_t rollout_without_data(const struct policy *policy, const struct rollout_state *s,
                              const struct analysis_report *report)
{
    for (uint32_t i = 0; i < report->count; i++) {
        const struct policy_criterion *c = &policy->analysis.criteria[i];
        /* What only reports holds nothing up. */
        if (report->criteria[i].verdict == VERDICT_NO_DATA &&
            !rollout_is_over_for(policy, s, c, &report->criteria[i]) &&
            c->on_fail != ON_FAIL_REPORT)
            return i;
    }
    return CRITERIA_MAX;
}

static bool is_against(const struct policy *policy, const struct analysis_report *report)
{
    bool against = report->revert || report->retreat || report->crossed || report->alarm ||
                   report->hard_down || report->stable_degraded || report->failed_rollback != 0 ||
                   report->failed_pause != 0;

    for (size_t i = 0; i < report->count; i++)
        against = against || (report->criteria[i].verdict == VERDICT_FAIL &&
                              policy->analysis.criteria[i].on_fail != ON_FAIL_REPORT);
    return against;
}

static void next_move(const struct policy *policy, const struct rollout_state *s,
                      struct rollout_next *ret)
{
    bool last = s->step >= policy->step_count;

    if (!last) {
        ret->action = NEXT_STEP;
        ret->weight_bp = rollout_step_weight(policy, s->step + 1);
    } else if (policy->bake.for_ns > 0 && !rollout_bakes(s)) {
        ret->action = NEXT_BAKE;
        ret->weight_bp = most_weight(policy);
    } else {
        ret->action = NEXT_PROMOTE;
        ret->weight_bp = WEIGHT_FULL_BP;
    }
    ret->approval = !s->approved && !rollout_bakes(s) && rollout_needs_approval(policy, s->step);
}

static void next_retreat(const struct rollout_state *s, struct rollout_next *ret)
{
    ret->retreated = s->retreat.visit > 0;
    ret->probing = s->retreat.probing;
    if (ret->retreated && !ret->probing)
        ret->asked_in_ns = retreat_runs(s) ? s->retreat.left_ns : INT64_MAX;
}

void rollout_next(const struct policy *policy, const struct rollout_state *s,
                  const struct analysis_report *report, struct rollout_next *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->weight_bp = s->weight_bp;
    next_retreat(s, ret);
    if (s->phase == PHASE_IDLE || s->phase == PHASE_PROMOTED || s->phase == PHASE_ROLLED_BACK)
        return;
    if (policy->analysis.mode == MODE_OBSERVE && s->step > 0)
        return;
    next_move(policy, s, ret);
    const struct policy_step *step = rollout_step(policy, s);
    if (step == NULL)
        return;
    bool bakes = rollout_bakes(s);
    int64_t hold_ns = bakes ? policy->bake.for_ns : step->hold_ns;
    ret->hold_left_ns = s->held_ns >= hold_ns ? 0 : hold_ns - s->held_ns;
    ret->requests_seen = report->step_requests;
    ret->requests_needed = !bakes && step->min_requests > 1 ? step->min_requests : 1;
    ret->evidence_needed = !bakes && rollout_needs_evidence(policy, s->step);
    ret->evidence_missing = ret->evidence_needed && !report->no_harm;
    ret->against = is_against(policy, report);
    ret->no_data =
        report->step_requests == 0 || rollout_without_data(policy, s, report) < CRITERIA_MAX;
    ret->ready = ret->hold_left_ns == 0 && ret->requests_seen >= ret->requests_needed &&
                 !ret->evidence_missing && !ret->against && !ret->no_data && !ret->retreated;
}

/* --- what can move it ------------------------------------------------------------------------- */

bool rollout_is_judged(const struct rollout_state *s)
{
    return s->phase == PHASE_PROGRESSING || s->phase == PHASE_PAUSED ||
           s->phase == PHASE_AWAITING_APPROVAL || s->phase == PHASE_BAKING;
}

static int64_t hold_ns(const struct policy *policy, const struct rollout_state *s)
{
    return rollout_bakes(s) ? policy->bake.for_ns : rollout_step(policy, s)->hold_ns;
}

int64_t rollout_max_hold(const struct policy *policy, const struct rollout_state *s)
{
    return policy->analysis.max_hold_ns + (rollout_bakes(s) ? policy->bake.for_ns : 0);
}

bool rollout_awaits_requests(const struct policy *policy, const struct rollout_state *s)
{
    if (retreat_runs(s))
        return s->retreat.probing;
    return (s->phase == PHASE_PROGRESSING || s->phase == PHASE_BAKING) &&
           policy->analysis.mode != MODE_OBSERVE && rollout_step(policy, s) != NULL &&
           s->held_ns >= hold_ns(policy, s);
}

int64_t rollout_quiet_ns(const struct policy *policy, const struct rollout_state *s)
{
    if (s->phase == PHASE_PENDING)
        return policy->start_auto || s->approved ? 0 : INT64_MAX;
    if (s->retreat.visit > 0) {
        int64_t after_ns = policy->analysis.no_data_after_ns;
        if (!retreat_runs(s))
            return INT64_MAX;
        if (!s->retreat.probing)
            return s->retreat.left_ns;
        return s->no_data_ns < after_ns ? after_ns - s->no_data_ns : INT64_MAX;
    }
    if ((s->phase != PHASE_PROGRESSING && s->phase != PHASE_BAKING) ||
        rollout_step(policy, s) == NULL)
        return INT64_MAX;
    int64_t hold = hold_ns(policy, s), max = rollout_max_hold(policy, s);
    if (s->held_ns < hold)
        return hold - s->held_ns;
    /* What holds it up after the hold is in the report. */
    return s->held_ns < max ? max - s->held_ns : INT64_MAX;
}
