/* analysis/snapshot.h — a small value between one writer and any readers, whole or not at all.
 *
 * No lock, nobody waits: the writer always writes, a reader that comes in between is told so. The
 * value is plain data in 64-bit words.
 */
#ifndef ANALYSIS_SNAPSHOT_H
#define ANALYSIS_SNAPSHOT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct snapshot {
    _Atomic uint64_t sequence; /* 0: never written; odd: being written */
    _Atomic uint64_t words[];
};

static inline size_t snapshot_size(size_t words)
{
    return sizeof(struct snapshot) + words * sizeof(uint64_t);
}

/* The writer. */
void snapshot_store(struct snapshot *, const uint64_t *from, size_t words);
/* False, and *to of no meaning: never written, or written meanwhile. *ret_sequence tells values
 * apart. */
bool snapshot_load(const struct snapshot *, uint64_t *to, size_t words, uint64_t *ret_sequence);
/* What it would be now; odd while the value is being written. */
uint64_t snapshot_sequence(const struct snapshot *);

#endif
