/* What a decision says to a person: what happened, by how much, on how many requests, since when.
 * The other half of decision.h.
 */
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "base/units.h"
#include "controller/decision.h"

char *count_text(uint64_t n, char to[static COUNT_TEXT_MAX])
{
    char digits[24];
    int len = snprintf(digits, sizeof(digits), "%llu", (unsigned long long)n), out = 0;

    for (int i = 0; i < len; i++) {
        if (i > 0 && (len - i) % 3 == 0)
            to[out++] = ',';
        to[out++] = digits[i];
    }
    to[out] = '\0';
    return to;
}

char *share_text(double share, char to[static COUNT_TEXT_MAX])
{
    double percent = 100 * share;

    if (!isfinite(percent))
        snprintf(to, COUNT_TEXT_MAX, "?%%");
    else if (percent != 0 && fabs(percent) < 0.001)
        snprintf(to, COUNT_TEXT_MAX, "%.6f%%", percent);
    else
        snprintf(to, COUNT_TEXT_MAX, "%.3g%%", percent);
    return to;
}

static const char *percent(uint32_t weight_bp, char to[static UNITS_TEXT_MAX])
{
    return units_share_text(weight_bp / (double)WEIGHT_FULL_BP, to);
}

/* Durations for people: tenths of a second below a minute, whole seconds above. */
static const char *duration(int64_t ns, char to[static UNITS_TEXT_MAX])
{
    int64_t grain = ns < NS_PER_MIN ? NS_PER_SEC / 10 : NS_PER_SEC;

    return units_duration_text((ns + grain / 2) / grain * grain, to);
}

/* "1 canary request", "2,301 canary requests" */
static void add_requests(struct strbuf *b, uint64_t n)
{
    char count[COUNT_TEXT_MAX];

    strbuf_addf(b, "%s canary request%s", count_text(n, count), n == 1 ? "" : "s");
}

/* How long the step that was left was held: the state before the decision is of the look before it,
 * and the time between the two belongs to the step. Counted as rollout.c counts it. */
static int64_t held_ns(const struct decision_facts *f)
{
    const struct rollout_state *before = &f->decision->before;
    int64_t since = f->now_ns - before->last_ns;

    if (before->phase != PHASE_PROGRESSING || since < 0)
        return before->held_ns;
    return before->held_ns + (since < ROLLOUT_GAP_MAX_NS ? since : ROLLOUT_GAP_MAX_NS);
}

/* "step 2 of 4 (25%)" */
static void add_step(struct strbuf *b, const struct policy *policy, const struct rollout_state *s)
{
    char weight[UNITS_TEXT_MAX];

    if (s->step == 0)
        strbuf_addf(b, "before step 1");
    else
        strbuf_addf(b, "step %u of %zu (%s)", s->step, policy->step_count,
                    percent(s->weight_bp, weight));
}

/* "; stable 0.1% of 2,301" */
static void add_stable(struct strbuf *b, const struct criterion_report *r)
{
    char share[COUNT_TEXT_MAX], count[COUNT_TEXT_MAX];
    uint64_t requests = r->requests[VARIANT_STABLE];

    if (requests > 0)
        strbuf_addf(b, "; stable %s of %s",
                    share_text((double)r->bad[VARIANT_STABLE] / (double)requests, share),
                    count_text(requests, count));
}

/* "error_rate max 1%: 19.8% of 253 canary requests failed (50 errors; stable 0.1% of 2,301)" */
static void add_observed(struct strbuf *b, const struct policy_criterion *c,
                         const struct criterion_report *r)
{
    uint64_t requests = r->requests[VARIANT_CANARY], bad = r->bad[VARIANT_CANARY];
    char share[COUNT_TEXT_MAX], count[COUNT_TEXT_MAX], limit[UNITS_TEXT_MAX];

    strbuf_addf(b, "%s: ", c->name);
    if (requests == 0) {
        strbuf_addf(b, "no canary requests in this step yet");
        return;
    }
    strbuf_addf(b, "%s of ", share_text((double)bad / (double)requests, share));
    add_requests(b, requests);
    strbuf_add_char(b, ' ');
    if (c->metric == METRIC_LATENCY) {
        strbuf_addf(b, "took longer than %s (", units_duration_text(c->limit_ns, limit));
        strbuf_addf(b, "allowed %s", share_text(c->test == TEST_MAX ? c->p0 : c->delta, share));
    } else {
        strbuf_addf(b, "failed (%s error%s", count_text(bad, count), bad == 1 ? "" : "s");
    }
    add_stable(b, r);
    strbuf_addf(b, ")");
}

static void add_since_first(struct strbuf *b, const struct decision_facts *f)
{
    int64_t slot = f->decision->report.first_bad_slot;
    int64_t ns = f->now_ns - slot * f->policy->analysis.slot_ns;

    if (slot >= 0 && ns >= 0)
        strbuf_addf(b, ", %.1f s after the first failure", (double)ns / (double)NS_PER_SEC);
}

static void add_criterion(struct strbuf *b, const struct decision_facts *f, uint32_t index)
{
    const struct analysis_report *report = &f->decision->report;
    const struct criterion_report *r = &report->criteria[index];

    if (index >= report->count)
        return;
    add_observed(b, &f->policy->analysis.criteria[index], r);
    /* Its own evidence suffices, or all criteria together do. */
    if (r->log_e >= r->threshold)
        strbuf_addf(b, ", evidence %.1f of %.1f needed", r->log_e, r->threshold);
    else
        strbuf_addf(b, ", evidence of all criteria %.1f of %.1f needed", report->log_e,
                    report->threshold);
    add_since_first(b, f);
}

