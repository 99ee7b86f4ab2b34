/* The ring gives what one pass over all slots gives, whenever and in whatever order it heard of
 * them. */
#include "analysis/ring.h"

#include <string.h>

#include "base/rng.h"
#include "tests/unit/analysis/vectors.h"

static double log_e(struct ring *r)
{
    ring_refold(r);
    return ring_log_e(r);
}

static void set_counts(struct ring *r, const struct sequential_factors *f, size_t slot, uint64_t n,
                       uint64_t canary_bad, uint64_t stable_bad)
{
    double log_ratio[SEQUENTIAL_POINTS_MAX];
    sequential_log_ratio(f, n, canary_bad, stable_bad, log_ratio);
    ring_set(r, slot, log_ratio);
}

static struct sequential_plan plan_of(const json_t *row)
{
    return (struct sequential_plan){
        .alpha = number(row, "alpha"),
        .share = 1 / number(row, "M"),
        .steps = count_of(row, "S"),
        .slots = count_of(row, "H"),
        .min_bad_slots = (uint32_t)count_of(row, "min_bad_slots"),
    };
}

static void factors_of(const json_t *row, double w, struct sequential_factors *ret)
{
    const json_t *params = json_object_get(row, "params");
    if (strcmp(json_string_value(json_object_get(row, "kind")), "abs") == 0)
        sequential_abs(number(params, "p0"), ret);
    else
        sequential_rel(number(params, "r"), number(params, "d"), w, GRID_SHARES, ret);
}

/* One stream of slots; `close` closes each slot for good before the next one is opened. */
static void run_engine(struct vectors *v, const json_t *row, bool close)
{
    struct sequential_plan plan = plan_of(row);
    double threshold = sequential_threshold(&plan);
    struct sequential_factors f;
    struct sequential_starts given = {0};
    struct ring r;
    size_t i;
    json_t *slot;
    int first_revert = -1;

    factors_of(row, 0.1, &f);
    ring_init(&r, f.points, sequential_cap(&plan, f.points));
    if (!json_is_null(json_object_get(row, "cap")))
        compare(v, r.cap, number(row, "cap"), "cap");
    compare(v, threshold, number(row, "threshold_logE"), "threshold");
    json_array_foreach(json_object_get(row, "slots"), i, slot)
    {
        factors_of(row, number(slot, "w"), &f);
        ring_open(&r, sequential_start(&plan, &given, 1, truth(slot, "step_start"), false),
                  RING_ON);
        set_counts(&r, &f, r.count - 1, count_of(slot, "n"), count_of(slot, "sc"),
                   count_of(slot, "ss"));
        double got = log_e(&r);
        compare(v, got, json_number_value(json_array_get(json_object_get(row, "logE"), i)),
                json_string_value(json_object_get(row, "name")));
        if (got >= threshold && first_revert < 0)
            first_revert = (int)i;
        if (close) /* log_e has folded it */
            ring_close(&r, 1);
    }
    assert_int_equal(first_revert, (int)number(row, "first_revert_slot"));
    ring_deinit(&r);
}

static void test_slot_engine(void **state)
{
    struct vectors v;
    size_t i;
    json_t *row, *rows = vectors_open(&v, "vectors.json", "slot_engine");
    (void)state;
    json_array_foreach(rows, i, row)
    {
        run_engine(&v, row, false);
        run_engine(&v, row, true);
    }
    assert_int_equal(i, 17);
    vectors_close(&v, "slot_engine");
}

static void test_late_updates(void **state)
{
    struct vectors v;
    size_t i;
    json_t *update, *row = vectors_open(&v, "vectors2.json", "ring_late_updates");
    struct sequential_plan plan = plan_of(row);
    struct sequential_starts given = {0};
    struct sequential_factors f;
    struct ring r;
    (void)state;
    sequential_abs(number(row, "p0"), &f);
    ring_init(&r, f.points, sequential_cap(&plan, f.points));
    for (size_t k = 0; k < count_of(row, "slots"); k++) {
        ring_open(&r, sequential_start(&plan, &given, 1, k == 0, false), RING_ON);
        set_counts(&r, &f, k, count_of(row, "dispatched_per_slot"), 0, 0);
    }
    json_array_foreach(json_object_get(row, "updates"), i, update)
    {
        set_counts(&r, &f, count_of(update, "slot"), count_of(update, "n"), count_of(update, "bad"),
                   0);
        compare(&v, log_e(&r), number(update, "logE"), "logE");
    }
    ring_deinit(&r);
    vectors_close(&v, "ring_late_updates");
}

enum { SLOTS = 300 };

struct stream {
    struct sequential_plan plan;
    struct sequential_factors f;
    uint64_t n[SLOTS], bad[SLOTS];
};

static double start_of(const struct stream *s, size_t slot)
{
    return (slot % 100 == 0 ? 1 / (2 * (double)s->plan.steps) : 0) + 1 / (2 * (double)SLOTS);
}

