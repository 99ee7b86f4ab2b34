/* Compare and swap until the word is ours or somebody newer has it. */
#include "proxy/weights.h"

#include "base/check.h"
#include "policies/policy.h"

enum { EPOCH_MAX = 0x7fffffff };

static uint32_t epoch_of(uint64_t word)
{
    return (uint32_t)(word >> 32) & EPOCH_MAX;
}

bool weight_set(struct weight *w, uint32_t epoch, uint32_t weight_bp)
{
    CHECK(weight_bp <= WEIGHT_FULL_BP);
    CHECK(epoch <= EPOCH_MAX);
    uint64_t want = (uint64_t)epoch << 32 | weight_bp;
    uint64_t word = atomic_load(&w->word);

    do {
        if (epoch_of(word) > epoch || (epoch_of(word) == epoch && word >> 63))
            return false;
    } while (!atomic_compare_exchange_weak(&w->word, &word, want));
    return true;
}

void weight_follow(struct weight *w, uint32_t weight_bp)
{
    CHECK(weight_bp <= WEIGHT_FULL_BP);
    uint64_t word = atomic_load(&w->word), want;

    do {
        uint32_t epoch = epoch_of(word);
        if (!(word >> 63) && (uint32_t)word == weight_bp)
            return;
        /* The last epoch there is: better the same one again than none. */
        want = (uint64_t)(epoch == EPOCH_MAX ? epoch : epoch + 1) << 32 | weight_bp;
    } while (!atomic_compare_exchange_weak(&w->word, &word, want));
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
