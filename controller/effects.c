/* Runs the actions of a decision. The surprising thing is small: a commit that fails stops a rise
 * and nothing else, because a canary must come down, or a pause hold, with a full disk too.
 */
#include "controller/effects.h"

#include "base/check.h"

enum effects_result effects_run(const struct rollout_decision *d, const struct effects_ports *ports)
{
    bool rises = d->state.weight_bp > d->before.weight_bp;
    enum effects_result result = EFFECTS_DONE;

    for (size_t i = 0; i < d->action_count; i++) {
        const struct rollout_action *a = &d->actions[i];

        switch (a->kind) {
        case ACTION_RESET_EVIDENCE:
            ports->reset_evidence(ports->ctx);
            break;
        case ACTION_EVIDENCE_WEIGHT:
            ports->evidence_weight(ports->ctx, a);
            break;
        case ACTION_SET_WEIGHT:
            ports->set_weight(ports->ctx, a->epoch, a->weight_bp);
            break;
        case ACTION_COMMIT:
            if (ports->commit(ports->ctx, d) == 0)
                break;
            if (rises) {
                CHECK(i == 0);
                return EFFECTS_REFUSED;
            }
            result = EFFECTS_OWED;
            break;
        case ACTION_EVENT:
            ports->event(ports->ctx, d);
            break;
        }
    }
    return result;
}
