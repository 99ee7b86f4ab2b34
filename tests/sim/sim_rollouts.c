/* Whole rollouts in virtual time, by the thousand: scenarios that must come out right, with fixed
 * seeds. Prints "N passed, N failed" last, and with each failure the seeds of rollouts that went
 * wrong. For figures, and worlds of one's own: `sluice simulate`.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "controller/sim_batch.h"

enum { TEXT_BYTES_MAX = 1024 * 1024 };

/* --- policies --------------------------------------------------------------------------------- */

static struct policy *parse(const char *path, struct str text)
{
    struct diagnostics diagnostics;
    struct policy *policy = NULL;
    struct strbuf out;

    diagnostics_init(&diagnostics);
    strbuf_init(&out, TEXT_BYTES_MAX);
    int rc = policy_parse(str_from(path), text, &policy, &diagnostics);
    for (size_t i = 0; rc != 0 && i < diagnostics.count; i++)
        diagnostics_print(&diagnostics.items[i], text, &out);
    fputs(strbuf_cstr(&out), stderr);
    strbuf_deinit(&out);
    diagnostics_deinit(&diagnostics);
    if (rc != 0)
        exit(2);
    return policy;
}

#define HEAD                                                                                       \
    "rollout: chat\n"                                                                              \
    "stable: {version: \"2.0.0\", endpoints: [\"http://127.0.0.1:9001\"]}\n"                       \
    "canary: {version: \"2.1.0\", endpoints: [\"http://127.0.0.1:9002\"]}\n"
#define STEPS(hold)                                                                                \
    "steps:\n"                                                                                     \
    "  - {weight: 10, hold: " hold "}\n"                                                           \
    "  - {weight: 25, hold: " hold "}\n"                                                           \
    "  - {weight: 50, hold: " hold "}\n"                                                           \
    "  - {weight: 100, hold: " hold "}\n"
#define CRITERIA                                                                                   \
    "  criteria:\n"                                                                                \
    "    - {metric: error_rate, max: 1%}\n"                                                        \
    "    - {metric: error_rate, max_increase: 0.5%}\n"

static const char usual[] = HEAD STEPS("1m") "analysis:\n" CRITERIA;
static const char only_max[] =
    HEAD STEPS("1m") "analysis:\n  criteria:\n    - {metric: error_rate, max: 1%}\n";
static const char long_steps[] = HEAD STEPS("10m") "analysis:\n" CRITERIA;
static const char with_latency[] =
    HEAD STEPS("2m") "analysis:\n" CRITERIA "    - {metric: latency, quantile: 99%, max: 500ms}\n";
static const char only_relative[] = HEAD STEPS("2m") "analysis:\n  criteria:\n"
                                                     "    - {metric: error_rate, max_increase: "
                                                     "0.5%}\n";
static const char observing[] = HEAD STEPS("2m") "analysis:\n  mode: observe\n" CRITERIA;
static const char eager[] =
    HEAD STEPS("1m") "analysis:\n  burst_guard: {slot: 1s, min_bad_slots: 0, confirm: []}\n"
                     "  on_stable_degraded: judge\n" CRITERIA;

/* --- scenarios -------------------------------------------------------------------------------- */

/* Bounds are on counts of rollouts, and on median and p95 until traffic is taken away; 0: none. */
struct scenario {
    const char *name, *policy;
    const char *stable, *canary, *shared; /* as for `sluice simulate` */
    size_t rollouts;
    double rps, hours;
    size_t promoted_min, promoted_max, reverted_min, reverted_max;
    double down_s[2], down_failed[2];
    uint32_t max_weight_bp; /* no rollout may have served more; 0: any */
};

#define ALL   SIZE_MAX
#define QUICK ",latency=lognormal:120ms:0.3"

