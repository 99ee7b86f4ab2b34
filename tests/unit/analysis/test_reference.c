/* Limits that follow stable, and buckets learned from it. */
#include "analysis/reference.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/rng.h"
#include "tests/unit/analysis/policies.h"
#include "tests/unit/analysis/vectors.h"

static const double quantiles[] = {0.5, 0.9, 0.99};

static void add_ratio(struct test_policy *t, double quantile, double ratio, uint32_t group)
{
    add_criterion(t, (struct policy_criterion){.metric = METRIC_LATENCY,
                                               .test = TEST_MAX_RATIO,
                                               .group = group,
                                               .quantile = quantile,
                                               .limit = ratio,
                                               .ratio = 1,
                                               .delta = 0.002});
}

/* --- limits --- */

struct world {
    struct test_policy t;
    struct reference *r;
    struct histogram h; /* stable's */
    int64_t now_ns;
    int asked;
};

/* An error rate first, then p50, p90 and p99 of one limit. */
static void begin(struct world *w)
{
    memset(w, 0, sizeof *w);
    test_policy_init(&w->t);
    add_error_rate_max(&w->t, 0.01);
    for (int i = 0; i < 3; i++)
        add_ratio(&w->t, quantiles[i], 1.3, 1);
    w->r = reference_new(&w->t.policy);
    w->now_ns = 77 * NS_PER_SEC;
}

static void histogram(void *ctx, size_t criterion, struct histogram_view *ret)
{
    struct world *w = ctx;

    assert_int_equal(criterion, 1);
    w->asked++;
    *ret = (struct histogram_view){0};
    histogram_merge(ret, &w->h);
}

static bool look(struct world *w)
{
    return reference_look(w->r, w->now_ns, false, histogram, w);
}

/* Ten seconds in which stable answers so many requests. */
static bool pass(struct world *w, int requests, int64_t us)
{
    for (int i = 0; i < requests; i++)
        histogram_add(&w->h, us * NS_PER_US);
    w->now_ns += REFERENCE_EVERY_S * NS_PER_SEC;
    return look(w);
}

static int64_t stable_ns(const struct world *w, size_t criterion)
{
    return reference_limits(w->r)->stable_ns[criterion];
}

static int64_t canary_ns(const struct world *w, size_t criterion)
{
    return reference_limits(w->r)->canary_ns[criterion];
}

static void test_nothing_for_who_needs_nothing(void **state)
{
    struct test_policy t;
    (void)state;
    test_policy_init(&t);
    add_error_rate_max(&t, 0.01);
    add_error_rate_increase(&t, 0.005);
    add_latency_max(&t, 0.99, NS_PER_SEC);
    assert_null(reference_new(&t.policy));
    reference_free(NULL);
}

/* A time is bad exactly when its bucket is above the bucket of the quantile, or for the canary
 * above the bucket of the ratio times that. */
static void test_limits_are_edges_of_buckets(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *section = vectors_open(&v, "vectors2.json", "log_linear_histogram");
    (void)state;
    json_array_foreach(json_object_get(section, "ratio_1_3"), i, row)
    {
        struct world w;
        uint64_t upper_us = count_of(row, "u_upper");
        begin(&w);
        look(&w);
        assert_true(pass(&w, 1000, (int64_t)upper_us - 1));
        for (size_t c = 1; c <= 3; c++) {
            compare(&v, (double)(stable_ns(&w, c) + 1) / NS_PER_US, (double)upper_us, "u");
            uint32_t threshold = (uint32_t)count_of(row, "threshold_bucket");
            uint64_t at = (uint64_t)(canary_ns(&w, c) / NS_PER_US);
            compare(&v, histogram_bucket(at), threshold, "last below");
            compare(&v, histogram_bucket(at + 1), threshold + 1, "first above");
        }
        assert_int_equal(stable_ns(&w, 0), -1); /* follows nothing */
        reference_free(w.r);
    }
    vectors_close(&v, "log_linear_histogram");
}

/* Stable's last answers are its slow ones, or so few that their median is anything: with nobody
 * beside it the canary is held to what stable did while it served. */
static void test_limits_stay_when_the_canary_is_alone(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look(&w);
    for (int i = 0; i < 6; i++)
        assert_int_equal(pass(&w, 500, 1000), i == 0);
    int64_t served_ns = stable_ns(&w, 1);
    w.now_ns += NS_PER_SEC;
    assert_false(reference_look(w.r, w.now_ns, true, histogram, &w)); /* as they were */
    assert_int_equal(stable_ns(&w, 1), served_ns);
    for (int i = 0; i < 10; i++) {
        histogram_add(&w.h, 100 * NS_PER_US);
        w.now_ns += REFERENCE_EVERY_S * NS_PER_SEC;
        assert_false(reference_look(w.r, w.now_ns, true, histogram, &w));
    }
    assert_int_equal(stable_ns(&w, 1), served_ns);
    reference_free(w.r);
}

