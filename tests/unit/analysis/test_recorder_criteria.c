/* What reaches the evidence besides the outcomes: limits that follow stable, new endpoints,
 * `where`, first tokens, values; who is woken, and which requests are kept as examples. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "analysis/recorder.h"
#include "analysis/reference.h"
#include "analysis/value_ring.h"
#include "base/check.h"
#include "base/rng.h"
#include "tests/unit/analysis/policies.h"

#define MS NS_PER_MS

struct fixture {
    struct test_policy policy;
    struct recorder *recorder;
    struct recorder_shard *shard;
    struct observation seen;
    int64_t now_ns;
};

static void begin(struct fixture *f)
{
    f->recorder = recorder_new(2, &f->policy.set);
    f->shard = recorder_shard(f->recorder, 0);
    f->now_ns = 1000 * NS_PER_SEC;
    observation_init(&f->seen);
}

static void teardown(struct fixture *f)
{
    observation_deinit(&f->seen);
    recorder_free(f->recorder);
}

static struct slot_counts total(struct fixture *f, enum variant v)
{
    struct slot_counts sum = {0};
    recorder_read(f->recorder, 0, &f->seen);
    for (size_t i = 0; i < f->seen.count; i++) {
        const struct slot_counts *c = &f->seen.deltas[i].variants[v];
        sum.dispatched += c->dispatched;
        sum.settled += c->settled;
        sum.errors += c->errors;
        for (size_t k = 0; k < CRITERIA_MAX; k++) {
            sum.bad[k] += c->bad[k];
            sum.excluded[k] += c->excluded[k];
            sum.overdue[k] += c->overdue[k];
        }
    }
    return sum;
}

/* p50, p90 and p99 of latency against stable's. */
static void add_ratios(struct test_policy *t, enum criterion_metric metric)
{
    static const double quantiles[] = {0.5, 0.9, 0.99};
    for (size_t i = 0; i < 3; i++)
        add_criterion(t, (struct policy_criterion){.metric = metric,
                                                   .test = TEST_MAX_RATIO,
                                                   .quantile = quantiles[i],
                                                   .ratio = 1,
                                                   .delta = 0.02,
                                                   .limit = 1.3});
}

static void set_limits(struct fixture *f, int64_t p50_ns, int64_t p90_ns, int64_t p99_ns)
{
    struct moving_limits limits;
    memset(&limits, 0xff, sizeof limits); /* -1: none */
    int64_t of[] = {p50_ns, p90_ns, p99_ns};
    for (size_t i = 0; i < 3; i++) {
        limits.stable_ns[i] = of[i];
        limits.canary_ns[i] = of[i] < 0 ? -1 : 2 * of[i];
    }
    recorder_limits(f->recorder, 0, &limits);
}

static void dispatch(struct fixture *f, struct recorder_ticket *t, enum variant v)
{
    recorder_dispatch(f->shard, t, 0, 1, v, UINT32_MAX, f->now_ns);
    recorder_sent(t, f->now_ns);
}

static struct outcome outcome(enum outcome_kind kind, int64_t latency_ns)
{
    return (struct outcome){.kind = kind,
                            .latency_ns = latency_ns,
                            .first_byte_ns = -1,
                            .first_token_ns = -1,
                            .longest_gap_ns = -1,
                            .per_token_ns = -1,
                            .connect_ns = -1,
                            .queue_ns = -1,
                            .response_bytes = -1,
                            .tokens = -1,
                            .stream = STREAM_NO};
}

static void finish(struct fixture *f, struct recorder_ticket *t, enum outcome_kind kind,
                   int64_t latency_ns)
{
    struct outcome o = outcome(kind, latency_ns);
    recorder_finish(f->shard, t, &o, f->now_ns);
}

static void request(struct fixture *f, enum variant v, enum outcome_kind kind, int64_t latency_ns)
{
    struct recorder_ticket t;
    dispatch(f, &t, v);
    finish(f, &t, kind, latency_ns);
}

/* --- limits that follow stable ------------------------------------------------------------- */

