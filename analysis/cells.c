/* A bounded table of blocks of cells, indexed by a sequence number that only rises.
 *
 * Why the reader is never optimistic, and never sees a value that could not have been. Every
 * counter has one writer, which stores with release; the reader loads with acquire. So whoever has
 * seen the k-th value of one counter sees everything the writer did before it. The writer counts a
 * request in the order
 *
 *     dispatched → excluded (not asked about, warm-up) → bad[c] → overdue[c]+1 → bad, excluded
 *                → errors, excused → overdue[c]-1 → settled
 *
 * and the reader loads a cell's counters in the opposite order. Hence: of every request that it
 * sees as settled it sees all marks (nothing bad passes as good); every mark it sees belongs to a
 * request that it sees as dispatched (bad + excluded <= dispatched); every overdue request it sees
 * is in bad; and an overdue request that ended counts at worst for one more look as undecided. The
 * keys of a cell, and which criteria have no limit in it, are plain memory, written before
 * `published` is stored with release and never changed while the cell is in use. For a criterion
 * without a limit the reader puts `dispatched` itself in place of `excluded`, from the same load;
 * the limits are the writer's own.
 *
 * Reuse. The writer only dispatches into the newest LOOKBACK cells, so the reader, which has read
 * `published` first, knows that an older cell gets no more requests. Once all of those have settled
 * nothing changes in it any more, and the reader moves `finished` past it (release). The writer
 * takes blocks that lie wholly before `finished` (acquire). The reader's own copy of the counters,
 * from which it forms increments, lives in the block and travels with it.
 *
 * Memory. A cell of C criteria, T of them about times and P of these about latency alone, takes
 * 2 x 2 x 4 x (4 + 3C) bytes of counters (two variants, and the reader's copy), 2 x 8 x (3 + 2P +
 * T) of limits and 56 of keys: 600 B with the six default criteria, 2.4 KiB with 24 of latency. A
 * block of 16 cells is thus 10 KiB, or 39 KiB. While requests last less than a slot a worker has
 * two blocks of a rollout in use (L / 16 more when they last L slots), so 1,000 busy rollouts take
 * 20 MiB per worker, and 77 MiB with 24 criteria of latency each. A rollout without traffic takes
 * nothing.
 */
#include "analysis/cells.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum {
    BLOCK_CELLS = 16,
    BLOCKS_MAX = CELLS_MAX / BLOCK_CELLS,
    LOOKBACK = 4, /* an exchange may be dispatched with the weight of a moment ago */
    CACHE_LINE = 64,
};

struct cell {
    int64_t slot;
    uint32_t epoch;
    uint32_t without;                        /* criteria that have no limit here */
    _Atomic uint32_t *counts[VARIANT_COUNT]; /* its own */
    const int64_t *limits[VARIANT_COUNT];    /* the writer's */
    struct cell_block *block;
};

struct cell_block {
    _Atomic uint32_t changes; /* rises after stores to counters of this block, wrapping */
    _Atomic uint32_t *counts; /* BLOCK_CELLS x VARIANT_COUNT x stride, behind this struct */
    struct cell_block *next_free;
    struct cell cells[BLOCK_CELLS];
    /* the reader's, on cache lines of its own */
    _Alignas(CACHE_LINE) uint32_t seen_changes;
    uint32_t *seen;
    int64_t *limits; /* the writer's: BLOCK_CELLS x VARIANT_COUNT x limit_stride */
};

struct cells {
    uint32_t criteria;
    uint32_t stride;       /* counters per variant */
    uint32_t limit_stride; /* limits per variant */
    struct cell_block *_Atomic table[BLOCKS_MAX];
    /* the writer's */
    struct cell *newest; /* NULL: none yet */
    uint64_t next;       /* = published */
    uint64_t taken_back; /* blocks before this number are in no table */
    struct cell_block *free_blocks;
    int64_t *limits; /* of cells that are opened: VARIANT_COUNT x limit_stride */
    uint32_t without;
    _Alignas(CACHE_LINE) _Atomic uint64_t published; /* cells, by the writer */
    _Alignas(CACHE_LINE) _Atomic uint64_t finished;  /* cells, by the reader */
};

static size_t counter_index(enum cell_counter counter, size_t criterion)
{
    return counter + (CELL_COUNTERS - CELL_BAD) * criterion;
}

