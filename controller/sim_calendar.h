/* controller/sim_calendar.h — requests in flight in virtual time, and what of them has become
 * known.
 *
 * Each request is of a cell, (epoch, dispatch slot), as in the recorder. What is going to happen to
 * it waits in the bucket of the tick after which it is seen; when that tick comes, it is added to
 * what its cell has to report, and sim_calendar_take makes an observation of that. One owner.
 */
#ifndef CONTROLLER_SIM_CALENDAR_H
#define CONTROLLER_SIM_CALENDAR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/histogram.h"
#include "analysis/observation.h"
#include "analysis/reference.h"
#include "controller/sim_plan.h"

enum {
    SIM_EVENT_CANARY = 1,
    SIM_EVENT_SETTLES = 2,
    SIM_EVENT_ERROR = 4,
    SIM_EVENT_EXCUSED = 8,
    SIM_EVENT_OVERDUE = 8, /* shift of the mask of criteria it was overdue for, in `flags` */
    SIM_NO_BUCKET = UINT16_MAX,
};

/* Something that becomes known of one request. */
struct sim_event {
    uint32_t cell;
    uint32_t bad; /* newly; and, unless it settles, overdue from now on */
    uint32_t excluded;
    uint32_t flags;
    uint32_t groups; /* histograms that its times belong into, a bit each; of stable's alone */
    uint16_t buckets[SIM_TIME_METRICS]; /* SIM_NO_BUCKET: it has no such time */
};

struct sim_cell {
    uint32_t epoch;
    int64_t slot;
    bool dirty;
    uint32_t without;                            /* criteria that have no limit here */
    int64_t limits[VARIANT_COUNT][CRITERIA_MAX]; /* these two as for judge_end */
    struct judge_step steps[VARIANT_COUNT][CRITERIA_MAX + 1];
    struct slot_counts counts[VARIANT_COUNT];
};

struct sim_bucket {
    struct sim_event *events;
    size_t count, capacity;
};

struct sim_calendar {
    const struct sim_plan *plan;
    struct sim_bucket *buckets; /* circular, by tick */
    size_t bucket_mask;
    struct sim_cell *cells; /* circular, by number */
    size_t cell_mask;
    uint32_t cell_count; /* opened so far; the newest is cell_count - 1 */
    uint32_t dirty_from; /* none before it has something to report */
    uint32_t alarm_mask; /* from the plan */
    uint64_t alarms;     /* canary requests known bad, for an error or a criterion of the mask */
    uint64_t settled[VARIANT_COUNT], errors[VARIANT_COUNT]; /* since the start */
    struct histogram_view *histograms; /* stable's times, by group of the plan */
};

void sim_calendar_init(struct sim_calendar *, const struct sim_plan *);
void sim_calendar_deinit(struct sim_calendar *);
void sim_calendar_reset(struct sim_calendar *); /* for another rollout; keeps the memory */

static inline struct sim_cell *sim_calendar_cell(const struct sim_calendar *c, uint32_t number)
{
    return &c->cells[number & c->cell_mask];
}
/* The cell for requests dispatched now; opens it when it is not the newest. limits NULL: no
 * criterion follows stable. */
struct sim_cell *sim_calendar_open(struct sim_calendar *, uint32_t epoch, int64_t slot,
                                   const struct moving_limits *limits);
/* So many requests were dispatched, in the newest cell. */
void sim_calendar_dispatch(struct sim_calendar *, enum variant, uint32_t count);
/* An event to be seen in a later tick: filled by the caller. */
struct sim_event *sim_calendar_grow(struct sim_bucket *);
static inline struct sim_event *sim_calendar_at(struct sim_calendar *c, int64_t tick)
{
    struct sim_bucket *b = &c->buckets[(size_t)tick & c->bucket_mask];

    return b->count < b->capacity ? &b->events[b->count++] : sim_calendar_grow(b);
}
/* Takes in what becomes known in this tick. */
void sim_calendar_pass(struct sim_calendar *, int64_t tick);
/* True when there is something to report. */
bool sim_calendar_has_news(const struct sim_calendar *);
/* Moves what there is to report into an empty observation. */
void sim_calendar_take(struct sim_calendar *, struct observation *);
void sim_calendar_forget(struct sim_calendar *); /* nobody takes it; the sums stay */

#endif
