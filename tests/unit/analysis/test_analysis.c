/* What a release engineer relies on: a bad canary is found, a good one is not accused, and nothing
 * is passed that was not shown, however late its outcomes come. */
#include "analysis/analysis.h"
#include "analysis/bounds.h"

#include <string.h>

#include "base/rng.h"
#include "tests/unit/analysis/policies.h"
#include "tests/unit/analysis/vectors.h"

enum { START_SLOT = 5000 };

struct fixture {
    struct test_policy policy;
    struct analysis *a;
    struct observation news;
    struct analysis_report report;
    int64_t slot; /* the current one */
    uint32_t epoch;
};

/* Criteria: error rate max 1 %, and with increase > 0 against stable too. */
static void setup(struct fixture *f, double increase)
{
    test_policy_init(&f->policy);
    add_error_rate_max(&f->policy, 0.01);
    if (increase > 0)
        add_error_rate_increase(&f->policy, increase);
    f->a = NULL;
    f->slot = START_SLOT;
    f->epoch = 0;
    observation_init(&f->news);
}

static void weight(struct fixture *f, uint32_t weight_bp, bool step_start)
{
    if (f->a == NULL)
        f->a = analysis_new(&f->policy.policy);
    analysis_weight(f->a, ++f->epoch, weight_bp, step_start ? WEIGHT_STEP : WEIGHT_GOES_ON,
                    f->slot * NS_PER_SEC);
}

static void teardown(struct fixture *f)
{
    analysis_free(f->a);
    observation_deinit(&f->news);
}

/* n requests of this slot, `bad` of them errors; all over. */
static void serve(struct fixture *f, enum variant v, uint32_t n, uint32_t bad)
{
    struct slot_counts *c = &observation_at(&f->news, f->epoch, f->slot)->variants[v];
    c->dispatched += n;
    c->settled += n;
    c->errors += bad;
    for (size_t i = 0; i < f->policy.policy.analysis.criteria_count; i++)
        if (f->policy.criteria[i].metric == METRIC_ERROR_RATE)
            c->bad[i] += bad;
}

/* Hands over what was noted. */
static const struct analysis_report *look(struct fixture *f)
{
    analysis_observe(f->a, &f->news, f->slot * NS_PER_SEC);
    observation_clear(&f->news);
    analysis_report(f->a, &f->report);
    return &f->report;
}

/* One slot of traffic, and a look at its end. */
static const struct analysis_report *second(struct fixture *f, uint32_t canary, uint32_t canary_bad,
                                            uint32_t stable, uint32_t stable_bad)
{
    serve(f, VARIANT_CANARY, canary, canary_bad);
    serve(f, VARIANT_STABLE, stable, stable_bad);
    look(f);
    f->slot++;
    return &f->report;
}

/* --- evidence ------------------------------------------------------------------------------ */

/* A stream of the reference as long as its weight lasts (a new weight here means a new slot). */
static void run_reference(struct vectors *v, const json_t *row)
{
    const json_t *params = json_object_get(row, "params");
    bool absolute = strcmp(json_string_value(json_object_get(row, "kind")), "abs") == 0;
    double w = number(json_array_get(json_object_get(row, "slots"), 0), "w");
    struct fixture f;
    size_t i;
    json_t *slot;

    setup(&f, 0.005);
    f.policy.policy.analysis.criteria_count = 1;
    if (absolute) {
        f.policy.criteria[0].p0 = number(params, "p0");
    } else {
        f.policy.criteria[0] = f.policy.criteria[1];
        f.policy.criteria[0].ratio = number(params, "r");
        f.policy.criteria[0].delta = number(params, "d");
    }
    while (f.policy.policy.analysis.criteria_count < count_of(row, "M"))
        add_latency_max(&f.policy, 0.99, NS_PER_SEC);
    share_evidence(&f.policy);
    f.policy.policy.analysis.min_bad_slots = (uint32_t)count_of(row, "min_bad_slots");
    weight(&f, (uint32_t)lround(w * WEIGHT_FULL_BP), true);
    json_array_foreach(json_object_get(row, "slots"), i, slot)
    {
        uint32_t n = (uint32_t)count_of(slot, "n"), stable = absolute ? 0 : n - n / 10;
        if (number(slot, "w") != w)
            break;
        second(&f, n - stable, (uint32_t)count_of(slot, "sc"), stable,
               (uint32_t)count_of(slot, "ss"));
        compare(v, f.report.criteria[0].log_e,
                json_number_value(json_array_get(json_object_get(row, "logE"), i)), "logE");
        assert_int_equal(f.report.criteria[0].log_e >= f.report.criteria[0].threshold,
                         f.report.criteria[0].log_e >= number(row, "threshold_logE"));
    }
    teardown(&f);
}

