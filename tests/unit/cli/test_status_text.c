/* The status page as golden text: what an operator reads in the middle of a rollout, after a
 * rollback, and when a server leaves things out. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

#include "base/check.h"
#include "cli/status_text.h"

static const char progressing[] =
    "{\"rollout\":\"chat\",\"phase\":\"progressing\",\"step\":2,\"steps\":3,\"weight\":25,"
    "\"stable\":\"2.0.0\",\"canary\":\"2.1.0\",\"serving\":\"2.0.0\",\"mode\":\"enforce\","
    "\"frozen\":false,\"problems\":[\"no request has reached the canary\"],"
    "\"held_seconds\":192.4,\"hold_seconds\":600,"
    "\"hard_down\":{\"failures\":12,\"limit\":20,\"seconds\":2.2},"
    "\"next\":{\"action\":\"step\",\"weight\":100,\"text\":\"812 more requests and 6m48s\"},"
    "\"criteria\":["
    "{\"name\":\"error_rate max 1%\",\"test\":\"max\",\"value\":0.002,\"lower\":0.001,"
    "\"upper\":0.006,\"limit\":0.01,\"verdict\":\"undecided\",\"requests\":4120,"
    "\"evidence\":0,\"threshold\":7.6009,\"no_harm\":1.5,\"no_harm_threshold\":2.99,"
    "\"requests_more\":812,\"stable\":{\"value\":0.002,\"lower\":0.0015,\"upper\":0.0025}},"
    "{\"name\":\"error_rate max_increase 0.5%\",\"test\":\"max_increase\",\"value\":0.002,"
    "\"limit\":0.005,\"verdict\":\"pass\",\"requests\":4120,\"evidence\":1.26,"
    "\"threshold\":7.6009,\"no_harm\":null,\"stable\":{\"value\":0.002}},"
    "{\"name\":\"latency p99 max 500ms\",\"test\":\"max\",\"value\":0.03,\"limit\":0.01,"
    "\"limit_ms\":500,\"observed_ms\":1234.5,\"verdict\":\"fail\",\"requests\":4120,"
    "\"evidence\":8.1,\"threshold\":7.6009,\"no_harm\":3.5,\"no_harm_threshold\":2.99,"
    "\"requests_more\":0,\"stable\":{\"value\":0.001,\"observed_ms\":98.2}}],"
    "\"traffic\":{\"stable\":{\"version\":\"2.0.0\",\"requests\":36900,"
    "\"requests_per_second\":310.24,\"errors\":0,"
    "\"latency_ms\":{\"p50\":1.25,\"p90\":40.3,\"p99\":98.2}},"
    "\"canary\":{\"version\":\"2.1.0\",\"requests\":4120,\"requests_per_second\":null,"
    "\"errors\":9,\"outcomes\":{\"ok\":4100,\"4xx\":11,\"connect\":3,\"5xx\":6},"
    "\"latency_ms\":{\"p50\":null,\"p90\":41,\"p99\":61000},"
    "\"first_token_ms\":{\"p50\":120.4,\"p95\":1500},\"retries\":3,\"shielded\":1200,"
    "\"voided\":0}},"
    "\"plan\":[{\"weight\":10},{\"weight\":25},{\"weight\":100}],"
    "\"decision\":{\"id\":\"chat-17\",\"time\":\"2026-11-20T18:49:12.345Z\","
    "\"type\":\"step.advanced\",\"reason\":\"10% to 25%\"}}";

static const char progressing_text[] =
    "chat  progressing  step 2 of 3  25% to the canary\n"
    "  stable 2.0.0, canary 2.1.0, serving 2.0.0\n"
    "  plan  ✓ 10% ─ ▸ 25% ███░░░░░░░ 3m12s of 10m ─ 100%\n"
    "  next  to 100%: 812 more requests and 6m48s\n"
    "  down  12 failures in a row over 2s; from 20 on it may be taken back at once\n"
    "\n"
    "  criterion                     verdict    canary               stable                 limit  "
    "requests    evidence   no harm\n"
    "  error_rate max 1%             undecided  0.2% (0.1% to 0.6%)  0.2% (0.15% to 0.25%)     1%  "
    "   4,120  0.0 of 7.6  812 more\n"
    "  error_rate max_increase 0.5%  pass       0.2%                 0.2%                   +0.5%  "
    "   4,120  1.3 of 7.6         -\n"
    "  latency p99 max 500ms         fail       1.23s, 3% over       98ms, 0.1% over        500ms  "
    "   4,120  8.1 of 7.6     shown\n"
    "\n"
    "  traffic  version  requests  req/s      errors    p50   p90   p99\n"
    "  stable   2.0.0      36,900  310.2           0  1.2ms  40ms  98ms\n"
    "  canary   2.1.0       4,120      -  9 (0.218%)      -  41ms  1m1s\n"
    "  canary: 11 4xx, 6 5xx, 3 connect; 3 retries, 1,200 shielded by stable; first token p50 "
    "120ms, p95 1.5s\n"
    "\n"
    "  problem  no request has reached the canary\n"
    "\n"
    "  last  2026-11-20T18:49:12Z chat-17 step.advanced: 10% to 25%\n";

static const char rolled_back[] =
    "{\"rollout\":\"chat\",\"phase\":\"rolled_back\",\"step\":1,\"steps\":2,\"weight\":0,"
    "\"stable\":\"1\",\"canary\":\"2\",\"mode\":\"observe\",\"frozen\":true,"
    "\"plan\":[{\"weight\":0.1},{\"weight\":100}],\"next\":{\"action\":\"none\",\"text\":\"`sluice "
    "retry chat`\"},\"hard_down\":{\"failures\":29,\"limit\":20,\"seconds\":3},"
    "\"criteria\":[{\"name\":\"error_rate max 1%\",\"verdict\":\"fail\",\"limit\":0.01,"
    "\"requests\":29,\"no_harm\":0,\"no_harm_threshold\":4.6,\"requests_more\":4958}],"
    "\"decision\":{\"id\":\"chat-2\",\"time\":\"2026-11-20T18:49:12Z\","
    "\"type\":\"rollout.rolled_back\",\"reason\":\"by command\\u001b[2J\"}}";

static const char rolled_back_text[] =
    "chat  rolled_back  step 1 of 2  0% to the canary  observe only: nothing is moved"
    "  frozen: no step up\n"
    "  stable 1, canary 2\n"
    "  plan  ✗ 0.1% ─ 100%\n"
    "  next  `sluice retry chat`\n"
    "  down  29 failures in a row over 3s\n"
    "\n"
    "  criterion          verdict  canary  stable  limit  requests  evidence    no harm\n"
    "  error_rate max 1%  fail     -       -          1%        29         -  not shown\n"
    "\n"
    "  last  2026-11-20T18:49:12Z chat-2 rollout.rolled_back: by command?[2J\n";

static char *render(const char *text, bool colours, bool list)
{
    json_t *doc = json_loads(text, 0, NULL);
    struct strbuf out;

    assert_non_null(doc);
    strbuf_init(&out, 65536);
    if (list)
        status_render_list(doc, colours, &out);
    else
        status_render(doc, colours, &out);
    json_decref(doc);
    return strbuf_steal(&out);
}

static void in_the_middle(void **state)
{
    char *got = render(progressing, false, false);

    (void)state;
    assert_string_equal(got, progressing_text);
    free(got);
}

static void after_a_rollback(void **state)
{
    char *got = render(rolled_back, false, false);

    (void)state;
    assert_string_equal(got, rolled_back_text);
    free(got);
}

static void promoted_has_every_step_behind_it(void **state)
{
    char *got = render("{\"rollout\":\"c\",\"phase\":\"promoted\",\"step\":2,\"steps\":2,"
                       "\"weight\":100,\"stable\":\"1\",\"canary\":\"2\","
                       "\"plan\":[{\"weight\":10},{\"weight\":100}]}",
                       false, false);

    (void)state;
    assert_non_null(strstr(got, "plan  ✓ 10% ─ ✓ 100%\n"));
    free(got);
}

static void a_canary_that_was_sent_back_says_what_was_seen_and_when_it_is_asked(void **state)
{
    static const struct {
        const char *retreat, *line;
    } rows[] = {
        {"{\"visit\":1,\"visits\":3,\"probing\":false,\"asked_in_seconds\":24,\"weight_before\":25,"
         "\"seen\":[{\"requests\":47,\"bad\":9}]}",
         "  sent back  found bad on 1 of 3 visits (9 of 47 bad); is asked again in 24s, and was at "
         "25%\n"},
        {"{\"visit\":1,\"visits\":3,\"probing\":false,\"asked_in_seconds\":null,\"weight_before\":"
         "25,\"seen\":[]}",
         "  sent back  found bad on 1 of 3 visits; is asked again after `resume`, and was at "
         "25%\n"},
        {"{\"visit\":2,\"visits\":3,\"probing\":true,\"asked_in_seconds\":null,\"weight_before\":"
         "10,"
         "\"seen\":[{\"requests\":47,\"bad\":9},{\"requests\":12,\"bad\":12}]}",
         "  sent back  found bad on 2 of 3 visits (9 of 47 bad, 12 of 12 bad); is asked again now, "
         "and was at 10%\n"},
    };
    char document[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(document, sizeof(document),
                 "{\"rollout\":\"c\",\"phase\":\"progressing\",\"canary\":\"2\",\"retreat\":%s}",
                 rows[i].retreat);
        char *got = render(document, false, false);
        assert_non_null(strstr(got, rows[i].line));
        free(got);
    }
}

static void each_kind_of_limit_reads_as_what_it_is(void **state)
{
    static const struct {
        const char *criterion, *value, *limit;
    } rows[] = {
        {"\"test\":\"max_ratio\",\"limit\":1.3,\"limit_ms\":1200,\"value\":0.02", "2%",
         "x1.3: 1.2s"},
        {"\"test\":\"max_ratio\",\"limit\":1.5,\"value\":0.02", "2%", "x1.5"},
        {"\"test\":\"max_increase\",\"limit\":0.005,\"value\":0.02,\"frozen\":true,"
         "\"allowed\":0.006",
         "2%", "  0.6% frozen"},
        {"\"test\":\"max_ratio\",\"limit\":1.3,\"limit_ms\":1200,\"value\":0.02,"
         "\"frozen\":true,\"allowed\":0.15",
         "2%", "15% over 1.2s frozen"},
        {"\"test\":\"max_ratio\",\"limit\":1.3,\"limit_ms\":1200,\"value\":0.02,"
         "\"observed_ms\":900,\"stable\":{\"value\":0.1,\"observed_ms\":850}",
         "900ms, 2% over ", "850ms, 10% over x1 "},
        {"\"test\":\"shift\",\"limit\":0.2,\"shift\":{\"test\":\"psi\",\"psi\":0.36,\"psi_without_"
         "noise\":0.34}",
         "psi 0.34", "psi 0.2"},
        {"\"test\":\"shift\",\"limit\":0.2,\"shift\":{\"test\":\"psi\",\"psi\":0.36,\"psi_without_"
         "noise\":0.34,"
         "\"stable_values\":10310},\"stable\":{\"value\":0,\"lower\":0,\"upper\":0.01}",
         "psi 0.34  10,310 values  ", "psi 0.2"},
        {"\"test\":\"shift\",\"limit\":0.1,\"shift\":{\"test\":\"ks\",\"ks\":null,\"values\":0,"
         "\"looked_at\":812}",
         "0 values of 812 answers", "ks 0.1"},
    };
    char document[512];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(document, sizeof(document),
                 "{\"canary\":\"2\",\"criteria\":[{\"name\":\"n\",\"verdict\":\"undecided\",%s}]}",
                 rows[i].criterion);
        char *got = render(document, false, false);
        assert_non_null(strstr(got, rows[i].value));
        assert_non_null(strstr(got, rows[i].limit));
        free(got);
    }
}

/* An older or newer server, or none of ours: text all the same, no crash. */
static void missing_and_odd_members(void **state)
{
    static const char *const documents[] = {
        "{}",
        "[]",
        "{\"rollout\":null,\"phase\":7,\"criteria\":{},\"plan\":1,\"traffic\":[],\"decision\":"
        "\"x\"}",
        "{\"canary\":\"2\",\"step\":-1,\"plan\":[null,{}],\"criteria\":[null,{\"value\":2},3]}",
        "{\"canary\":\"2\",\"step\":1,\"plan\":[{}],\"held_seconds\":1e300,\"hold_seconds\":1,"
        "\"criteria\":[{\"value\":1e300,\"limit_ms\":1e300,\"requests\":-4}]}",
        "{\"canary\":\"2\",\"traffic\":{\"stable\":{\"requests\":1,\"errors\":5}}}",
        "{\"problems\":[1,null,{\"title\":\"x\"}]}",
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(documents); i++) {
        char *got = render(documents[i], true, false);
        assert_true(strlen(got) > 0);
        free(got);
    }
}

