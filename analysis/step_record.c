/* "No harm" does not look at the same counts as the alarm: the alarm takes requests in flight as
 * good (so that it cannot cry wolf because failures are fast), no harm takes them as bad (so that
 * it cannot pass a canary because failures are slow).
 */
#include "analysis/step_record.h"

#include <math.h>
#include <string.h>

void prefixes_add(struct prefixes *p, struct shares more)
{
    struct shares *sum = &p->sum;
    shares_add(sum, more);

    size_t level = sum->pending == 0 ? 0 : 64 - (size_t)__builtin_clzll(sum->pending);
    if (level >= PREFIX_LEVELS)
        level = PREFIX_LEVELS - 1;
    uint64_t bad = sum->bad + sum->pending;
    p->at[level].sample = sum->sample;
    p->at[level].bad = bad < sum->sample ? bad : sum->sample;
}

/* Whether another prefix is longer and has no more bad requests: then it says more. */
static bool is_beaten(const struct prefixes *p, size_t i)
{
    for (size_t k = 0; k < PREFIX_LEVELS; k++)
        if (k != i && p->at[k].sample >= p->at[i].sample && p->at[k].bad <= p->at[i].bad &&
            (k < i || p->at[k].sample > p->at[i].sample || p->at[k].bad < p->at[i].bad))
            return true;
    return false;
}

double prefixes_no_harm(const struct prefixes *p, const struct sequential_limit *limit)
{
    double best = 0;
    for (size_t i = 0; i < PREFIX_LEVELS; i++) {
        uint64_t n = p->at[i].sample, bad = p->at[i].bad;
        if ((double)bad < (double)n * limit->p0 && !is_beaten(p, i))
            best = fmax(best, sequential_limit_log_m(limit, n, bad));
    }
    return best;
}

void step_record_begin(struct step_record *r)
{
    memset(r->step, 0, sizeof r->step);
    memset(&r->closed, 0, sizeof r->closed);
}

static void move(struct shares *sum, const struct shares *before, const struct shares *now)
{
    sum->sample += now->sample - before->sample;
    sum->bad += now->bad - before->bad;
    sum->pending += now->pending - before->pending;
}

void step_record_move(struct step_record *r, const struct window_slot *w, bool this_step,
                      const struct shares before[VARIANT_COUNT],
                      const struct shares now[VARIANT_COUNT])
{
    bool both = w->weight_bp > 0 && w->weight_bp < WEIGHT_FULL_BP;
    if (w->weight_bp == 0 && w->step == 0)
        move(&r->before, &before[VARIANT_STABLE], &now[VARIANT_STABLE]);
    for (size_t v = 0; v < VARIANT_COUNT; v++) {
        if (this_step && (v == VARIANT_CANARY || w->weight_bp > 0))
            move(&r->step[v], &before[v], &now[v]);
        if (both)
            move(&r->rollout[v], &before[v], &now[v]);
    }
}
