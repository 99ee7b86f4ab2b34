/* What each outcome means to each criterion, and that a reader in another thread sees counters that
 * could have been, whatever the moment. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/cells.h"
#include "analysis/recorder.h"
#include "base/rng.h"
#include "tests/unit/analysis/policies.h"

#define LIMIT_NS (500 * NS_PER_MS)
enum { ERRORS, LATENCY, SLOW_LATENCY };

struct fixture {
    struct test_policy policy;
    struct recorder *recorder;
    struct recorder_shard *shard;
    struct observation seen;
    int64_t now_ns;
};

/* Criteria: error rate, latency over 500 ms, latency over 60 s. */
static void setup(struct fixture *f)
{
    test_policy_init(&f->policy);
    add_error_rate_max(&f->policy, 0.01);
    add_latency_max(&f->policy, 0.99, LIMIT_NS);
    add_latency_max(&f->policy, 0.999, 60 * NS_PER_SEC);
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

static void dispatch(struct fixture *f, struct recorder_ticket *t)
{
    recorder_dispatch(f->shard, t, 0, 1, VARIANT_CANARY, UINT32_MAX, f->now_ns);
}

/* Everything that was read so far, in one. */
static struct slot_counts total(struct fixture *f, enum variant v)
{
    struct slot_counts sum = {0};
    recorder_read(f->recorder, 0, &f->seen);
    for (size_t i = 0; i < f->seen.count; i++) {
        const struct slot_counts *c = &f->seen.deltas[i].variants[v];
        sum.dispatched += c->dispatched;
        sum.settled += c->settled;
        sum.errors += c->errors;
        sum.excused += c->excused;
        for (size_t k = 0; k < CRITERIA_MAX; k++) {
            sum.bad[k] += c->bad[k];
            sum.excluded[k] += c->excluded[k];
            sum.overdue[k] += c->overdue[k];
        }
    }
    return sum;
}

enum { GOOD, BAD, OUT }; /* ok, bad, not a sample */

static int mark(const struct slot_counts *c, size_t criterion)
{
    assert_true(c->bad[criterion] + c->excluded[criterion] <= 1);
    return c->bad[criterion] == 1 ? BAD : c->excluded[criterion] == 1 ? OUT : GOOD;
}

static void test_what_an_outcome_means(void **state)
{
    static const struct {
        const char *what;
        enum outcome_kind kind;
        int64_t latency_ns;
        int sweep; /* seen in flight after the limit */
        int errors, latency;
    } rows[] = {
        {"a good answer", OUTCOME_OK, LIMIT_NS / 2, 0, GOOD, GOOD},
        {"at the limit is not over it", OUTCOME_OK, LIMIT_NS, 0, GOOD, GOOD},
        {"a nanosecond over", OUTCOME_OK, LIMIT_NS + 1, 0, GOOD, BAD},
        {"no time known", OUTCOME_OK, -1, 0, GOOD, OUT},
        {"over the limit in flight already", OUTCOME_OK, LIMIT_NS + 9, 1, GOOD, BAD},
        {"a fast refusal is not fast", OUTCOME_CONNECT, 1000, 0, BAD, OUT},
        {"a slow refusal is slow", OUTCOME_CONNECT, LIMIT_NS + 1, 0, BAD, BAD},
        {"a refusal that never got there", OUTCOME_CONNECT, -1, 0, BAD, OUT},
        {"no endpoint", OUTCOME_UNAVAILABLE, -1, 0, BAD, OUT},
        {"5xx", OUTCOME_5XX, 1000, 0, BAD, OUT},
        {"5xx after the limit", OUTCOME_5XX, LIMIT_NS * 2, 0, BAD, BAD},
        {"4xx", OUTCOME_4XX, 1000, 0, GOOD, OUT},
        {"slow 4xx", OUTCOME_4XX, LIMIT_NS + 1, 0, GOOD, BAD},
        {"429", OUTCOME_429, 1000, 0, GOOD, OUT},
        {"a timeout is slow however short", OUTCOME_TIMEOUT, 10, 0, BAD, BAD},
        {"a timeout before anything was sent", OUTCOME_TIMEOUT, -1, 0, BAD, BAD},
        {"a stall", OUTCOME_STALLED, 10, 0, BAD, BAD},
        {"reset", OUTCOME_RESET, 10, 0, BAD, OUT},
        {"malformed", OUTCOME_MALFORMED, 10, 0, BAD, OUT},
        {"truncated", OUTCOME_TRUNCATED, 10, 0, BAD, OUT},
        {"an error in a stream", OUTCOME_STREAM_ERROR, 10, 0, BAD, OUT},
        {"an empty stream", OUTCOME_EMPTY, 10, 0, BAD, OUT},
        {"the client went away", OUTCOME_CLIENT_ABORT, 10, 0, OUT, OUT},
        {"the client had waited too long", OUTCOME_CLIENT_ABORT, LIMIT_NS + 1, 0, OUT, BAD},
        {"and was seen to", OUTCOME_CLIENT_ABORT, -1, 1, OUT, BAD},
        {"an error after being overdue", OUTCOME_5XX, -1, 1, BAD, BAD},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct recorder_ticket t;
        setup(&f);
        dispatch(&f, &t);
        if (rows[i].latency_ns >= 0 || rows[i].sweep)
            recorder_sent(&t, f.now_ns);
        if (rows[i].sweep) {
            f.now_ns += LIMIT_NS + 1;
            recorder_sweep(f.shard, f.now_ns);
            recorder_sweep(f.shard, f.now_ns);
            struct slot_counts flying = total(&f, VARIANT_CANARY);
            assert_int_equal(flying.overdue[LATENCY], 1);
            assert_int_equal(flying.settled, 0);
        }
        struct outcome o = {.kind = rows[i].kind,
                            .latency_ns = rows[i].latency_ns,
                            .first_byte_ns = -1,
                            .connect_ns = -1};
        recorder_finish(f.shard, &t, &o, f.now_ns);
        recorder_finish(f.shard, &t, &o, f.now_ns); /* settled once */
        recorder_void(f.shard, &t);                 /* not even so */
        recorder_sweep(f.shard, f.now_ns + NS_PER_HOUR);
        struct slot_counts c = total(&f, VARIANT_CANARY);
        if (mark(&c, ERRORS) != rows[i].errors || mark(&c, LATENCY) != rows[i].latency)
            fail_msg("%s: errors %d, latency %d", rows[i].what, mark(&c, ERRORS),
                     mark(&c, LATENCY));
        assert_int_equal(recorder_alarms(f.recorder, 0) > 0,
                         rows[i].errors == BAD || rows[i].latency == BAD);
        assert_int_equal(c.dispatched, 1);
        assert_int_equal(c.settled, 1);
        assert_int_equal(c.overdue[LATENCY], 0);
        assert_int_equal(c.errors, outcome_is_error(rows[i].kind));
        assert_int_equal(c.excused, rows[i].kind == OUTCOME_CLIENT_ABORT);
        teardown(&f);
    }
}

/* The canary's failures alone, of all workers, each at least once. */
static void test_alarms(void **state)
{
    const struct outcome failed = {
        .kind = OUTCOME_5XX, .latency_ns = 1000, .first_byte_ns = -1, .connect_ns = -1};
    struct recorder_ticket t;
    struct fixture f;

    (void)state;
    setup(&f);
    assert_int_equal(recorder_alarms(f.recorder, 0), 0);
    for (size_t shard = 0; shard < 2; shard++) {
        struct recorder_shard *s = recorder_shard(f.recorder, shard);
        uint64_t before = recorder_alarms(f.recorder, 0);
        recorder_dispatch(s, &t, 0, 1, VARIANT_STABLE, UINT32_MAX, f.now_ns);
        recorder_finish(s, &t, &failed, f.now_ns);
        assert_int_equal(recorder_alarms(f.recorder, 0), before);
        recorder_dispatch(s, &t, 0, 1, VARIANT_CANARY, UINT32_MAX, f.now_ns);
        assert_int_equal(recorder_alarms(f.recorder, 0), before);
        recorder_finish(s, &t, &failed, f.now_ns);
        assert_true(recorder_alarms(f.recorder, 0) > before);
    }
    teardown(&f);
}

/* What we end ourselves speaks neither for nor against a version. Only a limit that was broken
 * before that stays broken, and nothing is in flight any more. */
static void test_a_voided_attempt_is_charged_to_nobody(void **state)
{
    static const struct {
        const char *what;
        bool sent, swept;
        int latency, slow_latency;
    } rows[] = {
        {"before it was sent", false, false, OUT, OUT},
        {"a long wait for the client is nobody's", false, true, OUT, OUT},
        {"while the backend worked", true, false, OUT, OUT},
        {"over one limit of two", true, true, BAD, OUT},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        struct recorder_ticket t;
        struct recorder_totals totals;
        struct outcome late = {.kind = OUTCOME_5XX, .latency_ns = LIMIT_NS * 2};
        setup(&f);
        dispatch(&f, &t);
        if (rows[i].sent)
            recorder_sent(&t, f.now_ns);
        if (rows[i].swept)
            recorder_sweep(f.shard, f.now_ns += LIMIT_NS + 1);
        (void)total(&f, VARIANT_CANARY); /* the control thread may have looked in between */
        recorder_void(f.shard, &t);
        recorder_void(f.shard, &t);
        recorder_finish(f.shard, &t, &late, f.now_ns); /* settled once */
        recorder_sweep(f.shard, f.now_ns + NS_PER_HOUR);
        struct slot_counts c = total(&f, VARIANT_CANARY);
        if (mark(&c, ERRORS) != OUT || mark(&c, LATENCY) != rows[i].latency ||
            mark(&c, SLOW_LATENCY) != rows[i].slow_latency)
            fail_msg("%s: errors %d, latency %d and %d", rows[i].what, mark(&c, ERRORS),
                     mark(&c, LATENCY), mark(&c, SLOW_LATENCY));
        assert_int_equal(c.dispatched, 1);
        assert_int_equal(c.settled, 1);
        assert_int_equal(c.errors, 0);
        assert_int_equal(c.excused, 1);
        assert_int_equal(c.overdue[LATENCY], 0);
        recorder_totals(f.recorder, 0, &totals);
        assert_int_equal(totals.variants[VARIANT_CANARY].voided, 1);
        assert_int_equal(totals.variants[VARIANT_CANARY].dispatched, 1);
        for (int k = 0; k < OUTCOME_KIND_COUNT; k++)
            assert_int_equal(totals.variants[VARIANT_CANARY].outcomes[k], 0);
        teardown(&f);
    }
}

static void test_a_hung_request_is_found_at_each_limit(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    (void)state;
    setup(&f);
    dispatch(&f, &t);
    recorder_sweep(f.shard, f.now_ns += 10 * NS_PER_SEC);
    assert_int_equal(total(&f, VARIANT_CANARY).bad[LATENCY], 0); /* still being sent */
    recorder_sent(&t, f.now_ns);
    recorder_sent(&t, f.now_ns + 5); /* once */
    recorder_sweep(f.shard, f.now_ns + LIMIT_NS);
    assert_int_equal(total(&f, VARIANT_CANARY).bad[LATENCY], 0);
    recorder_sweep(f.shard, f.now_ns + LIMIT_NS + 1);
    assert_int_equal(total(&f, VARIANT_CANARY).bad[LATENCY], 1);
    t.unread_ns = 5 * NS_PER_SEC; /* not the backend's */
    recorder_sweep(f.shard, f.now_ns + 62 * NS_PER_SEC);
    assert_int_equal(total(&f, VARIANT_CANARY).bad[SLOW_LATENCY], 0);
    recorder_sweep(f.shard, f.now_ns + 65 * NS_PER_SEC + 1);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.bad[SLOW_LATENCY], 1);
    assert_int_equal(c.bad[LATENCY], 1);
    assert_int_equal(c.overdue[LATENCY] + c.overdue[SLOW_LATENCY], 2);
    assert_int_equal(c.bad[ERRORS], 0);
    teardown(&f);
}