static void test_without_a_reference_nothing_is_a_sample(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    begin(&f);
    dispatch(&f, &t, VARIANT_CANARY);
    assert_int_equal(total(&f, VARIANT_CANARY).excluded[0], 1); /* in flight already */
    recorder_sweep(f.shard, f.now_ns += NS_PER_HOUR);
    finish(&f, &t, OUTCOME_TIMEOUT, NS_PER_HOUR);
    set_limits(&f, 10 * MS, 20 * MS, -1);
    request(&f, VARIANT_CANARY, OUTCOME_OK, 30 * MS);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.dispatched, 2);
    assert_int_equal(c.settled, 2);
    assert_int_equal(c.excluded[0], 1);
    assert_int_equal(c.excluded[2], 2); /* of that quantile nothing is known yet */
    assert_int_equal(c.bad[0], 1);
    assert_int_equal(c.bad[1] + c.bad[2], 0);
    teardown(&f);
}

/* Judged by what was known before it was sent, whatever is learned while it runs. */
static void test_limits_are_those_of_the_dispatch(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    begin(&f);
    set_limits(&f, 10 * MS, 20 * MS, 40 * MS);
    dispatch(&f, &t, VARIANT_STABLE);
    set_limits(&f, 1 * MS, 2 * MS, 4 * MS);
    f.now_ns += 1; /* the same slot, the same limits */
    request(&f, VARIANT_STABLE, OUTCOME_OK, 10 * MS);
    request(&f, VARIANT_CANARY, OUTCOME_OK, 20 * MS); /* twice as much is allowed */
    request(&f, VARIANT_CANARY, OUTCOME_OK, 41 * MS);
    f.now_ns += NS_PER_SEC; /* the next */
    request(&f, VARIANT_STABLE, OUTCOME_OK, 3 * MS);
    finish(&f, &t, OUTCOME_OK, 15 * MS);
    struct slot_counts c = total(&f, VARIANT_CANARY), s = total(&f, VARIANT_STABLE);
    assert_int_equal(c.bad[0], 1);
    assert_int_equal(c.bad[1], 1);
    assert_int_equal(c.bad[2], 0);
    assert_int_equal(s.bad[0], 2);
    assert_int_equal(s.bad[1], 1);
    assert_int_equal(s.bad[2], 0);
    assert_int_equal(s.excluded[0] + c.excluded[0], 0);
    teardown(&f);
}

static void test_in_flight_above_a_moving_limit(void **state)
{
    struct fixture f;
    struct recorder_ticket t, u;
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    begin(&f);
    set_limits(&f, NS_PER_SEC, 5 * NS_PER_SEC, 20 * NS_PER_SEC);
    dispatch(&f, &t, VARIANT_CANARY);
    dispatch(&f, &u, VARIANT_STABLE);
    recorder_sweep(f.shard, f.now_ns + 2 * NS_PER_SEC); /* stable's p50, not yet the canary's */
    assert_int_equal(total(&f, VARIANT_STABLE).overdue[0], 1);
    assert_int_equal(total(&f, VARIANT_CANARY).bad[0], 0);
    recorder_sweep(f.shard, f.now_ns + 2 * NS_PER_SEC + 1);
    assert_int_equal(total(&f, VARIANT_CANARY).overdue[0], 1);
    assert_int_equal(recorder_alarms(f.recorder, 0), 0); /* a median wakes nobody */
    for (int s = 3; s <= 41; s++)
        recorder_sweep(f.shard, f.now_ns + s * NS_PER_SEC);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(c.overdue[i], 1);
    assert_true(recorder_alarms(f.recorder, 0) > 0);
    f.now_ns += 41 * NS_PER_SEC;
    finish(&f, &t, OUTCOME_OK, 41 * NS_PER_SEC);
    finish(&f, &u, OUTCOME_OK, 41 * NS_PER_SEC);
    c = total(&f, VARIANT_CANARY);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(c.overdue[i], 0);
        assert_int_equal(c.bad[i], 1);
    }
    teardown(&f);
}

