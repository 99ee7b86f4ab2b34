/* `sluice check --rps`: said before a release, so it must agree with what the analysis demands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/sequential.h"
#include "base/clock.h"
#include "cli/traffic.h"

static const struct policy_step steps[] = {
    {.weight_bp = 1000, .hold_ns = 10 * NS_PER_MIN, .min_requests = 500},
    {.weight_bp = 5000, .hold_ns = 10 * NS_PER_MIN},
    {.weight_bp = 10000, .hold_ns = 10 * NS_PER_MIN},
};
static const struct policy_criterion criteria[] = {
    {.test = TEST_MAX, .p0 = 0.01},
    {.test = TEST_MAX_INCREASE, .p0 = 0.00001},
};
static const struct policy policy = {
    .name = "chat",
    .steps = steps,
    .step_count = 3,
    .analysis = {.max_bad_promotion = 0.05,
                 .max_hold_ns = NS_PER_HOUR,
                 .criteria = criteria,
                 .criteria_count = 2},
};

static void what_each_step_asks_for(void **state)
{
    uint64_t needed = traffic_needed(&policy, 1);

    (void)state;
    assert_int_equal(traffic_needed(&policy, 0), 500);
    assert_true(sequential_no_harm(needed, 0, 0.01, 0.05));
    assert_false(sequential_no_harm(needed - 1, 0, 0.01, 0.05));
    assert_int_equal(traffic_needed(&policy, 2), 1);
}

static void assert_says(double rps, bool enough, const char *words)
{
    struct strbuf out;

    strbuf_init(&out, 4096);
    assert_int_equal(traffic_describe(&policy, rps, &out), enough);
    if (strstr(strbuf_cstr(&out), words) == NULL)
        fail_msg("no \"%s\" in:\n%s", words, strbuf_cstr(&out));
    strbuf_deinit(&out);
}

static void whether_it_suffices(void **state)
{
    (void)state;
    assert_says(100, true, "chat: 100 requests/s suffice");
    assert_says(5, true, "the step of 10% needs 500 canary requests: 16m41s at 5/s, longer than");
    assert_says(0.1, false, "more than its max_hold of 1h");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_each_step_asks_for),
        cmocka_unit_test(whether_it_suffices),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
