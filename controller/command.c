/* The operator's verbs. Each says what happens now, or refuses with what would help. A command may
 * skip waiting (the hold, the evidence that is still missing), but a sign of harm only with force.
 */
#include "controller/command.h"

#include <stdarg.h>
#include <stdio.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/units.h"
#include "controller/transition.h"

const char *const command_names[COMMAND_KIND_COUNT] = {
    [COMMAND_PROMOTE] = "promote", [COMMAND_PAUSE] = "pause",       [COMMAND_RESUME] = "resume",
    [COMMAND_APPROVE] = "approve", [COMMAND_ROLLBACK] = "rollback", [COMMAND_RETRY] = "retry",
};

enum { WHERE_MAX = 96, FOR_MAX = 176 };

static void accept(struct transition *t, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
static void refuse(struct transition *t, const char *title, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static void accept(struct transition *t, const char *fmt, ...)
{
    struct command_result *r = &t->ret->result;
    va_list args;

    r->ok = true;
    va_start(args, fmt);
    vsnprintf(r->detail, sizeof(r->detail), fmt, args);
    va_end(args);
}

static void refuse(struct transition *t, const char *title, const char *fmt, ...)
{
    struct command_result *r = &t->ret->result;
    va_list args;

    r->ok = false;
    snprintf(r->title, sizeof(r->title), "%s", title);
    va_start(args, fmt);
    vsnprintf(r->detail, sizeof(r->detail), fmt, args);
    va_end(args);
}

static const char *percent(uint32_t weight_bp, char to[static UNITS_TEXT_MAX])
{
    return units_share_text(weight_bp / (double)WEIGHT_FULL_BP, to);
}

static int64_t whole_seconds(int64_t ns)
{
    return (ns + NS_PER_SEC - 1) / NS_PER_SEC * NS_PER_SEC;
}

/* "progressing at step 2 of 4 (25%)" */
static const char *where(const struct transition *t, char to[static WHERE_MAX])
{
    const struct rollout_state *s = &t->ret->state;
    char weight[UNITS_TEXT_MAX];

    if (s->step == 0)
        snprintf(to, WHERE_MAX, "%s, before step 1", phase_names[s->phase]);
    else
        snprintf(to, WHERE_MAX, "%s at step %u of %zu (%s)", phase_names[s->phase], s->step,
                 t->policy->step_count, percent(s->weight_bp, weight));
    return to;
}

static bool refuse_final(struct transition *t, const char *verb)
{
    const char *name = t->policy->name;
    const char *version = t->ret->state.canary_version;
    char title[96];

    snprintf(title, sizeof(title), "cannot %s", verb);
    switch (t->ret->state.phase) {
    case PHASE_IDLE:
        refuse(t, title, "%s is idle: there is no canary; add one to its policy", name);
        return true;
    case PHASE_PROMOTED:
        refuse(t, title, "%s is promoted: %s serves everything; `sluice rollback %s` takes it back",
               name, version, name);
        return true;
    case PHASE_ROLLED_BACK:
        refuse(t, title,
               "%s is rolled_back: %s gets no traffic; `sluice retry %s` starts it again, or "
               "release another version",
               name, version, name);
        return true;
    case PHASE_PENDING:
    case PHASE_SMOKE_TESTING:
    case PHASE_PROGRESSING:
    case PHASE_PAUSED:
    case PHASE_AWAITING_APPROVAL:
    case PHASE_BAKING:
    case PHASE_COUNT:
        break;
    }
    return false;
}

/* What it was sent back for: "error_rate max 1%: 12 of 30 canary requests were bad" */
static const char *sent_back_for(const struct transition *t, char to[static FOR_MAX])
{
    const struct rollout_retreat *r = &t->ret->state.retreat;
    const struct retreat_seen *seen = &r->seen[r->visit - 1];
    const char *name = r->probe.criterion < t->policy->analysis.criteria_count
                           ? t->policy->analysis.criteria[r->probe.criterion].name
                           : "hard_down";

    snprintf(to, FOR_MAX, "%.100s: %llu of %llu canary requests were bad", name,
             (unsigned long long)seen->bad, (unsigned long long)seen->requests);
    return to;
}

/* A canary that was sent back gets more traffic by answering well, or by force. */
static bool refuse_retreat(struct transition *t)
{
    const struct rollout_retreat *r = &t->ret->state.retreat;
    char why[FOR_MAX], left[UNITS_TEXT_MAX];

    if (r->visit == 0)
        return false;
    if (r->probing)
        refuse(t, "the canary was sent back",
               "%s; it is being asked again now and %s; --force gives it its step's weight all the "
               "same, `sluice rollback %s` ends it",
               sent_back_for(t, why),
               t->report->probe.requests == 0 ? "waits for requests that count, none so far"
                                              : "goes on by itself when it does well",
               t->policy->name);
    else
        refuse(t, "the canary was sent back",
               "%s; it is asked again in %s; --force gives it its step's weight all the same, "
               "`sluice rollback %s` ends it",
               sent_back_for(t, why), units_duration_text(whole_seconds(r->left_ns), left),
               t->policy->name);
    return true;
}

static bool any_fails(const struct transition *t)
{
    const struct analysis_report *r = t->report;
    bool fails = r->revert || r->retreat || r->crossed || r->hard_down;

    for (size_t i = 0; i < r->count; i++)
        fails = fails || (r->criteria[i].verdict == VERDICT_FAIL &&
                          t->policy->analysis.criteria[i].on_fail != ON_FAIL_REPORT);
    return fails;
}

static bool refuse_failed(struct transition *t, uint32_t failed)
{
    for (size_t i = 0; i < t->report->count; i++) {
        if ((failed >> i & 1) == 0)
            continue;
        refuse(t, "a criterion fails",
               "%s failed for good and holds up every step; --force goes on all the same and "
               "judges afresh from there, `sluice rollback %s` ends it",
               t->policy->analysis.criteria[i].name, t->policy->name);
        return true;
    }
    return false;
}

/* A criterion that fails, or whose evidence is half way there, is passed only by force. */
static bool refuse_harm(struct transition *t)
{
    const struct analysis_report *r = t->report;
    bool fails = any_fails(t);

    if (!fails && !r->alarm)
        return false;
    if (refuse_failed(t, r->failed_rollback | r->failed_pause))
        return true;
    for (size_t i = 0; i < r->count && !fails; i++) {
        const struct criterion_report *c = &r->criteria[i];
        char share[UNITS_TEXT_MAX];
        if (!c->suspect)
            continue;
        refuse(t, "a criterion is beyond its limit",
               "%s: %s of %llu canary requests are bad, though the burst guard still waits for "
               "failures in more slots; --force promotes it all the same",
               t->policy->analysis.criteria[i].name,
               units_share_text(c->value[VARIANT_CANARY], share),
               (unsigned long long)c->requests[VARIANT_CANARY]);
        return true;
    }
    if (r->hard_down && !r->revert)
        refuse(t, "the canary is down",
               "its last %llu requests failed in a row; --force promotes it all the same",
               (unsigned long long)r->run_failures);
    else
        refuse(t, fails ? "a criterion fails" : "a criterion is close to failing",
               "%s: evidence %.1f of %.1f needed to take the canary back; wait until it has "
               "settled, or --force",
               t->policy->analysis.criteria[r->worst].name, r->log_e, r->threshold);
    return true;
}

/* No step further: nothing was seen of the canary at the weight it had. */
static void end_retreat(struct transition *t)
{
    char at[WHERE_MAX];

    transition_force_clear(t);
    accept(t,
           "%s again, on fresh evidence: the retreat is over; another `sluice promote %s` goes on, "
           "with --force while this step's record is beyond a limit",
           where(t, at), t->policy->name);
}

static void promote(struct transition *t, const struct command *c)
{
    const struct rollout_state *s = &t->ret->state;
    char weight[UNITS_TEXT_MAX], lasts[UNITS_TEXT_MAX];

    if (refuse_final(t, "promote"))
        return;
    if (s->phase == PHASE_PAUSED) {
        refuse(t, "the rollout is paused", "`sluice resume %s` first", t->policy->name);
        return;
    }
    if (t->policy->analysis.mode == MODE_OBSERVE && (s->step > 0 || c->full)) {
        refuse(t, "the policy only observes",
               "analysis.mode of %s is observe, which moves nothing; set it to enforce",
               t->policy->name);
        return;
    }
    if (!c->force && (refuse_retreat(t) || refuse_harm(t)))
        return;
    if (s->retreat.visit > 0 && !c->full) {
        end_retreat(t);
        return;
    }
    /* Passing a verdict by force makes it void: the next look would undo the order at once. What
     * fails again fails afresh, and is told or paused for again. */
    if (s->retreat.visit > 0 || any_fails(t)) {
        t->reset_evidence = true;
        t->ret->state.reported = 0;
    }
    bool last = s->step >= t->policy->step_count;
    if (last && !c->full && s->phase != PHASE_BAKING && t->policy->bake.for_ns > 0) {
        transition_bake(t, CAUSE_COMMAND);
        accept(t,
               "baking: %s gets %s of the traffic for %s, then it is promoted; `sluice promote "
               "%s` again skips that",
               s->canary_version, percent(s->weight_bp, weight),
               units_duration_text(t->policy->bake.for_ns, lasts), t->policy->name);
    } else if (c->full || last) {
        transition_promote(t, CAUSE_COMMAND);
        accept(t, "promoted: %s serves 100%% of the traffic", s->canary_version);
    } else if (s->step == 0) {
        t->ret->state.approved = true;
        transition_start(t, CAUSE_COMMAND);
        accept(t, "started: %s gets %s of the traffic", s->canary_version,
               percent(s->weight_bp, weight));
    } else {
        transition_step(t, s->step + 1, EVENT_STEP_ADVANCED, CAUSE_COMMAND);
        accept(t, "step %u of %zu: %s gets %s of the traffic", s->step, t->policy->step_count,
               s->canary_version, percent(s->weight_bp, weight));
    }
}

static void pause(struct transition *t, const struct command *c)
{
    const struct rollout_state *s = &t->ret->state;
    char weight[UNITS_TEXT_MAX];

    if (refuse_final(t, "pause"))
        return;
    if (s->phase == PHASE_PENDING) {
        refuse(t, "cannot pause",
               "%s is pending: nothing has started; it waits for `sluice promote %s`",
               t->policy->name, t->policy->name);
        return;
    }
    if (s->phase == PHASE_PAUSED && (!c->zero || s->zeroed)) {
        refuse(t, "already paused", "%s is paused at %s; `sluice resume %s` goes on",
               t->policy->name, percent(s->weight_bp, weight), t->policy->name);
        return;
    }
    bool sent_back = s->retreat.visit > 0;
    transition_pause(t, c->zero, CAUSE_COMMAND);
    if (sent_back)
        accept(t,
               "paused at 0%%: the canary was sent back and is not asked again before `sluice "
               "resume %s`",
               t->policy->name);
    else
        accept(t, "paused at %s; a failed criterion still takes the canary back",
               percent(s->weight_bp, weight));
}

static void resume(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    char at[WHERE_MAX], left[UNITS_TEXT_MAX];

    if (refuse_final(t, "resume"))
        return;
    if (s->phase != PHASE_PAUSED) {
        refuse(t, "not paused", "%s is %s: there is nothing to resume%s", t->policy->name,
               where(t, at),
               s->phase == PHASE_AWAITING_APPROVAL ? "; it waits for `sluice approve`" : "");
        return;
    }
    /* From weight 0 back up: not past a criterion that has failed meanwhile. */
    if (s->zeroed && s->retreat.visit == 0 && t->policy->analysis.mode == MODE_ENFORCE &&
        (t->report->revert || t->report->retreat || t->report->hard_down)) {
        refuse_harm(t);
        return;
    }
    transition_resume(t);
    uint32_t failed = t->policy->analysis.mode == MODE_ENFORCE ? t->report->failed_pause : 0;
    if (failed != 0 && s->retreat.visit == 0)
        accept(t,
               "%s; %.100s%s failed and holds up every step until `sluice promote --force %s`; it "
               "does not pause again for that",
               where(t, at), t->policy->analysis.criteria[__builtin_ctz(failed)].name,
               (failed & (failed - 1)) != 0 ? " (not alone)" : "", t->policy->name);
    else if (s->retreat.visit > 0)
        accept(t, "%s; the canary was sent back and is asked again in %s", where(t, at),
               units_duration_text(whole_seconds(s->retreat.left_ns), left));
    else
        accept(t, "%s", where(t, at));
}

static void approve(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    const char *name = t->policy->name;
    char at[WHERE_MAX], weight[UNITS_TEXT_MAX];

    if (refuse_final(t, "approve"))
        return;
    if (s->phase == PHASE_PAUSED) {
        refuse(t, "the rollout is paused", "`sluice resume %s` first", name);
        return;
    }
    if (s->phase == PHASE_PENDING) {
        refuse(t, "nothing waits for approval", "%s is pending: `sluice promote %s` starts it",
               name, name);
        return;
    }
    if (s->phase != PHASE_AWAITING_APPROVAL) {
        refuse(t, "nothing waits for approval",
               "%s is %s and goes on by itself; `sluice promote %s` skips the hold", name,
               where(t, at), name);
        return;
    }
    transition_approve(t);
    if (s->step < t->policy->step_count)
        accept(t, "approved: goes to step %u of %zu (%s)", s->step + 1, t->policy->step_count,
               percent(t->policy->steps[s->step].weight_bp, weight));
    else
        accept(t, "approved: goes on to be promoted");
}

static void rollback(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;

    if (s->phase != PHASE_PROMOTED && refuse_final(t, "roll back"))
        return;
    bool was_promoted = s->phase == PHASE_PROMOTED;
    transition_rollback(t, CAUSE_COMMAND);
    accept(t, "rolled back: %s gets no traffic, %s serves%s", s->canary_version,
           t->policy->versions[VARIANT_STABLE].version, was_promoted ? " again" : "");
}

static void retry(struct transition *t)
{
    const struct rollout_state *s = &t->ret->state;
    char at[WHERE_MAX], weight[UNITS_TEXT_MAX];

    if (s->phase != PHASE_ROLLED_BACK) {
        refuse(t, "not rolled back", "%s is %s: retry starts a rolled back canary again",
               t->policy->name, where(t, at));
        return;
    }
    transition_start(t, CAUSE_COMMAND);
    if (s->phase == PHASE_AWAITING_APPROVAL)
        accept(t, "starts again when step 1 is approved");
    else
        accept(t, "started again: %s gets %s of the traffic, on fresh evidence", s->canary_version,
               percent(s->weight_bp, weight));
}

void command_apply(struct transition *t, const struct command *c)
{
    char at[WHERE_MAX];

    if (c->expect_step != 0 && c->expect_step != t->ret->state.step) {
        refuse(t, "the rollout has moved on", "%s is %s, not at step %u; nothing was done",
               t->policy->name, where(t, at), c->expect_step);
        return;
    }
    switch (c->kind) {
    case COMMAND_PROMOTE:
        promote(t, c);
        return;
    case COMMAND_PAUSE:
        pause(t, c);
        return;
    case COMMAND_RESUME:
        resume(t);
        return;
    case COMMAND_APPROVE:
        approve(t);
        return;
    case COMMAND_ROLLBACK:
        rollback(t);
        return;
    case COMMAND_RETRY:
        retry(t);
        return;
    case COMMAND_KIND_COUNT:
        UNREACHABLE();
    }
}

void command_refuse_changed(struct transition *t)
{
    refuse(t, "the canary has changed", "%s has another canary than it had; look, then try again",
           t->policy->name);
}
