/* An engine with the new policy, fed from a journal of the old one. What surprises: epochs. Both
 * sides count their own; requests that were recorded under one of the old policy's are given to the
 * new one as of the epoch it was in then.
 */
#include "controller/journal_whatif.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "controller/decision_fields.h"
#include "controller/engine.h"
#include "controller/journal_format.h"
#include "controller/replay.h"

enum { NONE = UINT32_MAX };

struct epochs {
    uint32_t recorded, now;
};

struct whatif {
    struct policy *old;            /* the journal's */
    struct policy policy;          /* the new one with the old one's versions; borrows both */
    uint32_t source[CRITERIA_MAX]; /* whose counts each new criterion takes; NONE */
    struct whatif_result *result;
    void (*decided)(void *ctx, const struct whatif_look *);
    void *ctx;

    struct engine engine;
    bool running, took;
    struct rollout_decision *decision;
    struct observation recorded, news;
    struct epochs *epochs; /* heap, in rising order */
    size_t epoch_count, epoch_capacity;
    int64_t slots; /* of the old policy in one of the new */
    uint64_t segment;
    int64_t first_ns, last_ns, base_ns, base_wall_ns;
    bool looked; /* a look waits for the decision that was recorded at it */
    bool refused, parted;
    struct whatif_look look;
    uint32_t weight_bp; /* recorded */
};

/* --- which counts go where -------------------------------------------------------------------- */

static bool same_texts(const char *const *a, size_t n, const char *const *b, size_t m)
{
    bool same = n == m;

    for (size_t i = 0; same && i < n; i++)
        same = strcmp(a[i], b[i]) == 0;
    return same;
}

static bool same_where(const struct policy_where *a, const struct policy_where *b)
{
    return a->stream == b->stream && same_texts(a->paths, a->path_count, b->paths, b->path_count) &&
           same_texts(a->methods, a->method_count, b->methods, b->method_count);
}

/* Whether a request is a sample, and bad, for the one exactly when it is for the other. */
static bool counts_the_same(const struct policy_criterion *a, const struct policy_criterion *b)
{
    if (a->metric != b->metric || a->kinds != b->kinds || !same_where(&a->where, &b->where) ||
        (a->test == TEST_SHIFT) != (b->test == TEST_SHIFT))
        return false;
    if ((a->field == NULL) != (b->field == NULL) ||
        (a->field != NULL && strcmp(a->field, b->field) != 0))
        return false;
    if (!criterion_is_time(a))
        return true;
    if (criterion_follows_stable(a) != criterion_follows_stable(b))
        return false;
    return criterion_follows_stable(a) ? a->quantile == b->quantile && a->ratio == b->ratio &&
                                             a->limit == b->limit && a->slack_ns == b->slack_ns
                                       : a->limit_ns == b->limit_ns;
}

static void match_criteria(struct whatif *w)
{
    const struct policy_analysis *now = &w->policy.analysis, *old = &w->old->analysis;

    for (size_t i = 0; i < now->criteria_count; i++) {
        w->source[i] = NONE;
        for (uint32_t j = 0; j < old->criteria_count && w->source[i] == NONE; j++)
            if (counts_the_same(&now->criteria[i], &old->criteria[j]))
                w->source[i] = j;
        if (w->source[i] == NONE)
            w->result->criteria_without |= UINT32_C(1) << i;
    }
    w->result->errors_differ = now->error_kinds != old->error_kinds;
}

static int match_slots(struct whatif *w, struct error *reterr)
{
    int64_t now_ns = w->policy.analysis.slot_ns, old_ns = w->old->analysis.slot_ns;

    w->slots = now_ns / old_ns;
    if (now_ns % old_ns == 0)
        return 0;
    return error_set(reterr, -EINVAL,
                     "burst_guard.slot is no multiple of the recorded one (%lld ms): what was seen "
                     "in a slot cannot be divided",
                     (long long)(old_ns / 1000000));
}

static uint32_t epoch_now(const struct whatif *w, uint32_t recorded)
{
    size_t i = w->epoch_count;

    while (i > 1 && w->epochs[i - 1].recorded > recorded)
        i--;
    return w->epochs[i - 1].now;
}

