/* The core: each phase and what it does on a look. */
#include "fixtures.h"

#include "base/rng.h"

static struct analysis_report (*const reports[])(void) = {
    report_good,     report_failing, report_alarming, report_down,
    report_unproven, report_empty,   report_tripped,  report_tripped_down,
    report_probing,  report_cleared, report_wide,     report_tripped_again,
    report_shifted,  report_pausing, report_telling,  report_degraded};
enum {
    GOOD,
    FAILING,
    ALARMING,
    DOWN,
    UNPROVEN,
    EMPTY,
    TRIPPED,
    TRIPPED_DOWN,
    PROBING,
    CLEARED,
    WIDE,
    TRIPPED_AGAIN,
    SHIFTED,
    PAUSING,
    TELLING,
    DEGRADED,
    REPORTS
};

static void expect(const struct rollout_decision *d, enum rollout_event event,
                   enum rollout_phase phase, uint32_t step, uint32_t weight_bp)
{
    assert_string_equal(event_names[d->event], event_names[event]);
    assert_string_equal(phase_names[d->state.phase], phase_names[phase]);
    assert_int_equal(d->state.step, step);
    assert_int_equal(d->state.weight_bp, weight_bp);
}

/* --- a step ----------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    uint32_t step;
    bool held;
    int report;
    enum rollout_event event;
    enum rollout_phase phase;
    uint32_t step_after, weight_bp;
} steps[] = {
    {"hold not over: waits", 1, false, GOOD, EVENT_NONE, PHASE_PROGRESSING, 1, 1000},
    {"hold over: next step", 1, true, GOOD, EVENT_STEP_ADVANCED, PHASE_PROGRESSING, 2, 2500},
    {"no evidence needed below", 1, true, UNPROVEN, EVENT_STEP_ADVANCED, PHASE_PROGRESSING, 2,
     2500},
    {"evidence needed before 100%", 3, true, UNPROVEN, EVENT_NONE, PHASE_PROGRESSING, 3, 5000},
    {"evidence there: 100%", 3, true, GOOD, EVENT_STEP_ADVANCED, PHASE_PROGRESSING, 4, 10000},
    {"end of the last step", 4, true, UNPROVEN, EVENT_PROMOTED, PHASE_PROMOTED, 4, 10000},
    {"an alarm holds", 1, true, ALARMING, EVENT_NONE, PHASE_PROGRESSING, 1, 1000},
    {"an alarm holds at the last step", 4, true, ALARMING, EVENT_NONE, PHASE_PROGRESSING, 4, 10000},
    {"no data is not good data", 1, true, EMPTY, EVENT_NONE, PHASE_PROGRESSING, 1, 1000},
    {"no data at the last step", 4, true, EMPTY, EVENT_NONE, PHASE_PROGRESSING, 4, 10000},
    {"a breach", 2, false, FAILING, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 2, 0},
    {"a breach when the hold is over", 2, true, FAILING, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 2,
     0},
    {"a breach at 100%", 4, false, FAILING, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 4, 0},
    {"down", 1, false, DOWN, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 1, 0},
};

static void test_step(void **state)
{
    struct fixture f;

    (void)state;
    fixture_init(&f);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct rollout_state s = state_at(&f, steps[i].step, steps[i].held);
        struct analysis_report report = reports[steps[i].report]();
        struct rollout_decision d = tick(&f, &s, &report);
        print_message("  %s\n", steps[i].name);
        expect(&d, steps[i].event, steps[i].phase, steps[i].step_after, steps[i].weight_bp);
        assert_int_equal(d.state.epoch, s.epoch + (d.state.weight_bp != s.weight_bp));
    }
}

static void test_min_requests(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();

    (void)state;
    fixture_init(&f);
    f.steps[0].min_requests = 1001;
    struct rollout_state s = state_at(&f, 1, true);
    struct rollout_decision d = tick(&f, &s, &report);
    assert_int_equal(d.event, EVENT_NONE);
    report.step_requests = 1001;
    d = tick(&f, &s, &report);
    assert_int_equal(d.event, EVENT_STEP_ADVANCED);
}

/* With everything on the canary a relative criterion has nothing to compare with, and that does
 * not keep the rollout from its end. */
