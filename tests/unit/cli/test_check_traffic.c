/* `sluice check --rps`: said before a release, so it must agree with what the analysis demands. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "analysis/sequential.h"
#include "base/clock.h"
#include "cli/check_traffic.h"

#define HEAD                                                                                       \
    "rollout: chat\n"                                                                              \
    "stable: {version: \"1\", endpoints: [http://a]}\n"                                            \
    "canary: {version: \"2\", endpoints: [http://b]}\n"
#define STEPS                                                                                      \
    "steps: [{weight: 10, min_requests: 500}, {weight: 50}, {weight: 100}]\n"                      \
    "analysis: {max_hold: 1h, criteria: [{metric: error_rate, max: 1%}]}\n"

static struct policy *policy_of(const char *text)
{
    struct policy *p = NULL;
    struct diagnostics d;

    diagnostics_init(&d);
    assert_int_equal(policy_parse(STR("t.yaml"), str_from(text), &p, &d), 0);
    diagnostics_deinit(&d);
    return p;
}

static void test_what_each_step_asks_for(void **state)
{
    const struct traffic t = {.rps = 10, .stable_errors = -1};
    struct policy *p = policy_of(HEAD STEPS);
    struct traffic_step s;

    (void)state;
    traffic_step(p, &t, 0, &s);
    assert_true(s.canary_rps > 0.999 && s.canary_rps < 1.001);
    assert_int_equal(s.min_requests, 500);
    assert_false(s.evidence);
    assert_int_equal(s.evidence_p95, 0);
    assert_int_equal(s.passes_ns, 10 * NS_PER_MIN);
    traffic_step(p, &t, 1, &s);
    assert_true(s.evidence);
    assert_true(sequential_no_harm(s.evidence_least, 0, 0.01, 0.05));
    assert_false(sequential_no_harm(s.evidence_least - 1, 0, 0.01, 0.05));
    assert_int_equal(s.evidence_p95, 902);
    assert_string_equal(s.evidence_criterion, "error_rate max 1%");
    traffic_step(p, &t, 2, &s);
    assert_false(s.evidence);
    policy_free(p);
}

/* The whole of what is said about a policy; the caller frees. */
static char *warnings(const char *text, double rps, double stable_errors)
{
    const struct traffic t = {rps, stable_errors};
    struct policy *p = policy_of(text);
    struct diagnostics d;
    struct strbuf out;

    diagnostics_init(&d);
    strbuf_init(&out, 65536);
    traffic_check(p, &t, &d);
    for (size_t i = 0; i < d.count; i++)
        diagnostics_print(&d.items[i], (struct str){NULL, 0}, &out);
    assert_int_equal(d.warnings, d.count);
    diagnostics_deinit(&d);
    policy_free(p);
    return strbuf_steal(&out);
}

