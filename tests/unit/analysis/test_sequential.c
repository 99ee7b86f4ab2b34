/* The formulas against values of 50-digit arithmetic. */
#include "analysis/sequential.h"

#include "tests/unit/analysis/vectors.h"

/* log E of one slot that holds everything, with no start weights: the mean over the grid. */
static double mixture(const struct sequential_factors *f, uint64_t n, uint64_t canary_bad,
                      uint64_t stable_bad)
{
    double logs[SEQUENTIAL_POINTS_MAX];
    sequential_log_ratio(f, n, canary_bad, stable_bad, logs);
    return sequential_log_sum(logs, f->points) - log((double)f->points);
}

static void test_abs_grid(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "abs_grid");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_factors f;
        sequential_abs(number(row, "p0"), &f);
        assert_int_equal(f.points, json_array_size(json_object_get(row, "p")));
        compare_array(&v, f.canary_bad, row, "log_fail");
        compare_array(&v, f.ok, row, "log_ok");
    }
    vectors_close(&v, "abs_grid");
}

static void test_abs_mixture(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "abs_mixture_logE");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_factors f;
        sequential_abs(number(row, "p0"), &f);
        double log_e = mixture(&f, count_of(row, "n"), count_of(row, "s"), 0);
        compare(&v, log_e, number(row, "logE"), "logE");
        assert_int_equal(log_e >= log(1 / 0.001), truth(row, "revert_alpha_0.001"));
        assert_int_equal(log_e >= log(1 / 0.01), truth(row, "revert_alpha_0.01"));
    }
    vectors_close(&v, "abs_mixture_logE");
}

static void test_in_flight_requests_are_provisional_oks(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "abs_inflight_logE");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_factors f;
        sequential_abs(number(row, "p0"), &f);
        uint64_t n = count_of(row, "n_completed") + count_of(row, "inflight");
        compare(&v, mixture(&f, n, count_of(row, "s"), 0), number(row, "logE"), "logE");
    }
    vectors_close(&v, "abs_inflight_logE");
}

static void test_straight_failures_to_reject(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "abs_consecutive_failures_to_reject");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_factors f;
        uint64_t k = count_of(row, "failures");
        double threshold = log(1 / number(row, "alpha"));
        sequential_abs(number(row, "p0"), &f);
        compare(&v, mixture(&f, k, k, 0), number(row, "logE_at_k"), "at k");
        compare(&v, mixture(&f, k - 1, k - 1, 0), number(row, "logE_at_k_minus_1"), "at k - 1");
        assert_true(mixture(&f, k, k, 0) >= threshold);
        assert_true(mixture(&f, k - 1, k - 1, 0) < threshold);
    }
    vectors_close(&v, "abs_consecutive_failures_to_reject");
}

static void test_rel_factors(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "rel_factors");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_factors f;
        sequential_rel(number(row, "r"), number(row, "delta"), number(row, "w"), GRID_SHARES, &f);
        compare_array(&v, f.canary_bad, row, "log_canary_fail");
        compare_array(&v, f.stable_bad, row, "log_stable_fail");
        compare_array(&v, f.ok, row, "log_ok");
    }
    vectors_close(&v, "rel_factors");
}

static void test_rel_mixture(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "rel_mixture_logE");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_factors f;
        sequential_rel(number(row, "r"), number(row, "delta"), number(row, "w"), GRID_SHARES, &f);
        compare(&v,
                mixture(&f, count_of(row, "n_total"), count_of(row, "canary_fail"),
                        count_of(row, "stable_fail")),
                number(row, "logE"), "logE");
    }
    vectors_close(&v, "rel_mixture_logE");
}

static void test_rel_says_nothing_without_both_variants(void **state)
{
    static const double alone[] = {0, 1};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct sequential_factors f;
        sequential_rel(1.5, 0.001, alone[i], GRID_SHARES, &f);
        assert_true(mixture(&f, 100000, 90000, 0) == 0);
        assert_true(mixture(&f, 100000, 0, 90000) == 0);
    }
}

static void test_combine(void **state)
{
    struct vectors v;
    size_t i, k;
    json_t *row, *value, *rows = vectors_open(&v, "vectors.json", "combine");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        double logs[8], weights[8];
        json_t *log_e = json_object_get(row, "logE");
        json_array_foreach(log_e, k, value) logs[k] = json_number_value(value);
        json_array_foreach(json_object_get(row, "weights"), k, value) weights[k] =
            json_number_value(value);
        double combined = sequential_combine(weights, logs, json_array_size(log_e));
        compare(&v, combined, number(row, "log_combined"), "combined");
        assert_int_equal(combined >= log(1 / number(row, "alpha")), truth(row, "revert"));
    }
    vectors_close(&v, "combine");
}

