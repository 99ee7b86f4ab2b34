/* analysis/visit.h — a probe: whether a canary that was sent back is still as bad as it looked.
 *
 * Wald's test of two shares: p1, the geometric mean of what was seen at the trip and of what is all
 * right, against z, which is all right. Over the probe's requests
 *
 *   L1 = sum  bad: log(p1 / z)   else: log((1 - p1) / (1 - z))
 *
 * and L1 <= -log 20 clears. A canary that still fails at p1 or above is cleared with probability at
 * most 1/20, at whatever request that is looked at. Requests in flight are taken as bad: a probe is
 * not passed because failures are slow. Pure, plain data.
 */
#ifndef ANALYSIS_VISIT_H
#define ANALYSIS_VISIT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/analysis.h"
#include "analysis/window.h"

#define VISIT_P_HAT_MAX 0.9

/* What to ask after a trip on `seen` requests (those since the fast evidence was last below 1), z
 * being all right: p_hat = (bad + 1/2) / (n + 1), at most 0.9, and p1 = sqrt(max(p_hat, 2 z) z).
 * A later visit about the same criterion may only lower p1. */
struct probe visit_ask(uint32_t criterion, struct shares seen, double z, const struct probe *last);

struct visit {
    struct probe asked;
    bool active;
    int64_t begin;        /* its first slot */
    struct shares closed; /* in slots that were closed for good */
    double closed_least;  /* INFINITY: none yet */
};

void visit_begin(struct visit *, int64_t slot);

/* L1 over slots, oldest first. */
struct visit_walk {
    struct shares sum;
    double log_ratio, least;
};
struct visit_walk visit_walk(const struct visit *);
/* `limits`: see hard_down_limits. `patience`: ends of slots before the (m + 2)nd do not count. */
void visit_add(const struct visit *, struct visit_walk *, const struct window_slot *,
               uint32_t limits, int64_t patience);
void visit_close(struct visit *, const struct window_slot *, uint32_t limits, int64_t patience);
bool visit_cleared(const struct visit *, double least, int64_t now_slot, int64_t patience);

#endif
