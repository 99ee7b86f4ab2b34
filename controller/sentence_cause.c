/* The reasons in decision sentences: which criterion, by how much, on how many requests, since
 * when, on which visit.
 */
#include <math.h>
#include <stdio.h>

#include "base/check.h"
#include "controller/observed_text.h"
#include "controller/retreat.h"
#include "controller/sentence.h"

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

const char *sentence_percent(uint32_t weight_bp, char to[static UNITS_TEXT_MAX])
{
    return units_share_text(weight_bp / (double)WEIGHT_FULL_BP, to);
}

const char *sentence_duration(int64_t ns, char to[static UNITS_TEXT_MAX])
{
    int64_t grain = ns < NS_PER_MIN ? NS_PER_SEC / 10 : NS_PER_SEC;

    return units_duration_text((ns + grain / 2) / grain * grain, to);
}

void sentence_requests(struct strbuf *b, uint64_t n)
{
    char count[COUNT_TEXT_MAX];

    strbuf_addf(b, "%s canary request%s", count_text(n, count), n == 1 ? "" : "s");
}

void sentence_step(struct strbuf *b, const struct policy *policy, const struct rollout_state *s)
{
    char weight[UNITS_TEXT_MAX];

    if (s->step == 0)
        strbuf_addf(b, "before step 1");
    else if (rollout_bakes(s))
        strbuf_addf(b, "the bake (%s)", sentence_percent(s->weight_bp, weight));
    else
        strbuf_addf(b, "step %u of %zu (%s)", s->step, policy->step_count,
                    sentence_percent(s->weight_bp, weight));
}

/* --- criteria --------------------------------------------------------------------------------- */

static void add_since_first(struct strbuf *b, const struct decision_facts *f)
{
    int64_t slot = f->decision->report.first_bad_slot;
    int64_t ns = f->now_ns - slot * f->policy->analysis.slot_ns;

    if (slot >= 0 && ns >= 0)
        strbuf_addf(b, ", %.1f s after the first failure", (double)ns / (double)NS_PER_SEC);
}

/* Its own evidence suffices, or that of all criteria together, or it needs none. */
static void add_evidence(struct strbuf *b, const struct decision_facts *f, uint32_t index)
{
    const struct analysis_report *report = &f->decision->report;
    const struct criterion_report *r = &report->criteria[index];
    bool alone = analysis_on_fail(&f->policy->analysis.criteria[index], r) != ON_FAIL_ROLLBACK;

    if (f->decision->cause == CAUSE_WIDE) {
        bool own = r->wide_log_e >= r->wide_threshold;
        strbuf_addf(b, ", evidence%s %.1f of %.1f needed", own ? "" : " of all criteria",
                    own ? r->wide_log_e : report->wide.log_e,
                    own ? r->wide_threshold : report->wide.threshold);
    } else if (r->log_e >= r->threshold && r->threshold > 0) {
        strbuf_addf(b, ", evidence %.1f of %.1f needed", r->log_e, r->threshold);
    } else if (!r->failed && !alone) {
        strbuf_addf(b, ", evidence of all criteria %.1f of %.1f needed", report->log_e,
                    report->threshold);
    }
}

/* Not where values or times are compared with stable's: an error has nothing to do with those. */
static bool begins_with_a_failure(const struct policy_criterion *c)
{
    return c->test == TEST_MAX || (c->test != TEST_SHIFT && !criterion_is_time(c));
}

static void add_criterion(struct strbuf *b, const struct decision_facts *f, uint32_t index)
{
    const struct analysis_report *report = &f->decision->report;

    if (index >= report->count)
        return;
    /* What sent it back may be the last seconds of a step of hours. */
    struct retreat_seen seen = retreat_saw(&f->decision->before, report, index);
    bool sent_back = f->decision->cause == CAUSE_CRITERION || f->decision->cause == CAUSE_UNSTEADY;
    observed_text(b, &f->policy->analysis.criteria[index], &report->criteria[index],
                  sent_back ? &seen : NULL);
    add_evidence(b, f, index);
    if (begins_with_a_failure(&f->policy->analysis.criteria[index]))
        add_since_first(b, f);
}

static void add_hard_down(struct strbuf *b, const struct decision_facts *f)
{
    const struct analysis_report *r = &f->decision->report;
    const struct policy_analysis *a = &f->policy->analysis;
    char count[COUNT_TEXT_MAX], over[UNITS_TEXT_MAX], limit[UNITS_TEXT_MAX];

    strbuf_addf(
        b, "hard_down: the last %s canary requests failed in a row, over %s (limit %u over %s)",
        count_text(r->run_failures, count), sentence_duration(r->run_ns, over),
        a->hard_down_failures, units_duration_text(a->hard_down_over_ns, limit));
}

void sentence_failures(struct strbuf *b, const struct decision_facts *f, uint32_t failed)
{
    const char *between = "";

    for (uint32_t i = 0; i < f->decision->report.count; i++) {
        if ((failed >> i & 1) == 0)
            continue;
        strbuf_addf(b, "%s", between);
        add_criterion(b, f, i);
        between = "; ";
    }
    if (failed >> ROLLOUT_REPORTED_HARD_DOWN & 1) {
        strbuf_addf(b, "%s", between);
        add_hard_down(b, f);
    }
}

/* --- visits ----------------------------------------------------------------------------------- */

