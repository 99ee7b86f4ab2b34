/* A canary that was sent back: asked again, cleared or condemned. */
#include "fixtures.h"

#include "controller/document.h"
#include "controller/retreat.h"

static void expect(const struct rollout_decision *d, enum rollout_event event,
                   enum rollout_phase phase, uint32_t weight_bp, uint32_t visit)
{
    assert_string_equal(event_names[d->event], event_names[event]);
    assert_string_equal(phase_names[d->state.phase], phase_names[phase]);
    assert_int_equal(d->state.weight_bp, weight_bp);
    assert_int_equal(d->state.retreat.visit, visit);
}

/* Ticks until something is decided, or `ns` are over. */
static struct rollout_decision wait_for(const struct fixture *f, struct rollout_state *s,
                                        const struct analysis_report *report, int64_t ns,
                                        int64_t *ret_passed_ns)
{
    struct rollout_decision d;
    int64_t began_ns = s->last_ns;

    do {
        d = tick(f, s, report);
        *s = d.state;
    } while (d.event == EVENT_NONE && s->last_ns - began_ns < ns);
    *ret_passed_ns = s->last_ns - began_ns;
    return d;
}

/* --- the pauses ------------------------------------------------------------------------------- */

static const struct {
    uint32_t visit;
    int64_t longest_burst_s, pause_s;
} pauses[] = {{1, 0, 30},        {2, 0, 120},     {3, 0, 300},      {1, 10, 30},
              {1, 11, 33},       {2, 10, 120},    {2, 21, 126},     {3, 100, 300},
              {1, 1200, 3600},   {1, 1201, 3600}, {2, 10000, 3600}, {9, 10000, 300},
              {1, 4000000, 3600}};

static void test_pauses_lengthen_with_stables_bursts(void **state)
{
    struct fixture f;

    (void)state;
    fixture_confirms(&f);
    f.policy.analysis.confirm_ns[2] = 5 * NS_PER_MIN;
    f.policy.analysis.confirm_count = 3;
    for (size_t i = 0; i < sizeof(pauses) / sizeof(pauses[0]); i++)
        assert_int_equal(
            retreat_pause_ns(&f.policy, pauses[i].visit, pauses[i].longest_burst_s * NS_PER_SEC) /
                NS_PER_SEC,
            pauses[i].pause_s);
    /* what the author wrote is not shortened */
    f.policy.analysis.confirm_ns[0] = 2 * NS_PER_HOUR;
    assert_int_equal(retreat_pause_ns(&f.policy, 1, NS_PER_HOUR), 2 * NS_PER_HOUR);
}

/* --- one visit after the other ---------------------------------------------------------------- */

/* A dead canary: at 0 at once, asked after 30 s and 2 min, then condemned. */
static void test_fails_on_every_visit(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), probing = report_probing(),
                           again = report_tripped_again();
    int64_t passed_ns;
    char text[256];

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_at(&f, 2, false);
    struct rollout_decision d = tick(&f, &s, &tripped);
    expect(&d, EVENT_RETREATED, PHASE_PROGRESSING, 0, 1);
    assert_int_equal(d.cause, CAUSE_CRITERION);
    assert_int_equal(d.criterion, 0);
    /* down before disk, and nothing of the evidence is thrown away */
    assert_string_equal(actions_text(&d, text), "weight(13,0) set(13,0) commit event");
    assert_int_equal(d.state.retreat.seen[0].bad, 30);
    s = d.state;
    /* the next look is due when the pause ends, whatever else happens */
    assert_int_equal(rollout_quiet_ns(&f.policy, &s), 30 * NS_PER_SEC);
    assert_false(rollout_awaits_requests(&f.policy, &s));
    /* the crossing still stands while it has no traffic: that is not another one */
    d = wait_for(&f, &s, &tripped, NS_PER_HOUR, &passed_ns);
    expect(&d, EVENT_PROBED, PHASE_PROGRESSING, 1000, 1);
    assert_int_equal(passed_ns, 30 * NS_PER_SEC);
    assert_string_equal(actions_text(&d, text), "commit weight(14,1000,probe) set(14,1000) event");
    assert_true(d.actions[1].probe.p1 == 0.0694 && d.actions[1].probe.z == 0.01);
    /* what goes well is looked at at each tick, and nothing ends by time but the wait for data */
    assert_true(rollout_awaits_requests(&f.policy, &s));
    assert_int_equal(rollout_quiet_ns(&f.policy, &s), 5 * NS_PER_MIN);
    d = wait_for(&f, &s, &probing, NS_PER_MIN, &passed_ns);
    expect(&d, EVENT_NONE, PHASE_PROGRESSING, 1000, 1);
    d = tick(&f, &s, &again);
    expect(&d, EVENT_RETREATED, PHASE_PROGRESSING, 0, 2);
    assert_int_equal(d.state.retreat.seen[1].bad, 20);
    s = d.state;
    d = wait_for(&f, &s, &again, NS_PER_HOUR, &passed_ns);
    expect(&d, EVENT_PROBED, PHASE_PROGRESSING, 1000, 2);
    assert_int_equal(passed_ns, 2 * NS_PER_MIN);
    d = tick(&f, &s, &again);
    expect(&d, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0, 0);
    assert_int_equal(d.cause, CAUSE_CRITERION);
    assert_string_equal(d.state.rejected_version, "2.1.0");
    /* the hold stood meanwhile */
    assert_int_equal(d.state.held_ns, NS_PER_MIN + 100 * NS_PER_MS);
}

