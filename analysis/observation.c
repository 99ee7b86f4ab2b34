/* A sorted vector: several workers report the same slots, mostly the newest, so the usual insertion
 * is at the end or finds the entry within a few comparisons. */

#include "analysis/observation.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

void observation_init(struct observation *o)
{
    *o = (struct observation){0};
}

void observation_deinit(struct observation *o)
{
    free(o->deltas);
    free(o->shifts);
    observation_init(o);
}

void observation_clear(struct observation *o)
{
    o->count = 0;
    o->shift_count = 0;
}

static int compare(const struct slot_delta *d, uint32_t epoch, int64_t slot)
{
    if (d->epoch != epoch)
        return d->epoch < epoch ? -1 : 1;
    return d->slot < slot ? -1 : d->slot > slot;
}

static void insert_at(struct observation *o, size_t at)
{
    if (o->count == o->capacity) {
        o->capacity = o->capacity == 0 ? 8 : 2 * o->capacity;
        o->deltas = xrealloc(o->deltas, o->capacity * sizeof o->deltas[0]);
    }
    memmove(&o->deltas[at + 1], &o->deltas[at], (o->count - at) * sizeof o->deltas[0]);
    o->count++;
}

struct slot_delta *observation_at(struct observation *o, uint32_t epoch, int64_t slot)
{
    size_t low = 0, high = o->count;
    if (high > 0 && compare(&o->deltas[high - 1], epoch, slot) < 0)
        low = high;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (compare(&o->deltas[middle], epoch, slot) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    if (low == o->count || compare(&o->deltas[low], epoch, slot) != 0) {
        insert_at(o, low);
        o->deltas[low] = (struct slot_delta){.epoch = epoch, .slot = slot};
    }
    return &o->deltas[low];
}

static int compare_shift(const struct shift_delta *d, uint32_t epoch, uint32_t criterion)
{
    if (d->epoch != epoch)
        return d->epoch < epoch ? -1 : 1;
    return d->criterion < criterion ? -1 : d->criterion > criterion;
}

/* There are few: the epochs of the requests in flight, times the criteria that compare values. */
struct shift_delta *observation_shift_at(struct observation *o, uint32_t epoch, uint32_t criterion)
{
    size_t at = o->shift_count;

    while (at > 0 && compare_shift(&o->shifts[at - 1], epoch, criterion) >= 0)
        at--;
    if (at < o->shift_count && compare_shift(&o->shifts[at], epoch, criterion) == 0)
        return &o->shifts[at];
    if (o->shift_count == o->shift_capacity) {
        o->shift_capacity = o->shift_capacity == 0 ? 4 : 2 * o->shift_capacity;
        o->shifts = xrealloc(o->shifts, o->shift_capacity * sizeof(o->shifts[0]));
    }
    memmove(&o->shifts[at + 1], &o->shifts[at], (o->shift_count - at) * sizeof(o->shifts[0]));
    o->shift_count++;
    memset(&o->shifts[at], 0, sizeof(o->shifts[at]));
    o->shifts[at].epoch = epoch;
    o->shifts[at].criterion = criterion;
    return &o->shifts[at];
}