static void add_epochs(struct whatif *w, uint32_t recorded, uint32_t now)
{
    if (w->epoch_count == w->epoch_capacity) {
        w->epoch_capacity = w->epoch_capacity == 0 ? 16 : 2 * w->epoch_capacity;
        w->epochs = xrealloc(w->epochs, w->epoch_capacity * sizeof(*w->epochs));
    }
    w->epochs[w->epoch_count++] = (struct epochs){recorded, now};
}

static void add_counts(const struct whatif *w, const struct slot_counts *from,
                       struct slot_counts *to)
{
    to->dispatched += from->dispatched;
    to->settled += from->settled;
    to->errors += from->errors;
    to->excused += from->excused;
    for (size_t i = 0; i < w->policy.analysis.criteria_count; i++) {
        uint32_t j = w->source[i];
        if (j == NONE) {
            to->excluded[i] += from->dispatched;
            continue;
        }
        to->bad[i] += from->bad[j];
        to->excluded[i] += from->excluded[j];
        to->overdue[i] += from->overdue[j];
    }
}

static void add_shifts(struct whatif *w, const struct shift_delta *from)
{
    for (uint32_t i = 0; i < w->policy.analysis.criteria_count; i++) {
        if (w->source[i] != from->criterion)
            continue;
        uint32_t epoch = epoch_now(w, from->epoch);
        struct shift_delta *to = observation_shift_at(&w->news, epoch, i);
        *to = *from;
        to->epoch = epoch;
        to->criterion = i;
    }
}

static void translate(struct whatif *w)
{
    observation_clear(&w->news);
    for (size_t i = 0; i < w->recorded.count; i++) {
        const struct slot_delta *d = &w->recorded.deltas[i];
        struct slot_delta *to =
            observation_at(&w->news, epoch_now(w, d->epoch), d->slot / w->slots);
        for (int v = 0; v < VARIANT_COUNT; v++)
            add_counts(w, &d->variants[v], &to->variants[v]);
        w->result->requests += d->variants[VARIANT_CANARY].dispatched;
        w->result->errors += d->variants[VARIANT_CANARY].errors;
    }
    for (size_t i = 0; i < w->recorded.shift_count; i++)
        add_shifts(w, &w->recorded.shifts[i]);
}

/* --- the engine ------------------------------------------------------------------------------- */

static void set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    (void)ctx;
    (void)epoch;
    (void)weight_bp;
}

static int commit(void *ctx, const struct rollout_decision *d)
{
    const struct whatif *w = ctx;

    (void)d;
    return w->refused ? -EIO : 0;
}

static int commit_owed(void *ctx, const struct rollout_state *s)
{
    (void)ctx;
    (void)s;
    return 0;
}

static void event(void *ctx, const struct rollout_decision *d)
{
    struct whatif *w = ctx;

    (void)d;
    w->took = true;
}

static void stop(struct whatif *w)
{
    if (w->running)
        engine_deinit(&w->engine);
    w->running = false;
}

/* Behind a gap the state is the recorded one, and the evidence begins anew under its weight. */
static int take_up(struct whatif *w, const struct journal_segment *s, struct error *reterr)
{
    struct rollout_state state;

    stop(w);
    engine_init(&w->engine, &w->policy, s->now_ns);
    w->running = true;
    w->weight_bp = w->engine.state.weight_bp;
    w->epoch_count = 0;
    add_epochs(w, w->engine.state.epoch, w->engine.state.epoch);
    if (s->from == JOURNAL_FROM_INIT)
        return 0;
    int rc = state_from_text(s->state, &state, reterr);
    if (rc == 0 && state.step > w->policy.step_count)
        rc = error_set(reterr, -EINVAL, "it begins in step %u, and the policy has %zu", state.step,
                       w->policy.step_count);
    if (rc != 0)
        return rc;
    if (state.last_ns > s->now_ns)
        state.last_ns = s->now_ns;
    engine_adopt(&w->engine, &state);
    w->weight_bp = state.weight_bp;
    w->epochs[0] = (struct epochs){state.epoch, state.epoch};
    if (s->from == JOURNAL_FROM_SAVED) {
        w->result->gaps++;
        analysis_weight(w->engine.analysis, state.epoch, state.weight_bp,
                        state.step > 0 ? WEIGHT_STEP : WEIGHT_GOES_ON, s->now_ns);
    }
    return 0;
}

