/* Where values land, and what can be read back. */
#include "analysis/histogram.h"

#include "base/clock.h"
#include "base/rng.h"
#include "tests/unit/analysis/vectors.h"

static void test_buckets_and_edges(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *section = vectors_open(&v, "vectors2.json", "log_linear_histogram");
    (void)state;
    json_array_foreach(json_object_get(section, "cases"), i, row)
    {
        uint32_t bucket = histogram_bucket(count_of(row, "x"));
        compare(&v, bucket, number(row, "bucket"), "bucket");
        compare(&v, (double)histogram_upper_us(bucket), number(row, "upper"), "upper");
    }
    json_array_foreach(json_object_get(section, "ratio_1_3"), i, row)
    {
        uint64_t upper = histogram_upper_us((uint32_t)count_of(row, "u_bucket"));
        compare(&v, (double)upper, number(row, "u_upper"), "u_upper");
        compare(&v, histogram_bucket((uint64_t)(1.3 * (double)upper)),
                number(row, "threshold_bucket"), "threshold");
    }
    vectors_close(&v, "log_linear_histogram");
}

/* Every bucket begins where the one before it ends. */
static void test_buckets_leave_no_gap(void **state)
{
    (void)state;
    for (uint32_t i = 0; i + 1 < HISTOGRAM_BUCKETS; i++) {
        uint64_t edge = histogram_upper_us(i);
        if (edge > HISTOGRAM_MAX_US)
            break;
        assert_int_equal(histogram_bucket(edge - 1), i);
        assert_int_equal(histogram_bucket(edge), i + 1);
    }
    assert_int_equal(histogram_bucket(HISTOGRAM_MAX_US + 1), HISTOGRAM_BUCKETS - 1);
    assert_int_equal(histogram_bucket(UINT64_MAX), HISTOGRAM_BUCKETS - 1);
}

static struct histogram h, other;
static struct histogram_view view, earlier;

static void clear(void)
{
    h = other = (struct histogram){0};
    view = earlier = (struct histogram_view){0};
}

static void test_quantiles(void **state)
{
    (void)state;
    clear();
    assert_int_equal(histogram_quantile_ns(&view, 0.99), -1);
    for (int64_t ms = 1; ms <= 1000; ms++)
        histogram_add(&h, ms * NS_PER_MS);
    histogram_add(&h, -1); /* not known: not counted */
    histogram_merge(&view, &h);
    assert_int_equal(view.total, 1000);
    static const double quantiles[] = {0.001, 0.5, 0.9, 0.99, 0.999, 1};
    for (size_t i = 0; i < sizeof quantiles / sizeof quantiles[0]; i++) {
        double exact = ceil(quantiles[i] * 1000) * (double)NS_PER_MS;
        double got = (double)histogram_quantile_ns(&view, quantiles[i]);
        assert_true(got > exact);
        assert_true(got <= exact * (1 + 1.0 / 128) + NS_PER_US);
    }
    assert_true(histogram_quantile_ns(&view, 0) > 0);
}

static void test_merge_and_subtract(void **state)
{
    (void)state;
    clear();
    for (int i = 0; i < 10; i++)
        histogram_add(&h, 5 * NS_PER_MS);
    histogram_merge(&earlier, &h);
    for (int i = 0; i < 7; i++)
        histogram_add(&h, 80 * NS_PER_MS);
    histogram_add(&other, 80 * NS_PER_MS);
    histogram_merge(&view, &h);
    histogram_merge(&view, &other);
    assert_int_equal(view.total, 18);
    histogram_subtract(&view, &earlier);
    assert_int_equal(view.total, 8);
    assert_in_range(histogram_quantile_ns(&view, 0.01), 80 * NS_PER_MS, 81 * NS_PER_MS);
}

static void test_counting_below_a_limit(void **state)
{
    (void)state;
    clear();
    histogram_add(&h, 1 * NS_PER_MS);
    histogram_add(&h, 10 * NS_PER_MS);
    histogram_add(&h, 100 * NS_PER_MS);
    histogram_merge(&view, &h);
    assert_int_equal(histogram_count_below(&view, 0), 0);
    assert_int_equal(histogram_count_below(&view, 5 * NS_PER_MS), 1);
    assert_int_equal(histogram_count_below(&view, 50 * NS_PER_MS), 2);
    assert_int_equal(histogram_count_below(&view, NS_PER_HOUR), 3);
}

/* A counter that is full stays full. */
static void test_counts_saturate(void **state)
{
    (void)state;
    clear();
    histogram_add(&h, 7 * NS_PER_US);
    h.counts[7] = UINT32_MAX;
    histogram_add(&h, 7 * NS_PER_US);
    histogram_add(&other, 7 * NS_PER_US);
    histogram_merge(&view, &h);
    histogram_merge(&view, &other);
    assert_int_equal(view.counts[7], UINT32_MAX);
    assert_int_equal(view.total, UINT32_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buckets_and_edges),
        cmocka_unit_test(test_buckets_leave_no_gap),
        cmocka_unit_test(test_quantiles),
        cmocka_unit_test(test_merge_and_subtract),
        cmocka_unit_test(test_counting_below_a_limit),
        cmocka_unit_test(test_counts_saturate),
    };
    return cmocka_run_group_tests_name("histogram", tests, NULL, NULL);
}
