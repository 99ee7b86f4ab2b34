/* Whether values differ: the formulas against values of 50-digit arithmetic, and what a canary sees
 * that is like stable, or is not. */
#include "analysis/shift.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/reference.h"
#include "base/rng.h"
#include "tests/unit/analysis/policies.h"
#include "tests/unit/analysis/vectors.h"

/* log(1/2): half of the evidence begins with the first weight. */
#define START (-0.69314718055994530942)

static void fill(uint32_t counts[SHIFT_BUCKETS], const json_t *from)
{
    size_t i;
    json_t *n;

    json_array_foreach(from, i, n)
    {
        counts[i] = (uint32_t)json_integer_value(n);
    }
}

static void test_the_formulas(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "drift");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        const json_t *edges = json_object_get(row, "inner_edges");
        const struct shift_rule rule = {.max = 0.1, .alpha = 0.001};
        struct shift_delta d = {.epoch = 7, .buckets_id = 1};
        struct shift_report r;
        struct shift s;
        fill(d.counts[VARIANT_CANARY], json_object_get(row, "canary"));
        fill(d.counts[VARIANT_STABLE], json_object_get(row, "stable"));
        for (size_t e = 0; e < json_array_size(edges); e++)
            d.edges[d.edge_count++] = json_number_value(json_array_get(edges, e));
        assert_true(number(row, "kappa") == 20);
        shift_init(&s);
        shift_weight(&s, 7, (uint32_t)(number(row, "w") * WEIGHT_FULL_BP));
        shift_observe(&s, &d);
        shift_report(&s, &rule, &r);
        compare(&v, r.log_e - START, number(row, "logE"), "logE");
        assert_int_equal(r.psi < 0, r.values[VARIANT_CANARY] < SHIFT_LEAST);
        if (edges != NULL)
            compare(&v, r.w1, number(row, "wasserstein1_inner"), "w1");
        else
            assert_true(r.w1 < 0);
        double canary[SHIFT_BUCKETS], stable[SHIFT_BUCKETS];
        for (int b = 0; b < SHIFT_BUCKETS; b++) {
            canary[b] = d.counts[VARIANT_CANARY][b];
            stable[b] = d.counts[VARIANT_STABLE][b];
        }
        const struct shift_report of_all = r;
        shift_distances(canary, stable, rule.alpha, &r);
        if (of_all.psi >= 0)
            assert_true(of_all.psi == r.psi && of_all.ks == r.ks && of_all.ks_least == r.ks_least);
        compare(&v, r.psi, number(row, "psi"), "psi");
        compare(&v, r.psi_debiased, number(row, "psi_debiased"), "psi_debiased");
        compare(&v, r.ks, number(row, "ks"), "ks");
        compare(&v, r.ks_least, number(row, "ks_lower_bound_alpha_0.001"), "ks_least");
    }
    vectors_close(&v, "drift");
}

static void test_the_band(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "howard_ramdas_dkw");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        compare(&v, shift_band(number(row, "t"), number(row, "alpha")), number(row, "radius"),
                "radius");
    }
    assert_true(shift_band(0, 0.05) == INFINITY);
    vectors_close(&v, "howard_ramdas_dkw");
}

/* --- counts, weights and epochs --- */

static void observe(struct shift *s, uint32_t epoch, const uint32_t canary[2],
                    const uint32_t stable[2])
{
    struct shift_delta d = {.epoch = epoch, .buckets_id = 1};

    for (int i = 0; i < 2; i++) {
        d.counts[VARIANT_CANARY][i] = canary[i];
        d.counts[VARIANT_STABLE][i] = stable[i];
        d.looked[VARIANT_CANARY] += canary[i];
        d.looked[VARIANT_STABLE] += stable[i];
    }
    memcpy(d.found, d.looked, sizeof d.found);
    shift_observe(s, &d);
}

static struct shift_report report(const struct shift *s, uint64_t in_flight)
{
    const struct shift_rule rule = {.max = 0.1, .alpha = 0.001, .in_flight = in_flight};
    struct shift_report r;

    shift_report(s, &rule, &r);
    return r;
}

static double log_e_of(const uint32_t canary[2], const uint32_t stable[2], double w)
{
    uint64_t c[SHIFT_BUCKETS] = {canary[0], canary[1]}, s[SHIFT_BUCKETS] = {stable[0], stable[1]};

    return shift_log_e(c, s, w);
}

