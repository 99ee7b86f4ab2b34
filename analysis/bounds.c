/* The bound that no-harm rests on has a prior that leans to small shares; far above them it knows
 * little. One that leans nowhere, at half of beta, bounds what is left: together they miss with
 * probability 2 beta at most. Requests in flight may turn out either way: they count where they
 * widen an interval.
 */
#include "analysis/bounds.h"

#include <math.h>

#include "analysis/sequential.h"

/* The prior of an interval that has no limit of its own: leans to shares below 1/200. */
#define DISPLAY_SHARE (1.0 / 200)

static const struct sequential_prior flat = {.a = 0.5, .b = 0.5};

static struct sequential_prior prior_of(const struct policy_criterion *c)
{
    return sequential_prior(c->test == TEST_MAX ? c->p0 : DISPLAY_SHARE);
}

/* Of the samples, those whose end is known. */
static uint64_t decided(const struct criterion_report *r, enum variant v)
{
    uint64_t good = r->requests[v] - r->bad[v];

    return r->bad[v] + (good > r->pending[v] ? good - r->pending[v] : 0);
}

struct bounds bounds_of(const struct policy *policy, const struct analysis_report *report,
                        size_t criterion, enum variant v)
{
    const struct criterion_report *r = &report->criteria[criterion];
    struct sequential_prior prior = prior_of(&policy->analysis.criteria[criterion]);
    double beta = policy->analysis.max_bad_promotion;
    uint64_t known = decided(r, v);

    return (struct bounds){
        .lower = sequential_lower(flat, r->requests[v], r->bad[v], beta / 2),
        .upper = fmin(sequential_upper(prior, known, r->bad[v], beta),
                      sequential_upper(flat, known, r->bad[v], beta / 2)),
    };
}

uint64_t bounds_requests_more(const struct policy *policy, const struct analysis_report *report,
                              size_t criterion)
{
    const struct criterion_report *r = &report->criteria[criterion];

    if (r->no_harm >= r->no_harm_threshold)
        return 0;
    uint64_t more = sequential_requests_more(decided(r, VARIANT_CANARY), r->bad[VARIANT_CANARY],
                                             policy->analysis.criteria[criterion].p0,
                                             policy->analysis.max_bad_promotion);
    return more > 0 ? more : 1; /* they are there, but not yet in a row */
}

/* Mostly the shares as they were seen tell already: an interval holds its share. */
static bool is_above_stable(const struct policy_criterion *c, double beta,
                            const struct criterion_report *r)
{
    if (r->requests[VARIANT_STABLE] == 0 ||
        r->value[VARIANT_CANARY] <= c->ratio * r->value[VARIANT_STABLE] + c->delta)
        return false;
    /* Nor can stable's upper end be below its share: the end of the canary's interval need not be
     * looked for while that is inside it. */
    if (!sequential_is_above(flat, r->requests[VARIANT_CANARY], r->bad[VARIANT_CANARY], beta / 2,
                             c->ratio * r->value[VARIANT_STABLE] + c->delta))
        return false;
    double lower =
        sequential_lower(flat, r->requests[VARIANT_CANARY], r->bad[VARIANT_CANARY], beta / 2);
    double limit = (lower - c->delta) / c->ratio; /* stable must be below it */
    uint64_t known = decided(r, VARIANT_STABLE), bad = r->bad[VARIANT_STABLE];
    return sequential_is_below(flat, known, bad, beta / 2, limit) ||
           sequential_is_below(prior_of(c), known, bad, beta, limit);
}

bool bounds_are_above_stable(const struct policy_criterion *c, double beta,
                             const struct criterion_report *r)
{
    struct policy_criterion beside = *c;

    beside.ratio = 1;
    beside.delta = 0;
    return r->requests[VARIANT_STABLE] == 0 || is_above_stable(&beside, beta, r);
}

bool bounds_are_beyond(const struct policy_criterion *c, double beta,
                       const struct criterion_report *r)
{
    uint64_t n = r->requests[VARIANT_CANARY], bad = r->bad[VARIANT_CANARY];

    if (n == 0 || bad == 0)
        return false;
    if (c->test == TEST_MAX || r->frozen)
        return sequential_is_above(flat, n, bad, beta / 2, r->frozen ? r->frozen_p0 : c->p0);
    return is_above_stable(c, beta, r);
}
