/* What a decision says to a person: what happened, by how much, on how many requests, since when.
 * The other half of decision.h.
 */
#include <stdio.h>

#include "base/check.h"
#include "controller/observed_text.h"
#include "controller/sentence.h"

/* How long the step that was left was held: the state before the decision is of the look before it,
 * and the time between the two belongs to the step. Counted as rollout.c counts it. */
static int64_t held_ns(const struct decision_facts *f)
{
    const struct rollout_state *before = &f->decision->before;
    int64_t since = f->now_ns - before->last_ns;
    bool counts = before->phase == PHASE_PROGRESSING || before->phase == PHASE_BAKING;

    if (!counts || before->retreat.visit > 0 || since < 0)
        return before->held_ns;
    return before->held_ns + (since < ROLLOUT_GAP_MAX_NS ? since : ROLLOUT_GAP_MAX_NS);
}

/* What the step that was left had seen. */
static void add_passed(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    char held[UNITS_TEXT_MAX];

    if (d->before.step == 0)
        return;
    const char *how = d->cause == CAUSE_PASSED || d->cause == CAUSE_BAKED ? "passed"
                      : d->cause == CAUSE_APPROVAL                        ? "is over"
                      : d->cause == CAUSE_UNDECIDED                       ? "was left undecided"
                                                                          : "was ended by command";
    if (rollout_bakes(&d->before))
        strbuf_addf(b, "; the bake");
    else
        strbuf_addf(b, "; step %u", d->before.step);
    strbuf_addf(b, " %s after %s on ", how, sentence_duration(held_ns(f), held));
    sentence_requests(b, d->report.step_requests);
}

static void add_gets(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;
    char weight[UNITS_TEXT_MAX];

    strbuf_addf(b, "%s gets %s of the traffic", s->canary_version,
                sentence_percent(s->weight_bp, weight));
}

static void add_superseded(struct strbuf *b, const struct rollout_decision *d)
{
    if (d->state.canary_version[0] == '\0')
        strbuf_addf(b, "superseded: the policy has no canary any more (it was %s)",
                    d->before.canary_version);
    else
        strbuf_addf(b, "superseded: the canary is %s now (it was %s), from the beginning",
                    d->state.canary_version, d->before.canary_version);
}

static void add_started(struct strbuf *b, const struct decision_facts *f)
{
    strbuf_addf(b, "started: ");
    add_gets(b, f);
    strbuf_addf(b, ", step 1 of %zu", f->policy->step_count);
    if (f->unkept)
        strbuf_addf(b, "; nothing was kept of an earlier run, so it begins at the beginning");
}

static void add_approval(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;
    char weight[UNITS_TEXT_MAX];

    if (s->step < f->policy->step_count)
        strbuf_addf(b, "step %u of %zu (%s) waits for `sluice approve %s`", s->step + 1,
                    f->policy->step_count,
                    sentence_percent(f->policy->steps[s->step].weight_bp, weight), f->policy->name);
    else
        strbuf_addf(b, "promotion waits for `sluice approve %s`", f->policy->name);
    add_passed(b, f);
}

/* --- retreats and the bake -------------------------------------------------------------------- */

static const struct policy_criterion *criterion_of(const struct decision_facts *f)
{
    uint32_t index = f->decision->criterion;

    return index < f->decision->report.count ? &f->policy->analysis.criteria[index] : NULL;
}

/* "error_rate max 1%: 20 of 21 canary requests failed when asked" */
static void add_this_visit(struct strbuf *b, const struct decision_facts *f,
                           const struct retreat_seen *seen)
{
    const struct policy_criterion *c = criterion_of(f);
    char bad[COUNT_TEXT_MAX], requests[COUNT_TEXT_MAX];

    strbuf_addf(b, "%s: %s of %s canary %s%s ", c == NULL ? "hard_down" : c->name,
                count_text(seen->bad, bad), count_text(seen->requests, requests), observed_noun(c),
                seen->requests == 1 ? "" : "s");
    observed_verb(b, c);
    strbuf_addf(b, " when asked");
}