static void test_cleared_goes_on_where_it_was(void **state)
{
    struct fixture f;
    struct analysis_report cleared = report_cleared();
    char text[256];

    (void)state;
    fixture_confirms(&f);
    for (uint32_t visit = 1; visit <= 2; visit++) {
        struct rollout_state s = state_retreated(&f, visit, true);
        struct rollout_decision d = tick(&f, &s, &cleared);
        expect(&d, EVENT_CLEARED, PHASE_PROGRESSING, 2500, 0);
        assert_int_equal(d.criterion, 0);
        assert_string_equal(actions_text(&d, text), "commit weight(13,2500) set(13,2500) event");
        assert_int_equal(d.state.held_ns, s.held_ns);
        /* what a step has seen of retreats is kept for the step */
        assert_int_equal(d.state.retreats_in_step, visit);
        s = d.state;
        assert_int_equal(tick(&f, &s, &cleared).event, EVENT_NONE);
    }
}

/* One that is cleared and trips: an earlier question is answered, so visits count from one. */
static void test_visits_count_from_one_after_a_clearing(void **state)
{
    struct fixture f;
    struct analysis_report cleared = report_cleared(), tripped = report_tripped();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_retreated(&f, 2, true);
    s = tick(&f, &s, &cleared).state;
    struct rollout_decision d = tick(&f, &s, &tripped);
    expect(&d, EVENT_RETREATED, PHASE_PROGRESSING, 0, 1);
    assert_int_equal(d.state.retreat.pause_ns, 30 * NS_PER_SEC);
}

/* A probe gets what the first step gets, but never more than it had. */
static void test_weight_of_a_visit(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), cleared = report_cleared();

    (void)state;
    fixture_confirms(&f);
    for (uint32_t step = 1; step <= 4; step++) {
        struct rollout_state s = state_at(&f, step, false);
        s = tick(&f, &s, &tripped).state;
        assert_int_equal(s.retreat.weight_bp, f.steps[step - 1].weight_bp);
        s = tick_after(&f, &s, &tripped, 30 * NS_PER_SEC).state;
        assert_int_equal(s.weight_bp, 1000);
        s = tick(&f, &s, &cleared).state;
        assert_int_equal(s.weight_bp, f.steps[step - 1].weight_bp);
    }
    struct rollout_state s = state_retreated(&f, 1, false);
    s.retreat.weight_bp = 500; /* had less than the first step of the policy as it is now */
    s = tick_after(&f, &s, &tripped, 30 * NS_PER_SEC).state;
    assert_int_equal(s.weight_bp, 500);
    s = tick(&f, &s, &cleared).state;
    assert_int_equal(s.weight_bp, 500);
}