static const struct scenario scenarios[] = {
    {.name = "healthy at half the limit is promoted",
     .policy = usual,
     .stable = "errors=0.5%" QUICK,
     .rollouts = 500,
     .rps = 100,
     .hours = 2,
     .promoted_min = 495,
     .promoted_max = ALL,
     .reverted_max = 1},
    {.name = "healthy with slow answers and fast failures",
     .policy = usual,
     .stable = "errors=0.5%,latency=lognormal:3s:0.3",
     .rollouts = 100,
     .rps = 100,
     .hours = 2,
     .promoted_min = 99,
     .promoted_max = ALL,
     .reverted_max = 1},
    {.name = "exactly at the limit is neither",
     .policy = only_max,
     .stable = "errors=1%" QUICK,
     .rollouts = 150,
     .rps = 100,
     .hours = 0.25,
     .promoted_max = 14, /* 5 % of 150, and 2.4 standard deviations */
     .reverted_max = 1},
    {.name = "20% of requests fail from the start",
     .policy = usual,
     .stable = "errors=0.1%" QUICK,
     .canary = "errors=20%",
     .rollouts = 500,
     .rps = 100,
     .hours = 1,
     .reverted_min = 500,
     .reverted_max = ALL,
     .down_s = {5.5, 9},
     .down_failed = {12, 16},
     .max_weight_bp = 1000},
    {.name = "everything fails from the start",
     .policy = usual,
     .stable = "errors=0.1%" QUICK,
     .canary = "errors=100%",
     .rollouts = 500,
     .rps = 100,
     .hours = 1,
     .reverted_min = 500,
     .reverted_max = ALL,
     .down_s = {2.5, 3},
     .down_failed = {25, 36},
     .max_weight_bp = 1000},
    {.name = "everything fails, burst guard off: tenths of a second",
     .policy = eager,
     .stable = "errors=0.1%" QUICK,
     .canary = "errors=100%",
     .rollouts = 500,
     .rps = 100,
     .hours = 1,
     .reverted_min = 500,
     .reverted_max = ALL,
     .down_s = {0.6, 1.0},
     .down_failed = {6, 9},
     .max_weight_bp = 1000},
    {.name = "20% fail, 2 minutes into a step of 10",
     .policy = long_steps,
     .stable = "errors=0.1%" QUICK,
     .canary = "errors=20%,onset=2m",
     .rollouts = 300,
     .rps = 200,
     .hours = 1,
     .reverted_min = 300,
     .reverted_max = ALL,
     .down_s = {6.5, 9},
     .down_failed = {28, 36},
     .max_weight_bp = 1000},
    {.name = "failures as slow as answers of a second",
     .policy = usual,
     .stable = "errors=0.1%,latency=lognormal:1s:0.3,failures=as-slow",
     .canary = "errors=20%",
     .rollouts = 300,
     .rps = 100,
     .hours = 1,
     .reverted_min = 300,
     .reverted_max = ALL,
     .down_s = {7, 11},
     .down_failed = {15, 20},
     .max_weight_bp = 1000},
    {.name = "5% fail with little traffic",
     .policy = usual,
     .stable = "errors=0.1%" QUICK,
     .canary = "errors=5%",
     .rollouts = 200,
     .rps = 10,
     .hours = 4,
     .reverted_min = 200,
     .reverted_max = ALL,
     .down_s = {230, 360},
     .down_failed = {15, 21}},
    {.name = "slow from 100 s on, no errors",
     .policy = with_latency,
     .stable = "errors=0.1%" QUICK,
     .canary = "latency=lognormal:2s:0.3,onset=100s",
     .rollouts = 300,
     .rps = 100,
     .hours = 1,
     .reverted_min = 300,
     .reverted_max = ALL,
     .down_s = {5, 6},
     .max_weight_bp = 1000},
    {.name = "bursts of seconds interrupt a healthy canary and do not end it",
     .policy = long_steps,
     .stable = "errors=0.05%,bursts=3s/300s:50%" QUICK,
     .rollouts = 150,
     .rps = 50,
     .hours = 2,
     .promoted_min = 145,
     .promoted_max = ALL,
     .reverted_max = 2},
    {.name = "an outage that both share is no evidence",
     .policy = only_relative,
     .stable = "errors=0.1%" QUICK,
     .shared = "outage=3m+2m:40%",
     .rollouts = 150,
     .rps = 50,
     .hours = 2,
     .promoted_min = 150,
     .promoted_max = ALL},
    {.name = "no traffic to speak of decides nothing",
     .policy = usual,
     .stable = "errors=0%",
     .rollouts = 3,
     .rps = 1e-6,
     .hours = 7,
     .max_weight_bp = 1000},
    {.name = "mode observe moves nothing",
     .policy = observing,
     .stable = "errors=0.1%" QUICK,
     .canary = "errors=100%",
     .rollouts = 5,
     .rps = 50,
     .hours = 0.5,
     .max_weight_bp = 1000},
};

static struct sim_plan *plan_of(const struct scenario *s, const struct policy *policy)
{
    struct sim_spec spec;
    struct error error;
    const char *canary = s->canary == NULL ? "" : s->canary;
    const char *shared = s->shared == NULL ? "" : s->shared;

    sim_spec_init(&spec);
    spec.rps = s->rps;
    CHECK(sim_variant_parse(&spec.variants[VARIANT_STABLE], str_from(s->stable), &error) == 0);
    spec.variants[VARIANT_CANARY] = spec.variants[VARIANT_STABLE];
    CHECK(sim_variant_parse(&spec.variants[VARIANT_CANARY], str_from(canary), &error) == 0);
    CHECK(sim_shared_parse(&spec.shared, str_from(shared), &error) == 0);
    CHECK(sim_spec_check(&spec, &error) == 0);
    return sim_plan_new(policy, &spec, true);
}

static void run_batch(const struct scenario *s, const struct sim_plan *plan, uint64_t seed,
                      size_t count, size_t jobs, bool every_tick, struct sim_batch *ret)
{
    *ret = (struct sim_batch){.config = {.plan = plan,
                                         .watch_ns = 10 * NS_PER_SEC,
                                         .max_ns = (int64_t)(s->hours * 3600e9),
                                         .every_tick = every_tick},
                              .seed = seed,
                              .count = count,
                              .jobs = jobs};
    sim_batch_run(ret);
}

