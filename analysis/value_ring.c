/* A bounded table of blocks, indexed by a sequence number that only rises. The writer fills an
 * entry and then stores `pushed` with release; the reader loads it with acquire and sees every
 * entry before it. It stores `taken` with release when it is done with them; the writer loads it
 * with acquire, and uses only blocks again that lie wholly before it. Table entries are written
 * before the values in their block, and cleared when `taken` is past it, so that `pushed` and
 * `taken` order them too. */
#include "analysis/value_ring.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

enum { BLOCKS_MAX = VALUES_MAX / VALUE_BLOCK, CACHE_LINE = 64 };

struct value_block {
    struct value_block *next_free;
    struct shift_value values[VALUE_BLOCK];
};
_Static_assert(sizeof(struct value_block) <= 4096, "a page");

struct value_ring {
    struct value_block *table[BLOCKS_MAX];
    /* the writer's */
    uint64_t next;       /* = pushed */
    uint64_t taken_back; /* blocks before this number are in no table */
    struct value_block *free_blocks;
    _Atomic uint64_t lost;
    _Alignas(CACHE_LINE) _Atomic uint64_t pushed; /* by the writer */
    _Alignas(CACHE_LINE) _Atomic uint64_t taken;  /* by the reader */
};

struct value_ring *value_ring_new(void)
{
    struct value_ring *r = aligned_alloc(CACHE_LINE, sizeof *r);
    CHECK(r != NULL);
    memset(r, 0, sizeof *r);
    return r;
}

void value_ring_free(struct value_ring *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < BLOCKS_MAX; i++)
        free(r->table[i]);
    while (r->free_blocks != NULL) {
        struct value_block *b = r->free_blocks;
        r->free_blocks = b->next_free;
        free(b);
    }
    free(r);
}

static void take_back(struct value_ring *r)
{
    uint64_t taken = atomic_load_explicit(&r->taken, memory_order_acquire);

    for (; (r->taken_back + 1) * VALUE_BLOCK <= taken; r->taken_back++) {
        struct value_block **at = &r->table[r->taken_back % BLOCKS_MAX];
        (*at)->next_free = r->free_blocks;
        r->free_blocks = *at;
        *at = NULL;
    }
}

/* False: all blocks wait for the reader. */
static bool add_block(struct value_ring *r)
{
    take_back(r);
    if (r->next / VALUE_BLOCK - r->taken_back == BLOCKS_MAX)
        return false;
    struct value_block *b = r->free_blocks;
    if (b != NULL)
        r->free_blocks = b->next_free;
    else
        b = xmalloc(sizeof *b);
    r->table[r->next / VALUE_BLOCK % BLOCKS_MAX] = b;
    return true;
}

void value_ring_push(struct value_ring *r, const struct shift_value *v)
{
    size_t index = r->next % VALUE_BLOCK;

    if (index == 0 && !add_block(r)) {
        uint64_t lost = atomic_load_explicit(&r->lost, memory_order_relaxed);
        atomic_store_explicit(&r->lost, lost + 1, memory_order_relaxed);
        return;
    }
    r->table[r->next / VALUE_BLOCK % BLOCKS_MAX]->values[index] = *v;
    r->next++;
    atomic_store_explicit(&r->pushed, r->next, memory_order_release);
}

void value_ring_take(struct value_ring *r, void (*take)(void *ctx, const struct shift_value *),
                     void *ctx)
{
    uint64_t pushed = atomic_load_explicit(&r->pushed, memory_order_acquire);
    uint64_t at = atomic_load_explicit(&r->taken, memory_order_relaxed);

    for (; at < pushed; at++)
        take(ctx, &r->table[at / VALUE_BLOCK % BLOCKS_MAX]->values[at % VALUE_BLOCK]);
    atomic_store_explicit(&r->taken, at, memory_order_release);
}

uint64_t value_ring_lost(const struct value_ring *r)
{
    return atomic_load_explicit(&r->lost, memory_order_relaxed);
}
