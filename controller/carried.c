/* The loudest stretch is that of the largest sum, found in one pass once p0 and p1 are given; they
 * are those of the stretch itself, so a few rounds settle both.
 */
#include "controller/carried.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"

enum { ROUNDS = 4 };

void carried_init(struct carried *c, uint32_t criterion)
{
    *c = (struct carried){.criterion = criterion};
}

void carried_deinit(struct carried *c)
{
    free(c->slots);
    carried_init(c, c->criterion);
}

static int compare(const struct carried_slot *s, uint32_t epoch, int64_t slot)
{
    if (s->epoch != epoch)
        return s->epoch < epoch ? -1 : 1;
    return s->slot < slot ? -1 : s->slot > slot;
}

/* NULL: it is older than all, and there is no room for more. */
static struct carried_slot *slot_at(struct carried *c, uint32_t epoch, int64_t slot)
{
    size_t at = c->count;

    while (at > 0 && compare(&c->slots[at - 1], epoch, slot) >= 0)
        at--;
    if (at < c->count && compare(&c->slots[at], epoch, slot) == 0)
        return &c->slots[at];
    if (c->count == CARRIED_SLOTS_MAX) {
        if (at == 0)
            return NULL;
        memmove(c->slots, c->slots + 1, --c->count * sizeof(*c->slots));
        at--;
    }
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
        c->slots = xrealloc(c->slots, c->capacity * sizeof(*c->slots));
    }
    memmove(&c->slots[at + 1], &c->slots[at], (c->count++ - at) * sizeof(*c->slots));
    c->slots[at] = (struct carried_slot){.epoch = epoch, .slot = slot};
    return &c->slots[at];
}

static void add_counts(struct carried_slot *s, uint32_t criterion, const struct slot_delta *d)
{
    for (int v = 0; v < VARIANT_COUNT; v++) {
        const struct slot_counts *k = &d->variants[v];
        bool errors = criterion == CARRIED_ERRORS;
        s->requests[v] += (int64_t)k->dispatched - (errors ? k->excused : k->excluded[criterion]);
        s->bad[v] += errors ? k->errors : k->bad[criterion];
    }
}

void carried_add(struct carried *c, const struct observation *o)
{
    for (size_t i = 0; i < o->count; i++) {
        const struct slot_delta *d = &o->deltas[i];
        struct carried_slot *s = slot_at(c, d->epoch, d->slot);
        if (s != NULL)
            add_counts(s, c->criterion, d);
    }
}

/* What was dispatched before the journal's first look is counted as bad without a request. */
static void drop_without_canary(struct carried *c)
{
    size_t kept = 0;

    for (size_t i = 0; i < c->count; i++) {
        struct carried_slot s = c->slots[i];
        for (int v = 0; v < VARIANT_COUNT; v++)
            s.requests[v] = s.requests[v] < s.bad[v] ? s.bad[v] : s.requests[v];
        if (s.requests[VARIANT_CANARY] > 0)
            c->slots[kept++] = s;
    }
    c->count = kept;
}

static double share(const struct carried *c, size_t from, size_t to, enum variant v)
{
    int64_t requests = 0, bad = 0;

    for (size_t i = from; i < to; i++) {
        requests += c->slots[i].requests[v];
        bad += c->slots[i].bad[v];
    }
    return requests > 0 ? (double)bad / (double)requests : 0;
}

static double limit(const struct carried *c, const struct policy *policy,
                    const struct analysis_report *report)
{
    const struct policy_criterion *k = &policy->analysis.criteria[c->criterion];
    const struct criterion_report *r = &report->criteria[c->criterion];

    if (!criterion_is_relative(k))
        return k->p0;
    if (r->frozen)
        return r->frozen_p0;
    return k->ratio * share(c, c->from, c->to, VARIANT_STABLE) + k->delta;
}

static double clamp(double p)
{
    return p < 1e-6 ? 1e-6 : p > 1 - 1e-6 ? 1 - 1e-6 : p;
}

static double weight_of(const struct carried *c, const struct carried_slot *s)
{
    double bad = (double)s->bad[VARIANT_CANARY], all = (double)s->requests[VARIANT_CANARY];

    return bad * log(c->p1 / c->p0) + (all - bad) * log((1 - c->p1) / (1 - c->p0));
}

/* The stretch of the largest sum. */
static void find_stretch(struct carried *c)
{
    double best = 0, sum = 0;
    size_t from = 0;

    c->from = c->to = 0;
    for (size_t i = 0; i < c->count; i++) {
        if (sum <= 0) {
            sum = 0;
            from = i;
        }
        sum += weight_of(c, &c->slots[i]);
        if (sum > best) {
            best = sum;
            c->from = from;
            c->to = i + 1;
        }
    }
}

static void find_run(struct carried *c)
{
    c->to = c->count;
    for (c->from = c->count; c->from > 0; c->from--) {
        const struct carried_slot *s = &c->slots[c->from - 1];
        if (s->bad[VARIANT_CANARY] < s->requests[VARIANT_CANARY])
            break;
    }
    c->p1 = share(c, c->from, c->to, VARIANT_CANARY);
}

void carried_weigh(struct carried *c, const struct policy *policy,
                   const struct analysis_report *report)
{
    drop_without_canary(c);
    c->from = 0;
    c->to = c->count;
    if (c->criterion == CARRIED_ERRORS) {
        find_run(c);
        return;
    }
    for (int round = 0; round < ROUNDS && c->to > c->from; round++) {
        c->p0 = clamp(limit(c, policy, report));
        double seen = share(c, c->from, c->to, VARIANT_CANARY);
        c->p1 = clamp(seen > 2 * c->p0 ? seen : 2 * c->p0);
        find_stretch(c);
    }
    for (size_t i = c->from; i < c->to; i++)
        c->slots[i].added = weight_of(c, &c->slots[i]);
}
