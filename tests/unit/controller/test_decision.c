/* What a person is told of a decision, word for word, and its JSON. */
#include "fixtures.h"

#include "controller/decision.h"
#include "controller/observed_text.h"

static const char *sentence(const struct fixture *f, const struct rollout_decision *d,
                            const struct command *command, bool unkept)
{
    static char text[DECISION_REASON_MAX];
    const struct decision_facts facts = {.policy = &f->policy,
                                         .decision = d,
                                         .command = command,
                                         .now_ns = d->state.last_ns,
                                         .unkept = unkept};

    return decision_sentence(&facts, text);
}

static void test_rolled_back_on_errors(void **state)
{
    struct fixture f;
    struct analysis_report failing = report_failing();

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 1, false);
    failing.first_bad_slot = T0 / NS_PER_SEC - 4;
    struct rollout_decision d = tick(&f, &s, &failing);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "rolled back: error_rate max 1%: 19.8% of 253 canary requests failed (50 errors; stable "
        "0.0869% of 2,301), evidence 9.2 of 8.3 needed, 4.1 s after the first failure");
    /* carried by all criteria together */
    failing.criteria[0].log_e = 8;
    d = tick(&f, &s, &failing);
    assert_non_null(
        strstr(sentence(&f, &d, NULL, false), "evidence of all criteria 8.1 of 6.9 needed"));
}

static void test_rolled_back_on_latency(void **state)
{
    struct fixture f;
    struct analysis_report report = report_good();

    (void)state;
    fixture_init(&f);
    report.revert = report.alarm = true;
    report.worst = 2;
    report.criteria[2] = (struct criterion_report){.verdict = VERDICT_FAIL,
                                                   .log_e = 12.04,
                                                   .threshold = 8.3,
                                                   .requests = {0, 253},
                                                   .bad = {0, 58}};
    struct rollout_state s = state_at(&f, 1, false);
    struct rollout_decision d = tick(&f, &s, &report);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "rolled back: latency p99 max 500ms: 22.9% of 253 canary requests took "
                        "longer than 500ms (58 of them; allowed 1%), evidence 12.0 of 8.3 needed");
    /* An error long before has nothing to do with times that are compared. */
    f.criteria[2].test = TEST_MAX_RATIO;
    f.criteria[2].limit = 1.3;
    report.first_bad_slot = T0 / NS_PER_SEC - 4;
    d = tick(&f, &s, &report);
    assert_null(strstr(sentence(&f, &d, NULL, false), "first failure"));
    assert_non_null(strstr(sentence(&f, &d, NULL, false), "1.3 times stable's p99"));
}

