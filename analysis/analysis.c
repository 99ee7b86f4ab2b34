/* Weights and increments come in here. What surprises: there is no order in which increments must
 * come. They revise the slot in which their request was dispatched, and all evidence follows from
 * the last counts of all slots.
 */
#include "analysis/analysis.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/analysis_state.h"
#include "base/arena.h"
#include "base/check.h"

enum {
    SLOTS_MORE = 128, /* than the requests in flight need */
    OPEN_MIN = 256,   /* open slots are bounded by total_timeout between these two */
    OPEN_MAX = 4096,
};

static uint64_t slots_in(const struct policy *p, int64_t ns)
{
    return (uint64_t)(ns / p->analysis.slot_ns);
}

static struct sequential_plan plan_of(const struct policy *p)
{
    uint64_t planned = 0, bake = slots_in(p, p->bake.for_ns);
    for (size_t i = 0; i < p->step_count; i++)
        planned += slots_in(p, p->steps[i].hold_ns);
    return (struct sequential_plan){
        .alpha = p->analysis.max_false_revert,
        .share = 1,
        .steps = (p->step_count > 0 ? p->step_count : 1) + (bake > 0 ? 1 : 0),
        .slots = planned > 0 ? planned : 1,
        .bake_slots = bake,
        .min_bad_slots = p->analysis.min_bad_slots,
    };
}

static void clear_step(struct analysis *a)
{
    a->step_requests = 0;
    a->first_bad_slot = -1;
    for (size_t c = 0; c < a->count; c++)
        step_record_begin(&a->criteria[c].record);
}

struct analysis *analysis_new(const struct policy *p)
{
    struct analysis *a = xcalloc(1, sizeof *a);
    a->policy = p;
    a->plan = plan_of(p);
    uint64_t open = slots_in(p, p->upstream.total_timeout_ns) + SLOTS_MORE;
    a->open_max = open < OPEN_MIN ? OPEN_MIN : open > OPEN_MAX ? OPEN_MAX : (size_t)open;
    a->count = p->analysis.criteria_count;
    a->down_limits = hard_down_limits(&p->analysis);
    a->criteria = xcalloc(a->count > 0 ? a->count : 1, sizeof a->criteria[0]);
    wide_init(&a->wide, p, &a->plan);
    for (size_t c = 0; c < a->count; c++) {
        const struct policy_criterion *k = &p->analysis.criteria[c];
        criterion_init(&a->criteria[c], p, c, &a->plan, &a->wide.plan);
        a->values = a->values || !a->criteria[c].sequential;
        a->lesser = a->lesser || k->on_fail != ON_FAIL_ROLLBACK ||
                    (criterion_is_relative(k) && k->frozen_on_fail != ON_FAIL_ROLLBACK);
    }
    window_init(&a->window);
    placebo_init(&a->placebo, p, &a->plan);
    a->cache = xcalloc(1, sizeof *a->cache);
    clear_step(a);
    return a;
}

void analysis_free(struct analysis *a)
{
    if (a == NULL)
        return;
    for (size_t c = 0; c < a->count; c++)
        criterion_deinit(&a->criteria[c]);
    free(a->criteria);
    window_deinit(&a->window);
    wide_deinit(&a->wide);
    placebo_deinit(&a->placebo);
    free(a->cache);
    free(a);
}

void analysis_reset(struct analysis *a)
{
    for (size_t c = 0; c < a->count; c++)
        criterion_reset(&a->criteria[c]);
    window_drop(&a->window, a->window.count);
    wide_reset(&a->wide);
    placebo_reset(&a->placebo);
    a->started = a->baking = a->run_tripped = false;
    a->first_epoch = a->epoch = a->weight_bp = a->step = a->visit_count = 0;
    a->given = a->lesser_given = (struct sequential_starts){0};
    a->closed_run = (struct run){0};
    a->visit = (struct visit){0};
    a->in_flight = 0;
    a->cache->valid = false;
    clear_step(a);
}

/* --- weights ------------------------------------------------------------------------------- */

void analysis_probe(struct analysis *a, const struct probe *probe)
{
    CHECK(probe->criterion < a->count || probe->criterion == CRITERIA_MAX);
    CHECK(probe->z > 0 && probe->z < probe->p1 && probe->p1 < 1);
    a->visit.asked = *probe;
}

static void begin_step(struct analysis *a, bool baking)
{
    a->step++;
    a->baking = baking;
    a->wide.step_start = true;
    clear_step(a);
}