/* Which of two questions is asked on the next visit: the harder one. */
static void test_a_later_trip_may_only_lower_p1(void **state)
{
    static const struct {
        struct probe before, trip, after;
    } rows[] = {
        {{0, 0, 0.0694, 0.01}, {0, 0, 0.05, 0.01}, {0, 0, 0.05, 0.01}},
        {{0, 0, 0.0694, 0.01}, {0, 0, 0.09, 0.01}, {0, 0, 0.0694, 0.01}},
        {{1, 0, 0.03, 0.006}, {1, 0, 0.04, 0.035}, {1, 0, 0.03, 0.006}},
        /* another criterion: another question */
        {{0, 0, 0.0694, 0.01}, {2, 0, 0.09, 0.01}, {2, 0, 0.09, 0.01}},
        {{CRITERIA_MAX, 0, 0.05, 0.01}, {0, 0, 0.06, 0.01}, {0, 0, 0.06, 0.01}},
    };
    struct fixture f;

    (void)state;
    fixture_confirms(&f);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rollout_state s = state_retreated(&f, 1, true);
        struct analysis_report report = report_tripped_again();
        s.retreat.probe = rows[i].before;
        report.probe_next = rows[i].trip;
        s = tick(&f, &s, &report).state;
        assert_int_equal(s.retreat.visit, 2);
        assert_memory_equal(&s.retreat.probe, &rows[i].after, sizeof(struct probe));
    }
}

static void test_hard_down_is_a_retreat(void **state)
{
    struct fixture f;
    struct analysis_report down = report_tripped_down(), verdict = report_down();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_at(&f, 1, false);
    struct rollout_decision d = tick(&f, &s, &down);
    expect(&d, EVENT_RETREATED, PHASE_PROGRESSING, 0, 1);
    assert_int_equal(d.cause, CAUSE_HARD_DOWN);
    assert_int_equal(d.state.retreat.seen[0].bad, 31);
    /* on the last visit it condemns */
    s = state_retreated(&f, 2, true);
    d = tick(&f, &s, &down);
    expect(&d, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0, 0);
    assert_int_equal(d.cause, CAUSE_HARD_DOWN);
    /* and without visits at once */
    fixture_init(&f);
    s = state_at(&f, 1, false);
    d = tick(&f, &s, &verdict);
    expect(&d, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0, 0);
}

/* The wide test asks nobody: it condemns wherever the canary is. */
static void test_wide_condemns_at_any_time(void **state)
{
    struct fixture f;
    struct analysis_report wide = report_wide();
    struct rollout_state states[5];

    (void)state;
    fixture_confirms(&f);
    states[0] = state_at(&f, 1, false);
    states[1] = state_retreated(&f, 1, false);
    states[2] = state_retreated(&f, 1, true);
    states[3] = state_in(&f, PHASE_PAUSED);
    states[4] = state_in(&f, PHASE_AWAITING_APPROVAL);
    for (size_t i = 0; i < 5; i++) {
        struct rollout_decision d = tick(&f, &states[i], &wide);
        expect(&d, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0, 0);
        assert_int_equal(d.cause, CAUSE_WIDE);
        assert_int_equal(d.criterion, 0);
    }
}

