/* The moves of a rollout. Every change of weight goes through set_weight() here, which is why the
 * epoch can be trusted to order the proxies' writers.
 */
#include "controller/transition.h"

#include <string.h>

#include "base/check.h"
#include "controller/retreat.h"

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

/* Requests from here on count for something else than those before, although the weight may be the
 * same: an epoch tells them apart. */
static void count_apart(struct transition *t)
{
    struct rollout_decision *d = t->ret;

    if (d->state.epoch == d->before.epoch) {
        d->state.epoch++;
        t->apart = true;
    }
}

static void end_retreat(struct rollout_state *s)
{
    memset(&s->retreat, 0, sizeof(s->retreat));
}

/* A step or the bake begins: all that was counted of the one before is over. */
static void begin(struct transition *t, enum rollout_phase phase, enum weight_why why)
{
    struct rollout_state *s = &t->ret->state;

    s->held_ns = s->no_data_ns = 0;
    s->approved = s->undecided = s->zeroed = false;
    s->paused_from = PHASE_IDLE;
    s->retreats_in_step = 0;
    s->placebo_before_step = t->report->placebo.sent_back;
    end_retreat(s);
    t->why = why;
    enter(t, phase);
    set_weight(t, rollout_home_weight(t->policy, s));
    count_apart(t);
}

/* An end, one way or the other. */
static void finish(struct transition *t, enum rollout_phase phase, uint32_t weight_bp)
{
    struct rollout_state *s = &t->ret->state;

    s->approved = s->undecided = s->zeroed = false;
    s->paused_from = PHASE_IDLE;
    end_retreat(s);
    enter(t, phase);
    set_weight(t, weight_bp);
}

