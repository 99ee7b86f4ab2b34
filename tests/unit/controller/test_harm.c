/* What is less than a verdict: criteria that pause or report, and data that is missing. */
#include "fixtures.h"

#include "controller/document.h"
#include "controller/harm.h"

/* --- on_fail ---------------------------------------------------------------------------------- */

static void test_pause_is_made_once(void **state)
{
    struct fixture f;
    struct analysis_report pausing = report_pausing(), good = report_good();

    (void)state;
    fixture_confirms(&f);
    f.criteria[2].on_fail = ON_FAIL_PAUSE;
    struct rollout_state s = state_at(&f, 2, false);
    struct rollout_decision d = tick(&f, &s, &pausing);
    assert_int_equal(d.event, EVENT_PAUSED);
    assert_int_equal(d.cause, CAUSE_CRITERION);
    assert_int_equal(d.criterion, 2);
    assert_int_equal(d.failed, 4);
    assert_int_equal(d.state.weight_bp, 2500); /* the canary keeps what it has */
    s = d.state;
    assert_int_equal(tick(&f, &s, &pausing).event, EVENT_NONE);
    /* somebody goes on: not paused again, but a failed criterion goes no step up without force */
    s = order(&f, &s, &pausing, (struct command){.kind = COMMAND_RESUME}).state;
    s.held_ns = f.steps[1].hold_ns;
    assert_int_equal(tick(&f, &s, &pausing).event, EVENT_NONE);
    d = order(&f, &s, &pausing, (struct command){.kind = COMMAND_PROMOTE});
    assert_false(d.result.ok);
    assert_string_equal(d.result.detail,
                        "latency p99 max 500ms failed for good and holds up every step; --force "
                        "goes on all the same and judges afresh from there, `sluice rollback chat` "
                        "ends it");
    d = order(&f, &s, &pausing, (struct command){.kind = COMMAND_PROMOTE, .force = true});
    assert_true(d.result.ok);
    assert_int_equal(d.state.step, 3);
    assert_int_equal(d.actions[1].kind, ACTION_RESET_EVIDENCE);
    s = d.state;
    assert_int_equal(tick(&f, &s, &good).event, EVENT_NONE);
    /* its verdict was voided: a failure after that is another one */
    d = tick(&f, &s, &pausing);
    assert_int_equal(d.event, EVENT_PAUSED);
    assert_int_equal(d.failed, 4);
}

/* Whoever goes on after such a pause is told what still stands in the way, everywhere. */
static void test_after_a_pause_it_says_how_to_go_on(void **state)
{
    struct fixture f;
    struct engine e = {.policy = &f.policy, .report = report_pausing()};
    struct rollout_next next;
    char text[NEXT_TEXT_MAX];

    (void)state;
    fixture_confirms(&f);
    f.criteria[2].on_fail = ON_FAIL_PAUSE;
    e.state = state_at(&f, 2, false);
    e.state = tick(&f, &e.state, &e.report).state;
    rollout_next(&f.policy, &e.state, &e.report, &next);
    assert_string_equal(document_next_text(&e, &next, text),
                        "`sluice resume chat`; then latency p99 max 500ms failed, which holds up "
                        "every step: `sluice promote --force chat` goes on, `sluice rollback chat` "
                        "ends it");
    struct rollout_decision d =
        order(&f, &e.state, &e.report, (struct command){.kind = COMMAND_RESUME});
    assert_string_equal(
        d.result.detail,
        "progressing at step 2 of 4 (25%); latency p99 max 500ms failed and holds "
        "up every step until `sluice promote --force chat`; it does not pause again "
        "for that");
    e.state = d.state;
    rollout_next(&f.policy, &e.state, &e.report, &next);
    assert_string_equal(document_next_text(&e, &next, text),
                        "latency p99 max 500ms failed, which holds up every step: `sluice promote "
                        "--force chat` goes on, `sluice rollback chat` ends it");
}

static void test_report_is_made_once_and_holds_nothing_up(void **state)
{
    struct fixture f;
    struct analysis_report telling = report_telling();

    (void)state;
    fixture_confirms(&f);
    f.criteria[2].on_fail = ON_FAIL_REPORT;
    struct rollout_state s = state_at(&f, 1, true);
    struct rollout_decision d = tick(&f, &s, &telling);
    assert_int_equal(d.event, EVENT_CRITERION_FAILED);
    assert_int_equal(d.failed, 4);
    assert_int_equal(d.state.weight_bp, 1000);
    s = d.state;
    d = tick(&f, &s, &telling);
    assert_int_equal(d.event, EVENT_STEP_ADVANCED);
    /* and it may lack data, too */
    telling = report_good();
    telling.criteria[2].verdict = VERDICT_NO_DATA;
    s = state_at(&f, 1, true);
    assert_int_equal(tick(&f, &s, &telling).event, EVENT_STEP_ADVANCED);
}