struct cells *cells_new(size_t criteria_count, size_t limits)
{
    CHECK(criteria_count <= CRITERIA_MAX);
    struct cells *cs = aligned_alloc(CACHE_LINE, sizeof *cs);
    CHECK(cs != NULL);
    memset(cs, 0, sizeof *cs);
    cs->criteria = (uint32_t)criteria_count;
    cs->stride = (uint32_t)counter_index(CELL_BAD, criteria_count);
    cs->limit_stride = (uint32_t)limits;
    cs->limits = xcalloc(VARIANT_COUNT * limits + 1, sizeof cs->limits[0]);
    return cs;
}

void cells_free(struct cells *cs)
{
    if (cs == NULL)
        return;
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        free(atomic_load_explicit(&cs->table[i], memory_order_relaxed));
    while (cs->free_blocks != NULL) {
        struct cell_block *b = cs->free_blocks;
        cs->free_blocks = b->next_free;
        free(b);
    }
    free(cs->limits);
    free(cs);
}

static size_t counters_per_block(const struct cells *cs)
{
    return (size_t)BLOCK_CELLS * VARIANT_COUNT * cs->stride;
}

static size_t round_up(size_t bytes)
{
    return (bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
}

static struct cell_block *block_new(const struct cells *cs)
{
    size_t counts_size = round_up(counters_per_block(cs) * sizeof(uint32_t));
    size_t limits_size =
        round_up((size_t)BLOCK_CELLS * VARIANT_COUNT * cs->limit_stride * sizeof(int64_t));
    char *memory =
        aligned_alloc(CACHE_LINE, sizeof(struct cell_block) + 2 * counts_size + limits_size);
    CHECK(memory != NULL);
    struct cell_block *b = (struct cell_block *)(void *)memory;
    b->counts = (_Atomic uint32_t *)(void *)(memory + sizeof *b);
    b->seen = (uint32_t *)(void *)(memory + sizeof *b + counts_size);
    b->limits = (int64_t *)(void *)(memory + sizeof *b + 2 * counts_size);
    return b;
}

static void block_clear(struct cell_block *b, size_t counters)
{
    atomic_store_explicit(&b->changes, 0, memory_order_relaxed);
    b->seen_changes = 0;
    for (size_t i = 0; i < counters; i++)
        atomic_store_explicit(&b->counts[i], 0, memory_order_relaxed);
    memset(b->seen, 0, counters * sizeof b->seen[0]);
}

static struct cell_block *block_of(const struct cells *cs, uint64_t sequence)
{
    return atomic_load_explicit(&cs->table[sequence / BLOCK_CELLS % BLOCKS_MAX],
                                memory_order_relaxed);
}

static struct cell *cell_of(const struct cells *cs, uint64_t sequence)
{
    return &block_of(cs, sequence)->cells[sequence % BLOCK_CELLS];
}

/* --- the writer ---------------------------------------------------------------------------- */

static void take_back_finished(struct cells *cs)
{
    uint64_t finished = atomic_load_explicit(&cs->finished, memory_order_acquire);
    for (; (cs->taken_back + 1) * BLOCK_CELLS <= finished; cs->taken_back++) {
        size_t i = cs->taken_back % BLOCKS_MAX;
        struct cell_block *b = atomic_load_explicit(&cs->table[i], memory_order_relaxed);
        atomic_store_explicit(&cs->table[i], NULL, memory_order_relaxed);
        b->next_free = cs->free_blocks;
        cs->free_blocks = b;
    }
}

static struct cell *append(struct cells *cs, uint32_t epoch, int64_t slot)
{
    uint32_t index = (uint32_t)(cs->next % BLOCK_CELLS);
    if (index == 0) {
        struct cell_block *fresh = cs->free_blocks;
        if (fresh != NULL)
            cs->free_blocks = fresh->next_free;
        else
            fresh = block_new(cs);
        block_clear(fresh, counters_per_block(cs));
        atomic_store_explicit(&cs->table[cs->next / BLOCK_CELLS % BLOCKS_MAX], fresh,
                              memory_order_relaxed);
    }
    struct cell_block *block = block_of(cs, cs->next);
    struct cell *cell = &block->cells[index];
    size_t limits_count = (size_t)VARIANT_COUNT * cs->limit_stride;
    int64_t *limits = block->limits + (size_t)index * limits_count;
    _Atomic uint32_t *counts = block->counts + (size_t)index * VARIANT_COUNT * cs->stride;
    memcpy(limits, cs->limits, limits_count * sizeof cs->limits[0]);
    *cell = (struct cell){.slot = slot, .epoch = epoch, .without = cs->without, .block = block};
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        cell->counts[v] = counts + v * cs->stride;
        cell->limits[v] = limits + v * cs->limit_stride;
    }
    cs->newest = cell;
    cs->next++;
    atomic_store_explicit(&cs->published, cs->next, memory_order_release);
    return cell;
}

