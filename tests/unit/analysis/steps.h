/* A rollout in slots of a second, for tests of what its evidence says. */
#ifndef TESTS_UNIT_ANALYSIS_STEPS_H
#define TESTS_UNIT_ANALYSIS_STEPS_H

#include "analysis/analysis.h"
#include "tests/unit/analysis/policies.h"

struct steps {
    struct test_policy policy;
    struct analysis *a;
    struct observation news;
    struct analysis_report report;
    int64_t slot;
    uint32_t epoch;
};

/* m = 2, visits after 30 s and 2 min, no criteria yet. */
static inline void steps_init(struct steps *f)
{
    memset(f, 0, sizeof *f);
    test_policy_init(&f->policy);
    f->policy.policy.analysis.min_bad_slots = 2;
    f->policy.policy.analysis.confirm_count = 2;
    f->policy.policy.analysis.confirm_ns[0] = 30 * NS_PER_SEC;
    f->policy.policy.analysis.confirm_ns[1] = 2 * NS_PER_MIN;
    f->slot = 9000;
    observation_init(&f->news);
}

static inline void steps_deinit(struct steps *f)
{
    analysis_free(f->a);
    observation_deinit(&f->news);
}

static inline void steps_weight(struct steps *f, uint32_t weight_bp, enum weight_why why)
{
    if (f->a == NULL)
        f->a = analysis_new(&f->policy.policy);
    if (why == WEIGHT_PROBE)
        analysis_probe(f->a, &f->report.probe_next);
    analysis_weight(f->a, ++f->epoch, weight_bp, why, f->slot * NS_PER_SEC);
}

static inline const struct analysis_report *steps_look(struct steps *f)
{
    analysis_observe(f->a, &f->news, f->slot * NS_PER_SEC);
    observation_clear(&f->news);
    analysis_report(f->a, &f->report);
    return &f->report;
}

static inline void steps_serve(struct steps *f, enum variant v, uint32_t n, uint32_t bad)
{
    struct slot_counts *c = &observation_at(&f->news, f->epoch, f->slot)->variants[v];
    c->dispatched += n;
    c->settled += n;
    c->errors += bad;
    for (size_t i = 0; i < f->policy.policy.analysis.criteria_count; i++)
        if (f->policy.criteria[i].metric == METRIC_ERROR_RATE)
            c->bad[i] += bad;
}

/* One slot of traffic, all of it over, and a look at its end. */
static inline const struct analysis_report *steps_second(struct steps *f, uint32_t canary,
                                                         uint32_t canary_bad, uint32_t stable,
                                                         uint32_t stable_bad)
{
    steps_serve(f, VARIANT_CANARY, canary, canary_bad);
    steps_serve(f, VARIANT_STABLE, stable, stable_bad);
    steps_look(f);
    f->slot++;
    return &f->report;
}

#endif