/* "sent back for 30s: error_rate max 1%: ...; then it is asked again, visit 2 of 3 (...)" */
static void add_retreated(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_retreat *r = &f->decision->state.retreat;
    const struct policy_analysis *a = &f->policy->analysis;
    bool paused = f->decision->state.phase == PHASE_PAUSED;
    char text[UNITS_TEXT_MAX];

    if (paused)
        strbuf_addf(b, "sent back in a pause: ");
    else
        strbuf_addf(b, "sent back for %s%s: ", sentence_duration(r->pause_ns, text),
                    r->visit > 1 ? ", it failed again" : "");
    if (r->visit == 1)
        sentence_cause(b, f);
    else
        add_this_visit(b, f, &r->seen[r->visit - 1]);
    if (paused)
        strbuf_addf(b, "; %s after `sluice resume %s` it is asked again, visit %u of %zu",
                    sentence_duration(r->pause_ns, text), f->policy->name, r->visit + 1,
                    a->confirm_count + 1);
    else if (r->visit < a->confirm_count)
        strbuf_addf(b, "; then it is asked again, visit %u of %zu", r->visit + 1,
                    a->confirm_count + 1);
    else
        strbuf_addf(b, "; then it is asked for the last time");
    if (r->visit == 1)
        strbuf_addf(b, " (rolled back when it fails on each)");
}

static void add_probed(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_retreat *r = &f->decision->state.retreat;
    char weight[UNITS_TEXT_MAX];

    strbuf_addf(b, "asked again, visit %u of %zu: %s gets %s of the traffic", r->visit + 1,
                f->policy->analysis.confirm_count + 1, f->decision->state.canary_version,
                sentence_percent(f->decision->state.weight_bp, weight));
}

/* "taken out of its retreat by command: 2.1.0 gets 25% of the traffic again, on fresh evidence" */
static void add_freed(struct strbuf *b, const struct decision_facts *f)
{
    strbuf_addf(b, "taken out of its retreat by command: ");
    add_gets(b, f);
    strbuf_addf(b, " again, on fresh evidence");
}

/* "cleared: 0 of 243 requests failed when asked again; goes on at 25%" */
static void add_cleared(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    const struct policy_criterion *c = criterion_of(f);
    char bad[COUNT_TEXT_MAX], requests[COUNT_TEXT_MAX], text[UNITS_TEXT_MAX];

    strbuf_addf(b, "cleared: %s of %s %s%s ", count_text(d->report.probe.bad, bad),
                count_text(d->report.probe.requests, requests), observed_noun(c),
                d->report.probe.requests == 1 ? "" : "s");
    observed_verb(b, c);
    strbuf_addf(b, " when asked again");
    strbuf_addf(b, " after %s", sentence_duration(d->before.retreat.pause_ns, text));
    strbuf_addf(b, "; goes on at %s", sentence_percent(d->state.weight_bp, text));
}

static void add_baking(struct strbuf *b, const struct decision_facts *f)
{
    char text[UNITS_TEXT_MAX];

    strbuf_addf(b, "baking for %s: ", units_duration_text(f->policy->bake.for_ns, text));
    add_gets(b, f);
    if (f->policy->bake.control_bp > 0)
        strbuf_addf(b, ", %s stays on %s to compare with",
                    sentence_percent(f->policy->bake.control_bp, text),
                    f->policy->versions[VARIANT_STABLE].version);
    add_passed(b, f);
}

static void add_asked_in(struct strbuf *b, const struct rollout_decision *d)
{
    char left[UNITS_TEXT_MAX];

    if (d->state.retreat.visit == 0)
        return;
    strbuf_addf(b, "; the canary was sent back and is asked again ");
    if (d->state.phase == PHASE_PAUSED)
        strbuf_addf(b, "after `resume`");
    else
        strbuf_addf(b, "in %s", sentence_duration(d->state.retreat.left_ns, left));
}

static void add_restarted(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;

    strbuf_addf(b, "taken up after a restart: %s at ", phase_names[s->phase]);
    sentence_step(b, f->policy, s);
    strbuf_addf(b, ", on fresh evidence");
    add_asked_in(b, f->decision);
}

/* The told failures whose criterion does that when it fails. */
static uint32_t failed_for(const struct decision_facts *f, enum on_fail on_fail)
{
    const struct rollout_decision *d = f->decision;
    uint32_t hard_down = UINT32_C(1) << ROLLOUT_REPORTED_HARD_DOWN, bits = 0;

    if (f->policy->analysis.mode != MODE_OBSERVE) /* nothing else is merely told */
        return on_fail == ON_FAIL_REPORT ? d->failed : 0;
    for (uint32_t i = 0; i < d->report.count; i++)
        if (analysis_on_fail(&f->policy->analysis.criteria[i], &d->report.criteria[i]) == on_fail)
            bits |= UINT32_C(1) << i;
    return d->failed & (on_fail == ON_FAIL_ROLLBACK ? bits | hard_down : bits);
}