/* Late sweeps, early finishes: every request over the limit is found within a sweep, no other. */
static void test_sweeps_find_exactly_the_late(void **state)
{
    enum { REQUESTS = 500 };
    struct fixture f;
    struct rng rng;
    static struct recorder_ticket t[REQUESTS];
    int64_t sent[REQUESTS];
    (void)state;
    setup(&f);
    rng_seed(&rng, 3);
    int64_t start = f.now_ns;
    for (size_t i = 0; i < REQUESTS; i++) {
        f.now_ns = start + (int64_t)i * 7 * NS_PER_MS;
        dispatch(&f, &t[i]);
        sent[i] = f.now_ns + rng_below(&rng, 400) * NS_PER_MS;
    }
    int64_t last = 0;
    for (int64_t now = start; now < start + 70 * NS_PER_SEC;
         now += (20 + rng_below(&rng, 9000)) * NS_PER_MS) {
        last = now;
        uint32_t late = 0, very_late = 0;
        for (size_t i = 0; i < REQUESTS; i++) {
            if (sent[i] <= now)
                recorder_sent(&t[i], sent[i]);
            late += sent[i] <= now && now - sent[i] > LIMIT_NS;
            very_late += sent[i] <= now && now - sent[i] > 60 * NS_PER_SEC;
        }
        recorder_sweep(f.shard, now);
        struct slot_counts c = total(&f, VARIANT_CANARY);
        assert_int_equal(c.bad[LATENCY], late);
        assert_int_equal(c.bad[SLOW_LATENCY], very_late);
    }
    assert_true(last > start + 60 * NS_PER_SEC);
    for (size_t i = 0; i < REQUESTS; i++)
        recorder_finish(f.shard, &t[i], &(struct outcome){.kind = OUTCOME_OK, .latency_ns = 1},
                        last);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.settled, REQUESTS);
    assert_int_equal(c.overdue[LATENCY] + c.overdue[SLOW_LATENCY], 0);
    teardown(&f);
}

