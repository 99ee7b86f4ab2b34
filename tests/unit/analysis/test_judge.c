/* What each outcome is to each metric, as a table; what an attempt can break before it ends. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/judge.h"
#include "base/rng.h"
#include "tests/unit/analysis/policies.h"

#define LIMIT_NS (500 * NS_PER_MS)
#define OVER     (LIMIT_NS + 1)
#define MS       NS_PER_MS

/* In the order of the letters of a row. */
enum {
    ERRORS,
    OUTCOMES, /* 4xx and 429 */
    ABORTS,
    TRUNCATED,
    STALLED,
    EMPTY,
    IN_BAND,
    LATENCY,
    FIRST_TOKEN,
    GAP,
    PER_TOKEN,
    STREAM_LATENCY, /* where: {stream: true} */
    PLAIN_LATENCY,  /* where: {stream: false} */
    STREAM_ERRORS,
    SIZE, /* a shift: no share of requests */
    CRITERIA,
};

static void add_share(struct test_policy *t, enum criterion_metric metric, uint32_t kinds)
{
    add_criterion(t, (struct policy_criterion){.metric = metric,
                                               .test = TEST_MAX_INCREASE,
                                               .kinds = kinds,
                                               .ratio = 1,
                                               .delta = 0.01});
}

static void add_time(struct test_policy *t, enum criterion_metric metric, enum where_stream stream)
{
    add_criterion(t, (struct policy_criterion){.metric = metric,
                                               .test = TEST_MAX,
                                               .where = {.stream = stream},
                                               .quantile = 0.99,
                                               .limit_ns = LIMIT_NS,
                                               .p0 = 0.01});
}

static void setup(struct test_policy *t, struct judge *j)
{
    test_policy_init(t);
    add_share(t, METRIC_ERROR_RATE, 0);
    add_share(t, METRIC_OUTCOME, outcome_bit(OUTCOME_4XX) | outcome_bit(OUTCOME_429));
    add_share(t, METRIC_CLIENT_ABORT_RATE, 0);
    add_share(t, METRIC_STREAM_TRUNCATION_RATE, 0);
    add_share(t, METRIC_STREAM_STALL_RATE, 0);
    add_share(t, METRIC_STREAM_EMPTY_RATE, 0);
    add_share(t, METRIC_STREAM_ERROR_RATE, 0);
    add_time(t, METRIC_LATENCY, WHERE_ANY);
    add_time(t, METRIC_TIME_TO_FIRST_TOKEN, WHERE_ANY);
    add_time(t, METRIC_INTER_TOKEN_GAP, WHERE_ANY);
    add_time(t, METRIC_TIME_PER_OUTPUT_TOKEN, WHERE_ANY);
    add_time(t, METRIC_LATENCY, WHERE_STREAM);
    add_time(t, METRIC_LATENCY, WHERE_NO_STREAM);
    add_share(t, METRIC_ERROR_RATE, 0);
    t->criteria[STREAM_ERRORS].where.stream = WHERE_STREAM;
    add_criterion(t, (struct policy_criterion){.metric = METRIC_RESPONSE_SIZE, .test = TEST_SHIFT});
    judge_init(j, &t->policy.analysis);
}

static void find_limits(const struct judge *j, int64_t *limits, struct judge_step *steps)
{
    for (size_t i = 0; i < j->time_count; i++)
        limits[i] = j->time[i].limit_ns;
    judge_steps(j, limits, steps);
}