static int segment(struct whatif *w, struct str payload, struct error *reterr)
{
    struct journal_segment s;

    if (!journal_get_segment(payload, &s)) {
        w->result->damages++;
        stop(w);
        return 0;
    }
    bool follows = w->running && s.number == w->segment + 1 && s.from == JOURNAL_FROM_SAVED &&
                   s.now_ns == w->last_ns;
    w->base_ns = s.now_ns;
    w->base_wall_ns = s.wall_ns;
    w->segment = s.number;
    if (w->first_ns < 0)
        w->first_ns = s.now_ns;
    w->last_ns = s.now_ns;
    return follows ? 0 : take_up(w, &s, reterr);
}

/* --- looks ------------------------------------------------------------------------------------ */

static void fill_now(const struct whatif *w, struct whatif_step *ret)
{
    const struct rollout_decision *d = w->decision;
    const struct rollout_state *s = &w->engine.state;
    const struct policy_analysis *a = &w->policy.analysis;

    ret->event = w->took ? d->event : EVENT_NONE;
    ret->cause = w->took ? d->cause : CAUSE_NONE;
    ret->phase = s->phase;
    ret->step = s->step;
    ret->weight_bp = s->weight_bp;
    if (w->took && d->criterion < a->criteria_count)
        snprintf(ret->criterion, sizeof(ret->criterion), "%s", a->criteria[d->criterion].name);
}

static void look(struct whatif *w, struct str payload)
{
    struct journal_look_record l;
    struct engine_ports ports = {set_weight, commit, commit_owed, event, w};

    if (!w->running)
        return;
    if (!journal_get_look(payload, w->old, w->last_ns, &l, &w->recorded)) {
        w->result->damages++;
        stop(w);
        return;
    }
    translate(w);
    w->last_ns = l.now_ns;
    w->refused = l.refused;
    w->took = false;
    engine_look(&w->engine, l.kind, l.has_observation ? &w->news : NULL,
                l.has_command ? &l.command : NULL, l.now_ns, &ports, w->decision);
    w->result->looks++;
    w->result->until_ns = l.now_ns - w->first_ns;
    memset(&w->look, 0, sizeof(w->look));
    w->look.wall_ns = w->base_wall_ns + (l.now_ns - w->base_ns);
    w->look.since_ns = l.now_ns - w->first_ns;
    fill_now(w, &w->look.now);
    w->look.recorded.weight_bp = w->weight_bp;
    w->looked = true;
}

static uint32_t number_at(const json_t *o, const char *key)
{
    json_int_t n = json_integer_value(json_object_get(o, key));

    return n < 0 || n > INT32_MAX ? 0 : (uint32_t)n;
}

static uint32_t named(const json_t *o, const char *key, const char *const *names, uint32_t count)
{
    const char *name = json_string_value(json_object_get(o, key));

    for (uint32_t i = 0; name != NULL && i < count; i++)
        if (strcmp(names[i], name) == 0)
            return i;
    return 0;
}

/* What was recorded, from a decision's text. */
static void fill_recorded(struct whatif *w, const struct journal_decision *d)
{
    struct whatif_step *ret = &w->look.recorded;
    json_t *o = json_loadb(d->text.ptr, d->text.len, 0, NULL);
    const json_t *after = json_object_get(o, "after");
    const json_t *criterion = json_object_get(o, "criterion");

    ret->number = d->number;
    ret->event = (enum rollout_event)named(o, "event", event_names, EVENT_COUNT);
    ret->cause = (enum rollout_cause)named(o, "cause", cause_names, CAUSE_COUNT);
    ret->phase = (enum rollout_phase)named(after, "phase", phase_names, PHASE_COUNT);
    ret->step = number_at(after, "step");
    ret->weight_bp = w->weight_bp = number_at(after, "weight_bp");
    uint32_t index = criterion == NULL ? NONE : number_at(o, "criterion");
    if (index < w->old->analysis.criteria_count)
        snprintf(ret->criterion, sizeof(ret->criterion), "%s",
                 w->old->analysis.criteria[index].name);
    if (number_at(after, "epoch") > 0)
        add_epochs(w, number_at(after, "epoch"), w->engine.state.epoch);
    json_decref(o);
}