/* What stable's quantiles are taken from. */
static void test_stable_teaches_by_its_samples(void **state)
{
    static struct histogram_view view;
    static const char *const paths[] = {"/predict"};
    struct fixture f;
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    add_ratios(&f.policy, METRIC_INTER_TOKEN_GAP);
    add_ratios(&f.policy, METRIC_LATENCY);
    for (size_t i = 6; i < 9; i++)
        f.policy.criteria[i].where = (struct policy_where){.paths = paths, .path_count = 1};
    f.policy.policy.analysis.warm_up_requests = 1;
    f.policy.policy.analysis.warm_up_ns = NS_PER_MIN;
    begin(&f);
    request(&f, VARIANT_STABLE, OUTCOME_OK, 10 * MS);
    request(&f, VARIANT_STABLE, OUTCOME_TIMEOUT, 20 * MS);
    request(&f, VARIANT_STABLE, OUTCOME_STALLED, 30 * MS);
    request(&f, VARIANT_STABLE, OUTCOME_5XX, 40 * MS);
    request(&f, VARIANT_STABLE, OUTCOME_4XX, 50 * MS);
    request(&f, VARIANT_STABLE, OUTCOME_CLIENT_ABORT, 60 * MS);
    request(&f, VARIANT_CANARY, OUTCOME_OK, 70 * MS);
    struct recorder_ticket t;
    recorder_dispatch(f.shard, &t, 0, 1, VARIANT_STABLE, 0777 & ~(7u << 6), f.now_ns);
    recorder_endpoint(f.shard, &t, 0, f.now_ns); /* a new one */
    finish(&f, &t, OUTCOME_OK, 80 * MS);
    recorder_dispatch(f.shard, &t, 0, 1, VARIANT_STABLE, 0777 & ~(7u << 6), f.now_ns);
    struct outcome o = outcome(OUTCOME_OK, 90 * MS);
    o.stream = STREAM_YES;
    o.longest_gap_ns = 5 * MS;
    recorder_finish(f.shard, &t, &o, f.now_ns);
    recorder_count(f.shard, 0, VARIANT_STABLE, &o); /* a retry */
    for (size_t c = 0; c < 3; c++) {
        recorder_moving_histogram(f.recorder, 0, c, &view);
        assert_int_equal(view.total, 4); /* 10, 20, 30, 90 */
        assert_in_range(histogram_quantile_ns(&view, 1), 90 * MS, 91 * MS);
        recorder_moving_histogram(f.recorder, 0, 3 + c, &view);
        assert_int_equal(view.total, 1); /* the stream's gap */
        recorder_moving_histogram(f.recorder, 0, 6 + c, &view);
        assert_int_equal(view.total, 3); /* without those that it does not ask about */
    }
    /* What people see has all of them. */
    recorder_histogram(f.recorder, 0, VARIANT_STABLE, HIST_LATENCY, &view);
    assert_int_equal(view.total, 9);
    recorder_histogram(f.recorder, 0, VARIANT_CANARY, HIST_LATENCY, &view);
    assert_int_equal(view.total, 1);
    teardown(&f);
}

/* --- who is asked -------------------------------------------------------------------------- */

static void test_where_leaves_requests_out(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    (void)state;
    test_policy_init(&f.policy);
    add_error_rate_max(&f.policy, 0.01);
    add_error_rate_max(&f.policy, 0.01);
    add_latency_max(&f.policy, 0.99, 500 * MS);
    begin(&f);
    recorder_dispatch(f.shard, &t, 0, 1, VARIANT_CANARY, 1, f.now_ns);
    recorder_sent(&t, f.now_ns);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.excluded[0], 0);
    assert_int_equal(c.excluded[1], 1); /* at once: it dilutes nothing while it is in flight */
    assert_int_equal(c.excluded[2], 1);
    recorder_sweep(f.shard, f.now_ns += NS_PER_MIN);
    finish(&f, &t, OUTCOME_5XX, NS_PER_MIN);
    c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.bad[0], 1);
    assert_int_equal(c.bad[1] + c.bad[2], 0);
    assert_int_equal(c.excluded[1], 1);
    assert_int_equal(c.excluded[2], 1);
    assert_int_equal(c.errors, 1);
    teardown(&f);
}