static void test_relative_without_stable_at_full_weight(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();

    (void)state;
    fixture_init(&f);
    report.criteria[1].verdict = VERDICT_NO_DATA;
    struct rollout_state s = state_at(&f, 4, true);
    assert_int_equal(tick(&f, &s, &report).event, EVENT_PROMOTED);
    s = state_at(&f, 1, true);
    assert_int_equal(tick(&f, &s, &report).event, EVENT_NONE);
}

/* Where no step comes before 100 %, or the last one is below it, promotion itself needs proof. */
static void test_evidence_before_promotion(void **state)
{
    struct fixture f;
    struct analysis_report unproven = report_unproven(), good = report_good();

    (void)state;
    fixture_init(&f);
    f.policy.step_count = 2;
    struct rollout_state s = state_at(&f, 2, true);
    assert_int_equal(tick(&f, &s, &unproven).event, EVENT_NONE);
    struct rollout_decision d = tick(&f, &s, &good);
    expect(&d, EVENT_PROMOTED, PHASE_PROMOTED, 2, WEIGHT_FULL_BP);

    fixture_init(&f);
    f.steps[0].weight_bp = WEIGHT_FULL_BP;
    f.policy.step_count = 1;
    s = state_at(&f, 1, true);
    assert_int_equal(tick(&f, &s, &unproven).event, EVENT_NONE);
    assert_int_equal(tick(&f, &s, &good).event, EVENT_PROMOTED);
}

/* evidence.before: each: every step up needs proof, the end does not need another one. */
static void test_evidence_before_each_step(void **state)
{
    struct fixture f;
    struct analysis_report unproven = report_unproven(), good = report_good();

    (void)state;
    fixture_init(&f);
    f.policy.analysis.evidence = EVIDENCE_BEFORE_EACH;
    for (uint32_t step = 1; step <= 3; step++) {
        struct rollout_state s = state_at(&f, step, true);
        assert_int_equal(tick(&f, &s, &unproven).event, EVENT_NONE);
        assert_int_equal(tick(&f, &s, &good).event, EVENT_STEP_ADVANCED);
    }
    struct rollout_state s = state_at(&f, 4, true);
    assert_int_equal(tick(&f, &s, &unproven).event, EVENT_PROMOTED);
}

/* --- the bake --------------------------------------------------------------------------------- */

static void fixture_bakes(struct fixture *f, uint32_t control_bp)
{
    fixture_confirms(f);
    f->policy.bake.for_ns = 24 * NS_PER_HOUR;
    f->policy.bake.control_bp = control_bp;
}

static struct rollout_state state_baking(const struct fixture *f)
{
    struct rollout_state s = state_at(f, 4, false);

    s.phase = PHASE_BAKING;
    s.weight_bp = WEIGHT_FULL_BP - f->policy.bake.control_bp;
    return s;
}

/* Last step, bake with a share left on stable, promoted: the steps of 100 % leave that share too.
 */
static void test_bake(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), unproven = report_unproven();
    char text[256];

    (void)state;
    fixture_bakes(&f, 500);
    struct rollout_state s = state_at(&f, 3, true);
    struct rollout_decision d = tick(&f, &s, &good);
    expect(&d, EVENT_STEP_ADVANCED, PHASE_PROGRESSING, 4, 9500);
    s = d.state;
    s.held_ns = f.steps[3].hold_ns;
    d = tick(&f, &s, &good);
    expect(&d, EVENT_BAKING, PHASE_BAKING, 4, 9500);
    assert_int_equal(d.cause, CAUSE_PASSED);
    assert_int_equal(d.state.held_ns, 0);
    /* the same weight, but requests count for the bake from here on */
    assert_string_equal(actions_text(&d, text), "commit weight(15,9500,bake) set(15,9500) event");
    s = d.state;
    s.held_ns = 24 * NS_PER_HOUR - NS_PER_SEC;
    assert_int_equal(rollout_quiet_ns(&f.policy, &s), NS_PER_SEC);
    assert_int_equal(tick(&f, &s, &good).event, EVENT_NONE);
    d = tick_after(&f, &s, &unproven, NS_PER_SEC);
    expect(&d, EVENT_PROMOTED, PHASE_PROMOTED, 4, WEIGHT_FULL_BP);
    assert_int_equal(d.cause, CAUSE_BAKED);
    assert_int_equal(rollout_quiet_ns(&f.policy, &d.state), INT64_MAX);
}

