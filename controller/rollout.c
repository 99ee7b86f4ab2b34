/* What the evidence says, turned into a move. The order of the questions is the policy: first
 * whether it is still the same canary, then whether it does harm, and only then whether it may go
 * on. A pause and a wait for approval ask the second question too.
 */
#include "controller/rollout.h"

#include <string.h>

#include "base/check.h"
#include "controller/harm.h"
#include "controller/retreat.h"
#include "controller/transition.h"

const char *const phase_names[PHASE_COUNT] = {
    [PHASE_IDLE] = "idle",
    [PHASE_PENDING] = "pending",
    [PHASE_SMOKE_TESTING] = "smoke_testing",
    [PHASE_PROGRESSING] = "progressing",
    [PHASE_PAUSED] = "paused",
    [PHASE_AWAITING_APPROVAL] = "awaiting_approval",
    [PHASE_BAKING] = "baking",
    [PHASE_PROMOTED] = "promoted",
    [PHASE_ROLLED_BACK] = "rolled_back",
};

const char *const event_names[EVENT_COUNT] = {
    [EVENT_NONE] = "",
    [EVENT_STARTED] = "rollout.started",
    [EVENT_PENDING] = "rollout.pending",
    [EVENT_SUPERSEDED] = "rollout.superseded",
    [EVENT_PAUSED] = "rollout.paused",
    [EVENT_RESUMED] = "rollout.resumed",
    [EVENT_ROLLED_BACK] = "rollout.rolled_back",
    [EVENT_PROMOTED] = "rollout.promoted",
    [EVENT_STEP_ADVANCED] = "step.advanced",
    [EVENT_STEP_UNDECIDED] = "step.undecided",
    [EVENT_APPROVAL_REQUIRED] = "approval.required",
    [EVENT_APPROVAL_GIVEN] = "approval.given",
    [EVENT_CRITERION_FAILED] = "criterion.failed",
    [EVENT_RESTARTED] = "rollout.restarted",
    [EVENT_RETREATED] = "canary.retreated",
    [EVENT_PROBED] = "canary.probed",
    [EVENT_CLEARED] = "canary.cleared",
    [EVENT_NO_DATA] = "analysis.no_data",
    [EVENT_BAKING] = "rollout.baking",
};

const char *const cause_names[CAUSE_COUNT] = {
    [CAUSE_NONE] = "",
    [CAUSE_CANARY] = "canary",
    [CAUSE_PASSED] = "passed",
    [CAUSE_CRITERION] = "criterion",
    [CAUSE_HARD_DOWN] = "hard_down",
    [CAUSE_UNDECIDED] = "undecided",
    [CAUSE_APPROVAL] = "approval",
    [CAUSE_COMMAND] = "command",
    [CAUSE_RESTART] = "restart",
    [CAUSE_WIDE] = "wide",
    [CAUSE_SHIFT] = "shift",
    [CAUSE_WINDOW] = "window",
    [CAUSE_VISIT] = "visit",
    [CAUSE_UNSTEADY] = "unsteady",
    [CAUSE_NO_DATA] = "no_data",
    [CAUSE_BAKED] = "baked",
};

void rollout_state_init(struct rollout_state *s, int64_t now_ns)
{
    memset(s, 0, sizeof(*s));
    s->phase = PHASE_IDLE;
    s->epoch = 1;
    s->last_ns = now_ns;
}

/* --- a look ----------------------------------------------------------------------------------- */

static void pass_time(struct rollout_state *s, int64_t now_ns)
{
    CHECK(now_ns >= s->last_ns);
    int64_t passed_ns = now_ns - s->last_ns;
    struct rollout_retreat *r = &s->retreat;

    s->last_ns = now_ns;
    s->phase_ns += passed_ns;
    if (r->visit > 0) { /* the hold stands meanwhile */
        r->since_ns += passed_ns;
        if (retreat_runs(s))
            r->left_ns = r->left_ns > passed_ns ? r->left_ns - passed_ns : 0;
    } else if (s->phase == PHASE_PROGRESSING || s->phase == PHASE_BAKING) {
        s->held_ns += passed_ns < ROLLOUT_GAP_MAX_NS ? passed_ns : ROLLOUT_GAP_MAX_NS;
    }
}