/* Half of stable's answers take 1 ms and half 2 ms: of 40 the true median is not known that well.
 */
static void test_the_last_limits_allow_for_what_is_not_known(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look(&w);
    for (int i = 0; i < 21; i++)
        histogram_add(&w.h, NS_PER_MS);
    for (int i = 0; i < 19; i++)
        histogram_add(&w.h, 2 * NS_PER_MS);
    w.now_ns += REFERENCE_EVERY_S * NS_PER_SEC;
    assert_true(look(&w));
    assert_true(stable_ns(&w, 1) < 1100 * NS_PER_US);
    w.now_ns += NS_PER_SEC;
    assert_true(reference_look(w.r, w.now_ns, true, histogram, &w));
    assert_true(stable_ns(&w, 1) > 1900 * NS_PER_US);
    assert_int_equal(stable_ns(&w, 3), -1); /* a p99 of 40 is nothing */
    reference_free(w.r);
}

/* Of tenths of a millisecond the ratio is noise: the slack counts where it is more. */
static void test_within_the_slack_nothing_is_too_slow(void **state)
{
    static const struct {
        int64_t slack_ns, time_us; /* stable's times; the canary's limit is then */
        bool of_slack;
    } rows[] = {
        {5 * NS_PER_MS, 300, true},
        {5 * NS_PER_MS, 10000, true},
        {5 * NS_PER_MS, 20000, false},
        {0, 300, false},
    };
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct world w;
        begin(&w);
        for (size_t c = 1; c <= 3; c++)
            w.t.criteria[c].slack_ns = rows[i].slack_ns;
        look(&w);
        assert_true(pass(&w, 1000, rows[i].time_us));
        for (size_t c = 1; c <= 3; c++) {
            int64_t above_ns = canary_ns(&w, c) - stable_ns(&w, c);
            if (rows[i].of_slack)
                assert_int_equal(above_ns, rows[i].slack_ns);
            else
                assert_in_range(above_ns, stable_ns(&w, c) * 29 / 100, stable_ns(&w, c) * 31 / 100);
        }
        reference_free(w.r);
    }
}

static void test_it_looks_every_ten_seconds(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    assert_int_equal(stable_ns(&w, 1), -1);
    for (int i = 0; i <= 300; i++, w.now_ns += NS_PER_SEC / 10)
        assert_false(look(&w));
    assert_int_equal(w.asked, 4); /* once for all three quantiles, at 0, 10, 20, 30 s */
    assert_int_equal(stable_ns(&w, 1), -1);
    reference_free(w.r);
}

/* What was there before anybody looked is not known to be of now. */
static void test_only_what_came_while_it_watched(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    for (int i = 0; i < 1000; i++)
        histogram_add(&w.h, NS_PER_SEC);
    look(&w);
    assert_false(pass(&w, 3, 1000));
    assert_true(pass(&w, 1, 1000));
    assert_in_range(stable_ns(&w, 1), 1000 * NS_PER_US, 1010 * NS_PER_US);
    reference_free(w.r);
}

/* Two samples beyond the quantile: 4, 20 and 200. */
static void test_each_quantile_waits_for_its_samples(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look(&w);
    static const struct {
        int requests, known;
    } steps[] = {{3, 0}, {1, 1}, {15, 1}, {1, 2}, {179, 2}, {1, 3}};
    for (size_t i = 0; i < sizeof steps / sizeof steps[0]; i++) {
        pass(&w, steps[i].requests, 50000);
        for (int c = 0; c < 3; c++)
            assert_int_equal(stable_ns(&w, (size_t)c + 1) >= 0, c < steps[i].known);
    }
    reference_free(w.r);
}

/* A minute where there is as much: a slow-down is in the median when it is half of the minute. */
static void test_the_last_minute_where_it_suffices(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look(&w);
    for (int i = 0; i < 60; i++)
        pass(&w, 1000, 10000);
    for (int i = 1; i <= 6; i++) {
        pass(&w, 1000, 40000);
        assert_int_equal(stable_ns(&w, 1) > 30000 * NS_PER_US, i > 3);
        assert_true(stable_ns(&w, 3) > 30000 * NS_PER_US);
    }
    pass(&w, 0, 0);
    pass(&w, 0, 0);
    assert_true(stable_ns(&w, 1) > 30000 * NS_PER_US);
    reference_free(w.r);
}

