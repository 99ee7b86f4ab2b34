/* A rollout with a journal: an engine, traffic that a test describes, and the file that comes out.
 * The traffic is the same for the same seed. */
#ifndef TESTS_UNIT_CONTROLLER_JOURNAL_FIXTURE_H
#define TESTS_UNIT_CONTROLLER_JOURNAL_FIXTURE_H

#include "fixtures.h"

#include <stdlib.h>

#include "base/rng.h"
#include "base/strbuf.h"
#include "controller/journal.h"
#include "controller/journal_format.h"

#define JOURNAL_POLICY                                                                             \
    "rollout: chat\n"                                                                              \
    "stable: {version: \"2.0.0\", endpoints: [http://127.0.0.1:9001]}\n"                           \
    "canary: {version: \"2.1.0\", endpoints: [http://127.0.0.1:9002]}\n"                           \
    "steps: [{weight: 50, hold: 20s}, {weight: 100, hold: 20s}]\n"                                 \
    "analysis:\n"                                                                                  \
    "  criteria:\n"                                                                                \
    "    - {metric: error_rate, max: 1%}\n"                                                        \
    "    - {metric: error_rate, max_increase: 0.5%}\n"

struct recorded {
    struct policy *policy;
    struct journals *all;
    struct journal *journal;
    struct engine engine;
    struct rng rng;
    struct observation news, late; /* of this look; what ends in the next one */
    int64_t now_ns;
    uint32_t epoch, weight_bp; /* as the proxies have them */
    uint32_t rate;             /* requests per look */
    double errors[VARIANT_COUNT];
    uint64_t decisions, looks;
    bool took, store_fails;
};

static inline void recorded_set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    struct recorded *r = ctx;

    r->epoch = epoch;
    r->weight_bp = weight_bp;
}

static inline int recorded_commit(void *ctx, const struct rollout_decision *d)
{
    (void)d;
    return ((const struct recorded *)ctx)->store_fails ? -5 : 0;
}

static inline int recorded_commit_owed(void *ctx, const struct rollout_state *s)
{
    (void)s;
    return ((const struct recorded *)ctx)->store_fails ? -5 : 0;
}

static inline void recorded_event(void *ctx, const struct rollout_decision *d)
{
    struct recorded *r = ctx;

    (void)d;
    r->took = true;
}

static inline int64_t recorded_wall_ns(const struct recorded *r)
{
    return INT64_C(1795546152000000000) + r->now_ns;
}

static inline struct policy *recorded_policy(const char *text)
{
    struct diagnostics errors;
    struct policy *policy = NULL;

    diagnostics_init(&errors);
    if (policy_parse(STR("test.yaml"), str_from(text), &policy, &errors) != 0)
        fail_msg("%s", errors.items[0].message);
    diagnostics_deinit(&errors);
    return policy;
}

static inline void recorded_init_with(struct recorded *r, const char *policy, size_t bytes_max)
{
    memset(r, 0, sizeof(*r));
    r->policy = recorded_policy(policy);
    r->now_ns = T0;
    r->rate = 20;
    r->all = journals_new(bytes_max);
    r->journal = journal_new(r->all, r->policy);
    rng_seed(&r->rng, 7);
    observation_init(&r->news);
    observation_init(&r->late);
    engine_init(&r->engine, r->policy, r->now_ns);
    r->epoch = r->engine.state.epoch;
    journal_begin(r->journal, &r->engine, false, r->now_ns, recorded_wall_ns(r));
}

static inline void recorded_init(struct recorded *r)
{
    recorded_init_with(r, JOURNAL_POLICY, JOURNALS_BYTES_MAX);
}

static inline void recorded_deinit(struct recorded *r)
{
    engine_deinit(&r->engine);
    observation_deinit(&r->news);
    observation_deinit(&r->late);
    journal_free(r->journal);
    journals_free(r->all);
    policy_free(r->policy);
}

/* Half of the requests end in the look in which they were sent, the rest in the next one. */
static inline void recorded_request(struct recorded *r)
{
    enum variant v =
        rng_unit(&r->rng) * WEIGHT_FULL_BP < r->weight_bp ? VARIANT_CANARY : VARIANT_STABLE;
    bool bad = rng_unit(&r->rng) < r->errors[v], late = rng_unit(&r->rng) < 0.5;
    int64_t slot = r->now_ns / r->policy->analysis.slot_ns;

    observation_at(&r->news, r->epoch, slot)->variants[v].dispatched++;
    struct slot_counts *end =
        &observation_at(late ? &r->late : &r->news, r->epoch, slot)->variants[v];
    end->settled++;
    end->errors += bad;
    for (size_t c = 0; c < r->policy->analysis.criteria_count; c++) {
        bool counts = r->policy->analysis.criteria[c].metric == METRIC_ERROR_RATE;
        end->bad[c] += bad && counts;
        end->excluded[c] += bad && !counts;
    }
}

static inline void recorded_look(struct recorded *r, enum rollout_input_kind kind,
                                 const struct command *command)
{
    const struct engine_ports ports = {recorded_set_weight, recorded_commit, recorded_commit_owed,
                                       recorded_event, r};
    struct rollout_decision decision;

    r->took = false;
    enum effects_result result =
        engine_look(&r->engine, kind, &r->news, command, r->now_ns, &ports, &decision);
    r->decisions += r->took;
    r->looks++;
    const struct journal_look look = {.kind = kind,
                                      .observation = &r->news,
                                      .command = command,
                                      .now_ns = r->now_ns,
                                      .wall_ns = recorded_wall_ns(r),
                                      .result = result,
                                      .decision = &decision,
                                      .number = r->took ? r->decisions : 0};
    journal_look(r->journal, &r->engine, &look);
    observation_clear(&r->news);
}

/* Time passes: a look each `every_ns`. */
static inline void recorded_pass(struct recorded *r, int64_t ns, int64_t every_ns)
{
    for (int64_t end_ns = r->now_ns + ns; r->now_ns < end_ns;) {
        r->now_ns += every_ns;
        for (size_t i = 0; i < r->late.count; i++)
            *observation_at(&r->news, r->late.deltas[i].epoch, r->late.deltas[i].slot) =
                r->late.deltas[i];
        observation_clear(&r->late);
        for (uint32_t i = 0; i < r->rate; i++)
            recorded_request(r);
        recorded_look(r, INPUT_TICK, NULL);
    }
}

static inline void recorded_command(struct recorded *r, enum command_kind kind, const char *reason)
{
    struct command command;

    memset(&command, 0, sizeof(command));
    command.kind = kind;
    snprintf(command.reason, sizeof(command.reason), "%s", reason);
    snprintf(command.who, sizeof(command.who), "ann");
    recorded_look(r, INPUT_COMMAND, &command);
}

/* The caller frees what the file is made of with strbuf_deinit. */
static inline struct str recorded_file(const struct recorded *r, struct strbuf *file)
{
    strbuf_init(file, JOURNAL_FILE_MAX);
    assert_true(journal_write(r->journal, recorded_wall_ns(r), file));
    return strbuf_str(file);
}

#endif