/* Neither well nor broken: after six retreats in a step somebody must look. */
static void test_unsteady(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), good = report_good();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_at(&f, 2, false);
    s.retreats_in_step = 4;
    assert_int_equal(tick(&f, &s, &tripped).event, EVENT_RETREATED);
    s.retreats_in_step = 5;
    struct rollout_decision d = tick(&f, &s, &tripped);
    expect(&d, EVENT_PAUSED, PHASE_PAUSED, 0, 1);
    assert_int_equal(d.cause, CAUSE_UNSTEADY);
    assert_true(d.state.zeroed);
    /* nobody asks it meanwhile */
    struct rollout_decision later = tick_after(&f, &d.state, &good, NS_PER_HOUR);
    assert_int_equal(later.event, EVENT_NONE);
    /* `resume` does, after a pause, and the count begins anew */
    d = order(&f, &later.state, &good, (struct command){.kind = COMMAND_RESUME});
    expect(&d, EVENT_RESUMED, PHASE_PROGRESSING, 0, 1);
    assert_int_equal(d.state.retreats_in_step, 0);
    assert_int_equal(d.state.retreat.left_ns, 30 * NS_PER_SEC);
    d = tick_after(&f, &d.state, &good, 30 * NS_PER_SEC);
    expect(&d, EVENT_PROBED, PHASE_PROGRESSING, 1000, 1);

    /* stable is like that, too: no fault of the canary's */
    tripped.placebo.sent_back = 106;
    s.placebo_before_step = 100;
    d = tick(&f, &s, &tripped);
    expect(&d, EVENT_RETREATED, PHASE_PROGRESSING, 0, 1);
    s.placebo_before_step = 101;
    d = tick(&f, &s, &tripped);
    expect(&d, EVENT_PAUSED, PHASE_PAUSED, 0, 1);
    /* a verdict comes first */
    s = state_retreated(&f, 2, true);
    s.retreats_in_step = 5;
    tripped = report_tripped_again();
    assert_int_equal(tick(&f, &s, &tripped).event, EVENT_ROLLED_BACK);
    /* and a step begins without any */
    s = state_at(&f, 1, true);
    s.retreats_in_step = 5;
    good.placebo.sent_back = 7;
    d = tick(&f, &s, &good);
    assert_int_equal(d.event, EVENT_STEP_ADVANCED);
    assert_int_equal(d.state.retreats_in_step, 0);
    assert_int_equal(d.state.placebo_before_step, 7);
}

/* --- a visit that nobody answers ---------------------------------------------------------------
 */

static const struct {
    const char *name;
    enum no_data_do then;
    enum rollout_event event;
    enum rollout_phase phase;
    uint32_t weight_bp, visit;
} unanswered[] = {
    {"hold says so", NO_DATA_HOLD, EVENT_NO_DATA, PHASE_PROGRESSING, 1000, 1},
    {"pause", NO_DATA_PAUSE, EVENT_PAUSED, PHASE_PAUSED, 0, 1},
    {"rollback", NO_DATA_ROLLBACK, EVENT_ROLLED_BACK, PHASE_ROLLED_BACK, 0, 0},
};

static void test_a_visit_without_samples(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(unanswered) / sizeof(unanswered[0]); i++) {
        struct fixture f;
        struct analysis_report silent = report_probing(), cleared = report_cleared();
        struct rollout_decision d;
        int64_t passed_ns;
        fixture_confirms(&f);
        silent.probe.requests = 0; /* the step has requests, but none that its criterion counts */
        silent.probe.log_ratio = silent.probe.least = 0;
        f.policy.analysis.on_no_data = unanswered[i].then;
        print_message("  %s\n", unanswered[i].name);
        struct rollout_state s = state_retreated(&f, 1, true);
        d = wait_for(&f, &s, &silent, NS_PER_HOUR, &passed_ns);
        expect(&d, unanswered[i].event, unanswered[i].phase, unanswered[i].weight_bp,
               unanswered[i].visit);
        assert_int_equal(passed_ns, 5 * NS_PER_MIN);
        assert_int_equal(d.cause, CAUSE_NO_DATA);
        assert_int_equal(d.criterion, 0);
        d = wait_for(&f, &s, &silent, NS_PER_HOUR, &passed_ns); /* once */
        assert_int_equal(d.event, EVENT_NONE);
        if (unanswered[i].then == NO_DATA_HOLD) /* and answers that come late still count */
            assert_int_equal(tick(&f, &s, &cleared).event, EVENT_CLEARED);
        if (unanswered[i].then == NO_DATA_PAUSE) { /* `resume`: a whole pause, then a whole wait */
            d = order(&f, &s, &silent, (struct command){.kind = COMMAND_RESUME});
            s = d.state;
            d = wait_for(&f, &s, &silent, NS_PER_HOUR, &passed_ns);
            expect(&d, EVENT_PROBED, PHASE_PROGRESSING, 1000, 1);
            d = wait_for(&f, &s, &silent, NS_PER_HOUR, &passed_ns);
            assert_int_equal(d.event, EVENT_PAUSED);
            assert_int_equal(passed_ns, 5 * NS_PER_MIN);
        }
    }
}

