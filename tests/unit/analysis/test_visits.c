/* A canary that was sent back is asked again: what on-call relies on is that a burst is forgiven,
 * that a fault is not, and that nothing a canary did in between is lost. */
#include "analysis/analysis.h"

#include <string.h>

#include "analysis/visit.h"
#include "tests/unit/analysis/steps.h"
#include "tests/unit/analysis/vectors.h"

enum { START_SLOT = 9000 };

/* error_rate max 1 % among four criteria. */
static void setup(struct steps *f)
{
    steps_init(f);
    add_error_rate_max(&f->policy, 0.01);
    while (f->policy.policy.analysis.criteria_count < 4)
        add_latency_max(&f->policy, 0.99, NS_PER_SEC);
    f->policy.policy.analysis.hard_down_failures = 0;
}

/* A look before the slot is over. */
static void serve(struct steps *f, uint32_t n, uint32_t bad)
{
    steps_serve(f, VARIANT_CANARY, n, bad);
    steps_look(f);
}

/* --- the reference ------------------------------------------------------------------------- */

/* The rules of the controller, as short as they can be written. */
struct guard {
    struct steps *f;
    uint32_t visit;
    int64_t until; /* slot at which it is asked again; -1: it has traffic */
    bool done;
    const json_t *events;
    size_t next; /* the event that must come next */
};

static const json_t *expect(struct guard *g, const char *what)
{
    const json_t *e = json_array_get(g->events, g->next++);
    assert_non_null(e);
    assert_string_equal(json_string_value(json_object_get(e, "event")), what);
    assert_int_equal(count_of(e, "t"), g->f->slot - START_SLOT);
    return e;
}

static void retreat(struct vectors *v, struct guard *g)
{
    const struct analysis_report *r = &g->f->report;
    if (r->revert) {
        assert_string_equal(json_string_value(json_object_get(expect(g, "revert"), "by")), "wide");
        g->done = true;
    } else if (g->visit == 2) {
        assert_string_equal(json_string_value(json_object_get(expect(g, "revert"), "by")),
                            "visits");
        g->done = true;
    } else {
        const json_t *e = expect(g, "retreat");
        assert_int_equal(count_of(e, "visit"), ++g->visit);
        compare(v, r->probe_next.p1, number(e, "p1"), "p1");
        assert_int_equal(r->probe_next.criterion, 0);
        g->until = START_SLOT + (int64_t)count_of(e, "until");
        steps_weight(g->f, 0, WEIGHT_GOES_ON);
    }
}

static void play_second(struct vectors *v, struct guard *g, const json_t *stream,
                        const json_t *slot)
{
    struct steps *f = g->f;
    if (f->slot == g->until) {
        assert_int_equal(count_of(expect(g, "probe"), "visit"), g->visit + 1);
        g->until = -1;
        steps_weight(f, 1000, WEIGHT_PROBE);
    }
    uint32_t n = (uint32_t)json_integer_value(json_array_get(stream, 0));
    uint32_t bad = (uint32_t)json_integer_value(json_array_get(stream, 1));
    serve(f, n, bad);
    compare(v, f->report.criteria[0].log_e, number(slot, "logE"), "logE");
    compare(v, f->report.criteria[0].wide_log_e, number(slot, "logE_wide"), "logE_wide");
    assert_int_equal(json_is_number(json_object_get(slot, "L1")), f->report.probe.active);
    if (f->report.probe.active)
        compare(v, f->report.probe.log_ratio, number(slot, "L1"), "L1");
    if (bad > 0 && (f->report.crossed || f->report.revert)) {
        retreat(v, g);
    } else if (f->report.probe.cleared) {
        compare(v, f->report.probe.least, number(expect(g, "cleared"), "L1"), "L1 at the end");
        g->visit = 0;
        steps_weight(f, 1000, WEIGHT_GOES_ON);
    }
}

