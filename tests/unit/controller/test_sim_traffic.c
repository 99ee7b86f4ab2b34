/* A simulated request counts as the recorder would have counted it, tick by tick; and who comes,
 * and how he fares, does not depend on the weight. */
#include "tests/unit/controller/sim_fixtures.h"

#include <math.h>
#include <stdlib.h>

#include "analysis/recorder.h"
#include "base/arena.h"
#include "controller/sim_traffic.h"

/* Every rule of the recorder that an outcome can meet. */
static const char every_rule[] = SIM_HEAD SIM_STEPS
    "upstream: {first_byte_timeout: 20s, idle_timeout: 5s}\n"
    "analysis:\n"
    "  warm_up: {requests: 0}\n"
    "  criteria:\n"
    "    - {metric: error_rate, max: 1%}\n"
    "    - {metric: error_rate, max_increase: 0.5%}\n"
    "    - {metric: latency, quantile: [50%, 90%, 99%], max_ratio: 1.3}\n"
    "    - {metric: outcome, is: [4xx, 429], max_increase: 1%}\n"
    "    - {metric: latency, quantile: 99%, max: 900ms, where: {stream: false}}\n"
    "    - {metric: latency, quantile: 95%, max: 2s, where: {stream: true}}\n"
    "    - {metric: time_to_first_token, quantile: 95%, max: 300ms}\n"
    "    - {metric: inter_token_gap, quantile: 95%, max: 80ms}\n"
    "    - {metric: time_per_output_token, quantile: 90%, max_ratio: 1.5}\n"
    "    - {metric: stream_truncation_rate, max: 1%}\n"
    "    - {metric: stream_stall_rate, max: 1%}\n"
    "    - {metric: client_abort_rate, max_increase: 2%}\n";
#define STABLE                                                                                     \
    "errors=3%,4xx=3%,429=2%,reset=2%,connect=2%,timeout=2%,stalled=2%,truncated=2%,"              \
    "stream_error=2%,empty=2%,client_abort=3%,latency=lognormal:800ms:0.7,streaming=50%,"          \
    "ttft=lognormal:200ms:0.6,gap=lognormal:60ms:0.5,per-token=lognormal:20ms:0.5"

/* --- the recorder, fed with the same requests --------------------------------------------------
 */

enum { TICKS = 900, IN_FLIGHT_MAX = 20000 };

enum what { WHAT_HEAD, WHAT_TOKEN, WHAT_END, WHAT_COUNT };
struct live {
    struct recorder_ticket ticket;
    struct sim_request request;
    int64_t at_ns[WHAT_COUNT]; /* -1: has happened, or never does */
};

struct twin {
    struct recorder *recorder;
    struct recorder_shard *shard;
    struct live *lives[IN_FLIGHT_MAX];
    size_t count;
    uint32_t epoch;
    int64_t tick_ns;
};

static void dispatch(void *ctx, const struct sim_request *r)
{
    struct twin *t = ctx;
    struct live *l = xcalloc(1, sizeof(*l));
    int64_t now_ns = t->tick_ns + (int64_t)(r->offset * (double)SIM_TICK_NS);

    assert_true(t->count < IN_FLIGHT_MAX);
    t->lives[t->count++] = l;
    l->request = *r;
    l->at_ns[WHAT_END] = now_ns + (int64_t)r->end_ns;
    l->at_ns[WHAT_HEAD] = r->head_ns < 0 ? -1 : now_ns + (int64_t)r->head_ns;
    l->at_ns[WHAT_TOKEN] = r->times[1] < 0 ? -1 : now_ns + (int64_t)r->times[1];
    recorder_dispatch(t->shard, &l->ticket, 0, t->epoch, r->variant, UINT32_MAX, now_ns);
    recorder_endpoint(t->shard, &l->ticket, 0, now_ns);
    if (r->sent)
        recorder_sent(&l->ticket, now_ns);
}