static void test_slots_are_those_of_the_dispatch(void **state)
{
    struct fixture f;
    struct recorder_ticket a, b, c;
    struct outcome ok = {.kind = OUTCOME_OK, .latency_ns = 1};
    (void)state;
    setup(&f);
    dispatch(&f, &a);
    f.now_ns += NS_PER_SEC;
    dispatch(&f, &b);
    recorder_dispatch(f.shard, &c, 0, 2, VARIANT_STABLE, UINT32_MAX, f.now_ns);
    f.now_ns += 30 * NS_PER_SEC;
    recorder_finish(f.shard, &a, &ok, f.now_ns);
    total(&f, VARIANT_CANARY);
    assert_int_equal(f.seen.count, 3);
    assert_int_equal(f.seen.deltas[0].slot, 1000);
    assert_int_equal(f.seen.deltas[0].variants[VARIANT_CANARY].settled, 1);
    assert_int_equal(f.seen.deltas[1].slot, 1001);
    assert_int_equal(f.seen.deltas[2].epoch, 2);
    assert_int_equal(f.seen.deltas[2].variants[VARIANT_STABLE].dispatched, 1);
    observation_clear(&f.seen);
    total(&f, VARIANT_CANARY);
    assert_int_equal(f.seen.count, 0); /* nothing new */
    teardown(&f);
}

