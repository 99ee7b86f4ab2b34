/* One function per member. Everything is taken as it stands when the decision falls; a decision
 * that the canary's requests did not bring about gets no slots.
 */
#include "controller/basis.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/recorder.h"
#include "base/arena.h"
#include "base/check.h"
#include "controller/carried.h"

enum {
    JOURNAL_READ_MAX =
        256 * 1024, /* bytes of it that are looked through for slots: hours, mostly */
    EXAMPLES_READ = 64,
};

static json_t *when(int64_t wall_ns)
{
    char text[WALL_TEXT_MAX];

    return wall_ns == 0 ? json_null() : json_string(wall_to_text(wall_ns, text));
}

static json_t *count_json(uint64_t n)
{
    return json_integer((json_int_t)n);
}

/* --- slots ------------------------------------------------------------------------------------ */

static void on_look(void *ctx, int64_t now_ns, const struct observation *o)
{
    (void)now_ns;
    carried_add(ctx, o);
}

/* Whose slots are asked for: a criterion, CARRIED_ERRORS, or UINT32_MAX for none. */
static uint32_t accused(const struct decision_facts *f)
{
    const struct rollout_decision *d = f->decision;

    switch (d->cause) {
    case CAUSE_HARD_DOWN:
        return CARRIED_ERRORS;
    case CAUSE_SHIFT:
        return UINT32_MAX; /* distributions have no slots */
    case CAUSE_CRITERION:
    case CAUSE_WIDE:
    case CAUSE_WINDOW:
        return d->criterion < d->report.count ? d->criterion : d->report.worst;
    case CAUSE_UNSTEADY:
    case CAUSE_COMMAND:
    case CAUSE_UNDECIDED:
        /* The sign against it that there was, if there was any. */
        return d->report.worst < d->report.count && d->report.criteria[d->report.worst].log_e > 0
                   ? d->report.worst
                   : UINT32_MAX;
    case CAUSE_NONE:
    case CAUSE_CANARY:
    case CAUSE_PASSED:
    case CAUSE_APPROVAL:
    case CAUSE_RESTART:
    case CAUSE_VISIT:
    case CAUSE_NO_DATA:
    case CAUSE_BAKED:
    case CAUSE_COUNT:
        return UINT32_MAX;
    }
    UNREACHABLE();
}

static int64_t slot_wall_ns(const struct decision_facts *f, int64_t slot)
{
    return f->wall_ns - (f->now_ns - slot * f->policy->analysis.slot_ns);
}

static void add_counts(json_t *o, const struct carried_slot *s)
{
    json_object_set_new(o, "requests", json_integer(s->requests[VARIANT_CANARY]));
    json_object_set_new(o, "bad", json_integer(s->bad[VARIANT_CANARY]));
    json_object_set_new(o, "stable_requests", json_integer(s->requests[VARIANT_STABLE]));
    json_object_set_new(o, "stable_bad", json_integer(s->bad[VARIANT_STABLE]));
    json_object_set_new(o, "added", json_number(s->added));
}

static int by_added(const void *a, const void *b)
{
    const struct carried_slot *const *s = a, *const *t = b;

    if ((*s)->added != (*t)->added)
        return (*s)->added > (*t)->added ? -1 : 1;
    if ((*s)->bad[VARIANT_CANARY] != (*t)->bad[VARIANT_CANARY])
        return (*s)->bad[VARIANT_CANARY] > (*t)->bad[VARIANT_CANARY] ? -1 : 1;
    return *s < *t ? -1 : *s > *t;
}

static int by_time(const void *a, const void *b)
{
    const struct carried_slot *const *s = a, *const *t = b;

    return *s < *t ? -1 : *s > *t; /* they lie in this order */
}

static json_t *slot_list(const struct decision_facts *f, const struct carried *c,
                         uint64_t *ret_others)
{
    const struct carried_slot **bad = xcalloc(c->to - c->from, sizeof(const struct carried_slot *));
    json_t *list = json_array();
    size_t n = 0;

    for (size_t i = c->from; i < c->to; i++)
        if (c->slots[i].bad[VARIANT_CANARY] > 0)
            bad[n++] = &c->slots[i];
    qsort(bad, n, sizeof(bad[0]), by_added);
    n = n < BASIS_SLOTS_MAX ? n : BASIS_SLOTS_MAX;
    qsort(bad, n, sizeof(bad[0]), by_time);
    for (size_t i = 0; i < n; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "time", when(slot_wall_ns(f, bad[i]->slot)));
        add_counts(o, bad[i]);
        json_array_append_new(list, o);
    }
    *ret_others = c->to - c->from - n;
    free(bad);
    return list;
}

