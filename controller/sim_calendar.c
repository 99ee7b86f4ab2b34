/* A request costs an event or two of 24 bytes, written once and read once. The number of buckets is
 * the longest time a request can take, so that they stay in the cache where requests are short.
 */
#include "controller/sim_calendar.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"

/* Weights that can change while one request is in flight. */
enum { EPOCHS_IN_FLIGHT = 256 };

static size_t power_of_two(double at_least)
{
    size_t size = 64;

    while ((double)size < at_least)
        size *= 2;
    return size;
}

void sim_calendar_init(struct sim_calendar *c, const struct sim_plan *plan)
{
    double slots = plan->answer_max_ns / (double)plan->policy.analysis.slot_ns;
    size_t buckets = power_of_two(plan->answer_max_ns / (double)SIM_TICK_NS + 4);
    size_t cells = power_of_two(slots + EPOCHS_IN_FLIGHT);

    memset(c, 0, sizeof(*c));
    c->plan = plan;
    c->buckets = xcalloc(buckets, sizeof(*c->buckets));
    c->bucket_mask = buckets - 1;
    c->cells = xcalloc(cells, sizeof(*c->cells));
    c->cell_mask = cells - 1;
    c->histograms = xcalloc(plan->group_count + 1, sizeof(*c->histograms));
}

void sim_calendar_deinit(struct sim_calendar *c)
{
    for (size_t i = 0; i <= c->bucket_mask; i++)
        free(c->buckets[i].events);
    free(c->histograms);
    free(c->buckets);
    free(c->cells);
    memset(c, 0, sizeof(*c));
}

void sim_calendar_reset(struct sim_calendar *c)
{
    for (size_t i = 0; i <= c->bucket_mask; i++)
        c->buckets[i].count = 0;
    memset(c->histograms, 0, c->plan->group_count * sizeof(*c->histograms));
    c->cell_count = c->dirty_from = 0;
    c->alarms = 0;
    memset(c->settled, 0, sizeof(c->settled));
    memset(c->errors, 0, sizeof(c->errors));
}

static void set_limits(const struct judge *j, const struct moving_limits *moving,
                       struct sim_cell *cell)
{
    for (size_t i = 0; i < j->time_count; i++) {
        size_t c = j->time[i].criterion;
        for (int v = 0; v < VARIANT_COUNT; v++)
            cell->limits[v][i] = j->time[i].limit_ns;
        if ((j->moving >> c & 1) == 0)
            continue;
        if (moving == NULL || moving->stable_ns[c] < 0 || moving->canary_ns[c] < 0) {
            cell->without |= UINT32_C(1) << c;
            continue;
        }
        cell->limits[VARIANT_STABLE][i] = moving->stable_ns[c];
        cell->limits[VARIANT_CANARY][i] = moving->canary_ns[c];
    }
    for (int v = 0; v < VARIANT_COUNT; v++)
        judge_steps(j, cell->limits[v], cell->steps[v]);
}

struct sim_cell *sim_calendar_open(struct sim_calendar *c, uint32_t epoch, int64_t slot,
                                   const struct moving_limits *limits)
{
    struct sim_cell *newest = sim_calendar_cell(c, c->cell_count - 1);

    if (c->cell_count > 0 && newest->epoch == epoch && newest->slot == slot)
        return newest;
    struct sim_cell *cell = sim_calendar_cell(c, c->cell_count);
    CHECK(c->cell_count <= c->cell_mask || !cell->dirty);
    memset(cell, 0, sizeof(*cell));
    cell->epoch = epoch;
    cell->slot = slot;
    set_limits(&c->plan->judge, limits, cell);
    c->cell_count++;
    return cell;
}

static struct slot_counts *touch(struct sim_calendar *c, uint32_t number, enum variant v)
{
    struct sim_cell *cell = sim_calendar_cell(c, number);

    cell->dirty = true;
    if (number < c->dirty_from)
        c->dirty_from = number;
    return &cell->counts[v];
}

void sim_calendar_dispatch(struct sim_calendar *c, enum variant v, uint32_t count)
{
    if (count > 0)
        touch(c, c->cell_count - 1, v)->dispatched += count;
}

