/* Each verb in each phase: what it does, or the refusal that names phase and way out. */
#include "fixtures.h"

#include "controller/retreat.h"

static const struct {
    enum command_kind kind;
    enum rollout_phase phase;
    enum rollout_phase after; /* when it is done */
    uint32_t weight_bp;
    const char *refusal; /* a part of the detail; NULL: done */
} rows[] = {
    {COMMAND_PROMOTE, PHASE_IDLE, 0, 0, "there is no canary"},
    {COMMAND_PROMOTE, PHASE_PENDING, PHASE_PROGRESSING, 1000, NULL},
    {COMMAND_PROMOTE, PHASE_PROGRESSING, PHASE_PROGRESSING, 5000, NULL},
    {COMMAND_PROMOTE, PHASE_PAUSED, 0, 0, "`sluice resume chat` first"},
    {COMMAND_PROMOTE, PHASE_AWAITING_APPROVAL, PHASE_PROGRESSING, 5000, NULL},
    {COMMAND_PROMOTE, PHASE_PROMOTED, 0, 0, "chat is promoted: 2.1.0 serves everything"},
    {COMMAND_PROMOTE, PHASE_ROLLED_BACK, 0, 0, "`sluice retry chat` starts it again"},

    {COMMAND_PAUSE, PHASE_IDLE, 0, 0, "there is no canary"},
    {COMMAND_PAUSE, PHASE_PENDING, 0, 0, "nothing has started"},
    {COMMAND_PAUSE, PHASE_PROGRESSING, PHASE_PAUSED, 2500, NULL},
    {COMMAND_PAUSE, PHASE_PAUSED, 0, 0, "paused at 25%; `sluice resume chat` goes on"},
    {COMMAND_PAUSE, PHASE_AWAITING_APPROVAL, PHASE_PAUSED, 2500, NULL},
    {COMMAND_PAUSE, PHASE_PROMOTED, 0, 0, "`sluice rollback chat` takes it back"},
    {COMMAND_PAUSE, PHASE_ROLLED_BACK, 0, 0, "gets no traffic"},

    {COMMAND_RESUME, PHASE_IDLE, 0, 0, "there is no canary"},
    {COMMAND_RESUME, PHASE_PENDING, 0, 0, "nothing to resume"},
    {COMMAND_RESUME, PHASE_PROGRESSING, 0, 0,
     "chat is progressing at step 2 of 4 (25%): there is nothing to resume"},
    {COMMAND_RESUME, PHASE_PAUSED, PHASE_PROGRESSING, 2500, NULL},
    {COMMAND_RESUME, PHASE_AWAITING_APPROVAL, 0, 0, "it waits for `sluice approve`"},
    {COMMAND_RESUME, PHASE_PROMOTED, 0, 0, "promoted"},
    {COMMAND_RESUME, PHASE_ROLLED_BACK, 0, 0, "`sluice retry chat`"},

    {COMMAND_APPROVE, PHASE_IDLE, 0, 0, "there is no canary"},
    {COMMAND_APPROVE, PHASE_PENDING, 0, 0, "`sluice promote chat` starts it"},
    {COMMAND_APPROVE, PHASE_PROGRESSING, 0, 0, "`sluice promote chat` skips the hold"},
    {COMMAND_APPROVE, PHASE_PAUSED, 0, 0, "`sluice resume chat` first"},
    {COMMAND_APPROVE, PHASE_AWAITING_APPROVAL, PHASE_PROGRESSING, 2500, NULL},
    {COMMAND_APPROVE, PHASE_PROMOTED, 0, 0, "promoted"},
    {COMMAND_APPROVE, PHASE_ROLLED_BACK, 0, 0, "rolled_back"},

    {COMMAND_ROLLBACK, PHASE_IDLE, 0, 0, "there is no canary"},
    {COMMAND_ROLLBACK, PHASE_PENDING, PHASE_ROLLED_BACK, 0, NULL},
    {COMMAND_ROLLBACK, PHASE_PROGRESSING, PHASE_ROLLED_BACK, 0, NULL},
    {COMMAND_ROLLBACK, PHASE_PAUSED, PHASE_ROLLED_BACK, 0, NULL},
    {COMMAND_ROLLBACK, PHASE_AWAITING_APPROVAL, PHASE_ROLLED_BACK, 0, NULL},
    {COMMAND_ROLLBACK, PHASE_PROMOTED, PHASE_ROLLED_BACK, 0, NULL},
    {COMMAND_ROLLBACK, PHASE_ROLLED_BACK, 0, 0, "gets no traffic"},

    {COMMAND_PROMOTE, PHASE_BAKING, PHASE_PROMOTED, 10000, NULL},
    {COMMAND_PAUSE, PHASE_BAKING, PHASE_PAUSED, 10000, NULL},
    {COMMAND_RESUME, PHASE_BAKING, 0, 0, "baking at step 4 of 4 (100%): there is nothing"},
    {COMMAND_APPROVE, PHASE_BAKING, 0, 0, "`sluice promote chat` skips the hold"},
    {COMMAND_ROLLBACK, PHASE_BAKING, PHASE_ROLLED_BACK, 0, NULL},
    {COMMAND_RETRY, PHASE_BAKING, 0, 0, "chat is baking"},

    {COMMAND_RETRY, PHASE_IDLE, 0, 0, "chat is idle"},
    {COMMAND_RETRY, PHASE_PENDING, 0, 0, "chat is pending"},
    {COMMAND_RETRY, PHASE_PROGRESSING, 0, 0, "chat is progressing at step 2 of 4"},
    {COMMAND_RETRY, PHASE_PAUSED, 0, 0, "chat is paused"},
    {COMMAND_RETRY, PHASE_AWAITING_APPROVAL, 0, 0, "awaiting_approval"},
    {COMMAND_RETRY, PHASE_PROMOTED, 0, 0, "promoted"},
    {COMMAND_RETRY, PHASE_ROLLED_BACK, PHASE_PROGRESSING, 1000, NULL},
};

