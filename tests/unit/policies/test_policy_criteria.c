/* What the items of `criteria` become: names, parameters of the tests, shares of the evidence; and
 * the defaults that depend on `confirm`. */
#include "base/check.h"
#include "base/clock.h"
#include "policies/schema.h"
#include "tests/unit/policies/parse.h"

#define CRITERIA(items) STABLE "analysis: {criteria: [" items "]}\n"

static void test_names_say_what_is_judged(void **state)
{
    static const struct {
        const char *item, *names[4];
    } rows[] = {
        {"{metric: error_rate, max: 1%, max_increase: 0.5%}",
         {"error_rate max 1%", "error_rate max_increase 0.5%"}},
        {"{metric: error_rate, max_ratio: 1.50}", {"error_rate max_ratio 1.5"}},
        {"{metric: error_rate, max: 0.02, max_ratio: 2x, max_increase: 0.2%}",
         {"error_rate max 2%", "error_rate max_ratio 2 max_increase 0.2%"}},
        {"{metric: outcome, is: [429, 4xx], max_increase: 1%}",
         {"outcome 4xx+429 max_increase 1%"}},
        {"{metric: outcome, is: 5xx, max: 1%}", {"outcome 5xx max 1%"}},
        {"{metric: latency, quantile: [50%, 0.9, 99.9%], max_ratio: 1.3}",
         {"latency p50 max_ratio 1.3", "latency p90 max_ratio 1.3", "latency p99.9 max_ratio 1.3"}},
        {"{metric: latency, quantile: 99%, max: 500ms, where: {paths: [/predict]}}",
         {"latency p99 max 500ms where /predict"}},
        {"{metric: latency, quantile: 99%, max: 2s, max_ratio: 2}",
         {"latency p99 max 2s", "latency p99 max_ratio 2"}},
        {"{metric: error_rate, max: 1%, where: {methods: [POST, PUT], paths: [/a, /b], stream: "
         "false}}",
         {"error_rate max 1% where POST,PUT /a,/b no stream"}},
        {"{metric: client_abort_rate, max_increase: 2%, where: {stream: true}}",
         {"client_abort_rate max_increase 2% where stream"}},
        {"{metric: drift, field: /predictions/0/score, max: 0.2}",
         {"drift /predictions/0/score psi max 0.2"}},
        {"{metric: response_size, test: ks, max: 0.10}", {"response_size ks max 0.1"}},
        {"{metric: error_rate, method: window, max: 1%, consecutive: 1}",
         {"error_rate max 1% in 1 window of 1m"}},
        {"{metric: error_rate, method: window, max: 1%, window: 30s}",
         {"error_rate max 1% in 3 windows of 30s"}},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct strbuf text;
        size_t expected = 0;
        strbuf_init(&text, 4096);
        strbuf_addf(&text, CRITERIA("%s"), rows[i].item);
        struct policy *p = good_policy(strbuf_cstr(&text));
        for (; expected < 4 && rows[i].names[expected] != NULL; expected++)
            assert_string_equal(p->analysis.criteria[expected].name, rows[i].names[expected]);
        assert_int_equal(p->analysis.criteria_count, expected);
        policy_free(p);
        strbuf_deinit(&text);
    }
}

/* The only criterion of an item. */
static const struct policy_criterion *only(const struct policy *p)
{
    assert_int_equal(p->analysis.criteria_count, 1);
    return &p->analysis.criteria[0];
}

