/* analysis/hard_down.h — straight failures of the canary: so many, over so long.
 *
 * Judged by slots, which approximates "N failures in a row": the order inside a slot is not known,
 * so a slot with one good request ends a run although failures may follow in it, and the time a run
 * lasts is taken between the starts of its first and last slot.
 */
#ifndef ANALYSIS_HARD_DOWN_H
#define ANALYSIS_HARD_DOWN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/window.h"
#include "policies/policy.h"

/* Canary failures without a good answer in between. */
struct run {
    uint64_t failures;
    int64_t first_slot, last_slot;
};

/* The criteria (a bit each) that hold a request in flight to be failing: absolute limits that at
 * most one answer in twenty may break. That a request takes longer than stable's median, or than
 * stable lately took at all, happens to all when both are slow, and is no failure. */
uint32_t hard_down_limits(const struct policy_analysis *);
/* Requests of the slot that were judged one way or the other or may be, and those that failed;
 * `limits` as above. */
struct shares hard_down_shares(const struct slot_counts *canary, uint32_t limits);

void run_add(struct run *, const struct window_slot *, uint32_t limits);
int64_t run_ns(const struct run *, const struct policy *);
bool run_trips(const struct run *, const struct policy *);

#endif