static void canary_of(struct fixture *f, enum rollout_phase phase)
{
    fixture_init(f);
    if (phase == PHASE_IDLE)
        f->policy.versions[VARIANT_CANARY].version = NULL;
    if (phase == PHASE_PENDING)
        f->policy.start_auto = false;
}

static void test_every_command_in_every_phase(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture f;
        struct analysis_report good = report_good();
        canary_of(&f, rows[i].phase);
        struct rollout_state s = state_in(&f, rows[i].phase);
        print_message("  %s while %s\n", command_names[rows[i].kind], phase_names[rows[i].phase]);
        struct rollout_decision d = order(&f, &s, &good, (struct command){.kind = rows[i].kind});
        if (rows[i].refusal != NULL) {
            assert_false(d.result.ok);
            assert_non_null(strstr(d.result.detail, rows[i].refusal));
            assert_true(strlen(d.result.title) > 0);
            assert_int_equal(d.event, EVENT_NONE);
            assert_int_equal(d.action_count, 0);
            assert_memory_equal(&d.state, &s, sizeof(s));
            continue;
        }
        assert_true(d.result.ok);
        assert_true(strlen(d.result.detail) > 0);
        assert_string_equal(phase_names[d.state.phase], phase_names[rows[i].after]);
        assert_int_equal(d.state.weight_bp, rows[i].weight_bp);
        assert_int_equal(d.cause, CAUSE_COMMAND);
    }
}

static void test_expect_step(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 3, false);
    struct rollout_decision d =
        order(&f, &s, &good, (struct command){.kind = COMMAND_PROMOTE, .expect_step = 2});
    assert_false(d.result.ok);
    assert_string_equal(
        d.result.detail,
        "chat is progressing at step 3 of 4 (50%), not at step 2; nothing was done");
    d = order(&f, &s, &good, (struct command){.kind = COMMAND_PROMOTE, .expect_step = 3});
    assert_true(d.result.ok);
}

