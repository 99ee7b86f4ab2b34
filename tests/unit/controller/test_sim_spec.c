/* Worlds in words: what can be said, and that what cannot is said back with a hint. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <string.h>

#include "base/clock.h"
#include "controller/sim_spec.h"

static void what_is_said_can_be_read_back(void **state)
{
    (void)state;
    static const struct {
        const char *words, *text;
    } rows[] = {
        {"", "errors=0.1%,latency=lognormal:1s:0.5,failures=50ms"},
        {"errors=5%", "errors=5%,latency=lognormal:1s:0.5,failures=50ms"},
        {"errors=0%,4xx=10%,429=1%",
         "errors=0%,4xx=10%,429=1%,latency=lognormal:1s:0.5,failures=50ms"},
        {"latency=lognormal:2s:0.6,shift=1.5x",
         "errors=0.1%,latency=lognormal:2s:0.6,shift=1.5x,failures=50ms"},
        {"latency=300ms,failures=as-slow", "errors=0.1%,latency=300ms,failures=as-slow"},
        {"latency=exponential:2s, failures=timeout:60s",
         "errors=0.1%,latency=exponential:2s,failures=timeout:1m"},
        {"hang", "errors=0%,timeout=100%,latency=lognormal:1s:0.5,failures=50ms"},
        {"streaming=50%,ttft=lognormal:200ms:0.4,gap=50ms,per-token=20ms",
         "errors=0.1%,latency=lognormal:1s:0.5,failures=50ms,streaming=50%,"
         "ttft=lognormal:200ms:0.4,gap=50ms,per-token=20ms"},
        {"bursts=3s/300s:50%,onset=120s",
         "errors=0.1%,latency=lognormal:1s:0.5,failures=50ms,bursts=3s/5m:50%,onset=2m"},
        {"onset=50%,outage=10m+2m:40%",
         "errors=0.1%,latency=lognormal:1s:0.5,failures=50ms,outage=10m+2m:40%,onset=50%"},
        {"bursts=none", "errors=0.1%,latency=lognormal:1s:0.5,failures=50ms"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_spec spec, again;
        struct error error = {.code = 0};
        struct strbuf text;
        sim_spec_init(&spec);
        sim_spec_init(&again);
        strbuf_init(&text, 1000);
        struct sim_variant *canary = &spec.variants[VARIANT_CANARY];
        assert_int_equal(sim_variant_parse(canary, str_from(rows[i].words), &error), 0);
        assert_int_equal(sim_spec_check(&spec, &error), 0);
        sim_variant_text(canary, &text);
        assert_string_equal(strbuf_cstr(&text), rows[i].text);
        /* The text describes the same variant. */
        canary = &again.variants[VARIANT_CANARY];
        assert_int_equal(sim_variant_parse(canary, strbuf_str(&text), &error), 0);
        assert_memory_equal(canary, &spec.variants[VARIANT_CANARY], sizeof(*canary));
        strbuf_deinit(&text);
    }
}

static void what_cannot_be_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *words, *message, *hint;
    } rows[] = {
        {"erors=5%", "unknown key \"erors\"", "did you mean errors?"},
        {"errors=150%", "errors takes a share", ""},
        {"errors", "errors takes a share", ""},
        {"latency=fast", "latency takes a duration, lognormal:", ""},
        {"latency=lognormal:1s", "latency takes a duration, lognormal:", ""},
        {"latency=uniform:3s:1s", "latency takes", ""},
        {"latency=0s", "latency takes", ""},
        {"shift=0", "shift takes a factor", ""},
        {"shift=-1x", "shift takes a factor", ""},
        {"failures=later", "failures takes a duration, as-slow", ""},
        {"bursts=3s", "bursts takes LENGTH/EVERY", ""},
        {"bursts=3s/0s", "bursts takes LENGTH/EVERY", ""},
        {"outage=3s", "outage takes AFTER+LENGTH", ""},
        {"onset=soon", "onset takes a duration or a weight", ""},
        {"errors=5%,errors=2%", "errors is there twice", ""},
        {"errors=5%, latency=1s, ,errors=5%", "errors is there twice", ""},
        {"streaming,streaming=50%", "streaming is there twice", ""},
        {"errors=60%,reset=60%", "canary: 120% of all requests end badly", ""},
        {"ttft=200ms", "canary: ttft, gap and per-token are times of streams", "add streaming"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_spec spec;
        struct error error = {.code = 0};
        sim_spec_init(&spec);
        int rc = sim_variant_parse(&spec.variants[VARIANT_CANARY], str_from(rows[i].words), &error);
        if (rc == 0)
            rc = sim_spec_check(&spec, &error);
        assert_int_not_equal(rc, 0);
        assert_non_null(strstr(error.message, rows[i].message));
        assert_non_null(strstr(error.hint, rows[i].hint));
    }
}