static bool count_within(const char *what, size_t n, size_t min, size_t max)
{
    if (n >= min && n <= max)
        return true;
    printf("  %s: %zu rollouts, expected %zu to %zu\n", what, n, min, max);
    return false;
}

static bool spread_below(const char *what, const struct sim_spread *seen, const double bound[2])
{
    bool ok =
        (bound[0] <= 0 || seen->median <= bound[0]) && (bound[1] <= 0 || seen->p95 <= bound[1]);

    if (!ok)
        printf("  %s: median %.1f and p95 %.1f, expected at most %.1f and %.1f\n", what,
               seen->median, seen->p95, bound[0], bound[1]);
    return ok;
}

static bool weights_below(const struct sim_batch *b, uint32_t max_weight_bp)
{
    for (size_t i = 0; max_weight_bp > 0 && i < b->count; i++)
        if (b->results[i].max_weight_bp > max_weight_bp) {
            printf("  seed %" PRIu64 ": served %u bp, expected at most %u\n", sim_seed(b->seed, i),
                   b->results[i].max_weight_bp, max_weight_bp);
            return false;
        }
    return true;
}

/* Seeds of some rollouts that ended as they should not have. */
static void print_seeds(const struct sim_batch *b, const struct scenario *s)
{
    int printed = 0;

    for (size_t i = 0; i < b->count && printed < 5; i++) {
        enum sim_end end = b->results[i].end;
        bool wrong = (end == SIM_REVERTED && s->reverted_max < b->count) ||
                     (end != SIM_REVERTED && s->reverted_min > 0) ||
                     (end != SIM_PROMOTED && s->promoted_min > 0);
        if (!wrong)
            continue;
        printf("  seed %" PRIu64 ": ended %s after %.1f s\n", sim_seed(b->seed, i),
               sim_end_names[end], (double)b->results[i].end_ns / 1e9);
        printed++;
    }
}

static bool run_scenario(const struct scenario *s, uint64_t seed)
{
    struct policy *policy = parse(s->name, str_from(s->policy));
    struct sim_plan *plan = plan_of(s, policy);
    struct sim_batch b;
    struct sim_figures f;

    run_batch(s, plan, seed, s->rollouts, sim_default_jobs(), false, &b);
    sim_figures(&b, &f);
    size_t promoted = f.ends[SIM_PROMOTED].count, reverted = f.ends[SIM_REVERTED].count;
    bool ok = count_within("promoted", promoted, s->promoted_min, s->promoted_max);
    ok = count_within("reverted", reverted, s->reverted_min, s->reverted_max) && ok;
    ok = spread_below("seconds until taken away", &f.down.s, s->down_s) && ok;
    ok = spread_below("failed until taken away", &f.down.failed, s->down_failed) && ok;
    ok = weights_below(&b, s->max_weight_bp) && ok;
    printf("%s %s: %zu rollouts, %zu promoted, %zu reverted", ok ? "ok  " : "FAIL", s->name,
           b.count, promoted, reverted);
    if (f.sent_back.count > 0)
        printf(", taken away after %.1f/%.1f s with %.0f/%.0f failed requests (median/p95)",
               f.down.s.median, f.down.s.p95, f.down.failed.median, f.down.failed.p95);
    printf("\n");
    if (!ok)
        print_seeds(&b, s);
    fflush(stdout);
    sim_batch_deinit(&b);
    sim_plan_free(plan);
    policy_free(policy);
    return ok;
}

/* The same seed gives the same decisions, on whatever thread. */
static bool run_twice(void)
{
    struct policy *policy = parse("twice", str_from(usual));
    struct sim_plan *plan = plan_of(&scenarios[0], policy);
    struct sim_batch a, b;
    bool ok = true;

    run_batch(&scenarios[0], plan, 7, 20, 1, false, &a);
    run_batch(&scenarios[0], plan, 7, 20, 3, false, &b);
    for (size_t i = 0; i < a.count; i++)
        if (a.results[i].digest != b.results[i].digest) {
            printf("  seed %" PRIu64 ": two runs differ\n", sim_seed(a.seed, i));
            ok = false;
        }
    printf("%s the same seed gives the same decisions, bit for bit\n", ok ? "ok  " : "FAIL");
    sim_batch_deinit(&a);
    sim_batch_deinit(&b);
    sim_plan_free(plan);
    policy_free(policy);
    return ok;
}

int main(void)
{
    size_t passed = 0, total = sizeof(scenarios) / sizeof(scenarios[0]);

    for (size_t i = 0; i < total; i++)
        passed += run_scenario(&scenarios[i], 1000 + i);
    passed += run_twice();
    total++;
    printf("%zu passed, %zu failed\n", passed, total - passed);
    return passed == total ? 0 : 1;
}
