/* bench-fold: what a tick of the controller costs, for 100 rollouts with six criteria.
 *
 * Each rollout has traffic of its own (tests' world: 100 requests/s, answers of a second, half a
 * percent fails), made outside of what is measured. Then every rollout is looked at, as the engine
 * is in production: fold what was seen, report, decide, write the journal. Printed as JSON, CPU
 * time of this thread:
 *
 *   every   each rollout looked at in each tick of 100 ms, whether or not there is a cause
 *   due     as the controller's shell does: at once when something failed, else once a second
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/error.h"
#include "controller/engine.h"
#include "controller/history.h"
#include "controller/sim_traffic.h"

enum { ROLLOUTS = 100, WARM_TICKS = 300, TICKS = 600 };

static const char text[] = "rollout: chat\n"
                           "stable: {version: \"1\", endpoints: [\"http://127.0.0.1:9001\"]}\n"
                           "canary: {version: \"2\", endpoints: [\"http://127.0.0.1:9002\"]}\n"
                           "steps: [{weight: 50, hold: 1h}, {weight: 100, hold: 1h}]\n"
                           "analysis:\n"
                           "  burst_guard: {slot: 1s, min_bad_slots: 2, confirm: [30s, 2m]}\n"
                           "  criteria:\n"
                           "    - {metric: error_rate, max: 1%}\n"
                           "    - {metric: error_rate, max_increase: 0.5%}\n"
                           "    - {metric: latency, quantile: [50%, 90%, 99%], max_ratio: 1.3}\n"
                           "    - {metric: outcome, is: [4xx, 429], max_increase: 1%}\n";

struct lane {
    struct engine engine;
    struct history *history;
    struct sim_calendar calendar;
    struct sim_traffic traffic;
    struct reference *reference;
    struct observation observation;
    uint64_t alarms;
    uint32_t epoch, weight_bp;
    bool look;
};

static void set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    struct lane *l = ctx;

    l->epoch = epoch;
    l->weight_bp = weight_bp;
}

static int commit(void *ctx, const struct rollout_decision *d)
{
    (void)ctx;
    (void)d;
    return 0;
}

static int commit_owed(void *ctx, const struct rollout_state *s)
{
    (void)ctx;
    (void)s;
    return 0;
}

static void event(void *ctx, const struct rollout_decision *d)
{
    (void)ctx;
    (void)d;
}

static void totals(void *ctx, uint32_t rollout, struct recorder_totals *ret)
{
    (void)ctx;
    (void)rollout;
    *ret = (struct recorder_totals){0};
}

static void histogram(void *ctx, size_t criterion, struct histogram_view *add_to)
{
    const struct lane *l = ctx;
    const struct sim_plan *plan = l->traffic.plan;

    *add_to = l->calendar.histograms[plan->group_of[criterion]];
}

/* What there is to see at this tick, and whether the shell would look. */
static void prepare(struct lane *l, int64_t tick, int64_t index, bool every)
{
    int64_t now_ns = tick * SIM_TICK_NS;

    sim_calendar_pass(&l->calendar, tick);
    reference_look(l->reference, now_ns, false, histogram, l);
    l->look = every || l->alarms != l->calendar.alarms || (tick + index) % 10 == 0;
    l->alarms = l->calendar.alarms;
    observation_clear(&l->observation);
    if (l->look)
        sim_calendar_take(&l->calendar, &l->observation);
}

static void go_on(struct lane *l, int64_t tick)
{
    struct sim_moment m = {.tick = tick,
                           .since_ns = tick * SIM_TICK_NS,
                           .slot = tick * SIM_TICK_NS / NS_PER_SEC,
                           .epoch = l->epoch,
                           .weight_bp = l->weight_bp,
                           .limits = reference_limits(l->reference)};

    sim_traffic_tick(&l->traffic, &m);
}

static void look(struct lane *l, int64_t now_ns)
{
    static struct rollout_decision decision;
    const struct engine_ports ports = {.set_weight = set_weight,
                                       .commit = commit,
                                       .commit_owed = commit_owed,
                                       .event = event,
                                       .ctx = l};
    enum effects_result result =
        engine_look(&l->engine, INPUT_TICK, &l->observation, NULL, now_ns, &ports, &decision);
    const struct journal_look looked = {.kind = INPUT_TICK,
                                        .observation = &l->observation,
                                        .now_ns = now_ns,
                                        .wall_ns = now_ns,
                                        .result = result,
                                        .decision = &decision};

    history_look(l->history, &l->engine, &looked);
}

