/* What a request means for each criterion, and the counters that people look at. The evidence goes
 * into cells (analysis/cells.c says how they cross threads); display counters are plain relaxed
 * atomics, each written by one worker.
 *
 * Requests in flight hang in a timing wheel by the earliest moment at which they can exceed the
 * next latency limit. That moment only moves away (the request is sent later than it was
 * dispatched, the client reads slowly), so a ticket whose bucket comes too early is put in a later
 * one: a sweep touches what is due and not the thousands of long streams that are not.
 */
#include "analysis/recorder.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "analysis/cells.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"

enum { WHEEL_BUCKETS = 64 };
#define WHEEL_TICK_NS (100 * NS_PER_MS)

typedef _Atomic uint64_t counter;

/* One rollout in one shard. */
struct recorder_part {
    const struct policy *policy;
    struct cells *cells;
    int64_t slot, slot_start_ns, slot_ns; /* of the last dispatch */
    uint32_t latency_mask, other_mask;    /* criteria with a limit on the time, and those without */
    int64_t lowest_limit_ns;              /* of the former; -1: there are none */
    counter alarms;                       /* of the canary; written once its cell has changed */
    counter overflows;
    counter dispatched[VARIANT_COUNT], voided[VARIANT_COUNT];
    counter outcomes[VARIANT_COUNT][OUTCOME_KIND_COUNT];
    counter retry_outcomes[VARIANT_COUNT][OUTCOME_KIND_COUNT];
    counter results[RESULT_KIND_COUNT];
    counter *endpoints[VARIANT_COUNT]; /* [endpoint * OUTCOME_KIND_COUNT + kind] */
    struct histogram *_Atomic histograms[VARIANT_COUNT][HIST_COUNT];
};

struct recorder_shard {
    const struct policy_set *set;
    struct recorder_part *_Atomic *parts; /* by rollout; NULL until something happens */
    struct str (*id_of)(const struct recorder_ticket *);
    struct list wheel[WHEEL_BUCKETS];
    int64_t wheel_tick; /* the last one swept; it may hold tickets due in the rest of it */
};

struct recorder {
    size_t shard_count, rollout_count;
    struct recorder_shard **shards; /* allocated one by one: no cache line in common */
};

static void add(counter *c)
{
    atomic_store_explicit(c, atomic_load_explicit(c, memory_order_relaxed) + 1,
                          memory_order_relaxed);
}

static uint64_t get(const counter *c)
{
    return atomic_load_explicit(c, memory_order_relaxed);
}

/* --- making and unmaking ------------------------------------------------------------------- */

/* The lowest limit of these latency criteria; -1: there are none. */
static int64_t lowest_limit_ns(const struct recorder_part *p, uint32_t criteria)
{
    int64_t lowest = -1;
    for (uint32_t left = criteria; left != 0; left &= left - 1) {
        int64_t limit = p->policy->analysis.criteria[__builtin_ctz(left)].limit_ns;
        if (lowest < 0 || limit < lowest)
            lowest = limit;
    }
    return lowest;
}

static struct recorder_part *part_new(const struct policy *policy)
{
    struct recorder_part *p = xcalloc(1, sizeof *p);
    p->policy = policy;
    p->cells = cells_new(policy->analysis.criteria_count);
    p->slot_ns = policy->analysis.slot_ns;
    for (size_t c = 0; c < policy->analysis.criteria_count; c++) {
        if (policy->analysis.criteria[c].metric == METRIC_LATENCY)
            p->latency_mask |= UINT32_C(1) << c;
        else
            p->other_mask |= UINT32_C(1) << c;
    }
    p->lowest_limit_ns = lowest_limit_ns(p, p->latency_mask);
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        p->endpoints[v] =
            xcalloc(policy->versions[v].endpoint_count + 1, OUTCOME_KIND_COUNT * sizeof(counter));
    return p;
}

