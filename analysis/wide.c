/* Slots are opened when there is a canary in them, so that a pause costs nothing; the start weights
 * of those that passed meanwhile come with the next. (A pause that lasts longer than the policy's
 * own takes no more than those.) What surprises: a slot that is not over changes all the time, so
 * "changed" is kept per criterion and its formulas are run once per look, however many fast slots
 * changed in it.
 */
#include "analysis/wide.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

static uint64_t at_least_one(uint64_t n)
{
    return n > 0 ? n : 1;
}

void wide_init(struct wide *w, const struct policy *p, const struct sequential_plan *fast)
{
    int64_t pauses_ns = 0;
    *w = (struct wide){.first_segment = 1};
    if (p->analysis.confirm_count == 0)
        return;
    int64_t length = p->analysis.confirm_ns[0] / p->analysis.slot_ns;
    for (size_t i = 0; i < p->analysis.confirm_count; i++)
        pauses_ns += p->analysis.confirm_ns[i];
    w->length = length > 0 ? length : 1;
    w->pause = (uint64_t)(pauses_ns / p->analysis.slot_ns / w->length + 1);
    w->plan = *fast;
    w->plan.min_bad_slots = WIDE_MIN_BAD_SLOTS;
    w->plan.slots = at_least_one(fast->slots / (uint64_t)w->length);
    if (fast->bake_slots > 0)
        w->plan.bake_slots = at_least_one(fast->bake_slots / (uint64_t)w->length);
}

void wide_deinit(struct wide *w)
{
    free(w->segments);
    w->segments = NULL;
    w->capacity = w->count = 0;
}

void wide_reset(struct wide *w)
{
    w->given = (struct sequential_starts){0};
    w->started = w->step_start = false;
    w->origin = w->index = 0;
    w->first_slot = w->slots = 0;
    w->first_segment = 1;
    w->head = w->count = 0;
}

struct wide_segment *wide_segment_at(const struct wide *w, size_t index)
{
    CHECK(index < w->count);
    return &w->segments[(w->head + index) & (w->capacity - 1)];
}

static void grow(struct wide *w)
{
    size_t capacity = w->capacity == 0 ? 4 : 2 * w->capacity;
    struct wide_segment *segments = xmalloc(capacity * sizeof segments[0]);
    for (size_t i = 0; i < w->count; i++)
        segments[i] = *wide_segment_at(w, i);
    free(w->segments);
    w->segments = segments;
    w->capacity = capacity;
    w->head = 0;
}

struct wide_segment *wide_segment_push(struct wide *w, uint32_t weight_bp)
{
    CHECK(w->slots > 0);
    if (w->count == w->capacity)
        grow(w);
    w->count++;
    struct wide_segment *s = wide_segment_at(w, w->count - 1);
    memset(s, 0, sizeof *s);
    s->slot = w->first_slot + w->slots - 1;
    for (size_t c = 0; c < CRITERIA_MAX; c++)
        s->tallies[c].weight_bp = weight_bp;
    return s;
}

static enum evidence_turn turn_to(const struct wide *w, uint32_t weight_bp)
{
    bool was = wide_segment_at(w, w->count - 1)->tallies[0].weight_bp >= WEIGHT_FULL_BP;
    bool is = weight_bp >= WEIGHT_FULL_BP;
    return was == is ? EVIDENCE_ON : is ? EVIDENCE_ENTER_FULL : EVIDENCE_LEAVE_FULL;
}

static bool holds_most(const struct wide *w)
{
    size_t first = w->count;
    uint64_t newest = wide_segment_at(w, w->count - 1)->slot;
    while (first > 0 && wide_segment_at(w, first - 1)->slot == newest)
        first--;
    return w->count - first >= WIDE_SEGMENTS_MAX;
}

/* How many slots pass by the wall clock with this one; 0: it belongs to the newest. */
static uint64_t passed(const struct wide *w, int64_t slot, uint64_t length)
{
    int64_t index = (slot - w->origin) / w->length;
    int64_t began = (slot - (int64_t)(length - 1) - w->origin) / w->length;
    if (index <= w->index)
        return 0;
    /* Between the newest and `began` there was a pause. */
    int64_t paused = began > w->index + 1 ? began - w->index - 1 : 0;
    uint64_t counted = (uint64_t)paused < w->pause ? (uint64_t)paused : w->pause;
    return (uint64_t)(index - w->index - paused) + counted;
}

struct wide_opened wide_open(struct wide *w, int64_t slot, uint64_t length, uint32_t weight_bp,
                             bool baking)
{
    struct wide_opened ret = {0};
    if (w->length == 0 || weight_bp == 0)
        return ret;
    bool first = !w->started;
    if (first) {
        w->started = true;
        w->origin = slot;
        w->index = -1;
    }
    uint64_t slots = passed(w, slot, first ? 1 : length);
    ret.turn = first ? EVIDENCE_ON : turn_to(w, weight_bp);
    if (slots > 0 || ret.turn != EVIDENCE_ON || holds_most(w)) {
        ret.slot = true;
        ret.start = sequential_start(&w->plan, &w->given, slots, w->step_start, baking);
        w->step_start = false;
        w->index = (slot - w->origin) / w->length;
        w->slots++;
        wide_segment_push(w, weight_bp);
    } else if (wide_segment_at(w, w->count - 1)->tallies[0].weight_bp != weight_bp) {
        wide_segment_push(w, weight_bp);
    }
    ret.segment = w->first_segment + w->count - 1;
    return ret;
}

void wide_move(struct wide *w, uint64_t segment, size_t criterion,
               const struct shares before[VARIANT_COUNT], const struct shares now[VARIANT_COUNT])
{
    if (segment < w->first_segment)
        return;
    struct wide_segment *s = wide_segment_at(w, segment - w->first_segment);
    struct tally *t = &s->tallies[criterion];
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        t->n[v] += now[v].sample - before[v].sample;
        t->bad[v] += now[v].bad - before[v].bad;
    }
    s->dirty |= UINT32_C(1) << criterion;
}

bool wide_changed(struct wide *w, size_t *slot, uint32_t *ret_criteria)
{
    *ret_criteria = 0;
    for (size_t i = 0; i < w->count; i++) {
        struct wide_segment *s = wide_segment_at(w, i);
        size_t at = s->slot - w->first_slot;
        if (*ret_criteria != 0 && at != *slot)
            return true;
        if (s->dirty == 0 || at < *slot)
            continue;
        *slot = at;
        *ret_criteria |= s->dirty;
        s->dirty = 0;
    }
    return *ret_criteria != 0;
}

size_t wide_tallies(const struct wide *w, size_t slot, size_t criterion,
                    struct tally ret[static WIDE_SEGMENTS_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < w->count && count < WIDE_SEGMENTS_MAX; i++) {
        const struct wide_segment *s = wide_segment_at(w, i);
        if (s->slot - w->first_slot == slot)
            ret[count++] = s->tallies[criterion];
    }
    return count;
}

size_t wide_release(struct wide *w, uint64_t segment)
{
    if (segment < w->first_segment)
        return 0;
    uint64_t slot = wide_segment_at(w, segment - w->first_segment)->slot;
    size_t drop = 0, closed = slot - w->first_slot;
    while (wide_segment_at(w, drop)->slot < slot)
        drop++;
    w->head = (w->head + drop) & (w->capacity - 1);
    w->count -= drop;
    w->first_segment += drop;
    w->first_slot = slot;
    w->slots -= closed;
    return closed;
}