/* "30 of 62, 20 of 20 and 21 of 21 canary requests failed" */
static void add_visits(struct strbuf *b, const struct decision_facts *f,
                       const struct policy_criterion *c)
{
    const struct rollout_state *before = &f->decision->before;
    const struct rollout_retreat *r = &before->retreat;
    char bad[COUNT_TEXT_MAX], requests[COUNT_TEXT_MAX];
    uint64_t last = 0;

    for (uint32_t i = 0; i <= r->visit; i++) {
        struct retreat_seen seen =
            i < r->visit ? r->seen[i]
                         : retreat_saw(before, &f->decision->report, f->decision->criterion);
        strbuf_addf(b, "%s%s of %s",
                    i == 0         ? ""
                    : i < r->visit ? ", "
                                   : " and ",
                    count_text(seen.bad, bad), count_text(seen.requests, requests));
        last = seen.requests;
    }
    strbuf_addf(b, " canary %s%s ", observed_noun(c), last == 1 ? "" : "s");
    observed_verb(b, c);
}

/* "failed on 3 visits in 2m41s: error_rate max 1%: 30 of 62, 20 of 20 and 21 of 21 ..." */
static void add_last_visit(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    const struct rollout_retreat *r = &d->before.retreat;
    const struct policy_criterion *c =
        d->criterion < d->report.count ? &f->policy->analysis.criteria[d->criterion] : NULL;
    char text[UNITS_TEXT_MAX], share[COUNT_TEXT_MAX], count[COUNT_TEXT_MAX];
    int64_t passed_ns = r->since_ns + (f->now_ns - d->before.last_ns);

    strbuf_addf(b, "failed on %u visits in %s: %s: ", r->visit + 1,
                sentence_duration(passed_ns, text), c == NULL ? "hard_down" : c->name);
    add_visits(b, f, c);
    if (c == NULL || d->report.criteria[d->criterion].requests[VARIANT_STABLE] == 0)
        return;
    const struct criterion_report *report = &d->report.criteria[d->criterion];
    uint64_t stable = report->requests[VARIANT_STABLE];
    strbuf_addf(b, "; stable %s of %s",
                share_text((double)report->bad[VARIANT_STABLE] / (double)stable, share),
                count_text(stable, count));
}

static void add_unsteady(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;
    uint64_t now = f->decision->report.placebo.sent_back;
    uint64_t stable = now > s->placebo_before_step ? now - s->placebo_before_step : 0;
    char count[COUNT_TEXT_MAX];

    strbuf_addf(b,
                "unsteady: the canary was sent back %u times in this step, stable would have been "
                "%s time%s; `sluice resume %s` asks it again, `sluice rollback %s` ends it; last: ",
                s->retreats_in_step, count_text(stable, count), stable == 1 ? "" : "s",
                f->policy->name, f->policy->name);
    if (f->decision->criterion < f->decision->report.count)
        add_criterion(b, f, f->decision->criterion);
    else
        add_hard_down(b, f);
}

static void add_no_data(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    char text[UNITS_TEXT_MAX];

    strbuf_addf(b, "no data for %s at ",
                sentence_duration(f->policy->analysis.no_data_after_ns, text));
    sentence_step(b, f->policy, &d->before);
    if (d->before.retreat.probing)
        strbuf_addf(b, ": the canary is being asked again, and no request has come that %s counts",
                    d->criterion < d->report.count ? f->policy->analysis.criteria[d->criterion].name
                                                   : "hard_down");
    else if (d->report.step_requests == 0)
        strbuf_addf(b, ": no request has reached the canary");
    else if (d->criterion < d->report.count)
        strbuf_addf(b, ": %s has nothing to go by",
                    f->policy->analysis.criteria[d->criterion].name);
}

void sentence_cause(struct strbuf *b, const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;
    bool visits = d->event == EVENT_ROLLED_BACK && d->before.retreat.probing;
    char text[UNITS_TEXT_MAX];

    switch (d->cause) {
    case CAUSE_CRITERION:
    case CAUSE_HARD_DOWN:
        if (visits)
            add_last_visit(b, f);
        else if (d->failed != 0)
            sentence_failures(b, f, d->failed);
        else if (d->cause == CAUSE_HARD_DOWN)
            add_hard_down(b, f);
        else
            add_criterion(b, f, d->criterion);
        break;
    case CAUSE_WIDE:
        strbuf_addf(b, "steadily, in at least four stretches of %s: ",
                    units_duration_text(f->policy->analysis.confirm_ns[0], text));
        add_criterion(b, f, d->criterion);
        break;
    case CAUSE_SHIFT:
    case CAUSE_WINDOW:
        add_criterion(b, f, d->criterion);
        break;
    case CAUSE_UNDECIDED:
        strbuf_addf(b, "no verdict within %s at ",
                    units_duration_text(rollout_max_hold(f->policy, &d->before), text));
        sentence_step(b, f->policy, &d->before);
        break;
    case CAUSE_COMMAND:
        if (d->before.phase == PHASE_PROMOTED) {
            strbuf_addf(b, "by command after it was promoted; %s serves again",
                        f->policy->versions[VARIANT_STABLE].version);
            break;
        }
        strbuf_addf(b, "by command at ");
        sentence_step(b, f->policy, &d->before);
        break;
    case CAUSE_CANARY:
        strbuf_addf(b, "version %s was rolled back before", d->state.canary_version);
        break;
    case CAUSE_UNSTEADY:
        add_unsteady(b, f);
        break;
    case CAUSE_NO_DATA:
        add_no_data(b, f);
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