/* What the ring stands for, written down directly. */
static double batch(const struct stream *s, double cap)
{
    double evidence[SEQUENTIAL_POINTS_MAX] = {0}, ratio[SEQUENTIAL_POINTS_MAX], sum = 0;
    for (size_t i = 0; i < SLOTS; i++) {
        sequential_log_ratio(&s->f, s->n[i], s->bad[i], 0, ratio);
        for (size_t k = 0; k < s->f.points; k++) {
            double factor = fmin(exp(fmin(cap, ratio[k])), 1e250);
            evidence[k] =
                fmin((evidence[k] + start_of(s, i) / (double)s->f.points) * factor, 1e250);
        }
    }
    for (size_t k = 0; k < s->f.points; k++)
        sum += evidence[k];
    return log(sum);
}

static void stream_make(struct stream *s, struct rng *rng)
{
    s->plan = (struct sequential_plan){.alpha = 0.001,
                                       .share = 0.5,
                                       .steps = 3,
                                       .slots = SLOTS,
                                       .min_bad_slots = rng_below(rng, 4)};
    sequential_abs(0.01, &s->f);
    for (size_t i = 0; i < SLOTS; i++) {
        s->n[i] = rng_below(rng, 40);
        s->bad[i] = s->n[i] == 0 ? 0 : rng_below(rng, (uint32_t)s->n[i] + 1) / 4;
    }
}

/* Slots are heard of late and several times, the last time with all they hold; those that are
 * final and oldest are closed now and then. */
static double replay(const struct stream *s, struct rng *rng)
{
    struct ring r;
    bool final[SLOTS] = {false};
    size_t closed = 0, opened = 0;
    ring_init(&r, s->f.points, sequential_cap(&s->plan, s->f.points));
    while (closed < SLOTS) {
        if (opened < SLOTS && (opened == closed || rng_below(rng, 3) == 0))
            ring_open(&r, start_of(s, opened++), RING_ON);
        size_t slot = closed + rng_below(rng, (uint32_t)(opened - closed));
        if (!final[slot]) {
            final[slot] = rng_below(rng, 4) == 0;
            uint64_t n = final[slot] ? s->n[slot] : s->n[slot] / 2;
            uint64_t bad = final[slot] ? s->bad[slot] : s->bad[slot] / 3;
            set_counts(&r, &s->f, slot - closed, n, bad, 0);
        }
        if (rng_below(rng, 2) == 0)
            log_e(&r);
        for (; rng_below(rng, 8) == 0 && closed < opened && final[closed]; closed++) {
            ring_refold(&r);
            ring_close(&r, 1);
        }
    }
    double result = log_e(&r);
    ring_deinit(&r);
    return result;
}

static void test_any_order_gives_the_same_bits(void **state)
{
    struct rng rng;
    (void)state;
    rng_seed(&rng, 20);
    for (int i = 0; i < 300; i++) {
        struct stream s;
        stream_make(&s, &rng);
        double want = batch(&s, sequential_cap(&s.plan, s.f.points));
        double got = replay(&s, &rng);
        assert_memory_equal(&got, &want, sizeof want);
    }
}

/* A slot that is opened while nothing is dirty must know what was before it. */
static void test_evidence_survives_a_refold_from_a_new_slot(void **state)
{
    struct sequential_factors f;
    struct ring r;
    (void)state;
    sequential_abs(0.01, &f);
    ring_init(&r, f.points, INFINITY);
    ring_open(&r, 0.5, RING_ON);
    set_counts(&r, &f, 0, 10, 10, 0);
    double before = log_e(&r);
    ring_open(&r, 0, RING_ON);
    set_counts(&r, &f, 1, 1, 0, 0);
    assert_true(log_e(&r) > before - 3.1); /* one good request is worth at most 2.99 */
    ring_close(&r, 1);
    ring_open(&r, 0, RING_ON);
    set_counts(&r, &f, 1, 1, 0, 0);
    assert_true(log_e(&r) > before - 6.1);
    ring_deinit(&r);
}

static void test_overwhelming_evidence_stays_a_number(void **state)
{
    struct sequential_factors f;
    struct ring r;
    (void)state;
    sequential_abs(0.01, &f);
    ring_init(&r, f.points, INFINITY);
    for (size_t i = 0; i < 50; i++) {
        ring_open(&r, 0.01, RING_ON);
        set_counts(&r, &f, i, 1000000, i % 2 == 0 ? 1000000 : 0, 0);
        double got = log_e(&r);
        assert_true(got < 600); /* nor is it a NaN */
    }
    ring_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_slot_engine),
        cmocka_unit_test(test_late_updates),
        cmocka_unit_test(test_any_order_gives_the_same_bits),
        cmocka_unit_test(test_evidence_survives_a_refold_from_a_new_slot),
        cmocka_unit_test(test_overwhelming_evidence_stays_a_number),
    };
    return cmocka_run_group_tests_name("ring", tests, NULL, NULL);
}
