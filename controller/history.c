/* Points are merged by twos when there are too many, so a rollout of any length keeps its shape in
 * a fixed room. What surprises: points of different weights are merged last, because the weight is
 * what people look for.
 */
#include "controller/history.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

/* Counts are copied before a failure is seen, at most so often. */
#define COPY_NS      NS_PER_SEC
#define POINT_NS     (10 * NS_PER_SEC)
#define POINT_MAX_NS (10000 * NS_PER_HOUR) /* no rollout is judged for so long */

struct history {
    struct journal *journal;
    const struct policy *policy;
    const struct controller_ports *ports;
    uint32_t rollout;

    struct history_point *points; /* heap, once there is a canary */
    size_t count;
    int64_t point_ns; /* how long each one should be */

    int64_t copied_ns; /* when `before` was taken */
    uint64_t before[OUTCOME_KIND_COUNT];
    int64_t failed_wall_ns; /* of the canary's first failure in this step; 0: none */
};

struct history *history_new(struct journals *all, const struct policy *policy,
                            const struct controller_ports *ports, uint32_t rollout)
{
    struct history *h = xcalloc(1, sizeof(*h));

    h->journal = journal_new(all, policy);
    h->policy = policy;
    h->ports = ports;
    h->rollout = rollout;
    h->point_ns = POINT_NS;
    return h;
}

void history_free(struct history *h)
{
    if (h == NULL)
        return;
    journal_free(h->journal);
    free(h->points);
    free(h);
}

const struct journal *history_journal(const struct history *h)
{
    return h->journal;
}

/* --- points ----------------------------------------------------------------------------------- */

static void merge(struct history *h, size_t at)
{
    struct history_point *to = &h->points[at], *from = to + 1;

    to->length_ns += from->length_ns;
    to->weight_bp = from->weight_bp;
    for (int v = 0; v < VARIANT_COUNT; v++) {
        to->requests[v] += from->requests[v];
        to->errors[v] += from->errors[v];
    }
    h->count--;
    memmove(from, from + 1, (h->count - at - 1) * sizeof(*from));
}

/* Neighbours of one weight that together are no longer than a point may be now. */
static void merge_alike(struct history *h)
{
    for (size_t i = 0; i + 1 < h->count; i++) {
        const struct history_point *p = &h->points[i];
        if (p[0].weight_bp == p[1].weight_bp && p[0].length_ns + p[1].length_ns <= h->point_ns)
            merge(h, i);
    }
}

/* Where the weight went up and down so often that nothing is alike, the oldest two become one, and
 * points stay as fine as they were: longer ones would not have helped. */
static void make_room(struct history *h)
{
    int64_t was_ns = h->point_ns;

    while (h->count == HISTORY_POINTS && h->point_ns < POINT_MAX_NS) {
        h->point_ns *= 2;
        merge_alike(h);
    }
    if (h->count < HISTORY_POINTS)
        return;
    h->point_ns = was_ns;
    merge(h, 0);
}

static struct history_point *point_at(struct history *h, const struct journal_look *l,
                                      uint32_t weight_bp)
{
    struct history_point *last = h->count == 0 ? NULL : &h->points[h->count - 1];

    if (last != NULL) {
        last->length_ns = l->wall_ns > last->wall_ns ? l->wall_ns - last->wall_ns : 0;
        if (last->weight_bp == weight_bp && last->length_ns < h->point_ns)
            return last;
    }
    if (h->points == NULL)
        h->points = xcalloc(HISTORY_POINTS, sizeof(*h->points));
    if (h->count == HISTORY_POINTS)
        make_room(h);
    last = &h->points[h->count++];
    *last = (struct history_point){.wall_ns = l->wall_ns, .weight_bp = weight_bp};
    return last;
}

static void count(struct history *h, const struct journal_look *l)
{
    const struct rollout_decision *d = l->decision;

    if (d->state.canary_version[0] == '\0')
        return;
    if (l->number > 0 && d->event == EVENT_STARTED) {
        h->count = 0;
        h->point_ns = POINT_NS;
    }
    /* What was seen was under the weight before the decision. */
    uint32_t weight_bp = h->count == 0 ? d->state.weight_bp : d->before.weight_bp;
    struct history_point *p = point_at(h, l, weight_bp);
    for (size_t i = 0; l->observation != NULL && i < l->observation->count; i++)
        for (int v = 0; v < VARIANT_COUNT; v++) {
            const struct slot_counts *c = &l->observation->deltas[i].variants[v];
            p->requests[v] += c->dispatched;
            p->errors[v] += c->errors;
        }
    if (l->result != EFFECTS_REFUSED && d->state.weight_bp != weight_bp)
        point_at(h, l, d->state.weight_bp);
}

size_t history_points(const struct history *h, const struct history_point **ret)
{
    *ret = h->points;
    return h->count;
}

/* --- kinds ------------------------------------------------------------------------------------ */

static void canary_outcomes(const struct history *h, uint64_t ret[static OUTCOME_KIND_COUNT])
{
    struct recorder_totals totals = {0};

    h->ports->totals(h->ports->ctx, h->rollout, &totals);
    memcpy(ret, totals.variants[VARIANT_CANARY].outcomes, OUTCOME_KIND_COUNT * sizeof(*ret));
}

static bool begins_step(const struct journal_look *l)
{
    bool begins = false;

    for (size_t i = 0; l->number > 0 && i < l->decision->action_count; i++)
        begins = begins || l->decision->actions[i].why == WEIGHT_STEP ||
                 l->decision->actions[i].why == WEIGHT_BAKE;
    return begins;
}

static bool canary_failed(const struct journal_look *l)
{
    uint32_t errors = 0;

    for (size_t i = 0; l->observation != NULL && i < l->observation->count; i++)
        errors |= l->observation->deltas[i].variants[VARIANT_CANARY].errors;
    return errors != 0;
}

static void follow_failures(struct history *h, const struct journal_look *l)
{
    if (begins_step(l)) {
        h->failed_wall_ns = 0;
        h->copied_ns = 0;
    } else if (h->failed_wall_ns == 0 && canary_failed(l)) {
        h->failed_wall_ns = l->wall_ns;
    }
    if (h->failed_wall_ns != 0 || l->decision->state.step == 0 ||
        (h->copied_ns != 0 && l->now_ns - h->copied_ns < COPY_NS))
        return;
    h->copied_ns = l->now_ns;
    canary_outcomes(h, h->before);
}

bool history_since_failure(const struct history *h, uint64_t ret[static OUTCOME_KIND_COUNT],
                           int64_t *ret_wall_ns)
{
    canary_outcomes(h, ret);
    for (int k = 0; k < OUTCOME_KIND_COUNT; k++)
        ret[k] -= h->before[k] < ret[k] ? h->before[k] : ret[k];
    *ret_wall_ns = h->failed_wall_ns;
    return h->failed_wall_ns != 0;
}

/* --- looks ------------------------------------------------------------------------------------ */

void history_begin(struct history *h, const struct engine *e, bool adopted, int64_t now_ns,
                   int64_t wall_ns)
{
    journal_begin(h->journal, e, adopted, now_ns, wall_ns);
}

void history_look(struct history *h, const struct engine *e, const struct journal_look *l)
{
    journal_look(h->journal, e, l);
    count(h, l);
    follow_failures(h, l);
}
