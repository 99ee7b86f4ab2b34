/* Policies, reports and states for the controller's tests: all by value, built on the spot. */
#ifndef TESTS_UNIT_CONTROLLER_FIXTURES_H
#define TESTS_UNIT_CONTROLLER_FIXTURES_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "controller/rollout.h"

struct fixture {
    struct policy policy;
    struct policy_step steps[4];
    struct policy_criterion criteria[3];
};

/* 10/25/50/100, held 10 minutes each; error_rate max 1 %, error_rate max_increase 0.5 %, latency
 * p99 max 500 ms; the first crossing condemns (confirm: []). */
static inline void fixture_init(struct fixture *f)
{
    static const uint32_t weights[] = {1000, 2500, 5000, 10000};

    memset(f, 0, sizeof(*f));
    for (int i = 0; i < 4; i++)
        f->steps[i] = (struct policy_step){.weight_bp = weights[i], .hold_ns = 10 * NS_PER_MIN};
    f->criteria[0] = (struct policy_criterion){.name = "error_rate max 1%",
                                               .metric = METRIC_ERROR_RATE,
                                               .test = TEST_MAX,
                                               .limit = 0.01,
                                               .p0 = 0.01};
    f->criteria[1] = (struct policy_criterion){.name = "error_rate max_increase 0.5%",
                                               .metric = METRIC_ERROR_RATE,
                                               .test = TEST_MAX_INCREASE,
                                               .limit = 0.005,
                                               .ratio = 1,
                                               .delta = 0.005};
    f->criteria[2] = (struct policy_criterion){.name = "latency p99 max 500ms",
                                               .metric = METRIC_LATENCY,
                                               .test = TEST_MAX,
                                               .quantile = 0.99,
                                               .limit = 0.5,
                                               .limit_ns = 500 * NS_PER_MS,
                                               .p0 = 0.01};
    for (int i = 0; i < 3; i++) {
        f->criteria[i].weight = 1.0 / 3;
        f->criteria[i].require_no_harm = f->criteria[i].test == TEST_MAX;
    }
    f->policy = (struct policy){
        .name = "chat",
        .start_auto = true,
        .versions =
            {[VARIANT_STABLE] = {.version = "2.0.0"}, [VARIANT_CANARY] = {.version = "2.1.0"}},
        .steps = f->steps,
        .step_count = 4,
        .analysis = {.mode = MODE_ENFORCE,
                     .max_false_revert = 0.001,
                     .max_bad_promotion = 0.05,
                     .slot_ns = NS_PER_SEC,
                     .min_bad_slots = 3,
                     .hard_down_failures = 20,
                     .hard_down_over_ns = 10 * NS_PER_SEC,
                     .on_undecided = UNDECIDED_HOLD,
                     .max_hold_ns = 6 * NS_PER_HOUR,
                     .on_no_data = NO_DATA_HOLD,
                     .no_data_after_ns = 5 * NS_PER_MIN,
                     .criteria = f->criteria,
                     .criteria_count = 3},
        .upstream = {.connect_timeout_ns = NS_PER_SEC,
                     .first_byte_timeout_ns = 600 * NS_PER_SEC,
                     .idle_timeout_ns = 120 * NS_PER_SEC,
                     .total_timeout_ns = 15 * NS_PER_MIN},
    };
}

/* The policy's default: asked again after 30 s, and after 2 min. */
static inline void fixture_confirms(struct fixture *f)
{
    fixture_init(f);
    f->policy.analysis.confirm_ns[0] = 30 * NS_PER_SEC;
    f->policy.analysis.confirm_ns[1] = 2 * NS_PER_MIN;
    f->policy.analysis.confirm_count = 2;
    f->policy.analysis.min_bad_slots = 2;
    f->policy.analysis.hard_down_over_ns = 3 * NS_PER_SEC;
}

/* --- reports ---------------------------------------------------------------------------------- */

/* 1,000 canary requests of the step, nothing against it, limits shown to hold. */
static inline struct analysis_report report_good(void)
{
    struct analysis_report r = {.log_e = -3,
                                .threshold = 6.9,
                                .no_harm = true,
                                .step_requests = 1000,
                                .first_bad_slot = -1,
                                .count = 3};

    for (size_t i = 0; i < r.count; i++)
        r.criteria[i] = (struct criterion_report){.verdict = VERDICT_PASS,
                                                  .log_e = -3,
                                                  .threshold = 8,
                                                  .no_harm = 5,
                                                  .no_harm_threshold = 3,
                                                  .requests = {9000, 1000},
                                                  .bad = {9, 1},
                                                  .value = {0.001, 0.001}};
    return r;
}

