/* p1 must stay below 1, which the formula for it does not promise where z is large (a median's z is
 * above one half); it is kept at or below the middle between z and 1, which changes nothing
 * elsewhere.
 */
#include "analysis/visit.h"

#include <math.h>

#include "analysis/hard_down.h"

#define LOG_CLEARED 2.9957322735539910 /* log 20 */
#define Z_MIN       1e-6
#define Z_MAX       0.95

struct probe visit_ask(uint32_t criterion, struct shares seen, double z, const struct probe *last)
{
    z = fmin(fmax(z, Z_MIN), Z_MAX);
    double p_hat = fmin(VISIT_P_HAT_MAX, ((double)seen.bad + 0.5) / ((double)seen.sample + 1));
    double p1 = fmin(sqrt(fmax(p_hat, 2 * z) * z), (1 + z) / 2);
    if (last != NULL && last->criterion == criterion && last->p1 < p1)
        return *last;
    return (struct probe){.criterion = criterion, .p1 = p1, .z = z};
}

void visit_begin(struct visit *v, int64_t slot)
{
    v->active = true;
    v->begin = slot;
    v->closed = (struct shares){0};
    v->closed_least = INFINITY;
}

static double log_ratio(const struct probe *p, const struct shares *sum)
{
    uint64_t bad = sum->bad + sum->pending;
    bad = bad < sum->sample ? bad : sum->sample;
    return (double)bad * log(p->p1 / p->z) +
           (double)(sum->sample - bad) * (log1p(-p->p1) - log1p(-p->z));
}

struct visit_walk visit_walk(const struct visit *v)
{
    return (struct visit_walk){
        .sum = v->closed,
        .log_ratio = log_ratio(&v->asked, &v->closed),
        .least = v->closed_least,
    };
}

void visit_add(const struct visit *v, struct visit_walk *walk, const struct window_slot *w,
               uint32_t limits, int64_t patience)
{
    const struct slot_counts *canary = &w->counts[VARIANT_CANARY];
    shares_add(&walk->sum, v->asked.criterion < CRITERIA_MAX ? shares_of(canary, v->asked.criterion)
                                                             : hard_down_shares(canary, limits));
    walk->log_ratio = log_ratio(&v->asked, &walk->sum);
    if (w->slot - v->begin + 1 >= patience)
        walk->least = fmin(walk->least, walk->log_ratio);
}

void visit_close(struct visit *v, const struct window_slot *w, uint32_t limits, int64_t patience)
{
    struct visit_walk walk = visit_walk(v);
    visit_add(v, &walk, w, limits, patience);
    v->closed = walk.sum;
    v->closed_least = walk.least;
}

bool visit_cleared(const struct visit *v, double least, int64_t now_slot, int64_t patience)
{
    return v->active && least <= -LOG_CLEARED && now_slot - v->begin >= patience;
}