static void test_other_sentences(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), down = report_down(), empty = report_empty();
    struct analysis_report failing = report_failing(), unproven = report_unproven();
    struct rollout_state s;
    struct command c = {.kind = COMMAND_ROLLBACK, .reason = "INC-7", .who = "ada"};

    (void)state;
    fixture_init(&f);
    s = state_at(&f, 1, false);
    struct rollout_decision d = tick(&f, &s, &down);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "rolled back: hard_down: the last 31 canary requests failed in a row, "
                        "over 11s (limit 20 over 10s)");
    d = order(&f, &s, &good, c);
    assert_string_equal(sentence(&f, &d, &c, false),
                        "rolled back: by command at step 1 of 4 (10%), by ada: INC-7");
    s = state_at(&f, 1, true);
    d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "step 2 of 4: 2.1.0 gets 25% of the traffic; step 1 passed after 10m on "
                        "1,000 canary requests");
    /* the look that ends a step adds the time since the one before it */
    s = state_at(&f, 1, true);
    s.held_ns -= NS_PER_SEC / 10;
    s.last_ns -= NS_PER_SEC / 10;
    good.step_requests = 1;
    d = tick(&f, &s, &good);
    good.step_requests = 1000;
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "step 2 of 4: 2.1.0 gets 25% of the traffic; step 1 passed after 10m on "
                        "1 canary request");
    s = state_at(&f, 4, true);
    d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "promoted: 2.1.0 gets 100% of the traffic; step 4 passed after 10m on "
                        "1,000 canary requests");
    s = state_at(&f, 3, true);
    s.held_ns = 7 * NS_PER_HOUR;
    d = tick(&f, &s, &unproven);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "undecided: no verdict within 6h at step 3 of 4 (50%)");
    rollout_state_init(&s, T0);
    d = tick(&f, &s, &empty);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "started: 2.1.0 gets 10% of the traffic, step 1 of 4");
    assert_non_null(strstr(sentence(&f, &d, NULL, true), "nothing was kept of an earlier run"));
    f.policy.versions[VARIANT_CANARY].version = "2.2.0";
    s = state_at(&f, 3, true);
    d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "superseded: the canary is 2.2.0 now (it was 2.1.0), from the beginning");
    fixture_init(&f);
    f.steps[0].approval = APPROVAL_AFTER;
    s = state_at(&f, 1, true);
    d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "step 2 of 4 (25%) waits for `sluice approve chat`; step 1 is over after "
                        "10m on 1,000 canary requests");
    fixture_init(&f);
    f.policy.analysis.mode = MODE_OBSERVE;
    s = state_at(&f, 1, true);
    d = tick(&f, &s, &failing);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "would be rolled back, but the mode is observe: error_rate max 1%: 19.8% of 253 canary "
        "requests failed (50 errors; stable 0.0869% of 2,301), evidence 9.2 of 8.3 needed");
}

/* Each criterion with what it would have done, and no other. */
static void test_observe_says_what_each_would_do(void **state)
{
    static const struct {
        enum on_fail on_fail;
        const char *begins;
    } rows[] = {
        {ON_FAIL_ROLLBACK, "would be rolled back, but the mode is observe: latency p99 max 500ms"},
        {ON_FAIL_PAUSE, "would be paused, but the mode is observe: latency p99 max 500ms: "},
        {ON_FAIL_REPORT, "failed, which this criterion only reports: latency p99 max 500ms: "},
    };
    struct fixture f;
    struct analysis_report failing = report_failing(), other = report_final(2);
    struct rollout_state s;

    (void)state;
    fixture_init(&f);
    f.policy.analysis.mode = MODE_OBSERVE;
    s = state_at(&f, 1, false);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        f.criteria[2].on_fail = rows[i].on_fail;
        struct rollout_decision d = tick(&f, &s, &other);
        const char *text = sentence(&f, &d, NULL, false);
        assert_memory_equal(text, rows[i].begins, strlen(rows[i].begins));
    }
    f.criteria[2].on_fail = ON_FAIL_PAUSE;
    failing.criteria[2].verdict = VERDICT_FAIL;
    struct rollout_decision d = tick(&f, &s, &failing);
    const char *text = sentence(&f, &d, NULL, false);
    assert_non_null(strstr(text, "would be rolled back, but the mode is observe: error_rate max"));
    assert_non_null(strstr(text, "; would be paused, but the mode is observe: latency p99 max"));
}