/* o: ok, b: bad, -: no sample. */
static void test_each_outcome_to_each_metric(void **state)
{
    static const struct {
        const char *what, *marks;
        enum outcome_kind kind;
        enum outcome_stream stream;
        int64_t latency, first_byte, first_token, gap, per_token;
    } rows[] = {
        /* clang-format off */
        /*                                e o a t s e i   l f g p   L P E */
        {"a good plain answer",          "ooo" "----" "o---" "-o-", OUTCOME_OK, STREAM_NO, 99 * MS, 9, -1, -1, -1},
        {"at the limit",                 "ooo" "----" "o---" "-o-", OUTCOME_OK, STREAM_NO, LIMIT_NS, 9, -1, -1, -1},
        {"above it",                     "ooo" "----" "b---" "-b-", OUTCOME_OK, STREAM_NO, OVER, 9, -1, -1, -1},
        {"good, but no time is known",   "ooo" "----" "----" "---", OUTCOME_OK, STREAM_NO, -1, -1, -1, -1, -1},
        {"a good stream",                "ooo" "oooo" "oooo" "o-o", OUTCOME_OK, STREAM_YES, 400 * MS, 9, 10, 50, 20},
        {"at every limit",               "ooo" "oooo" "oooo" "o-o", OUTCOME_OK, STREAM_YES, LIMIT_NS, 9, LIMIT_NS, LIMIT_NS, LIMIT_NS},
        {"a long stream",                "ooo" "oooo" "booo" "b-o", OUTCOME_OK, STREAM_YES, OVER, 9, 10, 50, 20},
        {"its first token is late",      "ooo" "oooo" "bboo" "b-o", OUTCOME_OK, STREAM_YES, OVER + 9, 9, OVER, 50, 20},
        {"one gap in it",                "ooo" "oooo" "bobo" "b-o", OUTCOME_OK, STREAM_YES, OVER, 9, 10, OVER, 20},
        {"slow all along",               "ooo" "oooo" "bobb" "b-o", OUTCOME_OK, STREAM_YES, OVER, 9, 10, OVER, OVER},
        {"a stream of one piece",        "ooo" "oooo" "oo--" "o-o", OUTCOME_OK, STREAM_YES, 99 * MS, 9, 10, -1, -1},
        {"of pieces that nobody knows",  "ooo" "oooo" "o---" "o-o", OUTCOME_OK, STREAM_YES, 99 * MS, 9, -1, -1, -1},
        {"4xx",                          "obo" "----" "----" "---", OUTCOME_4XX, STREAM_NO, 9, 9, -1, -1, -1},
        {"slow 4xx",                     "obo" "----" "b---" "-b-", OUTCOME_4XX, STREAM_NO, OVER, 9, -1, -1, -1},
        {"429",                          "obo" "----" "----" "---", OUTCOME_429, STREAM_NO, 9, 9, -1, -1, -1},
        {"5xx",                          "boo" "----" "----" "---", OUTCOME_5XX, STREAM_NO, 9, 9, -1, -1, -1},
        {"slow 5xx",                     "boo" "----" "b---" "-b-", OUTCOME_5XX, STREAM_NO, OVER, 9, -1, -1, -1},
        {"refused",                      "boo" "----" "----" "--b", OUTCOME_CONNECT, STREAM_UNKNOWN, -1, -1, -1, -1, -1},
        {"nobody to ask",                "boo" "----" "----" "--b", OUTCOME_UNAVAILABLE, STREAM_UNKNOWN, -1, -1, -1, -1, -1},
        {"never answered",               "boo" "----" "bbbb" "bbb", OUTCOME_TIMEOUT, STREAM_UNKNOWN, OVER, -1, -1, -1, -1},
        {"a timeout however short",      "boo" "----" "bbbb" "bbb", OUTCOME_TIMEOUT, STREAM_UNKNOWN, 9, -1, -1, -1, -1},
        {"a timeout while sending",      "boo" "----" "bbbb" "bbb", OUTCOME_TIMEOUT, STREAM_UNKNOWN, -1, -1, -1, -1, -1},
        {"a steady stream took too long", "boo" "oooo" "b---" "b-b", OUTCOME_TIMEOUT, STREAM_YES, OVER, 9, 10, 50, 20},
        {"a slow one did",               "boo" "oooo" "bbbb" "b-b", OUTCOME_TIMEOUT, STREAM_YES, OVER, 9, OVER, OVER, OVER},
        {"one without content did",      "boo" "oooo" "bbbb" "b-b", OUTCOME_TIMEOUT, STREAM_YES, OVER, 9, -1, -1, -1},
        {"a plain answer did",           "boo" "----" "b---" "-b-", OUTCOME_TIMEOUT, STREAM_NO, OVER, 9, -1, -1, -1},
        {"a stall in a stream",          "boo" "oboo" "b-bb" "b-b", OUTCOME_STALLED, STREAM_YES, 9, 9, 10, 50, 20},
        {"before its first token",       "boo" "oboo" "bbbb" "b-b", OUTCOME_STALLED, STREAM_YES, 9, 9, -1, -1, -1},
        {"of a plain answer",            "boo" "----" "b---" "-b-", OUTCOME_STALLED, STREAM_NO, 9, 9, -1, -1, -1},
        {"a truncated stream",           "boo" "booo" "----" "--b", OUTCOME_TRUNCATED, STREAM_YES, 99, 9, 10, 50, 20},
        {"that was slow before",         "boo" "booo" "bbbb" "b-b", OUTCOME_TRUNCATED, STREAM_YES, OVER, 9, OVER, OVER, OVER},
        {"a truncated plain answer",     "boo" "----" "----" "---", OUTCOME_TRUNCATED, STREAM_NO, 99, 9, -1, -1, -1},
        {"an empty stream",              "boo" "oobo" "----" "--b", OUTCOME_EMPTY, STREAM_YES, 99, 9, -1, -1, -1},
        {"that took its time",           "boo" "oobo" "bb--" "b-b", OUTCOME_EMPTY, STREAM_YES, OVER, 9, -1, -1, -1},
        {"an error event",               "boo" "ooob" "----" "--b", OUTCOME_STREAM_ERROR, STREAM_YES, 99, 9, 10, -1, -1},
        {"reset",                        "boo" "----" "----" "--b", OUTCOME_RESET, STREAM_UNKNOWN, 99, -1, -1, -1, -1},
        {"reset after a long silence",   "boo" "----" "bb--" "bbb", OUTCOME_RESET, STREAM_UNKNOWN, OVER, -1, -1, -1, -1},
        {"reset in a stream",            "boo" "oooo" "----" "--b", OUTCOME_RESET, STREAM_YES, 99, 9, 10, 50, 20},
        {"malformed",                    "boo" "----" "----" "--b", OUTCOME_MALFORMED, STREAM_UNKNOWN, 99, -1, -1, -1, -1},
        {"the client left at once",      "--b" "----" "----" "---", OUTCOME_CLIENT_ABORT, STREAM_UNKNOWN, 99, -1, -1, -1, -1},
        {"it had waited long enough",    "--b" "----" "b---" "bb-", OUTCOME_CLIENT_ABORT, STREAM_UNKNOWN, OVER, -1, -1, -1, -1},
        {"it left within a stream",      "--o" "----" "----" "---", OUTCOME_CLIENT_ABORT, STREAM_YES, 99, 9, 10, 50, 20},
        {"that had a gap",               "--o" "----" "b-b-" "b--", OUTCOME_CLIENT_ABORT, STREAM_YES, OVER, 9, 10, OVER, 20},
        {"that said nothing for long",   "--o" "----" "bb--" "b--", OUTCOME_CLIENT_ABORT, STREAM_YES, OVER, 9, -1, -1, -1},
        {"within a plain answer",        "--o" "----" "----" "---", OUTCOME_CLIENT_ABORT, STREAM_NO, 99, 9, -1, -1, -1},
        /* clang-format on */
    };
    struct test_policy policy;
    struct judge j;
    int64_t limits[CRITERIA];
    struct judge_step steps[CRITERIA + 1];
    (void)state;
    setup(&policy, &j);
    find_limits(&j, limits, steps);
    assert_int_equal(j.counted, (UINT32_C(1) << SIZE) - 1);
    assert_int_equal(j.shifts, UINT32_C(1) << SIZE);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct outcome o = {.kind = rows[i].kind,
                            .stream = rows[i].stream,
                            .latency_ns = rows[i].latency,
                            .first_byte_ns = rows[i].first_byte,
                            .first_token_ns = rows[i].first_token,
                            .longest_gap_ns = rows[i].gap,
                            .per_token_ns = rows[i].per_token};
        uint32_t bad, excluded;
        char marks[SIZE + 1] = "";
        judge_end(&j, &o, o.latency_ns, limits, steps, j.counted, &bad, &excluded);
        assert_int_equal(bad & excluded, 0);
        for (size_t c = 0; c < SIZE; c++)
            marks[c] = (bad >> c & 1) != 0 ? 'b' : (excluded >> c & 1) != 0 ? '-' : 'o';
        if (strcmp(marks, rows[i].marks) != 0)
            fail_msg("%s: %s, not %s", rows[i].what, marks, rows[i].marks);
        /* What is decided is not decided again. */
        for (size_t c = 0; c < SIZE; c++) {
            uint32_t one_bad, one_excluded, one = UINT32_C(1) << c;
            judge_end(&j, &o, o.latency_ns, limits, steps, one, &one_bad, &one_excluded);
            assert_int_equal(one_bad, bad & one);
            assert_int_equal(one_excluded, excluded & one);
        }
    }
}