static void happen(struct twin *t, struct live *l, enum what what)
{
    struct outcome outcome;
    int64_t now_ns = l->at_ns[what];

    l->at_ns[what] = -1;
    switch (what) {
    case WHAT_HEAD:
        recorder_stream(t->shard, &l->ticket, l->request.stream);
        break;
    case WHAT_TOKEN:
        recorder_first_token(&l->ticket, now_ns);
        break;
    case WHAT_END:
        sim_request_outcome(&l->request, &outcome);
        recorder_finish(t->shard, &l->ticket, &outcome, now_ns);
        l->at_ns[WHAT_HEAD] = l->at_ns[WHAT_TOKEN] = -1;
        break;
    case WHAT_COUNT:
        break;
    }
}

/* All that happens before `until_ns`, of each request in its order. */
static void pass_until(struct twin *t, int64_t until_ns)
{
    size_t kept = 0;

    for (size_t i = 0; i < t->count; i++) {
        struct live *l = t->lives[i];
        for (int what = 0; what < WHAT_COUNT; what++)
            if (l->at_ns[what] >= 0 && l->at_ns[what] < until_ns)
                happen(t, l, (enum what)what);
        if (l->at_ns[WHAT_END] < 0)
            free(l);
        else
            t->lives[kept++] = l;
    }
    t->count = kept;
}

static void add_up(struct observation *total, const struct observation *seen, size_t criteria)
{
    for (size_t i = 0; i < seen->count; i++) {
        const struct slot_delta *d = &seen->deltas[i];
        struct slot_delta *to = observation_at(total, d->epoch, d->slot);
        for (int v = 0; v < VARIANT_COUNT; v++) {
            struct slot_counts *a = &to->variants[v];
            const struct slot_counts *b = &d->variants[v];
            a->dispatched += b->dispatched;
            a->settled += b->settled;
            a->errors += b->errors;
            a->excused += b->excused;
            for (size_t c = 0; c < criteria; c++) {
                a->bad[c] += b->bad[c];
                a->excluded[c] += b->excluded[c];
                a->overdue[c] += b->overdue[c];
            }
        }
    }
}

static void assert_equal_counts(const struct observation *a, const struct observation *b,
                                int64_t tick)
{
    assert_int_equal(a->count, b->count);
    for (size_t i = 0; i < a->count; i++)
        for (int v = 0; v < VARIANT_COUNT; v++) {
            const struct slot_counts *x = &a->deltas[i].variants[v];
            const struct slot_counts *y = &b->deltas[i].variants[v];
            for (size_t c = 0; c < CRITERIA_MAX; c++)
                if (x->bad[c] != y->bad[c] || x->excluded[c] != y->excluded[c] ||
                    x->overdue[c] != y->overdue[c])
                    fail_msg("tick %lld, slot %zu, variant %d, criterion %zu: bad %u %u, excluded "
                             "%u %u, overdue %d %d",
                             (long long)tick, i, v, c, x->bad[c], y->bad[c], x->excluded[c],
                             y->excluded[c], x->overdue[c], y->overdue[c]);
            assert_int_equal(x->dispatched, y->dispatched);
            assert_int_equal(x->settled, y->settled);
            assert_int_equal(x->errors, y->errors);
            assert_int_equal(x->excused, y->excused);
        }
}

static struct moving_limits limits_from(int64_t tick)
{
    struct moving_limits limits;

    for (size_t c = 0; c < CRITERIA_MAX; c++) {
        /* Unknown at first, then there, then others. */
        limits.stable_ns[c] = tick < 200 ? -1 : (600 + 10 * (int64_t)c + tick / 100) * NS_PER_MS;
        limits.canary_ns[c] = tick < 200 ? -1 : limits.stable_ns[c] * 13 / 10;
        if (c > 8 && tick >= 200)
            limits.stable_ns[c] = limits.canary_ns[c] = 25 * NS_PER_MS;
    }
    return limits;
}