static void part_free(struct recorder_part *p)
{
    if (p == NULL)
        return;
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        free(p->endpoints[v]);
        for (size_t h = 0; h < HIST_COUNT; h++)
            free(atomic_load_explicit(&p->histograms[v][h], memory_order_relaxed));
    }
    cells_free(p->cells);
    free(p);
}

static __attribute__((noinline)) struct recorder_part *part_add(struct recorder_shard *shard,
                                                                uint32_t rollout)
{
    struct recorder_part *p = part_new(shard->set->policies[rollout]);
    atomic_store_explicit(&shard->parts[rollout], p, memory_order_release);
    return p;
}

/* For the shard's own worker: makes it when it is missing. */
static inline struct recorder_part *part_of(struct recorder_shard *shard, uint32_t rollout)
{
    CHECK(rollout < shard->set->count);
    struct recorder_part *p = atomic_load_explicit(&shard->parts[rollout], memory_order_relaxed);
    return p != NULL ? p : part_add(shard, rollout);
}

/* For readers: NULL when nothing happened yet. */
static struct recorder_part *part_seen(const struct recorder *r, size_t shard, uint32_t rollout)
{
    CHECK(shard < r->shard_count);
    CHECK(rollout < r->rollout_count);
    return atomic_load_explicit(&r->shards[shard]->parts[rollout], memory_order_acquire);
}

struct recorder *recorder_new(size_t shards, const struct policy_set *set)
{
    struct recorder *r = xcalloc(1, sizeof *r);
    r->shard_count = shards;
    r->rollout_count = set->count;
    r->shards = xcalloc(shards + 1, sizeof(struct recorder_shard *));
    for (size_t i = 0; i < shards; i++) {
        struct recorder_shard *shard = xcalloc(1, sizeof *shard);
        shard->set = set;
        shard->parts = xcalloc(set->count + 1, sizeof shard->parts[0]);
        for (size_t b = 0; b < WHEEL_BUCKETS; b++)
            list_init(&shard->wheel[b]);
        r->shards[i] = shard;
    }
    return r;
}

void recorder_free(struct recorder *r)
{
    if (r == NULL)
        return;
    for (size_t i = 0; i < r->shard_count; i++) {
        for (size_t p = 0; p < r->rollout_count; p++)
            part_free(atomic_load_explicit(&r->shards[i]->parts[p], memory_order_relaxed));
        free((void *)r->shards[i]->parts);
        free(r->shards[i]);
    }
    free(r->shards);
    free(r);
}

struct recorder_shard *recorder_shard(struct recorder *r, size_t index)
{
    CHECK(index < r->shard_count);
    return r->shards[index];
}

/* --- requests in flight -------------------------------------------------------------------- */

/* Puts the ticket where a sweep finds it not long after due_ns. */
static void wheel_put(struct recorder_shard *shard, struct recorder_ticket *t, int64_t due_ns)
{
    int64_t tick = due_ns / WHEEL_TICK_NS;
    if (tick < shard->wheel_tick)
        tick = shard->wheel_tick;
    if (tick > shard->wheel_tick + WHEEL_BUCKETS - 1)
        tick = shard->wheel_tick + WHEEL_BUCKETS - 1;
    list_push(&shard->wheel[tick % WHEEL_BUCKETS], &t->in_flight);
}

/* After cell_changed: who sees it and then reads finds what it is about. */
static void alarm(const struct recorder_ticket *t)
{
    counter *alarms = &t->part->alarms;

    if (t->variant == VARIANT_CANARY)
        atomic_store_explicit(alarms, get(alarms) + 1, memory_order_release);
}

static void mark_bad(struct recorder_ticket *t, size_t criterion)
{
    cell_add(t->cell, (enum variant)t->variant, CELL_BAD, criterion, 1);
    t->bad_mask |= UINT32_C(1) << criterion;
}

