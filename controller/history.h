/* controller/history.h — what a rollout's past is to those who ask why: its journal, its weights
 * and traffic over time, and what the canary's requests had come to before the first of them
 * failed.
 *
 * Control thread only. What an explanation shows is taken from here when the decision is made, and
 * stored with it; nothing is computed again later.
 */
#ifndef CONTROLLER_HISTORY_H
#define CONTROLLER_HISTORY_H

#include "controller/controller.h"
#include "controller/journal.h"

enum {
    HISTORY_POINTS = 64, /* over the whole rollout: the longer it takes, the longer each one is */
};

/* A stretch of time under one weight. Failures count where they became known. */
struct history_point {
    int64_t wall_ns, length_ns; /* when it began, and how long it was */
    uint32_t weight_bp;
    uint64_t requests[VARIANT_COUNT], errors[VARIANT_COUNT];
};

struct history;

/* The journals, the policy and the ports outlive it. */
struct history *history_new(struct journals *, const struct policy *,
                            const struct controller_ports *, uint32_t rollout);
void history_free(struct history *);

/* As journal_begin and journal_look: after the engine was made, and after each of its looks. */
void history_begin(struct history *, const struct engine *, bool adopted, int64_t now_ns,
                   int64_t wall_ns);
void history_look(struct history *, const struct engine *, const struct journal_look *);

const struct journal *history_journal(const struct history *);

/* Oldest first, the present one too. Borrowed until the next look. */
size_t history_points(const struct history *, const struct history_point **ret);
/* By kind, what the canary's requests came to since its first failure of this step; false: there
 * was none. `ret` is of the process when no step began. */
bool history_since_failure(const struct history *, uint64_t ret[static OUTCOME_KIND_COUNT],
                           int64_t *ret_wall_ns);

#endif