/* The streams of the reference, through slots, window and ring: to the same evidence. */
static void test_reference_streams(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "slot_engine");
    (void)state;
    json_array_foreach(rows, i, row) if (count_of(row, "H") == 2400) run_reference(&v, row);
    vectors_close(&v, "slot_engine, through the analysis");
}

static void test_a_dead_canary_is_found_in_three_slots(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    weight(&f, 1000, true);
    for (int i = 0; i < 60; i++)
        assert_false(second(&f, 10, 0, 90, 0)->alarm);
    int64_t broke = f.slot;
    assert_false(second(&f, 10, 10, 90, 0)->revert);
    assert_false(second(&f, 10, 10, 90, 0)->revert);
    while (!second(&f, 10, 10, 90, 0)->revert)
        assert_true(f.slot < broke + 6);
    assert_int_equal(f.report.criteria[f.report.worst].verdict, VERDICT_FAIL);
    assert_int_equal(f.report.first_bad_slot, broke);
    assert_true(f.report.log_e >= log(1 / 0.001));
    teardown(&f);
}

static void test_a_shared_outage_accuses_nobody_by_comparison(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    f.policy.criteria[0] = f.policy.criteria[1]; /* the increase alone */
    f.policy.policy.analysis.criteria_count = 1;
    share_evidence(&f.policy);
    weight(&f, 1000, true);
    for (int i = 0; i < 120; i++)
        assert_false(second(&f, 10, 4, 90, 36)->revert);
    assert_int_equal(f.report.criteria[0].verdict, VERDICT_PASS);
    for (int i = 0; i < 60 && !f.report.revert; i++)
        second(&f, 10, 4, 90, 0); /* now the canary alone */
    assert_true(f.report.revert);
    teardown(&f);
}

static void test_evidence_runs_through_steps_and_idle_time(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    weight(&f, 1000, true);
    for (int i = 0; i < 2; i++)
        second(&f, 10, 5, 0, 0);
    double before = f.report.log_e;
    f.slot += 600; /* no traffic */
    weight(&f, 2500, true);
    assert_true(look(&f)->log_e >= before); /* start weights add, nothing is lost */
    assert_int_equal(f.report.criteria[0].requests[VARIANT_CANARY], 0);
    assert_int_equal(f.report.criteria[0].verdict, VERDICT_NO_DATA);
    teardown(&f);
}

/* A canary that waits for somebody, many times as long as its steps were to last: hours of a good
 * record, after which the evidence of any moment is nothing at all, must not make it untouchable.
 */
static void test_a_canary_that_is_held_for_hours_is_still_found(void **state)
{
    struct fixture f;
    int64_t bad = 0;
    (void)state;
    setup(&f, 0.005);
    weight(&f, 5000, true);
    for (int i = 0; i < 12000; i++)
        second(&f, 50, 0, 50, 0);
    assert_true(f.report.log_e < -10);
    while (!f.report.crossed) {
        second(&f, 50, 45, 50, 0);
        assert_true(++bad <= 8);
    }
    teardown(&f);
}

/* A week of waiting is one slot's work, and costs none of the plan's start weights at weight 0. */
static void test_a_gap_of_a_million_slots(void **state)
{
    struct fixture waited, fresh;
    (void)state;
    setup(&waited, 0);
    setup(&fresh, 0);
    weight(&waited, 0, false);
    for (int i = 0; i < 1000; i++) {
        waited.slot += 1000000;
        look(&waited);
    }
    weight(&waited, 1000, true);
    weight(&fresh, 1000, true);
    for (int i = 0; i < 30; i++) {
        second(&waited, 10, i % 7 == 0, 0, 0);
        second(&fresh, 10, i % 7 == 0, 0, 0);
        assert_true(waited.report.log_e == fresh.report.log_e);
    }
    for (int i = 0; i < 1000; i++) {
        waited.slot += 1000000;
        assert_false(look(&waited)->revert);
    }
    teardown(&waited);
    teardown(&fresh);
}