void transition_step(struct transition *t, uint32_t step, enum rollout_event event,
                     enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    s->step = step;
    begin(t, PHASE_PROGRESSING, WEIGHT_STEP);
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

void transition_bake(struct transition *t, enum rollout_cause cause)
{
    t->ret->state.step = (uint32_t)t->policy->step_count;
    begin(t, PHASE_BAKING, WEIGHT_BAKE);
    transition_tell(t, EVENT_BAKING, cause);
}

void transition_promote(struct transition *t, enum rollout_cause cause)
{
    t->ret->state.step = (uint32_t)t->policy->step_count;
    finish(t, PHASE_PROMOTED, WEIGHT_FULL_BP);
    transition_tell(t, EVENT_PROMOTED, cause);
}

void transition_rollback(struct transition *t, enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    memcpy(s->rejected_version, s->canary_version, sizeof(s->rejected_version));
    finish(t, PHASE_ROLLED_BACK, 0);
    transition_tell(t, EVENT_ROLLED_BACK, cause);
}

/* --- retreats --------------------------------------------------------------------------------- */

/* A later visit may only lower p1: then what clears the canary is the harder question of the two.
 * p1 and z belong together. */
static void ask_about(struct rollout_retreat *r, const struct probe *probe)
{
    if (r->visit > 0 && r->probe.criterion == probe->criterion && r->probe.p1 <= probe->p1)
        return;
    r->probe = *probe;
}

static void send_back(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;
    struct rollout_retreat *r = &s->retreat;

    CHECK(r->visit < CONFIRM_MAX);
    r->seen[r->visit] = retreat_saw(s, t->report, t->report->probe_next.criterion);
    if (r->visit == 0)
        r->weight_bp = s->weight_bp > 0 ? s->weight_bp : rollout_home_weight(t->policy, s);
    ask_about(r, &t->report->probe_next);
    r->visit++;
    r->probing = false;
    s->no_data_ns = 0;
    r->pause_ns = retreat_pause_ns(t->policy, r->visit, t->report->placebo.longest_burst_ns);
    r->left_ns = r->pause_ns;
    s->retreats_in_step++;
    set_weight(t, 0);
}

void transition_retreat(struct transition *t, enum rollout_cause cause)
{
    send_back(t);
    transition_tell(t, EVENT_RETREATED, cause);
}

void transition_unsteady(struct transition *t)
{
    send_back(t);
    transition_pause(t, true, CAUSE_UNSTEADY);
}

void transition_probe(struct transition *t)
{
    struct rollout_retreat *r = &t->ret->state.retreat;
    uint32_t first_bp = rollout_step_weight(t->policy, 1);

    r->probing = true;
    r->left_ns = 0;
    t->ret->state.no_data_ns = 0;
    t->why = WEIGHT_PROBE;
    set_weight(t, first_bp < r->weight_bp ? first_bp : r->weight_bp);
    transition_tell(t, EVENT_PROBED, CAUSE_VISIT);
}

static void go_home(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;
    uint32_t home_bp = rollout_home_weight(t->policy, s);

    if (s->retreat.weight_bp < home_bp)
        home_bp = s->retreat.weight_bp;
    end_retreat(s);
    s->no_data_ns = 0;
    set_weight(t, home_bp);
    count_apart(t);
}

void transition_clear(struct transition *t)
{
    go_home(t);
    transition_tell(t, EVENT_CLEARED, CAUSE_VISIT);
}

void transition_force_clear(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;

    t->why = WEIGHT_FORCED;
    if (t->report->revert) { /* what condemns it outlives a retreat */
        t->reset_evidence = true;
        t->why = rollout_bakes(s) ? WEIGHT_BAKE : WEIGHT_STEP;
        s->reported = 0;
    }
    s->retreats_in_step = 0;
    s->placebo_before_step = t->report->placebo.sent_back;
    go_home(t);
    transition_tell(t, EVENT_CLEARED, CAUSE_COMMAND);
}

/* --- people ----------------------------------------------------------------------------------- */

/* At 0, and asked again a whole pause after it goes on. */
static void stop_asking(struct transition *t)
{
    struct rollout_retreat *r = &t->ret->state.retreat;

    r->probing = false;
    r->left_ns = r->pause_ns;
    set_weight(t, 0);
}

void transition_pause(struct transition *t, bool zero, enum rollout_cause cause)
{
    struct rollout_state *s = &t->ret->state;

    if (s->phase != PHASE_PAUSED)
        s->paused_from = s->phase;
    enter(t, PHASE_PAUSED);
    if (s->retreat.visit > 0)
        stop_asking(t);
    if (zero || s->retreat.visit > 0) {
        s->zeroed = true;
        set_weight(t, 0);
    }
    transition_tell(t, EVENT_PAUSED, cause);
}

void transition_resume(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;

    enter(t, s->paused_from);
    s->no_data_ns = 0;
    s->retreats_in_step = 0;
    s->placebo_before_step = t->report->placebo.sent_back;
    /* Who goes on has seen the pause: what has failed in it does not make another one. */
    if (t->policy->analysis.mode == MODE_ENFORCE)
        s->reported |= t->report->failed_pause;
    s->retreat.left_ns = s->retreat.pause_ns; /* sent back meanwhile, perhaps: from here on */
    if (s->zeroed && s->retreat.visit == 0)
        set_weight(t, rollout_home_weight(t->policy, s));
    s->paused_from = PHASE_IDLE;
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
    s->held_ns = s->no_data_ns = 0;
    s->reported = 0;
    s->approved = s->undecided = s->zeroed = false;
    s->paused_from = PHASE_IDLE;
    s->retreats_in_step = 0;
    end_retreat(s);
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
    uint32_t step = 0, most_bp = WEIGHT_FULL_BP - policy->bake.control_bp;

    while (step < policy->step_count &&
           (weight_bp >= policy->steps[step].weight_bp || weight_bp >= most_bp))
        step++;
    return step;
}

/* What the canary has, or had before it was sent back, binds: a step is taken up again at or below
 * it. */
static uint32_t resumed_weight(struct transition *t, uint32_t had_bp)
{
    struct rollout_state *s = &t->ret->state;
    uint32_t at = step_at_or_below(t->policy, had_bp);

    if (!rollout_bakes(s))
        s->step = at < 1 ? 1 : at < s->step ? at : s->step;
    uint32_t weight_bp = rollout_home_weight(t->policy, s);
    return weight_bp < had_bp ? weight_bp : had_bp;
}

void transition_restart(struct transition *t)
{
    struct rollout_state *s = &t->ret->state;
    struct rollout_retreat *r = &s->retreat;

    if (!rollout_bakes(s)) /* a bake of days outlives its process: the time was watched */
        s->held_ns = 0;
    s->no_data_ns = 0;
    s->undecided = false;
    s->placebo_before_step = t->report->placebo.sent_back;
    t->reset_evidence = t->resend = true;
    if (s->step > t->policy->step_count || rollout_bakes(s))
        s->step = (uint32_t)t->policy->step_count;
    if (r->visit > 0) {
        /* The policy may have been edited meanwhile: a criterion that it does not have any more. */
        if (r->probe.criterion >= t->policy->analysis.criteria_count)
            r->probe.criterion = CRITERIA_MAX;
        r->weight_bp = resumed_weight(t, r->weight_bp);
        if (r->probing)
            r->left_ns = r->pause_ns;
        r->probing = false;
        s->weight_bp = 0;
    } else if (s->weight_bp > 0 && s->phase != PHASE_PROMOTED) {
        s->weight_bp = resumed_weight(t, s->weight_bp);
    }
    s->epoch++;
    t->why = s->step == 0 ? WEIGHT_GOES_ON : rollout_bakes(s) ? WEIGHT_BAKE : WEIGHT_STEP;
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
    a->why = t->why;
    if (t->why == WEIGHT_PROBE)
        a->probe = d->state.retreat.probe;
}

static void add_weight_actions(struct transition *t)
{
    const struct rollout_decision *d = t->ret;

    if (t->reset_evidence)
        add_action(t, ACTION_RESET_EVIDENCE);
    if (d->state.epoch == d->before.epoch && t->why == WEIGHT_GOES_ON && !t->reset_evidence)
        return;
    add_action(t, ACTION_EVIDENCE_WEIGHT);
    if (d->state.epoch != d->before.epoch)
        add_action(t, ACTION_SET_WEIGHT);
}

static void check_retreat(const struct policy *policy, const struct rollout_state *s)
{
    const struct rollout_retreat *r = &s->retreat;

    CHECK(r->visit <= CONFIRM_MAX);
    CHECK(r->visit == 0 || (rollout_is_judged(s) && s->step > 0));
    CHECK(!r->probing || (r->visit > 0 && s->phase != PHASE_PAUSED && r->left_ns == 0));
    if (r->visit == 0)
        return;
    CHECK(r->left_ns >= 0 && r->left_ns <= r->pause_ns);
    if (!r->probing)
        CHECK(s->weight_bp == 0);
    else
        CHECK(s->weight_bp <= r->weight_bp && s->weight_bp <= rollout_step_weight(policy, 1));
}

/* A look has raised the weight: it asks, or was answered well, or nothing speaks against it. */
static void check_rise(const struct transition *t)
{
    const struct rollout_state *old = &t->ret->before, *s = &t->ret->state;
    struct rollout_next next;

    CHECK(!t->report->revert);
    if (s->retreat.probing) {
        CHECK(!old->retreat.probing && t->why == WEIGHT_PROBE);
        return;
    }
    CHECK(!t->report->retreat);
    if (old->retreat.visit > 0) {
        CHECK(old->retreat.probing && t->report->probe.cleared);
        CHECK(s->weight_bp <= old->retreat.weight_bp);
        return;
    }
    rollout_next(t->policy, old, t->report, &next);
    CHECK(!next.against);
    CHECK(!next.no_data);
}

static void check_promises(const struct transition *t)
{
    const struct rollout_state *old = &t->ret->before, *s = &t->ret->state;
    bool moved = s->weight_bp != old->weight_bp;

    CHECK(s->weight_bp <= WEIGHT_FULL_BP);
    CHECK(s->step <= t->policy->step_count);
    CHECK(s->epoch == old->epoch + (moved || t->resend || t->apart ? 1 : 0));
    CHECK(t->ret->event != EVENT_NONE || (!moved && s->phase == old->phase));
    CHECK(!t->resend || s->weight_bp <= old->weight_bp);
    if (s->phase == PHASE_IDLE || s->phase == PHASE_PENDING || s->phase == PHASE_ROLLED_BACK)
        CHECK(s->weight_bp == 0);
    if (s->phase == PHASE_PROMOTED)
        CHECK(s->weight_bp == WEIGHT_FULL_BP);
    check_retreat(t->policy, s);
    if (t->input == INPUT_TICK && s->weight_bp > old->weight_bp && old->step > 0)
        check_rise(t);
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