/* Few requests: the time reaches back until there are enough, and no farther than ten minutes. */
static void test_it_reaches_back_for_samples(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look(&w);
    for (int i = 0; i < 10; i++)
        pass(&w, 1, 90000);
    for (int i = 0; i < 49; i++) /* p99 wants 200: 196 at 20 ms, and 4 of those at 90 ms */
        pass(&w, 4, 20000);
    assert_true(stable_ns(&w, 3) > 80000 * NS_PER_US);
    assert_true(stable_ns(&w, 2) < 30000 * NS_PER_US); /* p90 has 24 in the last minute */
    pass(&w, 4, 20000);
    assert_true(stable_ns(&w, 3) < 30000 * NS_PER_US);
    reference_free(w.r);
}

/* At 100 % stable is silent; over night it has too few for a p99. */
static void test_the_last_limits_stay(void **state)
{
    struct world w;
    (void)state;
    begin(&w);
    look(&w);
    pass(&w, 500, 30000);
    const struct moving_limits before = *reference_limits(w.r);
    for (int i = 0; i < 200; i++)
        assert_false(pass(&w, 0, 0));
    assert_memory_equal(&before, reference_limits(w.r), sizeof before);
    for (int i = 0; i < 200; i++)
        pass(&w, 1, 70000);
    assert_true(stable_ns(&w, 1) > 60000 * NS_PER_US);
    assert_int_equal(stable_ns(&w, 3), before.stable_ns[3]);
    reference_free(w.r);
}

static void of_each_limit(void *ctx, size_t criterion, struct histogram_view *ret)
{
    struct world *w = ctx;

    *ret = (struct histogram_view){0};
    if (w->asked++ >= 2) /* the second look */
        ret->total = ret->counts[criterion == 0 ? 70 : 90] = 100;
}

/* Two items of the policy may look at other requests, or other times. */
static void test_two_limits_watch_apart(void **state)
{
    struct world w;
    (void)state;
    memset(&w, 0, sizeof w);
    test_policy_init(&w.t);
    add_ratio(&w.t, 0.5, 1.3, 0);
    add_ratio(&w.t, 0.5, 2, 1);
    w.r = reference_new(&w.t.policy);
    assert_false(reference_look(w.r, 0, false, of_each_limit, &w));
    assert_true(reference_look(w.r, 10 * NS_PER_SEC, false, of_each_limit, &w));
    assert_int_equal(w.asked, 4);
    assert_int_equal(stable_ns(&w, 0), 71 * NS_PER_US - 1);
    assert_int_equal(stable_ns(&w, 1), 91 * NS_PER_US - 1);
    assert_int_equal(canary_ns(&w, 0), 93 * NS_PER_US - 1); /* 92.3 us, and the end of its bucket */
    assert_int_equal(canary_ns(&w, 1), 183 * NS_PER_US - 1);
    assert_int_equal(canary_ns(&w, 2), -1);
    reference_free(w.r);
}

/* The exact quantile of any span, over an hour of any traffic: dropping what is old loses nothing
 * that a later look would have wanted. */
static void test_as_if_all_were_kept(void **state)
{
    enum { LOOKS = 360 };
    static struct histogram_view at[LOOKS + 1];
    struct world w;
    struct rng rng;
    (void)state;
    begin(&w);
    rng_seed(&rng, 12);
    look(&w);
    memset(at, 0, sizeof at);
    for (int i = 1; i <= LOOKS; i++) {
        struct moving_limits before = *reference_limits(w.r);
        static const int rates[] = {0, 1, 3, 40, 400};
        int requests = rates[rng_below(&rng, 5)] * (i / 60 % 2);
        for (int j = 0; j < requests; j++)
            histogram_add(&w.h, (int64_t)(exp(rng_normal(&rng)) * 2e7));
        pass(&w, 0, 0);
        histogram_merge(&at[i], &w.h);
        for (size_t c = 1; c <= 3; c++) {
            int64_t want = before.stable_ns[c];
            for (int from = i - 1; from >= 0 && from >= i - 60; from--) {
                static struct histogram_view span;
                span = at[i];
                histogram_subtract(&span, &at[from]);
                if ((i - from < 6 && from > 0) ||
                    (double)span.total < 2 / (1 - quantiles[c - 1]) - 1e-6)
                    continue;
                want = histogram_quantile_ns(&span, quantiles[c - 1]) - 1;
                break;
            }
            assert_int_equal(stable_ns(&w, c), want);
        }
    }
    reference_free(w.r);
}

/* --- buckets --- */