static json_t *stretch(const struct decision_facts *f, const struct carried *c)
{
    const struct policy_analysis *a = &f->policy->analysis;
    bool errors = c->criterion == CARRIED_ERRORS;
    struct carried_slot all = {0};
    uint64_t others;

    for (size_t i = c->from; i < c->to; i++) {
        for (int v = 0; v < VARIANT_COUNT; v++) {
            all.requests[v] += c->slots[i].requests[v];
            all.bad[v] += c->slots[i].bad[v];
        }
        all.added += c->slots[i].added;
    }
    json_t *o = json_object();
    json_object_set_new(o, "criterion",
                        errors ? json_null() : json_text(a->criteria[c->criterion].name));
    json_object_set_new(o, "limit", errors ? json_null() : json_number(c->p0));
    json_object_set_new(o, "share", json_number(c->p1));
    json_object_set_new(o, "seconds", json_seconds(a->slot_ns));
    json_object_set_new(o, "from", when(slot_wall_ns(f, c->slots[c->from].slot)));
    json_object_set_new(o, "to", when(slot_wall_ns(f, c->slots[c->to - 1].slot + 1)));
    add_counts(o, &all);
    json_object_set_new(o, "list", slot_list(f, c, &others));
    json_object_set_new(o, "others", count_json(others));
    return o;
}

static json_t *slots(const struct basis_source *src)
{
    uint32_t criterion = accused(src->facts);
    struct carried c;
    json_t *o = json_null();

    if (criterion == UINT32_MAX)
        return o;
    carried_init(&c, criterion);
    journal_each(history_journal(src->history), INT64_MIN, JOURNAL_READ_MAX, on_look, &c);
    if (src->observation != NULL)
        carried_add(&c, src->observation);
    carried_weigh(&c, src->facts->policy, &src->facts->decision->report);
    if (c.to > c.from)
        o = stretch(src->facts, &c);
    carried_deinit(&c);
    return o;
}

/* --- outcomes, examples ----------------------------------------------------------------------- */

static json_t *by_kind(const uint64_t counts[static OUTCOME_KIND_COUNT])
{
    json_t *o = json_object();

    for (int k = 0; k < OUTCOME_KIND_COUNT; k++)
        if (counts[k] > 0)
            json_object_set_new(o, outcome_names[k], count_json(counts[k]));
    return o;
}

static json_t *kinds(const struct basis_source *src)
{
    uint64_t since[OUTCOME_KIND_COUNT];
    int64_t wall_ns = 0;
    bool failed = history_since_failure(src->history, since, &wall_ns);
    json_t *o = json_object();

    json_object_set_new(o, "step", by_kind(src->outcomes));
    json_object_set_new(o, "since_failure", failed ? by_kind(since) : json_null());
    json_object_set_new(o, "first_failure", failed ? when(wall_ns) : json_null());
    return o;
}

static json_t *criteria_of(const struct policy *policy, uint32_t mask)
{
    json_t *names = json_array();

    for (size_t i = 0; i < policy->analysis.criteria_count; i++)
        if (mask >> i & 1)
            json_array_append_new(names, json_text(policy->analysis.criteria[i].name));
    return names;
}

static json_t *example_json(const struct policy *policy, const struct recorder_example *e)
{
    const struct policy_version *canary = &policy->versions[VARIANT_CANARY];
    json_t *o = json_object();

    json_object_set_new(o, "id", json_text(e->id[0] == '\0' ? NULL : e->id));
    json_object_set_new(o, "time", when(e->wall_ns));
    json_object_set_new(o, "kind", e->in_flight ? json_null() : json_text(outcome_names[e->kind]));
    json_object_set_new(o, "in_flight", json_boolean(e->in_flight));
    json_object_set_new(o, "latency_ms",
                        e->latency_ns < 0 ? json_null()
                                          : json_number((double)e->latency_ns / (double)NS_PER_MS));
    json_object_set_new(o, "endpoint",
                        e->endpoint < canary->endpoint_count
                            ? json_text(canary->endpoints[e->endpoint].authority)
                            : json_null());
    json_object_set_new(o, "criteria", criteria_of(policy, e->bad_mask));
    return o;
}

/* Those first that were bad for what decided; each the newest of its kind. */
static json_t *examples(const struct basis_source *src)
{
    struct recorder_example *all = xcalloc(EXAMPLES_READ, sizeof(*all));
    uint32_t criterion = accused(src->facts), wanted = criterion < 32 ? 1u << criterion : 0;
    json_t *list = json_array();
    size_t n = 0;

    if (src->ports->examples != NULL)
        n = src->ports->examples(src->ports->ctx, src->rollout, all, EXAMPLES_READ);
    for (int fits = 1; fits >= 0; fits--)
        for (size_t i = 0; i < n && json_array_size(list) < BASIS_EXAMPLES_MAX; i++)
            if (((all[i].bad_mask & wanted) != 0 || wanted == 0) == (fits == 1))
                json_array_append_new(list, example_json(src->facts->policy, &all[i]));
    free(all);
    return list;
}

/* --- what was before -------------------------------------------------------------------------- */

