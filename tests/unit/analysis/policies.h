/* Policies made by hand, for tests that need one without its text. */
#ifndef TESTS_UNIT_ANALYSIS_POLICIES_H
#define TESTS_UNIT_ANALYSIS_POLICIES_H

#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "policies/policy.h"
#include "policies/policy_set.h"

struct test_policy {
    struct policy policy;
    struct policy_step steps[STEPS_MAX];
    struct policy_criterion criteria[CRITERIA_MAX];
    struct policy_endpoint endpoints[2];
    const struct policy *list[1];
    struct policy_set set;
};

/* Each criterion counts alike. */
static inline void share_evidence(struct test_policy *t)
{
    for (size_t i = 0; i < t->policy.analysis.criteria_count; i++)
        t->criteria[i].weight = 1 / (double)t->policy.analysis.criteria_count;
}

static inline void add_criterion(struct test_policy *t, struct policy_criterion c)
{
    c.require_no_harm = c.test == TEST_MAX;
    t->criteria[t->policy.analysis.criteria_count++] = c;
    share_evidence(t);
}

static inline void add_error_rate_max(struct test_policy *t, double limit)
{
    add_criterion(t, (struct policy_criterion){.name = "error_rate max",
                                               .metric = METRIC_ERROR_RATE,
                                               .test = TEST_MAX,
                                               .limit = limit,
                                               .p0 = limit});
}

static inline void add_error_rate_increase(struct test_policy *t, double increase)
{
    add_criterion(t, (struct policy_criterion){.name = "error_rate max_increase",
                                               .metric = METRIC_ERROR_RATE,
                                               .test = TEST_MAX_INCREASE,
                                               .limit = increase,
                                               .ratio = 1,
                                               .delta = increase});
}

static inline void add_latency_max(struct test_policy *t, double quantile, int64_t limit_ns)
{
    add_criterion(t, (struct policy_criterion){.name = "latency max",
                                               .metric = METRIC_LATENCY,
                                               .test = TEST_MAX,
                                               .quantile = quantile,
                                               .limit = (double)limit_ns / (double)NS_PER_SEC,
                                               .limit_ns = limit_ns,
                                               .p0 = 1 - quantile});
}

/* 10/25/50/100 with 10 minutes each, slots of a second, no criteria yet. */
static inline void test_policy_init(struct test_policy *t)
{
    static const uint32_t weights[] = {1000, 2500, 5000, 10000};
    *t = (struct test_policy){0};
    for (size_t i = 0; i < 4; i++)
        t->steps[i] = (struct policy_step){
            .weight_bp = weights[i], .hold_ns = 10 * NS_PER_MIN, .min_requests = 1};
    t->policy = (struct policy){
        .name = "chat",
        .versions = {{"v1", t->endpoints, 2, {0}}, {"v2", t->endpoints, 2, {0}}},
        .steps = t->steps,
        .step_count = 4,
        .analysis = {.max_false_revert = 0.001,
                     .error_kinds = outcome_errors,
                     .max_bad_promotion = 0.05,
                     .slot_ns = NS_PER_SEC,
                     .min_bad_slots = 3,
                     .hard_down_failures = 20,
                     .hard_down_over_ns = 10 * NS_PER_SEC,
                     .on_stable_degraded = DEGRADED_JUDGE,
                     .criteria = t->criteria},
        .upstream = {.total_timeout_ns = 15 * NS_PER_MIN},
    };
    t->list[0] = &t->policy;
    t->set = (struct policy_set){.policies = t->list, .count = 1, .references = 1};
}

#endif
