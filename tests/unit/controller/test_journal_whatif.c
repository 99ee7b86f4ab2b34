/* Another policy on a past rollout: followed while it gives the canary the same weight, and no
 * longer. */
#include "journal_fixture.h"

#include <errno.h>

#include "controller/journal_whatif.h"

#define HEAD                                                                                       \
    "rollout: tried\n"                                                                             \
    "stable: {version: \"0\", endpoints: [http://127.0.0.1:1]}\n"                                  \
    "canary: {version: \"1\", endpoints: [http://127.0.0.1:2]}\n"
#define STEPS "steps: [{weight: 50, hold: 20s}, {weight: 100, hold: 20s}]\n"

struct heard {
    int both, recorded_only, now_only;
};

static void on_decided(void *ctx, const struct whatif_look *l)
{
    struct heard *h = ctx;

    h->both += l->recorded.event != EVENT_NONE && l->now.event != EVENT_NONE;
    h->recorded_only += l->recorded.event != EVENT_NONE && l->now.event == EVENT_NONE;
    h->now_only += l->recorded.event == EVENT_NONE && l->now.event != EVENT_NONE;
}

static int try_policy(const struct recorded *r, const char *text, struct whatif_result *ret,
                      struct heard *heard, struct error *reterr)
{
    struct policy *policy = recorded_policy(text);
    struct strbuf file;

    memset(heard, 0, sizeof(*heard));
    int rc = whatif_run(recorded_file(r, &file), policy, on_decided, heard, ret, reterr);
    strbuf_deinit(&file);
    policy_free(policy);
    return rc;
}

/* A canary that fails a tenth of its requests from the fifth second on. */
static void record_failure(struct recorded *r)
{
    recorded_init(r);
    recorded_pass(r, 5 * NS_PER_SEC, 100 * NS_PER_MS);
    r->errors[VARIANT_CANARY] = 0.1;
    for (int i = 0; i < 900 && r->engine.state.phase != PHASE_ROLLED_BACK; i++)
        recorded_pass(r, NS_PER_SEC, 100 * NS_PER_MS);
    assert_int_equal(r->engine.state.phase, PHASE_ROLLED_BACK);
}

static void test_the_same_policy_does_the_same(void **state)
{
    struct recorded r;
    struct whatif_result result;
    struct heard heard;
    struct error error = {0};

    (void)state;
    record_failure(&r);
    assert_int_equal(try_policy(&r, JOURNAL_POLICY, &result, &heard, &error), 0);
    assert_int_equal(result.end, WHATIF_SAME);
    assert_int_equal(result.looks, r.looks);
    assert_int_equal(heard.both, r.decisions);
    assert_int_equal(heard.recorded_only + heard.now_only, 0);
    assert_int_equal(result.criteria_without, 0);
    assert_true(result.errors > 0 && result.requests > result.errors);
    recorded_deinit(&r);
}

static void test_a_laxer_policy_parts_where_the_canary_was_sent_back(void **state)
{
    struct recorded r;
    struct whatif_result result;
    struct heard heard;
    struct error error = {0};

    (void)state;
    record_failure(&r);
    assert_int_equal(try_policy(&r,
                                HEAD STEPS "analysis:\n  criteria:\n"
                                           "    - {metric: error_rate, max: 30%}\n",
                                &result, &heard, &error),
                     0);
    assert_int_equal(result.end, WHATIF_DIFFERENT);
    assert_true(result.last.since_ns > 5 * NS_PER_SEC);
    assert_true(result.last.recorded.event == EVENT_RETREATED ||
                result.last.recorded.event == EVENT_ROLLED_BACK);
    assert_int_equal(result.last.recorded.weight_bp, 0);
    assert_int_equal(result.last.now.event, EVENT_NONE);
    assert_int_equal(result.last.now.weight_bp, 5000);
    assert_memory_equal(result.last.recorded.criterion, "error_rate max", 14);
    assert_true(heard.both >= 1);
    recorded_deinit(&r);
}

static void test_a_swifter_policy_parts_earlier(void **state)
{
    struct recorded r;
    struct whatif_result result;
    struct heard heard;
    struct error error = {0};

    (void)state;
    record_failure(&r);
    assert_int_equal(try_policy(&r,
                                HEAD STEPS
                                "analysis:\n  burst_guard: {slot: 1s, min_bad_slots: 0}\n"
                                "  criteria: [{metric: error_rate, max: 0.1%}]\n",
                                &result, &heard, &error),
                     0);
    assert_int_equal(result.end, WHATIF_DIFFERENT);
    assert_int_equal(result.last.recorded.event, EVENT_NONE);
    assert_int_equal(result.last.now.weight_bp, 0);
    assert_string_equal(result.last.now.criterion, "error_rate max 0.1%");
    assert_true(result.next_known);
    assert_int_equal(result.next.recorded.weight_bp, 0);
    assert_true(result.next.since_ns > result.last.since_ns);
    recorded_deinit(&r);
}

static void test_criteria_without_counts_are_named(void **state)
{
    struct recorded r;
    struct whatif_result result;
    struct heard heard;
    struct error error = {0};

    (void)state;
    record_failure(&r);
    assert_int_equal(try_policy(&r,
                                HEAD STEPS
                                "analysis:\n  criteria:\n"
                                "    - {metric: error_rate, max: 1%}\n"
                                "    - {metric: latency, quantile: 99%, max: 500ms}\n"
                                "    - {metric: error_rate, max: 2%, where: {paths: [/a]}}\n",
                                &result, &heard, &error),
                     0);
    assert_int_equal(result.criteria_without, 6);
    recorded_deinit(&r);
}

static void test_what_cannot_be_tried_is_said(void **state)
{
    struct recorded r;
    struct whatif_result result;
    struct heard heard;
    struct error error = {0};

    (void)state;
    record_failure(&r);
    assert_int_equal(
        try_policy(&r, HEAD STEPS "analysis: {burst_guard: {slot: 100ms, min_bad_slots: 2}}\n",
                   &result, &heard, &error),
        -EINVAL);
    assert_non_null(strstr(error.message, "burst_guard.slot"));
    struct policy *policy = recorded_policy(JOURNAL_POLICY);
    assert_int_equal(whatif_run(STR("none"), policy, NULL, NULL, &result, &error), -EINVAL);
    policy_free(policy);
    recorded_deinit(&r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_policy_does_the_same),
        cmocka_unit_test(test_a_laxer_policy_parts_where_the_canary_was_sent_back),
        cmocka_unit_test(test_a_swifter_policy_parts_earlier),
        cmocka_unit_test(test_criteria_without_counts_are_named),
        cmocka_unit_test(test_what_cannot_be_tried_is_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