static void a_list_is_one_line_each(void **state)
{
    char *got = render("[{\"rollout\":\"chat\",\"phase\":\"progressing\",\"step\":1,\"steps\":3,"
                       "\"weight\":10,\"stable\":\"2.0.0\",\"canary\":\"2.1.0\","
                       "\"next\":{\"text\":\"4m\"}},"
                       "{\"rollout\":\"embed\",\"phase\":\"idle\",\"step\":0,\"steps\":4,"
                       "\"weight\":0,\"stable\":\"7\",\"canary\":null}]",
                       false, true);

    (void)state;
    assert_string_equal(got, "rollout  phase        step  weight  stable  canary  next\n"
                             "chat     progressing   1/3     10%  2.0.0   2.1.0   4m\n"
                             "embed    idle          0/4      0%  7       -\n");
    free(got);
    got = render("[]", false, true);
    assert_string_equal(got, "no rollouts\n");
    free(got);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_the_middle),
        cmocka_unit_test(after_a_rollback),
        cmocka_unit_test(promoted_has_every_step_behind_it),
        cmocka_unit_test(a_canary_that_was_sent_back_says_what_was_seen_and_when_it_is_asked),
        cmocka_unit_test(each_kind_of_limit_reads_as_what_it_is),
        cmocka_unit_test(missing_and_odd_members),
        cmocka_unit_test(a_list_is_one_line_each),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