/* What the fast test and the run of failures knew is not asked any more. */
static void begin_visit(struct analysis *a)
{
    a->visit_count++;
    a->closed_run = (struct run){0};
    a->run_tripped = false;
}

static enum evidence_turn turn_to(const struct analysis *a, uint32_t weight_bp)
{
    bool was = a->weight_bp >= WEIGHT_FULL_BP, is = weight_bp >= WEIGHT_FULL_BP;
    return was == is ? EVIDENCE_ON : is ? EVIDENCE_ENTER_FULL : EVIDENCE_LEAVE_FULL;
}

void analysis_weight(struct analysis *a, uint32_t epoch, uint32_t weight_bp, enum weight_why why,
                     int64_t now_ns)
{
    int64_t slot = now_ns / a->policy->analysis.slot_ns;
    bool step_start = why == WEIGHT_STEP || why == WEIGHT_BAKE, forced = false;
    CHECK(weight_bp <= WEIGHT_FULL_BP);
    if (a->started) {
        CHECK(epoch >= a->epoch);
        analysis_advance(a, slot);
        analysis_refold(a);
        forced = step_start && analysis_look(a)->retreat;
        int64_t last = window_at(&a->window, a->window.count - 1)->slot;
        slot = slot > last ? slot : last;
    } else {
        a->started = true;
        a->first_epoch = epoch;
    }
    /* The rest of a slot that had a canary: it has its start weight. */
    bool takes_over = a->weight_bp > 0;
    enum evidence_turn turn = turn_to(a, weight_bp);
    if (turn == EVIDENCE_ENTER_FULL)
        for (size_t c = 0; c < a->count; c++)
            criterion_freeze(&a->criteria[c], a->plan.alpha);
    a->epoch = epoch;
    a->weight_bp = weight_bp;
    a->visit.active = false;
    if (step_start)
        begin_step(a, why == WEIGHT_BAKE);
    /* A step into which somebody forces a canary that was sent back asks it again, too. */
    if (why == WEIGHT_PROBE || why == WEIGHT_FORCED || forced) {
        begin_visit(a);
        turn = EVIDENCE_FRESH;
    }
    if (why == WEIGHT_PROBE)
        visit_begin(&a->visit, slot);
    for (size_t c = 0; c < a->count; c++)
        if (a->criteria[c].shift != NULL)
            shift_weight(a->criteria[c].shift, epoch, weight_bp);
    analysis_open_slot(a, slot, takes_over ? 0 : 1, step_start, turn);
    analysis_refold(a);
}

/* --- observations -------------------------------------------------------------------------- */

/* Counts of a weight that is closed altogether go to the oldest slot, but only the canary's: what
 * stable did then is nothing to compare this weight's canary with. */
static void drop_foreign(const struct window_slot *w, struct slot_delta *delta)
{
    if (w->epoch != delta->epoch)
        delta->variants[VARIANT_STABLE] = (struct slot_counts){0};
}

/* Errors, and what broke an absolute limit. What is compared with stable is bad now and then with
 * every canary (half of all are above the median): that begins nothing. */
static bool any_bad(const struct analysis *a, const struct slot_counts *counts)
{
    bool any = counts->errors > 0;
    for (size_t c = 0; c < a->count; c++)
        any = any || (a->criteria[c].policy->test == TEST_MAX && counts->bad[c] > 0);
    return any;
}

static void set_fast(struct analysis *a, size_t index, struct criterion *c,
                     const struct shares now[VARIANT_COUNT], struct evidence_news news)
{
    const struct tally tally = {
        .weight_bp = window_at(&a->window, index)->weight_bp,
        .n = {now[VARIANT_STABLE].sample, now[VARIANT_CANARY].sample},
        .bad = {now[VARIANT_STABLE].bad, now[VARIANT_CANARY].bad},
    };
    evidence_set(&c->fast, index, &tally, 1, news);
}

static bool is_same(const struct shares *a, const struct shares *b)
{
    return a->sample == b->sample && a->bad == b->bad;
}

/* The counts of a slot were `before`; takes over what they are. */
static void revise(struct analysis *a, size_t index, struct criterion *c,
                   const struct shares before[VARIANT_COUNT])
{
    const struct window_slot *w = window_at(&a->window, index);
    struct shares now[VARIANT_COUNT];
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        now[v] = shares_of(&w->counts[v], c->index);
    step_record_move(&c->record, w, w->step == a->step, before, now);
    bool canary = !is_same(&before[VARIANT_CANARY], &now[VARIANT_CANARY]);
    bool stable = !is_same(&before[VARIANT_STABLE], &now[VARIANT_STABLE]);
    if (!c->sequential || (!canary && (!stable || !evidence_compares(&c->fast))))
        return;
    struct evidence_news news = {
        .canary = canary,
        .bad = before[VARIANT_CANARY].bad != now[VARIANT_CANARY].bad ||
               before[VARIANT_STABLE].bad != now[VARIANT_STABLE].bad,
    };
    set_fast(a, index, c, now, news);
    if (c->is_wide)
        wide_move(&a->wide, w->segment, c->index, before, now);
}