/* Read at 3 a.m.: what was seen, what happens next, and when. */
static void test_retreats(void **state)
{
    struct fixture f;
    struct analysis_report tripped = report_tripped(), again = report_tripped_again();
    struct analysis_report cleared = report_cleared(), down = report_tripped_down(),
                           wide = report_wide();
    struct command c = {.kind = COMMAND_PROMOTE, .force = true};

    (void)state;
    fixture_confirms(&f);
    struct rollout_state s = state_at(&f, 2, false);
    struct rollout_decision d = tick(&f, &s, &tripped);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "sent back for 30s: error_rate max 1%: 30 of 62 canary requests failed (19.8% of 253 in "
        "this step; stable 0.0869% of 2,301), evidence 9.2 of 8.3 needed; then it is asked again, "
        "visit 2 of 3 (rolled back when it fails on each)");
    d = tick(&f, &s, &down);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "sent back for 30s: hard_down: the last 31 canary requests failed in a "
                        "row, over 11s (limit 20 over 3s); then it is asked again, visit 2 of 3 "
                        "(rolled back when it fails on each)");
    s = state_retreated(&f, 1, false);
    s.retreat.left_ns = 0;
    d = tick(&f, &s, &tripped);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "asked again, visit 2 of 3: 2.1.0 gets 10% of the traffic");
    s = state_retreated(&f, 1, true);
    d = tick(&f, &s, &cleared);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "cleared: 0 of 243 requests failed when asked again after 30s; goes on at 25%");
    d = order(&f, &s, &cleared, c);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "taken out of its retreat by command: 2.1.0 gets 25% of the traffic again, "
                        "on fresh evidence");
    d = tick(&f, &s, &again);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "sent back for 2m, it failed again: error_rate max 1%: 20 of 21 canary requests failed "
        "when asked; then it is asked for the last time");
    s = state_retreated(&f, 2, true);
    s.retreat.since_ns = 161 * NS_PER_SEC;
    s.retreat.seen[1] = (struct retreat_seen){20, 20};
    d = tick(&f, &s, &again);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "rolled back: failed on 3 visits in 2m41s: error_rate max 1%: 30 of 62, 20 "
                        "of 20 and 20 of 21 canary requests failed; stable 0.0869% of 2,301");
    down.probe.active = false;
    s.retreat.probe.criterion = CRITERIA_MAX;
    d = tick(&f, &s, &down);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "rolled back: failed on 3 visits in 2m41s: hard_down: 30 of 62, 20 of 20 "
                        "and 31 of 31 canary requests failed");
    d = tick(&f, &s, &wide);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "rolled back: steadily, in at least four stretches of 30s: error_rate max "
                        "1%: 2.09% of 4,590 canary requests "
                        "failed (96 errors; stable 0.1% of 9,000), evidence 9.3 of 9.0 needed");
    s = state_in(&f, PHASE_PAUSED);
    d = tick(&f, &s, &down);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "sent back in a pause: hard_down: the last 31 canary requests failed in a "
                        "row, over 11s (limit 20 over 3s); 30s after `sluice resume chat` it is "
                        "asked again, visit 2 of 3 (rolled back when it fails on each)");
    s = state_at(&f, 2, false);
    s.retreats_in_step = 5;
    tripped.placebo.sent_back = 1;
    d = tick(&f, &s, &tripped);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "paused at 0%: unsteady: the canary was sent back 6 times in this step, stable would have "
        "been 1 time; `sluice resume chat` asks it again, `sluice rollback chat` ends it; last: "
        "error_rate max 1%: 30 of 62 canary requests failed (19.8% of 253 in this step; stable "
        "0.0869% of 2,301), evidence 9.2 of 8.3 needed");
}