static const struct {
    const char *name;
    int report;
    enum rollout_event event;
    enum rollout_phase phase;
    uint32_t weight_bp;
} bakes[] = {
    {"its end, and all is well", GOOD, EVENT_PROMOTED, PHASE_PROMOTED, 10000},
    {"its end, and an alarm", ALARMING, EVENT_NONE, PHASE_BAKING, 10000},
    {"its end, and no data", EMPTY, EVENT_NONE, PHASE_BAKING, 10000},
    {"sent back", TRIPPED, EVENT_RETREATED, PHASE_BAKING, 0},
    {"condemned", WIDE, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0},
    {"a shift", SHIFTED, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0},
    {"a frozen limit that pauses", PAUSING, EVENT_PAUSED, PHASE_PAUSED, 10000},
    {"one that reports", TELLING, EVENT_CRITERION_FAILED, PHASE_BAKING, 10000},
};

static void test_bake_is_judged(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(bakes) / sizeof(bakes[0]); i++) {
        struct fixture f;
        struct analysis_report report = reports[bakes[i].report]();
        fixture_bakes(&f, 0);
        struct rollout_state s = state_baking(&f);
        s.held_ns = 24 * NS_PER_HOUR;
        print_message("  %s\n", bakes[i].name);
        struct rollout_decision d = tick(&f, &s, &report);
        expect(&d, bakes[i].event, bakes[i].phase, 4, bakes[i].weight_bp);
    }
}

static void test_bake_retreats_and_comes_back(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), cleared = report_cleared();

    (void)state;
    fixture_bakes(&f, 500);
    struct rollout_state s = state_baking(&f);
    s.held_ns = 5 * NS_PER_HOUR;
    s = tick(&f, &s, &tripped).state;
    struct rollout_decision d = tick_after(&f, &s, &tripped, 30 * NS_PER_SEC);
    expect(&d, EVENT_PROBED, PHASE_BAKING, 4, 1000);
    d = tick(&f, &d.state, &cleared);
    expect(&d, EVENT_CLEARED, PHASE_BAKING, 4, 9500);
    /* the time before the trip was held, that of the retreat was not */
    assert_int_equal(d.state.held_ns, 5 * NS_PER_HOUR + 100 * NS_PER_MS);
}

/* Paused in the bake, and taken up there; a restart does not make a bake of a day endless. */
static void test_bake_pauses_and_restarts(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), empty = report_empty();
    struct rollout_input input = {.kind = INPUT_RESTART, .report = &empty};

    (void)state;
    fixture_bakes(&f, 500);
    struct rollout_state s = state_baking(&f);
    s.held_ns = 5 * NS_PER_HOUR;
    struct rollout_decision d =
        order(&f, &s, &good, (struct command){.kind = COMMAND_PAUSE, .zero = true});
    expect(&d, EVENT_PAUSED, PHASE_PAUSED, 4, 0);
    d = order(&f, &d.state, &good, (struct command){.kind = COMMAND_RESUME});
    expect(&d, EVENT_RESUMED, PHASE_BAKING, 4, 9500);
    assert_int_equal(d.state.held_ns, 5 * NS_PER_HOUR);
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_BAKING, 4, 9500);
    assert_int_equal(d.state.held_ns, 5 * NS_PER_HOUR);
    f.policy.bake.control_bp = 0;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_BAKING, 4, 9500);
    f.policy.bake.control_bp = 2000;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_BAKING, 4, 8000);
}

/* Steps that do not divide evenly, a weight above the last step's: the end is reached all the
 * same, because weights are compared by order and never by equality. */
