/* `sluice check --rps`: what a policy demands is a number of requests that does not depend on how
 * fast they come, so that time is that number over the canary's share of the rate. What a healthy
 * canary is, nobody can know: as stable is, when that was said, else a tenth of each limit. */
#include "cli/check_traffic.h"

#include "analysis/sequential.h"
#include "base/clock.h"
#include "cli/check_traffic_parts.h"
#include "cli/promotion.h"
#include "controller/rollout.h"

static const double healthy_share_of_limit = 0.1;

uint32_t traffic_weight_bp(const struct policy *p, size_t step)
{
    uint32_t weight_bp = p->steps[step].weight_bp;

    return weight_bp == WEIGHT_FULL_BP ? weight_bp - p->bake.control_bp : weight_bp;
}

double traffic_healthy_rate(const struct policy_criterion *c, const struct traffic *t)
{
    bool known = t->stable_errors >= 0 && c->metric == METRIC_ERROR_RATE;

    return known ? t->stable_errors : healthy_share_of_limit * c->p0;
}

/* How long `needed` requests take; INT64_MAX beyond a hundred years. */
int64_t traffic_time_for(uint64_t needed, double rps)
{
    double seconds = (double)needed / rps;

    return needed == UINT64_MAX || seconds > 3e9 ? INT64_MAX : (int64_t)(seconds + 1) * NS_PER_SEC;
}

void traffic_step(const struct policy *p, const struct traffic *t, size_t step,
                  struct traffic_step *ret)
{
    double beta = p->analysis.max_bad_promotion;

    *ret = (struct traffic_step){
        .canary_rps = t->rps * traffic_weight_bp(p, step) / WEIGHT_FULL_BP,
        .min_requests = p->steps[step].min_requests,
        .evidence = rollout_needs_evidence(p, (uint32_t)step + 1),
    };
    for (size_t i = 0; i < p->analysis.criteria_count && ret->evidence; i++) {
        const struct policy_criterion *c = &p->analysis.criteria[i];
        if (!c->require_no_harm)
            continue;
        uint64_t p95 = promotion_requests(c->p0, beta, traffic_healthy_rate(c, t), 0.95);
        if (ret->evidence_criterion != NULL && p95 <= ret->evidence_p95)
            continue;
        ret->evidence_p95 = p95;
        ret->evidence_least = sequential_requests_more(0, 0, c->p0, beta);
        ret->evidence_criterion = c->name;
    }
    uint64_t needed = ret->evidence_p95 > ret->min_requests ? ret->evidence_p95 : ret->min_requests;
    int64_t time_ns = traffic_time_for(needed, ret->canary_rps);
    int64_t hold_ns = p->steps[step].hold_ns;
    ret->passes_ns = time_ns > hold_ns ? time_ns : hold_ns;
}
