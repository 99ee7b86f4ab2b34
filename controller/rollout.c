/* What the evidence says, turned into a move. The order of the questions is the policy: first
 * whether it is still the same canary, then whether it does harm, and only then whether it may go
 * on. A pause and a wait for approval ask the second question too.
 */
#include "controller/rollout.h"

#include <string.h>

#include "analysis/bounds.h"
#include "base/check.h"
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
};

void rollout_state_init(struct rollout_state *s, int64_t now_ns)
{
    memset(s, 0, sizeof(*s));
    s->phase = PHASE_IDLE;
    s->epoch = 1;
    s->last_ns = now_ns;
}

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

/* --- what it waits for ------------------------------------------------------------------------ */

bool rollout_needs_evidence(const struct policy *policy, uint32_t step)
{
    if (step < policy->step_count)
        return policy->steps[step].weight_bp >= WEIGHT_FULL_BP;
    return policy->steps[step - 1].weight_bp < WEIGHT_FULL_BP || policy->step_count == 1;
}

static bool lacks_data(const struct policy *policy, const struct rollout_state *s,
                       const struct analysis_report *report)
{
    if (report->step_requests == 0)
        return true;
    for (size_t i = 0; i < report->count; i++) {
        /* With everything on the canary there is no stable to compare with. */
        if (policy->analysis.criteria[i].test == TEST_MAX_INCREASE &&
            s->weight_bp >= WEIGHT_FULL_BP)
            continue;
        if (report->criteria[i].verdict == VERDICT_NO_DATA)
            return true;
    }
    return false;
}

static bool is_against(const struct analysis_report *report)
{
    bool against = report->revert || report->alarm || report->hard_down;

    for (size_t i = 0; i < report->count; i++)
        against = against || report->criteria[i].verdict == VERDICT_FAIL;
    return against;
}

static bool needs_approval(const struct policy *policy, uint32_t step)
{
    bool after = step > 0 && policy->steps[step - 1].approval == APPROVAL_AFTER;
    bool before = step < policy->step_count && policy->steps[step].approval == APPROVAL_BEFORE;
    return after || before;
}

uint64_t rollout_evidence_left(const struct policy *policy, const struct analysis_report *report)
{
    uint64_t most = 0;

    for (size_t i = 0; i < report->count; i++) {
        if (policy->analysis.criteria[i].test != TEST_MAX)
            continue;
        uint64_t more = bounds_requests_more(policy, report, i);
        most = more > most ? more : most;
    }
    return most;
}

void rollout_next(const struct policy *policy, const struct rollout_state *s,
                  const struct analysis_report *report, struct rollout_next *ret)
{
    memset(ret, 0, sizeof(*ret));
    ret->weight_bp = s->weight_bp;
    if (s->phase == PHASE_IDLE || s->phase == PHASE_PROMOTED || s->phase == PHASE_ROLLED_BACK)
        return;
    if (policy->analysis.mode == MODE_OBSERVE && s->step > 0)
        return;
    ret->action = s->step < policy->step_count ? NEXT_STEP : NEXT_PROMOTE;
    ret->weight_bp = ret->action == NEXT_STEP ? policy->steps[s->step].weight_bp : WEIGHT_FULL_BP;
    ret->approval = !s->approved && needs_approval(policy, s->step);
    const struct policy_step *step = rollout_step(policy, s);
    if (step == NULL)
        return;
    ret->hold_left_ns = s->held_ns >= step->hold_ns ? 0 : step->hold_ns - s->held_ns;
    ret->requests_seen = report->step_requests;
    ret->requests_needed = step->min_requests > 1 ? step->min_requests : 1;
    ret->evidence_needed = rollout_needs_evidence(policy, s->step);
    ret->evidence_missing = ret->evidence_needed && !report->no_harm;
    ret->against = is_against(report);
    ret->no_data = lacks_data(policy, s, report);
    ret->ready = ret->hold_left_ns == 0 && ret->requests_seen >= ret->requests_needed &&
                 !ret->evidence_missing && !ret->against && !ret->no_data;
}

bool rollout_is_judged(const struct rollout_state *s)
{
    return s->phase == PHASE_PROGRESSING || s->phase == PHASE_PAUSED ||
           s->phase == PHASE_AWAITING_APPROVAL;
}

