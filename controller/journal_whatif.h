/* controller/journal_whatif.h — what another policy would have done with what a journal recorded.
 *
 * The recorded increments are given to an engine with the other policy, look by look. That is true
 * as long as both move the same weights: from the first decision that differs on, the canary would
 * have got other requests than it got, and nobody knows how they would have ended. So it stops
 * there, and says so.
 *
 * A criterion of the new policy takes the counts of the recorded one that counts the same: the same
 * metric, outcomes, `where` and, for times, limit (tests and limits of shares may differ: they are
 * about the same counts). One that has none is left without data, and named. Pure but for memory.
 */
#ifndef CONTROLLER_JOURNAL_WHATIF_H
#define CONTROLLER_JOURNAL_WHATIF_H

#include "base/error.h"
#include "controller/rollout.h"

enum whatif_end {
    WHATIF_SAME,      /* to the end of the journal it did what was done */
    WHATIF_DIFFERENT, /* it decided otherwise, or at another time; what follows is not known */
};

struct whatif_step {
    int64_t wall_ns;
    int64_t since_ns;         /* since the journal's first look */
    enum rollout_event event; /* EVENT_NONE: nothing */
    enum rollout_cause cause;
    enum rollout_phase phase; /* after it */
    uint32_t step, weight_bp; /* after it */
    uint64_t number;          /* of the recorded decision; 0: the new policy's */
    char criterion[128];      /* that decided, or "" */
};

struct whatif_result {
    enum whatif_end end;
    uint64_t looks, decisions; /* replayed, and that agreed */
    uint64_t criteria_without; /* bits of the new policy's criteria that have no counts */
    struct whatif_step
        recorded; /* WHATIF_DIFFERENT: what was done at that look; EVENT_NONE: nothing */
    struct whatif_step instead; /* and what the new policy does at it */
    struct whatif_step then;    /* what was recorded next, when `recorded` is nothing */
    bool then_known;
    uint64_t gaps;    /* of the journal: the new policy's evidence begins anew behind each */
    int64_t until_ns; /* since the first look: how long it was followed */
    /* of the canary, over what was followed: */
    uint64_t requests, errors;
};

/* `agreed` is called for each decision that both took (NULL: not). 0; or -EINVAL: the file is no
 * journal, or none that can be followed from its beginning. */
int whatif_run(struct str journal, const struct policy *,
               void (*agreed)(void *ctx, const struct whatif_step *), void *ctx,
               struct whatif_result *ret, struct error *reterr);

#endif