static void test_in_flight(void **state)
{
    enum {
        L = 1 << LATENCY,
        F = 1 << FIRST_TOKEN,
        S = 1 << STREAM_LATENCY,
        P = 1 << PLAIN_LATENCY,
    };
    static const struct {
        const char *what;
        enum outcome_stream stream;
        bool first_token;
        int64_t elapsed_ns;
        uint32_t bad, may_break;
    } rows[] = {
        {"in time", STREAM_UNKNOWN, false, LIMIT_NS, 0, L},
        {"silent; what it would be is not known", STREAM_UNKNOWN, false, OVER, L, L},
        {"a plain answer", STREAM_NO, false, OVER, L | P, L | P},
        {"a stream without content", STREAM_YES, false, OVER, L | F | S, L | F | S},
        {"a stream that goes on", STREAM_YES, true, OVER, L | S, L | S},
        {"that goes on in time", STREAM_YES, true, LIMIT_NS, 0, L | S},
    };
    struct test_policy policy;
    struct judge j;
    int64_t limits[CRITERIA];
    struct judge_step steps[CRITERIA + 1];
    (void)state;
    setup(&policy, &j);
    find_limits(&j, limits, steps);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        uint32_t may = judge_may_break(&j, rows[i].stream, rows[i].first_token, j.counted);
        uint32_t bad = judge_in_flight(&j, rows[i].stream, rows[i].first_token, rows[i].elapsed_ns,
                                       limits, j.counted);
        if (may != rows[i].may_break || bad != rows[i].bad)
            fail_msg("%s: %x of %x", rows[i].what, bad, may);
        assert_int_equal(judge_in_flight(&j, rows[i].stream, rows[i].first_token,
                                         rows[i].elapsed_ns, limits, j.counted & ~(uint32_t)L),
                         rows[i].bad & ~(uint32_t)L);
        assert_int_equal(judge_lowest(&j, limits, may), LIMIT_NS);
    }
    assert_true(judge_lowest(&j, limits, 1 << ERRORS) == JUDGE_NO_LIMIT);
}