/* The newest is another one: one of those before it, or a new one. */
static struct cell *find_or_open(struct cells *cs, uint32_t epoch, int64_t slot, bool *ret_overflow)
{
    struct cell *same_epoch = NULL;
    uint64_t oldest = cs->next > LOOKBACK ? cs->next - LOOKBACK : 0;
    for (uint64_t s = cs->next; s > oldest; s--) {
        struct cell *cell = cell_of(cs, s - 1);
        if (cell->epoch != epoch)
            continue;
        if (cell->slot == slot)
            return cell;
        if (same_epoch == NULL)
            same_epoch = cell;
    }
    if (cs->next % BLOCK_CELLS == 0 ||
        cs->next - cs->taken_back * BLOCK_CELLS >= CELLS_MAX - CELLS_RESERVED)
        take_back_finished(cs);
    uint64_t open = cs->next - cs->taken_back * BLOCK_CELLS;
    if (open >= CELLS_MAX || (open >= CELLS_MAX - CELLS_RESERVED && same_epoch != NULL)) {
        *ret_overflow = true;
        return same_epoch != NULL ? same_epoch : cell_of(cs, cs->next - 1);
    }
    return append(cs, epoch, slot);
}

void cells_set_limits(struct cells *cs, const int64_t *limits, uint32_t without)
{
    memcpy(cs->limits, limits, (size_t)VARIANT_COUNT * cs->limit_stride * sizeof limits[0]);
    cs->without = without;
}

struct cell *cells_newest(const struct cells *cs, uint32_t epoch, int64_t slot)
{
    struct cell *newest = cs->newest;

    return newest != NULL && newest->slot == slot && newest->epoch == epoch ? newest : NULL;
}

struct cell *cells_take(struct cells *cs, uint32_t epoch, int64_t slot, bool *ret_overflow)
{
    struct cell *newest = cells_newest(cs, epoch, slot);

    return newest != NULL ? newest : find_or_open(cs, epoch, slot, ret_overflow);
}

uint32_t cell_epoch(const struct cell *cell)
{
    return cell->epoch;
}

const int64_t *cell_limits(const struct cell *cell, enum variant variant)
{
    return cell->limits[variant];
}

uint32_t cell_without(const struct cell *cell)
{
    return cell->without;
}

void cell_add(struct cell *cell, enum variant variant, enum cell_counter counter, size_t criterion,
              int32_t by)
{
    _Atomic uint32_t *count = cell->counts[variant] + counter_index(counter, criterion);
    atomic_store_explicit(count, atomic_load_explicit(count, memory_order_relaxed) + (uint32_t)by,
                          memory_order_release);
}

void cell_changed(struct cell *cell)
{
    _Atomic uint32_t *changes = &cell->block->changes;

    /* After the counters: a reader that sees the change sees what changed, and one that missed the
     * change, or saw a part of it before, finds it the next time. */
    atomic_store_explicit(changes, atomic_load_explicit(changes, memory_order_relaxed) + 1,
                          memory_order_release);
}

/* --- the reader ---------------------------------------------------------------------------- */

static uint32_t load(const _Atomic uint32_t *count)
{
    return atomic_load_explicit(count, memory_order_acquire);
}

/* In the order that the comment at the top argues for; `now` has the layout of the cell. */
static void load_variant(const _Atomic uint32_t *counts, uint32_t criteria, uint32_t *now)
{
    static const enum cell_counter per_criterion[] = {CELL_OVERDUE, CELL_EXCLUDED, CELL_BAD};
    now[CELL_SETTLED] = load(&counts[CELL_SETTLED]);
    for (size_t k = 0; k < ARRAY_LEN(per_criterion); k++) {
        for (size_t c = 0; c < criteria; c++) {
            size_t i = counter_index(per_criterion[k], c);
            now[i] = load(&counts[i]);
        }
    }
    now[CELL_EXCUSED] = load(&counts[CELL_EXCUSED]);
    now[CELL_ERRORS] = load(&counts[CELL_ERRORS]);
    now[CELL_DISPATCHED] = load(&counts[CELL_DISPATCHED]);
}