static void mark_overdue(const struct recorder_part *p, struct recorder_ticket *t,
                         int64_t elapsed_ns)
{
    uint32_t before = t->bad_mask;
    for (uint32_t left = p->latency_mask & ~t->bad_mask; left != 0; left &= left - 1) {
        size_t c = (size_t)__builtin_ctz(left);
        if (elapsed_ns > p->policy->analysis.criteria[c].limit_ns) {
            mark_bad(t, c);
            cell_add(t->cell, (enum variant)t->variant, CELL_OVERDUE, c, 1);
        }
    }
    if (t->bad_mask != before) {
        cell_changed(t->cell);
        alarm(t);
    }
}

static void sweep_ticket(struct recorder_shard *shard, struct recorder_ticket *t, int64_t now_ns)
{
    const struct recorder_part *p = t->part;
    int64_t since_ns = now_ns; /* not sent: it cannot be late yet */
    if (t->sent_ns != 0) {
        since_ns = t->sent_ns + t->unread_ns;
        mark_overdue(p, t, now_ns - since_ns);
    }
    int64_t limit_ns = lowest_limit_ns(p, p->latency_mask & ~t->bad_mask);
    if (limit_ns >= 0)
        wheel_put(shard, t, since_ns + limit_ns + 1);
}

static void sweep_bucket(struct recorder_shard *shard, struct list *bucket, int64_t now_ns)
{
    struct list due;
    if (list_empty(bucket))
        return;
    due = *bucket;
    due.next->prev = due.prev->next = &due;
    list_init(bucket);
    while (!list_empty(&due)) {
        struct list *node = due.next;
        list_remove(node);
        sweep_ticket(shard, CONTAINER_OF(node, struct recorder_ticket, in_flight), now_ns);
    }
}

void recorder_sweep(struct recorder_shard *shard, int64_t now_ns)
{
    int64_t first = shard->wheel_tick;
    int64_t last = now_ns / WHEEL_TICK_NS;
    if (last < first)
        return;
    shard->wheel_tick = last;
    if (last - first >= WHEEL_BUCKETS)
        first = last - WHEEL_BUCKETS + 1;
    for (int64_t tick = first; tick <= last; tick++)
        sweep_bucket(shard, &shard->wheel[tick % WHEEL_BUCKETS], now_ns);
}

/* Requests come at the pace of the clock: most fall in the slot of the one before. */
static int64_t slot_of(struct recorder_part *p, int64_t now_ns)
{
    if (now_ns < p->slot_start_ns || now_ns - p->slot_start_ns >= p->slot_ns) {
        p->slot = now_ns / p->slot_ns;
        p->slot_start_ns = p->slot * p->slot_ns;
    }
    return p->slot;
}

void recorder_dispatch(struct recorder_shard *shard, struct recorder_ticket *t, uint32_t rollout,
                       uint32_t epoch, enum variant variant, uint32_t applies, int64_t now_ns)
{
    struct recorder_part *p = part_of(shard, rollout);
    bool overflow = false;
    struct cell *cell = cells_take(p->cells, epoch, slot_of(p, now_ns), &overflow);

    if (overflow)
        add(&p->overflows);
    *t = (struct recorder_ticket){
        .cell = cell, .part = p, .applies = applies, .variant = (uint8_t)variant};
    cell_add(cell, variant, CELL_DISPATCHED, 0, 1);
    cell_changed(cell);
    add(&p->dispatched[variant]);
    list_init(&t->in_flight);
    if (p->lowest_limit_ns >= 0)
        wheel_put(shard, t, now_ns + p->lowest_limit_ns + 1);
}

void recorder_ids(struct recorder_shard *shard, struct str (*id_of)(const struct recorder_ticket *))
{
    shard->id_of = id_of;
}

void recorder_endpoint(struct recorder_shard *shard, struct recorder_ticket *t, uint32_t endpoint,
                       int64_t now_ns)
{
    (void)shard;
    (void)t;
    (void)endpoint;
    (void)now_ns;
}

