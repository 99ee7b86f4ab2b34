/* That a look which the simulation leaves out would have decided nothing, that threads do not
 * matter, and what is counted until a canary is gone. */
#include "tests/unit/controller/sim_fixtures.h"

#include <math.h>
#include <stdlib.h>

#include "base/arena.h"
#include "controller/sim_batch.h"
#include "controller/sim_svg.h"

#define GUARD(m, confirm)                                                                          \
    "analysis:\n  burst_guard: {slot: 1s, min_bad_slots: " m ", confirm: " confirm "}\n"
#define ERRORS                                                                                     \
    "  criteria:\n"                                                                                \
    "    - {metric: error_rate, max: 1%}\n"                                                        \
    "    - {metric: error_rate, max_increase: 0.5%}\n"
#define TAILS                                                                                      \
    "  criteria:\n"                                                                                \
    "    - {metric: error_rate, max: 1%}\n"                                                        \
    "    - {metric: latency, quantile: 99%, max: 3s}\n"                                            \
    "    - {metric: latency, quantile: 95%, max_ratio: 1.5}\n"
#define USUAL                                                                                      \
    "  criteria:\n"                                                                                \
    "    - {metric: error_rate, max: 1%}\n"                                                        \
    "    - {metric: error_rate, max_increase: 0.5%}\n"                                             \
    "    - {metric: latency, quantile: [50%, 90%, 99%], max_ratio: 1.3}\n"                         \
    "    - {metric: outcome, is: [4xx, 429], max_increase: 1%}\n"

static void run(struct sim_plan *plan, uint64_t seed, size_t count, size_t jobs, bool every_tick,
                struct sim_batch *ret)
{
    *ret = (struct sim_batch){.config = {.plan = plan,
                                         .watch_ns = 20 * NS_PER_SEC,
                                         .max_ns = 12 * NS_PER_MIN,
                                         .every_tick = every_tick},
                              .seed = seed,
                              .count = count,
                              .jobs = jobs};
    sim_batch_run(ret);
}

/* --- looks -------------------------------------------------------------------------------------
 */

static void leaving_looks_out_changes_no_verdict(void **state)
{
    (void)state;
    static const struct {
        const char *policy, *stable, *canary;
        double rps;
        size_t rollouts;
        /* A median's bad requests are no cause to look: it is judged each second, as is whether a
         * canary that was sent back does well again. */
        int64_t down_late_ns, end_late_ns;
        enum sim_end some; /* of the rollouts end so */
    } rows[] = {
        {SIM_HEAD SIM_STEPS GUARD("3", "[]") ERRORS, "errors=0.3%", "errors=8%", 40, 60, 0, 0,
         SIM_REVERTED},
        {SIM_HEAD SIM_STEPS GUARD("0", "[]") ERRORS, "errors=0.3%,latency=200ms", "", 60, 20, 0, 0,
         SIM_PROMOTED},
        {SIM_HEAD SIM_STEPS GUARD("2", "[10s, 20s]") ERRORS, "errors=0.2%,bursts=2s/60s", "", 60,
         20, 0, 4 * NS_PER_SEC, SIM_PROMOTED},
        {SIM_HEAD SIM_STEPS GUARD("2", "[10s, 20s]") TAILS, "errors=0.2%", "shift=1.8x", 60, 20, 0,
         0, SIM_REVERTED},
        {SIM_HEAD SIM_STEPS GUARD("2", "[10s, 20s]") ERRORS, "errors=0.3%,latency=5s",
         "errors=20%,onset=50%", 30, 20, 0, 0, SIM_REVERTED},
        {SIM_HEAD SIM_STEPS GUARD("2", "[10s, 20s]") USUAL, "errors=0.3%", "", 60, 15, NS_PER_SEC,
         3 * NS_PER_SEC, SIM_PROMOTED},
        {SIM_HEAD SIM_STEPS GUARD("2", "[10s, 20s]") USUAL, "errors=0.3%", "hang=30%", 60, 15,
         NS_PER_SEC, 3 * NS_PER_SEC, SIM_REVERTED},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct policy *policy = sim_policy(rows[i].policy);
        struct sim_spec spec = sim_spec_of(rows[i].rps, rows[i].stable, rows[i].canary);
        struct sim_plan *plan = sim_plan_new(policy, &spec, true);
        struct sim_batch few, all;
        size_t ends[SIM_END_COUNT] = {0};
        uint64_t looks[2] = {0};
        run(plan, 100 + i, rows[i].rollouts, 2, false, &few);
        run(plan, 100 + i, rows[i].rollouts, 2, true, &all);
        for (size_t k = 0; k < few.count; k++) {
            const struct sim_result *a = &few.results[k], *b = &all.results[k];
            bool same = a->end == b->end && a->cause == b->cause && a->step == b->step &&
                        a->retreats == b->retreats && a->decisions == b->decisions &&
                        a->down.known == b->down.known &&
                        llabs(a->down.ns - b->down.ns) <= rows[i].down_late_ns &&
                        llabs(a->end_ns - b->end_ns) <= rows[i].end_late_ns;
            if (!same)
                fail_msg("row %zu, rollout %zu: %s at %lld ms, %s at %lld ms; taken away at %lld "
                         "and %lld ms, %u and %u times",
                         i, k, sim_end_names[a->end], (long long)(a->end_ns / NS_PER_MS),
                         sim_end_names[b->end], (long long)(b->end_ns / NS_PER_MS),
                         (long long)(a->down.ns / NS_PER_MS), (long long)(b->down.ns / NS_PER_MS),
                         a->retreats, b->retreats);
            ends[a->end]++;
            looks[0] += a->looks;
            looks[1] += b->looks;
        }
        assert_true(ends[rows[i].some] > 0);
        assert_true(looks[0] * 2 < looks[1]);
        sim_batch_deinit(&few);
        sim_batch_deinit(&all);
        sim_plan_free(plan);
        policy_free(policy);
    }
}