static void test_a_new_endpoint_is_no_sample_of_times(void **state)
{
    static const struct {
        const char *what;
        uint32_t requests;
        int64_t for_ns, every_ns;
        uint32_t left_out; /* of 10 requests */
    } rows[] = {
        {"the first requests", 4, NS_PER_MIN, 1, 4},
        {"or the first seconds, whichever end first", 4, 2 * NS_PER_SEC, NS_PER_SEC, 2},
        {"no requests: off", 0, NS_PER_MIN, 1, 0},
        {"no time: off", 4, 0, 1, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        test_policy_init(&f.policy);
        add_latency_max(&f.policy, 0.99, 500 * MS);
        add_error_rate_max(&f.policy, 0.01);
        f.policy.policy.analysis.warm_up_requests = rows[i].requests;
        f.policy.policy.analysis.warm_up_ns = rows[i].for_ns;
        begin(&f);
        for (uint32_t endpoint = 0; endpoint < 2; endpoint++)
            for (size_t k = 0; k < 10; k++) {
                struct recorder_ticket t;
                f.shard = recorder_shard(f.recorder, k % 2); /* counted over all workers */
                recorder_dispatch(f.shard, &t, 0, 1, VARIANT_CANARY, UINT32_MAX, f.now_ns);
                recorder_endpoint(f.shard, &t, endpoint, f.now_ns);
                recorder_sent(&t, f.now_ns);
                recorder_sweep(f.shard, f.now_ns + NS_PER_SEC);
                finish(&f, &t, OUTCOME_5XX, NS_PER_SEC);
                f.now_ns += rows[i].every_ns;
            }
        struct slot_counts c = total(&f, VARIANT_CANARY);
        if (c.excluded[0] != 2 * rows[i].left_out)
            fail_msg("%s: %u left out", rows[i].what, c.excluded[0]);
        assert_int_equal(c.bad[0], 20 - c.excluded[0]);
        assert_int_equal(c.overdue[0], 0);
        assert_int_equal(c.bad[1], 20); /* errors are errors from the first on */
        teardown(&f);
    }
}

/* --- first tokens -------------------------------------------------------------------------- */

static void test_a_late_first_token(void **state)
{
    enum step { NONE, HEAD, PLAIN, TOKEN, LATE_TOKEN };
    static const struct {
        const char *what;
        enum step before, after; /* the limit */
        uint32_t bad_in_flight;
    } rows[] = {
        {"not answered: it may be none of a stream", NONE, NONE, 0},
        {"a stream that says nothing", HEAD, NONE, 1},
        {"a stream after all", NONE, HEAD, 1},
        {"a plain answer", PLAIN, NONE, 0},
        {"a plain answer after all", NONE, PLAIN, 0},
        {"a token in time", TOKEN, NONE, 0},
        {"a token too late", NONE, LATE_TOKEN, 1},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct recorder_ticket t;
        test_policy_init(&f.policy);
        add_latency_max(&f.policy, 0.95, 500 * MS);
        f.policy.criteria[0].metric = METRIC_TIME_TO_FIRST_TOKEN;
        begin(&f);
        dispatch(&f, &t, VARIANT_CANARY);
        for (int late = 0; late < 2; late++) {
            enum step step = late ? rows[i].after : rows[i].before;
            if (step == HEAD || step == TOKEN || step == LATE_TOKEN)
                recorder_stream(f.shard, &t, STREAM_YES);
            if (step == PLAIN)
                recorder_stream(f.shard, &t, STREAM_NO);
            if (step == TOKEN || step == LATE_TOKEN)
                recorder_first_token(&t, f.now_ns + (late ? NS_PER_SEC : 500 * MS));
            if (!late)
                recorder_sweep(f.shard, f.now_ns + NS_PER_SEC);
        }
        if (rows[i].after != LATE_TOKEN) /* seen at once, without a sweep */
            recorder_sweep(f.shard, f.now_ns + NS_PER_SEC + 200 * MS);
        struct slot_counts c = total(&f, VARIANT_CANARY);
        if (c.bad[0] != rows[i].bad_in_flight || c.overdue[0] != (int32_t)c.bad[0])
            fail_msg("%s: %u bad, %d overdue", rows[i].what, c.bad[0], c.overdue[0]);
        recorder_void(f.shard, &t);
        teardown(&f);
    }
}

/* --- who is woken -------------------------------------------------------------------------- */

static void test_what_wakes_the_control_thread(void **state)
{
    struct fixture f;
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    add_criterion(&f.policy, (struct policy_criterion){.metric = METRIC_OUTCOME,
                                                       .test = TEST_MAX_INCREASE,
                                                       .kinds = outcome_bit(OUTCOME_4XX)});
    begin(&f);
    set_limits(&f, 10 * MS, 20 * MS, 40 * MS);
    request(&f, VARIANT_CANARY, OUTCOME_OK, 1 * MS);
    request(&f, VARIANT_CANARY, OUTCOME_OK, 21 * MS); /* above the median */
    request(&f, VARIANT_CANARY, OUTCOME_OK, 41 * MS); /* above nine tenths */
    request(&f, VARIANT_CANARY, OUTCOME_4XX, 1 * MS); /* how many are usual nobody said */
    request(&f, VARIANT_STABLE, OUTCOME_5XX, 1 * MS);
    assert_int_equal(total(&f, VARIANT_CANARY).bad[3], 1);
    assert_int_equal(recorder_alarms(f.recorder, 0), 0);
    request(&f, VARIANT_CANARY, OUTCOME_OK, 81 * MS);
    assert_int_equal(recorder_alarms(f.recorder, 0), 1);
    request(&f, VARIANT_CANARY, OUTCOME_5XX, 1 * MS); /* no criterion asks: hard_down does */
    assert_int_equal(recorder_alarms(f.recorder, 0), 2);
    teardown(&f);
}

/* --- examples ------------------------------------------------------------------------------ */

static char current_id[256];

static struct str id_of(const struct recorder_ticket *t)
{
    assert_non_null(t);
    return str_from(current_id);
}

static void bad_request(struct fixture *f, const char *id, enum outcome_kind kind,
                        int64_t latency_ns)
{
    snprintf(current_id, sizeof current_id, "%s", id);
    request(f, VARIANT_CANARY, kind, latency_ns);
    f->now_ns += MS;
}

static void test_examples(void **state)
{
    struct fixture f;
    struct recorder_example e[32];
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    begin(&f);
    set_limits(&f, 10 * MS, 20 * MS, 40 * MS);
    bad_request(&f, "nobody asked", OUTCOME_5XX, MS);
    recorder_ids(f.shard, id_of);
    recorder_ids(recorder_shard(f.recorder, 1), id_of);
    assert_int_equal(recorder_examples(f.recorder, 0, e, 32), 1);
    assert_string_equal(e[0].id, "");
    bad_request(&f, "good", OUTCOME_OK, MS);
    bad_request(&f, "gone", OUTCOME_CLIENT_ABORT, MS);
    for (int i = 0; i < 500; i++)
        bad_request(&f, "above the median", OUTCOME_OK, 21 * MS);
    bad_request(&f, "5xx", OUTCOME_5XX, 3 * MS);
    f.shard = recorder_shard(f.recorder, 1);
    bad_request(&f, "slow", OUTCOME_OK, 81 * MS);
    current_id[0] = '\0';
    for (size_t i = 0; i < 100; i++)
        snprintf(current_id + i, 2, "x");
    request(&f, VARIANT_STABLE, OUTCOME_5XX, MS); /* not the canary's */
    request(&f, VARIANT_CANARY, OUTCOME_CONNECT, -1);
    /* Newest first; the usual ones, once a second, have not pushed out what matters. */
    assert_int_equal(recorder_examples(f.recorder, 0, e, 32), 5);
    assert_int_equal(strlen(e[0].id), RECORDER_ID_MAX);
    assert_int_equal(e[0].kind, OUTCOME_CONNECT);
    assert_string_equal(e[1].id, "slow");
    assert_int_equal(e[1].bad_mask, 7);
    assert_int_equal(e[1].kind, OUTCOME_OK);
    assert_int_equal(e[1].latency_ns, 81 * MS);
    assert_false(e[1].in_flight);
    assert_string_equal(e[2].id, "5xx");
    assert_int_equal(e[2].bad_mask, 0);
    assert_string_equal(e[3].id, "above the median");
    assert_int_equal(e[3].bad_mask, 1);
    for (size_t i = 1; i < 5; i++)
        assert_true(e[i - 1].wall_ns >= e[i].wall_ns);
    assert_int_equal(recorder_examples(f.recorder, 0, e, 2), 2);
    assert_string_equal(e[1].id, "slow");
    assert_int_equal(recorder_examples(f.recorder, 0, e, 0), 0);
    teardown(&f);
}

static void test_examples_of_a_canary_that_hangs(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    struct recorder_example e[8];
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    begin(&f);
    recorder_ids(f.shard, id_of);
    set_limits(&f, 10 * MS, 20 * MS, 40 * MS);
    strcpy(current_id, "hung");
    dispatch(&f, &t, VARIANT_CANARY);
    recorder_endpoint(f.shard, &t, 1, f.now_ns);
    recorder_sweep(f.shard, f.now_ns += NS_PER_SEC);
    assert_int_equal(recorder_examples(f.recorder, 0, e, 8), 1);
    assert_string_equal(e[0].id, "hung");
    assert_true(e[0].in_flight);
    assert_int_equal(e[0].latency_ns, NS_PER_SEC);
    assert_int_equal(e[0].endpoint, 1);
    assert_int_equal(e[0].bad_mask, 7);
    f.now_ns += NS_PER_SEC;
    finish(&f, &t, OUTCOME_TIMEOUT, 2 * NS_PER_SEC);
    assert_int_equal(recorder_examples(f.recorder, 0, e, 8), 1); /* the same, as it ended */
    assert_false(e[0].in_flight);
    assert_int_equal(e[0].kind, OUTCOME_TIMEOUT);
    teardown(&f);
}

/* --- values -------------------------------------------------------------------------------- */

struct values {
    struct shift_value v[16];
    size_t count;
};

static void take(void *ctx, const struct shift_value *v)
{
    struct values *values = ctx;
    values->v[values->count++ % 16] = *v;
}

static void test_values(void **state)
{
    enum { SIZE, TOKENS, DRIFT, STREAM_DRIFT };
    struct fixture f;
    struct recorder_ticket t;
    struct recorder_totals totals;
    struct values got = {.count = 0};
    (void)state;
    test_policy_init(&f.policy);
    add_criterion(&f.policy, (struct policy_criterion){.metric = METRIC_RESPONSE_SIZE});
    add_criterion(&f.policy, (struct policy_criterion){.metric = METRIC_TOKEN_USAGE});
    add_criterion(&f.policy, (struct policy_criterion){.metric = METRIC_DRIFT});
    add_criterion(&f.policy, (struct policy_criterion){.metric = METRIC_DRIFT});
    add_error_rate_max(&f.policy, 0.01);
    for (size_t c = 0; c < 4; c++)
        f.policy.criteria[c].test = TEST_SHIFT;
    f.policy.criteria[STREAM_DRIFT].where.stream = WHERE_STREAM;
    begin(&f);
    struct outcome o = outcome(OUTCOME_OK, MS);
    o.response_bytes = 400;
    recorder_dispatch(f.shard, &t, 0, 9, VARIANT_CANARY, UINT32_MAX, f.now_ns);
    recorder_stream(f.shard, &t, STREAM_NO);
    for (uint8_t c = DRIFT; c <= STREAM_DRIFT; c++) /* the second does not ask about this one */
        recorder_value(
            f.shard, &t,
            &(struct shift_value){.criterion = c, .kind = VALUE_CATEGORY, .category = 7});
    recorder_finish(f.shard, &t, &o, f.now_ns);
    recorder_value(f.shard, &t, &(struct shift_value){.criterion = DRIFT}); /* it is over */
    recorder_values(f.recorder, 0, take, &got);
    assert_int_equal(got.count, 3);
    assert_int_equal(got.v[0].criterion, DRIFT);
    assert_int_equal(got.v[0].category, 7);
    assert_int_equal(got.v[0].epoch, 9);
    assert_int_equal(got.v[0].variant, VARIANT_CANARY);
    assert_int_equal(got.v[1].criterion, SIZE);
    assert_int_equal(got.v[1].kind, VALUE_NUMBER);
    assert_true(got.v[1].number == 400);
    assert_int_equal(got.v[2].criterion, TOKENS);
    assert_int_equal(got.v[2].kind, VALUE_MISSING); /* looked at, and it did not say */
    recorder_values(f.recorder, 0, take, &got);
    assert_int_equal(got.count, 3); /* once */
    /* Failures have no values; `where` leaves out. */
    request(&f, VARIANT_CANARY, OUTCOME_5XX, MS);
    recorder_dispatch(f.shard, &t, 0, 9, VARIANT_STABLE, 1 << TOKENS, f.now_ns);
    o.tokens = 12;
    recorder_finish(f.shard, &t, &o, f.now_ns);
    recorder_values(f.recorder, 0, take, &got);
    assert_int_equal(got.count, 4);
    assert_int_equal(got.v[3].variant, VARIANT_STABLE);
    assert_true(got.v[3].number == 12);
    /* They are no evidence of another kind. */
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.bad[SIZE] + c.excluded[SIZE] + c.bad[DRIFT] + c.excluded[DRIFT], 0);
    assert_int_equal(c.bad[4], 1);
    /* Nobody takes them. */
    for (int i = 0; i < VALUES_MAX; i++) {
        recorder_dispatch(f.shard, &t, 0, 9, VARIANT_STABLE, UINT32_MAX, f.now_ns);
        recorder_finish(f.shard, &t, &o, f.now_ns);
    }
    recorder_totals(f.recorder, 0, &totals);
    assert_in_range(totals.values_lost, VALUES_MAX, VALUES_MAX + VALUE_BLOCK);
    recorder_values(f.recorder, 0, take, &got);
    assert_int_equal(got.count, 4 + 2 * VALUES_MAX - totals.values_lost);
    teardown(&f);
}

