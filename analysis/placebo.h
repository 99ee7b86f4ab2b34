/* analysis/placebo.h — the same fast test on stable itself, and how long stable's bursts are.
 *
 * Stable is what users have and is held to be all right. How often the absolute limits would have
 * sent it back says what failures in bursts alone would do to a good canary. It is for saying, not
 * for deciding: what is learnt of bursts in an hour says too little about the next one. (Two things
 * go by it all the same: pauses are lengthened where stable's bursts are long, and while stable
 * itself breaks a limit the canary is not stepped up.)
 *
 * The placebo plays rollouts of the plan's length, one after the other, at whatever weight: sent
 * back, it pauses as a canary would and begins afresh. A *burst* is a run of slots in which
 * stable's failures are worth at least 3 nats against the limit, with gaps of at most 2 s; known
 * when the slots are closed for good. One owner.
 */
#ifndef ANALYSIS_PLACEBO_H
#define ANALYSIS_PLACEBO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/process.h"
#include "analysis/window.h"

enum { PLACEBO_TRIPS = 128 }; /* remembered for "in the last hour" */

struct placebo {
    const struct policy *policy;
    size_t count;                    /* criteria that it plays: absolute limits that roll back */
    uint32_t criteria[CRITERIA_MAX]; /* their indices */
    struct process *tests;           /* heap */
    struct sequential_plan plan;
    struct sequential_starts given;
    int64_t pause; /* slots */

    bool begun;                   /* a test runs; false: the next slot begins one */
    int64_t back_at;              /* sent back: until this slot; -1: it is not */
    bool degraded;                /* since it was sent back, until a fresh test is below 1 */
    int64_t last_slot;            /* the newest */
    uint64_t sent_back;           /* ever */
    int64_t trips[PLACEBO_TRIPS]; /* slots, circular by sent_back */

    bool in_burst; /* the last bad slot may still be followed by another of its burst */
    int64_t burst_first, burst_last;
    uint64_t bursts;
    int64_t longest; /* slots */
};

void placebo_init(struct placebo *, const struct policy *, const struct sequential_plan *);
void placebo_deinit(struct placebo *);
void placebo_reset(struct placebo *); /* no slots; what was learnt stays */

/* Its slots are those of the window. */
void placebo_open(struct placebo *, int64_t slot, uint64_t length);
/* Whether increments of stable's concern it; and the slot's counts with them. */
bool placebo_concerns(const struct placebo *, const struct slot_counts *more);
void placebo_set(struct placebo *, size_t slot, const struct slot_counts *stable);
void placebo_refold(struct placebo *);
/* Once for each look that opened slots, after a refold. */
void placebo_look(struct placebo *);
/* The oldest slot is closed for good. */
void placebo_close(struct placebo *, const struct window_slot *);

double placebo_log_e(const struct placebo *); /* combined; LOG_E_NONE without */
uint64_t placebo_last_hour(const struct placebo *);

#endif