static void threads_do_not_matter(void **state)
{
    (void)state;
    struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS GUARD("2", "[10s, 20s]") USUAL);
    struct sim_spec spec = sim_spec_of(50, "errors=0.3%,bursts=1s/60s", "errors=2%");
    struct sim_plan *plan = sim_plan_new(policy, &spec, true);
    struct sim_figures figures[3];
    static const size_t jobs[] = {1, 2, 5};

    for (int i = 0; i < 3; i++) {
        struct sim_batch b;
        run(plan, 3, 12, jobs[i], false, &b);
        memset(&figures[i], 0, sizeof(figures[i]));
        sim_figures(&b, &figures[i]);
        sim_batch_deinit(&b);
        assert_int_equal(figures[i].digest, figures[0].digest);
        assert_int_equal(figures[i].ends[SIM_REVERTED].count, figures[0].ends[SIM_REVERTED].count);
    }
    sim_plan_free(plan);
    policy_free(policy);
}

/* --- what is counted ---------------------------------------------------------------------------
 */

static void a_dead_canary_is_sent_back_and_then_condemned(void **state)
{
    (void)state;
    struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS GUARD("2", "[30s, 2m]") ERRORS);
    struct sim_spec spec = sim_spec_of(100, "errors=0.1%", "errors=100%,onset=20s");
    struct sim_plan *plan = sim_plan_new(policy, &spec, true);
    struct sim_batch b;
    struct sim_figures f;

    run(plan, 1, 20, 2, false, &b);
    sim_figures(&b, &f);
    for (size_t i = 0; i < b.count; i++) {
        const struct sim_result *r = &b.results[i];
        assert_int_equal(r->end, SIM_REVERTED);
        assert_int_equal(r->retreats, 2);
        assert_true(r->down.known && r->verdict.known);
        /* Counted from the onset: everything failed. */
        assert_int_equal(r->down.requests, r->down.failed);
        assert_int_equal(r->verdict.requests, r->verdict.failed);
        assert_true(r->down.ns <= 4 * NS_PER_SEC);
        /* Both pauses, and three short visits. */
        assert_true(r->verdict.ns > 150 * NS_PER_SEC && r->verdict.ns < 165 * NS_PER_SEC);
        assert_true(r->end_ns >= r->verdict.ns + 20 * NS_PER_SEC);
        assert_int_equal(r->max_weight_bp, 1000);
    }
    assert_int_equal(f.ends[SIM_REVERTED].count, 20);
    assert_int_equal(f.sent_back.count, 20);
    assert_int_equal(f.reached_full.count, 0);
    assert_true(f.down.s.median <= f.down.s.p95 && f.down.s.p95 < f.verdict.s.median);
    assert_int_equal(f.promoted_s.count, 0);
    assert_true(isnan(f.promoted_s.median));
    sim_batch_deinit(&b);
    sim_plan_free(plan);
    policy_free(policy);
}