static void requests_count_as_the_recorder_counts_them(void **state)
{
    (void)state;
    struct policy *policy = sim_policy(every_rule);
    const struct policy *list[] = {policy};
    struct policy_set set = {.policies = list, .count = 1};
    struct sim_spec spec = sim_spec_of(60, STABLE, "shift=1.4x,failures=as-slow,bursts=2s/20s:60%");
    struct sim_plan *plan = sim_plan_new(policy, &spec, true);
    size_t criteria = policy->analysis.criteria_count;

    for (uint64_t seed = 1; seed <= 3; seed++) {
        struct sim_calendar calendar;
        struct sim_traffic traffic;
        struct observation seen, ours, theirs;
        struct twin *twin = xcalloc(1, sizeof(*twin));
        uint64_t alarms = 0;
        observation_init(&seen);
        observation_init(&ours);
        observation_init(&theirs);
        sim_calendar_init(&calendar, plan);
        sim_traffic_begin(&traffic, plan, &calendar, seed);
        traffic.seen = dispatch;
        traffic.seen_ctx = twin;
        twin->recorder = recorder_new(1, &set);
        twin->shard = recorder_shard(twin->recorder, 0);
        for (int64_t tick = 0; tick < TICKS; tick++) {
            int64_t now_ns = 1000 * NS_PER_SEC + tick * SIM_TICK_NS;
            struct moving_limits limits = limits_from(tick / 100 * 100);
            sim_calendar_pass(&calendar, tick);
            pass_until(twin, now_ns);
            recorder_sweep(twin->shard, now_ns);
            observation_clear(&seen);
            sim_calendar_take(&calendar, &seen);
            add_up(&ours, &seen, criteria);
            observation_clear(&seen);
            recorder_read(twin->recorder, 0, &seen);
            add_up(&theirs, &seen, criteria);
            assert_equal_counts(&ours, &theirs, tick);
            alarms = recorder_alarms(twin->recorder, 0);
            assert_int_equal(calendar.alarms > 0, alarms > 0);
            if (tick % 100 == 0)
                recorder_limits(twin->recorder, 0, &limits);
            twin->epoch = (uint32_t)(1 + tick / 250);
            twin->tick_ns = now_ns;
            struct sim_moment m = {.tick = tick,
                                   .since_ns = tick * SIM_TICK_NS,
                                   .slot = now_ns / policy->analysis.slot_ns,
                                   .epoch = twin->epoch,
                                   .weight_bp = tick < 500 ? 3000 : WEIGHT_FULL_BP,
                                   .limits = &limits};
            sim_traffic_tick(&traffic, &m);
        }
        assert_true(alarms > 100);
        for (size_t g = 0; g < plan->group_count; g++) {
            struct histogram_view view = {0};
            size_t c = 0;
            while (!criterion_follows_stable(&policy->analysis.criteria[c]) ||
                   plan->group_of[c] != g)
                c++;
            recorder_moving_histogram(twin->recorder, 0, c, &view);
            assert_true(view.total > 100);
            assert_memory_equal(&view, &calendar.histograms[g], sizeof(view));
        }
        while (twin->count > 0)
            free(twin->lives[--twin->count]);
        recorder_free(twin->recorder);
        free(twin);
        sim_calendar_deinit(&calendar);
        observation_deinit(&seen);
        observation_deinit(&ours);
        observation_deinit(&theirs);
    }
    sim_plan_free(plan);
    policy_free(policy);
}

/* --- the same stream ---------------------------------------------------------------------------
 */

struct stream {
    double *ends;
    size_t count;
};

static void note(void *ctx, const struct sim_request *r)
{
    struct stream *s = ctx;

    s->ends = xrealloc(s->ends, (s->count + 1) * sizeof(*s->ends));
    s->ends[s->count++] = r->end_ns + 1e12 * (double)r->kind;
}