/* Whatever a criterion would do, a verdict and a retreat come first. */
static void test_harm_comes_first(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), wide = report_wide();

    (void)state;
    fixture_confirms(&f);
    tripped.failed_pause = tripped.failed_report = 4;
    wide.failed_pause = wide.failed_report = 4;
    struct rollout_state s = state_at(&f, 1, true);
    assert_int_equal(tick(&f, &s, &tripped).event, EVENT_RETREATED);
    assert_int_equal(tick(&f, &s, &wide).event, EVENT_ROLLED_BACK);
    /* in a retreat nothing is paused: the canary has no traffic, or is being asked */
    s = state_retreated(&f, 1, false);
    struct analysis_report pausing = report_pausing();
    assert_int_equal(tick(&f, &s, &pausing).event, EVENT_NONE);
}

static void test_verdicts_of_their_own(void **state)
{
    static const struct {
        enum criterion_test test;
        enum criterion_method method;
        enum rollout_cause cause;
    } rows[] = {
        {TEST_SHIFT, METHOD_SEQUENTIAL, CAUSE_SHIFT},
        {TEST_MAX, METHOD_WINDOW, CAUSE_WINDOW},
    };

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct fixture f;
        struct analysis_report shifted = report_shifted();
        fixture_confirms(&f);
        f.criteria[2].test = rows[i].test;
        f.criteria[2].method = rows[i].method;
        struct rollout_state s = state_at(&f, 2, false);
        struct rollout_decision d = tick(&f, &s, &shifted);
        assert_int_equal(d.event, EVENT_ROLLED_BACK);
        assert_int_equal(d.cause, rows[i].cause);
        assert_int_equal(d.criterion, 2);
    }
}

/* --- mode observe ----------------------------------------------------------------------------- */

static void test_observe_reports_each_once(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), down = report_tripped_down(),
                           pausing = report_pausing(), good = report_good();

    (void)state;
    fixture_confirms(&f);
    f.policy.analysis.mode = MODE_OBSERVE;
    struct rollout_state s = state_at(&f, 1, false);
    struct rollout_decision d = tick(&f, &s, &tripped);
    assert_int_equal(d.event, EVENT_CRITERION_FAILED);
    assert_int_equal(d.failed, 1);
    assert_int_equal(d.criterion, 0);
    assert_int_equal(d.state.weight_bp, 1000);
    assert_int_equal(d.state.retreat.visit, 0);
    s = d.state;
    assert_int_equal(tick(&f, &s, &tripped).event, EVENT_NONE);
    assert_int_equal(tick(&f, &s, &good).event, EVENT_NONE);
    d = tick(&f, &s, &pausing);
    assert_int_equal(d.failed, 4);
    s = d.state;
    d = tick(&f, &s, &down);
    assert_int_equal(d.cause, CAUSE_HARD_DOWN);
    s = d.state;
    for (int i = 0; i < 100; i++) {
        d = tick_after(&f, &s, &tripped, NS_PER_MIN);
        assert_int_equal(d.event, EVENT_NONE);
        assert_int_equal(d.state.weight_bp, 1000);
        s = d.state;
    }
}

/* --- no data ---------------------------------------------------------------------------------- */

static const struct {
    const char *name;
    enum no_data_do then;
    enum rollout_event event;
    enum rollout_phase phase;
    uint32_t weight_bp;
} without[] = {
    {"hold says so", NO_DATA_HOLD, EVENT_NO_DATA, PHASE_PROGRESSING, 2500},
    {"pause", NO_DATA_PAUSE, EVENT_PAUSED, PHASE_PAUSED, 2500},
    {"rollback", NO_DATA_ROLLBACK, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0},
};

static void test_no_data(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(without) / sizeof(without[0]); i++) {
        struct fixture f;
        struct analysis_report report = report_good();
        struct rollout_decision d;
        fixture_confirms(&f);
        report.criteria[1].verdict = VERDICT_NO_DATA;
        f.policy.analysis.on_no_data = without[i].then;
        print_message("  %s\n", without[i].name);
        struct rollout_state s = state_at(&f, 2, false);
        for (int second = 1; second < 300; second++) {
            d = tick_after(&f, &s, &report, NS_PER_SEC);
            assert_int_equal(d.event, EVENT_NONE);
            s = d.state;
        }
        d = tick_after(&f, &s, &report, NS_PER_SEC);
        assert_string_equal(event_names[d.event], event_names[without[i].event]);
        assert_int_equal(d.cause, CAUSE_NO_DATA);
        assert_int_equal(d.criterion, 1);
        assert_int_equal(d.state.phase, without[i].phase);
        assert_int_equal(d.state.weight_bp, without[i].weight_bp);
        s = d.state; /* told once */
        assert_int_equal(tick_after(&f, &s, &report, NS_PER_MIN).event, EVENT_NONE);
    }
}

