/* Slots open and close here, for every test at once. What surprises: slots of weight 0 get no start
 * weight and do not use up the plan's, since no canary request can be dispatched in them (a
 * predictable choice, so E stays an e-process); a rollout may wait for days.
 */
#include "analysis/analysis_state.h"

enum {
    GRACE_SLOTS = 2,  /* a slot stays open at least so long: workers are read now and then */
    DENSE_SLOTS = 64, /* of a longer gap only the end is kept slot by slot */
};

static void refold_wide(struct analysis *a)
{
    struct tally tallies[WIDE_SEGMENTS_MAX];
    uint32_t changed;
    for (size_t slot = 0; wide_changed(&a->wide, &slot, &changed); slot++)
        for (; changed != 0; changed &= changed - 1) {
            struct criterion *c = &a->criteria[__builtin_ctz(changed)];
            size_t count = wide_tallies(&a->wide, slot, c->index, tallies);
            evidence_set(&c->wide, slot, tallies, count, (struct evidence_news){true, true});
        }
    for (size_t c = 0; c < a->count; c++)
        if (a->criteria[c].is_wide)
            evidence_refold(&a->criteria[c].wide);
}

void analysis_refold(struct analysis *a)
{
    for (size_t c = 0; c < a->count; c++)
        if (a->criteria[c].sequential)
            evidence_refold(&a->criteria[c].fast);
    refold_wide(a);
    placebo_refold(&a->placebo);
}

/* The oldest slot will not change any more, or must make room. Nothing is dirty. */
static void close_oldest(struct analysis *a)
{
    const struct window_slot *w = window_at(&a->window, 0);
    for (size_t c = 0; c < a->count; c++)
        criterion_close(&a->criteria[c], w, w->step == a->step);
    placebo_close(&a->placebo, w);
    if (w->visit == a->visit_count) {
        run_add(&a->closed_run, w, a->down_limits);
        a->run_tripped = a->run_tripped || run_trips(&a->closed_run, a->policy);
        if (a->visit.active)
            visit_close(&a->visit, w, a->down_limits, analysis_patience(a));
    }
    window_drop(&a->window, 1);
    if (a->window.count == 0)
        return;
    size_t closed = wide_release(&a->wide, window_at(&a->window, 0)->segment);
    for (size_t c = 0; closed > 0 && c < a->count; c++)
        if (a->criteria[c].is_wide)
            evidence_close(&a->criteria[c].wide, closed);
}

static bool is_settled(const struct window_slot *w)
{
    const struct slot_counts *canary = &w->counts[VARIANT_CANARY];
    const struct slot_counts *stable = &w->counts[VARIANT_STABLE];
    /* Without both variants nothing is compared: stable's long streams need not be waited for. */
    bool alone = w->weight_bp == 0 || w->weight_bp >= WEIGHT_FULL_BP;
    return canary->settled >= canary->dispatched &&
           (alone || stable->settled >= stable->dispatched);
}

void analysis_close_finished(struct analysis *a, int64_t now_slot)
{
    while (a->window.count > 1) {
        const struct window_slot *oldest = window_at(&a->window, 0);
        if (oldest->slot + GRACE_SLOTS > now_slot || !is_settled(oldest))
            break;
        close_oldest(a);
    }
}

static void open_wide(struct analysis *a, struct window_slot *w, uint64_t length)
{
    struct wide_opened opened =
        wide_open(&a->wide, w->slot, length > 0 ? length : 1, w->weight_bp, a->baking);
    w->segment = opened.segment;
    for (size_t c = 0; opened.slot && c < a->count; c++)
        if (a->criteria[c].is_wide)
            evidence_open(&a->criteria[c].wide, opened.start, w->weight_bp, opened.turn);
}

/* What may not roll back is never asked again: one test, with its own start weights. */
static void open_fast(struct analysis *a, uint64_t length, bool step_start, enum evidence_turn turn)
{
    double start = 0, lesser = 0;
    bool fresh = turn == EVIDENCE_FRESH;
    if (fresh)
        a->given = (struct sequential_starts){0};
    if (a->weight_bp > 0) {
        start = sequential_start(&a->plan, &a->given, length, step_start || fresh, a->baking);
        lesser = sequential_start(&a->plan, &a->lesser_given, length, step_start, a->baking);
    }
    for (size_t c = 0; c < a->count; c++) {
        struct criterion *k = &a->criteria[c];
        bool rolls_back = k->policy->on_fail == ON_FAIL_ROLLBACK;
        if (k->sequential)
            evidence_open(&k->fast, rolls_back ? start : lesser, a->weight_bp,
                          fresh && !rolls_back ? EVIDENCE_ON : turn);
    }
}

void analysis_open_slot(struct analysis *a, int64_t slot, uint64_t length, bool step_start,
                        enum evidence_turn turn)
{
    if (a->window.count >= a->open_max) {
        analysis_refold(a);
        close_oldest(a);
    }
    struct window_slot *w = window_push(&a->window, a->epoch, slot, a->weight_bp, a->step);
    w->visit = a->visit_count;
    open_fast(a, length, step_start, turn);
    placebo_open(&a->placebo, slot, length);
    open_wide(a, w, length);
    a->cache->valid = false;
}

bool analysis_advance(struct analysis *a, int64_t slot)
{
    int64_t last = window_at(&a->window, a->window.count - 1)->slot, first = last;
    if (slot - last > DENSE_SLOTS + 1) {
        int64_t skip_to = slot - DENSE_SLOTS;
        analysis_open_slot(a, skip_to, (uint64_t)(skip_to - last), false, EVIDENCE_ON);
        last = skip_to;
    }
    while (last < slot)
        analysis_open_slot(a, ++last, 1, false, EVIDENCE_ON);
    return last > first;
}
