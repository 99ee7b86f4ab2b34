/* controller/command.h — the operator's verbs, as values, and what each may do in each phase.
 *
 * Pure, like the rest of the core: a command is one more input of rollout_decide. A refusal names
 * the phase and the way out, because the reader may be on call and in a hurry.
 */
#ifndef CONTROLLER_COMMAND_H
#define CONTROLLER_COMMAND_H

#include <stdbool.h>
#include <stdint.h>

enum command_kind {
    COMMAND_PROMOTE,
    COMMAND_PAUSE,
    COMMAND_RESUME,
    COMMAND_APPROVE,
    COMMAND_ROLLBACK,
    COMMAND_RETRY,
    COMMAND_KIND_COUNT
};
extern const char *const command_names[COMMAND_KIND_COUNT]; /* "promote", ... */

struct command {
    enum command_kind kind;
    bool full;            /* promote: to the end */
    bool force;           /* promote: past a failed criterion */
    bool zero;            /* pause: at weight 0 */
    uint32_t expect_step; /* 1-based; 0 = not given */
    char reason[256], who[64];
};

/* What became of a command. ok: `detail` says what happens now. Refused: `title` and `detail` name
 * phase and way out (HTTP 409). */
struct command_result {
    bool ok;
    char title[96], detail[256];
};

struct transition;

/* Moves the transition's state as the command says, or leaves it and fills the decision's result
 * with the refusal. */
void command_apply(struct transition *, const struct command *);
/* The command came together with another canary than the one it was meant for. */
void command_refuse_changed(struct transition *);

#endif
