/* A sequence lock whose words are atomics themselves, so that nothing here is a race.
 *
 * The writer makes the sequence odd, stores the words with release, and makes it even with release.
 * A reader loads the sequence, the words with acquire, and the sequence again. Had it seen a word
 * of a later value, then with that word also the odd number before it, and the two sequences
 * differ. Had it seen a word of an earlier value: the first sequence was stored after all words of
 * its value, so it saw these or later ones. */
#include "analysis/snapshot.h"

#include <stdatomic.h>

void snapshot_store(struct snapshot *s, const uint64_t *from, size_t words)
{
    uint64_t sequence = atomic_load_explicit(&s->sequence, memory_order_relaxed);

    atomic_store_explicit(&s->sequence, sequence + 1, memory_order_relaxed);
    for (size_t i = 0; i < words; i++)
        atomic_store_explicit(&s->words[i], from[i], memory_order_release);
    atomic_store_explicit(&s->sequence, sequence + 2, memory_order_release);
}

bool snapshot_load(const struct snapshot *s, uint64_t *to, size_t words, uint64_t *ret_sequence)
{
    uint64_t before = atomic_load_explicit(&s->sequence, memory_order_acquire);

    if (before == 0 || before % 2 != 0)
        return false;
    for (size_t i = 0; i < words; i++)
        to[i] = atomic_load_explicit(&s->words[i], memory_order_acquire);
    *ret_sequence = before;
    return atomic_load_explicit(&s->sequence, memory_order_relaxed) == before;
}

uint64_t snapshot_sequence(const struct snapshot *s)
{
    return atomic_load_explicit(&s->sequence, memory_order_acquire);
}