static void test_display_counters(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    struct recorder_totals totals;
    struct outcome ok = {.kind = OUTCOME_OK,
                         .latency_ns = 20 * NS_PER_MS,
                         .first_byte_ns = 10 * NS_PER_MS,
                         .first_token_ns = -1,
                         .connect_ns = -1,
                         .queue_ns = -1,
                         .endpoint = 1};
    struct outcome refused = {.kind = OUTCOME_CONNECT,
                              .latency_ns = -1,
                              .first_byte_ns = -1,
                              .first_token_ns = -1,
                              .connect_ns = -1,
                              .queue_ns = -1};
    struct outcome nowhere = {.kind = OUTCOME_UNAVAILABLE,
                              .latency_ns = -1,
                              .first_byte_ns = -1,
                              .first_token_ns = -1,
                              .connect_ns = -1,
                              .queue_ns = 30 * NS_PER_MS,
                              .endpoint = UINT32_MAX};
    uint64_t endpoint[OUTCOME_KIND_COUNT];
    static struct histogram_view view;
    (void)state;
    setup(&f);
    for (size_t shard = 0; shard < 2; shard++) {
        f.shard = recorder_shard(f.recorder, shard);
        dispatch(&f, &t);
        recorder_finish(f.shard, &t, &ok, f.now_ns);
        recorder_result(f.shard, 0, OUTCOME_OK);
    }
    dispatch(&f, &t);
    recorder_finish(f.shard, &t, &refused, f.now_ns);
    dispatch(&f, &t);
    recorder_finish(f.shard, &t, &nowhere, f.now_ns);
    recorder_count(f.shard, 0, VARIANT_CANARY, &ok);
    recorder_count(f.shard, 0, VARIANT_CANARY, &refused);
    recorder_result(f.shard, 0, RESULT_SHIELDED);
    recorder_totals(f.recorder, 0, &totals);
    assert_int_equal(totals.variants[VARIANT_CANARY].dispatched, 4);
    assert_int_equal(totals.variants[VARIANT_CANARY].outcomes[OUTCOME_OK], 2);
    assert_int_equal(totals.variants[VARIANT_CANARY].outcomes[OUTCOME_CONNECT], 1);
    assert_int_equal(totals.variants[VARIANT_CANARY].retries, 2);
    assert_int_equal(totals.variants[VARIANT_CANARY].retry_outcomes[OUTCOME_OK], 1);
    assert_int_equal(totals.variants[VARIANT_CANARY].retry_outcomes[OUTCOME_CONNECT], 1);
    assert_int_equal(totals.results[RESULT_SHIELDED], 1);
    assert_int_equal(totals.variants[VARIANT_STABLE].dispatched, 0);
    assert_int_equal(totals.results[OUTCOME_OK], 2);
    recorder_shard_totals(f.recorder, 0, 0, &totals);
    assert_int_equal(totals.variants[VARIANT_CANARY].dispatched, 1);
    recorder_endpoint_totals(f.recorder, 0, VARIANT_CANARY, 1, endpoint);
    assert_int_equal(endpoint[OUTCOME_OK], 2);
    recorder_endpoint_totals(f.recorder, 0, VARIANT_CANARY, 0, endpoint);
    assert_int_equal(endpoint[OUTCOME_CONNECT], 1);
    recorder_endpoint_totals(f.recorder, 0, VARIANT_CANARY, 77, endpoint);
    assert_int_equal(endpoint[OUTCOME_OK], 0);
    recorder_histogram(f.recorder, 0, VARIANT_CANARY, HIST_LATENCY, &view);
    assert_int_equal(view.total, 3);
    recorder_histogram(f.recorder, 0, VARIANT_CANARY, HIST_CONNECT, &view);
    assert_int_equal(view.total, 0);
    recorder_histogram(f.recorder, 0, VARIANT_CANARY, HIST_QUEUE, &view);
    assert_int_equal(view.total, 1);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.dispatched, 4); /* the retries are no evidence */
    assert_int_equal(c.errors, 2);
    teardown(&f);
}