struct learner {
    struct test_policy t;
    struct reference *r;
    struct observation o;
};

static void learner_begin(struct learner *l)
{
    memset(l, 0, sizeof *l);
    test_policy_init(&l->t);
    add_error_rate_max(&l->t, 0.01);
    add_criterion(&l->t, (struct policy_criterion){.metric = METRIC_DRIFT, .test = TEST_SHIFT});
    l->r = reference_new(&l->t.policy);
    observation_init(&l->o);
}

static void learner_end(struct learner *l)
{
    reference_free(l->r);
    observation_deinit(&l->o);
}

static void value(struct learner *l, enum variant v, enum value_kind kind, double number,
                  uint64_t category)
{
    reference_value(l->r,
                    &(struct shift_value){.epoch = 3,
                                          .criterion = 1,
                                          .variant = (uint8_t)v,
                                          .kind = (uint8_t)kind,
                                          .number = number,
                                          .category = category},
                    &l->o);
}

static void number_of(struct learner *l, enum variant v, double number)
{
    value(l, v, VALUE_NUMBER, number, 0);
}

/* The bucket that one value of the canary is counted into. */
static uint32_t bucket(struct learner *l, enum value_kind kind, double number, uint64_t category)
{
    observation_clear(&l->o);
    value(l, VARIANT_CANARY, kind, number, category);
    const struct shift_delta *d = observation_shift_at(&l->o, 3, 1);
    for (uint32_t i = 0; i < SHIFT_BUCKETS; i++)
        if (d->counts[VARIANT_CANARY][i] > 0)
            return i;
    return UINT32_MAX;
}

/* Deciles of what stable answered last, from when the canary's first answer came. */
static void test_deciles_of_stable(void **state)
{
    struct learner l;
    (void)state;
    learner_begin(&l);
    for (int i = 0; i < 5000; i++)
        number_of(&l, VARIANT_STABLE, -1000); /* long ago */
    for (int i = 1; i <= 1000; i++)
        number_of(&l, VARIANT_STABLE, (i * 8) % 1001);
    const struct shift_delta *d = observation_shift_at(&l.o, 3, 1);
    assert_int_equal(d->looked[VARIANT_STABLE], 6000);
    assert_int_equal(d->found[VARIANT_STABLE], 6000);
    assert_int_equal(d->buckets_id, 0);
    for (uint32_t i = 0; i < SHIFT_BUCKETS; i++) /* what teaches is no evidence */
        assert_int_equal(d->counts[VARIANT_STABLE][i], 0);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 1, 0), 0);
    d = observation_shift_at(&l.o, 3, 1);
    assert_true(d->buckets_id != 0);
    assert_int_equal(d->edge_count, 9);
    for (uint32_t i = 0; i < 9; i++)
        assert_true(d->edges[i] == 100 * (i + 1));
    assert_int_equal(bucket(&l, VALUE_NUMBER, 100, 0), 0);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 100.5, 0), 1);
    assert_int_equal(bucket(&l, VALUE_NUMBER, -1e300, 0), 0);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 1e300, 0), 9);
    assert_int_equal(bucket(&l, VALUE_NUMBER, NAN, 0), SHIFT_REST);
    assert_int_equal(bucket(&l, VALUE_CATEGORY, 0, 4), SHIFT_REST);
    assert_int_equal(bucket(&l, VALUE_MISSING, 0, 0), SHIFT_REST);
    assert_int_equal(observation_shift_at(&l.o, 3, 1)->edge_count, 0); /* told once per epoch */
    assert_int_equal(observation_shift_at(&l.o, 3, 1)->looked[VARIANT_CANARY], 1);
    assert_int_equal(observation_shift_at(&l.o, 3, 1)->found[VARIANT_CANARY], 0);
    learner_end(&l);
}

static void test_the_canary_waits_for_stable(void **state)
{
    struct learner l;
    (void)state;
    learner_begin(&l);
    for (int i = 0; i < 999; i++) {
        number_of(&l, VARIANT_STABLE, i);
        assert_int_equal(bucket(&l, VALUE_NUMBER, i, 0), UINT32_MAX);
    }
    number_of(&l, VARIANT_STABLE, 999);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 1e9, 0), 9);
    learner_end(&l);
}

