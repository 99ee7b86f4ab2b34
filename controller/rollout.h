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
 *                                                               ⇅      └─ last step ─→ baking ─→
 *                                                       awaiting_approval              promoted
 *   any of them, on a verdict or `rollback` ─→ rolled_back ─ `retry` ─→ progressing
 *
 * Across these lies the retreat: a canary that seems to do harm is taken to weight 0 at once and
 * asked again after each pause of the policy's `confirm`; the phase stays what it is meanwhile.
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

/* A canary that was sent back. visit 0: it was not, and all else is 0. */
struct rollout_retreat {
    uint32_t visit;     /* how often it has failed in a row: 1 after the first time */
    bool probing;       /* it has some traffic again and is asked; else it has none */
    uint32_t weight_bp; /* what it had before, and gets back when it is cleared */
    int64_t pause_ns;   /* how long this pause is, and what is left of it; while probing: the one */
    int64_t left_ns;    /* before, and 0. Stands still while the rollout is paused */
    int64_t since_ns;   /* since it was sent back for the first time */
    struct probe probe; /* what it is asked about */
    /* What each visit saw, for people: canary requests and how many were bad. */
    struct retreat_seen {
        uint64_t requests, bad;
    } seen[CONFIRM_MAX + 1];
};

struct rollout_state {
    enum rollout_phase phase;
    enum rollout_phase paused_from; /* paused: what `resume` returns to */
    uint32_t epoch; /* +1 on every weight change, and where requests begin to count for something
                else; orders writers */
    uint32_t step;  /* 1-based; 0 before the first */
    uint32_t weight_bp;
    uint32_t
        reported;    /* failures already told (or paused for), a bit per criterion, 31: hard_down */
    bool zeroed;     /* paused at weight 0 by command */
    bool approved;   /* the way into the next step was approved */
    bool undecided;  /* max_hold of this step is over, and that was told */
    int64_t held_ns; /* of this step or of the bake, without pauses, waits and retreats; a
                        duration, so it can be stored */
    int64_t no_data_ns; /* for so long something has had nothing to go by */
    int64_t phase_ns;   /* since the phase began */
    int64_t last_ns;    /* time of the previous input; means nothing to another process */
    struct rollout_retreat retreat;
    uint32_t retreats_in_step;
    uint64_t placebo_before_step;           /* what placebo.sent_back was when the step began */
    char canary_version[VERSION_MAX + 1];   /* "" = none */
    char rejected_version[VERSION_MAX + 1]; /* rolled back; not tried again without `retry` */
};

enum {
    ROLLOUT_REPORTED_HARD_DOWN = 31,
    ROLLOUT_UNSTEADY = 6, /* so many retreats in a step, and fewer in stable's placebo: paused */
    ACTIONS_MAX = 6,
};
/* A longer gap between two looks counts as this much hold: a step is time in which the canary was
 * watched, and a process that was stopped watched nothing. */
#define ROLLOUT_GAP_MAX_NS (5 * INT64_C(1000000000))

/* Before anything is known: idle, weight 0, epoch 1. */
void rollout_state_init(struct rollout_state *, int64_t now_ns);

/* Whether no harm must be shown before `step` (from 1) is left: the last proof before the canary
 * gets everything, on the requests of the last step below 100 %, or, when the only step is 100 %,
 * on its own; with evidence.before: each, before every step up. */
bool rollout_needs_evidence(const struct policy *, uint32_t step);
/* Whether somebody must approve before `step` (from 0) is left. */
bool rollout_needs_approval(const struct policy *, uint32_t step);

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
    enum weight_why why;
    struct probe probe; /* WEIGHT_PROBE: analysis_probe() before analysis_weight() */
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
    EVENT_CRITERION_FAILED, /* on_fail report; mode observe: what would have moved it */
    EVENT_RESTARTED,
    EVENT_RETREATED, /* sent back to weight 0, to be asked again */
    EVENT_PROBED,    /* it has some traffic again */
    EVENT_CLEARED,   /* and was found well, or freed by command: goes on where it was */
    EVENT_NO_DATA,
    EVENT_BAKING,
    EVENT_COUNT
};
extern const char *const event_names[EVENT_COUNT]; /* "rollout.started", ... */

enum rollout_cause {
    CAUSE_NONE,
    CAUSE_CANARY,    /* a canary appeared, changed or went */
    CAUSE_PASSED,    /* the step passed */
    CAUSE_CRITERION, /* decision.criterion; a rollback: at the first crossing, or on every visit */
    CAUSE_HARD_DOWN, /* likewise */
    CAUSE_UNDECIDED, /* max_hold is over */
    CAUSE_APPROVAL,  /* the policy asks for one */
    CAUSE_COMMAND,
    CAUSE_RESTART,
    CAUSE_WIDE,     /* decision.criterion, by the wide test: slow, but steady */
    CAUSE_SHIFT,    /* decision.criterion: its values are distributed otherwise */
    CAUSE_WINDOW,   /* decision.criterion: of method window */
    CAUSE_VISIT,    /* the pause is over; or what was asked was answered */
    CAUSE_UNSTEADY, /* sent back too often within one step */
    CAUSE_NO_DATA,
    CAUSE_BAKED, /* the bake is over */
    CAUSE_COUNT
};
extern const char *const cause_names[CAUSE_COUNT];