/* Outcomes become known in any order and late; what is known in the end decides, to the bit. */
static void test_late_outcomes_give_the_same_bits(void **state)
{
    enum { SECONDS = 200 };
    struct rng rng;
    (void)state;
    rng_seed(&rng, 9);
    for (int round = 0; round < 20; round++) {
        struct fixture now, late;
        uint32_t n[SECONDS], bad[SECONDS], told[SECONDS] = {0};
        setup(&now, 0.005);
        setup(&late, 0.005);
        weight(&now, 1000, true);
        weight(&late, 1000, true);
        for (size_t i = 0; i < SECONDS; i++) {
            n[i] = 1 + rng_below(&rng, 20);
            bad[i] = rng_below(&rng, n[i]) / 5;
            if (i == SECONDS / 2) {
                weight(&now, 2500, true);
                weight(&late, 2500, true);
            }
            second(&now, n[i], bad[i], 9 * n[i], 0);
            struct slot_delta *d = observation_at(&late.news, late.epoch, late.slot);
            d->variants[VARIANT_CANARY].dispatched = n[i];
            d->variants[VARIANT_STABLE].dispatched = d->variants[VARIANT_STABLE].settled = 9 * n[i];
            if (rng_below(&rng, 3) > 0) /* a second slot's outcomes, of some earlier time */
                for (size_t k = rng_below(&rng, (uint32_t)i + 1), end = k + 5; k < end && k < i;
                     k++) {
                    uint32_t more = (bad[k] - told[k] + 1) / 2;
                    struct slot_counts *c = &observation_at(&late.news, k < SECONDS / 2 ? 1 : 2,
                                                            START_SLOT + (int64_t)k)
                                                 ->variants[VARIANT_CANARY];
                    c->errors += more;
                    c->bad[0] += more;
                    c->bad[1] += more;
                    c->settled += more;
                    told[k] += more;
                }
            look(&late);
            late.slot++;
        }
        for (size_t k = 0; k < SECONDS; k++) {
            struct slot_counts *c =
                &observation_at(&late.news, k < SECONDS / 2 ? 1 : 2, START_SLOT + (int64_t)k)
                     ->variants[VARIANT_CANARY];
            c->errors += bad[k] - told[k];
            c->bad[0] += bad[k] - told[k];
            c->bad[1] += bad[k] - told[k];
            c->settled += n[k] - told[k];
        }
        look(&late);
        look(&now);
        for (size_t c = 0; c < 2; c++) {
            assert_true(late.report.criteria[c].log_e == now.report.criteria[c].log_e);
            assert_int_equal(late.report.criteria[c].bad[VARIANT_CANARY],
                             now.report.criteria[c].bad[VARIANT_CANARY]);
        }
        assert_true(late.report.criteria[0].no_harm >= now.report.criteria[0].no_harm);
        teardown(&now);
        teardown(&late);
    }
}

/* An outcome counts with the weight that routed its request, not with today's. */
static void test_late_outcomes_keep_their_weight(void **state)
{
    struct fixture prompt, late;
    (void)state;
    setup(&prompt, 0.005);
    setup(&late, 0.005);
    weight(&prompt, 1000, true);
    weight(&late, 1000, true);
    serve(&prompt, VARIANT_CANARY, 10, 6);
    serve(&prompt, VARIANT_STABLE, 90, 0);
    look(&prompt);
    struct slot_delta *d = observation_at(&late.news, 1, START_SLOT);
    d->variants[VARIANT_CANARY].dispatched = 10;
    d->variants[VARIANT_STABLE].dispatched = 90;
    look(&late);
    weight(&prompt, 5000, false);
    weight(&late, 5000, false);
    prompt.slot = late.slot += 30;
    d = observation_at(&late.news, 1, START_SLOT);
    d->variants[VARIANT_CANARY].settled = 10;
    d->variants[VARIANT_CANARY].errors = 6;
    d->variants[VARIANT_CANARY].bad[0] = d->variants[VARIANT_CANARY].bad[1] = 6;
    d->variants[VARIANT_STABLE].settled = 90;
    look(&late);
    look(&prompt);
    assert_true(late.report.criteria[1].log_e == prompt.report.criteria[1].log_e);
    teardown(&prompt);
    teardown(&late);
}

