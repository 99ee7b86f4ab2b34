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

/* Requests of the slot that were judged one way or the other or may be, and those that failed. */
struct shares hard_down_shares(const struct slot_counts *canary, size_t criteria);

void run_add(struct run *, const struct window_slot *, size_t criteria);
int64_t run_ns(const struct run *, const struct policy *);
bool run_trips(const struct run *, const struct policy *);

#endif