bool rollout_awaits_requests(const struct policy *policy, const struct rollout_state *s)
{
    const struct policy_step *step = rollout_step(policy, s);

    return s->phase == PHASE_PROGRESSING && policy->analysis.mode != MODE_OBSERVE && step != NULL &&
           s->held_ns >= step->hold_ns;
}

int64_t rollout_quiet_ns(const struct policy *policy, const struct rollout_state *s)
{
    const struct policy_step *step = rollout_step(policy, s);

    if (s->phase == PHASE_PENDING)
        return policy->start_auto || s->approved ? 0 : INT64_MAX;
    if (s->phase != PHASE_PROGRESSING || step == NULL)
        return INT64_MAX;
    if (s->held_ns < step->hold_ns)
        return step->hold_ns - s->held_ns;
    /* What holds it up after the hold is in the report. */
    return s->held_ns < policy->analysis.max_hold_ns ? policy->analysis.max_hold_ns - s->held_ns
                                                     : INT64_MAX;
}

/* --- a look ----------------------------------------------------------------------------------- */

static void pass_time(struct rollout_state *s, int64_t now_ns)
{
    CHECK(now_ns >= s->last_ns);
    int64_t passed_ns = now_ns - s->last_ns;

    s->last_ns = now_ns;
    s->phase_ns += passed_ns;
    if (s->phase == PHASE_PROGRESSING || s->phase == PHASE_BAKING)
        s->held_ns += passed_ns < ROLLOUT_GAP_MAX_NS ? passed_ns : ROLLOUT_GAP_MAX_NS;
}

static void go_on(struct transition *t, enum rollout_cause cause)
{
    const struct rollout_state *s = &t->ret->state;

    if (!s->approved && needs_approval(t->policy, s->step))
        transition_await_approval(t);
    else if (s->step < t->policy->step_count)
        transition_step(t, s->step + 1, EVENT_STEP_ADVANCED, cause);
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

    if (t->policy->analysis.mode == MODE_OBSERVE)
        return;
    rollout_next(t->policy, s, t->report, &next);
    if (next.ready)
        go_on(t, CAUSE_PASSED);
    else if (next.hold_left_ns == 0 && s->held_ns >= t->policy->analysis.max_hold_ns)
        hold_is_too_long(t, &next);
}

/* Mode observe: says once, for each criterion, what would have been a rollback. */
static void report_failures(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;
    uint32_t failed = 0;

    for (size_t i = 0; i < t->report->count; i++)
        if (t->report->criteria[i].verdict == VERDICT_FAIL)
            failed |= UINT32_C(1) << i;
    if (t->report->revert && failed == 0)
        failed |= UINT32_C(1) << t->report->worst;
    if (t->report->hard_down)
        failed |= UINT32_C(1) << ROLLOUT_REPORTED_HARD_DOWN;
    failed &= ~s->reported;
    if (failed == 0)
        return;
    s->reported |= failed;
    t->ret->failed = failed;
    bool only_down = failed == UINT32_C(1) << ROLLOUT_REPORTED_HARD_DOWN;
    transition_tell(t, EVENT_CRITERION_FAILED, only_down ? CAUSE_HARD_DOWN : CAUSE_CRITERION);
}

/* True when it has decided. Also at weight 0 in a pause: requests sent before it are still ending,
 * and a condemned canary must not come back with `resume`. */
static bool look_for_harm(struct transition *t)
{
    if (!t->report->revert && !t->report->hard_down)
        return false;
    if (t->policy->analysis.mode == MODE_OBSERVE)
        report_failures(t);
    else
        transition_rollback(t, t->report->revert ? CAUSE_CRITERION : CAUSE_HARD_DOWN);
    return true;
}

static void look(struct transition *t)
{
    switch (t->ret->state.phase) {
    case PHASE_PENDING:
        if (t->policy->start_auto || t->ret->state.approved)
            transition_start(t, CAUSE_CANARY);
        return;
    case PHASE_PROGRESSING:
        if (!look_for_harm(t))
            look_progressing(t);
        return;
    case PHASE_PAUSED:
    case PHASE_AWAITING_APPROVAL:
        if (t->ret->state.step > 0)
            look_for_harm(t);
        return;
    case PHASE_IDLE:
    case PHASE_PROMOTED:
    case PHASE_ROLLED_BACK:
        return;
    case PHASE_SMOKE_TESTING:
    case PHASE_BAKING:
    case PHASE_COUNT:
        UNREACHABLE(); /* no policy asks for them: such keys are refused when they are read */
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