/* Stable's long streams of a weight at which there was no canary are nothing to compare with. */
static void test_stable_without_a_canary_is_no_evidence(void **state)
{
    struct fixture with, without;
    (void)state;
    setup(&with, 0.005);
    setup(&without, 0.005);
    weight(&with, 0, false);
    weight(&without, 0, false);
    for (int i = 0; i < 10; i++, with.slot++, without.slot++) {
        observation_at(&with.news, 1, with.slot)->variants[VARIANT_STABLE].dispatched = 50;
        look(&with);
        look(&without);
    }
    weight(&with, 1000, true);
    weight(&without, 1000, true);
    for (int i = 0; i < 10; i++) {
        struct slot_counts *c =
            &observation_at(&with.news, 1, START_SLOT + i)->variants[VARIANT_STABLE];
        c->settled = c->errors = c->bad[0] = c->bad[1] = 50;
        second(&with, 10, 1, 90, 0);
        second(&without, 10, 1, 90, 0);
        assert_true(with.report.criteria[1].log_e == without.report.criteria[1].log_e);
        assert_int_equal(with.report.criteria[1].bad[VARIANT_STABLE], 0);
    }
    teardown(&with);
    teardown(&without);
}

static void test_another_canarys_outcomes_are_not_this_ones(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    weight(&f, 1000, true);
    for (int i = 0; i < 8; i++)
        second(&f, 10, 10, 0, 0);
    assert_true(f.report.revert);
    analysis_reset(f.a);
    serve(&f, VARIANT_CANARY, 10, 10); /* before the retry's first weight */
    assert_false(look(&f)->revert);
    weight(&f, 1000, true);
    observation_at(&f.news, f.epoch - 1, f.slot - 2)->variants[VARIANT_CANARY] =
        (struct slot_counts){.errors = 50, .settled = 50, .bad = {50}};
    for (int i = 0; i < 30; i++)
        assert_false(second(&f, 10, 0, 0, 0)->alarm);
    assert_int_equal(f.report.criteria[0].bad[VARIANT_CANARY], 0);
    assert_int_equal(f.report.step_requests, 300);
    assert_false(f.report.hard_down);
    teardown(&f);
}

static uint64_t requests_more(const struct fixture *f)
{
    return bounds_requests_more(&f->policy.policy, &f->report, 0);
}

static struct bounds canary_bounds(const struct fixture *f)
{
    return bounds_of(&f->policy.policy, &f->report, 0, VARIANT_CANARY);
}

/* --- promotion ----------------------------------------------------------------------------- */

static void test_no_harm_after_376_good_requests(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    weight(&f, 1000, true);
    assert_int_equal(look(&f)->criteria[0].verdict, VERDICT_NO_DATA);
    assert_int_equal(requests_more(&f), 376);
    assert_true(f.report.criteria[0].value[VARIANT_CANARY] < 0);
    for (int i = 0; i < 37; i++) {
        second(&f, 10, 0, 90, 0);
        assert_int_equal(requests_more(&f), 376 - 10 * (i + 1));
        assert_int_equal(f.report.criteria[0].verdict, VERDICT_UNDECIDED);
        /* 200 requests in which an increase of 0.5 % would show */
        assert_int_equal(f.report.criteria[1].verdict,
                         10 * (i + 1) < 200 ? VERDICT_UNDECIDED : VERDICT_PASS);
        assert_false(f.report.no_harm);
    }
    second(&f, 6, 0, 54, 0);
    assert_int_equal(f.report.criteria[0].verdict, VERDICT_PASS);
    assert_int_equal(requests_more(&f), 0);
    assert_true(f.report.no_harm);
    assert_true(canary_bounds(&f).upper < 0.01);
    /* The next step starts over. */
    weight(&f, 2500, true);
    assert_false(look(&f)->no_harm);
    assert_int_equal(requests_more(&f), 376);
    teardown(&f);
}

/* Timeouts come late: requests without an end are taken as bad where it would pass the canary. */
static void test_undecided_requests_do_not_pass_a_canary(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    weight(&f, 1000, true);
    for (int i = 0; i < 100; i++) {
        serve(&f, VARIANT_CANARY, 19, 0);
        /* one in twenty hangs */
        observation_at(&f.news, f.epoch, f.slot)->variants[VARIANT_CANARY].dispatched++;
        assert_false(look(&f)->no_harm);
        f.slot++;
    }
    assert_int_equal(f.report.criteria[0].requests[VARIANT_CANARY], 2000);
    assert_true(canary_bounds(&f).upper < 0.01); /* of those that ended */
    for (int64_t slot = START_SLOT; slot < f.slot; slot++)
        observation_at(&f.news, f.epoch, slot)->variants[VARIANT_CANARY].settled++;
    assert_true(look(&f)->no_harm); /* they were good after all */
    teardown(&f);
}

