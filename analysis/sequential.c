/* The formulas of sequential.h, in the order of the header. Bisections run a fixed number of
 * rounds, so that equal inputs cost and give the same. lgamma_r, because lgamma writes a global.
 */
#include "analysis/sequential.h"

#include <math.h>

enum { BISECTIONS = 52 };
/* What a rollout that is held longer than planned gets besides, however long. */
#define LATE_SHARE   1e-3
#define REQUESTS_MAX (UINT64_C(1) << 40) /* more than anyone waits for */

static const double rel_grids[GRID_COUNT][SEQUENTIAL_REL_POINTS] = {
    [GRID_SHARES] = {1.5, 2, 3, 5, 10, 30, 100, 1000},
    [GRID_TIMES] = {1.1, 1.25, 1.5, 2, 3, 5, 10, 100},
};

void sequential_abs(double p0, struct sequential_factors *ret)
{
    double odds = p0 / (1 - p0);
    double first = log(1.5 * odds);
    double last = log(fmax(19, 10 * odds)); /* 19: a share of 0.95 */

    *ret = (struct sequential_factors){.points = SEQUENTIAL_ABS_POINTS};
    for (size_t k = 0; k < ret->points; k++) {
        double theta = first + (last - first) * (double)k / (double)(ret->points - 1);
        ret->canary_bad[k] = -log1p(exp(-theta)) - log(p0);
        ret->ok[k] = -log1p(exp(theta)) - log1p(-p0);
    }
}

void sequential_rel(double r, double delta, double w, enum sequential_grid grid,
                    struct sequential_factors *ret)
{
    *ret = (struct sequential_factors){.points = SEQUENTIAL_REL_POINTS};
    if (w <= 0 || w >= 1)
        return;
    double stable_loss = r / (1 - w) + delta;
    for (size_t k = 0; k < ret->points; k++) {
        double ratio = r * rel_grids[grid][k];
        double kappa = w * (ratio - r) / (ratio * w + 1 - w);
        double lambda = kappa / stable_loss;
        ret->canary_bad[k] = log1p(lambda * (1 / w - delta));
        ret->stable_bad[k] = log1p(-lambda * stable_loss);
        ret->ok[k] = log1p(-lambda * delta);
    }
}

void sequential_log_ratio(const struct sequential_factors *f, uint64_t n, uint64_t canary_bad,
                          uint64_t stable_bad, double ret[static SEQUENTIAL_POINTS_MAX])
{
    double sc = (double)canary_bad, ss = (double)stable_bad;
    double ok = (double)n - sc - ss;
    for (size_t k = 0; k < f->points; k++)
        ret[k] = sc * f->canary_bad[k] + ss * f->stable_bad[k] + ok * f->ok[k];
}

double sequential_threshold(const struct sequential_plan *plan)
{
    return log(1 / plan->alpha) + log(1 / plan->share);
}

double sequential_cap(const struct sequential_plan *plan, size_t points)
{
    if (plan->min_bad_slots == 0)
        return INFINITY;
    double m = plan->min_bad_slots;
    double threshold = sequential_threshold(plan);
    double cap = (threshold + log((double)points) + log(2 * (double)plan->steps)) / m;
    if (plan->min_bad_slots > 1) /* from E <= 1, m - 1 slots must stay below the threshold */
        cap = fmin(cap, threshold * (1 - 1e-9) / (m - 1));
    return cap;
}

/* Of LATE_SHARE, what is not given out yet when so many slots have begun. It falls so slowly that
 * days after the plan's end there is still some to give, and so fast that the sum is bounded. */
static double late_left(uint64_t planned, uint64_t begun)
{
    double periods = begun > planned ? (double)(begun - planned) / (double)planned : 0;
    return 1 / (1 + log1p(periods));
}

double sequential_start(const struct sequential_plan *plan, struct sequential_starts *given,
                        uint64_t count, bool step_start, bool baking)
{
    uint64_t planned = baking ? plan->bake_slots : plan->slots;
    uint64_t *taken = baking ? &given->bake_slots : &given->slots;
    uint64_t left = planned > *taken ? planned - *taken : 0;
    uint64_t now = count < left ? count : left;
    double each = plan->bake_slots > 0 ? 4 : 2; /* halves, or quarters */
    double start = now > 0 ? (double)now / (each * (double)planned) : 0;

    if (planned > 0 && *taken + count > planned)
        start += LATE_SHARE * 2 / each *
                 (late_left(planned, *taken) - late_left(planned, *taken + count));
    *taken += count;
    if (step_start && given->steps < plan->steps) {
        given->steps++;
        start += 1 / (2 * (double)plan->steps);
    }
    return start;
}

double sequential_log_sum(const double *logs, size_t count)
{
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, logs[i]);
    if (isinf(largest))
        return largest;
    for (size_t i = 0; i < count; i++)
        sum += exp(logs[i] - largest);
    return largest + log(sum);
}

double sequential_combine(const double *weights, const double *logs, size_t count)
{
    double largest = -INFINITY, sum = 0;
    for (size_t i = 0; i < count; i++)
        largest = fmax(largest, logs[i]);
    if (isinf(largest))
        return largest;
    for (size_t i = 0; i < count; i++)
        sum += weights[i] * exp(logs[i] - largest);
    return largest + log(sum);
}

