/* controller/journal_whatif.h — what another policy would have done with what a journal recorded.
 *
 * The recorded increments are given to an engine with the other policy, look by look. That is true
 * as long as both give the canary the same weight: from the first look after which they differ on,
 * it would have got other requests than it got, and nobody knows how they would have ended. So it
 * stops there, and says so. Decisions that move no weight do not part them.
 *
 * A criterion of the new policy takes the counts of the recorded one that counts the same: the same
 * metric, outcomes, `where`, field and, for times, limit (tests and limits of shares may differ:
 * they are about the same counts). One that has none is left without samples, and named. The
 * versions are the recorded ones. Pure but for memory.
 */
#ifndef CONTROLLER_JOURNAL_WHATIF_H
#define CONTROLLER_JOURNAL_WHATIF_H

#include "base/error.h"
#include "controller/rollout.h"

enum whatif_end {
    WHATIF_SAME,      /* to the end of the journal the canary had the same weight */
    WHATIF_DIFFERENT, /* not so; what follows is not known */
};

/* A decision of either side. */
struct whatif_step {
    enum rollout_event event; /* EVENT_NONE: nothing was decided */
    enum rollout_cause cause;
    enum rollout_phase phase; /* these three: after it */
    uint32_t step, weight_bp;
    uint64_t number;     /* of the recorded decision; 0: the new policy's */
    char criterion[128]; /* that decided, or "" */
};

/* A look at which either side decided something. */
struct whatif_look {
    int64_t wall_ns;
    int64_t since_ns; /* since the journal's first look */
    struct whatif_step recorded, now;
};

struct whatif_result {
    enum whatif_end end;
    uint64_t looks;
    struct whatif_look last; /* WHATIF_DIFFERENT: where they part */
    struct whatif_look next; /* the recorded decision that followed, when `last` has none */
    bool next_known;
    uint32_t criteria_without; /* bits of the new policy's criteria that have no counts */
    bool errors_differ;        /* count_as_error is another: hard_down counts the recorded errors */
    uint64_t gaps;             /* of the journal: the evidence began anew behind each */
    uint64_t damages;
    int64_t until_ns;          /* since the first look: how long it was followed */
    uint64_t requests, errors; /* of the canary, over that time */
};

/* `decided` is called for each look at which either side decided something (NULL: not called). 0,
 * or -EINVAL: the file is no journal, or the policy cannot be tried on it, and why. */
int whatif_run(struct str journal, const struct policy *,
               void (*decided)(void *ctx, const struct whatif_look *), void *ctx,
               struct whatif_result *ret, struct error *reterr);

#endif