/* --- all of it at once --------------------------------------------------------------------- */

enum { IN_FLIGHT = 32, ROUNDS = 40000, WORKERS = 2 };
enum { P50, P90, P99, PATH_ERRORS, FIRST_TOKEN, SIZES };

struct worker {
    struct recorder_shard *shard;
    uint64_t seed;
    atomic_bool done;
};

/* Ids by which a torn example would be seen. */
static struct str long_id(const struct recorder_ticket *t)
{
    static _Thread_local char id[RECORDER_ID_MAX + 1];
    memset(id, 'a' + (int)((uintptr_t)t / sizeof *t % 26), RECORDER_ID_MAX);
    return (struct str){id, RECORDER_ID_MAX};
}

static void one_request(struct worker *w, struct rng *rng, struct recorder_ticket *t,
                        int64_t now_ns)
{
    struct outcome o = outcome((enum outcome_kind)rng_below(rng, OUTCOME_KIND_COUNT),
                               (int64_t)rng_below(rng, 3000) * MS);
    o.stream = (enum outcome_stream)rng_below(rng, 3);
    o.response_bytes = o.latency_ns;
    recorder_finish(w->shard, t, &o, now_ns);
    recorder_dispatch(w->shard, t, 0, 1, (enum variant)rng_below(rng, 2),
                      rng_below(rng, 2) == 0 ? UINT32_MAX : ~(UINT32_C(1) << PATH_ERRORS), now_ns);
    recorder_endpoint(w->shard, t, rng_below(rng, 2), now_ns);
    recorder_sent(t, now_ns);
    if (rng_below(rng, 2) == 0)
        recorder_stream(w->shard, t, (enum outcome_stream)(1 + rng_below(rng, 2)));
    if (t->stream == STREAM_YES && rng_below(rng, 2) == 0)
        recorder_first_token(t, now_ns + (int64_t)rng_below(rng, 2000) * MS);
}

