/* The moves of a rollout. Every change of weight goes through set_weight() here, which is why the
 * epoch can be trusted to order the proxies' writers.
 */
#include "controller/transition.h"

#include <string.h>

#include "base/check.h"

static void enter(struct transition *t, enum rollout_phase phase)
{
    if (t->ret->state.phase == phase)
        return;
    t->ret->state.phase = phase;
    t->ret->state.phase_ns = 0;
}

static void set_weight(struct transition *t, uint32_t weight_bp)
{
    if (t->ret->state.weight_bp == weight_bp)
        return;
    t->ret->state.weight_bp = weight_bp;
    t->ret->state.epoch++;
}

void transition_tell(struct transition *t, enum rollout_event event, enum rollout_cause cause)
{
    CHECK(t->ret->event == EVENT_NONE);
    t->ret->event = event;
    t->ret->cause = cause;
}

uint32_t transition_step_weight(const struct transition *t, uint32_t step)
{
    CHECK(step >= 1 && step <= t->policy->step_count);
    bool observe = t->policy->analysis.mode == MODE_OBSERVE;
    return t->policy->steps[observe ? 0 : step - 1].weight_bp;
}

void transition_step(struct transition *t, uint32_t step, enum rollout_event event,
                     enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    s->step = step;
    s->held_ns = 0;
    s->approved = s->undecided = s->zeroed = false;
    t->step_start = true;
    enter(t, PHASE_PROGRESSING);
    set_weight(t, transition_step_weight(t, step));
    transition_tell(t, event, cause);
}

void transition_start(struct transition *t, enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    s->rejected_version[0] = '\0';
    s->reported = 0;
    t->reset_evidence = true;
    if (t->policy->steps[0].approval == APPROVAL_BEFORE && !s->approved) {
        s->step = 0;
        s->held_ns = 0;
        transition_await_approval(t);
        return;
    }
    transition_step(t, 1, EVENT_STARTED, cause);
}

void transition_promote(struct transition *t, enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    s->step = (uint32_t)t->policy->step_count;
    s->approved = s->undecided = s->zeroed = false;
    enter(t, PHASE_PROMOTED);
    set_weight(t, WEIGHT_FULL_BP);
    transition_tell(t, EVENT_PROMOTED, cause);
}

void transition_rollback(struct transition *t, enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    memcpy(s->rejected_version, s->canary_version, sizeof(s->rejected_version));
    s->approved = s->undecided = s->zeroed = false;
    enter(t, PHASE_ROLLED_BACK);
    set_weight(t, 0);
    transition_tell(t, EVENT_ROLLED_BACK, cause);
}

void transition_pause(struct transition *t, bool zero, enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    if (s->phase != PHASE_PAUSED)
        s->paused_from = s->phase;
    enter(t, PHASE_PAUSED);
    if (zero) {
        s->zeroed = true;
        set_weight(t, 0);
    }
    transition_tell(t, EVENT_PAUSED, cause);
}

void transition_resume(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;

    enter(t, s->paused_from);
    s->paused_from = PHASE_IDLE;
    if (s->zeroed && s->step > 0)
        set_weight(t, transition_step_weight(t, s->step));
    s->zeroed = false;
    transition_tell(t, EVENT_RESUMED, CAUSE_COMMAND);
}

void transition_await_approval(struct transition *t)
{
    enter(t, PHASE_AWAITING_APPROVAL);
    transition_tell(t, EVENT_APPROVAL_REQUIRED, CAUSE_APPROVAL);
}

void transition_approve(struct transition *t)
{
    t->ret->state.approved = true;
    enter(t, t->ret->state.step == 0 ? PHASE_PENDING : PHASE_PROGRESSING);
    transition_tell(t, EVENT_APPROVAL_GIVEN, CAUSE_COMMAND);
}

/* What was decided about the earlier canary says nothing about this one, except that a rejected
 * version stays rejected. */