static void add_hard_down(struct strbuf *b, const struct decision_facts *f)
{
    const struct analysis_report *r = &f->decision->report;
    const struct policy_analysis *a = &f->policy->analysis;
    char count[COUNT_TEXT_MAX], over[UNITS_TEXT_MAX], limit[UNITS_TEXT_MAX];

    strbuf_addf(
        b, "hard_down: the last %s canary requests failed in a row, over %s (limit %u over %s)",
        count_text(r->run_failures, count), duration(r->run_ns, over), a->hard_down_failures,
        units_duration_text(a->hard_down_over_ns, limit));
}

static void add_cause(struct strbuf *b, const struct decision_facts *f)
{
    char text[UNITS_TEXT_MAX];

    switch (f->decision->cause) {
    case CAUSE_CRITERION:
    case CAUSE_WIDE:
    case CAUSE_SHIFT:
    case CAUSE_WINDOW:
        add_criterion(b, f, f->decision->criterion);
        break;
    case CAUSE_UNSTEADY:
        strbuf_addf(b, "unsteady: sent back %u times in this step",
                    f->decision->state.retreats_in_step);
        break;
    case CAUSE_NO_DATA:
        strbuf_addf(b, "no data for %s", duration(f->policy->analysis.no_data_after_ns, text));
        break;
    case CAUSE_HARD_DOWN:
        add_hard_down(b, f);
        break;
    case CAUSE_UNDECIDED:
        strbuf_addf(b, "no verdict within %s at ",
                    units_duration_text(f->policy->analysis.max_hold_ns, text));
        add_step(b, f->policy, &f->decision->before);
        break;
    case CAUSE_COMMAND:
        strbuf_addf(b, "by command at ");
        add_step(b, f->policy, &f->decision->before);
        break;
    case CAUSE_CANARY:
        strbuf_addf(b, "version %s was rolled back before", f->decision->state.canary_version);
        break;
    case CAUSE_NONE:
    case CAUSE_PASSED:
    case CAUSE_APPROVAL:
    case CAUSE_RESTART:
    case CAUSE_VISIT:
    case CAUSE_BAKED:
    case CAUSE_COUNT:
        break;
    }
}

/* What the step that was left had seen. */
static void add_passed(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    char held[UNITS_TEXT_MAX];

    if (d->before.step == 0)
        return;
    strbuf_addf(b, "; step %u %s after %s on ", d->before.step,
                d->cause == CAUSE_PASSED      ? "passed"
                : d->cause == CAUSE_APPROVAL  ? "is over"
                : d->cause == CAUSE_UNDECIDED ? "was left undecided"
                                              : "was ended by command",
                duration(held_ns(f), held));
    add_requests(b, d->report.step_requests);
}

static void add_gets(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;
    char weight[UNITS_TEXT_MAX];

    strbuf_addf(b, "%s gets %s of the traffic", s->canary_version, percent(s->weight_bp, weight));
}

static void add_failures(struct strbuf *b, const struct decision_facts *f)
{
    const char *between = "";

    strbuf_addf(b, "would be rolled back, but the mode is observe: ");
    for (uint32_t i = 0; i < f->decision->report.count; i++) {
        if ((f->decision->failed >> i & 1) == 0)
            continue;
        strbuf_addf(b, "%s", between);
        add_criterion(b, f, i);
        between = "; ";
    }
    if (f->decision->failed >> ROLLOUT_REPORTED_HARD_DOWN & 1) {
        strbuf_addf(b, "%s", between);
        add_hard_down(b, f);
    }
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
                    f->policy->step_count, percent(f->policy->steps[s->step].weight_bp, weight),
                    f->policy->name);
    else
        strbuf_addf(b, "promotion waits for `sluice approve %s`", f->policy->name);
    add_passed(b, f);
}

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
        strbuf_addf(b, "paused at %s: ", percent(d->state.weight_bp, text));
        add_cause(b, f);
        break;
    case EVENT_RESUMED:
        strbuf_addf(b, "resumed: ");
        add_gets(b, f);
        break;
    case EVENT_ROLLED_BACK:
        strbuf_addf(b, "rolled back: ");
        add_cause(b, f);
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
        add_cause(b, f);
        break;
    case EVENT_APPROVAL_REQUIRED:
        add_approval(b, f);
        break;
    case EVENT_APPROVAL_GIVEN:
        strbuf_addf(b, "approved at ");
        add_step(b, f->policy, &d->state);
        break;
    case EVENT_CRITERION_FAILED:
        add_failures(b, f);
        break;
    case EVENT_RESTARTED:
        strbuf_addf(b, "taken up after a restart: %s at ", phase_names[d->state.phase]);
        add_step(b, f->policy, &d->state);
        strbuf_addf(b, ", on fresh evidence");
        break;
    case EVENT_RETREATED:
        strbuf_addf(b, "sent back for %s: ", duration(d->state.retreat.pause_ns, text));
        add_cause(b, f);
        break;
    case EVENT_PROBED:
        strbuf_addf(b, "asked again: ");
        add_gets(b, f);
        break;
    case EVENT_CLEARED:
        strbuf_addf(b, "cleared: ");
        add_gets(b, f);
        break;
    case EVENT_NO_DATA:
        add_cause(b, f);
        break;
    case EVENT_BAKING:
        strbuf_addf(b, "baking: ");
        add_gets(b, f);
        add_passed(b, f);
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