/* error_rate max 1 %: 50 of 253 failed, evidence 9.2 of 8.3. */
static inline struct analysis_report report_failing(void)
{
    struct analysis_report r = report_good();

    r.log_e = 8.1;
    r.revert = r.alarm = true;
    r.no_harm = false;
    r.worst = 0;
    r.step_requests = 253;
    r.criteria[0].verdict = VERDICT_FAIL;
    r.criteria[0].log_e = 9.2;
    r.criteria[0].threshold = 8.3;
    r.criteria[0].requests[VARIANT_CANARY] = 253;
    r.criteria[0].bad[VARIANT_CANARY] = 50;
    r.criteria[0].requests[VARIANT_STABLE] = 2301;
    r.criteria[0].bad[VARIANT_STABLE] = 2;
    r.criteria[0].value[VARIANT_CANARY] = 50.0 / 253;
    return r;
}

static inline struct analysis_report report_alarming(void)
{
    struct analysis_report r = report_good();

    r.log_e = 4;
    r.alarm = true;
    r.criteria[0].log_e = 5;
    r.criteria[0].verdict = VERDICT_UNDECIDED;
    return r;
}

static inline struct analysis_report report_down(void)
{
    struct analysis_report r = report_good();

    r.hard_down = true;
    r.run_failures = 31;
    r.run_ns = 11 * NS_PER_SEC;
    r.no_harm = false;
    return r;
}

static inline struct analysis_report report_unproven(void)
{
    struct analysis_report r = report_good();

    r.no_harm = false;
    r.criteria[0].verdict = VERDICT_UNDECIDED;
    r.criteria[0].no_harm = 1;
    return r;
}

static inline struct analysis_report report_empty(void)
{
    struct analysis_report r = report_good();

    r.no_harm = false;
    r.step_requests = 0;
    for (size_t i = 0; i < r.count; i++) {
        r.criteria[i] = (struct criterion_report){.verdict = VERDICT_NO_DATA,
                                                  .log_e = -1e9,
                                                  .threshold = 8,
                                                  .no_harm_threshold = 3,
                                                  .value = {-1, -1}};
    }
    r.log_e = -1e9;
    return r;
}

/* The fast test has crossed, and is asked again: 30 of 62 failed. */
static inline struct analysis_report report_tripped(void)
{
    struct analysis_report r = report_failing();

    r.revert = false;
    r.crossed = r.retreat = true;
    r.probe_next = (struct probe){.criterion = 0, .p1 = 0.0694, .z = 0.01};
    r.trip.requests = 62;
    r.trip.bad = 30;
    return r;
}

/* hard_down alone. */
static inline struct analysis_report report_tripped_down(void)
{
    struct analysis_report r = report_down();

    r.retreat = true;
    r.probe_next = (struct probe){.criterion = CRITERIA_MAX, .p1 = 0.0949, .z = 0.01};
    r.trip.requests = r.trip.bad = 31;
    return r;
}

/* A visit under way: it does well, but has not shown it yet. */
static inline struct analysis_report report_probing(void)
{
    struct analysis_report r = report_good();

    r.probe.active = true;
    r.probe.log_ratio = r.probe.least = -1.5;
    r.probe.slots = 2;
    r.probe.requests = 21;
    r.no_harm = false;
    return r;
}

static inline struct analysis_report report_cleared(void)
{
    struct analysis_report r = report_probing();

    r.probe.log_ratio = r.probe.least = -3.2;
    r.probe.slots = 5;
    r.probe.requests = 243;
    r.probe.cleared = true;
    return r;
}

/* And one that trips again: 20 of 21. */
static inline struct analysis_report report_tripped_again(void)
{
    struct analysis_report r = report_tripped();

    r.probe.active = true;
    r.probe.log_ratio = r.probe.least = 20;
    r.probe.requests = 21;
    r.probe.bad = 20;
    return r;
}

/* The wide test: little, but all the time. */
static inline struct analysis_report report_wide(void)
{
    struct analysis_report r = report_good();

    r.revert = r.alarm = true;
    r.wide.crossed = true;
    r.wide.log_e = 8.1;
    r.wide.threshold = 7.6;
    r.wide.worst = 0;
    r.criteria[0].requests[VARIANT_CANARY] = 4590;
    r.criteria[0].bad[VARIANT_CANARY] = 96;
    r.criteria[0].wide_log_e = 9.3;
    r.criteria[0].wide_threshold = 9;
    return r;
}

/* Criterion 2 failed for good: what its on_fail does. */
static inline struct analysis_report report_final(uint32_t criterion)
{
    struct analysis_report r = report_good();

    r.criteria[criterion].verdict = VERDICT_FAIL;
    r.criteria[criterion].failed = true;
    return r;
}

static inline struct analysis_report report_shifted(void)
{
    struct analysis_report r = report_final(2);

    r.failed_rollback = 4;
    r.revert = r.alarm = true;
    return r;
}

static inline struct analysis_report report_pausing(void)
{
    struct analysis_report r = report_final(2);

    r.failed_pause = 4;
    return r;
}

static inline struct analysis_report report_telling(void)
{
    struct analysis_report r = report_final(2);

    r.failed_report = 4;
    return r;
}

