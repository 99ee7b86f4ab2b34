/* What a request means for each criterion, and the counters that people look at. The evidence goes
 * into cells (analysis/cells.c says how they cross threads); display counters are plain relaxed
 * atomics, each written by one worker.
 *
 * Requests in flight hang in a timing wheel by the earliest moment at which they can exceed the
 * next limit. That moment only moves away (the request is sent later than it was dispatched, the
 * client reads slowly), so a ticket whose bucket comes too early is put in a later one: a sweep
 * touches what is due and not the thousands of long streams that are not.
 */
#include "analysis/recorder.h"

#include "analysis/examples.h"
#include "analysis/recorder_part.h"
#include "base/check.h"
#include "base/clock.h"

static inline struct recorder_part *part_of(struct recorder_shard *shard, uint32_t rollout)
{
    CHECK(rollout < shard->rollout_count);
    struct recorder_part *p = atomic_load_explicit(&shard->parts[rollout], memory_order_relaxed);
    return p != NULL ? p : recorder_part_add(shard, rollout);
}

/* --- what is known to be bad --------------------------------------------------------------- */

/* After cell_changed: who sees it and then reads finds what it is about. */
static void alarm(struct recorder_part *p)
{
    atomic_store_explicit(&p->alarms, recorder_get(&p->alarms) + 1, memory_order_release);
}

static inline void count_each(struct recorder_ticket *t, enum cell_counter which, uint32_t criteria,
                              int32_t by)
{
    for (; criteria != 0; criteria &= criteria - 1)
        cell_add(t->cell, (enum variant)t->variant, which, (size_t)__builtin_ctz(criteria), by);
}

static void mark_bad(struct recorder_ticket *t, uint32_t criteria)
{
    count_each(t, CELL_BAD, criteria, 1);
    t->bad_mask |= criteria;
    t->open &= ~criteria;
}

static void mark_excluded(struct recorder_ticket *t, uint32_t criteria)
{
    count_each(t, CELL_EXCLUDED, criteria, 1);
    t->open &= ~criteria;
}

static void keep_example(const struct recorder_ticket *t, bool rare, struct recorder_example *e)
{
    const struct recorder_part *p = t->part;

    if (!examples_wanted(p->examples, rare, e->wall_ns))
        return;
    e->bad_mask = t->bad_mask;
    if (p->shard->id_of != NULL)
        str_copy(e->id, sizeof e->id, p->shard->id_of(t));
    examples_add(p->examples, rare, e);
}

/* --- requests in flight -------------------------------------------------------------------- */

/* Puts the ticket where a sweep finds it that many turns after the last. */
static inline void wheel_put(struct recorder_shard *shard, struct recorder_ticket *t, int64_t turns)
{
    int64_t most = WHEEL_BUCKETS - 1;
    uint64_t tick = (uint64_t)(shard->wheel_tick + (turns < most ? turns : most));

    list_push(&shard->wheel[tick % WHEEL_BUCKETS], &t->in_flight);
}

/* Not long after due_ns. */
static void wheel_put_at(struct recorder_shard *shard, struct recorder_ticket *t, int64_t due_ns)
{
    int64_t turns = due_ns / WHEEL_TICK_NS - shard->wheel_tick;

    wheel_put(shard, t, turns > 0 ? turns : 0);
}

static int64_t since_sent_ns(const struct recorder_ticket *t, int64_t now_ns)
{
    return now_ns - t->sent_ns - t->unread_ns;
}

/* Bad now, though not over. */
static void mark_overdue(struct recorder_ticket *t, uint32_t criteria, int64_t now_ns)
{
    struct recorder_part *p = t->part;
    bool rare = (criteria & p->judge.rare) != 0, first = (t->bad_mask & p->judge.rare) == 0;

    mark_bad(t, criteria);
    count_each(t, CELL_OVERDUE, criteria, 1);
    cell_changed(t->cell);
    if (!rare || t->variant != VARIANT_CANARY)
        return;
    alarm(p);
    if (!first)
        return;
    struct recorder_example e = {.wall_ns = now_ns,
                                 .in_flight = true,
                                 .latency_ns = since_sent_ns(t, now_ns),
                                 .endpoint = t->endpoint};
    keep_example(t, true, &e);
}

static const int64_t *limits_of(const struct recorder_ticket *t)
{
    return recorder_time_limits(&t->part->judge, cell_limits(t->cell, (enum variant)t->variant));
}