/* The look and what was decided at it are both known. */
static void settle(struct whatif *w)
{
    if (!w->looked)
        return;
    w->looked = false;
    bool parted = w->look.recorded.weight_bp != w->look.now.weight_bp;
    if (!parted && w->decided != NULL &&
        (w->look.recorded.event != EVENT_NONE || w->look.now.event != EVENT_NONE))
        w->decided(w->ctx, &w->look);
    if (!parted)
        return;
    w->parted = true;
    w->result->end = WHATIF_DIFFERENT;
    w->result->last = w->look;
}

/* Where the new policy decided first: what came in its place, later. */
static void find_next(struct whatif *w, struct journal_reader *r)
{
    struct journal_decision d;

    if (w->result->last.recorded.event != EVENT_NONE)
        return;
    do {
        if (r->kind != JOURNAL_DECISION || !journal_get_decision(r->payload, &d))
            continue;
        memset(&w->look, 0, sizeof(w->look));
        fill_recorded(w, &d);
        w->look.wall_ns = d.wall_ns;
        w->look.since_ns = w->result->last.since_ns + (d.wall_ns - w->result->last.wall_ns);
        w->result->next = w->look;
        w->result->next_known = true;
        return;
    } while (journal_next(r, NULL) == 1);
}

static int record(struct whatif *w, const struct journal_reader *r, struct error *reterr)
{
    struct journal_decision d;

    if (r->kind == JOURNAL_DECISION) {
        if (w->looked && journal_get_decision(r->payload, &d))
            fill_recorded(w, &d);
        return 0;
    }
    settle(w); /* nothing more comes about the last look */
    if (w->parted)
        return 0;
    if (r->kind == JOURNAL_SEGMENT)
        return segment(w, r->payload, reterr);
    if (r->kind == JOURNAL_LOOK)
        look(w, r->payload);
    return 0;
}

static int follow(struct whatif *w, struct str file, struct error *reterr)
{
    struct journal_reader reader;
    struct error ignored;
    int rc = journal_open(file, &reader, reterr), more = 1;

    while (rc == 0 && !w->parted && (more = journal_next(&reader, &ignored)) != 0) {
        if (more == 1) {
            rc = record(w, &reader, reterr);
            continue;
        }
        w->result->damages++;
        settle(w);
        stop(w);
    }
    if (rc == 0 && !w->parted)
        settle(w);
    if (rc == 0 && w->parted)
        find_next(w, &reader);
    if (rc == 0 && w->result->looks == 0)
        rc = error_set(reterr, -EINVAL, "there is no look in it that could be followed");
    return rc;
}

int whatif_run(struct str journal, const struct policy *policy,
               void (*decided)(void *ctx, const struct whatif_look *), void *ctx,
               struct whatif_result *ret, struct error *reterr)
{
    struct whatif *w = xcalloc(1, sizeof(*w));
    int rc = replay_policy(journal, &w->old, reterr);

    memset(ret, 0, sizeof(*ret));
    w->result = ret;
    w->decided = decided;
    w->ctx = ctx;
    w->first_ns = -1;
    if (rc == 0) {
        w->policy = *policy;
        memcpy(w->policy.versions, w->old->versions, sizeof(w->policy.versions));
        w->decision = xcalloc(1, sizeof(*w->decision));
        match_criteria(w);
        rc = match_slots(w, reterr);
    }
    if (rc == 0)
        rc = follow(w, journal, reterr);
    stop(w);
    observation_deinit(&w->recorded);
    observation_deinit(&w->news);
    policy_free(w->old);
    free(w->decision);
    free(w->epochs);
    free(w);
    return rc;
}
