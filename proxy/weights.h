/* proxy/weights.h — one atomic word per rollout: how the weight reaches every worker.
 *
 * {tripped:1, epoch:31, weight_bp:32}. A write with an older epoch than the word's is ignored, so a
 * late writer cannot undo a rollback; a trip (weight 0 by the proxy itself) wins over any write of
 * the same epoch and ends with a newer one. Any thread.
 */
#ifndef PROXY_WEIGHTS_H
#define PROXY_WEIGHTS_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct weight {
    _Alignas(64) _Atomic uint64_t word; /* a cache line of its own: read by all on each request */
};

struct weight_now {
    uint32_t epoch, weight_bp;
};

static inline struct weight_now weight_read(const struct weight *w)
{
    uint64_t word = atomic_load_explicit(&w->word, memory_order_acquire);
    bool tripped = word >> 63;

    return (struct weight_now){.epoch = (uint32_t)(word >> 32) & 0x7fffffff,
                               .weight_bp = tripped ? 0 : (uint32_t)word};
}

/* False: the word already has a newer epoch, or was tripped in this one. */
bool weight_set(struct weight *, uint32_t epoch, uint32_t weight_bp);
/* Another writer takes over a word whose epochs it does not share: the weight, one epoch after
 * whatever stands there, so that it is obeyed. Nothing is written when the weight is that already.
 */
void weight_follow(struct weight *, uint32_t weight_bp);
/* Weight 0 until a newer epoch. False: the word has another epoch by now. */
bool weight_trip(struct weight *, uint32_t epoch);

#endif
