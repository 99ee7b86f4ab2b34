/* controller/rollout.h — the rollout core: decides, does nothing.
 *
 * No clock, no I/O, no allocation, no log: the same arguments give the same bytes, so production,
 * simulation and replay run the same code. The evidence is not part of the state: it is an object
 * of its own (analysis/analysis.h, grows with the slots in flight), of which the core sees the
 * report alone. A state is therefore a small value that is copied, compared and stored as it is,
 * and a decision can be taken again from (policy, state, input with its report, time) alone.
 * controller/engine.h joins the two halves and is what every caller uses.
 *
 *   idle ─ a canary appears ─→ pending ─ auto, or `promote` ─→ progressing ⇄ paused
 *                                                               ⇅      └─ last step ─→ promoted
 *                                                       awaiting_approval
 *   any of them, on a failed criterion, hard_down or `rollback` ─→ rolled_back ─ `retry` ─→
 * progressing
 */
#ifndef CONTROLLER_ROLLOUT_H
#define CONTROLLER_ROLLOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/analysis.h"
#include "controller/command.h"
#include "policies/policy.h"

enum rollout_phase {
    PHASE_IDLE,
    PHASE_PENDING,
    PHASE_SMOKE_TESTING,
    PHASE_PROGRESSING,
    PHASE_PAUSED,
    PHASE_AWAITING_APPROVAL,
    PHASE_BAKING,
    PHASE_PROMOTED,
    PHASE_ROLLED_BACK,
    PHASE_COUNT
};
extern const char *const phase_names[PHASE_COUNT]; /* "idle", ... */

struct rollout_state {
    enum rollout_phase phase;
    enum rollout_phase paused_from; /* paused: what `resume` returns to */
    uint32_t epoch;                 /* +1 on every weight change; orders writers */
    uint32_t step;                  /* 1-based; 0 before the first */
    uint32_t weight_bp;
    uint32_t reported; /* mode observe: failures already told, a bit per criterion, 31: hard_down */
    bool zeroed;       /* paused at weight 0 by command */
    bool approved;     /* the way into the next step was approved */
    bool undecided;    /* max_hold of this step is over, and that was told */
    int64_t held_ns;   /* of this step, without pauses and waits; a duration, so it can be stored */
    int64_t phase_ns;  /* since the phase began */
    int64_t last_ns;   /* time of the previous input; means nothing to another process */
    char canary_version[VERSION_MAX + 1];   /* "" = none */
    char rejected_version[VERSION_MAX + 1]; /* rolled back; not tried again without `retry` */
};

enum {
    ROLLOUT_REPORTED_HARD_DOWN = 31,
    ACTIONS_MAX = 6,
};
/* A longer gap between two looks counts as this much hold: a step is time in which the canary was
 * watched, and a process that was stopped watched nothing. */
#define ROLLOUT_GAP_MAX_NS (5 * INT64_C(1000000000))

/* Before anything is known: idle, weight 0, epoch 1. */
void rollout_state_init(struct rollout_state *, int64_t now_ns);

/* Whether no harm must be shown before `step` (from 1) is left: the last proof before the canary
 * gets everything, on the requests of the last step below 100 %, or, when the only step is 100 %,
 * on its own. */
bool rollout_needs_evidence(const struct policy *, uint32_t step);

struct rollout_input {
    enum rollout_input_kind {
        INPUT_TICK,
        INPUT_COMMAND,
        INPUT_RESTART, /* the state comes from a store; the evidence is fresh */
    } kind;
    const struct analysis_report *report; /* never NULL: what is known now */
    const struct command *command;        /* INPUT_COMMAND */
};

/* In the order in which they must be done: down before disk, disk before up. */
enum rollout_action_kind {
    ACTION_RESET_EVIDENCE,
    ACTION_EVIDENCE_WEIGHT, /* analysis_weight(); always before the proxies get the weight */
    ACTION_SET_WEIGHT,      /* the proxies */
    ACTION_COMMIT,
    ACTION_EVENT,
};
struct rollout_action {
    enum rollout_action_kind kind;
    uint32_t epoch, weight_bp;
    bool step_start;
};

