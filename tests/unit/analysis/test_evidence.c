/* What comes of counts depends on the counts: not on the order in which they became known, not on
 * how many recorders they came from, and not on whether the process was another one in between. */
#include "analysis/analysis.h"

#include <errno.h>
#include <string.h>

#include "base/rng.h"
#include "tests/unit/analysis/policies.h"
#include "tests/unit/analysis/vectors.h"

enum { SECONDS = 260, START_SLOT = 7000, SAVED_MAX = 1 << 24 };

/* One of everything, visits after 10 and 20 s, outages of stable's excused. */
static void policy_of_all(struct test_policy *t)
{
    test_policy_init(t);
    add_error_rate_max(t, 0.01);
    add_error_rate_increase(t, 0.005);
    add_latency_max(t, 0.9, NS_PER_SEC);
    add_criterion(t, (struct policy_criterion){.name = "latency p50 max_ratio",
                                               .metric = METRIC_LATENCY,
                                               .test = TEST_MAX_RATIO,
                                               .quantile = 0.5,
                                               .limit = 1.3,
                                               .ratio = 1,
                                               .delta = 0.02,
                                               .frozen_on_fail = ON_FAIL_PAUSE});
    add_criterion(t, (struct policy_criterion){.name = "outcome max_increase",
                                               .metric = METRIC_OUTCOME,
                                               .test = TEST_MAX_INCREASE,
                                               .on_fail = ON_FAIL_PAUSE,
                                               .frozen_on_fail = ON_FAIL_PAUSE,
                                               .limit = 0.01,
                                               .ratio = 1,
                                               .delta = 0.01});
    add_criterion(t, (struct policy_criterion){.name = "outcome max",
                                               .metric = METRIC_OUTCOME,
                                               .test = TEST_MAX,
                                               .on_fail = ON_FAIL_REPORT,
                                               .limit = 0.05,
                                               .p0 = 0.05});
    t->policy.analysis.on_stable_degraded = DEGRADED_HOLD;
    t->policy.analysis.min_bad_slots = 2;
    t->policy.analysis.confirm_count = 2;
    t->policy.analysis.confirm_ns[0] = 10 * NS_PER_SEC;
    t->policy.analysis.confirm_ns[1] = 20 * NS_PER_SEC;
    t->policy.analysis.hard_down_over_ns = 3 * NS_PER_SEC;
}

/* --- a rollout, as what was served and when the weight changed ------------------------------ */

struct moment {
    uint32_t epoch, weight_bp;
    bool changes; /* of weight, at its beginning */
    enum weight_why why;
    struct slot_counts final[VARIANT_COUNT];
};

struct story {
    struct test_policy policy;
    struct moment at[SECONDS];
};

static void count_request(struct story *s, struct rng *rng, struct slot_counts *n, double trouble)
{
    bool error = rng_below(rng, 1000) < (uint32_t)(1000 * trouble);
    n->dispatched++;
    n->settled++;
    n->errors += error;
    if (rng_below(rng, 40) == 0 && !error) {
        n->excused++;
        for (size_t c = 0; c < s->policy.policy.analysis.criteria_count; c++)
            n->excluded[c]++;
        return;
    }
    n->bad[0] += error;
    n->bad[1] += error;
    for (size_t c = 2; c < 6; c++) {
        static const uint32_t share[] = {0, 0, 50, 480, 20, 20};
        if (error && c < 4)
            n->excluded[c]++;
        else
            n->bad[c] += rng_below(rng, 1000) < share[c] + (uint32_t)(500 * trouble);
    }
}

