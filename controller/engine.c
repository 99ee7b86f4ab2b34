/* A look at one rollout. The report is read again after a decision that changed the evidence, so
 * that what people see belongs to the step they see.
 */
#include "controller/engine.h"

#include <stdio.h>
#include <string.h>

struct look {
    struct engine *engine;
    const struct engine_ports *ports;
    int64_t now_ns;
};

static void reset_evidence(void *ctx)
{
    const struct look *l = ctx;

    analysis_reset(l->engine->analysis);
}

static void evidence_weight(void *ctx, const struct rollout_action *a)
{
    const struct look *l = ctx;

    if (a->why == WEIGHT_PROBE)
        analysis_probe(l->engine->analysis, &a->probe);
    analysis_weight(l->engine->analysis, a->epoch, a->weight_bp, a->why, l->now_ns);
}

static void set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    const struct look *l = ctx;

    l->ports->set_weight(l->ports->ctx, epoch, weight_bp);
}

static int commit(void *ctx, const struct rollout_decision *d)
{
    const struct look *l = ctx;

    return l->ports->commit(l->ports->ctx, d);
}

static void event(void *ctx, const struct rollout_decision *d)
{
    const struct look *l = ctx;

    l->ports->event(l->ports->ctx, d);
}

void engine_init(struct engine *e, const struct policy *policy, int64_t now_ns)
{
    memset(e, 0, sizeof(*e));
    e->policy = policy;
    e->analysis = analysis_new(policy);
    rollout_state_init(&e->state, now_ns);
    analysis_weight(e->analysis, e->state.epoch, e->state.weight_bp, WEIGHT_GOES_ON, now_ns);
    analysis_report(e->analysis, &e->report);
}

void engine_deinit(struct engine *e)
{
    analysis_free(e->analysis);
    e->analysis = NULL;
}

void engine_adopt(struct engine *e, const struct rollout_state *state)
{
    memcpy(&e->state, state, sizeof(e->state));
}

static void refuse_command(struct rollout_decision *d)
{
    d->result.ok = false;
    snprintf(d->result.title, sizeof(d->result.title), "the store does not answer");
    snprintf(d->result.detail, sizeof(d->result.detail),
             "a rise of the weight is stored before it is made, and storing it failed; nothing "
             "was done, the log says why");
}

static void pay(struct engine *e, const struct engine_ports *ports)
{
    if (e->owed && ports->commit_owed(ports->ctx, &e->state) == 0)
        e->owed = false;
}

enum effects_result engine_look(struct engine *e, enum rollout_input_kind kind,
                                const struct observation *observation,
                                const struct command *command, int64_t now_ns,
                                const struct engine_ports *ports, struct rollout_decision *ret)
{
    struct look look = {e, ports, now_ns};
    const struct effects_ports effects = {reset_evidence, evidence_weight, set_weight,
                                          commit,         event,           &look};

    if (observation != NULL)
        analysis_observe(e->analysis, observation, now_ns);
    analysis_report(e->analysis, &e->report);
    const struct rollout_input input = {.kind = kind, .report = &e->report, .command = command};
    rollout_decide(e->policy, &e->state, &input, now_ns, ret);

    enum effects_result result = effects_run(ret, &effects);
    if (result == EFFECTS_REFUSED) {
        /* The hold stands: the next look finds the same and tries again. */
        e->state.last_ns = now_ns;
        if (kind == INPUT_COMMAND)
            refuse_command(ret);
        return result;
    }
    memcpy(&e->state, &ret->state, sizeof(e->state));
    if (ret->event != EVENT_NONE) {
        e->owed = result == EFFECTS_OWED;
        analysis_report(e->analysis, &e->report);
    } else {
        pay(e, ports);
    }
    return result;
}
