/* controller/engine.h — one rollout under way: its evidence and its state, moved by looks.
 *
 * The thin layer that joins analysis (which accumulates) and the rollout core (which decides), so
 * that production, simulation and replay do literally the same: fold the observation, read the
 * report, decide, run the effects, adopt the new state. One owner; allocates only in engine_init.
 */
#ifndef CONTROLLER_ENGINE_H
#define CONTROLLER_ENGINE_H

#include "analysis/analysis.h"
#include "analysis/observation.h"
#include "controller/effects.h"
#include "controller/rollout.h"

struct engine {
    const struct policy *policy; /* outlives it */
    struct analysis *analysis;
    struct rollout_state state;
    struct analysis_report report; /* of the last look, what the state rests on */
    bool owed;                     /* storage does not know the state yet */
};

/* Where an engine's decisions go. The evidence is the engine's own. */
struct engine_ports {
    void (*set_weight)(void *ctx, uint32_t epoch, uint32_t weight_bp);
    int (*commit)(void *ctx, const struct rollout_decision *);
    /* A state that an earlier commit owes. */
    int (*commit_owed)(void *ctx, const struct rollout_state *);
    void (*event)(void *ctx, const struct rollout_decision *);
    void *ctx;
};

/* Idle at weight 0, epoch 1. */
void engine_init(struct engine *, const struct policy *, int64_t now_ns);
void engine_deinit(struct engine *);
/* Takes up a stored state. Call engine_look with INPUT_RESTART before anything else. */
void engine_adopt(struct engine *, const struct rollout_state *);

/* One look: `observation` is what happened since the last one (NULL: nothing), `command` is for
 * INPUT_COMMAND. now_ns never falls. *ret is the decision, EFFECTS_REFUSED means it was not taken
 * (a command's result says so then). */
enum effects_result engine_look(struct engine *, enum rollout_input_kind,
                                const struct observation *, const struct command *, int64_t now_ns,
                                const struct engine_ports *, struct rollout_decision *ret);

#endif