static void test_evidence_of_weights_adds_up(void **state)
{
    static const uint32_t c1[2] = {30, 10}, s1[2] = {180, 180}, c2[2] = {50, 20},
                          s2[2] = {100, 110};
    double first = log_e_of(c1, s1, 0.1), second = log_e_of(c2, s2, 0.25);
    struct shift s;
    (void)state;
    assert_true(first > 0 && second > 0);
    shift_init(&s);
    assert_true(report(&s, 0).log_e == 0);
    shift_weight(&s, 1, 1000);
    observe(&s, 1, c1, s1);
    shift_weight(&s, 2, 2500);
    observe(&s, 2, c2, s2);
    double want = log(exp(first + second) / 2 + exp(second) / 6);
    assert_true(fabs(report(&s, 0).log_e - want) < 1e-9);
    assert_int_equal(report(&s, 0).values[VARIANT_CANARY], 110);
    assert_int_equal(report(&s, 0).values[VARIANT_STABLE], 570);
    /* what comes late belongs to the weight that its request saw */
    observe(&s, 1, c1, s1);
    double doubled = log_e_of((const uint32_t[]){60, 20}, (const uint32_t[]){360, 360}, 0.1);
    want = log(exp(doubled + second) / 2 + exp(second) / 6);
    assert_true(fabs(report(&s, 0).log_e - want) < 1e-9);
}

/* A retreat, a probe at the same weight, and back: one and the same comparison. */
static void test_a_weight_that_returns_goes_on(void **state)
{
    static const uint32_t canary[2] = {20, 20}, stable[2] = {200, 160};
    static const uint32_t none[2], idle[2] = {5000, 0};
    struct shift s, whole;
    (void)state;
    shift_init(&s);
    shift_init(&whole);
    shift_weight(&whole, 1, 1000);
    for (uint32_t epoch = 1; epoch < 60; epoch += 2) {
        shift_weight(&s, epoch, 1000);
        observe(&s, epoch, canary, stable);
        observe(&whole, 1, canary, stable);
        shift_weight(&s, epoch + 1, 0); /* no canary: nothing to compare stable's values with */
        observe(&s, epoch + 1, none, idle);
    }
    assert_true(report(&s, 0).log_e == report(&whole, 0).log_e);
    assert_int_equal(report(&s, 0).values[VARIANT_STABLE], 30 * 360);
    assert_int_equal(report(&s, 0).looked[VARIANT_STABLE], 30 * 5360);
}

/* More weights than stay open: nothing is lost but what comes too late. */
static void test_closed_weights_count_on(void **state)
{
    static const uint32_t canary[2] = {30, 30}, stable[2] = {170, 200};
    struct shift s;
    double want = 0;
    (void)state;
    shift_init(&s);
    for (uint32_t i = 0; i < 8; i++) {
        uint32_t weight_bp = 1000 + 100 * i;
        shift_weight(&s, i + 1, weight_bp);
        observe(&s, i + 1, canary, stable);
        want = (want + 1 / ((i + 1.0) * (i + 2.0))) *
               exp(log_e_of(canary, stable, weight_bp / 10000.0));
    }
    struct shift_report r = report(&s, 0);
    assert_true(fabs(r.log_e - log(want)) < 1e-9);
    assert_int_equal(r.values[VARIANT_CANARY], 480);
    assert_int_equal(r.values[VARIANT_STABLE], 8 * 370);
    /* all weights saw the same shares, so the distance is that of all counts together */
    double p[2] = {240.5 / 481, 240.5 / 481}, q[2] = {1360.5 / 2961, 1600.5 / 2961}, psi = 0;
    for (int i = 0; i < 2; i++)
        psi += (p[i] - q[i]) * log(p[i] / q[i]);
    assert_true(fabs(r.psi - psi) < 1e-9);
    observe(&s, 1, canary, stable); /* of the first weight, long closed */
    assert_int_equal(report(&s, 0).values[VARIANT_CANARY], 480);
}

/* The day changes what both answer while the weight rises: all counts together look like a shift,
 * and are none. */
static void test_a_change_of_both_is_no_distance(void **state)
{
    struct shift s;
    (void)state;
    shift_init(&s);
    shift_weight(&s, 1, 1000);
    observe(&s, 1, (const uint32_t[]){900, 100}, (const uint32_t[]){8100, 900});
    shift_weight(&s, 2, 5000);
    observe(&s, 2, (const uint32_t[]){500, 4500}, (const uint32_t[]){500, 4500});
    struct shift_report r = report(&s, 0);
    assert_true(r.judged && r.kept && !r.failed);
    assert_true(r.psi < 1e-3 && r.ks < 1e-3);
    assert_true(r.log_e < 0);
}

/* It was like stable for long and no longer is: the weight of now is looked at by itself, and the
 * evidence begins anew with it. */