static void test_combining_nothing(void **state)
{
    double none[] = {-INFINITY, -INFINITY}, half[] = {0.5, 0.5};
    (void)state;
    assert_true(isinf(sequential_combine(half, none, 2)));
    assert_true(isinf(sequential_log_sum(none, 2)));
}

static void test_beta_binomial(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "beta_binomial_cs");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_prior prior = {number(row, "a"), number(row, "b")};
        uint64_t n = count_of(row, "n"), bad = count_of(row, "s");
        double beta = number(row, "beta");
        compare(&v, sequential_lower(prior, n, bad, beta), number(row, "lower"), "lower");
        compare(&v, sequential_upper(prior, n, bad, beta), number(row, "upper"), "upper");
        double log_m = sequential_log_m(prior, n, bad, 0.01);
        compare(&v, log_m, number(row, "logM_at_p0_0.01"), "logM");
        bool promote = (double)bad < (double)n * 0.01 && log_m >= log(1 / beta);
        assert_int_equal(promote, truth(row, "promote_p0_0.01"));
    }
    vectors_close(&v, "beta_binomial_cs");
}

static void test_upper_end_of_a_long_record(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors2.json", "frozen_limit");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        struct sequential_prior prior = {number(row, "a"), number(row, "b")};
        compare(&v,
                sequential_upper(prior, count_of(row, "stable_n"), count_of(row, "stable_bad"),
                                 number(row, "alpha")),
                number(row, "upper"), "upper");
    }
    vectors_close(&v, "frozen_limit (upper)");
}

static void test_fewest_requests_to_promote(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "min_requests_to_promote_zero_failures");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        double p0 = number(row, "p0"), beta = number(row, "beta");
        uint64_t n = count_of(row, "n");
        compare(&v, (double)sequential_requests_more(0, 0, p0, beta), (double)n, "n");
        assert_false(sequential_no_harm(n - 1, 0, p0, beta));
        assert_true(sequential_no_harm(n, 0, p0, beta));
    }
    vectors_close(&v, "min_requests_to_promote");
}

static void test_evidence_of_a_step(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors2.json", "promotion_rollout_evidence");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        double p0 = number(row, "p0");
        const json_t *step = json_object_get(row, "step");
        compare(
            &v,
            sequential_log_m(sequential_prior(p0), count_of(step, "n"), count_of(step, "bad"), p0),
            number(row, "logM_step"), "logM_step");
    }
    vectors_close(&v, "promotion_rollout_evidence");
}

static void test_requests_more_is_the_first_count_that_is_enough(void **state)
{
    static const struct {
        uint64_t n, bad;
        double p0, beta;
    } rows[] = {
        {0, 0, 0.01, 0.05},         {100, 0, 0.01, 0.05},  {375, 0, 0.01, 0.05},
        {376, 0, 0.01, 0.05},       {376, 1, 0.01, 0.05},  {1000, 9, 0.01, 0.05},
        {10, 10, 0.01, 0.05},       {50, 50, 0.001, 0.01}, {5000, 0, 0.001, 0.05},
        {100000, 2000, 0.01, 0.05},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint64_t more = sequential_requests_more(rows[i].n, rows[i].bad, rows[i].p0, rows[i].beta);
        assert_true(more < UINT64_MAX);
        assert_true(sequential_no_harm(rows[i].n + more, rows[i].bad, rows[i].p0, rows[i].beta));
        if (more > 0)
            assert_false(
                sequential_no_harm(rows[i].n + more - 1, rows[i].bad, rows[i].p0, rows[i].beta));
    }
}

/* On which side of an interval a share lies is known without looking for its ends. */
static void test_sides_are_those_of_the_ends(void **state)
{
    static const uint64_t counts[] = {0, 1, 2, 10, 376, 5000, 100000};
    static const double shares[] = {0, 0.0001, 0.005, 0.01, 0.3, 0.5, 0.97, 1};
    const struct sequential_prior flat = {0.5, 0.5};

    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++)
        for (uint64_t bad = 0; bad <= counts[i]; bad += 1 + bad / 2)
            for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
                uint64_t n = counts[i];
                double p = shares[s];
                assert_int_equal(sequential_is_above(flat, n, bad, 0.025, p),
                                 sequential_lower(flat, n, bad, 0.025) > p);
                assert_int_equal(sequential_is_below(flat, n, bad, 0.025, p),
                                 sequential_upper(flat, n, bad, 0.025) < p);
            }
}

static void test_a_limit_kept_is_the_limit(void **state)
{
    static const double shares[] = {0.0001, 0.005, 0.01, 0.3};
    struct sequential_limit limit;

    (void)state;
    for (size_t s = 0; s < sizeof shares / sizeof shares[0]; s++) {
        sequential_limit(shares[s], &limit);
        for (uint64_t n = 0; n < 100000; n = 2 * n + 1)
            for (uint64_t bad = 0; bad <= n; bad += 1 + n / 5)
                assert_true(sequential_limit_log_m(&limit, n, bad) ==
                            sequential_log_m(sequential_prior(shares[s]), n, bad, shares[s]));
    }
}