static void test_times_of_streams(void **state)
{
    struct fixture f;
    struct recorder_ticket t;
    struct outcome o = {.kind = OUTCOME_OK,
                        .latency_ns = 2 * NS_PER_SEC,
                        .first_byte_ns = 100 * NS_PER_MS,
                        .first_token_ns = 250 * NS_PER_MS,
                        .connect_ns = -1,
                        .queue_ns = -1};
    static struct histogram_view view;
    (void)state;
    setup(&f);
    dispatch(&f, &t);
    for (int i = 1; i <= 3; i++)
        recorder_token_gap(f.shard, 0, VARIANT_CANARY, i * 10 * NS_PER_MS);
    recorder_token_gap(f.shard, 0, VARIANT_CANARY, -1); /* not known: not counted */
    recorder_finish(f.shard, &t, &o, f.now_ns);
    recorder_histogram(f.recorder, 0, VARIANT_CANARY, HIST_TOKEN_GAP, &view);
    assert_int_equal(view.total, 3);
    assert_in_range(histogram_quantile_ns(&view, 0.5), 20 * NS_PER_MS, 21 * NS_PER_MS);
    recorder_histogram(f.recorder, 0, VARIANT_CANARY, HIST_FIRST_TOKEN, &view);
    assert_int_equal(view.total, 1);
    assert_in_range(histogram_quantile_ns(&view, 0.5), 250 * NS_PER_MS, 252 * NS_PER_MS);
    recorder_histogram(f.recorder, 0, VARIANT_STABLE, HIST_FIRST_TOKEN, &view);
    assert_int_equal(view.total, 0);
    teardown(&f);
}