static void emit(struct slot_counts *to, uint32_t criteria, uint32_t without, const uint32_t *now,
                 const uint32_t *seen)
{
    to->dispatched += now[CELL_DISPATCHED] - seen[CELL_DISPATCHED];
    to->settled += now[CELL_SETTLED] - seen[CELL_SETTLED];
    to->errors += now[CELL_ERRORS] - seen[CELL_ERRORS];
    to->excused += now[CELL_EXCUSED] - seen[CELL_EXCUSED];
    for (size_t c = 0; c < criteria; c++) {
        if ((without >> c & 1) != 0) {
            to->excluded[c] += now[CELL_DISPATCHED] - seen[CELL_DISPATCHED];
            continue;
        }
        size_t bad = counter_index(CELL_BAD, c);
        size_t excluded = counter_index(CELL_EXCLUDED, c);
        size_t overdue = counter_index(CELL_OVERDUE, c);
        to->bad[c] += now[bad] - seen[bad];
        to->excluded[c] += now[excluded] - seen[excluded];
        to->overdue[c] += (int32_t)(now[overdue] - seen[overdue]);
    }
}

static void read_cell(const struct cells *cs, struct cell_block *b, uint32_t index,
                      struct observation *add_to)
{
    uint32_t now[VARIANT_COUNT * (CELL_BAD + (CELL_COUNTERS - CELL_BAD) * CRITERIA_MAX)];
    size_t first = (size_t)index * VARIANT_COUNT * cs->stride;
    size_t count = (size_t)VARIANT_COUNT * cs->stride;
    uint32_t *seen = &b->seen[first];

    for (size_t v = 0; v < VARIANT_COUNT; v++)
        load_variant(&b->counts[first + v * cs->stride], cs->criteria, &now[v * cs->stride]);
    if (memcmp(now, seen, count * sizeof now[0]) == 0)
        return;
    const struct cell *cell = &b->cells[index];
    struct slot_delta *delta = observation_at(add_to, cell->epoch, cell->slot);
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        emit(&delta->variants[v], cs->criteria, cell->without, &now[v * cs->stride],
             &seen[v * cs->stride]);
    memcpy(seen, now, count * sizeof now[0]);
}

static bool all_settled(const struct cells *cs, uint64_t sequence)
{
    const uint32_t *seen =
        block_of(cs, sequence)->seen + sequence % BLOCK_CELLS * VARIANT_COUNT * cs->stride;
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        if (seen[v * cs->stride + CELL_SETTLED] != seen[v * cs->stride + CELL_DISPATCHED])
            return false;
    return true;
}

void cells_read(struct cells *cs, struct observation *add_to)
{
    uint64_t published = atomic_load_explicit(&cs->published, memory_order_acquire);
    uint64_t finished = atomic_load_explicit(&cs->finished, memory_order_relaxed);
    uint64_t closed = published; /* what it was before any counter was read */

    for (uint64_t s = finished; s < published;) {
        struct cell_block *b = block_of(cs, s);
        uint64_t end = (s / BLOCK_CELLS + 1) * BLOCK_CELLS;
        uint32_t changes = load(&b->changes);
        if (changes != b->seen_changes) {
            /* Again, after `changes`: it may tell of a cell that was opened since. */
            published = atomic_load_explicit(&cs->published, memory_order_acquire);
            for (uint64_t i = s; i < end && i < published; i++)
                read_cell(cs, b, (uint32_t)(i % BLOCK_CELLS), add_to);
            b->seen_changes = changes;
        }
        s = end;
    }
    while (finished + LOOKBACK < closed && all_settled(cs, finished))
        finished++;
    atomic_store_explicit(&cs->finished, finished, memory_order_release);
}

size_t cells_open(const struct cells *cs)
{
    return (size_t)(atomic_load_explicit(&cs->published, memory_order_relaxed) -
                    atomic_load_explicit(&cs->finished, memory_order_relaxed));
}