static void test_a_late_shift_does_not_pay_for_a_good_record(void **state)
{
    struct shift s;
    (void)state;
    shift_init(&s);
    shift_weight(&s, 1, 1000);
    observe(&s, 1, (const uint32_t[]){50000, 50000}, (const uint32_t[]){450000, 450000});
    shift_weight(&s, 2, 2500);
    observe(&s, 2, (const uint32_t[]){250, 150}, (const uint32_t[]){600, 600});
    assert_false(report(&s, 0).failed); /* PSI 0.06 */
    observe(&s, 2, (const uint32_t[]){150, 50}, (const uint32_t[]){300, 300});
    struct shift_report r = report(&s, 0);
    assert_true(r.failed && r.psi > 0.1);
}

static void test_few_values_are_not_judged(void **state)
{
    static const uint32_t canary[2] = {299, 0}, stable[2] = {1500, 1500};
    struct shift s;
    (void)state;
    shift_init(&s);
    shift_weight(&s, 1, 1000);
    observe(&s, 1, canary, stable);
    assert_false(report(&s, 0).judged);
    assert_true(report(&s, 0).log_e > report(&s, 0).threshold);
    observe(&s, 1, (const uint32_t[]){1, 0}, (const uint32_t[]){0, 0});
    assert_true(report(&s, 0).failed);
    /* the others may be of another kind: slow ones, long ones */
    assert_true(report(&s, 30).failed);
    assert_false(report(&s, 31).judged);
    assert_false(report(&s, 31).failed);
}

/* Significance alone does not fail it. */
static void test_a_certain_trifle_is_kept(void **state)
{
    struct shift s;
    (void)state;
    shift_init(&s);
    shift_weight(&s, 1, 1000);
    observe(&s, 1, (const uint32_t[]){52000, 48000}, (const uint32_t[]){450000, 450000});
    struct shift_report r = report(&s, 0);
    assert_true(r.log_e > r.threshold);
    assert_true(r.kept && !r.failed);
}

static void test_answers_without_the_value_are_a_shift(void **state)
{
    struct shift_delta d = {.epoch = 1, .buckets_id = 9};
    struct shift s;
    (void)state;
    shift_init(&s);
    shift_weight(&s, 1, 1000);
    for (int i = 0; i < 10; i++)
        d.counts[VARIANT_STABLE][i] = 270;
    d.counts[VARIANT_CANARY][SHIFT_REST] = 300;
    shift_observe(&s, &d);
    assert_true(report(&s, 0).failed);
}

/* Another process made other buckets, and goes on with this evidence. */
static void test_other_buckets_are_not_added_to(void **state)
{
    static const uint32_t canary[2] = {300, 300}, stable[2] = {2700, 2700};
    struct shift_delta d = {.epoch = 1, .buckets_id = 2, .edge_count = 1, .edges = {5}};
    struct shift s;
    (void)state;
    shift_init(&s);
    shift_weight(&s, 1, 1000);
    observe(&s, 1, canary, stable);
    double before = report(&s, 0).log_e;
    d.counts[VARIANT_CANARY][4] = 40;
    d.counts[VARIANT_STABLE][4] = 360;
    shift_observe(&s, &d);
    struct shift_report r = report(&s, 0);
    assert_int_equal(r.values[VARIANT_CANARY], 40);
    assert_false(r.judged);
    assert_true(r.psi == -1 && r.ks == -1);
    uint64_t c[SHIFT_BUCKETS] = {0, 0, 0, 0, 40}, t[SHIFT_BUCKETS] = {0, 0, 0, 0, 360};
    double want = log(exp(before) + 1.0 / 6) + shift_log_e(c, t, 0.1);
    assert_true(fabs(r.log_e - want) < 1e-9);
}

/* --- rollouts --- */

struct world {
    struct test_policy t;
    struct reference *reference;
    struct observation o;
    struct shift shift;
    struct rng rng;
    double mean, scale; /* of the canary's values; stable's are standard normal */
};

static void world_begin(struct world *w, uint64_t seed, double mean, double scale)
{
    memset(w, 0, sizeof *w);
    test_policy_init(&w->t);
    add_criterion(
        &w->t, (struct policy_criterion){.metric = METRIC_DRIFT, .test = TEST_SHIFT, .limit = 0.1});
    w->reference = reference_new(&w->t.policy);
    observation_init(&w->o);
    shift_init(&w->shift);
    shift_weight(&w->shift, 1, 1000);
    rng_seed(&w->rng, seed);
    w->mean = mean;
    w->scale = scale;
    for (int i = 0; i < REFERENCE_TEACH; i++)
        reference_value(w->reference,
                        &(struct shift_value){.epoch = 1, .number = rng_normal(&w->rng)}, &w->o);
}

