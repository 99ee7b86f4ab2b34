/* Tables. Quantiles of a lognormal come from a bisection of erfc, which is slow and done a few
 * thousand times; the number of requests in a tick is exactly Poisson, to the 32 bits it is drawn
 * with.
 */
#include "controller/sim_plan.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"

#define ANSWER_MIN_NS 1e5

/* --- times ------------------------------------------------------------------------------------ */

/* The standard normal's p-quantile. */
static double probit(double p)
{
    double low = -9, high = 9;

    for (int i = 0; i < 60; i++) {
        double middle = (low + high) / 2;
        if (0.5 * erfc(-middle / sqrt(2)) < p)
            low = middle;
        else
            high = middle;
    }
    return (low + high) / 2;
}

static double quantile(const struct sim_times *t, double p)
{
    switch (t->shape) {
    case SIM_CONSTANT:
        return t->ns;
    case SIM_LOGNORMAL:
        return t->ns * exp(t->more * probit(p));
    case SIM_EXPONENTIAL:
        return -t->ns * log1p(-p);
    case SIM_UNIFORM:
        return t->ns + (t->more - t->ns) * p;
    case SIM_UNKNOWN:
        break;
    }
    UNREACHABLE();
}

static void quantiles(const struct sim_times *t, double shift, double max_ns,
                      struct sim_quantiles *ret)
{
    for (int i = 0; i <= SIM_KNOTS; i++) {
        double p = i == 0           ? 0.25 / SIM_KNOTS
                   : i == SIM_KNOTS ? 1 - 0.25 / SIM_KNOTS
                                    : (double)i / SIM_KNOTS;
        ret->knots[i] = (float)fmin(fmax(quantile(t, p) * shift, ANSWER_MIN_NS), max_ns);
    }
    for (int i = 0; i <= SIM_TAIL_KNOTS; i++) {
        double above = i == SIM_TAIL_KNOTS ? 0.25 : SIM_TAIL_KNOTS - i;
        double p = 1 - above / SIM_TAIL_KNOTS / SIM_KNOTS;
        ret->tail[i] = (float)fmin(fmax(quantile(t, p) * shift, ANSWER_MIN_NS), max_ns);
    }
}

/* --- answers ---------------------------------------------------------------------------------- */

static uint32_t of_32_bits(double share)
{
    double scaled = share * 0x1.0p32;

    return scaled >= 0x1.0p32 - 1 ? UINT32_MAX : (uint32_t)scaled;
}

static void make_answers(const struct sim_variant *v, const struct policy *p,
                         struct sim_answers *ret)
{
    const struct sim_times *all[SIM_TIME_METRICS] = {&v->latency, &v->first_token, &v->gap,
                                                     &v->per_token};
    double sum = 0;

    for (int k = OUTCOME_OK + 1; k < OUTCOME_KIND_COUNT; k++) {
        sum += v->outcomes[k];
        ret->kind_below[k] = of_32_bits(sum);
    }
    ret->bad = of_32_bits(sum);
    ret->streams_below = (uint32_t)lround(v->streams * 0x1.0p16);
    ret->failure_ns = (double)v->failure_ns;
    ret->failure_kind = v->failures_time_out ? OUTCOME_TIMEOUT : OUTCOME_5XX;
    for (int i = 0; i < SIM_TIME_METRICS; i++) {
        ret->has_time[i] = all[i]->shape != SIM_UNKNOWN;
        if (ret->has_time[i])
            quantiles(all[i], v->shift, (double)p->upstream.total_timeout_ns, &ret->times[i]);
    }
}

static double longest_ns(const struct sim_plan *plan)
{
    const struct policy_upstream *up = &plan->policy.upstream;
    double longest = 0;

    for (int i = 0; i < VARIANT_COUNT; i++) {
        const struct sim_variant *v = &plan->spec.variants[i];
        double answer =
            plan->answers[i].times[0].tail[SIM_TAIL_KNOTS] * (1 + plan->spec.shared.swing);
        longest = fmax(longest, answer);
        longest = fmax(longest, (double)v->failure_ns);
        if (v->outcomes[OUTCOME_TIMEOUT] > 0)
            longest = fmax(longest, (double)up->first_byte_timeout_ns);
        if (v->outcomes[OUTCOME_STALLED] > 0)
            longest = fmax(longest, answer + (double)up->idle_timeout_ns);
    }
    return fmin(longest, (double)up->total_timeout_ns);
}

/* --- criteria --------------------------------------------------------------------------------- */

static void make_groups(struct sim_plan *plan)
{
    const struct policy_analysis *a = &plan->policy.analysis;

    for (size_t i = 0; i < a->criteria_count; i++) {
        const struct policy_criterion *c = &a->criteria[i];
        size_t g = 0;
        if (!criterion_follows_stable(c))
            continue;
        while (g < plan->group_count &&
               (plan->groups[g].metric != c->metric || plan->groups[g].stream != c->where.stream))
            g++;
        plan->groups[g] = (struct sim_group){c->metric, c->where.stream};
        plan->group_count = g == plan->group_count ? g + 1 : plan->group_count;
        plan->group_of[i] = (uint8_t)g;
    }
}

/* --- arrivals --------------------------------------------------------------------------------- */

static void make_poisson(struct sim_plan *plan)
{
    double mean = plan->spec.rps * (double)SIM_TICK_NS / (double)NS_PER_SEC;
    double reach = 8 * sqrt(mean) + 24, sum = 0;

    plan->poisson_from = mean > reach ? (size_t)(mean - reach) : 0;
    plan->poisson_count = (size_t)(mean + reach) - plan->poisson_from + 1;
    plan->poisson = xcalloc(plan->poisson_count, sizeof(*plan->poisson));
    for (size_t i = 0; i < plan->poisson_count; i++) {
        double n = (double)(plan->poisson_from + i);
        sum += exp(n * log(mean) - mean - lgamma(n + 1));
        plan->poisson[i] = of_32_bits(sum);
    }
}

uint32_t sim_plan_arrivals(const struct sim_plan *plan, uint32_t random)
{
    size_t low = 0, high = plan->poisson_count - 1;

    while (low < high) {
        size_t middle = (low + high) / 2;
        if (random >= plan->poisson[middle])
            low = middle + 1;
        else
            high = middle;
    }
    return (uint32_t)(plan->poisson_from + low);
}

struct sim_plan *sim_plan_new(const struct policy *policy, const struct sim_spec *spec, bool bake)
{
    struct sim_plan *plan = xcalloc(1, sizeof(*plan));

    plan->policy = *policy;
    plan->spec = *spec;
    plan->policy.start_auto = false; /* the world says when */
    if (!bake)
        plan->policy.bake = (struct policy_bake){0};
    for (int v = 0; v < VARIANT_COUNT; v++)
        make_answers(&spec->variants[v], policy, &plan->answers[v]);
    plan->answer_max_ns = longest_ns(plan);
    judge_init(&plan->judge, &plan->policy.analysis);
    make_groups(plan);
    make_poisson(plan);
    return plan;
}

void sim_plan_free(struct sim_plan *plan)
{
    if (plan == NULL)
        return;
    free(plan->poisson);
    free(plan);
}