void recorder_stream(struct recorder_shard *shard, struct recorder_ticket *t,
                     enum outcome_stream stream)
{
    (void)shard;
    t->stream = (uint8_t)stream;
}

void recorder_first_token(struct recorder_ticket *t, int64_t now_ns)
{
    (void)now_ns;
    t->first_token = true;
}

void recorder_value(struct recorder_shard *shard, struct recorder_ticket *t,
                    const struct shift_value *value)
{
    (void)shard;
    (void)t;
    (void)value;
}

/* --- the end of a request ------------------------------------------------------------------ */

enum mark { MARK_OK, MARK_BAD, MARK_EXCLUDED };

static enum mark judge_error(enum outcome_kind kind)
{
    if (kind == OUTCOME_CLIENT_ABORT)
        return MARK_EXCLUDED;
    return outcome_is_error(kind) ? MARK_BAD : MARK_OK;
}

/* An answer that came to nothing says little about how long answers take, so it is left out: a
 * canary that fails fast must not look fast. It counts when it took too long on top of it. Without
 * a known time an answer cannot be judged either. */
static enum mark judge_latency(enum outcome_kind kind, int64_t elapsed_ns, int64_t limit_ns)
{
    if (kind == OUTCOME_TIMEOUT || kind == OUTCOME_STALLED || elapsed_ns > limit_ns)
        return MARK_BAD;
    return kind == OUTCOME_OK && elapsed_ns >= 0 ? MARK_OK : MARK_EXCLUDED;
}

/* Nothing more is asked of the ticket: no longer overdue, no longer in flight. */
static void close_ticket(struct recorder_ticket *t, uint32_t overdue)
{
    enum variant variant = (enum variant)t->variant;

    for (uint32_t left = overdue; left != 0; left &= left - 1)
        cell_add(t->cell, variant, CELL_OVERDUE, (size_t)__builtin_ctz(left), -1);
    cell_add(t->cell, variant, CELL_SETTLED, 0, 1);
    cell_changed(t->cell);
    list_remove(&t->in_flight);
    t->cell = NULL;
}

static void apply(struct recorder_ticket *t, size_t criterion, enum mark mark)
{
    if (mark == MARK_BAD)
        mark_bad(t, criterion);
    else if (mark == MARK_EXCLUDED)
        cell_add(t->cell, (enum variant)t->variant, CELL_EXCLUDED, criterion, 1);
}

/* What the outcome is to every criterion that has not found the request bad before. */
static void judge(const struct recorder_part *p, struct recorder_ticket *t, enum outcome_kind kind,
                  int64_t elapsed_ns)
{
    const struct policy_criterion *criteria = p->policy->analysis.criteria;
    enum mark error = judge_error(kind);
    uint32_t left = p->latency_mask & ~t->bad_mask;

    for (; left != 0; left &= left - 1) {
        size_t c = (size_t)__builtin_ctz(left);
        apply(t, c, judge_latency(kind, elapsed_ns, criteria[c].limit_ns));
    }
    left = error == MARK_OK ? 0 : p->other_mask & ~t->bad_mask;
    for (; left != 0; left &= left - 1)
        apply(t, (size_t)__builtin_ctz(left), error);
}

static void settle(const struct recorder_part *p, struct recorder_ticket *t, enum outcome_kind kind,
                   int64_t elapsed_ns)
{
    uint32_t overdue = t->bad_mask;
    bool good = kind == OUTCOME_OK && elapsed_ns >= 0 && elapsed_ns <= p->lowest_limit_ns;

    if (!good) /* else to all criteria */
        judge(p, t, kind, elapsed_ns);
    if (outcome_is_error(kind))
        cell_add(t->cell, (enum variant)t->variant, CELL_ERRORS, 0, 1);
    else if (kind == OUTCOME_CLIENT_ABORT)
        cell_add(t->cell, (enum variant)t->variant, CELL_EXCUSED, 0, 1);
    close_ticket(t, overdue);
    if (outcome_is_error(kind) || t->bad_mask != overdue)
        alarm(t);
}