/* --- no-harm ------------------------------------------------------------------------------- */

static double log_gamma(double x)
{
    int sign;
    return lgamma_r(x, &sign);
}

static double log_beta(double a, double b)
{
    return log_gamma(a) + log_gamma(b) - log_gamma(a + b);
}

struct sequential_prior sequential_prior(double p0)
{
    return (struct sequential_prior){0.5, 1 / p0};
}

/* The part of logM that does not depend on p. */
static double marginal(struct sequential_prior prior, double n, double bad)
{
    return log_beta(prior.a + bad, prior.b + n - bad) - log_beta(prior.a, prior.b);
}

void sequential_limit(double p0, struct sequential_limit *ret)
{
    ret->prior = sequential_prior(p0);
    ret->p0 = p0;
    ret->log_beta = log_beta(ret->prior.a, ret->prior.b);
    ret->log_p = log(p0);
    ret->log_not_p = log1p(-p0);
}

double sequential_limit_log_m(const struct sequential_limit *l, uint64_t n, uint64_t bad)
{
    double sn = (double)n, sb = (double)bad;
    double marginal = log_beta(l->prior.a + sb, l->prior.b + sn - sb) - l->log_beta;
    double of_bad = bad > 0 ? sb * l->log_p : 0;

    return marginal - (of_bad + (n > bad ? (sn - sb) * l->log_not_p : 0));
}

/* bad log p + (n - bad) log(1 - p), where 0 log 0 = 0. */
static double log_likelihood(double n, double bad, double p)
{
    double of_bad = bad > 0 ? bad * log(p) : 0;
    return of_bad + (n > bad ? (n - bad) * log1p(-p) : 0);
}

double sequential_log_m(struct sequential_prior prior, uint64_t n, uint64_t bad, double p)
{
    return marginal(prior, (double)n, (double)bad) - log_likelihood((double)n, (double)bad, p);
}

bool sequential_no_harm(uint64_t n, uint64_t bad, double p0, double beta)
{
    return (double)bad < (double)n * p0 &&
           sequential_log_m(sequential_prior(p0), n, bad, p0) >= log(1 / beta);
}

uint64_t sequential_requests_more(uint64_t n, uint64_t bad, double p0, double beta)
{
    /* Below the limit logM(p0) grows with every good request, so what follows is a bisection
     * between the last count that is known to be too small and the first that is enough. */
    uint64_t few = 0, step = 1;
    if (sequential_no_harm(n, bad, p0, beta))
        return 0;
    double to_limit = ceil((double)bad / p0) - (double)n;
    if (to_limit > 0)
        few = (uint64_t)to_limit;
    while (!sequential_no_harm(n + few + step, bad, p0, beta))
        if ((step *= 2) > REQUESTS_MAX)
            return UINT64_MAX;
    uint64_t enough = few + step;
    few += step / 2;
    while (enough - few > 1) {
        uint64_t middle = few + (enough - few) / 2;
        if (sequential_no_harm(n + middle, bad, p0, beta))
            enough = middle;
        else
            few = middle;
    }
    return enough;
}

/* The end of the interval between `inside` (the observed share) and `outside`. */
static double interval_end(struct sequential_prior prior, uint64_t n, uint64_t bad, double beta,
                           double outside)
{
    double inside = (double)bad / (double)n;
    double limit = marginal(prior, (double)n, (double)bad) - log(1 / beta);
    for (int i = 0; i < BISECTIONS; i++) {
        double middle = (inside + outside) / 2;
        if (log_likelihood((double)n, (double)bad, middle) > limit)
            inside = middle;
        else
            outside = middle;
    }
    return inside;
}

double sequential_lower(struct sequential_prior prior, uint64_t n, uint64_t bad, double beta)
{
    return n == 0 || bad == 0 ? 0 : interval_end(prior, n, bad, beta, 0);
}

double sequential_upper(struct sequential_prior prior, uint64_t n, uint64_t bad, double beta)
{
    return n == 0 || bad == n ? 1 : interval_end(prior, n, bad, beta, 1);
}

/* logM is smallest at the observed share and grows to both sides. */
static bool is_outside(struct sequential_prior prior, uint64_t n, uint64_t bad, double beta,
                       double p)
{
    return log_likelihood((double)n, (double)bad, p) <=
           marginal(prior, (double)n, (double)bad) - log(1 / beta);
}

bool sequential_is_above(struct sequential_prior prior, uint64_t n, uint64_t bad, double beta,
                         double p)
{
    if (n == 0 || bad == 0 || p <= 0)
        return n > 0 && bad > 0;
    return p < (double)bad / (double)n && is_outside(prior, n, bad, beta, p);
}

bool sequential_is_below(struct sequential_prior prior, uint64_t n, uint64_t bad, double beta,
                         double p)
{
    if (n == 0 || bad == n || p >= 1)
        return n > 0 && bad < n;
    return p > (double)bad / (double)n && is_outside(prior, n, bad, beta, p);
}