static void go_on(struct transition *t, enum rollout_cause cause)
{
    const struct rollout_state *s = &t->ret->state;

    if (s->phase == PHASE_BAKING)
        transition_promote(t, cause == CAUSE_PASSED ? CAUSE_BAKED : cause);
    else if (!s->approved && rollout_needs_approval(t->policy, s->step))
        transition_await_approval(t);
    else if (s->step < t->policy->step_count)
        transition_step(t, s->step + 1, EVENT_STEP_ADVANCED, cause);
    else if (t->policy->bake.for_ns > 0)
        transition_bake(t, cause);
    else
        transition_promote(t, cause);
}

static void hold_is_too_long(struct transition *t, const struct rollout_next *next)
{
    struct rollout_state *s = &t->ret->state;

    switch (t->policy->analysis.on_undecided) {
    case UNDECIDED_PROMOTE:
        /* The author accepts not knowing, but not a sign against it, nor nothing at all. */
        if (!next->against && !next->no_data && next->requests_seen >= next->requests_needed) {
            go_on(t, CAUSE_UNDECIDED);
            return;
        }
        break;
    case UNDECIDED_ROLLBACK:
        transition_rollback(t, CAUSE_UNDECIDED);
        return;
    case UNDECIDED_PAUSE:
        if (!s->undecided) {
            s->undecided = true;
            transition_pause(t, false, CAUSE_UNDECIDED);
        }
        return;
    case UNDECIDED_HOLD:
        break;
    }
    if (!s->undecided) {
        s->undecided = true;
        transition_tell(t, EVENT_STEP_UNDECIDED, CAUSE_UNDECIDED);
    }
}

static void look_progressing(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    struct rollout_next next;

    if (harm_look(t) || harm_look_for_data(t))
        return;
    rollout_next(t->policy, s, t->report, &next);
    if (next.ready)
        go_on(t, CAUSE_PASSED);
    else if (next.hold_left_ns == 0 && s->held_ns >= rollout_max_hold(t->policy, s))
        hold_is_too_long(t, &next);
}

static void look(struct transition *t)
{
    switch (t->ret->state.phase) {
    case PHASE_PENDING:
        if (t->policy->start_auto || t->ret->state.approved)
            transition_start(t, CAUSE_CANARY);
        return;
    case PHASE_PROGRESSING:
    case PHASE_BAKING:
        look_progressing(t);
        return;
    case PHASE_PAUSED:
    case PHASE_AWAITING_APPROVAL:
        if (t->ret->state.step > 0)
            harm_look(t);
        return;
    case PHASE_IDLE:
    case PHASE_PROMOTED:
    case PHASE_ROLLED_BACK:
        return;
    case PHASE_SMOKE_TESTING:
    case PHASE_COUNT:
        UNREACHABLE(); /* no policy asks for it: such keys are refused when they are read */
    }
}

void rollout_decide(const struct policy *policy, const struct rollout_state *state,
                    const struct rollout_input *input, int64_t now_ns, struct rollout_decision *ret)
{
    struct transition t = {
        .policy = policy, .report = input->report, .input = input->kind, .ret = ret};
    const char *canary = rollout_canary(policy);

    memset(ret, 0, offsetof(struct rollout_decision, report)); /* which comes last */
    memcpy(&ret->before, state, sizeof(*state));
    memcpy(&ret->state, state, sizeof(*state));
    memcpy(&ret->report, input->report, sizeof(ret->report));
    ret->criterion = CRITERIA_MAX;
    if (input->kind == INPUT_RESTART)
        ret->before.last_ns = ret->state.last_ns = now_ns;
    pass_time(&ret->state, now_ns);
    if (strcmp(state->canary_version, canary == NULL ? "" : canary) != 0) {
        transition_canary(&t);
        if (input->kind == INPUT_COMMAND)
            command_refuse_changed(&t);
    } else if (input->kind == INPUT_RESTART) {
        if (canary != NULL)
            transition_restart(&t);
    } else if (input->kind == INPUT_COMMAND) {
        command_apply(&t, input->command);
    } else {
        look(&t);
    }
    transition_finish(&t);
}
