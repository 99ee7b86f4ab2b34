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

struct cells *cells_new(size_t criteria_count);
void cells_free(struct cells *);

/* --- the writer --- */

/* The cell of (epoch, slot), opened when there is none among the newest; at once when it is the
 * newest, as it nearly always is. When too many are open it
 * is the newest cell of that epoch (of any, at worst) and *ret_overflow is set; else untouched. */
struct cell *cells_take(struct cells *, uint32_t epoch, int64_t slot, bool *ret_overflow);
/* Adds to a counter; `criterion` is 0 for those that have only one. Only CELL_OVERDUE goes down.
 * The reader looks only at what cell_changed told of, once after some additions. */
void cell_add(struct cell *, enum variant, enum cell_counter, size_t criterion, int32_t by);
void cell_changed(struct cell *);

/* --- the reader --- */

/* Adds what changed since the last read, and gives up what is finished. */
void cells_read(struct cells *, struct observation *add_to);
size_t cells_open(const struct cells *); /* not given up yet */

#endif
