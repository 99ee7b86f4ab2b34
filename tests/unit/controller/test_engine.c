/* Evidence and decisions together: what the controller does with whole streams of requests. */
#include "fixtures.h"

#include "controller/engine.h"
#include "tests/unit/analysis/vectors.h"

enum { START_SLOT = 5000 };

/* error_rate max 1 % at a quarter of the evidence, m = 2, asked again after 30 s and 2 min. */
struct course {
    struct fixture f;
    struct engine engine;
    struct observation news;
    struct rollout_decision last; /* that moved something */
    uint32_t served_bp, served_epoch;
    size_t events;
};

static void port_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    struct course *c = ctx;

    assert_true(epoch > c->served_epoch);
    c->served_epoch = epoch;
    c->served_bp = weight_bp;
}

static int port_commit(void *ctx, const struct rollout_decision *d)
{
    (void)ctx;
    (void)d;
    return 0;
}

static int port_owed(void *ctx, const struct rollout_state *s)
{
    (void)ctx;
    (void)s;
    return 0;
}

static void port_event(void *ctx, const struct rollout_decision *d)
{
    struct course *c = ctx;

    memcpy(&c->last, d, sizeof(*d));
    c->events++;
}

static void look(struct course *c, int64_t now_ns)
{
    const struct engine_ports ports = {port_weight, port_commit, port_owed, port_event, c};
    struct rollout_decision d;

    engine_look(&c->engine, INPUT_TICK, &c->news, NULL, now_ns, &ports, &d);
    observation_clear(&c->news);
}

static void setup(struct course *c)
{
    memset(c, 0, sizeof(*c));
    fixture_confirms(&c->f);
    for (int i = 0; i < 4; i++)
        c->f.steps[i].hold_ns = 10 * NS_PER_MIN;
    c->f.criteria[0].weight = 0.25;
    c->f.criteria[0].require_no_harm = true;
    c->f.policy.analysis.criteria_count = 1;
    c->f.policy.analysis.error_kinds = outcome_errors;
    c->f.policy.analysis.hard_down_failures = 0;
    observation_init(&c->news);
    engine_init(&c->engine, &c->f.policy, START_SLOT * NS_PER_SEC);
}

static void teardown(struct course *c)
{
    engine_deinit(&c->engine);
    observation_deinit(&c->news);
}

/* A second of the canary's traffic, and a look at its end. */
static void serve(struct course *c, int64_t slot, uint32_t n, uint32_t bad)
{
    struct slot_counts *counts =
        &observation_at(&c->news, c->served_epoch, slot)->variants[VARIANT_CANARY];

    counts->dispatched = counts->settled = n;
    counts->errors = counts->bad[0] = bad;
    look(c, (slot + 1) * NS_PER_SEC - 1);
}

/* --- the reference ---------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum rollout_event event;
    uint32_t weight_bp;
} names[] = {
    {"retreat", EVENT_RETREATED, 0},
    {"probe", EVENT_PROBED, 1000},
    {"cleared", EVENT_CLEARED, 1000},
    {"revert", EVENT_ROLLED_BACK, 0},
};

static void expect_event(struct vectors *v, const struct course *c, const json_t *e, int64_t t)
{
    const char *name = json_string_value(json_object_get(e, "event"));
    size_t i = 0;

    assert_int_equal(count_of(e, "t"), t);
    while (strcmp(names[i].name, name) != 0)
        i++;
    assert_string_equal(event_names[c->last.event], event_names[names[i].event]);
    assert_int_equal(c->served_bp, names[i].weight_bp);
    assert_int_equal(c->engine.state.weight_bp, names[i].weight_bp);
    if (c->last.event == EVENT_RETREATED) {
        compare(v, c->engine.state.retreat.probe.p1, number(e, "p1"), "p1");
        assert_int_equal(c->engine.state.retreat.visit, count_of(e, "visit"));
        /* it is asked again at the beginning of a slot, so nearly a slot less is left here */
        assert_int_equal(c->engine.state.retreat.left_ns / NS_PER_SEC,
                         (int64_t)count_of(e, "until") - t - 1);
    }
    if (c->last.event == EVENT_ROLLED_BACK)
        assert_int_equal(c->last.cause,
                         strcmp(json_string_value(json_object_get(e, "by")), "wide") == 0
                             ? CAUSE_WIDE
                             : CAUSE_CRITERION);
}

/* Weights, events and their seconds are the reference's, through the code that production runs. */
static void run_guard(struct vectors *v, const json_t *row)
{
    const json_t *stream = json_object_get(row, "stream"), *events = json_object_get(row, "events");
    struct course c;
    size_t next = 0;

    setup(&c);
    look(&c, START_SLOT * NS_PER_SEC);
    assert_int_equal(c.last.event, EVENT_STARTED);
    for (size_t t = 0; t < json_array_size(stream); t++) {
        int64_t slot = START_SLOT + (int64_t)t;
        const json_t *second = json_array_get(stream, t);
        size_t before = c.events;
        if (c.served_bp == 0)
            look(&c, slot * NS_PER_SEC);
        if (c.events > before)
            expect_event(v, &c, json_array_get(events, next++), (int64_t)t);
        before = c.events;
        if (c.served_bp > 0)
            serve(&c, slot, (uint32_t)json_integer_value(json_array_get(second, 0)),
                  (uint32_t)json_integer_value(json_array_get(second, 1)));
        if (c.events > before)
            expect_event(v, &c, json_array_get(events, next++), (int64_t)t);
    }
    print_message("  %s: %zu events\n", json_string_value(json_object_get(row, "name")), next);
    assert_int_equal(next, json_array_size(events));
    teardown(&c);
}

static void test_reference_retreats(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors2.json", "retreat_guard");

    (void)state;
    json_array_foreach(rows, i, row) run_guard(&v, row);
    assert_int_equal(i, 5);
    vectors_close(&v, "retreat_guard, through the engine");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_retreats),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