static void test_odd_weights_reach_the_end(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();
    struct rollout_state s;

    (void)state;
    fixture_init(&f);
    f.steps[0].weight_bp = 1;
    f.steps[1].weight_bp = 3333;
    f.steps[2].weight_bp = 6667;
    f.steps[3].weight_bp = 9999;
    rollout_state_init(&s, T0);
    for (int i = 0; i < 100000 && s.phase != PHASE_PROMOTED; i++) {
        struct rollout_decision d = tick_after(&f, &s, &report, NS_PER_SEC);
        assert_true(d.state.weight_bp >= s.weight_bp);
        s = d.state;
    }
    assert_int_equal(s.phase, PHASE_PROMOTED);
    assert_int_equal(s.weight_bp, WEIGHT_FULL_BP);
}

static void test_whole_rollout_takes_its_holds(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();
    struct rollout_state s;
    int64_t now_ns = T0;

    (void)state;
    fixture_init(&f);
    rollout_state_init(&s, T0);
    while (s.phase != PHASE_PROMOTED && now_ns < T0 + NS_PER_HOUR) {
        s = tick_after(&f, &s, &report, NS_PER_SEC).state;
        now_ns += NS_PER_SEC;
    }
    assert_int_equal((now_ns - T0) / NS_PER_SEC, 1 + 40 * 60);
    assert_int_equal(s.epoch, 1 + 4);
}

/* A process that was stopped for an hour has watched nothing: the hold is not over. */
static void test_gap_is_not_hold(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 1, false);
    struct rollout_decision d = tick_after(&f, &s, &report, NS_PER_HOUR);
    assert_int_equal(d.event, EVENT_NONE);
    assert_int_equal(d.state.held_ns, s.held_ns + ROLLOUT_GAP_MAX_NS);
}

/* --- approvals -------------------------------------------------------------------------------- */

static void test_approval_after_the_hold(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), failing = report_failing();

    (void)state;
    fixture_init(&f);
    f.steps[1].approval = APPROVAL_AFTER;
    struct rollout_state s = state_at(&f, 2, true);
    struct rollout_decision d = tick(&f, &s, &good);
    expect(&d, EVENT_APPROVAL_REQUIRED, PHASE_AWAITING_APPROVAL, 2, 2500);
    s = d.state;
    for (int i = 0; i < 10; i++) {
        d = tick_after(&f, &s, &good, NS_PER_MIN);
        assert_int_equal(d.event, EVENT_NONE);
        assert_int_equal(d.state.held_ns, s.held_ns);
        s = d.state;
    }
    /* it waits for a person, the canary is watched all the same */
    d = tick(&f, &s, &failing);
    expect(&d, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 2, 0);

    d = order(&f, &s, &good, (struct command){.kind = COMMAND_APPROVE});
    expect(&d, EVENT_APPROVAL_GIVEN, PHASE_PROGRESSING, 2, 2500);
    s = d.state;
    d = tick(&f, &s, &good);
    expect(&d, EVENT_STEP_ADVANCED, PHASE_PROGRESSING, 3, 5000);
    assert_false(d.state.approved);
}

static void test_approval_before_the_first_step(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty();
    struct rollout_state s;

    (void)state;
    fixture_init(&f);
    f.steps[0].approval = APPROVAL_BEFORE;
    rollout_state_init(&s, T0);
    struct rollout_decision d = tick(&f, &s, &empty);
    expect(&d, EVENT_APPROVAL_REQUIRED, PHASE_AWAITING_APPROVAL, 0, 0);
    s = d.state;
    assert_int_equal(tick(&f, &s, &empty).event, EVENT_NONE);
    s = order(&f, &s, &empty, (struct command){.kind = COMMAND_APPROVE}).state;
    d = tick(&f, &s, &empty);
    expect(&d, EVENT_STARTED, PHASE_PROGRESSING, 1, 1000);
}

/* --- no verdict ------------------------------------------------------------------------------- */

/* What breaks a limit only together with stable is not the canary's alone, and goes no further. */
static void test_stable_degraded_holds(void **state)
{
    struct fixture f;
    struct analysis_report degraded = report_degraded();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 1, true);
    assert_int_equal(tick(&f, &s, &degraded).event, EVENT_NONE);
}