static void test_errors_are_what_the_policy_says(void **state)
{
    struct test_policy policy;
    struct judge j;
    struct outcome o = {.kind = OUTCOME_4XX, .stream = STREAM_NO, .latency_ns = -1};
    uint32_t bad, excluded;
    (void)state;
    setup(&policy, &j);
    policy.policy.analysis.error_kinds = outcome_bit(OUTCOME_4XX);
    judge_init(&j, &policy.policy.analysis);
    int64_t limits[CRITERIA];
    struct judge_step steps[CRITERIA + 1];
    find_limits(&j, limits, steps);
    judge_end(&j, &o, -1, limits, steps, 1 << ERRORS, &bad, &excluded);
    assert_int_equal(bad, 1 << ERRORS);
    o.kind = OUTCOME_5XX;
    judge_end(&j, &o, -1, limits, steps, 1 << ERRORS, &bad, &excluded);
    assert_int_equal(bad | excluded, 0);
    assert_int_equal(j.error_kinds, outcome_bit(OUTCOME_4XX));
}

static void test_what_is_rare(void **state)
{
    static const struct {
        struct policy_criterion criterion;
        bool rare;
    } rows[] = {
        {{.metric = METRIC_ERROR_RATE, .test = TEST_MAX, .p0 = 0.2}, true},
        {{.metric = METRIC_ERROR_RATE, .test = TEST_MAX_RATIO, .ratio = 2}, true},
        {{.metric = METRIC_OUTCOME, .test = TEST_MAX, .p0 = 0.05}, true},
        {{.metric = METRIC_OUTCOME, .test = TEST_MAX, .p0 = 0.2}, false},
        {{.metric = METRIC_OUTCOME, .test = TEST_MAX_INCREASE, .delta = 0.01}, false},
        {{.metric = METRIC_CLIENT_ABORT_RATE, .test = TEST_MAX, .p0 = 0.02}, true},
        {{.metric = METRIC_LATENCY, .test = TEST_MAX, .quantile = 0.99, .p0 = 0.01}, true},
        {{.metric = METRIC_LATENCY, .test = TEST_MAX_RATIO, .quantile = 0.95}, true},
        {{.metric = METRIC_LATENCY, .test = TEST_MAX_RATIO, .quantile = 0.9}, false},
        {{.metric = METRIC_INTER_TOKEN_GAP, .test = TEST_MAX_RATIO, .quantile = 0.5}, false},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct test_policy policy;
        struct judge j;
        test_policy_init(&policy);
        add_criterion(&policy, rows[i].criterion);
        judge_init(&j, &policy.policy.analysis);
        assert_int_equal(j.rare, rows[i].rare);
    }
}