static void world_end(struct world *w)
{
    reference_free(w->reference);
    observation_deinit(&w->o);
}

/* Answers until there is one of the canary; what was learned is observed. */
static void answer(struct world *w)
{
    bool canary = false;

    while (!canary) {
        struct shift_value v = {.epoch = 1};
        canary = rng_unit(&w->rng) < 0.1;
        v.variant = canary ? VARIANT_CANARY : VARIANT_STABLE;
        v.number = rng_normal(&w->rng);
        if (canary)
            v.number = w->mean + w->scale * v.number;
        reference_value(w->reference, &v, &w->o);
    }
    for (size_t i = 0; i < w->o.shift_count; i++)
        shift_observe(&w->shift, &w->o.shifts[i]);
    observation_clear(&w->o);
}

enum { ROLLOUTS = 20, LOOKS = 10000 };

/* Looked at after each of 10,000 values of the canary. By theory one in a thousand may be
 * significant, and then its distance is far below any limit that is worth having. */
static void test_a_canary_that_is_alike_never_fails(void **state)
{
    double highest = -INFINITY;
    (void)state;
    for (uint64_t seed = 1; seed <= ROLLOUTS; seed++) {
        struct world w;
        world_begin(&w, seed, 0, 1);
        for (int i = 0; i < LOOKS; i++) {
            answer(&w);
            struct shift_report r = report(&w.shift, 0);
            assert_false(r.failed);
            highest = fmax(highest, r.log_e);
        }
        assert_true(report(&w.shift, 0).kept);
        world_end(&w);
    }
    assert_true(highest < log(1000));
}

static int by_value(const void *a, const void *b)
{
    int x = *(const int *)a, y = *(const int *)b;

    return (x > y) - (x < y);
}

/* Median of the canary's values until log E reaches log(1 / alpha), and until it fails. */
static void find(double mean, double scale, int *ret_significant, int *ret_failed)
{
    enum { RUNS = 41, MAX = 4000 };
    int significant[RUNS], failed[RUNS];

    for (int run = 0; run < RUNS; run++) {
        struct world w;
        world_begin(&w, 100 + (uint64_t)run, mean, scale);
        significant[run] = failed[run] = MAX;
        for (int i = 1; i <= MAX && failed[run] == MAX; i++) {
            answer(&w);
            struct shift_report r = report(&w.shift, 0);
            if (r.log_e >= r.threshold && significant[run] == MAX)
                significant[run] = i;
            if (r.failed)
                failed[run] = i;
            if (significant[run] < MAX && i >= 2 * SHIFT_LEAST)
                break;
        }
        world_end(&w);
    }
    qsort(significant, RUNS, sizeof significant[0], by_value);
    qsort(failed, RUNS, sizeof failed[0], by_value);
    *ret_significant = significant[RUNS / 2];
    *ret_failed = failed[RUNS / 2];
}

static void test_how_many_values_it_takes(void **state)
{
    static const struct {
        double mean, scale;
        int least, most; /* values until significant */
        bool fails;      /* farther off than PSI 0.1 */
    } cases[] = {
        {0.25, 1, 600, 1100, false},
        {0.5, 1, 110, 230, true},
        {1, 1, 20, 60, true},
        {0, 1.3, 350, 700, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        int significant, failed;
        find(cases[i].mean, cases[i].scale, &significant, &failed);
        printf("           mean %+.2f sd, scale %.1f: significant after %d values of the canary, "
               "fails after %d\n",
               cases[i].mean, cases[i].scale, significant, failed);
        assert_in_range(significant, cases[i].least, cases[i].most);
        if (cases[i].fails)
            assert_int_equal(failed, SHIFT_LEAST);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_formulas),
        cmocka_unit_test(test_the_band),
        cmocka_unit_test(test_evidence_of_weights_adds_up),
        cmocka_unit_test(test_a_weight_that_returns_goes_on),
        cmocka_unit_test(test_closed_weights_count_on),
        cmocka_unit_test(test_a_change_of_both_is_no_distance),
        cmocka_unit_test(test_a_late_shift_does_not_pay_for_a_good_record),
        cmocka_unit_test(test_few_values_are_not_judged),
        cmocka_unit_test(test_a_certain_trifle_is_kept),
        cmocka_unit_test(test_answers_without_the_value_are_a_shift),
        cmocka_unit_test(test_other_buckets_are_not_added_to),
        cmocka_unit_test(test_a_canary_that_is_alike_never_fails),
        cmocka_unit_test(test_how_many_values_it_takes),
    };
    return cmocka_run_group_tests_name("shift", tests, NULL, NULL);
}
