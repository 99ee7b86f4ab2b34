/* Compare and swap until the word is ours or somebody newer has it. */
#include "proxy/weights.h"

#include "base/check.h"
#include "policies/policy.h"

static uint32_t epoch_of(uint64_t word)
{
    return (uint32_t)(word >> 32) & 0x7fffffff;
}

bool weight_set(struct weight *w, uint32_t epoch, uint32_t weight_bp)
{
    CHECK(weight_bp <= WEIGHT_FULL_BP);
    CHECK(epoch <= 0x7fffffff);
    uint64_t want = (uint64_t)epoch << 32 | weight_bp;
    uint64_t word = atomic_load(&w->word);

    do {
        if (epoch_of(word) > epoch || (epoch_of(word) == epoch && word >> 63))
            return false;
    } while (!atomic_compare_exchange_weak(&w->word, &word, want));
    return true;
}

bool weight_trip(struct weight *w, uint32_t epoch)
{
    uint64_t word = atomic_load(&w->word);

    do {
        if (epoch_of(word) != epoch)
            return false;
    } while (!atomic_compare_exchange_weak(&w->word, &word, word | UINT64_C(1) << 63));
    return true;
}