static void test_bake_and_lesser_failures(void **state)
{
    struct fixture f;
    struct analysis_report good = report_good(), pausing = report_pausing(),
                           telling = report_telling(), empty = report_empty();
    struct command c = {.kind = COMMAND_ROLLBACK, .who = "ada"};

    (void)state;
    fixture_confirms(&f);
    f.policy.bake.for_ns = 24 * NS_PER_HOUR;
    f.policy.bake.control_bp = 500;
    struct rollout_state s = state_at(&f, 4, true);
    s.weight_bp = 9500;
    struct rollout_decision d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "baking for 1d: 2.1.0 gets 95% of the traffic, 5% stays on 2.0.0 to "
                        "compare with; step 4 passed after 10m on 1,000 canary requests");
    s = d.state;
    s.held_ns = 24 * NS_PER_HOUR;
    d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "promoted: 2.1.0 gets 100% of the traffic; the bake passed after 1d on "
                        "1,000 canary requests");
    s = d.state;
    d = order(&f, &s, &good, c);
    assert_string_equal(sentence(&f, &d, &c, false),
                        "rolled back: by command after it was promoted; 2.0.0 serves again, by "
                        "ada");
    fixture_confirms(&f);
    s = state_at(&f, 2, false);
    pausing.criteria[2].frozen = true;
    pausing.criteria[2].frozen_p0 = 0.013;
    d = tick(&f, &s, &pausing);
    assert_string_equal(
        sentence(&f, &d, NULL, false),
        "paused at 25%: latency p99 max 500ms: 0.1% of 1,000 canary requests took longer than "
        "500ms (1 of them; allowed 1.3%, frozen when stable's traffic ended; stable 0.1% of "
        "9,000)");
    d = tick(&f, &s, &telling);
    assert_non_null(strstr(sentence(&f, &d, NULL, false),
                           "failed, which this criterion only reports: latency p99 max 500ms: "));
    s.no_data_ns = 5 * NS_PER_MIN - 1;
    d = tick(&f, &s, &empty);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "no data for 5m at step 2 of 4 (25%): no request has reached the canary; "
                        "the step does not pass without");
    f.policy.analysis.mode = MODE_OBSERVE;
    d = tick(&f, &s, &empty);
    assert_non_null(strstr(sentence(&f, &d, NULL, false), "; so nothing is found out"));
    f.policy.analysis.mode = MODE_ENFORCE;
    s = state_retreated(&f, 1, true);
    s.no_data_ns = 5 * NS_PER_MIN - 1;
    d = tick(&f, &s, &empty);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "no data for 5m at step 2 of 4 (10%): the canary is being asked again, and "
                        "no request has come that error_rate max 1% counts; it is not cleared "
                        "without");
    s = state_at(&f, 2, false);
    s.no_data_ns = 5 * NS_PER_MIN - 1;
    good.criteria[1].verdict = VERDICT_NO_DATA;
    f.policy.analysis.on_no_data = NO_DATA_ROLLBACK;
    d = tick(&f, &s, &good);
    assert_string_equal(sentence(&f, &d, NULL, false),
                        "rolled back: no data for 5m at step 2 of 4 (25%): error_rate "
                        "max_increase 0.5% has nothing to go by");
}

/* What the requests of each kind of criterion did, in words. */
static void test_words_of_criteria(void **state)
{
    static const struct {
        struct policy_criterion criterion;
        const char *text;
    } rows[] = {
        {{.name = "c", .metric = METRIC_OUTCOME, .kinds = 1u << OUTCOME_4XX | 1u << OUTCOME_429},
         "c: 25% of 8 canary requests ended in 4xx or 429 (2 of them; stable 0% of 9)"},
        {{.name = "c", .metric = METRIC_CLIENT_ABORT_RATE},
         "c: 25% of 8 canary requests were given up by the client before the first byte (2 of "
         "them; stable 0% of 9)"},
        {{.name = "c", .metric = METRIC_STREAM_TRUNCATION_RATE},
         "c: 25% of 8 canary streams were cut short (2 of them; stable 0% of 9)"},
        {{.name = "c",
          .metric = METRIC_TIME_TO_FIRST_TOKEN,
          .test = TEST_MAX_RATIO,
          .limit = 1.3,
          .ratio = 1,
          .quantile = 0.9},
         "c: 25% of 8 canary streams had their first token later than 1.3 times stable's p90 (2 "
         "of them; of stable's 9 0% over its own p90)"},
        {{.name = "c", .metric = METRIC_DRIFT, .test = TEST_SHIFT, .limit = 0.2},
         "c: PSI 0.31 (limit 0.2) between 1,200 values of the canary and 10,310 of stable"},
        {{.name = "c",
          .metric = METRIC_ERROR_RATE,
          .method = METHOD_WINDOW,
          .window_ns = 60 * NS_PER_SEC},
         "c: 25% of 8 canary requests failed (2 errors; stable 0% of 9), over the limit in the "
         "last 3 windows of 1m"},
    };
    const struct criterion_report report = {
        .requests = {9, 8},
        .bad = {0, 2},
        .shift = {.psi = 0.32, .psi_debiased = 0.31, .values = {10310, 1200}},
        .window = {.values = 7, .fails_in_a_row = 3}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct strbuf b;
        strbuf_init(&b, 512);
        observed_text(&b, &rows[i].criterion, &report, NULL);
        assert_string_equal(strbuf_cstr(&b), rows[i].text);
        strbuf_deinit(&b);
    }
}