static void add_time(struct recorder_part *p, enum variant variant, enum recorder_histogram which,
                     int64_t ns)
{
    struct histogram *_Atomic *at = &p->histograms[variant][which];
    struct histogram *h = atomic_load_explicit(at, memory_order_relaxed);
    if (h == NULL) {
        h = xcalloc(1, sizeof *h);
        atomic_store_explicit(at, h, memory_order_release);
    }
    histogram_add(h, ns);
}

static void add_times(struct recorder_part *p, enum variant variant, const struct outcome *outcome)
{
    if (outcome->latency_ns >= 0)
        add_time(p, variant, HIST_LATENCY, outcome->latency_ns);
    if (outcome->first_byte_ns >= 0)
        add_time(p, variant, HIST_FIRST_BYTE, outcome->first_byte_ns);
    if (outcome->connect_ns >= 0)
        add_time(p, variant, HIST_CONNECT, outcome->connect_ns);
    if (outcome->first_token_ns >= 0)
        add_time(p, variant, HIST_FIRST_TOKEN, outcome->first_token_ns);
    if (outcome->queue_ns >= 0)
        add_time(p, variant, HIST_QUEUE, outcome->queue_ns);
}

void recorder_finish(struct recorder_shard *shard, struct recorder_ticket *t,
                     const struct outcome *outcome, int64_t now_ns)
{
    (void)shard; /* named by the one worker that may call this */
    if (t->cell == NULL)
        return;
    struct recorder_part *p = t->part;
    enum variant variant = (enum variant)t->variant;
    int64_t elapsed_ns = outcome->latency_ns;
    if (elapsed_ns < 0 && t->sent_ns != 0)
        elapsed_ns = now_ns - t->sent_ns - t->unread_ns;

    settle(p, t, outcome->kind, elapsed_ns);
    add(&p->outcomes[variant][outcome->kind]);
    if (outcome->endpoint < p->policy->versions[variant].endpoint_count)
        add(&p->endpoints[variant][outcome->endpoint * OUTCOME_KIND_COUNT + outcome->kind]);
    add_times(p, variant, outcome);
}

void recorder_void(struct recorder_shard *shard, struct recorder_ticket *t)
{
    (void)shard;
    if (t->cell == NULL)
        return;
    struct recorder_part *p = t->part;
    enum variant variant = (enum variant)t->variant;

    for (size_t c = 0; c < p->policy->analysis.criteria_count; c++)
        if ((t->bad_mask >> c & 1) == 0)
            cell_add(t->cell, variant, CELL_EXCLUDED, c, 1);
    cell_add(t->cell, variant, CELL_EXCUSED, 0, 1);
    close_ticket(t, t->bad_mask);
    add(&p->voided[variant]);
}

void recorder_count(struct recorder_shard *shard, uint32_t rollout, enum variant variant,
                    const struct outcome *outcome)
{
    struct recorder_part *p = part_of(shard, rollout);
    add(&p->retry_outcomes[variant][outcome->kind]);
    add_times(p, variant, outcome);
}

void recorder_result(struct recorder_shard *shard, uint32_t rollout, unsigned result)
{
    CHECK(result < RESULT_KIND_COUNT);
    add(&part_of(shard, rollout)->results[result]);
}

void recorder_token_gap(struct recorder_shard *shard, uint32_t rollout, enum variant variant,
                        int64_t gap_ns)
{
    if (gap_ns >= 0)
        add_time(part_of(shard, rollout), variant, HIST_TOKEN_GAP, gap_ns);
}

/* --- readers ------------------------------------------------------------------------------- */