/* The short way of good answers and the long way of the others compare alike. */
static void test_many_limits_of_latency(void **state)
{
    enum { LIMITS = CRITERIA_MAX };
    struct test_policy policy;
    struct judge j;
    struct rng rng;
    (void)state;
    rng_seed(&rng, 5);
    test_policy_init(&policy);
    for (size_t i = 0; i < LIMITS; i++)
        add_time(&policy, METRIC_LATENCY, WHERE_ANY);
    judge_init(&j, &policy.policy.analysis);
    for (int round = 0; round < 2000; round++) {
        int64_t limits[LIMITS];
        struct judge_step steps[LIMITS + 1];
        uint32_t expected = 0, bad, excluded;
        struct outcome o = {
            .kind = OUTCOME_OK, .stream = STREAM_NO, .latency_ns = (int64_t)rng_below(&rng, 1000)};
        for (size_t i = 0; i < LIMITS; i++) {
            limits[i] = rng_below(&rng, 5) == 0 ? JUDGE_NO_LIMIT : (int64_t)rng_below(&rng, 1000);
            expected |= (uint32_t)(o.latency_ns > limits[i]) << j.time[i].criterion;
        }
        judge_steps(&j, limits, steps);
        judge_end(&j, &o, o.latency_ns, limits, steps, j.counted, &bad, &excluded);
        assert_int_equal(bad, expected);
        assert_int_equal(excluded, 0);
        o.kind = OUTCOME_4XX;
        judge_end(&j, &o, o.latency_ns, limits, steps, j.counted, &bad, &excluded);
        assert_int_equal(bad, expected);
        assert_int_equal(excluded, j.counted & ~expected);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_each_outcome_to_each_metric),     cmocka_unit_test(test_in_flight),
        cmocka_unit_test(test_errors_are_what_the_policy_says), cmocka_unit_test(test_what_is_rare),
        cmocka_unit_test(test_many_limits_of_latency),
    };
    return cmocka_run_group_tests_name("judge", tests, NULL, NULL);
}