/* One endless stream in the first slot does not hold up the promotion. */
static void test_one_long_stream_does_not_hold_up_the_rest(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    weight(&f, 1000, true);
    observation_at(&f.news, f.epoch, f.slot)->variants[VARIANT_CANARY].dispatched++;
    for (int i = 0; i < 100; i++)
        second(&f, 10, 0, 0, 0);
    assert_true(f.report.no_harm);
    teardown(&f);
}

/* A share above the limit is never "no harm", however sure one is of it. */
static void test_certainty_of_harm_is_no_pass(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    weight(&f, 1000, true);
    for (int i = 0; i < 50; i++)
        second(&f, 100, 2, 0, 0);
    assert_false(f.report.no_harm);
    assert_true(f.report.criteria[0].no_harm < f.report.criteria[0].no_harm_threshold);
    assert_true(requests_more(&f) > 5000);
    assert_true(canary_bounds(&f).lower < 0.02);
    assert_true(canary_bounds(&f).upper > 0.02);
    teardown(&f);
}

static void test_comparison_needs_stable_until_full_weight(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    weight(&f, 1000, true);
    assert_int_equal(second(&f, 10, 0, 0, 0)->criteria[1].verdict, VERDICT_NO_DATA);
    assert_int_equal(second(&f, 10, 0, 5, 0)->criteria[1].verdict, VERDICT_UNDECIDED);
    assert_int_equal(second(&f, 180, 0, 5, 0)->criteria[1].verdict, VERDICT_PASS);
    weight(&f, 10000, true);
    assert_int_equal(look(&f)->criteria[1].verdict, VERDICT_NO_DATA);
    assert_int_equal(second(&f, 10, 0, 0, 0)->criteria[1].verdict, VERDICT_PASS);
    teardown(&f);
}

/* The burst guard waits for failures in many slots. That is no pass, and no way up. */
static void test_what_the_guard_withholds_is_no_pass(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    f.policy.policy.analysis.min_bad_slots = 60;
    analysis_free(f.a);
    f.a = analysis_new(&f.policy.policy);
    weight(&f, 2000, true);
    for (int i = 0; i < 5; i++)
        second(&f, 40, 12, 160, 0);
    assert_false(f.report.revert);
    assert_true(f.report.log_e < f.report.threshold / 2); /* the evidence is capped */
    for (int c = 0; c < 2; c++) {
        assert_true(f.report.criteria[c].suspect);
        assert_int_equal(f.report.criteria[c].verdict, VERDICT_UNDECIDED);
    }
    assert_true(f.report.alarm);
    teardown(&f);
}

/* --- hard_down ----------------------------------------------------------------------------- */

/* Per slot: what the canary did. */
struct moment {
    uint32_t good, errors, aborted, flying, overdue;
};

static void play(struct fixture *f, const struct moment *m)
{
    struct slot_counts *c = &observation_at(&f->news, f->epoch, f->slot)->variants[VARIANT_CANARY];
    c->dispatched = m->good + m->errors + m->aborted + m->flying + m->overdue;
    c->settled = m->good + m->errors + m->aborted;
    c->errors = c->bad[0] = m->errors;
    c->excluded[0] = c->excluded[1] = c->excused = m->aborted;
    c->bad[1] = m->overdue;
    c->overdue[1] = (int32_t)m->overdue;
    look(f);
    f->slot++;
}