static void test_what_an_unanswered_visit_waits_for(void **state)
{
    struct fixture f;
    struct engine e = {.policy = &f.policy, .report = report_probing()};
    struct rollout_next next;
    char text[NEXT_TEXT_MAX];

    (void)state;
    fixture_confirms(&f);
    e.report.probe.requests = 0;
    e.state = state_retreated(&f, 1, true);
    rollout_next(&f.policy, &e.state, &e.report, &next);
    assert_string_equal(document_next_text(&e, &next, text),
                        "being asked again: waits for requests that error_rate max 1% counts, none "
                        "so far (visit 2 of 3)");
    struct rollout_decision d =
        order(&f, &e.state, &e.report, (struct command){.kind = COMMAND_PROMOTE});
    assert_non_null(strstr(d.result.detail, "waits for requests that count, none so far"));
}

static void test_a_visit_with_samples_waits_for_more(void **state)
{
    struct fixture f;
    struct analysis_report silent = report_probing(), probing = report_probing();
    int64_t passed_ns;

    (void)state;
    fixture_confirms(&f);
    silent.probe.requests = 0;
    f.policy.analysis.on_no_data = NO_DATA_ROLLBACK;
    struct rollout_state s = state_retreated(&f, 1, true);
    wait_for(&f, &s, &silent, 4 * NS_PER_MIN, &passed_ns);
    struct rollout_decision d = wait_for(&f, &s, &probing, NS_PER_HOUR, &passed_ns);
    expect(&d, EVENT_NONE, PHASE_PROGRESSING, 1000, 1);
    assert_int_equal(s.no_data_ns, 0);
}

/* --- where else it may happen ----------------------------------------------------------------- */

/* Waiting for approval a canary is watched: it is sent back and asked again there, and comes back
 * to where it was. */
static void test_in_a_wait(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), cleared = report_cleared();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_in(&f, PHASE_AWAITING_APPROVAL);
    struct rollout_decision d = tick(&f, &s, &tripped);
    expect(&d, EVENT_RETREATED, PHASE_AWAITING_APPROVAL, 0, 1);
    d = tick_after(&f, &d.state, &tripped, 30 * NS_PER_SEC);
    expect(&d, EVENT_PROBED, PHASE_AWAITING_APPROVAL, 1000, 1);
    d = tick(&f, &d.state, &cleared);
    expect(&d, EVENT_CLEARED, PHASE_AWAITING_APPROVAL, 2500, 0);
}

/* Paused at its weight it is watched as well, but nothing goes up by itself: it is asked a whole
 * pause after `resume`. */
static void test_in_a_pause(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), cleared = report_cleared();
    struct engine e = {.policy = &f.policy, .report = report_tripped()};
    struct rollout_next next;
    char text[NEXT_TEXT_MAX];

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_in(&f, PHASE_PAUSED);
    struct rollout_decision d = tick(&f, &s, &tripped);
    expect(&d, EVENT_RETREATED, PHASE_PAUSED, 0, 1);
    assert_false(retreat_runs(&d.state));
    assert_int_equal(rollout_quiet_ns(&f.policy, &d.state), INT64_MAX);
    d = tick_after(&f, &d.state, &tripped, NS_PER_HOUR);
    expect(&d, EVENT_NONE, PHASE_PAUSED, 0, 1);
    e.state = d.state;
    rollout_next(&f.policy, &e.state, &e.report, &next);
    assert_string_equal(document_next_text(&e, &next, text),
                        "`sluice resume chat`; then it is asked again after 30s (visit 2 of 3)");
    d = order(&f, &d.state, &tripped, (struct command){.kind = COMMAND_RESUME});
    expect(&d, EVENT_RESUMED, PHASE_PROGRESSING, 0, 1);
    assert_non_null(strstr(d.result.detail, "was sent back and is asked again in 30s"));
    d = tick_after(&f, &d.state, &tripped, 30 * NS_PER_SEC - 1);
    expect(&d, EVENT_NONE, PHASE_PROGRESSING, 0, 1);
    d = tick_after(&f, &d.state, &tripped, 1);
    expect(&d, EVENT_PROBED, PHASE_PROGRESSING, 1000, 1);
    d = tick(&f, &d.state, &cleared);
    expect(&d, EVENT_CLEARED, PHASE_PROGRESSING, 2500, 0);
}