enum rollout_event {
    EVENT_NONE,
    EVENT_STARTED,
    EVENT_PENDING,
    EVENT_SUPERSEDED,
    EVENT_PAUSED,
    EVENT_RESUMED,
    EVENT_ROLLED_BACK,
    EVENT_PROMOTED,
    EVENT_STEP_ADVANCED,
    EVENT_STEP_UNDECIDED,
    EVENT_APPROVAL_REQUIRED,
    EVENT_APPROVAL_GIVEN,
    EVENT_CRITERION_FAILED, /* mode observe: what would have been a rollback */
    EVENT_RESTARTED,
    EVENT_COUNT
};
extern const char *const event_names[EVENT_COUNT]; /* "rollout.started", ... */

enum rollout_cause {
    CAUSE_NONE,
    CAUSE_CANARY,    /* a canary appeared, changed or went */
    CAUSE_PASSED,    /* the step passed */
    CAUSE_CRITERION, /* report.worst */
    CAUSE_HARD_DOWN,
    CAUSE_UNDECIDED, /* max_hold is over */
    CAUSE_APPROVAL,  /* the policy asks for one */
    CAUSE_COMMAND,
    CAUSE_RESTART,
    CAUSE_COUNT
};
extern const char *const cause_names[CAUSE_COUNT];

struct rollout_decision {
    struct rollout_state before, state; /* state: the new one; differs in time at least */
    enum rollout_event event;           /* EVENT_NONE: nothing but time passed, no action */
    enum rollout_cause cause;
    size_t action_count;
    struct rollout_action actions[ACTIONS_MAX];
    uint32_t failed;               /* EVENT_CRITERION_FAILED: bits as in state.reported */
    struct command_result result;  /* INPUT_COMMAND */
    struct analysis_report report; /* the evidence it rests on */
};

/* Decides what the rollout does next.
 *
 * @param now_ns  the caller's monotonic time, >= state->last_ns
 * @param ret     every byte is set, so that equal decisions compare equal with memcmp
 *
 * Cannot fail: bad input is a bug (CHECK), missing data is a verdict. Promises, checked before it
 * returns: no look ever raises the weight while a criterion fails, alarms or has no data; the epoch
 * rises by one with every change of weight; idle, pending and rolled_back mean weight 0.
 */
void rollout_decide(const struct policy *, const struct rollout_state *,
                    const struct rollout_input *, int64_t now_ns, struct rollout_decision *ret);

/* What the rollout waits for: used by the core to move, and by people to see why it does not. */
struct rollout_next {
    enum rollout_next_action { NEXT_NONE, NEXT_STEP, NEXT_PROMOTE } action;
    uint32_t weight_bp; /* after it */
    int64_t hold_left_ns;
    uint64_t requests_seen, requests_needed; /* canary requests of this step */
    bool evidence_needed;                    /* the limits must be shown to hold first */
    bool evidence_missing;
    bool approval; /* somebody must approve, and has not yet */
    bool against;  /* a criterion fails or alarms */
    bool no_data;  /* a criterion, or the whole step, has nothing to go by */
    bool ready;    /* all but the approval is there */
};
void rollout_next(const struct policy *, const struct rollout_state *,
                  const struct analysis_report *, struct rollout_next *ret);

/* What can move it, so that nobody has to look for the rest: failures of the canary; requests that
 * go well; and the time, before which neither (from the time of the state on; INT64_MAX: never). */
bool rollout_is_judged(const struct rollout_state *);
bool rollout_awaits_requests(const struct policy *, const struct rollout_state *);
int64_t rollout_quiet_ns(const struct policy *, const struct rollout_state *);

/* Where evidence is missing: how many requests, none of them bad, would give it. Not for every
 * look: it costs more than one. */
uint64_t rollout_evidence_left(const struct policy *, const struct analysis_report *);

/* The canary the rollout is about: a version other than stable's, or NULL. */
const char *rollout_canary(const struct policy *);
/* The step that the state is in, or NULL before the first. */
const struct policy_step *rollout_step(const struct policy *, const struct rollout_state *);

#endif
