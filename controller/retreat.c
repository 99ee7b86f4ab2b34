/* Visits: sent back, asked again, cleared or condemned. What surprises: a visit ends well only on
 * evidence (report.probe.cleared), never by time, so a probe without traffic stays a probe
 * until somebody, or the policy's on_no_data, ends it.
 */
#include "controller/retreat.h"

#include "base/clock.h"
#include "controller/transition.h"

#define LENGTHENED_MAX_NS NS_PER_HOUR

int64_t retreat_pause_ns(const struct policy *policy, uint32_t visit, int64_t longest_burst_ns)
{
    const struct policy_analysis *a = &policy->analysis;

    if (a->confirm_count == 0)
        return 0;
    size_t i = visit > a->confirm_count ? a->confirm_count - 1 : visit > 0 ? visit - 1 : 0;
    int64_t pause_ns = a->confirm_ns[i], factor = i == 0 ? 3 : i == 1 ? 6 : 0;
    int64_t longer_ns = longest_burst_ns >= LENGTHENED_MAX_NS ? LENGTHENED_MAX_NS * factor
                                                              : longest_burst_ns * factor;

    longer_ns = longer_ns < LENGTHENED_MAX_NS ? longer_ns : LENGTHENED_MAX_NS;
    return longer_ns > pause_ns ? longer_ns : pause_ns;
}

bool retreat_runs(const struct rollout_state *s)
{
    return s->retreat.visit > 0 && s->phase != PHASE_PAUSED;
}

struct retreat_seen retreat_saw(const struct rollout_state *s, const struct analysis_report *report,
                                uint32_t criterion)
{
    bool asked = s->retreat.probing && s->retreat.probe.criterion == criterion;

    if (asked && report->probe.requests > 0)
        return (struct retreat_seen){report->probe.requests, report->probe.bad};
    if (criterion == report->probe_next.criterion && report->trip.requests > 0)
        return (struct retreat_seen){report->trip.requests, report->trip.bad};
    if (criterion >= report->count)
        return (struct retreat_seen){report->run_failures, report->run_failures};
    const struct criterion_report *c = &report->criteria[criterion];
    return (struct retreat_seen){c->requests[VARIANT_CANARY], c->bad[VARIANT_CANARY]};
}

/* Six times within a step, and stable itself was not: neither well nor broken, and no way to get
 * evidence. */
static bool is_unsteady(const struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    uint64_t now = t->report->placebo.sent_back, then = s->placebo_before_step;
    uint64_t placebo = now > then ? now - then : 0;

    return s->retreats_in_step + 1 >= ROLLOUT_UNSTEADY && placebo < ROLLOUT_UNSTEADY;
}

static enum rollout_cause cause(const struct transition *t)
{
    return t->report->probe_next.criterion < t->report->count ? CAUSE_CRITERION : CAUSE_HARD_DOWN;
}

void retreat_send_back(struct transition *t)
{
    t->ret->criterion = t->report->probe_next.criterion;
    if (t->ret->state.retreat.visit >= t->policy->analysis.confirm_count)
        transition_rollback(t, cause(t));
    else if (is_unsteady(t))
        transition_unsteady(t);
    else
        transition_retreat(t, cause(t));
}

bool retreat_look(struct transition *t)
{
    const struct rollout_retreat *r = &t->ret->state.retreat;

    if (!retreat_runs(&t->ret->state))
        return false;
    if (!r->probing) {
        if (r->left_ns > 0)
            return false;
        transition_probe(t);
        return true;
    }
    if (t->report->retreat) {
        retreat_send_back(t);
        return true;
    }
    if (!t->report->probe.cleared)
        return false;
    t->ret->criterion = r->probe.criterion;
    transition_clear(t);
    return true;
}