/* Two workers, one reader; requests end out of order, some late, some never seen by a sweep. */
enum { WORKERS = 2, IN_FLIGHT = 64, ROUNDS = 60000 };

struct worker {
    struct recorder_shard *shard;
    uint64_t seed;
    atomic_bool done;
};

static void *work(void *arg)
{
    struct worker *w = arg;
    struct recorder_ticket flying[IN_FLIGHT] = {0};
    struct rng rng;
    int64_t now_ns = NS_PER_SEC;
    rng_seed(&rng, w->seed);
    for (int i = 0; i < ROUNDS; i++) {
        struct recorder_ticket *t = &flying[rng_below(&rng, IN_FLIGHT)];
        struct outcome o = {.kind = (enum outcome_kind)rng_below(&rng, OUTCOME_KIND_COUNT),
                            .latency_ns = rng_below(&rng, 1000) * NS_PER_MS};
        if (rng_below(&rng, 10) == 0)
            recorder_void(w->shard, t);
        else
            recorder_finish(w->shard, t, &o, now_ns);
        recorder_dispatch(w->shard, t, 0, (uint32_t)i / 1000, (enum variant)rng_below(&rng, 2),
                          UINT32_MAX, now_ns);
        recorder_sent(t, now_ns);
        now_ns += rng_below(&rng, 100) * NS_PER_MS;
        if (i % 16 == 0)
            recorder_sweep(w->shard, now_ns);
    }
    for (size_t i = 0; i < IN_FLIGHT; i++)
        recorder_finish(w->shard, &flying[i],
                        &(struct outcome){.kind = OUTCOME_OK, .latency_ns = 1}, now_ns);
    atomic_store(&w->done, true);
    return NULL;
}

static void add_counts(struct slot_counts *to, const struct slot_counts *c)
{
    to->dispatched += c->dispatched;
    to->settled += c->settled;
    to->errors += c->errors;
    to->excused += c->excused;
    for (size_t k = 0; k < 3; k++) {
        to->bad[k] += c->bad[k];
        to->excluded[k] += c->excluded[k];
        to->overdue[k] += c->overdue[k];
    }
}