static void test_each_warning(void **state)
{
    static const struct {
        const char *text;
        double rps, stable_errors;
        const char *words; /* "": nothing is said */
    } rows[] = {
        {HEAD STEPS, 100, -1, ""},
        {HEAD STEPS, 100, 0.005, ""},
        {HEAD STEPS, 1, -1, "t.yaml:4:9: warning: the step of 10% never reaches its min_requests"},
        {HEAD STEPS, 1, -1, "lower min_requests below 360"},
        {HEAD STEPS, 2, 0.005,
         "the step of 50% takes 1h45m2s at 1 canary requests/s, longer than max_hold (1h)"},
        {HEAD STEPS, 2, 0.005, "raise analysis.max_hold above 1h45m2s, or the weight to 88%"},
        {HEAD STEPS, 100, 0.0099, "the step of 50% never ends"},
        {HEAD STEPS, 100, 0.02,
         "\"error_rate max 1%\": stable itself fails 2%, so a canary as good as stable is never "
         "promoted"},
        {HEAD STEPS, 0, 0.02, "stable itself fails 2%"},
        {HEAD "analysis: {on_stable_degraded: judge}\n", 0, 0.02, "is taken back"},
        {HEAD "analysis: {criteria: [{metric: latency, quantile: 99%, max_ratio: 1.3}]}\n", 100, -1,
         ""},
        {HEAD "analysis: {criteria: [{metric: latency, quantile: 99%, max_ratio: 1.3}]}\n", 0.3, -1,
         "\"latency p99 max_ratio 1.3\" can never be judged: it needs 200 of stable's requests in "
         "10 minutes, which sees 162"},
        {HEAD "analysis: {criteria: [{metric: error_rate, max: 1%, method: window, min_requests: "
              "50}]}\n",
         0.5, -1, "no window has its min_requests of 50, but at most 30"},
        {HEAD "steps: [{weight: 100}]\n"
              "analysis: {criteria: [{metric: outcome, is: [4xx], max_increase: 1%}]}\n",
         10, -1, "the first step is 100%, so the canary is held to what stable did before"},
        {HEAD "steps: [{weight: 100}]\n"
              "analysis: {criteria: [{metric: latency, quantile: 99%, max_ratio: 1.3}]}\n",
         10, -1, "or write start: manual and watch stable first"},
        {HEAD "start: manual\nsteps: [{weight: 100}]\nbake: {control: 5%}\n"
              "analysis: {criteria: [{metric: outcome, is: [4xx], max_increase: 1%}]}\n",
         10, -1, ""},
        {HEAD "steps: [{weight: 10, hold: 2m}, {weight: 100, hold: 5m}]\n"
              "analysis: {criteria: [{metric: error_rate, max: 1%, method: window, window: 1m, "
              "consecutive: 5, min_requests: 1}]}\n",
         10, -1,
         "the step of 10% may end before \"error_rate max 1% in 5 windows of 1m\" can fail: its "
         "hold is 2m, and that takes 5m"},
        {HEAD "steps: [{weight: 10, hold: 5m}, {weight: 100, hold: 5m}]\n"
              "analysis: {criteria: [{metric: error_rate, max: 1%, method: window, window: 1m, "
              "consecutive: 5, min_requests: 1}]}\n",
         10, -1, ""},
        {HEAD "analysis: {criteria: [{metric: drift, field: /a, max: 0.2}]}\n", 0.1, -1,
         "is not judged before 100%: it needs 300 values of the canary, and the holds see 51"},
        {"rollout: chat\nstable: {version: \"1\", endpoints: [http://a]}\n", 0.001, 0.9, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char *got = warnings(rows[i].text, rows[i].rps, rows[i].stable_errors);
        if (rows[i].words[0] == '\0' ? got[0] != '\0' : strstr(got, rows[i].words) == NULL)
            fail_msg("row %zu: no \"%s\" in:\n%s", i, rows[i].words, got);
        free(got);
    }
}

static void test_what_is_described(void **state)
{
    static const char *const lines[] = {
        "chat at 10 requests/s, for a canary at a tenth of each limit:\n",
        "    10%: 10m, its hold (min_requests 10)\n",
        "    50%: 10m, its hold (\"error_rate max 1%\": 376 requests if none is bad, 902 for 95 of "
        "100 canaries)\n",
        "    latency max_ratio 1.3 finds a canary 2x as slow in about 700 requests (11m41s at "
        "10%), "
        "one 1.5x as slow in about 15,000 requests (4h10m1s at 10%)",
        "    time_to_first_token max_ratio 1.2: where times are spread widely",
    };
    const struct traffic t = {.rps = 10, .stable_errors = -1};
    struct policy *p = policy_of(
        HEAD "analysis: {criteria: [{metric: error_rate, max: 1%}, {metric: latency, quantile: "
             "[50%, 90%, 99%], max_ratio: 1.3}, {metric: time_to_first_token, quantile: 99%, "
             "max_ratio: 1.2}]}\n");
    struct strbuf out;

    (void)state;
    strbuf_init(&out, 65536);
    traffic_describe(p, &t, &out);
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
        if (strstr(strbuf_cstr(&out), lines[i]) == NULL)
            fail_msg("no \"%s\" in:\n%s", lines[i], strbuf_cstr(&out));
    strbuf_deinit(&out);
    policy_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_each_step_asks_for),
        cmocka_unit_test(test_each_warning),
        cmocka_unit_test(test_what_is_described),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
