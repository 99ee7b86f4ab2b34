/* The verdict on a canary as it stands. A promoted canary passes, a rolled back one fails whatever
 * its numbers say now, and one that has not been seen is not a pass.
 */
#include "controller/verdict.h"

#include <stdio.h>

#include "controller/document.h"

static enum verdict of_criteria(const struct engine *e, json_t *reasons)
{
    enum verdict worst = VERDICT_PASS;
    char text[256];

    for (size_t i = 0; i < e->report.count; i++) {
        const struct policy_criterion *c = &e->policy->analysis.criteria[i];
        const struct criterion_report *r = &e->report.criteria[i];
        enum verdict v = r->verdict;
        if (v == VERDICT_NO_DATA && rollout_is_over_for(e->policy, &e->state, c, r))
            continue;
        if (v == VERDICT_PASS || c->on_fail == ON_FAIL_REPORT)
            continue;
        snprintf(text, sizeof(text), "%s: %s", c->name, verdict_names[v]);
        json_array_append_new(reasons, json_text(text));
        if (v == VERDICT_FAIL || worst == VERDICT_FAIL)
            worst = VERDICT_FAIL;
        else if (v == VERDICT_NO_DATA || worst == VERDICT_NO_DATA)
            worst = VERDICT_NO_DATA;
        else
            worst = VERDICT_UNDECIDED;
    }
    return worst;
}

static enum verdict of_evidence(const struct engine *e, json_t *reasons)
{
    enum verdict v = of_criteria(e, reasons);

    if (e->report.hard_down) {
        json_array_append_new(reasons, json_text("hard_down: the canary only fails"));
        return VERDICT_FAIL;
    }
    if (e->report.revert)
        return VERDICT_FAIL;
    if (e->report.step_requests == 0) {
        json_array_append_new(reasons, json_text("no canary requests in this step"));
        return VERDICT_NO_DATA;
    }
    if (v == VERDICT_PASS && e->report.alarm) {
        json_array_append_new(reasons, json_text("evidence against the canary is building up"));
        return VERDICT_UNDECIDED;
    }
    return v;
}

/* It may have been a burst: neither yes nor no until it has been asked again. */
static enum verdict of_retreat(const struct engine *e, json_t *reasons)
{
    const struct rollout_retreat *r = &e->state.retreat;
    const char *name = r->probe.criterion < e->policy->analysis.criteria_count
                           ? e->policy->analysis.criteria[r->probe.criterion].name
                           : "hard_down";
    char text[320];

    snprintf(text, sizeof(text),
             "the canary was sent back because of %.200s, and %s (visit %u of %zu)", name,
             r->probing ? "is being asked again" : "will be asked again", r->visit + 1,
             e->policy->analysis.confirm_count + 1);
    json_array_append_new(reasons, json_text(text));
    return VERDICT_UNDECIDED;
}

json_t *verdict_json(const struct engine *e, const json_t *decision, bool *ret_ok)
{
    enum rollout_phase phase = e->state.phase;
    json_t *o = json_object(), *reasons = json_array();
    enum verdict v;

    if (phase == PHASE_PROMOTED) {
        v = VERDICT_PASS;
    } else if (phase == PHASE_ROLLED_BACK) {
        v = VERDICT_FAIL;
        json_t *reason = decision == NULL ? NULL : json_object_get(decision, "reason");
        if (reason != NULL)
            json_array_append(reasons, reason);
    } else if (phase == PHASE_IDLE || e->state.step == 0) {
        v = VERDICT_NO_DATA;
        json_array_append_new(
            reasons, json_text(phase == PHASE_IDLE ? "there is no canary" : "not started"));
    } else if (e->state.retreat.visit > 0) {
        v = of_retreat(e, reasons);
    } else {
        v = of_evidence(e, reasons);
    }
    *ret_ok = v == VERDICT_PASS;
    json_object_set_new(o, "rollout", json_text(e->policy->name));
    json_object_set_new(o, "verdict", json_text(verdict_names[v]));
    json_object_set_new(o, "phase", json_text(phase_names[phase]));
    json_object_set_new(o, "reasons", reasons);
    return o;
}