static int64_t cpu_ns(void)
{
    struct timespec t;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return t.tv_sec * NS_PER_SEC + t.tv_nsec;
}

static int compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;

    return (x > y) - (x < y);
}

static void measure(const struct sim_plan *plan, bool every, bool last)
{
    struct lane *lanes = xcalloc(ROLLOUTS, sizeof(*lanes));
    static const struct controller_ports with = {.totals = totals};
    struct journals *journals = journals_new(JOURNALS_BYTES_MAX);
    static int64_t took_ns[TICKS];
    int64_t sum_ns = 0;
    uint64_t looks = 0;

    for (int i = 0; i < ROLLOUTS; i++) {
        struct lane *l = &lanes[i];
        sim_calendar_init(&l->calendar, plan);
        sim_traffic_begin(&l->traffic, plan, &l->calendar, (uint64_t)i + 1);
        observation_init(&l->observation);
        l->reference = reference_new(&plan->policy);
        engine_init(&l->engine, &plan->policy, 0);
        l->epoch = l->engine.state.epoch;
        l->history = history_new(journals, &plan->policy, &with, (uint32_t)i);
        history_begin(l->history, &l->engine, false, 0, 0);
    }
    for (int64_t tick = 0; tick < WARM_TICKS + TICKS; tick++) {
        for (int i = 0; i < ROLLOUTS; i++)
            prepare(&lanes[i], tick, i, every);
        int64_t before_ns = cpu_ns();
        for (int i = 0; i < ROLLOUTS; i++) {
            if (!lanes[i].look)
                continue;
            look(&lanes[i], tick * SIM_TICK_NS);
            looks += tick >= WARM_TICKS;
        }
        if (tick >= WARM_TICKS) {
            took_ns[tick - WARM_TICKS] = cpu_ns() - before_ns;
            sum_ns += took_ns[tick - WARM_TICKS];
        }
        for (int i = 0; i < ROLLOUTS; i++)
            go_on(&lanes[i], tick);
    }
    qsort(took_ns, TICKS, sizeof(took_ns[0]), compare);
    printf("  \"%s\": {\"median_ms\": %.4f, \"p95_ms\": %.4f, \"looks_per_tick\": %.2f, "
           "\"us_per_look\": %.3f}%s\n",
           every ? "every" : "due", (double)took_ns[TICKS / 2] / 1e6,
           (double)took_ns[TICKS * 95 / 100] / 1e6, (double)looks / TICKS,
           (double)sum_ns / 1e3 / (double)looks, last ? "" : ",");
    for (int i = 0; i < ROLLOUTS; i++) {
        struct lane *l = &lanes[i];
        engine_deinit(&l->engine);
        history_free(l->history);
        reference_free(l->reference);
        observation_deinit(&l->observation);
        sim_calendar_deinit(&l->calendar);
    }
    journals_free(journals);
    free(lanes);
}

int main(void)
{
    struct diagnostics diagnostics;
    struct policy *policy = NULL;
    struct sim_spec spec;
    struct error error;

    diagnostics_init(&diagnostics);
    sim_spec_init(&spec);
    if (policy_parse(STR("fold"), str_from(text), &policy, &diagnostics) != 0 ||
        sim_variant_parse(&spec.variants[VARIANT_STABLE],
                          STR("errors=0.3%,4xx=0.2%,latency=lognormal:1s:0.5"), &error) != 0) {
        fprintf(stderr, "bench-fold: the policy is not good any more\n");
        return 1;
    }
    spec.variants[VARIANT_CANARY] = spec.variants[VARIANT_STABLE];
    struct sim_plan *plan = sim_plan_new(policy, &spec, true);
    plan->policy.start_auto = true;
    printf("{\n  \"rollouts\": %d, \"criteria\": %zu, \"requests_per_second\": %g,\n", ROLLOUTS,
           policy->analysis.criteria_count, spec.rps);
    measure(plan, true, false);
    measure(plan, false, true);
    printf("}\n");
    sim_plan_free(plan);
    policy_free(policy);
    diagnostics_deinit(&diagnostics);
    return 0;
}
