/* An engine that is fed from a file. What surprises: a checkpoint that follows on what was replayed
 * is not taken but compared, so that one wrong bit in the evidence is seen at the next checkpoint
 * even when it moves no decision.
 */
#include "controller/replay.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "controller/engine.h"

struct replay {
    struct str file;
    const struct policy *policy;
    const struct replay_listener *listener;
    struct replay_result *result;
    bool sums;

    struct engine engine;
    bool running;            /* the engine stands where the journal stands */
    uint64_t segment;        /* the last one's number */
    int64_t last_ns;         /* of the last look */
    int64_t base_ns;         /* of the last checkpoint, */
    int64_t base_wall_ns;    /* and the same by the wall clock */
    struct observation news; /* of one look */

    /* the last look: */
    bool refused; /* by the store, then */
    bool decided; /* something was, then */
    size_t look_at;
    bool took; /* something is, now */
    struct rollout_decision *decision;
};

static int64_t wall_of(const struct replay *r, int64_t now_ns)
{
    return r->base_wall_ns + (now_ns - r->base_ns);
}

static void damage(struct replay *r, size_t at, const char *what)
{
    if (r->result->damages++ < REPLAY_DAMAGES_MAX && r->listener->damage != NULL)
        r->listener->damage(r->listener->ctx, at, what);
}

/* --- the engine's ports: what the store did then, it does again --- */

static void set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    (void)ctx;
    (void)epoch;
    (void)weight_bp;
}

static int commit(void *ctx, const struct rollout_decision *d)
{
    const struct replay *r = ctx;

    (void)d;
    return r->refused ? -EIO : 0;
}

static int commit_owed(void *ctx, const struct rollout_state *s)
{
    (void)ctx;
    (void)s;
    return 0;
}

static void event(void *ctx, const struct rollout_decision *d)
{
    struct replay *r = ctx;

    (void)d;
    r->took = true;
}

/* --- checkpoints --- */

static void stop(struct replay *r)
{
    if (r->running)
        engine_deinit(&r->engine);
    r->running = false;
}

/* Begins at a checkpoint, whatever was before. */
static void take_up(struct replay *r, size_t at, const struct journal_segment *s)
{
    struct rollout_state state;
    struct error error = {0};
    char text[320];

    stop(r);
    engine_init(&r->engine, r->policy, s->now_ns);
    r->running = true;
    if (s->from == JOURNAL_FROM_INIT)
        return;
    int rc = state_from_text(s->state, &state, &error);
    /* A stored state's time was another process's, and counts for nothing. */
    if (rc == 0 && s->from == JOURNAL_FROM_ADOPTED && state.last_ns > s->now_ns)
        state.last_ns = s->now_ns;
    if (rc == 0 && state.last_ns > s->now_ns)
        rc = error_set(&error, -EINVAL, "it is of a time to come");
    if (rc == 0)
        engine_adopt(&r->engine, &state);
    else
        error_context(&error, "the checkpoint's state cannot be taken up: ");
    if (rc == 0 && s->from == JOURNAL_FROM_SAVED) {
        rc = analysis_load(r->engine.analysis, s->analysis, &error);
        if (rc != 0)
            error_context(&error, "the checkpoint's evidence cannot be taken up: ");
    }
    if (rc == 0)
        return;
    snprintf(text, sizeof(text), "%s", error.message);
    damage(r, at, text);
    stop(r);
}

/* What was replayed must have come to what the checkpoint says. */
static bool is_at(const struct replay *r, const struct journal_segment *s,
                  struct decision_difference *ret)
{
    struct strbuf state, analysis;

    memset(ret, 0, sizeof(*ret));
    strbuf_init(&state, JOURNAL_RECORD_MAX);
    strbuf_init(&analysis, JOURNAL_RECORD_MAX);
    state_add_text(&r->engine.state, &state);
    bool same = !decision_text_difference(s->state, strbuf_str(&state), ret);
    if (same && analysis_save(r->engine.analysis, &analysis) == 0 &&
        !str_eq(s->analysis, strbuf_str(&analysis))) {
        same = false;
        snprintf(ret->path, sizeof(ret->path), "the evidence");
        snprintf(ret->recorded, sizeof(ret->recorded), "%zu bytes", s->analysis.len);
        snprintf(ret->now, sizeof(ret->now), "%zu bytes, %s", analysis.len,
                 analysis.len == s->analysis.len ? "others" : "not the same");
    }
    strbuf_deinit(&state);
    strbuf_deinit(&analysis);
    return same;
}