static void test_promote_skips_waiting_but_not_harm(void **state)
{
    struct fixture f;
    struct analysis_report unproven = report_unproven(), alarming = report_alarming();
    struct analysis_report failing = report_failing();
    char text[256];

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 3, false);
    struct rollout_decision d = order(&f, &s, &unproven, (struct command){.kind = COMMAND_PROMOTE});
    assert_true(d.result.ok);
    assert_int_equal(d.state.weight_bp, WEIGHT_FULL_BP);
    assert_string_equal(d.result.detail, "step 4 of 4: 2.1.0 gets 100% of the traffic");

    d = order(&f, &s, &alarming, (struct command){.kind = COMMAND_PROMOTE});
    assert_false(d.result.ok);
    assert_string_equal(d.result.title, "a criterion is close to failing");
    d = order(&f, &s, &failing, (struct command){.kind = COMMAND_PROMOTE});
    assert_false(d.result.ok);
    assert_string_equal(d.result.title, "a criterion fails");
    assert_non_null(strstr(d.result.detail, "error_rate max 1%"));
    assert_non_null(strstr(d.result.detail, "--force"));

    d = order(&f, &s, &failing, (struct command){.kind = COMMAND_PROMOTE, .force = true});
    assert_true(d.result.ok);
    /* the verdict that was passed is void, else the next look would undo the order */
    assert_string_equal(actions_text(&d, text),
                        "commit reset weight(14,10000,start) set(14,10000) event");
}

static void test_promote_to_the_end(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), failing = report_failing();
    char text[256];

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 1, false);
    struct rollout_decision d =
        order(&f, &s, &good, (struct command){.kind = COMMAND_PROMOTE, .full = true});
    assert_int_equal(d.state.phase, PHASE_PROMOTED);
    assert_int_equal(d.state.weight_bp, WEIGHT_FULL_BP);
    assert_string_equal(actions_text(&d, text), "commit weight(12,10000) set(12,10000) event");
    d = order(&f, &s, &failing, (struct command){.kind = COMMAND_PROMOTE, .full = true});
    assert_false(d.result.ok);

    s = state_at(&f, 4, false); /* at the last step: promoted, with or without --full */
    d = order(&f, &s, &good, (struct command){.kind = COMMAND_PROMOTE});
    assert_int_equal(d.state.phase, PHASE_PROMOTED);
}

static void test_pause_at_zero_and_back(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good();
    char text[256];

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 2, false);
    struct rollout_decision d =
        order(&f, &s, &good, (struct command){.kind = COMMAND_PAUSE, .zero = true});
    assert_int_equal(d.state.weight_bp, 0);
    assert_string_equal(actions_text(&d, text), "weight(13,0) set(13,0) commit event");
    s = d.state;
    d = tick_after(&f, &s, &good, NS_PER_MIN);
    assert_int_equal(d.state.held_ns, s.held_ns);
    s = d.state;
    d = order(&f, &s, &good, (struct command){.kind = COMMAND_RESUME});
    assert_int_equal(d.state.phase, PHASE_PROGRESSING);
    assert_int_equal(d.state.weight_bp, 2500);
    assert_false(d.state.zeroed);
    assert_string_equal(actions_text(&d, text), "commit weight(14,2500) set(14,2500) event");

    /* a pause with traffic can still be made one without */
    s = state_in(&f, PHASE_PAUSED);
    d = order(&f, &s, &good, (struct command){.kind = COMMAND_PAUSE, .zero = true});
    assert_true(d.result.ok);
    assert_int_equal(d.state.weight_bp, 0);
    assert_int_equal(d.state.paused_from, PHASE_PROGRESSING);
}