static void test_relative_limits_have_a_ratio_and_what_is_on_top(void **state)
{
    static const struct {
        const char *text;
        enum criterion_test test;
        double limit, ratio, delta;
    } rows[] = {
        {CRITERIA("{metric: error_rate, max_increase: 0.5%}"), TEST_MAX_INCREASE, 0.005, 1, 0.005},
        {CRITERIA("{metric: error_rate, max_ratio: 1.5}"), TEST_MAX_RATIO, 1.5, 1.5, 0.001},
        {CRITERIA("{metric: outcome, is: 4xx, max_ratio: 2x, max_increase: 1%}"), TEST_MAX_RATIO, 2,
         2, 0.01},
        {CRITERIA("{metric: latency, quantile: 50%, max_ratio: 1.3}"), TEST_MAX_RATIO, 1.3, 1,
         0.02},
        {CRITERIA("{metric: latency, quantile: 90%, max_ratio: 1.3}"), TEST_MAX_RATIO, 1.3, 1,
         0.02},
        {CRITERIA("{metric: latency, quantile: 99%, max_ratio: 1}"), TEST_MAX_RATIO, 1, 1, 0.002},
        {CRITERIA("{metric: time_to_first_token, quantile: 95%, max_ratio: 1.2}"), TEST_MAX_RATIO,
         1.2, 1, 0.01},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = good_policy(rows[i].text);
        const struct policy_criterion *k = only(p);
        assert_int_equal(k->test, rows[i].test);
        assert_near(k->limit, rows[i].limit, 1e-12);
        assert_near(k->ratio, rows[i].ratio, 1e-12);
        assert_near(k->delta, rows[i].delta, 1e-12);
        assert_near(k->p0, 0, 0);
        assert_int_equal(k->limit_ns, 0);
        assert_false(k->require_no_harm);
        assert_int_equal(criterion_follows_stable(k), criterion_is_time(k));
        policy_free(p);
    }
}

