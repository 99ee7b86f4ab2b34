/* Slots open and close here, increments find theirs, and a report is put together. What surprises:
 * slots of weight 0 get no start weight and do not use up the plan's, since no canary request can
 * be dispatched in them (a predictable choice, so E stays an e-process); a rollout may wait for
 * days.
 *
 * hard_down is judged by slots, which approximates "N failures in a row": the order inside a slot
 * is not known, so a slot with one good request ends a run although failures may follow in it, and
 * the time a run lasts is taken between the starts of its first and last slot.
 */
#include "analysis/analysis.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/criterion.h"
#include "analysis/ring.h"
#include "analysis/sequential.h"
#include "analysis/window.h"
#include "base/arena.h"
#include "base/check.h"

enum {
    GRACE_SLOTS = 2,  /* a slot stays open at least so long: workers are read now and then */
    DENSE_SLOTS = 64, /* of a longer gap only the end is kept slot by slot */
    OPEN_MIN = 256,   /* open slots are bounded by total_timeout between these two */
    OPEN_MAX = 4096,
};

#define LOG_E_NONE (-1e9)

/* Canary failures without a good answer in between. */
struct run {
    uint64_t failures;
    int64_t first_slot, last_slot;
};

/* What a step has shown, for one criterion. */
struct step_sums {
    struct prefixes canary;
    struct criterion_sum stable;
};

struct cache {
    bool valid;
    struct analysis_report report;
};

struct analysis {
    const struct policy *policy;
    struct sequential_plan plan;
    size_t open_max;
    size_t count;
    struct criterion criteria[CRITERIA_MAX];
    struct window window; /* each criterion's ring has a slot for each of these */

    bool started;         /* a weight is known */
    uint32_t first_epoch; /* outcomes of an older one are another canary's */
    uint32_t epoch, weight_bp, step;
    uint64_t slots_opened, steps_started;

    uint64_t step_requests;                /* of the canary, dispatched in this step */
    struct step_sums closed[CRITERIA_MAX]; /* of this step, in slots that were closed for good */
    struct run closed_run;
    bool run_tripped; /* by a run that was closed since */
    int64_t first_bad_slot;
    struct probe probe;
    struct cache *cache; /* the last report, while nothing has changed */
};

static uint64_t slots_in(const struct policy *p, int64_t ns)
{
    return (uint64_t)(ns / p->analysis.slot_ns);
}

static void clear_step(struct analysis *a)
{
    a->step_requests = 0;
    memset(a->closed, 0, sizeof a->closed);
    a->first_bad_slot = -1;
}

struct analysis *analysis_new(const struct policy *p)
{
    struct analysis *a = xcalloc(1, sizeof *a);
    uint64_t planned = 0;
    for (size_t i = 0; i < p->step_count; i++)
        planned += slots_in(p, p->steps[i].hold_ns);
    a->policy = p;
    a->plan = (struct sequential_plan){
        .alpha = p->analysis.max_false_revert,
        .criteria = p->analysis.criteria_count,
        .steps = p->step_count > 0 ? p->step_count : 1,
        .slots = planned > 0 ? planned : 1,
        .min_bad_slots = p->analysis.min_bad_slots,
    };
    uint64_t open = slots_in(p, p->upstream.total_timeout_ns) + 2 * DENSE_SLOTS;
    a->open_max = open < OPEN_MIN ? OPEN_MIN : open > OPEN_MAX ? OPEN_MAX : (size_t)open;
    a->count = p->analysis.criteria_count;
    for (size_t c = 0; c < a->count; c++) {
        criterion_init(&a->criteria[c], &p->analysis.criteria[c], c, &a->plan);
    }
    window_init(&a->window);
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
    window_deinit(&a->window);
    free(a->cache);
    free(a);
}

void analysis_reset(struct analysis *a)
{
    for (size_t c = 0; c < a->count; c++)
        criterion_reset(&a->criteria[c]);
    window_drop(&a->window, a->window.count);
    a->started = false;
    a->weight_bp = a->step = 0;
    a->slots_opened = a->steps_started = 0;
    a->closed_run = (struct run){0};
    a->run_tripped = false;
    a->cache->valid = false;
    clear_step(a);
}

/* --- runs of failures ---------------------------------------------------------------------- */

/* Requests in flight that some criterion already holds bad. */
static int64_t overdue(const struct slot_counts *counts, size_t criteria)
{
    int64_t most = 0;
    for (size_t c = 0; c < criteria; c++)
        if (counts->overdue[c] > most)
            most = counts->overdue[c];
    return most;
}

static void run_add(struct run *run, const struct analysis *a, const struct window_slot *w)
{
    const struct slot_counts *canary = &w->counts[VARIANT_CANARY];
    int64_t judged = (int64_t)canary->dispatched - canary->excused;
    if (judged <= 0)
        return;
    if (canary->errors + overdue(canary, a->count) < judged) {
        *run = (struct run){0};
        return;
    }
    if (run->failures == 0)
        run->first_slot = w->slot;
    run->last_slot = w->slot;
    run->failures += (uint64_t)judged;
}