static void tell(struct story *s, struct rng *rng, const struct moment *pattern, size_t count)
{
    struct moment now = {.epoch = 1};
    double trouble = 0;
    policy_of_all(&s->policy);
    for (size_t i = 0; i < SECONDS; i++) {
        now.changes = i % (SECONDS / count) == 0 && i / (SECONDS / count) < count;
        if (now.changes) {
            now.weight_bp = pattern[i / (SECONDS / count)].weight_bp;
            now.why = pattern[i / (SECONDS / count)].why;
            now.epoch += i > 0;
        }
        if (rng_below(rng, 30) == 0)
            trouble = rng_below(rng, 3) == 0 ? 0.3 : 0.01;
        s->at[i] = now;
        for (uint32_t k = rng_below(rng, 60); k > 0; k--) {
            enum variant v =
                rng_below(rng, 10000) < now.weight_bp ? VARIANT_CANARY : VARIANT_STABLE;
            count_request(s, rng, &s->at[i].final[v], v == VARIANT_CANARY ? trouble : 0.008);
        }
    }
}

/* Retreats and comes back; with everything on the canary in the end, or without. */
static const struct moment with_full[] = {
    {.weight_bp = 1000, .why = WEIGHT_STEP},  {.weight_bp = 0, .why = WEIGHT_GOES_ON},
    {.weight_bp = 1000, .why = WEIGHT_PROBE}, {.weight_bp = 2500, .why = WEIGHT_STEP},
    {.weight_bp = 10000, .why = WEIGHT_STEP}, {.weight_bp = 0, .why = WEIGHT_GOES_ON},
    {.weight_bp = 1000, .why = WEIGHT_PROBE}, {.weight_bp = 10000, .why = WEIGHT_GOES_ON},
    {.weight_bp = 10000, .why = WEIGHT_BAKE}};
static const struct moment without_full[] = {
    {.weight_bp = 1000, .why = WEIGHT_STEP},  {.weight_bp = 0, .why = WEIGHT_GOES_ON},
    {.weight_bp = 1000, .why = WEIGHT_PROBE}, {.weight_bp = 2500, .why = WEIGHT_STEP},
    {.weight_bp = 5000, .why = WEIGHT_STEP},  {.weight_bp = 0, .why = WEIGHT_GOES_ON},
    {.weight_bp = 1000, .why = WEIGHT_PROBE}};

static int64_t time_of(size_t second)
{
    return (START_SLOT + (int64_t)second) * NS_PER_SEC;
}

static void begin_moment(struct analysis *a, const struct moment *m, size_t second)
{
    static const struct probe probe = {.criterion = 0, .p1 = 0.05, .z = 0.01};
    if (!m->changes)
        return;
    if (m->why == WEIGHT_PROBE)
        analysis_probe(a, &probe);
    analysis_weight(a, m->epoch, m->weight_bp, m->why, time_of(second));
}

static void add_counts(struct slot_counts *to, const struct slot_counts *more)
{
    to->dispatched += more->dispatched;
    to->settled += more->settled;
    to->errors += more->errors;
    to->excused += more->excused;
    for (size_t c = 0; c < CRITERIA_MAX; c++) {
        to->bad[c] += more->bad[c];
        to->excluded[c] += more->excluded[c];
    }
}

static struct slot_delta *delta_of(const struct story *s, struct observation *o, size_t second)
{
    return observation_at(o, s->at[second].epoch, START_SLOT + (int64_t)second);
}

static void observe_whole(const struct story *s, struct analysis *a, size_t second)
{
    struct observation o;
    observation_init(&o);
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        add_counts(&delta_of(s, &o, second)->variants[v], &s->at[second].final[v]);
    analysis_observe(a, &o, time_of(second));
    observation_deinit(&o);
}

static void run_prompt(const struct story *s, struct analysis *a, struct analysis_report *ret)
{
    for (size_t i = 0; i < SECONDS; i++) {
        begin_moment(a, &s->at[i], i);
        observe_whole(s, a, i);
    }
    analysis_report(a, ret);
}