static void sweep_ticket(struct recorder_shard *shard, struct recorder_ticket *t, int64_t now_ns)
{
    const struct judge *j = &t->part->judge;
    const int64_t *limits = limits_of(t);
    enum outcome_stream stream = (enum outcome_stream)t->stream;
    int64_t since_ns = now_ns; /* not sent: it cannot be late yet */

    if (t->sent_ns != 0) {
        since_ns = t->sent_ns + t->unread_ns;
        uint32_t bad =
            judge_in_flight(j, stream, t->first_token, now_ns - since_ns, limits, t->open);
        if (bad != 0)
            mark_overdue(t, bad, now_ns);
    }
    int64_t limit_ns = judge_lowest(j, limits, judge_may_break(j, stream, t->first_token, t->open));
    if (limit_ns != JUDGE_NO_LIMIT)
        wheel_put_at(shard, t, since_ns + limit_ns + 1);
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

/* --- the beginning of a request ------------------------------------------------------------ */

/* Requests come at the pace of the clock: most fall in the slot of the one before. */
static int64_t slot_of(struct recorder_part *p, int64_t now_ns)
{
    if (now_ns < p->slot_start_ns || now_ns - p->slot_start_ns >= p->slot_ns) {
        p->slot = now_ns / p->slot_ns;
        p->slot_start_ns = p->slot * p->slot_ns;
    }
    return p->slot;
}

static struct cell *take_cell(struct recorder_part *p, uint32_t epoch, int64_t now_ns)
{
    int64_t slot = slot_of(p, now_ns);
    struct cell *cell = cells_newest(p->cells, epoch, slot);
    bool overflow = false;

    if (cell != NULL)
        return cell;
    recorder_part_limits(p);
    cell = cells_take(p->cells, epoch, slot, &overflow);
    if (overflow)
        recorder_add(&p->overflows);
    return cell;
}

void recorder_ids(struct recorder_shard *shard, struct str (*id_of)(const struct recorder_ticket *))
{
    shard->id_of = id_of;
}

void recorder_dispatch(struct recorder_shard *shard, struct recorder_ticket *t, uint32_t rollout,
                       uint32_t epoch, enum variant variant, uint32_t applies, int64_t now_ns)
{
    struct recorder_part *p = part_of(shard, rollout);
    struct cell *cell = take_cell(p, epoch, now_ns);
    uint32_t asked = p->judge.counted & ~cell_without(cell);

    *t = (struct recorder_ticket){.cell = cell,
                                  .part = p,
                                  .applies = applies,
                                  .open = asked & applies,
                                  .endpoint = UINT32_MAX,
                                  .variant = (uint8_t)variant};
    cell_add(cell, variant, CELL_DISPATCHED, 0, 1);
    if ((asked & ~applies) != 0)
        count_each(t, CELL_EXCLUDED, asked & ~applies, 1);
    cell_changed(cell);
    recorder_add(&p->dispatched[variant]);
    /* From the last sweep instead of from now: the first look may come too early, never too late.
     */
    int64_t turns = recorder_turns(cell_limits(cell, variant));
    if (turns >= 0)
        wheel_put(shard, t, turns);
    else
        list_init(&t->in_flight);
}

/* Until the endpoint had so many requests or for so long, whatever comes first. */
static bool is_new(struct recorder_part *p, enum variant variant, uint32_t endpoint, int64_t now_ns)
{
    const struct policy_analysis *a = &p->policy->analysis;
    struct warm_up *w = &p->warm_ups->endpoints[variant][endpoint];
    int64_t since_ns = 0;

    if (now_ns == 0)
        now_ns = 1; /* 0 stands for never */
    if (atomic_compare_exchange_strong_explicit(&w->since_ns, &since_ns, now_ns,
                                                memory_order_relaxed, memory_order_relaxed))
        since_ns = now_ns;
    uint32_t before = atomic_fetch_add_explicit(&w->requests, 1, memory_order_relaxed);
    return before < a->warm_up_requests && now_ns - since_ns < a->warm_up_ns;
}

void recorder_endpoint(struct recorder_shard *shard, struct recorder_ticket *t, uint32_t endpoint,
                       int64_t now_ns)
{
    (void)shard; /* named by the one worker that may call this */
    if (t->cell == NULL)
        return;
    struct recorder_part *p = t->part;
    enum variant variant = (enum variant)t->variant;

    t->endpoint = endpoint;
    if (p->new_endpoints[variant] == 0 || endpoint >= p->endpoint_count[variant] ||
        p->warm[variant][endpoint])
        return;
    if (!is_new(p, variant, endpoint, now_ns)) {
        p->warm[variant][endpoint] = true;
        p->new_endpoints[variant]--;
        return;
    }
    t->warm_up = true;
    mark_excluded(t, t->open & p->judge.times);
    cell_changed(t->cell);
    list_remove(&t->in_flight);
}

void recorder_stream(struct recorder_shard *shard, struct recorder_ticket *t,
                     enum outcome_stream stream)
{
    if (t->cell == NULL)
        return;
    const struct judge *j = &t->part->judge;
    t->stream = (uint8_t)stream;
    if (j->by_answer == 0 ||
        (judge_may_break(j, stream, t->first_token, t->open) & j->by_answer) == 0)
        return;
    /* Its place was found for less; the next sweep looks when it is due now. */
    list_remove(&t->in_flight);
    wheel_put(shard, t, 0);
}

void recorder_first_token(struct recorder_ticket *t, int64_t now_ns)
{
    if (t->cell == NULL || t->first_token)
        return;
    const struct judge *j = &t->part->judge;
    uint32_t asked = j->first_token & t->open;
    if (asked != 0 && t->sent_ns != 0) {
        uint32_t bad =
            judge_in_flight(j, STREAM_YES, false, since_sent_ns(t, now_ns), limits_of(t), asked);
        if (bad != 0)
            mark_overdue(t, bad, now_ns);
    }
    t->first_token = true;
}

/* --- values -------------------------------------------------------------------------------- */

static void push_value(const struct recorder_ticket *t, struct shift_value value)
{
    value.epoch = cell_epoch(t->cell);
    value.variant = t->variant;
    value_ring_push(t->part->values, &value);
}

void recorder_value(struct recorder_shard *shard, struct recorder_ticket *t,
                    const struct shift_value *value)
{
    (void)shard; /* as above */
    if (t->cell == NULL)
        return;
    const struct judge *j = &t->part->judge;
    if ((j->shifts & t->applies & ~j->other_kind[t->stream] & UINT32_C(1) << value->criterion) != 0)
        push_value(t, *value);
}

static void push_numbers(const struct recorder_ticket *t, uint32_t criteria, int64_t number)
{
    for (; criteria != 0; criteria &= criteria - 1)
        push_value(t, (struct shift_value){.criterion = (uint8_t)__builtin_ctz(criteria),
                                           .kind = number >= 0 ? VALUE_NUMBER : VALUE_MISSING,
                                           .number = number >= 0 ? (double)number : 0});
}

/* Of good answers alone: a page that says what went wrong has a size of its own. */
static void take_values(const struct recorder_ticket *t, const struct outcome *o)
{
    const struct judge *j = &t->part->judge;
    uint32_t asked = t->applies & ~j->other_kind[o->stream];

    if (o->response_bytes >= 0)
        push_numbers(t, j->sizes & asked, o->response_bytes);
    push_numbers(t, j->tokens & asked, o->tokens);
}

/* --- the end of a request ------------------------------------------------------------------ */

/* Nothing more is asked of the ticket: no longer overdue, no longer in flight. */
static void close_ticket(struct recorder_ticket *t, uint32_t overdue)
{
    count_each(t, CELL_OVERDUE, overdue, -1);
    cell_add(t->cell, (enum variant)t->variant, CELL_SETTLED, 0, 1);
    cell_changed(t->cell);
    list_remove(&t->in_flight);
    t->cell = NULL;
}

static void settle(struct recorder_ticket *t, const struct outcome *o, int64_t elapsed_ns,
                   int64_t now_ns)
{
    struct recorder_part *p = t->part;
    enum variant variant = (enum variant)t->variant;
    bool error = (p->judge.error_kinds & outcome_bit(o->kind)) != 0;
    const int64_t *kept = cell_limits(t->cell, variant);
    uint32_t overdue = t->bad_mask, bad, excluded;

    judge_end(&p->judge, o, elapsed_ns, recorder_time_limits(&p->judge, kept), recorder_steps(kept),
              t->open, &bad, &excluded);
    if ((bad | excluded) != 0) {
        mark_bad(t, bad);
        mark_excluded(t, excluded);
    }
    if (error)
        cell_add(t->cell, variant, CELL_ERRORS, 0, 1);
    else if (o->kind == OUTCOME_CLIENT_ABORT)
        cell_add(t->cell, variant, CELL_EXCUSED, 0, 1);
    close_ticket(t, overdue);
    if (variant != VARIANT_CANARY || (!error && t->bad_mask == 0))
        return;
    if (error || (bad & p->judge.rare) != 0)
        alarm(p);
    struct recorder_example e = {
        .wall_ns = now_ns, .kind = o->kind, .latency_ns = elapsed_ns, .endpoint = o->endpoint};
    keep_example(t, error || (t->bad_mask & p->judge.rare) != 0, &e);
}

/* Into a histogram that is made when it is missing. */
static inline void keep_time(struct histogram *_Atomic *at, int64_t ns)
{
    struct histogram *h;

    if (ns < 0)
        return;
    h = atomic_load_explicit(at, memory_order_relaxed);
    histogram_add(h != NULL ? h : recorder_make_histogram(at), ns);
}

static void teach_groups(struct recorder_part *p, uint32_t sample, const struct outcome *o)
{
    for (size_t i = 0; i < p->group_count; i++) {
        struct moving_group *g = &p->groups[i];
        if (!g->all_latency && (sample & g->criteria) != 0)
            keep_time(&g->times, judge_time_of((enum criterion_metric)g->metric, o));
    }
}

/* Stable's times that teach the limits which follow it. What ended with a timeout took at least so
 * long; other failures say nothing of how long answers take. Returns whether its latency is one of
 * those in HIST_LATENCY. */
static bool teach(struct recorder_part *p, const struct recorder_ticket *t, const struct outcome *o)
{
    const uint32_t kinds =
        outcome_bit(OUTCOME_OK) | outcome_bit(OUTCOME_TIMEOUT) | outcome_bit(OUTCOME_STALLED);

    if (t->warm_up || (kinds & outcome_bit(o->kind)) == 0)
        return false;
    if (p->group_count > p->splits_latency)
        teach_groups(p, p->judge.moving & t->applies & ~p->judge.other_kind[o->stream], o);
    return p->splits_latency;
}

static void add_times(struct recorder_part *p, enum variant variant, const struct outcome *outcome,
                      bool sample)
{
    bool other = p->splits_latency && variant == VARIANT_STABLE && !sample;

    struct histogram *_Atomic *of = p->histograms[variant];

    keep_time(&of[other ? HIST_OTHER_LATENCY : HIST_LATENCY], outcome->latency_ns);
    keep_time(&of[HIST_FIRST_BYTE], outcome->first_byte_ns);
    keep_time(&of[HIST_CONNECT], outcome->connect_ns);
    keep_time(&of[HIST_FIRST_TOKEN], outcome->first_token_ns);
    keep_time(&of[HIST_QUEUE], outcome->queue_ns);
}

void recorder_finish(struct recorder_shard *shard, struct recorder_ticket *t,
                     const struct outcome *outcome, int64_t now_ns)
{
    (void)shard; /* as above */
    if (t->cell == NULL)
        return;
    struct recorder_part *p = t->part;
    enum variant variant = (enum variant)t->variant;
    int64_t elapsed_ns = outcome->latency_ns;
    bool sample = false;
    if (elapsed_ns < 0 && t->sent_ns != 0)
        elapsed_ns = since_sent_ns(t, now_ns);

    if (outcome->kind == OUTCOME_OK && (p->judge.sizes | p->judge.tokens) != 0)
        take_values(t, outcome);
    settle(t, outcome, elapsed_ns, now_ns);
    recorder_add(&p->outcomes[variant][outcome->kind]);
    if (outcome->endpoint < p->endpoint_count[variant])
        recorder_add(
            &p->endpoints[variant][outcome->endpoint * OUTCOME_KIND_COUNT + outcome->kind]);
    if (variant == VARIANT_STABLE && p->judge.moving != 0)
        sample = teach(p, t, outcome);
    add_times(p, variant, outcome, sample);
}

void recorder_void(struct recorder_shard *shard, struct recorder_ticket *t)
{
    (void)shard; /* as above */
    if (t->cell == NULL)
        return;
    struct recorder_part *p = t->part;
    enum variant variant = (enum variant)t->variant;

    mark_excluded(t, t->open);
    cell_add(t->cell, variant, CELL_EXCUSED, 0, 1);
    close_ticket(t, t->bad_mask);
    recorder_add(&p->voided[variant]);
}

void recorder_count(struct recorder_shard *shard, uint32_t rollout, enum variant variant,
                    const struct outcome *outcome)
{
    struct recorder_part *p = part_of(shard, rollout);
    recorder_add(&p->retry_outcomes[variant][outcome->kind]);
    add_times(p, variant, outcome, false);
}

void recorder_result(struct recorder_shard *shard, uint32_t rollout, unsigned result)
{
    CHECK(result < RESULT_KIND_COUNT);
    recorder_add(&part_of(shard, rollout)->results[result]);
}

void recorder_token_gap(struct recorder_shard *shard, uint32_t rollout, enum variant variant,
                        int64_t gap_ns)
{
    keep_time(&part_of(shard, rollout)->histograms[variant][HIST_TOKEN_GAP], gap_ns);
}