static inline struct analysis_report report_degraded(void)
{
    struct analysis_report r = report_good();

    r.stable_degraded = true;
    return r;
}

/* --- states and looks ------------------------------------------------------------------------- */

#define T0 (1000 * NS_PER_SEC)

/* In the middle of a step (1-based), its hold over when `held`. */
static inline struct rollout_state state_at(const struct fixture *f, uint32_t step, bool held)
{
    struct rollout_state s;

    rollout_state_init(&s, T0);
    s.phase = PHASE_PROGRESSING;
    s.epoch = 10 + step;
    s.step = step;
    s.weight_bp = f->steps[step - 1].weight_bp;
    s.held_ns = held ? f->steps[step - 1].hold_ns : NS_PER_MIN;
    strcpy(s.canary_version, "2.1.0");
    return s;
}

static inline struct rollout_state state_in(const struct fixture *f, enum rollout_phase phase)
{
    struct rollout_state s = state_at(f, 2, false);

    s.phase = phase;
    switch (phase) {
    case PHASE_IDLE:
        s.canary_version[0] = '\0';
        /* fall through */
    case PHASE_PENDING:
        s.step = 0;
        s.weight_bp = 0;
        break;
    case PHASE_BAKING:
    case PHASE_PROMOTED:
        s.step = 4;
        s.weight_bp = WEIGHT_FULL_BP;
        break;
    case PHASE_ROLLED_BACK:
        s.weight_bp = 0;
        strcpy(s.rejected_version, "2.1.0");
        break;
    case PHASE_PAUSED:
        s.paused_from = PHASE_PROGRESSING;
        break;
    case PHASE_PROGRESSING:
    case PHASE_AWAITING_APPROVAL:
    case PHASE_SMOKE_TESTING:
    case PHASE_COUNT:
        break;
    }
    return s;
}

static inline struct rollout_decision tick_after(const struct fixture *f,
                                                 const struct rollout_state *s,
                                                 const struct analysis_report *report, int64_t ns)
{
    struct rollout_input input = {.kind = INPUT_TICK, .report = report};
    struct rollout_decision d;

    rollout_decide(&f->policy, s, &input, s->last_ns + ns, &d);
    return d;
}

static inline struct rollout_decision tick(const struct fixture *f, const struct rollout_state *s,
                                           const struct analysis_report *report)
{
    return tick_after(f, s, report, 100 * NS_PER_MS);
}

static inline struct rollout_decision order(const struct fixture *f, const struct rollout_state *s,
                                            const struct analysis_report *report,
                                            struct command command)
{
    struct rollout_input input = {.kind = INPUT_COMMAND, .report = report, .command = &command};
    struct rollout_decision d;

    rollout_decide(&f->policy, s, &input, s->last_ns, &d);
    return d;
}

/* Sent back from step 2 (25 %) for the `visit`th time; asked when `probing`. */
static inline struct rollout_state state_retreated(const struct fixture *f, uint32_t visit,
                                                   bool probing)
{
    struct rollout_state s = state_at(f, 2, false);

    s.retreat.visit = visit;
    s.retreat.probing = probing;
    s.retreat.weight_bp = 2500;
    s.retreat.pause_ns = visit == 1 ? 30 * NS_PER_SEC : 2 * NS_PER_MIN;
    s.retreat.left_ns = probing ? 0 : s.retreat.pause_ns;
    s.retreat.probe = report_tripped().probe_next;
    for (uint32_t i = 0; i < visit; i++)
        s.retreat.seen[i] = (struct retreat_seen){62, 30};
    s.retreats_in_step = visit;
    s.weight_bp = probing ? 1000 : 0;
    return s;
}

/* "commit reset weight(12,2500,start) set(12,2500) event" */
static inline const char *actions_text(const struct rollout_decision *d, char to[static 256])
{
    static const char *const whys[] = {"", ",start", ",bake", ",probe", ",forced"};
    size_t n = 0;

    to[0] = '\0';
    for (size_t i = 0; i < d->action_count; i++) {
        const struct rollout_action *a = &d->actions[i];
        const char *space = i == 0 ? "" : " ";
        switch (a->kind) {
        case ACTION_RESET_EVIDENCE:
            n += (size_t)snprintf(to + n, 256 - n, "%sreset", space);
            break;
        case ACTION_EVIDENCE_WEIGHT:
            n += (size_t)snprintf(to + n, 256 - n, "%sweight(%u,%u%s)", space, a->epoch,
                                  a->weight_bp, whys[a->why]);
            break;
        case ACTION_SET_WEIGHT:
            n += (size_t)snprintf(to + n, 256 - n, "%sset(%u,%u)", space, a->epoch, a->weight_bp);
            break;
        case ACTION_COMMIT:
            n += (size_t)snprintf(to + n, 256 - n, "%scommit", space);
            break;
        case ACTION_EVENT:
            n += (size_t)snprintf(to + n, 256 - n, "%sevent", space);
            break;
        }
    }
    return to;
}

#endif