/* Paused at 0: late failures send it back all the same, and `resume` brings it up by a visit. */
static void test_paused_at_zero(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_in(&f, PHASE_PAUSED);
    s.zeroed = true;
    s.weight_bp = 0;
    struct rollout_decision d = tick(&f, &s, &tripped);
    expect(&d, EVENT_RETREATED, PHASE_PAUSED, 0, 1);
    assert_int_equal(d.state.epoch, s.epoch);
    assert_int_equal(d.state.retreat.weight_bp, 2500);
    d = tick_after(&f, &d.state, &tripped, NS_PER_HOUR);
    expect(&d, EVENT_NONE, PHASE_PAUSED, 0, 1);
    d = order(&f, &d.state, &tripped, (struct command){.kind = COMMAND_RESUME});
    expect(&d, EVENT_RESUMED, PHASE_PROGRESSING, 0, 1);
}

/* --- restarts --------------------------------------------------------------------------------- */

static void test_restart_in_a_retreat(void **state)
{
    struct fixture f;
    struct analysis_report empty = report_empty();
    struct rollout_input input = {.kind = INPUT_RESTART, .report = &empty};
    struct rollout_decision d;
    char text[256];

    (void)state;
    fixture_confirms(&f);
    /* in a pause: what is left of it is left */
    struct rollout_state s = state_retreated(&f, 2, false);
    s.retreat.left_ns = 7 * NS_PER_SEC;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROGRESSING, 0, 2);
    assert_int_equal(d.state.retreat.left_ns, 7 * NS_PER_SEC);
    assert_string_equal(actions_text(&d, text), "commit reset weight(13,0,start) set(13,0) event");
    d = tick_after(&f, &d.state, &empty, 7 * NS_PER_SEC);
    expect(&d, EVENT_PROBED, PHASE_PROGRESSING, 1000, 2);
    assert_true(d.actions[1].probe.p1 == 0.0694);

    /* being asked: nobody knows what it answered, so its pause begins again */
    s = state_retreated(&f, 2, true);
    rollout_decide(&f.policy, &s, &input, 5, &d);
    expect(&d, EVENT_RESTARTED, PHASE_PROGRESSING, 0, 2);
    assert_int_equal(d.state.retreat.left_ns, 2 * NS_PER_MIN);

    /* the plan was edited meanwhile: it never gets more than it had */
    f.steps[1].weight_bp = 3000;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    assert_int_equal(d.state.step, 1);
    assert_int_equal(d.state.retreat.weight_bp, 1000);
    f.steps[0].weight_bp = 2900;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    assert_int_equal(d.state.retreat.weight_bp, 2500);

    /* and so were the criteria: of one that is gone it cannot be asked, of errors it can */
    s.retreat.probe.criterion = (uint32_t)f.policy.analysis.criteria_count;
    rollout_decide(&f.policy, &s, &input, 5, &d);
    assert_int_equal(d.state.retreat.probe.criterion, CRITERIA_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pauses_lengthen_with_stables_bursts),
        cmocka_unit_test(test_fails_on_every_visit),
        cmocka_unit_test(test_cleared_goes_on_where_it_was),
        cmocka_unit_test(test_visits_count_from_one_after_a_clearing),
        cmocka_unit_test(test_weight_of_a_visit),
        cmocka_unit_test(test_a_later_trip_may_only_lower_p1),
        cmocka_unit_test(test_hard_down_is_a_retreat),
        cmocka_unit_test(test_wide_condemns_at_any_time),
        cmocka_unit_test(test_unsteady),
        cmocka_unit_test(test_a_visit_without_samples),
        cmocka_unit_test(test_what_an_unanswered_visit_waits_for),
        cmocka_unit_test(test_a_visit_with_samples_waits_for_more),
        cmocka_unit_test(test_in_a_wait),
        cmocka_unit_test(test_in_a_pause),
        cmocka_unit_test(test_paused_at_zero),
        cmocka_unit_test(test_restart_in_a_retreat),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