struct sim_event *sim_calendar_grow(struct sim_bucket *b)
{
    b->capacity = b->capacity == 0 ? 16 : 2 * b->capacity;
    b->events = xrealloc(b->events, b->capacity * sizeof(*b->events));
    return &b->events[b->count++];
}

static void add_masks(struct slot_counts *to, const struct sim_event *e)
{
    uint32_t was_overdue = e->flags >> SIM_EVENT_OVERDUE;
    bool settles = (e->flags & SIM_EVENT_SETTLES) != 0;

    for (uint32_t left = e->bad; left != 0; left &= left - 1) {
        to->bad[__builtin_ctz(left)]++;
        if (!settles)
            to->overdue[__builtin_ctz(left)]++;
    }
    for (uint32_t left = e->excluded; left != 0; left &= left - 1)
        to->excluded[__builtin_ctz(left)]++;
    for (uint32_t left = was_overdue; left != 0; left &= left - 1)
        to->overdue[__builtin_ctz(left)]--;
}

static void add_times(struct sim_calendar *c, const struct sim_event *e)
{
    for (uint32_t left = e->groups; left != 0; left &= left - 1) {
        size_t g = (size_t)__builtin_ctz(left);
        uint16_t bucket = e->buckets[c->plan->groups[g].metric - METRIC_LATENCY];
        if (bucket == SIM_NO_BUCKET)
            continue;
        c->histograms[g].counts[bucket]++;
        c->histograms[g].total++;
    }
}

void sim_calendar_pass(struct sim_calendar *c, int64_t tick)
{
    struct sim_bucket *b = &c->buckets[(size_t)tick & c->bucket_mask];

    for (size_t i = 0; i < b->count; i++) {
        const struct sim_event *e = &b->events[i];
        enum variant v = e->flags & SIM_EVENT_CANARY ? VARIANT_CANARY : VARIANT_STABLE;
        struct slot_counts *to = touch(c, e->cell, v);
        if ((e->bad | e->excluded | e->flags >> SIM_EVENT_OVERDUE) != 0)
            add_masks(to, e);
        if (v == VARIANT_CANARY &&
            ((e->bad & c->plan->judge.rare) != 0 || (e->flags & SIM_EVENT_ERROR) != 0))
            c->alarms++;
        if ((e->flags & SIM_EVENT_SETTLES) == 0)
            continue;
        to->settled++;
        to->errors += (e->flags & SIM_EVENT_ERROR) != 0;
        to->excused += (e->flags & SIM_EVENT_EXCUSED) != 0;
        c->settled[v]++;
        c->errors[v] += (e->flags & SIM_EVENT_ERROR) != 0;
        if (e->groups != 0)
            add_times(c, e);
    }
    b->count = 0;
}

bool sim_calendar_has_news(const struct sim_calendar *c)
{
    return c->dirty_from < c->cell_count;
}

void sim_calendar_forget(struct sim_calendar *c)
{
    for (uint32_t n = c->dirty_from; n < c->cell_count; n++) {
        struct sim_cell *cell = sim_calendar_cell(c, n);
        memset(cell->counts, 0, sizeof(cell->counts));
        cell->dirty = false;
    }
    c->dirty_from = c->cell_count;
}

void sim_calendar_take(struct sim_calendar *c, struct observation *o)
{
    CHECK(o->count == 0);
    for (uint32_t n = c->dirty_from; n < c->cell_count; n++) {
        struct sim_cell *cell = sim_calendar_cell(c, n);
        if (!cell->dirty)
            continue;
        struct slot_delta *delta = observation_at(o, cell->epoch, cell->slot);
        memcpy(delta->variants, cell->counts, sizeof(cell->counts));
        for (uint32_t left = cell->without; left != 0; left &= left - 1)
            for (int v = 0; v < VARIANT_COUNT; v++)
                delta->variants[v].excluded[__builtin_ctz(left)] = cell->counts[v].dispatched;
        memset(cell->counts, 0, sizeof(cell->counts));
        cell->dirty = false;
    }
    c->dirty_from = c->cell_count;
}