static const struct {
    const char *name;
    enum on_undecided then;
    int report;
    enum rollout_event event;
    enum rollout_phase phase;
    uint32_t weight_bp;
} undecided[] = {
    {"hold says so", UNDECIDED_HOLD, UNPROVEN, EVENT_STEP_UNDECIDED, PHASE_PROGRESSING, 5000},
    {"promote goes on", UNDECIDED_PROMOTE, UNPROVEN, EVENT_STEP_ADVANCED, PHASE_PROGRESSING, 10000},
    {"promote, but an alarm", UNDECIDED_PROMOTE, ALARMING, EVENT_STEP_UNDECIDED, PHASE_PROGRESSING,
     5000},
    {"promote, but no data", UNDECIDED_PROMOTE, EMPTY, EVENT_STEP_UNDECIDED, PHASE_PROGRESSING,
     5000},
    {"rollback", UNDECIDED_ROLLBACK, UNPROVEN, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0},
    {"pause", UNDECIDED_PAUSE, UNPROVEN, EVENT_PAUSED, PHASE_PAUSED, 5000},
};

static void test_undecided(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(undecided) / sizeof(undecided[0]); i++) {
        struct fixture f;
        struct analysis_report report = reports[undecided[i].report]();
        fixture_init(&f);
        f.policy.analysis.on_undecided = undecided[i].then;
        struct rollout_state s = state_at(&f, 3, true);
        print_message("  %s\n", undecided[i].name);
        s.held_ns = 6 * NS_PER_HOUR - NS_PER_SEC;
        assert_int_equal(tick(&f, &s, &report).event, EVENT_NONE);
        s.held_ns = 6 * NS_PER_HOUR;
        struct rollout_decision d = tick(&f, &s, &report);
        assert_string_equal(event_names[d.event], event_names[undecided[i].event]);
        assert_int_equal(d.state.phase, undecided[i].phase);
        assert_int_equal(d.state.weight_bp, undecided[i].weight_bp);
        s = d.state; /* told once */
        assert_int_equal(tick(&f, &s, &report).event, EVENT_NONE);
    }
}

/* --- canaries --------------------------------------------------------------------------------- */

static void test_canary_appears(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty();
    struct rollout_state s;
    char text[256];

    (void)state;
    fixture_init(&f);
    rollout_state_init(&s, T0);
    struct rollout_decision d = tick(&f, &s, &empty);
    expect(&d, EVENT_STARTED, PHASE_PROGRESSING, 1, 1000);
    assert_string_equal(actions_text(&d, text),
                        "commit reset weight(2,1000,start) set(2,1000) event");

    f.policy.start_auto = false;
    d = tick(&f, &s, &empty);
    expect(&d, EVENT_PENDING, PHASE_PENDING, 0, 0);
    s = d.state;
    assert_int_equal(tick(&f, &s, &empty).event, EVENT_NONE);
}

static void test_no_canary_is_idle(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty();
    struct rollout_state s;

    (void)state;
    fixture_init(&f);
    rollout_state_init(&s, T0);
    f.policy.versions[VARIANT_CANARY].version = NULL;
    struct rollout_decision d = tick(&f, &s, &empty);
    expect(&d, EVENT_NONE, PHASE_IDLE, 0, 0);
    /* a canary that equals what serves is a no-op */
    f.policy.versions[VARIANT_CANARY].version = "2.0.0";
    d = tick(&f, &s, &empty);
    expect(&d, EVENT_NONE, PHASE_IDLE, 0, 0);
}

/* Another version in the middle of a rollout: what the first one earned is not the second one's. */
static void test_version_changes(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good();
    char text[256];

    (void)state;
    fixture_init(&f);
    f.policy.versions[VARIANT_CANARY].version = "2.2.0";
    struct rollout_state s = state_at(&f, 3, true);
    struct rollout_decision d = tick(&f, &s, &good);
    expect(&d, EVENT_SUPERSEDED, PHASE_PENDING, 0, 0);
    assert_string_equal(d.state.canary_version, "2.2.0");
    assert_string_equal(actions_text(&d, text), "reset weight(14,0) set(14,0) commit event");
    s = d.state;
    d = tick(&f, &s, &good);
    expect(&d, EVENT_STARTED, PHASE_PROGRESSING, 1, 1000);
    assert_int_equal(d.state.held_ns, 0);

    f.policy.versions[VARIANT_CANARY].version = NULL;
    s = state_at(&f, 3, true);
    d = tick(&f, &s, &good);
    expect(&d, EVENT_SUPERSEDED, PHASE_IDLE, 0, 0);
}