/* Adds what is new, and checks what is known so far of each slot that changed. */
static void look(struct recorder *r, struct observation *news, struct observation *known)
{
    observation_clear(news);
    recorder_read(r, 0, news);
    for (size_t i = 0; i < news->count; i++) {
        const struct slot_delta *d = &news->deltas[i];
        struct slot_delta *k = observation_at(known, d->epoch, d->slot);
        for (size_t v = 0; v < VARIANT_COUNT; v++) {
            struct slot_counts *c = &k->variants[v];
            add_counts(c, &d->variants[v]);
            assert_true(c->settled <= c->dispatched);
            assert_true(c->errors + c->excused <= c->dispatched);
            for (size_t n = 0; n < 3; n++) {
                assert_true(c->bad[n] + c->excluded[n] <= c->dispatched);
                assert_true(c->overdue[n] >= 0);
                assert_true((uint32_t)c->overdue[n] <= c->bad[n]);
            }
        }
    }
}

static void test_two_workers_and_a_reader(void **state)
{
    struct fixture f;
    struct worker workers[WORKERS];
    pthread_t threads[WORKERS];
    struct observation known;
    struct slot_counts sum = {0};
    size_t looks = 0;
    (void)state;
    setup(&f);
    observation_init(&known);
    for (size_t i = 0; i < WORKERS; i++) {
        workers[i].shard = recorder_shard(f.recorder, i);
        workers[i].seed = i + 1;
        atomic_init(&workers[i].done, false);
        assert_int_equal(pthread_create(&threads[i], NULL, work, &workers[i]), 0);
    }
    for (bool done = false; !done; looks++) {
        done = true;
        for (size_t i = 0; i < WORKERS; i++)
            done = done && atomic_load(&workers[i].done);
        look(f.recorder, &f.seen, &known); /* once more after the last worker's end */
    }
    for (size_t i = 0; i < WORKERS; i++)
        pthread_join(threads[i], NULL);
    for (size_t i = 0; i < known.count; i++)
        for (size_t v = 0; v < VARIANT_COUNT; v++) {
            const struct slot_counts *c = &known.deltas[i].variants[v];
            assert_int_equal(c->settled, c->dispatched);
            add_counts(&sum, c);
        }
    struct recorder_totals totals;
    recorder_totals(f.recorder, 0, &totals);
    assert_int_equal(sum.dispatched, WORKERS * ROUNDS);
    assert_int_equal(totals.variants[VARIANT_STABLE].dispatched +
                         totals.variants[VARIANT_CANARY].dispatched,
                     WORKERS * ROUNDS);
    assert_true(totals.variants[VARIANT_CANARY].voided > 0);
    assert_true(sum.excused >=
                totals.variants[VARIANT_STABLE].voided + totals.variants[VARIANT_CANARY].voided);
    assert_int_equal(sum.overdue[LATENCY], 0);
    assert_true(looks > 1);
    printf("           %zu looks at %zu slots\n", looks, known.count);
    observation_deinit(&known);
    teardown(&f);
}

/* Nobody reads: counted in what is open, said in `overflows`, and nothing is lost. */
static void test_overflow_is_bounded_and_visible(void **state)
{
    enum { SLOTS = 3 * CELLS_MAX };
    struct fixture f;
    struct recorder_totals totals;
    struct outcome ok = {.kind = OUTCOME_OK, .latency_ns = 1};
    (void)state;
    setup(&f);
    for (int i = 0; i < SLOTS; i++, f.now_ns += NS_PER_SEC) {
        struct recorder_ticket t;
        dispatch(&f, &t);
        recorder_finish(f.shard, &t, &ok, f.now_ns);
    }
    recorder_totals(f.recorder, 0, &totals);
    assert_in_range(totals.overflows, SLOTS - CELLS_MAX, SLOTS - CELLS_MAX / 2);
    /* A new weight still gets a cell of its own. */
    struct recorder_ticket t;
    recorder_dispatch(f.shard, &t, 0, 2, VARIANT_CANARY, UINT32_MAX, f.now_ns);
    recorder_finish(f.shard, &t, &ok, f.now_ns);
    struct slot_counts c = total(&f, VARIANT_CANARY);
    assert_int_equal(c.dispatched, SLOTS + 1);
    assert_int_equal(c.settled, SLOTS + 1);
    assert_int_equal(f.seen.deltas[f.seen.count - 1].epoch, 2);
    /* After a look there is room again. */
    recorder_dispatch(f.shard, &t, 0, 2, VARIANT_CANARY, UINT32_MAX, f.now_ns += NS_PER_SEC);
    uint64_t before = totals.overflows;
    recorder_totals(f.recorder, 0, &totals);
    assert_int_equal(totals.overflows, before);
    recorder_finish(f.shard, &t, &ok, f.now_ns);
    teardown(&f);
}

