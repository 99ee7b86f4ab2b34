/* What a request says that it wants, at every cut of its body. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "base/check.h"
#include "proxy/asked.h"

static enum outcome_stream ask(const char *body, size_t cut, enum stream_protocol protocol)
{
    struct asked *a = asked_new();
    struct str all = str_from(body);

    if (asked_bytes(a, (struct str){all.ptr, cut}))
        (void)asked_bytes(a, (struct str){all.ptr + cut, all.len - cut});
    enum outcome_stream got = asked_end(a, protocol);
    asked_free(a);
    return got;
}

static void test_bodies(void **state)
{
    static const struct {
        const char *body;
        enum stream_protocol protocol;
        enum outcome_stream want;
    } cases[] = {
        {"{\"model\":\"m\",\"messages\":[{\"content\":\"\\\"stream\\\":true\"}],\"stream\": true}",
         PROTOCOL_AUTO, STREAM_YES},
        {"{\"stream\":false,\"model\":\"m\"}", PROTOCOL_AUTO, STREAM_NO},
        {"{\"model\":\"m\",\"options\":{\"stream\":true}}", PROTOCOL_OPENAI, STREAM_NO},
        {"{\"model\":\"m\"}", PROTOCOL_ANTHROPIC, STREAM_NO},
        {"{\"model\":\"m\"}", PROTOCOL_AUTO, STREAM_UNKNOWN}, /* Ollama would stream */
        {"{\"model\":\"m\"}", PROTOCOL_KSERVE, STREAM_UNKNOWN},
        {"{\"stream\":null}", PROTOCOL_OPENAI, STREAM_NO},
        {"{\"stream\":\"true\"}", PROTOCOL_AUTO, STREAM_UNKNOWN},
        {"{\"stream\":1}", PROTOCOL_AUTO, STREAM_UNKNOWN},
        {"stream=true", PROTOCOL_OPENAI, STREAM_UNKNOWN},
        {"\x1f\x8b\x08", PROTOCOL_OPENAI, STREAM_UNKNOWN},
        {"", PROTOCOL_OPENAI, STREAM_UNKNOWN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++)
        for (size_t cut = 0; cut <= strlen(cases[i].body); cut++)
            assert_int_equal(ask(cases[i].body, cut, cases[i].protocol), cases[i].want);
}

static void test_heads(void **state)
{
    static struct head h;

    (void)state;
    assert_int_equal(asked_by_head(&h), STREAM_UNKNOWN);
    h.count = 1;
    h.index[FIELD_ACCEPT] = 1;
    h.fields[0].id = FIELD_ACCEPT;
    h.fields[0].value = STR("text/event-stream");
    assert_int_equal(asked_by_head(&h), STREAM_YES);
    h.fields[0].value = STR("application/json, text/event-stream"); /* it takes either */
    assert_int_equal(asked_by_head(&h), STREAM_UNKNOWN);
}

static void test_who_needs_to_know(void **state)
{
    struct policy_criterion c[2] = {{.metric = METRIC_LATENCY}, {.metric = METRIC_ERROR_RATE}};
    struct policy_analysis a = {.criteria = c, .criteria_count = 2};

    (void)state;
    assert_false(asked_matters(&a));
    c[1].where.stream = WHERE_NO_STREAM;
    assert_true(asked_matters(&a));
    c[1].where.stream = WHERE_ANY;
    c[0].metric = METRIC_TIME_TO_FIRST_TOKEN;
    assert_true(asked_matters(&a));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bodies),
        cmocka_unit_test(test_heads),
        cmocka_unit_test(test_who_needs_to_know),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