static void *work(void *arg)
{
    static struct recorder_ticket tickets[WORKERS][IN_FLIGHT];
    struct worker *w = arg;
    struct rng rng;
    int64_t now_ns = 1000 * NS_PER_SEC;
    struct recorder_ticket *flying = tickets[w->seed];
    rng_seed(&rng, w->seed + 1);
    memset(flying, 0, sizeof tickets[0]);
    for (size_t i = 0; i < ROUNDS; i++) {
        one_request(w, &rng, &flying[rng_below(&rng, IN_FLIGHT)], now_ns);
        now_ns += (int64_t)rng_below(&rng, 60) * MS;
        if (i % 8 == 0)
            recorder_sweep(w->shard, now_ns);
    }
    for (size_t i = 0; i < IN_FLIGHT; i++)
        recorder_void(w->shard, &flying[i]);
    atomic_store(&w->done, true);
    return NULL;
}

static void count_value(void *ctx, const struct shift_value *v)
{
    uint64_t *values = ctx;
    assert_int_equal(v->criterion, SIZES);
    assert_true(v->number >= 0 && v->number < 3000.0 * (double)MS);
    ++*values;
}

static void check_counts(const struct slot_counts *c)
{
    assert_true(c->settled <= c->dispatched);
    for (size_t k = 0; k < SIZES; k++) {
        assert_true(c->bad[k] + c->excluded[k] <= c->dispatched);
        assert_true(c->overdue[k] >= 0);
        assert_true((uint32_t)c->overdue[k] <= c->bad[k]);
    }
}

