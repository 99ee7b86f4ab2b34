/* A canary that was sent back is asked again: what on-call relies on is that a burst is forgiven,
 * that a fault is not, and that nothing a canary did in between is lost. */
#include "analysis/analysis.h"

#include <string.h>

#include "analysis/visit.h"
#include "tests/unit/analysis/policies.h"
#include "tests/unit/analysis/vectors.h"

enum { START_SLOT = 5000 };

struct fixture {
    struct test_policy policy;
    struct analysis *a;
    struct observation news;
    struct analysis_report report;
    int64_t slot;
    uint32_t epoch, weight_bp;
};

/* error_rate max 1 % among four criteria, m = 2, visits after 30 s and 2 min. */
static void setup(struct fixture *f)
{
    memset(f, 0, sizeof *f);
    test_policy_init(&f->policy);
    add_error_rate_max(&f->policy, 0.01);
    while (f->policy.policy.analysis.criteria_count < 4)
        add_latency_max(&f->policy, 0.99, NS_PER_SEC);
    f->policy.policy.analysis.min_bad_slots = 2;
    f->policy.policy.analysis.confirm_count = 2;
    f->policy.policy.analysis.confirm_ns[0] = 30 * NS_PER_SEC;
    f->policy.policy.analysis.confirm_ns[1] = 2 * NS_PER_MIN;
    f->policy.policy.analysis.hard_down_failures = 0;
    f->slot = START_SLOT;
    observation_init(&f->news);
}

static void weight(struct fixture *f, uint32_t weight_bp, enum weight_why why)
{
    if (f->a == NULL)
        f->a = analysis_new(&f->policy.policy);
    if (why == WEIGHT_PROBE)
        analysis_probe(f->a, &f->report.probe_next);
    analysis_weight(f->a, ++f->epoch, weight_bp, why, f->slot * NS_PER_SEC);
    f->weight_bp = weight_bp;
}

static void teardown(struct fixture *f)
{
    analysis_free(f->a);
    observation_deinit(&f->news);
}

static const struct analysis_report *look(struct fixture *f)
{
    analysis_observe(f->a, &f->news, f->slot * NS_PER_SEC);
    observation_clear(&f->news);
    analysis_report(f->a, &f->report);
    return &f->report;
}

/* What the canary gets in this slot, and a look at its end. */
static const struct analysis_report *serve(struct fixture *f, uint32_t n, uint32_t bad)
{
    struct slot_counts *c = &observation_at(&f->news, f->epoch, f->slot)->variants[VARIANT_CANARY];
    c->dispatched = c->settled = n;
    c->errors = c->bad[0] = bad;
    return look(f);
}

/* --- the reference ------------------------------------------------------------------------- */

/* The rules of the controller, as short as they can be written. */
struct guard {
    struct fixture *f;
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
        weight(g->f, 0, WEIGHT_GOES_ON);
    }
}

static void play_second(struct vectors *v, struct guard *g, const json_t *stream,
                        const json_t *slot)
{
    struct fixture *f = g->f;
    if (f->slot == g->until) {
        assert_int_equal(count_of(expect(g, "probe"), "visit"), g->visit + 1);
        g->until = -1;
        weight(f, 1000, WEIGHT_PROBE);
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
        weight(f, 1000, WEIGHT_GOES_ON);
    }
}

static void run_guard(struct vectors *v, const json_t *row)
{
    struct fixture f;
    struct guard g = {.f = &f, .until = -1, .events = json_object_get(row, "events")};
    const json_t *slots = json_object_get(row, "slots");

    setup(&f);
    weight(&f, 1000, WEIGHT_STEP);
    look(&f);
    compare(v, f.report.criteria[0].threshold, number(row, "threshold"), "threshold");
    compare(v, f.report.criteria[0].wide_threshold, number(row, "threshold_wide"), "wide");
    for (size_t i = 0; i < json_array_size(slots); i++) {
        const json_t *slot = json_array_get(slots, i);
        int64_t t = START_SLOT + (int64_t)count_of(slot, "t");
        for (; f.slot < t; f.slot++)
            look(&f);
        assert_false(g.done);
        play_second(v, &g, json_array_get(json_object_get(row, "stream"), count_of(slot, "t")),
                    slot);
    }
    assert_int_equal(g.next, json_array_size(g.events));
    teardown(&f);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_retreats),
    };
    return cmocka_run_group_tests_name("visits", tests, NULL, NULL);
}