/* A number that is several deciles at once is a bucket of its own: less and more are told apart. */
static void test_numbers_that_repeat(void **state)
{
    struct learner l;
    (void)state;
    learner_begin(&l);
    for (int i = 0; i < 1000; i++)
        number_of(&l, VARIANT_STABLE, i < 550 ? 0 : 1);
    uint32_t zero = bucket(&l, VALUE_NUMBER, 0, 0), one = bucket(&l, VALUE_NUMBER, 1, 0);
    uint32_t less = bucket(&l, VALUE_NUMBER, -1, 0), half = bucket(&l, VALUE_NUMBER, 0.5, 0);
    uint32_t more = bucket(&l, VALUE_NUMBER, 2, 0);
    assert_true(less < zero && zero < half && half < one && one < more);
    learner_end(&l);
    learner_begin(&l);
    for (int i = 0; i < 1000; i++)
        number_of(&l, VARIANT_STABLE, 256);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 255.99, 0), 0);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 256, 0), 1);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 256.01, 0), 2);
    learner_end(&l);
}

/* The 31 that stable answers most; all others together. */
static void test_categories(void **state)
{
    struct learner l;
    (void)state;
    learner_begin(&l);
    int values = 0;
    for (uint64_t category = 1; category <= 40; category++) /* 1: 45 times, ..., 40: 6 times */
        for (uint64_t i = 0; i < 46 - category; i++, values++)
            value(&l, VARIANT_STABLE, VALUE_CATEGORY, 0, category * 1000003);
    assert_in_range(values, REFERENCE_TEACH, 2 * REFERENCE_TEACH);
    bool seen[SHIFT_BUCKETS] = {false};
    int rest = 0;
    for (uint64_t category = 1; category <= 40; category++) {
        uint32_t b = bucket(&l, VALUE_CATEGORY, 0, category * 1000003);
        rest += b == SHIFT_REST;
        assert_true(b == SHIFT_REST || !seen[b]);
        seen[b] = true;
    }
    assert_int_equal(rest, 9);
    assert_int_equal(bucket(&l, VALUE_CATEGORY, 0, 17), SHIFT_REST);
    assert_int_equal(bucket(&l, VALUE_NUMBER, 1000003, 0), SHIFT_REST);
    learner_end(&l);
}

/* A pointer that never matches: nothing but how often it was looked for. */
static void test_a_value_that_is_never_there(void **state)
{
    struct learner l;
    (void)state;
    learner_begin(&l);
    for (int i = 0; i < 3000; i++)
        value(&l, i % 10 == 0 ? VARIANT_CANARY : VARIANT_STABLE, VALUE_MISSING, 0, 0);
    const struct shift_delta *d = observation_shift_at(&l.o, 3, 1);
    assert_int_equal(d->looked[VARIANT_STABLE], 2700);
    assert_int_equal(d->looked[VARIANT_CANARY], 300);
    assert_int_equal(d->found[VARIANT_STABLE] + d->found[VARIANT_CANARY], 0);
    for (uint32_t i = 0; i < SHIFT_BUCKETS; i++)
        assert_int_equal(d->counts[VARIANT_CANARY][i], 0);
    learner_end(&l);
}

/* A worker's mistake, or a policy of before: nothing to count it for. */
static void test_values_of_nothing(void **state)
{
    struct learner l;
    (void)state;
    learner_begin(&l);
    reference_value(l.r, &(struct shift_value){.criterion = 0}, &l.o);
    reference_value(l.r, &(struct shift_value){.criterion = 200}, &l.o);
    assert_int_equal(l.o.shift_count, 0);
    learner_end(&l);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_nothing_for_who_needs_nothing),
        cmocka_unit_test(test_limits_are_edges_of_buckets),
        cmocka_unit_test(test_limits_stay_when_the_canary_is_alone),
        cmocka_unit_test(test_the_last_limits_allow_for_what_is_not_known),
        cmocka_unit_test(test_within_the_slack_nothing_is_too_slow),
        cmocka_unit_test(test_it_looks_every_ten_seconds),
        cmocka_unit_test(test_only_what_came_while_it_watched),
        cmocka_unit_test(test_each_quantile_waits_for_its_samples),
        cmocka_unit_test(test_the_last_minute_where_it_suffices),
        cmocka_unit_test(test_it_reaches_back_for_samples),
        cmocka_unit_test(test_the_last_limits_stay),
        cmocka_unit_test(test_two_limits_watch_apart),
        cmocka_unit_test(test_as_if_all_were_kept),
        cmocka_unit_test(test_deciles_of_stable),
        cmocka_unit_test(test_the_canary_waits_for_stable),
        cmocka_unit_test(test_numbers_that_repeat),
        cmocka_unit_test(test_categories),
        cmocka_unit_test(test_a_value_that_is_never_there),
        cmocka_unit_test(test_values_of_nothing),
    };
    return cmocka_run_group_tests_name("reference", tests, NULL, NULL);
}
