/* The factors of REL depend on the weight. They cost two dozen logarithms, so those of the last two
 * weights are kept: late outcomes of the last step come in between those of this one.
 */
#include "analysis/process.h"

void process_absolute(struct process *p, const struct sequential_plan *plan, double p0)
{
    *p = (struct process){.relative = false};
    ring_init(&p->ring, SEQUENTIAL_ABS_POINTS, sequential_cap(plan, SEQUENTIAL_ABS_POINTS));
    process_set_limit(p, p0);
}

void process_frozen(struct process *p, const struct sequential_plan *plan)
{
    *p = (struct process){.full_only = true};
    p->known[0].factors.points = SEQUENTIAL_ABS_POINTS; /* all 0: no evidence without a limit */
    ring_init(&p->ring, SEQUENTIAL_ABS_POINTS, sequential_cap(plan, SEQUENTIAL_ABS_POINTS));
}

void process_set_limit(struct process *p, double p0)
{
    sequential_abs(p0, &p->known[0].factors);
}

void process_relative(struct process *p, const struct sequential_plan *plan, double r, double delta,
                      enum sequential_grid grid)
{
    *p = (struct process){.relative = true, .r = r, .delta = delta, .grid = grid};
    for (size_t i = 0; i < PROCESS_WEIGHTS; i++) /* weight 0: all 0 */
        sequential_rel(r, delta, 0, grid, &p->known[i].factors);
    ring_init(&p->ring, SEQUENTIAL_REL_POINTS, sequential_cap(plan, SEQUENTIAL_REL_POINTS));
}

void process_deinit(struct process *p)
{
    ring_deinit(&p->ring);
}

static const struct sequential_factors *factors_at(struct process *p, uint32_t weight_bp)
{
    if (!p->relative)
        return &p->known[0].factors;
    for (size_t i = 0; i < PROCESS_WEIGHTS; i++)
        if (p->known[i].weight_bp == weight_bp)
            return &p->known[i].factors;
    for (size_t i = PROCESS_WEIGHTS - 1; i > 0; i--)
        p->known[i] = p->known[i - 1];
    p->known[0].weight_bp = weight_bp;
    sequential_rel(p->r, p->delta, (double)weight_bp / WEIGHT_FULL_BP, p->grid,
                   &p->known[0].factors);
    return &p->known[0].factors;
}

static void tally_log_ratio(struct process *p, const struct tally *t,
                            double ret[static SEQUENTIAL_POINTS_MAX])
{
    uint64_t n = t->n[VARIANT_CANARY], stable_bad = 0;
    if (p->relative) {
        n += t->n[VARIANT_STABLE];
        stable_bad = t->bad[VARIANT_STABLE];
    }
    sequential_log_ratio(factors_at(p, t->weight_bp), n, t->bad[VARIANT_CANARY], stable_bad, ret);
}

void process_set(struct process *p, size_t slot, const struct tally *tallies, size_t count)
{
    double sum[SEQUENTIAL_POINTS_MAX] = {0}, more[SEQUENTIAL_POINTS_MAX];
    for (size_t i = 0; i < count; i++) {
        if (p->full_only && tallies[i].weight_bp < WEIGHT_FULL_BP)
            continue;
        tally_log_ratio(p, &tallies[i], more);
        for (size_t k = 0; k < p->ring.points; k++)
            sum[k] += more[k];
    }
    ring_set(&p->ring, slot, sum);
}