static void run_guard(struct vectors *v, const json_t *row)
{
    struct steps f;
    struct guard g = {.f = &f, .until = -1, .events = json_object_get(row, "events")};
    const json_t *slots = json_object_get(row, "slots");

    setup(&f);
    steps_weight(&f, 1000, WEIGHT_STEP);
    steps_look(&f);
    compare(v, f.report.criteria[0].threshold, number(row, "threshold"), "threshold");
    compare(v, f.report.criteria[0].wide_threshold, number(row, "threshold_wide"), "wide");
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const json_t *slot = json_array_get(slots, i);
        int64_t t = START_SLOT + (int64_t)count_of(slot, "t");
        for (; f.slot < t; f.slot++)
            steps_look(&f);
        assert_false(g.done);
        play_second(v, &g, json_array_get(json_object_get(row, "stream"), count_of(slot, "t")),
                    slot);
    }
    assert_int_equal(g.next, json_array_size(g.events));
    steps_deinit(&f);
}

static void test_reference_retreats(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors2.json", "retreat_guard");
    (void)state;
    json_array_foreach(rows, i, row) run_guard(&v, row);
    assert_int_equal(i, 5);
    vectors_close(&v, "retreat_guard");
}

/* --- probes -------------------------------------------------------------------------------- */

/* Sent back on 10 failures a second, and asked again half a minute later. */
static void send_back_and_ask(struct steps *f)
{
    setup(f);
    steps_weight(f, 1000, WEIGHT_STEP);
    for (int i = 0; i < 20; i++)
        steps_second(f, 10, 0, 90, 0);
    while (!steps_second(f, 10, 10, 90, 0)->retreat)
        continue;
    assert_int_equal(f->report.trip.requests, f->report.trip.bad); /* not the good ones before */
    steps_weight(f, 0, WEIGHT_GOES_ON);
    f->slot += 30;
    steps_look(f);
    assert_true(f->report.retreat); /* until it is asked */
    steps_weight(f, 1000, WEIGHT_PROBE);
    assert_false(steps_look(f)->retreat);
    assert_false(f->report.probe.cleared);
}

static void test_requests_in_flight_do_not_clear(void **state)
{
    struct steps f;
    (void)state;
    send_back_and_ask(&f);
    for (int i = 0; i < 30; i++) { /* nothing is answered */
        observation_at(&f.news, f.epoch, f.slot)->variants[VARIANT_CANARY].dispatched = 10;
        assert_false(steps_look(&f)->probe.cleared);
        f.slot++;
    }
    assert_int_equal(f.report.probe.requests, 300);
    for (int i = 0; i < 30; i++) /* all was well */
        observation_at(&f.news, f.epoch, f.slot - 30 + i)->variants[VARIANT_CANARY].settled = 10;
    assert_true(steps_look(&f)->probe.cleared);
    steps_deinit(&f);
}

/* However many requests there are, (m + 2) slots must be over. */
static void test_a_probe_takes_its_time(void **state)
{
    struct steps f;
    (void)state;
    send_back_and_ask(&f);
    for (int i = 0; i < 4; i++)
        assert_false(steps_second(&f, 1000, 0, 9000, 0)->probe.cleared);
    assert_true(steps_second(&f, 1000, 0, 9000, 0)->probe.cleared);
    assert_int_equal(f.report.probe.slots, 4);
    steps_weight(&f, 1000, WEIGHT_GOES_ON);
    assert_false(steps_look(&f)->probe.active);
    steps_deinit(&f);
}

/* What it did at the visits counts before it gets everything. */
static void test_trips_stay_in_the_steps_record(void **state)
{
    struct steps f;
    (void)state;
    send_back_and_ask(&f);
    uint64_t bad = f.report.criteria[0].bad[VARIANT_CANARY];
    assert_true(bad >= 20);
    steps_second(&f, 10, 1, 90, 0);
    assert_int_equal(f.report.criteria[0].bad[VARIANT_CANARY], bad + 1);
    steps_deinit(&f);
}