struct rollout_decision {
    struct rollout_state before, state; /* state: the new one; differs in time at least */
    enum rollout_event event;           /* EVENT_NONE: nothing but time passed, no action */
    enum rollout_cause cause;
    size_t action_count;
    struct rollout_action actions[ACTIONS_MAX];
    uint32_t criterion;            /* that decided; CRITERIA_MAX: none did */
    uint32_t failed;               /* EVENT_CRITERION_FAILED, and EVENT_PAUSED because of criteria:
                                      bits as in state.reported */
    struct command_result result;  /* INPUT_COMMAND */
    struct analysis_report report; /* the evidence it rests on */
};

/* Decides what the rollout does next.
 *
 * @param now_ns  the caller's monotonic time, >= state->last_ns
 * @param ret     every byte is set, so that equal decisions compare equal with memcmp
 *
 * Cannot fail: bad input is a bug (CHECK), missing data is a verdict. Promises, checked before it
 * returns: no look ever raises the weight while a criterion fails, alarms or has no data, but for a
 * visit (never above the first step's weight nor above what the canary had) and for its end (back
 * to what it had, on evidence); the epoch rises by one with every change of weight; idle, pending,
 * rolled_back and a retreat that does not ask mean weight 0.
 */
void rollout_decide(const struct policy *, const struct rollout_state *,
                    const struct rollout_input *, int64_t now_ns, struct rollout_decision *ret);

/* What the rollout waits for: used by the core to move, and by people to see why it does not. */
struct rollout_next {
    enum rollout_next_action { NEXT_NONE, NEXT_STEP, NEXT_BAKE, NEXT_PROMOTE } action;
    uint32_t weight_bp; /* after it */
    int64_t hold_left_ns;
    uint64_t requests_seen, requests_needed; /* canary requests of this step */
    bool evidence_needed;                    /* the limits must be shown to hold first */
    bool evidence_missing;
    bool approval;           /* somebody must approve, and has not yet */
    bool against;            /* a criterion fails or alarms */
    bool retreated, probing; /* sent back; and is being asked */
    int64_t asked_in_ns;     /* retreated and not probing; INT64_MAX: not before `resume` */
    bool no_data;            /* a criterion, or the whole step, has nothing to go by */
    bool ready;              /* all but the approval is there */
};
void rollout_next(const struct policy *, const struct rollout_state *,
                  const struct analysis_report *, struct rollout_next *ret);

/* What can move it, so that nobody has to look for the rest: failures of the canary; requests that
 * go well; and the time, before which neither (from the time of the state on; INT64_MAX: never). */
bool rollout_is_judged(const struct rollout_state *);
bool rollout_awaits_requests(const struct policy *, const struct rollout_state *);
int64_t rollout_quiet_ns(const struct policy *, const struct rollout_state *);

/* So long held without a verdict is too long (max_hold; a bake's comes after the bake). */
int64_t rollout_max_hold(const struct policy *, const struct rollout_state *);
/* With everything on the canary there is no stable to compare with, unless the limit was frozen: a
 * criterion had its say before. Where by the policy it never had, it has nothing to go by. */
bool rollout_is_over_for(const struct policy *, const struct rollout_state *,
                         const struct policy_criterion *, const struct criterion_report *);
/* The first criterion that has nothing to go by and holds the rollout up; CRITERIA_MAX: none. */
uint32_t rollout_without_data(const struct policy *, const struct rollout_state *,
                              const struct analysis_report *);

/* Where evidence is missing: how many requests, none of them bad, would give it. Not for every
 * look: it costs more than one. */
uint64_t rollout_evidence_left(const struct policy *, const struct analysis_report *);

/* The canary the rollout is about: a version other than stable's, or NULL. */
const char *rollout_canary(const struct policy *);
/* The weight of a step (1-based) by policy, without the share that stays on stable as a control (of
 * 100 % only that is left); mode observe: the first step's. */
uint32_t rollout_step_weight(const struct policy *, uint32_t step);
/* What the canary gets in the state's step or bake when nothing holds it back; 0 before the first.
 */
uint32_t rollout_home_weight(const struct policy *, const struct rollout_state *);
/* Whether it is in the bake, or paused in it. */
bool rollout_bakes(const struct rollout_state *);
/* The step that the state is in, or NULL before the first. */
const struct policy_step *rollout_step(const struct policy *, const struct rollout_state *);

#endif
