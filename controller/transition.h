/* controller/transition.h — the moves of a rollout: the only code that changes a rollout_state.
 *
 * rollout.c (what the evidence says) and command.c (what an operator says) choose a move; the move
 * keeps the state's fields consistent, and transition_finish turns the difference into actions in
 * the safe order and checks the promises. Part of the pure core.
 */
#ifndef CONTROLLER_TRANSITION_H
#define CONTROLLER_TRANSITION_H

#include "controller/rollout.h"

struct transition {
    const struct policy *policy;
    const struct analysis_report *report;
    enum rollout_input_kind input;
    struct rollout_decision *ret; /* ret->state is the state being moved */
    bool reset_evidence;
    bool resend; /* a new epoch, whatever the weight: a new process */
    bool apart;  /* a new epoch at the same weight */
    enum weight_why why;
};

/* Each sets event and cause of the decision. */

/* The first step, or the wait for its approval; fresh evidence. */
void transition_start(struct transition *, enum rollout_cause);
/* Into the step (1-based). */
void transition_step(struct transition *, uint32_t step, enum rollout_event, enum rollout_cause);
/* 100 % without the control share, until the bake is over. */
void transition_bake(struct transition *, enum rollout_cause);
/* 100 %, for good. */
void transition_promote(struct transition *, enum rollout_cause);
/* Weight 0, the version is rejected. */
void transition_rollback(struct transition *, enum rollout_cause);
/* Weight 0, to be asked again after a pause; for the reasons of report.probe_next. */
void transition_retreat(struct transition *, enum rollout_cause);
/* The same once too often: paused there. */
void transition_unsteady(struct transition *);
/* The pause is over: asked again, at the first step's weight or what it had. */
void transition_probe(struct transition *);
/* Found well: back to the weight it had. */
void transition_clear(struct transition *);
/* The same by command, whatever was seen: judged afresh from there. */
void transition_force_clear(struct transition *);
/* Weight stays, or goes to 0; a retreat stands still until `resume`, at 0. */
void transition_pause(struct transition *, bool zero, enum rollout_cause);
void transition_resume(struct transition *);
void transition_await_approval(struct transition *);
void transition_approve(struct transition *);
/* Another canary than the state's, or none: weight 0, everything afresh. */
void transition_canary(struct transition *);
/* In a new process: the same step and weight, never a higher one; evidence and hold afresh. */
void transition_restart(struct transition *);
/* Something to tell that moves nothing. */
void transition_tell(struct transition *, enum rollout_event, enum rollout_cause);

void transition_finish(struct transition *);

#endif