static void assert_same_evidence(const struct analysis_report *x, const struct analysis_report *y)
{
    assert_memory_equal(&x->log_e, &y->log_e, sizeof x->log_e);
    assert_memory_equal(&x->wide.log_e, &y->wide.log_e, sizeof x->wide.log_e);
    assert_memory_equal(&x->pause_log_e, &y->pause_log_e, sizeof x->pause_log_e);
    assert_int_equal(x->step_requests, y->step_requests);
    assert_int_equal(x->hard_down, y->hard_down);
    assert_int_equal(x->trip.requests, y->trip.requests);
    assert_int_equal(x->trip.bad, y->trip.bad);
    assert_memory_equal(&x->probe.log_ratio, &y->probe.log_ratio, sizeof x->probe.log_ratio);
    for (size_t c = 0; c < x->count; c++) {
        const struct criterion_report *p = &x->criteria[c], *q = &y->criteria[c];
        assert_memory_equal(&p->log_e, &q->log_e, sizeof p->log_e);
        assert_memory_equal(&p->wide_log_e, &q->wide_log_e, sizeof p->wide_log_e);
        assert_memory_equal(p->requests, q->requests, sizeof p->requests);
        assert_memory_equal(p->bad, q->bad, sizeof p->bad);
        assert_memory_equal(p->pending, q->pending, sizeof p->pending);
        assert_true(p->no_harm <= q->no_harm); /* late ones know of more prefixes */
    }
}

/* --- late, in portions, in any order -------------------------------------------------------- */

/* What of a count is told now, of what is not told yet. */
static uint32_t portion(struct rng *rng, uint32_t left, bool all)
{
    return all ? left : rng_below(rng, left + 1);
}

static void tell_portion(const struct story *s, struct rng *rng, struct observation *o,
                         size_t second, struct slot_counts *told, enum variant v, bool all)
{
    const struct slot_counts *final = &s->at[second].final[v];
    struct slot_counts more = {0};
    more.settled = portion(rng, final->settled - told->settled, all);
    all = all || told->settled + more.settled == final->settled; /* a slot ends with all known */
    more.errors = portion(rng, final->errors - told->errors, all);
    more.excused = portion(rng, final->excused - told->excused, all);
    for (size_t c = 0; c < 6; c++) {
        more.bad[c] = portion(rng, final->bad[c] - told->bad[c], all);
        more.excluded[c] = portion(rng, final->excluded[c] - told->excluded[c], all);
    }
    add_counts(&delta_of(s, o, second)->variants[v], &more);
    add_counts(told, &more);
}

static void run_late(const struct story *s, struct rng *rng, struct analysis *a,
                     struct analysis_report *ret)
{
    static struct slot_counts told[SECONDS][VARIANT_COUNT];
    struct observation o;
    memset(told, 0, sizeof told);
    observation_init(&o);
    for (size_t i = 0; i < SECONDS + 5; i++) {
        size_t now = i < SECONDS ? i : SECONDS - 1;
        if (i < SECONDS) {
            begin_moment(a, &s->at[i], i);
            for (size_t v = 0; v < VARIANT_COUNT; v++)
                delta_of(s, &o, i)->variants[v].dispatched = s->at[i].final[v].dispatched;
        }
        for (size_t k = now < 80 ? 0 : now - 80; k <= now; k++)
            for (size_t v = 0; v < VARIANT_COUNT; v++)
                if (i >= SECONDS || k + 80 == now || rng_below(rng, 10) == 0)
                    tell_portion(s, rng, &o, k, &told[k][v], v, i >= SECONDS || k + 80 == now);
        analysis_observe(a, &o, time_of(now));
        observation_clear(&o);
        if (rng_below(rng, 3) == 0)
            analysis_report(a, ret); /* looking changes nothing */
    }
    analysis_report(a, ret);
    observation_deinit(&o);
}