static int read_text(const char *text, struct sim_spec *spec, struct diagnostics *d)
{
    sim_spec_init(spec);
    diagnostics_init(d);
    return sim_spec_read(spec, "world.yaml", str_from(text), d);
}

static void a_file_says_the_same(void **state)
{
    (void)state;
    static const char *const texts[] = {
        "rps: 40\n"
        "stable: {errors: 0.2%, latency: lognormal:2s:0.6, streaming: }\n"
        "canary: {4xx: 10%}\n"
        "shared: {outage: 5m+2m:40%, swing: 50%/20m}\n",
        "{\"rps\": 40, \"stable\": {\"errors\": \"0.2%\", \"latency\": \"lognormal:2s:0.6\","
        " \"streaming\": \"100%\"}, \"canary\": {\"4xx\": 0.1},"
        " \"shared\": {\"outage\": \"5m+2m:40%\", \"swing\": \"50%/20m\"}}",
    };

    for (size_t i = 0; i < 2; i++) {
        struct sim_spec spec;
        struct diagnostics d;
        assert_int_equal(read_text(texts[i], &spec, &d), 0);
        assert_true(spec.rps > 39.9 && spec.rps < 40.1);
        for (int v = 0; v < VARIANT_COUNT; v++) {
            assert_true(spec.variants[v].outcomes[OUTCOME_5XX] > 0.0019);
            assert_true(spec.variants[v].streams > 0.99);
            assert_int_equal(spec.variants[v].latency.shape, SIM_LOGNORMAL);
        }
        /* The canary is like stable but for what is said of it. */
        assert_true(spec.variants[VARIANT_STABLE].outcomes[OUTCOME_4XX] < 0.001);
        assert_true(spec.variants[VARIANT_CANARY].outcomes[OUTCOME_4XX] > 0.09);
        assert_int_equal(spec.shared.outage.after_ns, 5 * NS_PER_MIN);
        assert_int_equal(spec.shared.swing_ns, 20 * NS_PER_MIN);
        diagnostics_deinit(&d);
    }
}

static void errors_of_a_file_have_a_place(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
        const char *message;
    } rows[] = {
        {"rps: many\n", 1, "rps takes requests per second"},
        {"stabel: {errors: 1%}\n", 1, "unknown key \"stabel\""},
        {"rps: 4\ncanary:\n  errors: 1%\n  latncy: 1s\n", 4, "unknown key \"latncy\""},
        {"canary: [1]\n", 1, "canary is a mapping"},
        {"canary: {errors: [1%]}\n", 1, "errors is one value"},
        {"shared: {errors: 1%}\n", 1, "unknown key \"errors\""},
        {"- 1\n", 1, "a world is a mapping"},
        {"", 0, "a world is a mapping"},
    };

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_spec spec;
        struct diagnostics d;
        assert_int_not_equal(read_text(rows[i].text, &spec, &d), 0);
        assert_true(d.count > 0);
        assert_int_equal(d.items[0].at.line, rows[i].line);
        assert_non_null(strstr(d.items[0].message, rows[i].message));
        diagnostics_deinit(&d);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_said_can_be_read_back),
        cmocka_unit_test(what_cannot_be_is_refused),
        cmocka_unit_test(a_file_says_the_same),
        cmocka_unit_test(errors_of_a_file_have_a_place),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