/* Two criteria fail one after the other: one pause, and `resume` answers for both. */
static void test_what_fails_in_a_pause_makes_no_other(void **state)
{
    struct fixture f;
    struct analysis_report pausing = report_pausing();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_at(&f, 2, false);
    s = tick(&f, &s, &pausing).state;
    assert_int_equal(s.phase, PHASE_PAUSED);
    pausing.failed_pause |= 2;
    pausing.criteria[1].verdict = VERDICT_FAIL;
    s = tick(&f, &s, &pausing).state;
    struct rollout_decision d = order(&f, &s, &pausing, (struct command){.kind = COMMAND_RESUME});
    assert_int_equal(d.state.phase, PHASE_PROGRESSING);
    assert_non_null(strstr(d.result.detail, "max_increase 0.5% (not alone) failed and holds up"));
    d = tick(&f, &d.state, &pausing);
    assert_int_equal(d.event, EVENT_NONE);
    assert_int_equal(d.state.phase, PHASE_PROGRESSING);
    /* one that fails later does */
    pausing.failed_pause |= 1;
    assert_int_equal(tick(&f, &d.state, &pausing).event, EVENT_PAUSED);
}

/* Mode observe says so too, once, and does nothing of what the policy asks for. */
static void test_no_data_is_told_in_observe(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty(), failing = report_failing();

    (void)state;
    fixture_confirms(&f);
    f.policy.analysis.mode = MODE_OBSERVE;
    for (size_t i = 0; i < 3; i++) {
        f.policy.analysis.on_no_data = (enum no_data_do)i; /* hold, pause, rollback */
        struct rollout_state s = state_at(&f, 1, false);
        s.no_data_ns = 5 * NS_PER_MIN - 1;
        struct rollout_decision d = tick(&f, &s, &empty);
        assert_int_equal(d.event, EVENT_NO_DATA);
        assert_int_equal(d.state.phase, PHASE_PROGRESSING);
        assert_int_equal(d.state.weight_bp, 1000);
        for (int n = 0; n < 100; n++) {
            d = tick_after(&f, &d.state, &empty, NS_PER_MIN);
            assert_int_equal(d.event, EVENT_NONE);
        }
        assert_int_equal(tick(&f, &d.state, &failing).event, EVENT_CRITERION_FAILED);
    }
}

/* Data that comes and goes counts anew, time in a retreat is not without data, and after `resume`
 * there is the whole time again. */
static void test_no_data_counts_what_it_must(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty(), good = report_good();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_at(&f, 1, false);
    s = tick_after(&f, &s, &empty, 4 * NS_PER_SEC).state;
    assert_int_equal(s.no_data_ns, 4 * NS_PER_SEC);
    s = tick(&f, &s, &good).state;
    assert_int_equal(s.no_data_ns, 0);
    s = state_retreated(&f, 1, false);
    s = tick_after(&f, &s, &empty, 20 * NS_PER_SEC).state;
    assert_int_equal(s.no_data_ns, 0);
    f.policy.analysis.on_no_data = NO_DATA_PAUSE;
    s = state_at(&f, 1, false);
    s.no_data_ns = 5 * NS_PER_MIN - 1;
    s = tick(&f, &s, &empty).state;
    assert_int_equal(s.phase, PHASE_PAUSED);
    s = order(&f, &s, &empty, (struct command){.kind = COMMAND_RESUME}).state;
    assert_int_equal(s.no_data_ns, 0);
}

/* At 100 % a relative criterion has nothing to go by, unless its limit was frozen. */
static void test_no_data_without_stable(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();
    struct rollout_next next;

    (void)state;
    fixture_confirms(&f);
    report.criteria[1].verdict = VERDICT_NO_DATA;
    struct rollout_state s = state_at(&f, 4, false);
    rollout_next(&f.policy, &s, &report, &next);
    assert_false(next.no_data);
    report.criteria[1].frozen = true;
    rollout_next(&f.policy, &s, &report, &next);
    assert_true(next.no_data);
    /* where the canary begins with everything it never had its say */
    report.criteria[1].frozen = false;
    f.steps[0].weight_bp = WEIGHT_FULL_BP;
    rollout_next(&f.policy, &s, &report, &next);
    assert_true(next.no_data && !next.ready);
    f.steps[0].weight_bp = 1000;
    /* with a control share there is a stable */
    report.criteria[1].frozen = false;
    s.weight_bp = 9500;
    rollout_next(&f.policy, &s, &report, &next);
    assert_true(next.no_data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pause_is_made_once),
        cmocka_unit_test(test_after_a_pause_it_says_how_to_go_on),
        cmocka_unit_test(test_report_is_made_once_and_holds_nothing_up),
        cmocka_unit_test(test_harm_comes_first),
        cmocka_unit_test(test_verdicts_of_their_own),
        cmocka_unit_test(test_observe_reports_each_once),
        cmocka_unit_test(test_no_data),
        cmocka_unit_test(test_what_fails_in_a_pause_makes_no_other),
        cmocka_unit_test(test_no_data_is_told_in_observe),
        cmocka_unit_test(test_no_data_counts_what_it_must),
        cmocka_unit_test(test_no_data_without_stable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