static void add_counts(struct slot_counts *to, const struct slot_counts *c)
{
    to->dispatched += c->dispatched;
    to->settled += c->settled;
    for (size_t k = 0; k < SIZES; k++) {
        to->bad[k] += c->bad[k];
        to->excluded[k] += c->excluded[k];
        to->overdue[k] += c->overdue[k];
    }
}

/* What the control thread does, in any order with what the workers do. */
static void control(struct fixture *f, struct observation *known, uint64_t *values, int64_t look)
{
    struct recorder_example e[16];
    struct histogram_view view;
    int64_t limit_ns = 500 * MS + look % 100 * MS;

    observation_clear(&f->seen);
    recorder_read(f->recorder, 0, &f->seen);
    for (size_t i = 0; i < f->seen.count; i++) {
        const struct slot_delta *d = &f->seen.deltas[i];
        struct slot_delta *k = observation_at(known, d->epoch, d->slot);
        for (size_t v = 0; v < VARIANT_COUNT; v++) {
            add_counts(&k->variants[v], &d->variants[v]);
            check_counts(&k->variants[v]);
        }
    }
    recorder_values(f->recorder, 0, count_value, values);
    set_limits(f, limit_ns, look % 7 == 0 ? -1 : 2 * limit_ns, 3 * limit_ns);
    recorder_moving_histogram(f->recorder, 0, P90, &view);
    size_t count = recorder_examples(f->recorder, 0, e, 16);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(strlen(e[i].id), RECORDER_ID_MAX);
        for (size_t k = 1; k < RECORDER_ID_MAX; k++)
            assert_int_equal(e[i].id[k], e[i].id[0]);
    }
}