void recorder_read(struct recorder *r, uint32_t rollout, struct observation *obs)
{
    for (size_t i = 0; i < r->shard_count; i++) {
        struct recorder_part *p = part_seen(r, i, rollout);
        if (p != NULL)
            cells_read(p->cells, obs);
    }
}

uint64_t recorder_alarms(const struct recorder *r, uint32_t rollout)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = part_seen(r, i, rollout);
        if (p != NULL)
            sum += atomic_load_explicit(&p->alarms, memory_order_acquire);
    }
    return sum;
}

static void add_totals(const struct recorder_part *p, struct recorder_totals *to)
{
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        struct recorder_variant_totals *variant = &to->variants[v];
        for (size_t k = 0; k < OUTCOME_KIND_COUNT; k++) {
            uint64_t retries = get(&p->retry_outcomes[v][k]);
            variant->outcomes[k] += get(&p->outcomes[v][k]);
            variant->retry_outcomes[k] += retries;
            variant->retries += retries;
        }
        variant->voided += get(&p->voided[v]);
        variant->dispatched += get(&p->dispatched[v]);
    }
    for (size_t k = 0; k < RESULT_KIND_COUNT; k++)
        to->results[k] += get(&p->results[k]);
    to->overflows += get(&p->overflows);
}

void recorder_shard_totals(const struct recorder *r, size_t shard, uint32_t rollout,
                           struct recorder_totals *ret)
{
    const struct recorder_part *p = part_seen(r, shard, rollout);
    *ret = (struct recorder_totals){0};
    if (p != NULL)
        add_totals(p, ret);
}

void recorder_totals(const struct recorder *r, uint32_t rollout, struct recorder_totals *ret)
{
    *ret = (struct recorder_totals){0};
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = part_seen(r, i, rollout);
        if (p != NULL)
            add_totals(p, ret);
    }
}

void recorder_endpoint_totals(const struct recorder *r, uint32_t rollout, enum variant variant,
                              uint32_t endpoint, uint64_t ret[static OUTCOME_KIND_COUNT])
{
    for (size_t k = 0; k < OUTCOME_KIND_COUNT; k++)
        ret[k] = 0;
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = part_seen(r, i, rollout);
        if (p == NULL || endpoint >= p->policy->versions[variant].endpoint_count)
            continue;
        for (size_t k = 0; k < OUTCOME_KIND_COUNT; k++)
            ret[k] += get(&p->endpoints[variant][endpoint * OUTCOME_KIND_COUNT + k]);
    }
}

void recorder_histogram(const struct recorder *r, uint32_t rollout, enum variant variant,
                        enum recorder_histogram which, struct histogram_view *ret)
{
    *ret = (struct histogram_view){0};
    for (size_t i = 0; i < r->shard_count; i++) {
        const struct recorder_part *p = part_seen(r, i, rollout);
        if (p == NULL)
            continue;
        const struct histogram *h =
            atomic_load_explicit(&p->histograms[variant][which], memory_order_acquire);
        if (h != NULL)
            histogram_merge(ret, h);
    }
}

void recorder_limits(struct recorder *r, uint32_t rollout, const struct moving_limits *limits)
{
    CHECK(rollout < r->rollout_count);
    (void)limits;
}

void recorder_values(struct recorder *r, uint32_t rollout,
                     void (*take)(void *ctx, const struct shift_value *), void *ctx)
{
    CHECK(rollout < r->rollout_count);
    (void)take;
    (void)ctx;
}

void recorder_moving_histogram(const struct recorder *r, uint32_t rollout, size_t criterion,
                               struct histogram_view *ret)
{
    CHECK(rollout < r->rollout_count);
    (void)criterion;
    *ret = (struct histogram_view){0};
}

size_t recorder_examples(const struct recorder *r, uint32_t rollout, struct recorder_example *ret,
                         size_t max)
{
    CHECK(rollout < r->rollout_count);
    (void)ret;
    (void)max;
    return 0;
}