/* Quantiles of times bet from 1.1 on: at their medians a share can at most double. */
static void test_rel_of_times(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *section = vectors_open(&v, "vectors2.json", "rel_latency");
    (void)state;
    json_array_foreach(json_object_get(section, "cases"), i, row)
    {
        struct sequential_factors f;
        sequential_rel(1, number(row, "delta"), number(row, "w"), GRID_TIMES, &f);
        compare(&v,
                mixture(&f, count_of(row, "n_total"), count_of(row, "canary_bad"),
                        count_of(row, "stable_bad")),
                number(row, "logE"), "logE");
    }
    assert_int_equal(i, 12);
    vectors_close(&v, "rel_latency");
}

/* A plan's start weights never exceed 1 in sum, whatever is started when and however the slots are
 * folded; and are all given out by its end. What is held longer gets a thousandth more, in all. */
static void test_start_weights_are_spent_once(void **state)
{
    static const struct sequential_plan plans[] = {
        {.alpha = 0.001, .share = 0.5, .steps = 4, .slots = 500},
        {.alpha = 0.001, .share = 0.5, .steps = 5, .slots = 500, .bake_slots = 3000},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        const struct sequential_plan *plan = &plans[i];
        struct sequential_starts given = {0};
        bool bakes = plan->bake_slots > 0;
        double sum = 0;
        for (uint64_t j = 0; j < 498; j += 3)
            sum += sequential_start(plan, &given, 3, j % 120 == 0, false);
        sum += sequential_start(plan, &given, 2, false, false);
        for (uint64_t j = 0; j < plan->bake_slots; j++)
            sum += sequential_start(plan, &given, 1, j == 0, true);
        assert_true(fabs(sum - 1) < 1e-12);
        for (uint64_t j = 0; j < 1000; j++)
            sum += sequential_start(plan, &given, j * j * j * j, true, bakes && j % 2 == 0);
        assert_true(sum > 1 + 0.5e-3 && sum < 1 + 1e-3);
    }
}

/* What a regression has to make up for that begins late: in a step, in the bake. */
static void test_start_weights_of_a_bake(void **state)
{
    const struct sequential_plan plan = {.steps = 5, .slots = 2400, .bake_slots = 86400};
    struct sequential_starts given = {0};
    (void)state;
    assert_true(fabs(-log(sequential_start(&plan, &given, 1, false, false)) - 9.17) < 0.01);
    assert_true(fabs(-log(sequential_start(&plan, &given, 1, false, true)) - 12.75) < 0.01);
    assert_true(fabs(-log(sequential_start(&plan, &given, 0, true, true)) - log(10)) < 1e-12);
}

/* Held for a week at a step that was to last ten minutes: a slot of then still begins with enough
 * to be told from nothing by a few dozen failures, and folding slots makes no difference. */
static void test_start_weights_of_a_rollout_that_is_held(void **state)
{
    const struct sequential_plan plan = {.steps = 4, .slots = 600};
    struct sequential_starts one = {0}, by_one = {0};
    double sum = 0, folded = sequential_start(&plan, &one, 604800, false, false);
    (void)state;
    for (uint64_t j = 0; j < 604800; j++)
        sum += sequential_start(&plan, &by_one, 1, false, false);
    assert_true(fabs(sum - folded) < 1e-12);
    assert_true(-log(sequential_start(&plan, &one, 1, false, false)) < 26);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_abs_grid),
        cmocka_unit_test(test_abs_mixture),
        cmocka_unit_test(test_in_flight_requests_are_provisional_oks),
        cmocka_unit_test(test_straight_failures_to_reject),
        cmocka_unit_test(test_rel_factors),
        cmocka_unit_test(test_rel_mixture),
        cmocka_unit_test(test_rel_says_nothing_without_both_variants),
        cmocka_unit_test(test_combine),
        cmocka_unit_test(test_combining_nothing),
        cmocka_unit_test(test_beta_binomial),
        cmocka_unit_test(test_upper_end_of_a_long_record),
        cmocka_unit_test(test_fewest_requests_to_promote),
        cmocka_unit_test(test_evidence_of_a_step),
        cmocka_unit_test(test_requests_more_is_the_first_count_that_is_enough),
        cmocka_unit_test(test_sides_are_those_of_the_ends),
        cmocka_unit_test(test_a_limit_kept_is_the_limit),
        cmocka_unit_test(test_rel_of_times),
        cmocka_unit_test(test_start_weights_are_spent_once),
        cmocka_unit_test(test_start_weights_of_a_bake),
        cmocka_unit_test(test_start_weights_of_a_rollout_that_is_held),
    };
    return cmocka_run_group_tests_name("sequential", tests, NULL, NULL);
}