static void differs(struct replay *r, size_t at, int64_t wall_ns, uint64_t number)
{
    struct replay_result *ret = r->result;

    ret->differs = true;
    ret->differs_at = at;
    ret->differs_wall_ns = wall_ns;
    ret->differs_number = number;
}

static void segment(struct replay *r, const struct journal_reader *reader)
{
    struct journal_segment s;

    if (!journal_get_segment(reader->payload, &s)) {
        damage(r, reader->record_at, "a checkpoint that says nothing sensible");
        stop(r);
        return;
    }
    bool follows = r->running && s.number == r->segment + 1 && s.from == JOURNAL_FROM_SAVED &&
                   s.now_ns == r->last_ns;
    r->base_ns = s.now_ns;
    r->base_wall_ns = s.wall_ns;
    if (follows) {
        struct decision_difference difference;
        if (!is_at(r, &s, &difference)) {
            r->result->difference = difference;
            differs(r, reader->record_at, s.wall_ns, 0);
        }
    } else {
        r->result->gaps += r->segment > 0;
        take_up(r, reader->record_at, &s);
    }
    r->segment = s.number;
    r->last_ns = s.now_ns;
    r->result->segments++;
}

/* --- looks --- */

static void note_look(struct replay *r, int64_t now_ns)
{
    struct replay_result *ret = r->result;

    if (ret->differs_at_look != 0)
        return;
    ret->differs_at_look = ret->looks;
    ret->differs_wall_ns = wall_of(r, now_ns);
    ret->differs_at = r->look_at;
}

/* Something was decided on one side only. */
static void one_sided(struct replay *r, const char *recorded, const char *now)
{
    struct decision_difference *d = &r->result->difference;

    memset(d, 0, sizeof(*d));
    snprintf(d->path, sizeof(d->path), "the decision");
    str_copy(d->recorded, sizeof(d->recorded), str_from(recorded));
    str_copy(d->now, sizeof(d->now), str_from(now));
    differs(r, r->look_at, wall_of(r, r->last_ns), 0);
}

static void look(struct replay *r, const struct journal_reader *reader)
{
    static const struct engine_ports ports = {set_weight, commit, commit_owed, event, NULL};
    struct journal_look_record l;

    if (!r->running)
        return;
    if (!journal_get_look(reader->payload, r->policy, r->last_ns, &l, &r->news)) {
        damage(r, reader->record_at, "a look that says nothing sensible");
        stop(r);
        return;
    }
    struct engine_ports with = ports;
    with.ctx = r;
    r->refused = l.refused;
    r->decided = l.decided;
    r->look_at = reader->record_at;
    r->took = false;
    r->last_ns = l.now_ns;
    engine_look(&r->engine, l.kind, l.has_observation ? &r->news : NULL,
                l.has_command ? &l.command : NULL, l.now_ns, &with, r->decision);
    r->result->looks++;
    if (r->sums && decision_sum(r->decision) != l.sum)
        note_look(r, l.now_ns);
    if (r->took && !r->decided)
        one_sided(r, "nothing", event_names[r->decision->event]);
}

static void decision(struct replay *r, const struct journal_reader *reader)
{
    struct journal_decision d;
    struct strbuf now;

    if (!r->running)
        return;
    if (!r->decided || !journal_get_decision(reader->payload, &d)) {
        damage(r, reader->record_at, "a decision that says nothing sensible");
        return;
    }
    r->decided = false;
    strbuf_init(&now, JOURNAL_RECORD_MAX);
    if (r->took)
        decision_add_text(r->decision, &now);
    else
        strbuf_add(&now, STR("{\"event\":\"nothing\"}"));
    bool same = !decision_text_difference(d.text, strbuf_str(&now), &r->result->difference);
    strbuf_deinit(&now);
    r->result->decisions++;
    const struct replay_decision told = {d.number, d.wall_ns, reader->record_at, r->decision, same};
    if (r->listener->decision != NULL)
        r->listener->decision(r->listener->ctx, &told);
    if (!same)
        differs(r, reader->record_at, d.wall_ns, d.number);
}

/* --- the whole --- */