static int64_t run_ns(const struct run *run, const struct policy *p)
{
    return (run->last_slot - run->first_slot) * p->analysis.slot_ns;
}

static bool run_trips(const struct run *run, const struct policy *p)
{
    return p->analysis.hard_down_failures > 0 && run->failures >= p->analysis.hard_down_failures &&
           run_ns(run, p) >= p->analysis.hard_down_over_ns;
}

/* --- slots --------------------------------------------------------------------------------- */

static void refold(struct analysis *a)
{
    for (size_t c = 0; c < a->count; c++)
        ring_refold(&a->criteria[c].ring);
}

static void sums_add(struct step_sums *sums, const struct window_slot *w, size_t criteria)
{
    for (size_t c = 0; c < criteria; c++) {
        prefixes_add(&sums[c].canary, &w->counts[VARIANT_CANARY], c);
        criterion_sum_add(&sums[c].stable, &w->counts[VARIANT_STABLE], c);
    }
}

/* The oldest slot will not change any more, or must make room. */
static void close_oldest(struct analysis *a)
{
    const struct window_slot *w = window_at(&a->window, 0);
    for (size_t c = 0; c < a->count; c++)
        ring_close(&a->criteria[c].ring, 1);
    if (w->step == a->step)
        sums_add(a->closed, w, a->count);
    run_add(&a->closed_run, a, w);
    a->run_tripped = a->run_tripped || run_trips(&a->closed_run, a->policy);
    window_drop(&a->window, 1);
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

static void close_finished(struct analysis *a, int64_t now_slot)
{
    while (a->window.count > 1) {
        const struct window_slot *oldest = window_at(&a->window, 0);
        if (oldest->slot + GRACE_SLOTS > now_slot || !is_settled(oldest))
            break;
        close_oldest(a);
    }
}

/* Opens a slot that stands for `length` slots, the earlier ones of them empty. */
static void open_slot(struct analysis *a, int64_t slot, uint64_t length, bool step_start)
{
    double start = 0;
    if (a->weight_bp > 0) {
        bool first = step_start && a->steps_started < a->plan.steps;
        uint64_t left = a->slots_opened < a->plan.slots ? a->plan.slots - a->slots_opened : 0;
        uint64_t skipped = length - 1 < left ? length - 1 : left;
        start = (double)skipped / (2 * (double)a->plan.slots) +
                sequential_start_weight(&a->plan, a->slots_opened + length - 1, first);
        a->slots_opened += length;
        a->steps_started += first;
    }
    if (a->window.count >= a->open_max)
        close_oldest(a);
    window_push(&a->window, a->epoch, slot, a->weight_bp, a->step);
    for (size_t c = 0; c < a->count; c++)
        ring_open(&a->criteria[c].ring, start);
    a->cache->valid = false;
}

static void advance(struct analysis *a, int64_t slot)
{
    int64_t last = window_at(&a->window, a->window.count - 1)->slot;
    if (slot - last > DENSE_SLOTS + 1) {
        int64_t skip_to = slot - DENSE_SLOTS;
        open_slot(a, skip_to, (uint64_t)(skip_to - last), false);
        last = skip_to;
    }
    while (last < slot)
        open_slot(a, ++last, 1, false);
}

void analysis_probe(struct analysis *a, const struct probe *probe)
{
    a->probe = *probe;
}

void analysis_weight(struct analysis *a, uint32_t epoch, uint32_t weight_bp, enum weight_why why,
                     int64_t now_ns)
{
    bool step_start = why == WEIGHT_STEP || why == WEIGHT_BAKE;
    int64_t slot = now_ns / a->policy->analysis.slot_ns;
    CHECK(weight_bp <= WEIGHT_FULL_BP);
    if (a->started) {
        CHECK(epoch >= a->epoch);
        advance(a, slot);
        refold(a);
        int64_t last = window_at(&a->window, a->window.count - 1)->slot;
        slot = slot > last ? slot : last;
    } else {
        a->started = true;
        a->first_epoch = epoch;
    }
    a->epoch = epoch;
    a->weight_bp = weight_bp;
    if (step_start) {
        a->step++;
        clear_step(a);
    }
    open_slot(a, slot, 1, step_start);
    refold(a);
}

/* --- observations -------------------------------------------------------------------------- */

/* Counts of a weight that is closed altogether go to the oldest slot, but only the canary's: what
 * stable did then is nothing to compare this weight's canary with. */
static void drop_foreign(const struct window_slot *w, struct slot_delta *delta)
{
    if (w->epoch != delta->epoch)
        delta->variants[VARIANT_STABLE] = (struct slot_counts){0};
}

static bool any_bad(const struct slot_counts *counts, size_t criteria)
{
    bool any = counts->errors > 0;
    for (size_t c = 0; c < criteria; c++)
        any = any || counts->bad[c] > 0;
    return any;
}

static void apply(struct analysis *a, struct slot_delta delta)
{
    size_t index = window_find(&a->window, delta.epoch, delta.slot);
    struct window_slot *w = window_at(&a->window, index);
    const struct slot_counts *canary = &delta.variants[VARIANT_CANARY];

    drop_foreign(w, &delta);
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        slot_counts_add(&w->counts[v], &delta.variants[v], a->count);
    for (size_t c = 0; c < a->count; c++)
        if (criterion_concerned(&a->criteria[c], delta.variants))
            criterion_update(&a->criteria[c], index, w);
    a->cache->valid = false;
    if (w->step != a->step)
        return;
    a->step_requests += canary->dispatched;
    if (any_bad(canary, a->count) && (a->first_bad_slot < 0 || delta.slot < a->first_bad_slot))
        a->first_bad_slot = delta.slot;
}

void analysis_observe(struct analysis *a, const struct observation *o, int64_t now_ns)
{
    int64_t now_slot = now_ns / a->policy->analysis.slot_ns;
    if (!a->started)
        return;
    for (size_t i = 0; i < o->count; i++) {
        const struct slot_delta *delta = &o->deltas[i];
        if (delta->epoch < a->first_epoch)
            continue;
        if (delta->epoch >= a->epoch)
            advance(a, delta->slot); /* slot by slot, also after a pause of the reader */
        apply(a, *delta);
    }
    advance(a, now_slot);
    refold(a);
    close_finished(a, now_slot);
}

/* --- the report ---------------------------------------------------------------------------- */

static void report_evidence(const struct analysis *a, struct analysis_report *ret)
{
    double logs[CRITERIA_MAX], weights[CRITERIA_MAX];
    for (size_t c = 0; c < a->count; c++) {
        logs[c] = criterion_log_e(&a->criteria[c]);
        weights[c] = 1 / (double)a->count;
        if (logs[c] > logs[ret->worst])
            ret->worst = (uint32_t)c;
    }
    ret->log_e = sequential_combine(weights, logs, a->count);
    ret->threshold = log(1 / a->plan.alpha);
    ret->crossed = ret->log_e >= ret->threshold;
    ret->revert = ret->crossed;
    ret->wide.log_e = LOG_E_NONE;
    ret->wide.threshold = ret->threshold + log(2);
    ret->alarm = ret->log_e >= ret->threshold / 2;
}

/* The open slots once, for everything that is summed over them. */
static void walk_open(const struct analysis *a, struct step_sums *sums, struct run *ret_longest,
                      bool *ret_down)
{
    struct run run = a->closed_run;
    *ret_longest = run;
    *ret_down = a->run_tripped;
    for (size_t i = 0; i < a->window.count; i++) {
        const struct window_slot *w = window_at(&a->window, i);
        if (w->step == a->step)
            sums_add(sums, w, a->count);
        run_add(&run, a, w);
        *ret_down = *ret_down || run_trips(&run, a->policy);
        if (run.failures >= ret_longest->failures)
            *ret_longest = run;
    }
}

static void report_criteria(const struct analysis *a, const struct step_sums *sums,
                            struct analysis_report *ret)
{
    struct criterion_view view = {
        .alpha = a->plan.alpha,
        .beta = a->policy->analysis.max_bad_promotion,
        .criteria = a->count,
        .weight_bp = a->weight_bp,
        .alarm = ret->alarm,
    };
    ret->count = a->count;
    ret->no_harm = true;
    for (size_t c = 0; c < a->count; c++) {
        struct criterion_report *r = &ret->criteria[c];
        view.canary = &sums[c].canary;
        view.stable = &sums[c].stable;
        view.carried = ret->revert && c == ret->worst;
        criterion_report(&a->criteria[c], &view, r);
        ret->alarm = ret->alarm || r->suspect;
        if (a->policy->analysis.criteria[c].test == TEST_MAX && r->no_harm < r->no_harm_threshold)
            ret->no_harm = false;
    }
}

static void report_all(const struct analysis *a, struct analysis_report *ret)
{
    struct step_sums sums[CRITERIA_MAX];
    struct run longest;
    memset(ret, 0, sizeof *ret);
    memcpy(sums, a->closed, a->count * sizeof sums[0]);
    walk_open(a, sums, &longest, &ret->hard_down);
    report_evidence(a, ret);
    report_criteria(a, sums, ret);
    ret->run_failures = longest.failures;
    ret->run_ns = run_ns(&longest, a->policy);
    ret->step_requests = a->step_requests;
    ret->first_bad_slot = a->first_bad_slot;
}

void analysis_report(const struct analysis *a, struct analysis_report *ret)
{
    if (!a->cache->valid) {
        report_all(a, &a->cache->report);
        a->cache->valid = true;
    }
    *ret = a->cache->report;
}

enum on_fail analysis_on_fail(const struct policy_criterion *c, const struct criterion_report *r)
{
    return r->frozen ? c->frozen_on_fail : c->on_fail;
}

int analysis_save(const struct analysis *a, struct strbuf *to)
{
    (void)a;
    (void)to;
    return -ENOTSUP;
}

int analysis_load(struct analysis *a, struct str from, struct error *reterr)
{
    (void)from;
    analysis_reset(a);
    return error_set(reterr, -EINVAL, "not an analysis");
}