/* Requests sent before the pause are still ending: they condemn the canary at weight 0 too. */
static void test_pause_does_not_blind(void **state)
{
    struct fixture f;
    struct analysis_report failing = report_failing();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_in(&f, PHASE_PAUSED);
    assert_int_equal(tick(&f, &s, &failing).event, EVENT_ROLLED_BACK);
    s.zeroed = true;
    s.weight_bp = 0;
    assert_int_equal(tick(&f, &s, &failing).event, EVENT_ROLLED_BACK);
    struct rollout_decision d = order(&f, &s, &failing, (struct command){.kind = COMMAND_RESUME});
    assert_false(d.result.ok);
    assert_int_equal(d.state.weight_bp, 0);
}

static void test_pause_keeps_a_waiting_approval(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_in(&f, PHASE_AWAITING_APPROVAL);
    s = order(&f, &s, &good, (struct command){.kind = COMMAND_PAUSE}).state;
    s = order(&f, &s, &good, (struct command){.kind = COMMAND_RESUME}).state;
    assert_int_equal(s.phase, PHASE_AWAITING_APPROVAL);
}

static void test_observe_is_not_promoted(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good();

    (void)state;
    fixture_init(&f);
    f.policy.analysis.mode = MODE_OBSERVE;
    struct rollout_state s = state_at(&f, 1, false);
    struct rollout_decision d = order(&f, &s, &good, (struct command){.kind = COMMAND_PROMOTE});
    assert_false(d.result.ok);
    assert_non_null(strstr(d.result.detail, "set it to enforce"));
    d = order(&f, &s, &good, (struct command){.kind = COMMAND_ROLLBACK});
    assert_int_equal(d.state.weight_bp, 0);
}

static void test_retry_begins_on_fresh_evidence(void **state)
{
    struct fixture f;
    struct analysis_report failing = report_failing();
    char text[256];

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_in(&f, PHASE_ROLLED_BACK);
    struct rollout_decision d = order(&f, &s, &failing, (struct command){.kind = COMMAND_RETRY});
    assert_string_equal(actions_text(&d, text),
                        "commit reset weight(13,1000,start) set(13,1000) event");
    f.steps[0].approval = APPROVAL_BEFORE;
    d = order(&f, &s, &failing, (struct command){.kind = COMMAND_RETRY});
    assert_int_equal(d.state.phase, PHASE_AWAITING_APPROVAL);
    assert_int_equal(d.state.weight_bp, 0);
    s = d.state; /* what the earlier try left is not held against it */
    struct analysis_report empty = report_empty();
    assert_int_equal(tick(&f, &s, &empty).event, EVENT_NONE);
}

/* --- in a retreat and in the bake ---------------------------------------------------------------
 */

static const struct {
    enum command_kind kind;
    bool force, zero, probing;
    enum rollout_phase after;
    uint32_t weight_bp, visit;
    bool runs; /* the retreat's time goes on */
    const char *detail;
} retreats[] = {
    {COMMAND_PROMOTE, false, false, false, PHASE_PROGRESSING, 0, 1, true,
     "error_rate max 1%: 30 of 62 canary requests were bad; it is asked again in 30s; --force"},
    {COMMAND_PROMOTE, false, false, true, PHASE_PROGRESSING, 1000, 1, true,
     "it is being asked again now"},
    {COMMAND_PROMOTE, true, false, false, PHASE_PROGRESSING, 2500, 0, false,
     "progressing at step 2 of 4 (25%) again, on fresh evidence: the retreat is over; another "
     "`sluice promote chat` goes on"},
    {COMMAND_PROMOTE, true, false, true, PHASE_PROGRESSING, 2500, 0, false, "step 2 of 4 (25%)"},
    {COMMAND_ROLLBACK, false, false, false, PHASE_ROLLED_BACK, 0, 0, false, "2.0.0 serves"},
    {COMMAND_ROLLBACK, false, false, true, PHASE_ROLLED_BACK, 0, 0, false, "2.0.0 serves"},
    {COMMAND_PAUSE, false, false, false, PHASE_PAUSED, 0, 1, false,
     "is not asked again before `sluice resume chat`"},
    {COMMAND_PAUSE, false, true, true, PHASE_PAUSED, 0, 1, false, "paused at 0%"},
    {COMMAND_PAUSE, false, false, true, PHASE_PAUSED, 0, 1, false, "paused at 0%"},
    {COMMAND_RESUME, false, false, false, PHASE_PROGRESSING, 0, 1, true, "nothing to resume"},
};