static void the_stream_does_not_depend_on_the_weight(void **state)
{
    (void)state;
    struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS);
    struct sim_spec spec = sim_spec_of(80, "errors=5%,bursts=2s/20s", "");
    struct sim_plan *plan = sim_plan_new(policy, &spec, true);
    static const uint32_t weights[] = {0, 1000, WEIGHT_FULL_BP};
    struct stream streams[3] = {{0}};

    /* Bursts of its own are the one thing that a variant has for itself. */
    plan->spec.shared.bursts = plan->spec.variants[VARIANT_STABLE].bursts;
    for (int v = 0; v < VARIANT_COUNT; v++)
        plan->spec.variants[v].bursts = (struct sim_bursts){0};
    for (int i = 0; i < 3; i++) {
        struct sim_calendar calendar;
        struct sim_traffic traffic;
        sim_calendar_init(&calendar, plan);
        sim_traffic_begin(&traffic, plan, &calendar, 11);
        traffic.seen = note;
        traffic.seen_ctx = &streams[i];
        for (int64_t tick = 0; tick < 600; tick++) {
            struct sim_moment m = {.tick = tick,
                                   .since_ns = tick * SIM_TICK_NS,
                                   .slot = tick / 10,
                                   .epoch = 1,
                                   .weight_bp = weights[i]};
            sim_calendar_pass(&calendar, tick);
            sim_calendar_forget(&calendar);
            sim_traffic_tick(&traffic, &m);
        }
        assert_int_equal(traffic.all_requests > 0, weights[i] > 0);
        sim_calendar_deinit(&calendar);
    }
    assert_true(streams[0].count > 4000);
    for (int i = 1; i < 3; i++) {
        assert_int_equal(streams[i].count, streams[0].count);
        assert_memory_equal(streams[i].ends, streams[0].ends,
                            streams[0].count * sizeof(streams[0].ends[0]));
    }
    for (int i = 0; i < 3; i++)
        free(streams[i].ends);
    sim_plan_free(plan);
    policy_free(policy);
}

/* --- distributions -----------------------------------------------------------------------------
 */

static void shares_and_times_are_those_described(void **state)
{
    (void)state;
    static const struct {
        const char *times;
        double below_ns, share; /* of all requests */
    } rows[] = {
        {"latency=lognormal:2s:0.6", 2e9, 0.5},
        {"latency=lognormal:2s:0.6", 8.078e9, 0.99},
        {"latency=lognormal:2s:0.6", 12.77e9, 0.999},
        {"latency=exponential:1s", 1e9, 0.632},
        {"latency=exponential:1s", 4.605e9, 0.99},
        {"latency=uniform:1s:3s", 1.5e9, 0.25},
        {"latency=lognormal:2s:0.6,shift=2x", 4e9, 0.5},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS);
        struct sim_spec spec = sim_spec_of(80, rows[i].times, "");
        struct sim_plan *plan = sim_plan_new(policy, &spec, true);
        struct rng rng;
        size_t below = 0, n = 400000;
        rng_seed(&rng, 5);
        for (size_t k = 0; k < n; k++)
            below += sim_quantile(&plan->answers[VARIANT_CANARY].times[0],
                                  (uint32_t)(rng_u64(&rng) >> 32)) < rows[i].below_ns;
        double seen = (double)below / (double)n;
        double sigma = sqrt(rows[i].share * (1 - rows[i].share) / (double)n);
        if (fabs(seen - rows[i].share) > 4 * sigma + 1e-4)
            fail_msg("%s: %.5f below %g s, expected %.5f", rows[i].times, seen,
                     rows[i].below_ns / 1e9, rows[i].share);
        sim_plan_free(plan);
        policy_free(policy);
    }
}

static void requests_come_as_a_poisson_process(void **state)
{
    (void)state;
    static const double rates[] = {0.5, 10, 100, 5000};

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS);
        struct sim_spec spec = sim_spec_of(rates[i], "", "");
        struct sim_plan *plan = sim_plan_new(policy, &spec, true);
        struct rng rng;
        double sum = 0, squares = 0, n = 200000, mean = rates[i] / 10;
        rng_seed(&rng, 9);
        for (int k = 0; k < 200000; k++) {
            double x = sim_plan_arrivals(plan, (uint32_t)(rng_u64(&rng) >> 32));
            sum += x;
            squares += (x - mean) * (x - mean);
        }
        /* A Poisson variable's variance is its mean. */
        assert_true(fabs(sum / n - mean) < 4 * sqrt(mean / n));
        assert_true(fabs(squares / n - mean) < 5 * sqrt((mean + 2 * mean * mean) / n));
        sim_plan_free(plan);
        policy_free(policy);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(requests_count_as_the_recorder_counts_them),
        cmocka_unit_test(the_stream_does_not_depend_on_the_weight),
        cmocka_unit_test(shares_and_times_are_those_described),
        cmocka_unit_test(requests_come_as_a_poisson_process),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