static void test_memory_is_used_again(void **state)
{
    struct cells *cells = cells_new(2, 0);
    struct observation seen;
    uint64_t counted = 0;
    (void)state;
    observation_init(&seen);
    for (int64_t slot = 0; slot < 2000000; slot++) {
        bool overflow = false;
        struct cell *cell = cells_take(cells, 1, slot, &overflow);
        cell_add(cell, VARIANT_CANARY, CELL_DISPATCHED, 0, 1);
        cell_add(cell, VARIANT_CANARY, CELL_BAD, 1, 1);
        cell_add(cell, VARIANT_CANARY, CELL_SETTLED, 0, 1);
        cell_changed(cell);
        assert_false(overflow);
        if (slot % 100 != 99)
            continue;
        observation_clear(&seen);
        cells_read(cells, &seen);
        for (size_t i = 0; i < seen.count; i++) {
            assert_int_equal(seen.deltas[i].slot, slot - 99 + (int64_t)i);
            counted += seen.deltas[i].variants[VARIANT_CANARY].bad[1];
        }
        assert_true(cells_open(cells) < 8); /* so a look costs the same, however long it goes on */
    }
    assert_int_equal(counted, 2000000);
    observation_deinit(&seen);
    cells_free(cells);
}

/* A look brings what is new and no more, in the first hour and after days; that the cells which it
 * and a request go through stay few is the test above. The rest has a fixed size. */
static void test_cost_does_not_grow_with_history(void **state)
{
    enum { HOURS = 60, HOUR = 3600 };
    struct fixture f;
    size_t increments[HOURS] = {0};
    struct outcome ok = {.kind = OUTCOME_OK, .latency_ns = NS_PER_MS};
    (void)state;
    setup(&f);
    for (int s = 0; s < HOURS * HOUR; s++) {
        struct recorder_ticket t;
        size_t *most = &increments[s / HOUR];
        f.now_ns += NS_PER_SEC;
        dispatch(&f, &t);
        recorder_finish(f.shard, &t, &ok, f.now_ns);
        recorder_sweep(f.shard, f.now_ns);
        observation_clear(&f.seen);
        recorder_read(f.recorder, 0, &f.seen);
        *most = f.seen.count > *most ? f.seen.count : *most;
    }
    for (int h = 0; h < HOURS; h++)
        assert_int_equal(increments[h], 1);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_an_outcome_means),
        cmocka_unit_test(test_alarms),
        cmocka_unit_test(test_a_voided_attempt_is_charged_to_nobody),
        cmocka_unit_test(test_a_hung_request_is_found_at_each_limit),
        cmocka_unit_test(test_sweeps_find_exactly_the_late),
        cmocka_unit_test(test_slots_are_those_of_the_dispatch),
        cmocka_unit_test(test_display_counters),
        cmocka_unit_test(test_times_of_streams),
        cmocka_unit_test(test_two_workers_and_a_reader),
        cmocka_unit_test(test_overflow_is_bounded_and_visible),
        cmocka_unit_test(test_memory_is_used_again),
        cmocka_unit_test(test_cost_does_not_grow_with_history),
    };
    return cmocka_run_group_tests_name("recorder", tests, NULL, NULL);
}