static void test_runs_of_failures(void **state)
{
    static const struct {
        const char *what;
        struct moment moments[16];
        bool down;
        uint64_t failures;
    } rows[] = {
        {"twenty in a second are not spread enough", {{.errors = 20}}, false, 20},
        {"three for eleven seconds",
         {{.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3},
          {.errors = 3}},
         true,
         33},
        {"seconds without requests do not end it",
         {{.errors = 15}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {.errors = 5}},
         true,
         20},
        {"too few",
         {{.errors = 15}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {0}, {.errors = 4}},
         false,
         19},
        {"one good answer ends it",
         {{.errors = 15},
          {0},
          {0},
          {0},
          {.errors = 9, .good = 1},
          {0},
          {0},
          {0},
          {0},
          {0},
          {.errors = 15}},
         false,
         15},
        {"so does one that may yet be good",
         {{.errors = 15},
          {0},
          {0},
          {0},
          {.errors = 9, .flying = 1},
          {0},
          {0},
          {0},
          {0},
          {0},
          {.errors = 15}},
         false,
         15},
        {"one that is overdue does not",
         {{.errors = 10},
          {0},
          {0},
          {0},
          {.errors = 5, .overdue = 1},
          {0},
          {0},
          {0},
          {0},
          {0},
          {.overdue = 4}},
         true,
         20},
        {"a client that went away says nothing",
         {{.errors = 15},
          {0},
          {0},
          {0},
          {.aborted = 3},
          {0},
          {0},
          {0},
          {0},
          {0},
          {.errors = 5, .aborted = 2}},
         true,
         20},
        {"a request in flight now does not undo it",
         {{.errors = 15},
          {0},
          {0},
          {0},
          {0},
          {0},
          {0},
          {0},
          {0},
          {0},
          {.errors = 5},
          {.flying = 1}},
         true,
         20},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        struct fixture f;
        setup(&f, 0);
        add_latency_max(&f.policy, 0.99, NS_PER_SEC);
        weight(&f, 1000, true);
        for (size_t k = 0; k < 12; k++)
            play(&f, &rows[i].moments[k]);
        if (f.report.hard_down != rows[i].down || f.report.run_failures != rows[i].failures)
            fail_msg("%s: %d after %d", rows[i].what, f.report.hard_down,
                     (int)f.report.run_failures);
        teardown(&f);
    }
}

/* Whatever the policy's criteria: what speaks neither way does not end a run, one success does. */
static void test_a_run_without_a_limit_on_errors(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    f.policy.policy.analysis.criteria_count = 0;
    add_latency_max(&f.policy, 0.99, NS_PER_SEC);
    weight(&f, 1000, true);
    for (int i = 0; i < 22; i++, f.slot++) {
        struct slot_counts *c = &observation_at(&f.news, f.epoch, f.slot)->variants[VARIANT_CANARY];
        c->dispatched = c->settled = c->excluded[0] = 5;
        c->errors = 4;
        c->excused = 1;
        if (i == 9) { /* one good answer */
            c->excused = 0;
            c->excluded[0] = 4;
        }
        assert_int_equal(look(&f)->hard_down, i > 19);
    }
    teardown(&f);
}

/* Known only when the requests time out, a minute later, and other slots have closed since. */
static void test_a_run_that_is_learnt_of_late(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    weight(&f, 1000, true);
    for (int i = 0; i < 60; i++, f.slot++) {
        observation_at(&f.news, f.epoch, f.slot)->variants[VARIANT_CANARY].dispatched = 2;
        assert_false(look(&f)->hard_down);
    }
    for (int i = 0; i < 11; i++, f.slot++) {
        struct slot_counts *c =
            &observation_at(&f.news, f.epoch, START_SLOT + i)->variants[VARIANT_CANARY];
        c->settled = c->errors = c->bad[0] = 2;
        assert_int_equal(look(&f)->hard_down, i == 10);
    }
    teardown(&f);
}

static void test_hard_down_can_be_off(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0);
    f.policy.policy.analysis.hard_down_failures = 0;
    weight(&f, 1000, true);
    for (int i = 0; i < 60; i++)
        assert_false(second(&f, 10, 10, 0, 0)->hard_down);
    teardown(&f);
}

/* --- bounds and safety --------------------------------------------------------------------- */

/* Requests that never end cost a bounded number of slots, and evidence goes on. */
static void test_slots_that_never_settle_are_bounded(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    f.policy.policy.upstream.total_timeout_ns = NS_PER_SEC;
    weight(&f, 1000, true);
    for (int i = 0; i < 3000; i++) {
        struct slot_delta *d = observation_at(&f.news, f.epoch, f.slot);
        d->variants[VARIANT_CANARY].dispatched++;
        d->variants[VARIANT_STABLE].dispatched++;
        second(&f, 10, 0, 90, 0);
    }
    assert_false(f.report.no_harm); /* one in eleven may be bad, for all that is known */
    assert_int_equal(f.report.step_requests, 33000);
    for (int i = 0; i < 2400; i++) /* and now all that was closed turns out bad */
        observation_at(&f.news, f.epoch, START_SLOT + i)->variants[VARIANT_CANARY].bad[0]++;
    double before = f.report.criteria[0].log_e;
    assert_true(look(&f)->criteria[0].log_e >= before);
    for (int i = 0; i < 10; i++)
        second(&f, 10, 10, 90, 0);
    assert_true(f.report.revert);
    teardown(&f);
}

