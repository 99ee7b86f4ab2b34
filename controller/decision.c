/* Decisions as JSON records; the sentences are in sentence.c. */
#include "controller/decision.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

static json_t *place(const struct rollout_state *s)
{
    json_t *o = json_object();

    json_object_set_new(o, "phase", json_text(phase_names[s->phase]));
    json_object_set_new(o, "step", json_integer(s->step));
    json_object_set_new(o, "weight", json_percent(s->weight_bp));
    return o;
}

static json_t *since_first_failure(const struct decision_facts *f)
{
    int64_t slot = f->decision->report.first_bad_slot;
    int64_t ns = f->now_ns - slot * f->policy->analysis.slot_ns;

    return slot < 0 || ns < 0 ? json_null() : json_seconds(ns);
}

static void add_command(json_t *o, const struct command *c)
{
    json_object_set_new(o, "command", c == NULL ? json_null() : json_text(command_names[c->kind]));
    json_object_set_new(o, "who", json_text(c == NULL || c->who[0] == '\0' ? NULL : c->who));
    json_object_set_new(o, "why", json_text(c == NULL || c->reason[0] == '\0' ? NULL : c->reason));
}

static json_t *record_json(const struct decision_facts *f, const struct decision_record *r)
{
    const struct rollout_decision *d = f->decision;
    const struct analysis_report *report = &d->report;
    const struct policy *policy = f->policy;
    char when[WALL_TEXT_MAX];
    json_t *o = json_object();

    json_object_set_new(o, "id", json_text(r->id));
    json_object_set_new(o, "time", json_text(wall_to_text(f->wall_ns, when)));
    json_object_set_new(o, "rollout", json_text(policy->name));
    json_object_set_new(o, "type", json_text(event_names[d->event]));
    json_object_set_new(o, "cause", json_text(cause_names[d->cause]));
    json_object_set_new(o, "reason", json_text(r->reason));
    json_object_set_new(o, "stable", json_text(policy->versions[VARIANT_STABLE].version));
    json_object_set_new(o, "canary",
                        json_text(d->state.canary_version[0] ? d->state.canary_version : NULL));
    json_object_set_new(o, "from", place(&d->before));
    json_object_set_new(o, "to", place(&d->state));
    json_object_set_new(o, "phase", json_text(phase_names[d->state.phase]));
    json_object_set_new(o, "step", json_integer(d->state.step));
    json_object_set_new(o, "weight", json_percent(d->state.weight_bp));
    json_object_set_new(o, "criterion",
                        d->criterion < report->count
                            ? json_text(policy->analysis.criteria[d->criterion].name)
                            : json_null());
    json_object_set_new(o, "evidence", evidence_json_combined(report));
    json_object_set_new(o, "criteria", evidence_json_criteria(policy, report, &f->latency));
    json_object_set_new(o, "hard_down", evidence_json_hard_down(policy, report));
    json_object_set_new(o, "seconds_since_first_failure", since_first_failure(f));
    add_command(o, f->command);
    return o;
}

struct decision_record *decision_record_new(const struct decision_facts *f)
{
    struct decision_record *r = xcalloc(1, sizeof(*r));

    snprintf(r->id, sizeof(r->id), "%s-%" PRIu64, f->policy->name, f->number);
    r->event = f->decision->event;
    r->wall_ns = f->wall_ns;
    decision_sentence(f, r->reason);
    r->json = record_json(f, r);
    return r;
}

void decision_record_free(struct decision_record *r)
{
    if (r == NULL)
        return;
    json_decref(r->json);
    json_decref(r->basis);
    free(r);
}
