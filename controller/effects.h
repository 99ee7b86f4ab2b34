/* controller/effects.h — does what a decision says, in its order.
 *
 * Down before disk, disk before up: lowering the weight never waits for storage, raising it never
 * precedes storage. The actions come in that order from the core; this is what happens when storage
 * fails in the middle of them.
 */
#ifndef CONTROLLER_EFFECTS_H
#define CONTROLLER_EFFECTS_H

#include "controller/rollout.h"

struct effects_ports {
    void (*reset_evidence)(void *ctx);
    void (*evidence_weight)(void *ctx, const struct rollout_action *);
    void (*set_weight)(void *ctx, uint32_t epoch, uint32_t weight_bp);
    int (*commit)(void *ctx, const struct rollout_decision *); /* 0 or a negative code */
    void (*event)(void *ctx, const struct rollout_decision *);
    void *ctx;
};

enum effects_result {
    EFFECTS_DONE,
    EFFECTS_OWED,    /* the weight did not rise, so all was done, but storage does not know it yet:
                        the new state holds and is to be committed again */
    EFFECTS_REFUSED, /* the weight would have risen: nothing was done, the old state holds */
};

enum effects_result effects_run(const struct rollout_decision *, const struct effects_ports *);

#endif
