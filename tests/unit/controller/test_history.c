/* A rollout's course as people see it: so many points at most, whatever it went through. */
#include "fixtures.h"

#include "controller/history.h"

struct course {
    struct fixture f;
    struct journals *all;
    struct history *history;
    struct engine engine;
    struct controller_ports ports;
    struct rollout_decision decision;
    int64_t now_ns;
};

static void totals(void *ctx, uint32_t rollout, struct recorder_totals *ret)
{
    (void)ctx;
    (void)rollout;
    *ret = (struct recorder_totals){0};
}

static void set_up(struct course *c)
{
    memset(c, 0, sizeof(*c));
    fixture_init(&c->f);
    c->ports.totals = totals;
    c->now_ns = T0;
    c->all = journals_new(JOURNALS_BYTES_MAX);
    c->history = history_new(c->all, &c->f.policy, &c->ports, 0);
    engine_init(&c->engine, &c->f.policy, c->now_ns);
    history_begin(c->history, &c->engine, false, c->now_ns, c->now_ns);
    snprintf(c->decision.state.canary_version, sizeof(c->decision.state.canary_version), "2.1.0");
    c->decision.state.step = 1;
}

static void tear_down(struct course *c)
{
    history_free(c->history);
    journals_free(c->all);
    engine_deinit(&c->engine);
}

/* A look that far on, after which the canary has that weight. */
static void look(struct course *c, int64_t ns, uint32_t weight_bp)
{
    c->now_ns += ns;
    c->decision.before = c->decision.state;
    c->decision.state.weight_bp = weight_bp;
    const struct journal_look l = {
        .kind = INPUT_TICK, .now_ns = c->now_ns, .wall_ns = c->now_ns, .decision = &c->decision};
    history_look(c->history, &c->engine, &l);
}

/* The whole time is covered without a gap. */
static size_t expect_covered(const struct course *c)
{
    const struct history_point *points;
    size_t n = history_points(c->history, &points);

    assert_in_range(n, 1, HISTORY_POINTS);
    for (size_t i = 0; i < n; i++) {
        assert_true(points[i].length_ns >= 0);
        if (i > 0)
            assert_true(points[i].wall_ns == points[i - 1].wall_ns + points[i - 1].length_ns);
    }
    assert_true(points[n - 1].wall_ns + points[n - 1].length_ns == c->now_ns);
    return n;
}

/* A canary that is sent back and asked again for days: each point has another weight than its
 * neighbours, so none can be merged for being alike, and the latest stay as they were. */
static void test_up_and_down_for_ever(void **state)
{
    struct course c;
    const struct history_point *points;

    (void)state;
    set_up(&c);
    for (int i = 0; i < 10 * HISTORY_POINTS; i++)
        look(&c, 30 * NS_PER_SEC, i % 2 == 0 ? 1000 : 0);
    size_t n = expect_covered(&c);
    history_points(c.history, &points);
    for (size_t i = n - 10; i + 1 < n; i++) {
        assert_true(points[i].length_ns == 30 * NS_PER_SEC);
        assert_int_not_equal(points[i].weight_bp, points[i + 1].weight_bp);
    }
    tear_down(&c);
}

/* And one that stays for months keeps its shape, with coarser points. */
static void test_long_and_quiet(void **state)
{
    struct course c;

    (void)state;
    set_up(&c);
    look(&c, NS_PER_SEC, 0);
    for (int i = 0; i < 90 * 24 * 6; i++)
        look(&c, 10 * NS_PER_MIN, i < 100 ? 1000 : 10000);
    size_t n = expect_covered(&c);
    const struct history_point *points;
    history_points(c.history, &points);
    assert_true(n > HISTORY_POINTS / 4);
    assert_int_equal(points[0].weight_bp, 0);
    assert_int_equal(points[1].weight_bp, 1000);
    assert_int_equal(points[n - 1].weight_bp, 10000);
    tear_down(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_up_and_down_for_ever),
        cmocka_unit_test(test_long_and_quiet),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