/* Exactly at the limit, in both variants, for four full steps: with alpha = 0.1 % none of forty
 * rollouts may revert (the bound allows one in a thousand), and a report repeats itself. */
static void test_at_the_limit_nothing_is_reverted(void **state)
{
    struct rng rng;
    (void)state;
    rng_seed(&rng, 77);
    for (int rollout = 0; rollout < 40; rollout++) {
        struct fixture f;
        setup(&f, 0.005);
        for (size_t step = 0; step < 4; step++) {
            uint32_t share = f.policy.steps[step].weight_bp;
            weight(&f, share, true);
            for (int i = 0; i < 600; i++) {
                uint32_t n[VARIANT_COUNT] = {0}, bad[VARIANT_COUNT] = {0};
                for (uint32_t k = rng_poisson(&rng, 20); k > 0; k--) {
                    size_t v = rng_below(&rng, 10000) < share ? VARIANT_CANARY : VARIANT_STABLE;
                    n[v]++;
                    bad[v] += rng_below(&rng, 100) == 0;
                }
                second(&f, n[VARIANT_CANARY], bad[VARIANT_CANARY], n[VARIANT_STABLE],
                       bad[VARIANT_STABLE]);
                assert_false(f.report.revert);
                assert_false(f.report.hard_down);
            }
        }
        struct analysis_report again;
        analysis_report(f.a, &again);
        assert_memory_equal(&again, &f.report, sizeof again);
        teardown(&f);
    }
}

static void test_a_report_before_anything_happened(void **state)
{
    struct fixture f;
    (void)state;
    setup(&f, 0.005);
    f.a = analysis_new(&f.policy.policy);
    serve(&f, VARIANT_CANARY, 10, 10);
    assert_true(look(&f)->log_e <= -1e9);
    assert_false(f.report.revert);
    assert_false(f.report.no_harm);
    assert_int_equal(f.report.first_bad_slot, -1);
    assert_int_equal(f.report.count, 2);
    assert_int_equal(f.report.criteria[0].verdict, VERDICT_NO_DATA);
    teardown(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_streams),
        cmocka_unit_test(test_a_dead_canary_is_found_in_three_slots),
        cmocka_unit_test(test_a_shared_outage_accuses_nobody_by_comparison),
        cmocka_unit_test(test_evidence_runs_through_steps_and_idle_time),
        cmocka_unit_test(test_a_canary_that_is_held_for_hours_is_still_found),
        cmocka_unit_test(test_a_gap_of_a_million_slots),
        cmocka_unit_test(test_late_outcomes_give_the_same_bits),
        cmocka_unit_test(test_late_outcomes_keep_their_weight),
        cmocka_unit_test(test_stable_without_a_canary_is_no_evidence),
        cmocka_unit_test(test_another_canarys_outcomes_are_not_this_ones),
        cmocka_unit_test(test_no_harm_after_376_good_requests),
        cmocka_unit_test(test_undecided_requests_do_not_pass_a_canary),
        cmocka_unit_test(test_one_long_stream_does_not_hold_up_the_rest),
        cmocka_unit_test(test_certainty_of_harm_is_no_pass),
        cmocka_unit_test(test_comparison_needs_stable_until_full_weight),
        cmocka_unit_test(test_what_the_guard_withholds_is_no_pass),
        cmocka_unit_test(test_runs_of_failures),
        cmocka_unit_test(test_a_run_without_a_limit_on_errors),
        cmocka_unit_test(test_a_run_that_is_learnt_of_late),
        cmocka_unit_test(test_hard_down_can_be_off),
        cmocka_unit_test(test_slots_that_never_settle_are_bounded),
        cmocka_unit_test(test_at_the_limit_nothing_is_reverted),
        cmocka_unit_test(test_a_report_before_anything_happened),
    };
    return cmocka_run_group_tests_name("analysis", tests, NULL, NULL);
}