/* A name, a reason: whatever people write, it stays one bounded line of valid JSON. */
static void test_json(void **state)
{
    struct fixture f;
    struct analysis_report failing = report_failing();
    struct command c = {.kind = COMMAND_ROLLBACK, .who = "ada"};

    (void)state;
    fixture_init(&f);
    memset(c.reason, '"', sizeof(c.reason) - 1);
    failing.criteria[1].log_e = NAN;
    failing.criteria[1].value[VARIANT_CANARY] = INFINITY;
    struct rollout_state s = state_at(&f, 2, false);
    struct rollout_decision d = order(&f, &s, &failing, c);
    const struct decision_facts facts = {.policy = &f.policy,
                                         .decision = &d,
                                         .command = &c,
                                         .number = 17,
                                         .now_ns = T0,
                                         .wall_ns = INT64_C(1795546152345000000)};
    struct decision_record *r = decision_record_new(&facts);
    assert_string_equal(r->id, "chat-17");
    char *text = json_dumps(r->json, 0);
    assert_non_null(text);
    assert_null(strstr(text, "nan"));
    assert_null(strstr(text, "inf"));
    json_t *back = json_loads(text, 0, NULL);
    assert_non_null(back);
    assert_string_equal(json_string_value(json_object_get(back, "time")),
                        "2026-11-24T18:49:12.345Z");
    assert_string_equal(json_string_value(json_object_get(back, "type")), "rollout.rolled_back");
    assert_string_equal(json_string_value(json_object_get(back, "cause")), "command");
    assert_string_equal(json_string_value(json_object_get(back, "who")), "ada");
    assert_string_equal(json_string_value(json_object_get(back, "phase")), "rolled_back");
    assert_int_equal(json_integer_value(json_object_get(back, "weight")), 0);
    json_t *from = json_object_get(back, "from");
    assert_int_equal(json_integer_value(json_object_get(from, "weight")), 25);
    assert_int_equal(json_array_size(json_object_get(back, "criteria")), 3);
    assert_true(json_is_null(json_object_get(back, "seconds_since_first_failure")));
    json_decref(back);
    free(text);
    decision_record_free(r);
}

static void test_numbers(void **state)
{
    char text[COUNT_TEXT_MAX];

    (void)state;
    assert_string_equal(count_text(0, text), "0");
    assert_string_equal(count_text(999, text), "999");
    assert_string_equal(count_text(1000, text), "1,000");
    assert_string_equal(count_text(UINT64_MAX, text), "18,446,744,073,709,551,615");
    assert_string_equal(share_text(0, text), "0%");
    assert_string_equal(share_text(1, text), "100%");
    assert_string_equal(share_text(0.19763, text), "19.8%");
    assert_string_equal(share_text(0.000001, text), "0.000100%");
    assert_string_equal(share_text(NAN, text), "?%");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rolled_back_on_errors),
        cmocka_unit_test(test_rolled_back_on_latency),
        cmocka_unit_test(test_other_sentences),
        cmocka_unit_test(test_observe_says_what_each_would_do),
        cmocka_unit_test(test_retreats),
        cmocka_unit_test(test_bake_and_lesser_failures),
        cmocka_unit_test(test_words_of_criteria),
        cmocka_unit_test(test_json),
        cmocka_unit_test(test_numbers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