void transition_canary(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;
    const char *version = rollout_canary(t->policy);
    bool had_one = s->canary_version[0] != '\0';

    memset(s->canary_version, 0, sizeof(s->canary_version));
    if (version != NULL) {
        CHECK(strlen(version) <= VERSION_MAX);
        memcpy(s->canary_version, version, strlen(version));
    }
    s->step = 0;
    s->held_ns = 0;
    s->reported = 0;
    s->approved = s->undecided = s->zeroed = false;
    s->paused_from = PHASE_IDLE;
    t->reset_evidence = true;
    if (version == NULL)
        enter(t, PHASE_IDLE);
    else if (strcmp(version, s->rejected_version) == 0)
        enter(t, PHASE_ROLLED_BACK);
    else
        enter(t, PHASE_PENDING);
    set_weight(t, 0);
    if (had_one)
        transition_tell(t, EVENT_SUPERSEDED, CAUSE_CANARY);
    else if (s->phase == PHASE_ROLLED_BACK)
        transition_tell(t, EVENT_ROLLED_BACK, CAUSE_CANARY);
    else if (t->policy->start_auto)
        transition_start(t, CAUSE_CANARY);
    else
        transition_tell(t, EVENT_PENDING, CAUSE_CANARY);
}

/* The last step whose weight is not above `weight_bp` (compared with >=, never ==: the steps of the
 * policy may have been edited meanwhile); 0: none. */
static uint32_t step_at_or_below(const struct policy *policy, uint32_t weight_bp)
{
    uint32_t step = 0;

    while (step < policy->step_count && weight_bp >= policy->steps[step].weight_bp)
        step++;
    return step;
}

void transition_restart(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;
    uint32_t at = step_at_or_below(t->policy, s->weight_bp);

    s->held_ns = 0;
    s->undecided = false;
    t->reset_evidence = t->resend = true;
    if (s->step > t->policy->step_count)
        s->step = (uint32_t)t->policy->step_count;
    if (s->weight_bp > 0 && s->phase != PHASE_PROMOTED) {
        /* The served weight binds: a step is taken up again at or below it. */
        s->step = at < 1 ? 1 : at < s->step ? at : s->step;
        uint32_t weight_bp = transition_step_weight(t, s->step);
        s->weight_bp = weight_bp < s->weight_bp ? weight_bp : s->weight_bp;
    }
    s->epoch++;
    t->step_start = s->step > 0;
    transition_tell(t, EVENT_RESTARTED, CAUSE_RESTART);
}

static void add_action(struct transition *t, enum rollout_action_kind kind)
{
    struct rollout_decision *d = t->ret;

    CHECK(d->action_count < ACTIONS_MAX);
    struct rollout_action *a = &d->actions[d->action_count++];
    a->kind = kind;
    a->epoch = d->state.epoch;
    a->weight_bp = d->state.weight_bp;
    a->step_start = t->step_start;
}

static void add_weight_actions(struct transition *t)
{
    const struct rollout_decision *d = t->ret;

    if (t->reset_evidence)
        add_action(t, ACTION_RESET_EVIDENCE);
    if (d->state.epoch == d->before.epoch && !t->step_start && !t->reset_evidence)
        return;
    add_action(t, ACTION_EVIDENCE_WEIGHT);
    if (d->state.epoch != d->before.epoch)
        add_action(t, ACTION_SET_WEIGHT);
}

static void check_promises(const struct transition *t)
{
    const struct rollout_state *old = &t->ret->before, *s = &t->ret->state;
    bool moved = s->weight_bp != old->weight_bp;

    CHECK(s->weight_bp <= WEIGHT_FULL_BP);
    CHECK(s->step <= t->policy->step_count);
    CHECK(s->epoch == old->epoch + (moved || t->resend ? 1 : 0));
    CHECK(t->ret->event != EVENT_NONE || (!moved && s->phase == old->phase));
    CHECK(!t->resend || s->weight_bp <= old->weight_bp);
    if (s->phase == PHASE_IDLE || s->phase == PHASE_PENDING || s->phase == PHASE_ROLLED_BACK)
        CHECK(s->weight_bp == 0);
    if (s->phase == PHASE_PROMOTED)
        CHECK(s->weight_bp == WEIGHT_FULL_BP);
    if (t->input == INPUT_TICK && s->weight_bp > old->weight_bp && old->step > 0) {
        struct rollout_next next;
        rollout_next(t->policy, old, t->report, &next);
        CHECK(!next.against);
        CHECK(!next.no_data);
    }
}

void transition_finish(struct transition *t)
{
    const struct rollout_decision *d = t->ret;

    check_promises(t);
    if (d->event == EVENT_NONE)
        return;
    /* Down before disk, disk before up: lowering never waits for storage, and what storage holds
     * is never less than what is served (after a restart nothing is served yet). */
    if (d->state.weight_bp < d->before.weight_bp && !t->resend) {
        add_weight_actions(t);
        add_action(t, ACTION_COMMIT);
    } else {
        add_action(t, ACTION_COMMIT);
        add_weight_actions(t);
    }
    add_action(t, ACTION_EVENT);
}