/* Rejected stays rejected: by leaving, coming back, and by looks. */
static void test_rejected_version(void **state)
{
    struct fixture f;
    struct analysis_report failing = report_failing(), good = report_good();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 2, false);
    s = tick(&f, &s, &failing).state;
    assert_string_equal(s.rejected_version, "2.1.0");
    for (int i = 0; i < 100; i++) {
        struct rollout_decision d = tick_after(&f, &s, &good, NS_PER_MIN);
        assert_int_equal(d.event, EVENT_NONE);
        s = d.state;
    }
    f.policy.versions[VARIANT_CANARY].version = NULL;
    s = tick(&f, &s, &good).state;
    f.policy.versions[VARIANT_CANARY].version = "2.1.0";
    struct rollout_decision d = tick(&f, &s, &good);
    expect(&d, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0, 0);
    s = d.state;
    d = order(&f, &s, &good, (struct command){.kind = COMMAND_RETRY});
    expect(&d, EVENT_STARTED, PHASE_PROGRESSING, 1, 1000);
    assert_string_equal(d.state.rejected_version, "");
    /* and another version is not burdened */
    f.policy.versions[VARIANT_CANARY].version = "2.1.1";
    s = state_in(&f, PHASE_ROLLED_BACK);
    d = tick(&f, &s, &good);
    expect(&d, EVENT_SUPERSEDED, PHASE_PENDING, 0, 0);
}

/* --- mode observe ----------------------------------------------------------------------------- */

static void test_observe_moves_nothing(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), failing = report_failing(), down = report_down();
    struct rollout_state s;

    (void)state;
    fixture_init(&f);
    f.policy.analysis.mode = MODE_OBSERVE;
    rollout_state_init(&s, T0);
    struct rollout_decision d = tick(&f, &s, &good);
    expect(&d, EVENT_STARTED, PHASE_PROGRESSING, 1, 1000);
    s = d.state;
    for (int i = 0; i < 10000; i++) {
        d = tick_after(&f, &s, &good, 5 * NS_PER_SEC);
        expect(&d, EVENT_NONE, PHASE_PROGRESSING, 1, 1000);
        s = d.state;
    }
    d = tick(&f, &s, &failing);
    expect(&d, EVENT_CRITERION_FAILED, PHASE_PROGRESSING, 1, 1000);
    assert_int_equal(d.failed, 1);
    s = d.state; /* told once for each criterion */
    assert_int_equal(tick(&f, &s, &failing).event, EVENT_NONE);
    failing.criteria[2].verdict = VERDICT_FAIL;
    d = tick(&f, &s, &failing);
    assert_int_equal(d.failed, 4);
    s = d.state;
    d = tick(&f, &s, &down);
    expect(&d, EVENT_CRITERION_FAILED, PHASE_PROGRESSING, 1, 1000);
    assert_int_equal(d.cause, CAUSE_HARD_DOWN);
}

/* --- restarts --------------------------------------------------------------------------------- */

static void test_restart(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty();
    struct rollout_input input = {.kind = INPUT_RESTART, .report = &empty};
    struct rollout_decision d;
    char text[256];

    (void)state;
    fixture_init(&f);
    /* same step, same weight; evidence and hold are earned again; another process's clock */
    struct rollout_state s = state_at(&f, 3, true);
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROGRESSING, 3, 5000);
    assert_int_equal(d.state.held_ns, 0);
    assert_string_equal(actions_text(&d, text),
                        "commit reset weight(14,5000,start) set(14,5000) event");

    /* the plan was edited meanwhile: never above the served weight */
    f.steps[2].weight_bp = 6000;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROGRESSING, 2, 2500);
    f.policy.step_count = 1;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROGRESSING, 1, 1000);
    f.steps[0].weight_bp = 9000;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROGRESSING, 1, 5000);

    fixture_init(&f);
    s = state_in(&f, PHASE_PROMOTED);
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROMOTED, 4, 10000);
    s = state_in(&f, PHASE_ROLLED_BACK);
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_ROLLED_BACK, 2, 0);
}