/* Whatever is done to a canary that was sent back, it gets more traffic only by force. */
static void test_commands_in_a_retreat(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped();

    (void)state;
    fixture_confirms(&f);
    for (size_t i = 0; i < sizeof(retreats) / sizeof(retreats[0]); i++) {
        struct rollout_state s = state_retreated(&f, 1, retreats[i].probing);
        struct command c = {
            .kind = retreats[i].kind, .force = retreats[i].force, .zero = retreats[i].zero};
        print_message("  %s%s%s\n", command_names[c.kind], c.force ? " --force" : "",
                      retreats[i].probing ? " while asked" : "");
        struct rollout_decision d = order(&f, &s, &tripped, c);
        if (strstr(d.result.detail, retreats[i].detail) == NULL)
            fail_msg("says: %s", d.result.detail);
        assert_int_equal(d.state.phase, retreats[i].after);
        assert_int_equal(d.state.weight_bp, retreats[i].weight_bp);
        assert_int_equal(d.state.retreat.visit, retreats[i].visit);
        assert_int_equal(retreat_runs(&d.state), retreats[i].runs);
        assert_false(d.state.retreat.probing && d.state.phase == PHASE_PAUSED);
    }
}

/* Out of a retreat by force: its own step's weight, judged afresh, and no step is skipped. */
static void test_force_ends_a_retreat(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), good = report_good(), wide = report_wide();
    struct command force = {.kind = COMMAND_PROMOTE, .force = true};
    char text[256];

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_retreated(&f, 2, false);
    struct rollout_decision d = order(&f, &s, &tripped, force);
    assert_string_equal(actions_text(&d, text), "commit weight(13,2500,forced) set(13,2500) event");
    assert_int_equal(d.event, EVENT_CLEARED);
    assert_int_equal(d.cause, CAUSE_COMMAND);
    assert_int_equal(d.state.held_ns, s.held_ns);
    assert_int_equal(d.state.retreats_in_step, 0);
    /* it fails again: sent back again, and counted from one */
    assert_int_equal(tick(&f, &d.state, &tripped).state.retreat.visit, 1);
    /* well: another promote goes up */
    d = order(&f, &d.state, &good, (struct command){.kind = COMMAND_PROMOTE});
    assert_int_equal(d.state.weight_bp, 5000);
    /* at the same weight, the visit's, an epoch tells what comes then from what was asked */
    s = state_retreated(&f, 1, true);
    s.step = 1;
    s.retreat.weight_bp = 1000;
    d = order(&f, &s, &tripped, force);
    assert_string_equal(actions_text(&d, text), "commit weight(13,1000,forced) set(13,1000) event");
    /* what condemns it for good is void, else the next look would undo the order */
    s = state_retreated(&f, 1, false);
    d = order(&f, &s, &wide, force);
    assert_string_equal(actions_text(&d, text),
                        "commit reset weight(13,2500,start) set(13,2500) event");
    /* where it waits for approval, it goes on waiting */
    s = state_retreated(&f, 1, false);
    s.phase = PHASE_AWAITING_APPROVAL;
    d = order(&f, &s, &tripped, force);
    assert_int_equal(d.state.phase, PHASE_AWAITING_APPROVAL);
    assert_int_equal(d.state.weight_bp, 2500);
    /* and to the end it is a promotion */
    force.full = true;
    d = order(&f, &s, &tripped, force);
    assert_int_equal(d.state.phase, PHASE_PROMOTED);
}

