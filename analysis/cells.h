/* analysis/cells.h — the counters of dispatch slots, between one writer and one reader.
 *
 * A sequence of cells, one per (epoch, slot) in which something was dispatched, handed over without
 * a lock. The worker appends and counts; the control thread reads what changed and says how far it
 * has finished, and the memory behind that point is used again. Both ends of the sequence move on
 * only: what lies between them is bounded by CELLS_MAX.
 */
#ifndef ANALYSIS_CELLS_H
#define ANALYSIS_CELLS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/observation.h"
#include "policies/policy.h"

enum {
    CELLS_MAX = 4096,     /* open at a time: over an hour of slots of one second */
    CELLS_RESERVED = 128, /* of them for slots of a new weight, which must not share a cell */
};

struct cells;
struct cell;

enum cell_counter {
    CELL_DISPATCHED,
    CELL_SETTLED,
    CELL_ERRORS,
    CELL_EXCUSED,
    CELL_BAD, /* these three once per criterion */
    CELL_EXCLUDED,
    CELL_OVERDUE,
    CELL_COUNTERS, /* of a cell of one criterion */
};

/* `limits`: how many words a cell keeps per variant of what its requests are held against. */
struct cells *cells_new(size_t criteria_count, size_t limits);
void cells_free(struct cells *);

/* --- the writer --- */

/* What the cells that are opened from now on keep: the limits that their requests are held against,
 * of all variants one after the other, and the criteria (a bit each) whose limit is not known. For
 * these no request of the cell is a sample: the reader says so, and whatever is counted for them is
 * not looked at. Before: limits of 0, and all are known. */
void cells_set_limits(struct cells *, const int64_t *limits, uint32_t without);
/* The newest cell, when it is the one of (epoch, slot), as it nearly always is; else NULL. */
struct cell *cells_newest(const struct cells *, uint32_t epoch, int64_t slot);
/* The cell of (epoch, slot), opened when there is none among the newest. When too many are open it
 * is the newest cell of that epoch (of any, at worst) and *ret_overflow is set; else untouched. */
struct cell *cells_take(struct cells *, uint32_t epoch, int64_t slot, bool *ret_overflow);
uint32_t cell_epoch(const struct cell *);
const int64_t *cell_limits(const struct cell *, enum variant);
uint32_t cell_without(const struct cell *);
/* Adds to a counter; `criterion` is 0 for those that have only one. Only CELL_OVERDUE goes down.
 * The reader looks only at what cell_changed told of, once after some additions. */
void cell_add(struct cell *, enum variant, enum cell_counter, size_t criterion, int32_t by);
void cell_changed(struct cell *);

/* --- the reader --- */

/* Adds what changed since the last read, and gives up what is finished. */
void cells_read(struct cells *, struct observation *add_to);
size_t cells_open(const struct cells *); /* not given up yet */

#endif
