/* Verdicts, and what is less than a verdict. A criterion is told of, or paused for, once: the bits
 * of `reported` remember it.
 */
#include "controller/harm.h"

#include "base/check.h"
#include "controller/retreat.h"
#include "controller/transition.h"

static uint32_t bit(uint32_t criterion)
{
    return UINT32_C(1) << (criterion < CRITERIA_MAX ? criterion : ROLLOUT_REPORTED_HARD_DOWN);
}

static uint32_t lowest(uint32_t failed)
{
    for (uint32_t i = 0; i < CRITERIA_MAX; i++)
        if ((failed & bit(i)) != 0)
            return i;
    return CRITERIA_MAX;
}

/* What has not been told yet, which is told now. */
static bool tell(struct transition *t, uint32_t failed)
{
    struct rollout_state *s = &t->ret->state;

    failed &= ~s->reported;
    if (failed == 0)
        return false;
    s->reported |= failed;
    t->ret->failed = failed;
    t->ret->criterion = lowest(failed);
    return true;
}

/* Mode observe: once for each criterion, what would have moved the canary. */
static bool report_failures(struct transition *t)
{
    const struct analysis_report *r = t->report;
    uint32_t failed = r->failed_rollback | r->failed_pause | r->failed_report;

    for (uint32_t i = 0; i < r->count; i++)
        if (r->criteria[i].verdict == VERDICT_FAIL)
            failed |= bit(i);
    if (r->revert && failed == 0)
        failed |= bit(r->worst);
    if (r->crossed && failed == 0)
        failed |= bit(r->probe_next.criterion);
    if (r->hard_down)
        failed |= bit(CRITERIA_MAX);
    if (!tell(t, failed))
        return false;
    transition_tell(t, EVENT_CRITERION_FAILED,
                    t->ret->criterion < CRITERIA_MAX ? CAUSE_CRITERION : CAUSE_HARD_DOWN);
    return true;
}

/* Which criterion condemns, and how. */
static void condemn(struct transition *t)
{
    const struct analysis_report *r = t->report;
    enum rollout_cause cause = CAUSE_CRITERION;

    t->ret->criterion = r->worst;
    if (!r->revert) {
        cause = CAUSE_HARD_DOWN;
        t->ret->criterion = CRITERIA_MAX;
    } else if (r->failed_rollback != 0) {
        t->ret->criterion = lowest(r->failed_rollback);
        const struct policy_criterion *c = &t->policy->analysis.criteria[t->ret->criterion];
        if (c->method == METHOD_WINDOW)
            cause = CAUSE_WINDOW;
        else if (c->test == TEST_SHIFT)
            cause = CAUSE_SHIFT;
    } else if (r->wide.crossed && !(r->crossed && t->policy->analysis.confirm_count == 0)) {
        cause = CAUSE_WIDE;
        t->ret->criterion = r->wide.worst;
    }
    transition_rollback(t, cause);
}

/* on_fail: pause and report. */
static bool look_at_lesser(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;

    if (s->phase != PHASE_PAUSED && tell(t, t->report->failed_pause)) {
        transition_pause(t, false, CAUSE_CRITERION);
        return true;
    }
    if (!tell(t, t->report->failed_report))
        return false;
    transition_tell(t, EVENT_CRITERION_FAILED, CAUSE_CRITERION);
    return true;
}

/* So long more without data, or with: once it is too long, what the policy says is done. */
static bool pass_without_data(struct transition *t, bool no_data, int64_t passed_ns,
                              uint32_t criterion)
{
    struct rollout_state *s = &t->ret->state;
    const struct policy_analysis *a = &t->policy->analysis;
    int64_t before_ns = s->no_data_ns;

    s->no_data_ns = no_data ? before_ns + passed_ns : 0;
    if (before_ns >= a->no_data_after_ns || s->no_data_ns < a->no_data_after_ns)
        return false;
    t->ret->criterion = criterion;
    switch (a->mode == MODE_OBSERVE && s->retreat.visit == 0 ? NO_DATA_HOLD : a->on_no_data) {
    case NO_DATA_HOLD:
        transition_tell(t, EVENT_NO_DATA, CAUSE_NO_DATA);
        break;
    case NO_DATA_PAUSE:
        transition_pause(t, false, CAUSE_NO_DATA);
        break;
    case NO_DATA_ROLLBACK:
        transition_rollback(t, CAUSE_NO_DATA);
        break;
    }
    return true;
}

bool harm_look_for_data(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    uint32_t criterion = rollout_without_data(t->policy, s, t->report);

    return pass_without_data(t, t->report->step_requests == 0 || criterion < CRITERIA_MAX,
                             s->held_ns - t->ret->before.held_ns, criterion);
}

/* A visit ends by answers alone, and they may never come: few requests fit its criterion's `where`,
 * or there are none. */
static void look_for_data_of_a_visit(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    int64_t passed_ns = s->last_ns - t->ret->before.last_ns;

    pass_without_data(t, t->report->probe.requests == 0,
                      passed_ns < ROLLOUT_GAP_MAX_NS ? passed_ns : ROLLOUT_GAP_MAX_NS,
                      s->retreat.probe.criterion);
}

bool harm_look(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    const struct policy_analysis *a = &t->policy->analysis;
    bool on = s->retreat.visit > 0;

    if (a->mode == MODE_OBSERVE && !on) {
        if (!report_failures(t))
            harm_look_for_data(t);
        return true; /* and nothing moves it */
    }
    if (t->report->revert || (t->report->hard_down && a->confirm_count == 0)) {
        condemn(t);
        return true;
    }
    if (on) {
        if (!retreat_look(t) && s->retreat.probing)
            look_for_data_of_a_visit(t);
        return true;
    }
    if (t->report->retreat) {
        retreat_send_back(t);
        return true;
    }
    return look_at_lesser(t);
}