/* Each criterion with what it would have done, in mode observe. */
static void add_failed(struct strbuf *b, const struct decision_facts *f)
{
    static const struct {
        enum on_fail on_fail;
        const char *text;
    } kinds[] = {
        {ON_FAIL_ROLLBACK, "would be rolled back, but the mode is observe: "},
        {ON_FAIL_PAUSE, "would be paused, but the mode is observe: "},
        {ON_FAIL_REPORT, "failed, which this criterion only reports: "},
    };
    const char *between = "";

    for (size_t i = 0; i < ARRAY_LEN(kinds); i++) {
        uint32_t failed = failed_for(f, kinds[i].on_fail);
        if (failed == 0)
            continue;
        strbuf_addf(b, "%s%s", between, kinds[i].text);
        sentence_failures(b, f, failed);
        between = "; ";
    }
}

/* --- all of them ------------------------------------------------------------------------------ */

static void add_event(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    char text[UNITS_TEXT_MAX];

    switch (d->event) {
    case EVENT_STARTED:
        add_started(b, f);
        break;
    case EVENT_PENDING:
        strbuf_addf(b, "%s waits for `sluice promote %s`", d->state.canary_version,
                    f->policy->name);
        break;
    case EVENT_SUPERSEDED:
        add_superseded(b, d);
        break;
    case EVENT_PAUSED:
        strbuf_addf(b, "paused at %s: ", sentence_percent(d->state.weight_bp, text));
        sentence_cause(b, f);
        break;
    case EVENT_RESUMED:
        strbuf_addf(b, "resumed: ");
        add_gets(b, f);
        add_asked_in(b, d);
        break;
    case EVENT_ROLLED_BACK:
        strbuf_addf(b, "rolled back: ");
        sentence_cause(b, f);
        break;
    case EVENT_PROMOTED:
        strbuf_addf(b, "promoted: ");
        add_gets(b, f);
        add_passed(b, f);
        break;
    case EVENT_STEP_ADVANCED:
        strbuf_addf(b, "step %u of %zu: ", d->state.step, f->policy->step_count);
        add_gets(b, f);
        add_passed(b, f);
        break;
    case EVENT_STEP_UNDECIDED:
        strbuf_addf(b, "undecided: ");
        sentence_cause(b, f);
        break;
    case EVENT_APPROVAL_REQUIRED:
        add_approval(b, f);
        break;
    case EVENT_APPROVAL_GIVEN:
        strbuf_addf(b, "approved at ");
        sentence_step(b, f->policy, &d->state);
        break;
    case EVENT_CRITERION_FAILED:
        add_failed(b, f);
        break;
    case EVENT_RESTARTED:
        add_restarted(b, f);
        break;
    case EVENT_RETREATED:
        add_retreated(b, f);
        break;
    case EVENT_PROBED:
        add_probed(b, f);
        break;
    case EVENT_CLEARED:
        if (d->cause == CAUSE_COMMAND)
            add_freed(b, f);
        else
            add_cleared(b, f);
        break;
    case EVENT_NO_DATA:
        sentence_cause(b, f);
        strbuf_addf(b, d->before.retreat.probing ? "; it is not cleared without"
                       : f->policy->analysis.mode == MODE_OBSERVE
                           ? "; so nothing is found out"
                           : "; the step does not pass without");
        break;
    case EVENT_BAKING:
        add_baking(b, f);
        break;
    case EVENT_NONE:
    case EVENT_COUNT:
        break;
    }
}

char *decision_sentence(const struct decision_facts *f, char to[static DECISION_REASON_MAX])
{
    struct strbuf b;
    const struct command *c = f->command;

    strbuf_init(&b, DECISION_REASON_MAX - 1);
    add_event(&b, f);
    if (c != NULL && c->who[0] != '\0')
        strbuf_addf(&b, ", by %s", c->who);
    if (c != NULL && c->reason[0] != '\0')
        strbuf_addf(&b, ": %s", c->reason);
    snprintf(to, DECISION_REASON_MAX, "%s", strbuf_cstr(&b));
    strbuf_deinit(&b);
    return to;
}