static int read_head(struct str file, struct journal_reader *reader, struct journal_head *ret,
                     struct error *reterr)
{
    int rc = journal_open(file, reader, reterr);

    if (rc != 0)
        return rc;
    rc = journal_next(reader, reterr);
    if (rc == 1 && (reader->kind != JOURNAL_HEAD || !journal_get_head(reader->payload, ret)))
        rc = error_set(reterr, -EINVAL, "it is no journal's beginning");
    if (rc == 0)
        rc = error_set(reterr, -EINVAL, "there is nothing behind its first line");
    if (rc < 0) {
        error_context(reterr, "at byte %zu: ", reader->record_at);
        return rc;
    }
    return 0;
}

static int read_policy(const struct journal_head *head, struct policy **ret, struct error *reterr)
{
    struct diagnostics errors;

    if (head->policy.len == 0)
        return error_set(reterr, -EINVAL, "it carries no policy");
    diagnostics_init(&errors);
    int rc = policy_parse(STR("journal"), head->policy, ret, &errors);
    for (size_t i = 0; rc != 0 && i < errors.count; i++)
        if (errors.items[i].code != 0) {
            rc = error_set(reterr, -EINVAL,
                           "the policy in it is none that this program takes: line %u, column %u: "
                           "%.160s",
                           errors.items[i].at.line, errors.items[i].at.column,
                           errors.items[i].message);
            break;
        }
    diagnostics_deinit(&errors);
    return rc;
}

int replay_policy(struct str file, struct policy **ret, struct error *reterr)
{
    struct journal_reader reader;
    struct journal_head head;
    int rc = read_head(file, &reader, &head, reterr);

    return rc != 0 ? rc : read_policy(&head, ret, reterr);
}

static void check_end(struct replay *r, const struct journal_reader *reader)
{
    struct journal_end end;
    char text[200];

    if (!journal_get_end(reader->payload, &end)) {
        damage(r, reader->record_at, "an end that says nothing sensible");
        return;
    }
    r->result->ended = true;
    if (r->result->damages > 0 || end.looks == r->result->looks)
        return;
    snprintf(text, sizeof(text), "the end speaks of %llu looks, %llu were replayed",
             (unsigned long long)end.looks, (unsigned long long)r->result->looks);
    damage(r, reader->record_at, text);
}

static void record(struct replay *r, const struct journal_reader *reader)
{
    if (r->decided && r->running && reader->kind != JOURNAL_DECISION) {
        damage(r, reader->record_at, "a decision is missing here");
        r->decided = false;
    }
    switch (reader->kind) {
    case JOURNAL_SEGMENT:
        segment(r, reader);
        return;
    case JOURNAL_LOOK:
        look(r, reader);
        return;
    case JOURNAL_DECISION:
        decision(r, reader);
        return;
    case JOURNAL_END:
        check_end(r, reader);
        return;
    case JOURNAL_HEAD:
        damage(r, reader->record_at, "a second beginning");
        return;
    }
}

static void run(struct replay *r, struct journal_reader *reader)
{
    struct error error = {0};
    int rc = 0;

    while (!r->result->differs && !r->result->ended) {
        rc = journal_next(reader, &error);
        if (rc == 0)
            break;
        if (rc < 0) {
            damage(r, reader->record_at, error.message);
            stop(r); /* the engine no longer stands where the journal does */
            r->decided = false;
            continue;
        }
        record(r, reader);
    }
    if (rc == 0 && !r->result->ended && !r->result->differs)
        damage(r, reader->at, "the journal ends here, without its last record");
}

int replay_run(struct str file, const struct replay_listener *listener, struct replay_result *ret,
               struct error *reterr)
{
    struct journal_reader reader;
    struct journal_head head;
    struct policy *policy = NULL;

    memset(ret, 0, sizeof(*ret));
    int rc = read_head(file, &reader, &head, reterr);
    if (rc == 0)
        rc = read_policy(&head, &policy, reterr);
    if (rc != 0)
        return rc;
    struct replay r = {.file = file, .policy = policy, .listener = listener, .result = ret};
    ret->sums = r.sums = head.fields == decision_fields_version();
    r.decision = xcalloc(1, sizeof(*r.decision));
    observation_init(&r.news);
    run(&r, &reader);
    stop(&r);
    observation_deinit(&r.news);
    free(r.decision);
    policy_free(policy);
    return 0;
}