/* --- properties ------------------------------------------------------------------------------- */

/* Every phase with every report: weight never rises on bad news, the epoch follows the weight, and
 * the same question has the same answer, to the byte. */
static void test_promises(void **state)
{
    static const enum rollout_phase phases[] = {
        PHASE_IDLE,   PHASE_PENDING,  PHASE_PROGRESSING,       PHASE_PAUSED,
        PHASE_BAKING, PHASE_PROMOTED, PHASE_AWAITING_APPROVAL, PHASE_ROLLED_BACK};
    struct fixture f;

    (void)state;
    for (size_t p = 0; p < sizeof(phases) / sizeof(phases[0]); p++)
        for (int r = 0; r < REPORTS; r++)
            for (int u = 0; u < 4; u++) {
                fixture_init(&f);
                f.policy.analysis.on_undecided = (enum on_undecided)u;
                struct rollout_state s = state_in(&f, phases[p]);
                s.held_ns = 7 * NS_PER_HOUR;
                struct analysis_report report = reports[r]();
                struct rollout_decision a, b;
                memset(&a, 0xaa, sizeof(a));
                memset(&b, 0x55, sizeof(b));
                struct rollout_input input = {.kind = INPUT_TICK, .report = &report};
                rollout_decide(&f.policy, &s, &input, T0 + 5, &a);
                rollout_decide(&f.policy, &s, &input, T0 + 5, &b);
                assert_memory_equal(&a, &b, sizeof(a));
                assert_int_equal(a.state.epoch - s.epoch,
                                 a.state.weight_bp != s.weight_bp || a.event == EVENT_BAKING);
                if (s.step > 0 && (r == FAILING || r == ALARMING || r == DOWN || r == EMPTY))
                    assert_true(a.state.weight_bp <= s.weight_bp);
            }
}

/* What somebody who knows nothing of the code would ask of any decision. */
static void check_against_oracle(const struct rollout_state *s, const struct rollout_input *input,
                                 const struct rollout_decision *d)
{
    const struct analysis_report *r = input->report;
    bool tick = input->kind == INPUT_TICK, up = d->state.weight_bp > s->weight_bp;
    bool retreated = d->state.retreat.visit > 0, probing = d->state.retreat.probing;

    if (retreated && !probing)
        assert_int_equal(d->state.weight_bp, 0);
    if (probing)
        assert_in_range(d->state.weight_bp, 1, d->state.retreat.weight_bp);
    if (tick && up && s->step > 0) {
        assert_false(r->revert);
        if (!probing)
            assert_false(r->retreat);
        if (s->retreat.visit > 0 && !probing) /* back where it was, no step further */
            assert_true(d->event == EVENT_CLEARED && r->probe.cleared &&
                        d->state.weight_bp <= s->retreat.weight_bp && d->state.step == s->step);
    }
    if (s->retreat.visit > 0 && !s->retreat.probing && d->state.retreat.visit > 0 && tick)
        assert_int_equal(d->state.held_ns, s->held_ns);
    if (d->event == EVENT_RESTARTED) {
        assert_true(d->state.weight_bp <= s->weight_bp);
        assert_false(probing);
    }
    if (d->state.phase == PHASE_PROMOTED || d->state.phase == PHASE_ROLLED_BACK ||
        d->state.phase == PHASE_IDLE || d->state.phase == PHASE_PENDING)
        assert_false(retreated);
}

/* Anything after anything, for a long time: looks with any report, any command, restarts, edits of
 * the policy. The core's own CHECKs are the judge; here, that served weight and state never part.
 */
