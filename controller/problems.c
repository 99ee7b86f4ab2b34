/* What needs a person, in sentences: the part of a rollout's document that says so. */
#include <math.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/units.h"
#include "controller/decision.h"
#include "controller/document.h"

/* A step without any request for so long deserves a sentence. */
#define SILENCE_NS (60 * NS_PER_SEC)
/* And so does a value that no answer has. */
#define MISSING_NS (30 * NS_PER_SEC)

static void add_problem(json_t *problems, const char *text)
{
    json_array_append_new(problems, json_text(text));
}

/* A pointer that never matches is nearly always a slip of the pen. */
static void add_missing(json_t *all, const struct engine *e)
{
    char text[320], count[COUNT_TEXT_MAX];

    for (size_t i = 0; i < e->report.count; i++) {
        const struct policy_criterion *c = &e->policy->analysis.criteria[i];
        const struct shift_report *s = &e->report.criteria[i].shift;
        bool of_stable = s->found[VARIANT_STABLE] == 0, of_canary = s->found[VARIANT_CANARY] == 0;
        uint64_t looked = (of_stable ? s->looked[VARIANT_STABLE] : 0) +
                          (of_canary ? s->looked[VARIANT_CANARY] : 0);
        const char *whose = of_stable && of_canary ? ""
                            : of_canary            ? " of the canary"
                                                   : " of stable";
        if (c->test != TEST_SHIFT || e->report.criteria[i].verdict != VERDICT_NO_DATA ||
            e->state.held_ns < MISSING_NS)
            continue;
        snprintf(text, sizeof(text), "%.160s has no data: %s answers%s were looked at and %s",
                 c->name, count_text(looked, count), whose,
                 looked > 0 ? "none had such a value" : "so none could have one");
        add_problem(all, text);
    }
}

/* With so little traffic a comparison of times says nothing, which somebody should know. */
static void add_unfollowed(json_t *all, const struct engine *e)
{
    char text[320];

    for (size_t i = 0; i < e->report.count; i++) {
        const struct policy_criterion *c = &e->policy->analysis.criteria[i];
        if (!e->report.criteria[i].reference_missing || e->state.held_ns < SILENCE_NS)
            continue;
        snprintf(
            text, sizeof(text),
            "%.160s is not judged: it takes %.0f answers of stable in ten minutes to know what "
            "to compare with",
            c->name, ceil(2 / (1 - c->quantile) - 1e-6));
        add_problem(all, text);
    }
}

static void add_stable(json_t *all, const struct engine *e)
{
    char text[256], longest[UNITS_TEXT_MAX];

    if (e->report.stable_degraded)
        add_problem(all, "stable itself breaks a limit: absolute limits wait, and nothing steps up "
                         "(analysis.on_stable_degraded)");
    if (e->report.placebo.sent_back_last_hour == 0)
        return;
    snprintf(
        text, sizeof(text),
        "stable fails in bursts: it would itself have been sent back %llu times in the last "
        "hour; the longest burst so far took %s",
        (unsigned long long)e->report.placebo.sent_back_last_hour,
        units_duration_text(e->report.placebo.longest_burst_ns / NS_PER_SEC * NS_PER_SEC, longest));
    add_problem(all, text);
}

json_t *document_problems(const struct engine *e)
{
    const struct policy *policy = e->policy;
    const struct rollout_state *s = &e->state;
    json_t *all = json_array();
    char text[256], time[UNITS_TEXT_MAX];

    if (policy_has_canary(policy) && rollout_canary(policy) == NULL) {
        snprintf(text, sizeof(text),
                 "the canary's version is stable's, %.100s: nothing to roll out",
                 policy->versions[VARIANT_CANARY].version);
        add_problem(all, text);
    }
    if (s->phase == PHASE_PROGRESSING && e->report.step_requests == 0 && s->held_ns >= SILENCE_NS) {
        snprintf(text, sizeof(text), "no request has reached the canary in this step, for %s",
                 units_duration_text(s->held_ns / NS_PER_SEC * NS_PER_SEC, time));
        add_problem(all, text);
    }
    if (s->undecided && s->phase != PHASE_ROLLED_BACK && s->phase != PHASE_PROMOTED) {
        snprintf(text, sizeof(text), "max_hold (%s) is over and the step is undecided",
                 units_duration_text(policy->analysis.max_hold_ns, time));
        add_problem(all, text);
    }
    add_missing(all, e);
    add_unfollowed(all, e);
    add_stable(all, e);
    if (e->owed)
        add_problem(all, "the store does not take the present state; the log says why");
    return all;
}
