/* analysis/process.h — one e-process over slots: counts in, log-evidence out.
 *
 * Joins the formulas (sequential.h) and the slots (ring.h). It does not know how long a slot is:
 * the fast and the wide test are the same code over different slots. What a slot holds is one tally
 * for each weight that was served in it. One owner.
 */
#ifndef ANALYSIS_PROCESS_H
#define ANALYSIS_PROCESS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/ring.h"
#include "analysis/sequential.h"
#include "policies/policy.h"

/* Samples of a criterion dispatched under one weight, and those of them known to be bad. */
struct tally {
    uint32_t weight_bp;
    uint64_t n[VARIANT_COUNT], bad[VARIANT_COUNT];
};

enum { PROCESS_WEIGHTS = 2 }; /* factors kept: of this weight and the one before */

struct process {
    bool relative;
    bool full_only;  /* absolute: of what was served at 100 % */
    double r, delta; /* relative */
    enum sequential_grid grid;
    struct {
        uint32_t weight_bp; /* absolute: 0 for all */
        struct sequential_factors factors;
    } known[PROCESS_WEIGHTS]; /* the newest first */
    struct ring ring;
};

/* ABS(p0) of the canary's requests; with full_only p0 may come later. */
void process_absolute(struct process *, const struct sequential_plan *, double p0);
void process_frozen(struct process *, const struct sequential_plan *);
void process_set_limit(struct process *, double p0);
void process_relative(struct process *, const struct sequential_plan *, double r, double delta,
                      enum sequential_grid);
void process_deinit(struct process *);

/* All that is known of a slot: the log-evidence of its tallies is added up in their order, and the
 * burst guard caps the sum. */
void process_set(struct process *, size_t slot, const struct tally *, size_t count);

#endif
