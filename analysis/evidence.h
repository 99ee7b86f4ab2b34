/* analysis/evidence.h — what one criterion proves against the canary, over one kind of slots.
 *
 * One process is enough for most. Two are joined in two cases:
 *
 *   HELD    an absolute limit with on_stable_degraded: hold. Beside ABS(p0) runs REL(1, 0), "no
 *           worse than stable at the same time", and the smaller of the two counts: both claims
 *           must be refuted, so that an outage that both versions share is held against neither.
 *           At 100 % there is no stable and the limit alone decides: from there on ABS goes on from
 *           what the two had proven together, and REL takes over what it has proven when stable
 *           is back. (Each leg is valid under the claim that still stands in it, and begins at the
 *           level where the last one ended.)
 *   FROZEN  a comparison with stable. Once stable has no traffic an absolute limit takes its place,
 *           stable's record and the margin, with the start weights that are left: the sum counts.
 */
#ifndef ANALYSIS_EVIDENCE_H
#define ANALYSIS_EVIDENCE_H

#include "analysis/process.h"

#define LOG_E_NONE (-1e9) /* log 0, as a number that can be printed and stored */

enum evidence_kind { EVIDENCE_ALONE, EVIDENCE_HELD, EVIDENCE_FROZEN };

struct evidence {
    enum evidence_kind kind;
    struct process main, other; /* other: not of ALONE */
};

void evidence_init(struct evidence *, const struct policy_criterion *, bool hold,
                   const struct sequential_plan *);
void evidence_deinit(struct evidence *);
void evidence_reset(struct evidence *);
/* FROZEN: the limit from here on. */
void evidence_freeze(struct evidence *, double p0);

enum evidence_turn {
    EVIDENCE_ON,
    EVIDENCE_FRESH,      /* a probe's */
    EVIDENCE_ENTER_FULL, /* stable has no traffic from this slot on */
    EVIDENCE_LEAVE_FULL, /* it has some again */
};
void evidence_open(struct evidence *, double start, uint32_t weight_bp, enum evidence_turn);
/* What changed in the slot since: the canary's counts, not stable's alone; which are known bad, and
 * not only how many there are. */
struct evidence_news {
    bool canary, bad;
};
void evidence_set(struct evidence *, size_t slot, const struct tally *, size_t count,
                  struct evidence_news);
/* Whether what stable does matters to it. */
static inline bool evidence_compares(const struct evidence *e)
{
    return e->kind != EVIDENCE_ALONE;
}
void evidence_refold(struct evidence *);
void evidence_close(struct evidence *, size_t count); /* after a refold */

/* With nothing dirty. `full`: stable has no traffic. Floored at LOG_E_NONE. */
double evidence_log_e(const struct evidence *, bool full);
/* FROZEN: the parts of the sum. */
double evidence_log_e_compared(const struct evidence *);
double evidence_log_e_frozen(const struct evidence *);

#endif