/* Whether any count of the criterion changes. */
static bool concerns(const struct slot_delta *delta, size_t c)
{
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        const struct slot_counts *n = &delta->variants[v];
        if ((n->dispatched | n->settled | n->bad[c] | n->excluded[c]) != 0 || n->overdue[c] != 0)
            return true;
    }
    return false;
}

static void apply(struct analysis *a, struct slot_delta delta)
{
    size_t index = window_find(&a->window, delta.epoch, delta.slot);
    struct window_slot *w = window_at(&a->window, index);
    const struct slot_counts *canary = &delta.variants[VARIANT_CANARY];
    const struct slot_counts *stable = &delta.variants[VARIANT_STABLE];
    struct shares before[CRITERIA_MAX][VARIANT_COUNT];

    drop_foreign(w, &delta);
    for (size_t c = 0; c < a->count; c++)
        if (concerns(&delta, c))
            for (size_t v = 0; v < VARIANT_COUNT; v++)
                before[c][v] = shares_of(&w->counts[v], c);
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        slot_counts_add(&w->counts[v], &delta.variants[v], a->count);
    for (size_t c = 0; c < a->count; c++)
        if (concerns(&delta, c))
            revise(a, index, &a->criteria[c], before[c]);
    if (placebo_concerns(&a->placebo, stable))
        placebo_set(&a->placebo, index, &w->counts[VARIANT_STABLE]);
    a->in_flight += (int64_t)canary->dispatched - canary->settled;
    a->cache->valid = false;
    if (w->step != a->step)
        return;
    a->step_requests += canary->dispatched;
    if (any_bad(a, canary) && (a->first_bad_slot < 0 || delta.slot < a->first_bad_slot))
        a->first_bad_slot = delta.slot;
}

static void observe_values(struct analysis *a, const struct observation *o, int64_t now_ns)
{
    for (size_t i = 0; i < o->shift_count; i++) {
        const struct shift_delta *d = &o->shifts[i];
        if (d->criterion < a->count && a->criteria[d->criterion].shift != NULL &&
            d->epoch >= a->first_epoch)
            shift_observe(a->criteria[d->criterion].shift, d);
    }
    for (size_t c = 0; c < a->count; c++)
        if (a->criteria[c].method != NULL)
            window_method_observe(a->criteria[c].method, &a->policy->analysis, c, a->first_epoch, o,
                                  now_ns);
    a->cache->valid = false;
}

void analysis_observe(struct analysis *a, const struct observation *o, int64_t now_ns)
{
    int64_t now_slot = now_ns / a->policy->analysis.slot_ns;
    bool advanced = false;
    if (!a->started)
        return;
    for (size_t i = 0; i < o->count; i++) {
        const struct slot_delta *delta = &o->deltas[i];
        if (delta->epoch < a->first_epoch)
            continue;
        if (delta->epoch >= a->epoch) /* slot by slot, also after a pause of the reader */
            advanced = analysis_advance(a, delta->slot) || advanced;
        apply(a, *delta);
    }
    advanced = analysis_advance(a, now_slot) || advanced;
    if (a->values)
        observe_values(a, o, now_ns);
    analysis_refold(a);
    if (advanced)
        placebo_look(&a->placebo);
    analysis_latch(a);
    analysis_close_finished(a, now_slot);
}

void analysis_refill(struct analysis *a)
{
    struct shares now[VARIANT_COUNT];
    for (size_t i = 0; i < a->window.count; i++) {
        const struct window_slot *w = window_at(&a->window, i);
        for (size_t c = 0; c < a->count; c++) {
            for (size_t v = 0; v < VARIANT_COUNT; v++)
                now[v] = shares_of(&w->counts[v], c);
            if (a->criteria[c].sequential)
                set_fast(a, i, &a->criteria[c], now, (struct evidence_news){true, true});
        }
        placebo_set(&a->placebo, i, &w->counts[VARIANT_STABLE]);
    }
    analysis_refold(a);
    a->cache->valid = false;
}