/* Paused and resumed, a retreat's pause begins again, so the canary is asked in good order. */
static void test_resume_asks_again(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped();

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_retreated(&f, 2, true);
    s = order(&f, &s, &tripped, (struct command){.kind = COMMAND_PAUSE}).state;
    assert_int_equal(tick_after(&f, &s, &tripped, NS_PER_HOUR).event, EVENT_NONE);
    struct rollout_decision d = order(&f, &s, &tripped, (struct command){.kind = COMMAND_RESUME});
    assert_true(d.result.ok);
    assert_non_null(strstr(d.result.detail, "was sent back and is asked again in 2m"));
    assert_int_equal(d.state.weight_bp, 0);
    assert_int_equal(d.state.retreat.left_ns, 2 * NS_PER_MIN);
    assert_int_equal(rollout_quiet_ns(&f.policy, &d.state), 2 * NS_PER_MIN);
    /* paused by somebody, and sent back then: it stays there already */
    s = state_retreated(&f, 1, false);
    s.phase = PHASE_PAUSED;
    s.paused_from = PHASE_PROGRESSING;
    d = order(&f, &s, &tripped, (struct command){.kind = COMMAND_PAUSE});
    assert_false(d.result.ok);
    assert_string_equal(d.result.title, "already paused");
    d = order(&f, &s, &tripped, (struct command){.kind = COMMAND_PAUSE, .zero = true});
    assert_true(d.result.ok);
    assert_int_equal(d.state.weight_bp, 0);
    assert_false(retreat_runs(&d.state));
}

/* `promote` at the last step begins the bake; once more, or --full, ends it. */
static void test_promote_into_the_bake(void **state)
{
    struct fixture f;
    struct analysis_report unproven = report_unproven();

    (void)state;
    fixture_confirms(&f);
    f.policy.bake.for_ns = 24 * NS_PER_HOUR;
    f.policy.bake.control_bp = 500;
    struct rollout_state s = state_at(&f, 4, false);
    s.weight_bp = 9500;
    struct rollout_decision d = order(&f, &s, &unproven, (struct command){.kind = COMMAND_PROMOTE});
    assert_int_equal(d.event, EVENT_BAKING);
    assert_non_null(strstr(d.result.detail, "baking: 2.1.0 gets 95% of the traffic for 1d"));
    d = order(&f, &d.state, &unproven, (struct command){.kind = COMMAND_PROMOTE});
    assert_int_equal(d.event, EVENT_PROMOTED);
    assert_int_equal(d.state.weight_bp, WEIGHT_FULL_BP);
    d = order(&f, &s, &unproven, (struct command){.kind = COMMAND_PROMOTE, .full = true});
    assert_int_equal(d.event, EVENT_PROMOTED);
}

/* The last known good comes back in one command. */
static void test_rollback_of_a_promoted_canary(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_in(&f, PHASE_PROMOTED);
    struct rollout_decision d = order(&f, &s, &good, (struct command){.kind = COMMAND_ROLLBACK});
    assert_int_equal(d.event, EVENT_ROLLED_BACK);
    assert_int_equal(d.state.weight_bp, 0);
    assert_string_equal(d.result.detail, "rolled back: 2.1.0 gets no traffic, 2.0.0 serves again");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_every_command_in_every_phase),
        cmocka_unit_test(test_expect_step),
        cmocka_unit_test(test_promote_skips_waiting_but_not_harm),
        cmocka_unit_test(test_promote_to_the_end),
        cmocka_unit_test(test_pause_at_zero_and_back),
        cmocka_unit_test(test_pause_does_not_blind),
        cmocka_unit_test(test_pause_keeps_a_waiting_approval),
        cmocka_unit_test(test_observe_is_not_promoted),
        cmocka_unit_test(test_retry_begins_on_fresh_evidence),
        cmocka_unit_test(test_commands_in_a_retreat),
        cmocka_unit_test(test_force_ends_a_retreat),
        cmocka_unit_test(test_resume_asks_again),
        cmocka_unit_test(test_promote_into_the_bake),
        cmocka_unit_test(test_rollback_of_a_promoted_canary),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