static void wander(uint64_t seed)
{
    static const char *const versions[] = {"2.1.0", "2.1.0", "2.1.0", "2.2.0", NULL, "2.0.0"};
    struct fixture f;
    struct rng rng;
    struct rollout_state s;
    int64_t now_ns = T0;
    uint32_t served_bp = 0, served_epoch = 1;

    rng_seed(&rng, seed);
    fixture_confirms(&f);
    f.policy.bake.for_ns = seed % 2 == 0 ? 0 : NS_PER_HOUR;
    f.policy.bake.control_bp = seed % 3 == 0 ? 0 : 500;
    f.policy.analysis.on_no_data = (enum no_data_do)(seed % 3);
    f.policy.analysis.confirm_count = seed % 5 == 0 ? 0 : 1 + seed % 2;
    rollout_state_init(&s, T0);
    for (int i = 0; i < 3000; i++) {
        struct analysis_report report =
            reports[rng_below(&rng, 3) > 0 ? GOOD : rng_below(&rng, REPORTS)]();
        struct command command = {.kind = (enum command_kind)rng_below(&rng, COMMAND_KIND_COUNT),
                                  .full = rng_below(&rng, 8) == 0,
                                  .force = rng_below(&rng, 4) == 0,
                                  .zero = rng_below(&rng, 2) == 0,
                                  .expect_step = rng_below(&rng, 10) == 0 ? 2 : 0};
        uint32_t dice = rng_below(&rng, 100);
        struct rollout_input input = {.kind = dice < 80   ? INPUT_TICK
                                              : dice < 98 ? INPUT_COMMAND
                                                          : INPUT_RESTART,
                                      .report = &report,
                                      .command = &command};
        struct rollout_decision d;
        if (rng_below(&rng, 200) == 0)
            f.policy.versions[VARIANT_CANARY].version = versions[rng_below(&rng, 6)];
        if (rng_below(&rng, 200) == 0)
            f.steps[rng_below(&rng, 4)].approval = (enum approval)rng_below(&rng, APPROVAL_COUNT);
        if (rng_below(&rng, 300) == 0)
            f.policy.analysis.mode = rng_below(&rng, 2) == 0 ? MODE_OBSERVE : MODE_ENFORCE;
        if (rng_below(&rng, 300) == 0)
            f.steps[rng_below(&rng, 3)].weight_bp += rng_below(&rng, 100);
        report.placebo.longest_burst_ns = (int64_t)rng_below(&rng, 20) * NS_PER_SEC;
        report.placebo.sent_back = (uint64_t)i / 100;
        now_ns += (int64_t)rng_below(&rng, rng_below(&rng, 2) == 0 ? 3 : 400) * NS_PER_SEC;
        rollout_decide(&f.policy, &s, &input, now_ns, &d);
        for (size_t a = 0; a < d.action_count; a++)
            if (d.actions[a].kind == ACTION_SET_WEIGHT) {
                assert_true(d.actions[a].epoch > served_epoch);
                served_epoch = d.actions[a].epoch;
                served_bp = d.actions[a].weight_bp;
            }
        assert_int_equal(served_bp, d.state.weight_bp);
        check_against_oracle(&s, &input, &d);
        assert_int_equal(served_epoch, d.state.epoch);
        assert_true(d.event == EVENT_NONE || d.actions[d.action_count - 1].kind == ACTION_EVENT);
        assert_true(input.kind != INPUT_COMMAND || d.result.detail[0] != '\0');
        s = d.state;
    }
}

static void test_anything_after_anything(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 100; seed++)
        wander(seed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_step),
        cmocka_unit_test(test_min_requests),
        cmocka_unit_test(test_relative_without_stable_at_full_weight),
        cmocka_unit_test(test_evidence_before_promotion),
        cmocka_unit_test(test_evidence_before_each_step),
        cmocka_unit_test(test_bake),
        cmocka_unit_test(test_bake_is_judged),
        cmocka_unit_test(test_bake_retreats_and_comes_back),
        cmocka_unit_test(test_bake_pauses_and_restarts),
        cmocka_unit_test(test_stable_degraded_holds),
        cmocka_unit_test(test_odd_weights_reach_the_end),
        cmocka_unit_test(test_whole_rollout_takes_its_holds),
        cmocka_unit_test(test_gap_is_not_hold),
        cmocka_unit_test(test_approval_after_the_hold),
        cmocka_unit_test(test_approval_before_the_first_step),
        cmocka_unit_test(test_undecided),
        cmocka_unit_test(test_canary_appears),
        cmocka_unit_test(test_no_canary_is_idle),
        cmocka_unit_test(test_version_changes),
        cmocka_unit_test(test_rejected_version),
        cmocka_unit_test(test_observe_moves_nothing),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_promises),
        cmocka_unit_test(test_anything_after_anything),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