static void test_times_against_stable_have_slack(void **state)
{
    static const struct {
        const char *text;
        int64_t slack_ns;
    } rows[] = {
        {CRITERIA("{metric: latency, quantile: 50%, max_ratio: 1.3}"), 5 * NS_PER_MS},
        {CRITERIA("{metric: latency, quantile: 50%, max_ratio: 1.3, slack: 0}"), 0},
        {CRITERIA("{metric: time_to_first_token, quantile: 95%, max_ratio: 1.2, slack: 50ms}"),
         50 * NS_PER_MS},
        {CRITERIA("{metric: error_rate, max_ratio: 2}"), 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = good_policy(rows[i].text);
        assert_int_equal(only(p)->slack_ns, rows[i].slack_ns);
        policy_free(p);
    }
}

static void test_each_share_has_its_own_bad(void **state)
{
    static const struct {
        const char *text;
        uint32_t kinds;
    } rows[] = {
        {CRITERIA("{metric: outcome, is: [4xx, 429], max: 1%}"),
         1u << OUTCOME_4XX | 1u << OUTCOME_429},
        {CRITERIA("{metric: client_abort_rate, max: 1%}"), 1u << OUTCOME_CLIENT_ABORT},
        {CRITERIA("{metric: stream_truncation_rate, max: 1%}"), 1u << OUTCOME_TRUNCATED},
        {CRITERIA("{metric: stream_stall_rate, max: 1%}"), 1u << OUTCOME_STALLED},
        {CRITERIA("{metric: stream_empty_rate, max: 1%}"), 1u << OUTCOME_EMPTY},
        {CRITERIA("{metric: stream_error_rate, max: 1%}"), 1u << OUTCOME_STREAM_ERROR},
        {STABLE "analysis: {count_as_error: [timeout, 429], criteria: [{metric: error_rate, max: "
                "1%}]}\n",
         1u << OUTCOME_TIMEOUT | 1u << OUTCOME_429},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = good_policy(rows[i].text);
        assert_int_equal(only(p)->kinds, rows[i].kinds);
        policy_free(p);
    }
}

/* The list that the language documents is the set that the rest of the program knows. */
static void test_errors_without_being_asked(void **state)
{
    struct policy *p = good_policy(CRITERIA("{metric: error_rate, max: 1%}"));

    (void)state;
    assert_int_equal(p->analysis.error_kinds, outcome_errors);
    assert_int_equal(only(p)->kinds, outcome_errors);
    policy_free(p);
}

/* Every word that `is` and `count_as_error` take is an outcome; ok and client_abort are none. */
static void test_outcomes_that_can_be_named(void **state)
{
    const char *choices = schema_row(&schema_policy, "analysis.criteria.is")->choices;
    size_t count = 0;

    (void)state;
    assert_string_equal(schema_row(&schema_policy, "analysis.count_as_error")->choices, choices);
    for (enum outcome_kind k = OUTCOME_OK; k < OUTCOME_KIND_COUNT; k++)
        for (size_t i = 0; i < OUTCOME_KIND_COUNT; i++)
            count += str_eq(schema_choice(choices, i), str_from(outcome_names[k]));
    assert_int_equal(count, OUTCOME_KIND_COUNT - 2);
}

static void test_metrics_are_in_the_order_of_the_language(void **state)
{
    const char *choices = schema_row(&schema_policy, "analysis.criteria.metric")->choices;

    (void)state;
    for (size_t m = 0; m < METRIC_COUNT; m++)
        assert_true(str_eq(schema_choice(choices, m), str_from(metric_names[m])));
    assert_int_equal(schema_choice(choices, METRIC_COUNT).len, 0);
}

/* One limit counts once, however many quantiles it has; what only reports shares apart. */
static void test_limits_share_the_evidence(void **state)
{
    static const struct {
        uint32_t group;
        double weight;
    } rows[] = {
        {0, 1.0 / 4}, {1, 1.0 / 4}, {2, 1.0 / 12}, {2, 1.0 / 12}, {2, 1.0 / 12},
        {3, 1.0 / 2}, {4, 1.0 / 4}, {5, 1.0 / 4},  {5, 1.0 / 4},
    };
    struct policy *p =
        good_policy(CRITERIA("{metric: error_rate, max: 1%, max_increase: 0.5%},"
                             "{metric: latency, quantile: [50%, 90%, 99%], max_ratio: 1.3},"
                             "{metric: drift, field: /a, max: 0.2, on_fail: report},"
                             "{metric: outcome, is: 4xx, max: 5%, on_fail: pause},"
                             "{metric: latency, quantile: [90%, 99%], max: 2s, on_fail: report}"));
    const struct policy_analysis *a = &p->analysis;

    (void)state;
    assert_int_equal(a->criteria_count, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(a->criteria[i].group, rows[i].group);
        assert_near(a->criteria[i].weight, rows[i].weight, 1e-15);
    }
    policy_free(p);
}

static void test_what_a_broken_limit_does(void **state)
{
    static const struct {
        const char *text;
        enum on_fail now, frozen;
        bool no_harm;
    } rows[] = {
        {CRITERIA("{metric: error_rate, max: 1%}"), ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK, true},
        {CRITERIA("{metric: error_rate, max: 1%, on_fail: pause}"), ON_FAIL_PAUSE, ON_FAIL_PAUSE,
         true},
        {CRITERIA("{metric: error_rate, max: 1%, on_fail: report}"), ON_FAIL_REPORT, ON_FAIL_REPORT,
         false},
        {CRITERIA("{metric: error_rate, max: 1%, require: no_breach}"), ON_FAIL_ROLLBACK,
         ON_FAIL_ROLLBACK, false},
        {CRITERIA("{metric: error_rate, max: 1%, method: window}"), ON_FAIL_ROLLBACK,
         ON_FAIL_ROLLBACK, false},
        {CRITERIA("{metric: error_rate, max_increase: 1%}"), ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK,
         false},
        {CRITERIA("{metric: outcome, is: 4xx, max_increase: 1%}"), ON_FAIL_ROLLBACK, ON_FAIL_PAUSE,
         false},
        {CRITERIA("{metric: outcome, is: 4xx, max: 1%}"), ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK, true},
        {CRITERIA("{metric: latency, quantile: 99%, max_ratio: 1.3}"), ON_FAIL_ROLLBACK,
         ON_FAIL_PAUSE, false},
        {CRITERIA("{metric: latency, quantile: 99%, max_ratio: 1.3, on_fail: report}"),
         ON_FAIL_REPORT, ON_FAIL_REPORT, false},
        {CRITERIA("{metric: latency, quantile: 99%, max: 1s}"), ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK,
         true},
        {CRITERIA("{metric: drift, field: /a, max: 0.2}"), ON_FAIL_ROLLBACK, ON_FAIL_ROLLBACK,
         false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = good_policy(rows[i].text);
        assert_int_equal(only(p)->on_fail, rows[i].now);
        assert_int_equal(only(p)->frozen_on_fail, rows[i].frozen);
        assert_int_equal(only(p)->require_no_harm, rows[i].no_harm);
        policy_free(p);
    }
}

static void test_where_arrives(void **state)
{
    struct policy *p = good_policy(CRITERIA(
        "{metric: error_rate, max: 1%, where: {paths: [/a, /b/], methods: [POST], stream: true}}"));
    const struct policy_where *w = &only(p)->where;

    (void)state;
    assert_int_equal(w->path_count, 2);
    assert_string_equal(w->paths[1], "/b/");
    assert_int_equal(w->method_count, 1);
    assert_string_equal(w->methods[0], "POST");
    assert_int_equal(w->stream, WHERE_STREAM);
    policy_free(p);
    p = good_policy(CRITERIA("{metric: error_rate, max: 1%}"));
    assert_int_equal(only(p)->where.stream, WHERE_ANY);
    assert_int_equal(only(p)->where.path_count + only(p)->where.method_count, 0);
    policy_free(p);
}

static void test_windows_arrive(void **state)
{
    struct policy *p = good_policy(
        CRITERIA("{metric: error_rate, max: 1%, method: window, window: 2m, min_requests: 50}"));
    const struct policy_criterion *k = only(p);

    (void)state;
    assert_int_equal(k->method, METHOD_WINDOW);
    assert_int_equal(k->window_ns, 2 * NS_PER_MIN);
    assert_int_equal(k->window_min_requests, 50);
    assert_int_equal(k->window_consecutive, 3);
    policy_free(p);
    p = good_policy(CRITERIA("{metric: error_rate, max: 1%}"));
    k = only(p);
    assert_int_equal(k->method, METHOD_SEQUENTIAL);
    assert_true(k->window_ns == 0 && k->window_min_requests == 0 && k->window_consecutive == 0);
    policy_free(p);
}

static void test_shifts_arrive(void **state)
{
    struct policy *p =
        good_policy(CRITERIA("{metric: drift, field: /a~1b/0, test: ks, max: 0.25}"));
    const struct policy_criterion *k = only(p);

    (void)state;
    assert_int_equal(k->test, TEST_SHIFT);
    assert_int_equal(k->shift, SHIFT_KS);
    assert_string_equal(k->field, "/a~1b/0");
    assert_near(k->limit, 0.25, 1e-15);
    assert_near(k->p0 + k->ratio + k->delta + k->quantile, 0, 0);
    policy_free(p);
    p = good_policy(CRITERIA("{metric: token_usage, max: 0.25}"));
    assert_int_equal(only(p)->shift, SHIFT_PSI);
    assert_null(only(p)->field);
    policy_free(p);
}

/* A crossing that is asked about again may come sooner than one that condemns. */
static void test_confirm_decides_two_defaults(void **state)
{
    static const struct {
        const char *text;
        size_t confirm;
        uint32_t slots;
        int64_t over_s;
    } rows[] = {
        {STABLE "analysis: {burst_guard: {confirm: []}}\n", 0, 3, 10},
        {STABLE "analysis: {burst_guard: {confirm: [30s, 2m]}}\n", 2, 2, 3},
        {STABLE "analysis: {burst_guard: {confirm: [1m], min_bad_slots: 4}}\n", 1, 4, 3},
        {STABLE "analysis: {burst_guard: {confirm: []}, hard_down: {over: 7s}}\n", 0, 3, 7},
        {STABLE "analysis: {burst_guard: {confirm: [1m]}, hard_down: {over: 0}}\n", 1, 2, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy *p = good_policy(rows[i].text);
        assert_int_equal(p->analysis.confirm_count, rows[i].confirm);
        assert_int_equal(p->analysis.min_bad_slots, rows[i].slots);
        assert_int_equal(p->analysis.hard_down_over_ns, rows[i].over_s * NS_PER_SEC);
        policy_free(p);
    }
}

static void test_guards_arrive(void **state)
{
    struct policy_set *set = good_file("tests/data/policies/good/criteria_all.yaml");
    const struct policy *p = set->policies[0];
    const struct policy_analysis *a = &p->analysis;

    (void)state;
    assert_int_equal(a->confirm_ns[0], 30 * NS_PER_SEC);
    assert_int_equal(a->confirm_ns[1], 2 * NS_PER_MIN);
    assert_int_equal(a->evidence, EVIDENCE_BEFORE_EACH);
    assert_int_equal(a->on_no_data, NO_DATA_PAUSE);
    assert_int_equal(a->no_data_after_ns, 10 * NS_PER_MIN);
    assert_int_equal(a->on_stable_degraded, DEGRADED_JUDGE);
    assert_int_equal(a->warm_up_requests, 50);
    assert_int_equal(a->warm_up_ns, NS_PER_MIN);
    assert_int_equal(p->bake.for_ns, 24 * NS_PER_HOUR);
    assert_int_equal(p->bake.control_bp, 500);
    policy_set_unref(set);
}

static void test_guards_without_being_asked(void **state)
{
    struct policy *p = good_policy(STABLE);
    const struct policy_analysis *a = &p->analysis;

    (void)state;
    assert_int_equal(a->evidence, EVIDENCE_BEFORE_FULL);
    assert_int_equal(a->on_no_data, NO_DATA_HOLD);
    assert_int_equal(a->no_data_after_ns, 5 * NS_PER_MIN);
    assert_int_equal(a->on_stable_degraded, DEGRADED_HOLD);
    assert_int_equal(a->warm_up_requests, 20);
    assert_int_equal(a->warm_up_ns, 30 * NS_PER_SEC);
    assert_int_equal(p->bake.for_ns, 0);
    assert_int_equal(p->bake.control_bp, 0);
    policy_free(p);
}

static void test_one_word_stands_for_a_mapping(void **state)
{
    struct policy *p = good_policy(
        STABLE "bake: 24h\nanalysis: {evidence: each, on_no_data: rollback, warm_up: 0}\n");

    (void)state;
    assert_int_equal(p->bake.for_ns, 24 * NS_PER_HOUR);
    assert_int_equal(p->analysis.evidence, EVIDENCE_BEFORE_EACH);
    assert_int_equal(p->analysis.on_no_data, NO_DATA_ROLLBACK);
    assert_int_equal(p->analysis.no_data_after_ns, 5 * NS_PER_MIN);
    assert_int_equal(p->analysis.warm_up_requests, 0);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_names_say_what_is_judged),
        cmocka_unit_test(test_relative_limits_have_a_ratio_and_what_is_on_top),
        cmocka_unit_test(test_times_against_stable_have_slack),
        cmocka_unit_test(test_each_share_has_its_own_bad),
        cmocka_unit_test(test_errors_without_being_asked),
        cmocka_unit_test(test_outcomes_that_can_be_named),
        cmocka_unit_test(test_metrics_are_in_the_order_of_the_language),
        cmocka_unit_test(test_limits_share_the_evidence),
        cmocka_unit_test(test_what_a_broken_limit_does),
        cmocka_unit_test(test_where_arrives),
        cmocka_unit_test(test_windows_arrive),
        cmocka_unit_test(test_shifts_arrive),
        cmocka_unit_test(test_confirm_decides_two_defaults),
        cmocka_unit_test(test_guards_arrive),
        cmocka_unit_test(test_guards_without_being_asked),
        cmocka_unit_test(test_one_word_stands_for_a_mapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