static void test_late_outcomes_in_any_order(void **state)
{
    static struct story s;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 1);
    for (int round = 0; round < 40; round++) {
        struct analysis_report prompt, late;
        tell(&s, &rng, without_full, sizeof without_full / sizeof without_full[0]);
        struct analysis *a = analysis_new(&s.policy.policy), *b = analysis_new(&s.policy.policy);
        run_prompt(&s, a, &prompt);
        run_late(&s, &rng, b, &late);
        assert_same_evidence(&prompt, &late);
        analysis_free(a);
        analysis_free(b);
    }
}

/* --- several recorders ---------------------------------------------------------------------- */

/* Each tells of its own requests, one after the other. */
static void observe_split(const struct story *s, struct rng *rng, struct analysis *a, size_t second)
{
    struct observation o;
    struct slot_counts told[VARIANT_COUNT] = {0};
    observation_init(&o);
    for (int part = 0; part < 3; part++) {
        for (size_t v = 0; v < VARIANT_COUNT; v++) {
            struct slot_counts *n = &delta_of(s, &o, second)->variants[v];
            uint32_t left = s->at[second].final[v].dispatched - told[v].dispatched;
            uint32_t more = portion(rng, left, part == 2);
            n->dispatched = more;
            told[v].dispatched += more;
            tell_portion(s, rng, &o, second, &told[v], v, part == 2);
        }
        analysis_observe(a, &o, time_of(second));
        observation_clear(&o);
    }
    observation_deinit(&o);
}

static void test_split_over_recorders(void **state)
{
    static struct story s;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 2);
    for (int round = 0; round < 40; round++) {
        struct analysis_report one, three;
        tell(&s, &rng, with_full, sizeof with_full / sizeof with_full[0]);
        struct analysis *a = analysis_new(&s.policy.policy), *b = analysis_new(&s.policy.policy);
        run_prompt(&s, a, &one);
        for (size_t i = 0; i < SECONDS; i++) {
            begin_moment(b, &s.at[i], i);
            observe_split(&s, &rng, b, i);
        }
        analysis_report(b, &three);
        assert_same_evidence(&one, &three);
        for (size_t c = 0; c < one.count; c++)
            assert_true(one.criteria[c].frozen_p0 == three.criteria[c].frozen_p0);
        assert_int_equal(one.placebo.bursts, three.placebo.bursts);
        analysis_free(a);
        analysis_free(b);
    }
}

/* --- saved and loaded ----------------------------------------------------------------------- */

static struct analysis *moved(const struct analysis *a, const struct policy *p)
{
    struct strbuf bytes, again;
    struct error error;
    struct analysis *b = analysis_new(p);
    strbuf_init(&bytes, SAVED_MAX);
    strbuf_init(&again, SAVED_MAX);
    assert_int_equal(analysis_save(a, &bytes), 0);
    assert_int_equal(analysis_load(b, strbuf_str(&bytes), &error), 0);
    assert_int_equal(analysis_save(b, &again), 0);
    assert_int_equal(again.len, bytes.len);
    assert_memory_equal(again.ptr, bytes.ptr, bytes.len);
    strbuf_deinit(&bytes);
    strbuf_deinit(&again);
    return b;
}

static void test_loaded_it_goes_on_to_the_bit(void **state)
{
    static struct story s;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 3);
    for (int round = 0; round < 30; round++) {
        struct analysis_report stayed, went;
        tell(&s, &rng, with_full, sizeof with_full / sizeof with_full[0]);
        struct analysis *a = analysis_new(&s.policy.policy);
        struct analysis *b = analysis_new(&s.policy.policy);
        for (size_t i = 0; i < SECONDS; i++) {
            begin_moment(a, &s.at[i], i);
            begin_moment(b, &s.at[i], i);
            observe_whole(&s, a, i);
            observe_whole(&s, b, i);
            if (rng_below(&rng, 25) == 0) {
                struct analysis *old = b;
                b = moved(old, &s.policy.policy);
                analysis_free(old);
            }
            analysis_report(a, &stayed);
            analysis_report(b, &went);
            assert_memory_equal(&stayed, &went, sizeof stayed);
        }
        analysis_free(a);
        analysis_free(b);
    }
}