static void test_workers_and_the_control_thread(void **state)
{
    struct fixture f;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    struct observation known;
    struct recorder_totals totals;
    uint64_t values = 0;
    int64_t looks = 0;
    (void)state;
    test_policy_init(&f.policy);
    add_ratios(&f.policy, METRIC_LATENCY);
    add_error_rate_max(&f.policy, 0.01);
    add_latency_max(&f.policy, 0.95, 800 * MS);
    f.policy.criteria[FIRST_TOKEN].metric = METRIC_TIME_TO_FIRST_TOKEN;
    add_criterion(&f.policy,
                  (struct policy_criterion){.metric = METRIC_RESPONSE_SIZE, .test = TEST_SHIFT});
    f.policy.policy.analysis.warm_up_requests = 5000;
    f.policy.policy.analysis.warm_up_ns = 10 * NS_PER_MIN;
    begin(&f);
    observation_init(&known);
    /* Known before the first request: however seldom the control thread gets to run, P50 and P99
     * have the same samples. */
    set_limits(&f, 500 * MS, 1000 * MS, 1500 * MS);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].shard = recorder_shard(f.recorder, i);
        workers[i].seed = i;
        atomic_init(&workers[i].done, false);
        recorder_ids(workers[i].shard, long_id);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (bool done = false; !done; looks++) {
        done = true;
        for (size_t i = 0; i < WORKERS; i++)
            done = done && atomic_load(&workers[i].done);
        control(&f, &known, &values, looks); /* once more after the last worker's end */
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    struct slot_counts sum = {0};
    for (size_t i = 0; i < known.count; i++)
        for (size_t v = 0; v < VARIANT_COUNT; v++) {
            assert_int_equal(known.deltas[i].variants[v].settled,
                             known.deltas[i].variants[v].dispatched);
            add_counts(&sum, &known.deltas[i].variants[v]);
        }
    recorder_totals(f.recorder, 0, &totals);
    assert_int_equal(sum.dispatched, WORKERS * ROUNDS);
    assert_true(sum.bad[P50] > sum.bad[P99]);
    assert_true(sum.bad[P99] > 0 && sum.bad[FIRST_TOKEN] > 0 && sum.bad[PATH_ERRORS] > 0);
    for (size_t k = 0; k < SIZES; k++)
        assert_int_equal(sum.overdue[k], 0);
    /* Every good answer had a size, unless it was lost. */
    uint64_t good = 0;
    for (size_t v = 0; v < VARIANT_COUNT; v++)
        good += totals.variants[v].outcomes[OUTCOME_OK];
    assert_int_equal(values + totals.values_lost, good);
    printf("           %jd looks, %ju values\n", (intmax_t)looks, (uintmax_t)values);
    observation_deinit(&known);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_without_a_reference_nothing_is_a_sample),
        cmocka_unit_test(test_limits_are_those_of_the_dispatch),
        cmocka_unit_test(test_in_flight_above_a_moving_limit),
        cmocka_unit_test(test_stable_teaches_by_its_samples),
        cmocka_unit_test(test_where_leaves_requests_out),
        cmocka_unit_test(test_a_new_endpoint_is_no_sample_of_times),
        cmocka_unit_test(test_a_late_first_token),
        cmocka_unit_test(test_what_wakes_the_control_thread),
        cmocka_unit_test(test_examples),
        cmocka_unit_test(test_examples_of_a_canary_that_hangs),
        cmocka_unit_test(test_values),
        cmocka_unit_test(test_workers_and_the_control_thread),
    };
    return cmocka_run_group_tests_name("recorder_criteria", tests, NULL, NULL);
}