/* Nothing works at all: a retreat, whose probe asks for errors whatever the criteria are. */
static void test_hard_down_is_asked_again_too(void **state)
{
    struct steps f;
    (void)state;
    steps_init(&f);
    add_latency_max(&f.policy, 0.99, NS_PER_SEC);
    f.policy.policy.analysis.hard_down_over_ns = 3 * NS_PER_SEC;
    steps_weight(&f, 1000, WEIGHT_STEP);
    while (!steps_second(&f, 5, 5, 90, 0)->retreat)
        assert_true(f.slot < START_SLOT + 10);
    assert_true(f.report.hard_down);
    assert_false(f.report.revert);
    assert_int_equal(f.report.probe_next.criterion, CRITERIA_MAX);
    assert_true(f.report.probe_next.z == 0.5);
    steps_weight(&f, 0, WEIGHT_GOES_ON);
    f.slot += 30;
    steps_look(&f);
    steps_weight(&f, 1000, WEIGHT_PROBE);
    assert_false(steps_look(&f)->hard_down);
    for (int i = 0; i < 5; i++)
        steps_second(&f, 5, 0, 90, 0);
    assert_true(f.report.probe.cleared);
    steps_deinit(&f);
}

/* A crossing stays one while the canary has no traffic; who forces it up asks afresh. */
static void test_a_forced_step_begins_afresh(void **state)
{
    struct steps f;
    (void)state;
    setup(&f);
    steps_weight(&f, 1000, WEIGHT_STEP);
    while (!steps_second(&f, 10, 10, 90, 0)->retreat)
        continue;
    double wide = f.report.wide.log_e;
    steps_weight(&f, 2500, WEIGHT_STEP);
    assert_false(steps_look(&f)->retreat);
    assert_true(f.report.wide.log_e >= wide); /* which forgets nothing */
    steps_deinit(&f);
}

/* Out of the retreat by command, in the same step: afresh, and nobody asks. */
static void test_a_retreat_ended_by_force(void **state)
{
    struct steps f;
    (void)state;
    send_back_and_ask(&f);
    while (!steps_second(&f, 10, 10, 90, 0)->retreat)
        continue;
    steps_weight(&f, 0, WEIGHT_GOES_ON);
    assert_true(steps_look(&f)->retreat);
    double wide = f.report.wide.log_e;
    uint64_t requests = f.report.step_requests;
    steps_weight(&f, 1000, WEIGHT_FORCED);
    steps_look(&f);
    assert_false(f.report.retreat || f.report.crossed || f.report.hard_down);
    assert_false(f.report.probe.active);
    assert_true(f.report.wide.log_e >= wide && f.report.step_requests >= requests);
    for (int i = 0; i < 10 && !f.report.retreat; i++) /* and watched from there */
        steps_second(&f, 10, 10, 90, 0);
    assert_true(f.report.retreat);
    steps_deinit(&f);
}

static void test_what_a_probe_asks(void **state)
{
    static const struct shares dead = {.sample = 30, .bad = 30}, few = {.sample = 100, .bad = 5};
    (void)state;
    struct probe p = visit_ask(2, dead, 0.01, NULL);
    assert_true(fabs(p.p1 - sqrt(0.9 * 0.01)) < 1e-12);
    /* A later visit may only lower what it asks; about another criterion it asks anew. */
    struct probe lower = visit_ask(2, few, 0.01, &p);
    assert_true(lower.p1 < p.p1);
    struct probe again = visit_ask(2, dead, 0.01, &lower);
    assert_true(again.p1 == lower.p1 && again.z == lower.z);
    assert_true(visit_ask(1, dead, 0.01, &lower).p1 == p.p1);
    /* Always something that can be told from all right. */
    for (double z = 0; z < 1.2; z += 0.01) {
        p = visit_ask(0, few, z, NULL);
        assert_true(p.z > 0 && p.p1 > p.z && p.p1 < 1);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_retreats),
        cmocka_unit_test(test_requests_in_flight_do_not_clear),
        cmocka_unit_test(test_a_probe_takes_its_time),
        cmocka_unit_test(test_trips_stay_in_the_steps_record),
        cmocka_unit_test(test_hard_down_is_asked_again_too),
        cmocka_unit_test(test_a_forced_step_begins_afresh),
        cmocka_unit_test(test_a_retreat_ended_by_force),
        cmocka_unit_test(test_what_a_probe_asks),
    };
    return cmocka_run_group_tests_name("visits", tests, NULL, NULL);
}