static void test_saved_is_small(void **state)
{
    static struct story s;
    struct analysis_report report;
    struct strbuf bytes;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 4);
    tell(&s, &rng, without_full, sizeof without_full / sizeof without_full[0]);
    struct analysis *a = analysis_new(&s.policy.policy);
    run_prompt(&s, a, &report);
    strbuf_init(&bytes, SAVED_MAX);
    assert_int_equal(analysis_save(a, &bytes), 0);
    assert_true(bytes.len < 8192);
    strbuf_deinit(&bytes);
    strbuf_init(&bytes, 100);
    assert_int_equal(analysis_save(a, &bytes), -ENOBUFS);
    strbuf_deinit(&bytes);
    analysis_free(a);
}

/* Damaged, it is refused or is some other evidence; the process goes on. */
static void test_damaged_bytes(void **state)
{
    static struct story s;
    struct analysis_report report;
    struct strbuf bytes;
    struct error error;
    struct rng rng;
    int refused = 0;
    (void)state;
    rng_seed(&rng, 5);
    tell(&s, &rng, with_full, sizeof with_full / sizeof with_full[0]);
    struct analysis *a = analysis_new(&s.policy.policy);
    for (size_t i = 0; i < SECONDS / 2; i++) {
        begin_moment(a, &s.at[i], i);
        observe_whole(&s, a, i);
    }
    strbuf_init(&bytes, SAVED_MAX);
    assert_int_equal(analysis_save(a, &bytes), 0);
    struct analysis *b = analysis_new(&s.policy.policy);
    for (int i = 0; i < 4000; i++) {
        char *copy = malloc(bytes.len);
        size_t len = i < 1000 ? rng_below(&rng, (uint32_t)bytes.len) : bytes.len;
        memcpy(copy, bytes.ptr, bytes.len);
        for (int k = 0; len == bytes.len && k < 1 + i % 3; k++)
            copy[rng_below(&rng, (uint32_t)len)] = (char)rng_below(&rng, 256);
        int rc = analysis_load(b, (struct str){copy, len}, &error);
        assert_true(rc == 0 || rc == -EINVAL);
        refused += rc != 0;
        if (rc != 0)
            analysis_weight(b, 900, 1000, WEIGHT_STEP, time_of(SECONDS));
        observe_whole(&s, b, SECONDS - 1);
        analysis_report(b, &report);
        free(copy);
    }
    assert_true(refused > 1500);
    strbuf_deinit(&bytes);
    analysis_free(a);
    analysis_free(b);
}

static void test_another_policys_bytes(void **state)
{
    static struct story s;
    struct test_policy other;
    struct strbuf bytes;
    struct error error;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 6);
    tell(&s, &rng, with_full, sizeof with_full / sizeof with_full[0]);
    policy_of_all(&other);
    other.criteria[1].delta = 0.006;
    struct analysis *a = analysis_new(&s.policy.policy), *b = analysis_new(&other.policy);
    strbuf_init(&bytes, SAVED_MAX);
    assert_int_equal(analysis_save(a, &bytes), 0);
    assert_int_equal(analysis_load(b, strbuf_str(&bytes), &error), -EINVAL);
    assert_non_null(strstr(error.message, "policy"));
    strbuf_deinit(&bytes);
    analysis_free(a);
    analysis_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_late_outcomes_in_any_order),
        cmocka_unit_test(test_split_over_recorders),
        cmocka_unit_test(test_loaded_it_goes_on_to_the_bit),
        cmocka_unit_test(test_saved_is_small),
        cmocka_unit_test(test_damaged_bytes),
        cmocka_unit_test(test_another_policys_bytes),
    };
    return cmocka_run_group_tests_name("evidence", tests, NULL, NULL);
}