static json_t *point_side(const struct history_point *p, enum variant v)
{
    json_t *o = json_object();

    json_object_set_new(o, "requests", count_json(p->requests[v]));
    json_object_set_new(o, "errors", count_json(p->errors[v]));
    return o;
}

/* The last one with what this look saw, which is not in the history yet. */
static struct history_point last_point(const struct basis_source *src, struct history_point p)
{
    const struct observation *o = src->observation;

    if (src->facts->wall_ns > p.wall_ns)
        p.length_ns = src->facts->wall_ns - p.wall_ns;
    for (size_t i = 0; o != NULL && i < o->count; i++)
        for (int v = 0; v < VARIANT_COUNT; v++) {
            p.requests[v] += o->deltas[i].variants[v].dispatched;
            p.errors[v] += o->deltas[i].variants[v].errors;
        }
    return p;
}

static json_t *points(const struct basis_source *src)
{
    const struct history_point *all;
    size_t n = history_points(src->history, &all);
    json_t *list = json_array();

    for (size_t i = 0; i < n; i++) {
        struct history_point p = i + 1 == n ? last_point(src, all[i]) : all[i];
        json_t *o = json_object();
        json_object_set_new(o, "time", when(p.wall_ns));
        json_object_set_new(o, "seconds", json_seconds(p.length_ns));
        json_object_set_new(o, "weight", json_percent(p.weight_bp));
        json_object_set_new(o, "stable", point_side(&p, VARIANT_STABLE));
        json_object_set_new(o, "canary", point_side(&p, VARIANT_CANARY));
        json_array_append_new(list, o);
    }
    return list;
}

static json_t *visits(const struct rollout_decision *d)
{
    const struct rollout_retreat *r =
        d->state.retreat.visit > 0 ? &d->state.retreat : &d->before.retreat;
    json_t *list = json_array();

    for (size_t i = 0; i < r->visit && i < ARRAY_LEN(r->seen); i++) {
        json_t *o = json_object();
        json_object_set_new(o, "requests", count_json(r->seen[i].requests));
        json_object_set_new(o, "bad", count_json(r->seen[i].bad));
        json_array_append_new(list, o);
    }
    return list;
}

/* --- and what now ----------------------------------------------------------------------------- */

static json_t *serving(const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;
    bool canary = s->weight_bp > WEIGHT_FULL_BP / 2;
    json_t *o = json_object();

    json_object_set_new(
        o, "version",
        json_text(canary ? s->canary_version : f->policy->versions[VARIANT_STABLE].version));
    json_object_set_new(o, "weight",
                        json_percent(canary ? s->weight_bp : WEIGHT_FULL_BP - s->weight_bp));
    return o;
}

static json_t * override(const struct decision_facts *f)
{
    const struct rollout_state *s = &f->decision->state;
    const char *verb = NULL, *does = NULL;
    char command[ROLLOUT_NAME_MAX + 64];

    switch (s->phase) {
    case PHASE_IDLE:
        return json_null();
    case PHASE_PENDING:
    case PHASE_SMOKE_TESTING:
        verb = "promote %s";
        does = "starts it";
        break;
    case PHASE_PROGRESSING:
    case PHASE_BAKING:
        verb = s->retreat.visit > 0 ? "promote %s --force" : "rollback %s";
        does = s->retreat.visit > 0
                   ? "gives the canary its step's weight back at once, on fresh evidence; "
                     "left alone, it is asked again by itself"
                   : "takes the canary to 0 now";
        break;
    case PHASE_PAUSED:
        verb = "resume %s";
        does = "goes on";
        break;
    case PHASE_AWAITING_APPROVAL:
        verb = "approve %s";
        does = "goes on";
        break;
    case PHASE_PROMOTED:
        verb = "rollback %s";
        does = "brings the former version back";
        break;
    case PHASE_ROLLED_BACK:
        verb = "retry %s";
        does = "tries the same canary again, from the first step, on fresh evidence";
        break;
    case PHASE_COUNT:
        UNREACHABLE();
    }
    int n = snprintf(command, sizeof(command), "sluice ");
    const char *at = strstr(verb, "%s");
    snprintf(command + n, sizeof(command) - (size_t)n, "%.*s%s%s", (int)(at - verb), verb,
             f->policy->name, at + 2);
    return json_pack("{s:s, s:s}", "command", command, "does", does);
}

json_t *basis_json(const struct basis_source *src)
{
    const struct decision_facts *f = src->facts;
    json_t *o = json_object();

    json_object_set_new(o, "slots", slots(src));
    json_object_set_new(o, "kinds", kinds(src));
    json_object_set_new(o, "examples", examples(src));
    json_object_set_new(o, "points", points(src));
    json_object_set_new(o, "before", events_before(src->events, f->policy->name, BASIS_BEFORE_MAX));
    json_object_set_new(o, "visits", visits(f->decision));
    json_object_set_new(o, "serving", serving(f));
    json_object_set_new(o, "override", override(f));
    return o;
}