static void intervals_are_exact(void **state)
{
    (void)state;
    /* Clopper and Pearson's: closed forms at the ends, and qbeta of a table. */
    static const struct {
        size_t count, n;
        double lower, upper;
    } rows[] = {
        {0, 2000, 0, 0.00184274},          {2000, 2000, 0.99815726, 1},
        {5, 100, 0.01643187, 0.11283491},  {50, 100, 0.39832112, 0.60167888},
        {1, 20000, 1.2659e-6, 2.78553e-4},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        double lower, upper;
        sim_interval(rows[i].count, rows[i].n, &lower, &upper);
        assert_true(fabs(lower - rows[i].lower) < 1e-7);
        assert_true(fabs(upper - rows[i].upper) < 1e-7);
    }
}

/* --- drawing -----------------------------------------------------------------------------------
 */

static size_t count_of(const char *text, const char *what)
{
    size_t n = 0;

    for (const char *at = text; (at = strstr(at, what)) != NULL; at++)
        n++;
    return n;
}

static void a_drawing_shows_what_happened(void **state)
{
    (void)state;
    struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS GUARD("2", "[30s, 2m]") ERRORS);
    struct sim_spec spec = sim_spec_of(100, "errors=0.1%", "errors=100%");
    struct sim_plan *plan = sim_plan_new(policy, &spec, true);
    struct sim_history history;
    struct sim_result result;
    struct strbuf out;

    sim_history_init(&history);
    strbuf_init(&out, 1 << 20);
    struct sim_config config = {.plan = plan, .trace = sim_history_add, .trace_ctx = &history};
    struct sim_world *world = sim_world_new(&config);
    sim_world_run(world, 1, &result);
    sim_svg(&history, STR("a <b> & \"c\""), &out);
    const char *svg = strbuf_cstr(&out);
    assert_memory_equal(svg, "<svg xmlns=", 11);
    assert_string_equal(svg + out.len - 7, "</svg>\n");
    assert_int_equal(count_of(svg, "a &lt;b&gt; &amp;"), 2);
    assert_int_equal(count_of(svg, ">retreated</text>"), 2);
    assert_int_equal(count_of(svg, ">rolled_back</text>"), 1);
    assert_int_equal(count_of(svg, "<text"), count_of(svg, "</text>"));
    assert_int_equal(count_of(svg, "nan") + count_of(svg, "inf"), 0);
    assert_true(history.count > 150); /* a point per second */
    sim_world_free(world);
    sim_history_deinit(&history);
    strbuf_deinit(&out);
    sim_plan_free(plan);
    policy_free(policy);
}

static void a_drawing_of_nothing_is_a_drawing(void **state)
{
    (void)state;
    struct sim_history history;
    struct strbuf out;

    sim_history_init(&history);
    strbuf_init(&out, 1 << 20);
    sim_svg(&history, STR(""), &out);
    assert_false(out.overflow);
    assert_int_equal(count_of(strbuf_cstr(&out), "nan"), 0);
    strbuf_deinit(&out);
    sim_history_deinit(&history);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(leaving_looks_out_changes_no_verdict),
        cmocka_unit_test(threads_do_not_matter),
        cmocka_unit_test(a_dead_canary_is_sent_back_and_then_condemned),
        cmocka_unit_test(intervals_are_exact),
        cmocka_unit_test(a_drawing_shows_what_happened),
        cmocka_unit_test(a_drawing_of_nothing_is_a_drawing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
