/* Who is sent again: a table of cases; and the budget that keeps retries from piling up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "proxy/retry.h"

/* A case says what is unlike the usual one. */
#pragma GCC diagnostic ignored "-Woverride-init"
#define CASE(...)                                                                                  \
    {                                                                                              \
        .whole = true, .stable_free = true, .fresh_left = 2, .retries_left = 1, __VA_ARGS__        \
    }
#define ON_CANARY .variant = VARIANT_CANARY

static const struct {
    const char *name;
    struct retry_case in;
    enum retry want;
} rows[] = {
    {"a canary's 500 to a GET: stable",
     CASE(ON_CANARY, .kind = OUTCOME_5XX, .shield = SHIELD_SAFE, .idempotent = true), RETRY_STABLE},
    {"a canary's 500 to a POST: passed on",
     CASE(ON_CANARY, .kind = OUTCOME_5XX, .shield = SHIELD_SAFE), RETRY_NONE},
    {"the same where requests may be sent twice",
     CASE(ON_CANARY, .kind = OUTCOME_5XX, .shield = SHIELD_ALL), RETRY_STABLE},
    {"a POST that nobody got",
     CASE(ON_CANARY, .kind = OUTCOME_CONNECT, .shield = SHIELD_SAFE, .untouched = true),
     RETRY_STABLE},
    {"not all of it is held",
     CASE(ON_CANARY, .kind = OUTCOME_5XX, .shield = SHIELD_ALL, .whole = false), RETRY_NONE},
    {"a hang", CASE(ON_CANARY, .kind = OUTCOME_TIMEOUT, .shield = SHIELD_SAFE, .idempotent = true),
     RETRY_STABLE},
    {"an answer that is not HTTP",
     CASE(ON_CANARY, .kind = OUTCOME_MALFORMED, .shield = SHIELD_SAFE, .idempotent = true),
     RETRY_STABLE},
    {"a 404 is an answer",
     CASE(ON_CANARY, .kind = OUTCOME_4XX, .shield = SHIELD_ALL, .idempotent = true), RETRY_NONE},
    {"stable has no room for a GET: the canary again",
     CASE(ON_CANARY, .kind = OUTCOME_RESET, .shield = SHIELD_SAFE, .idempotent = true,
          .stable_free = false),
     RETRY_SAME},
    {"shield off", CASE(ON_CANARY, .kind = OUTCOME_5XX, .shield = SHIELD_OFF, .idempotent = true),
     RETRY_NONE},
    {"shield off, and the canary was not even asked",
     CASE(ON_CANARY, .kind = OUTCOME_UNAVAILABLE, .shield = SHIELD_OFF, .untouched = true),
     RETRY_STABLE},
    {"stable's 500 is stable's answer",
     CASE(.kind = OUTCOME_5XX, .shield = SHIELD_ALL, .idempotent = true), RETRY_NONE},
    {"stable reset a GET: another endpoint",
     CASE(.kind = OUTCOME_RESET, .shield = SHIELD_SAFE, .idempotent = true), RETRY_SAME},
    {"stable reset a POST: never twice", CASE(.kind = OUTCOME_RESET, .shield = SHIELD_SAFE),
     RETRY_NONE},
    {"stable refused the connection: any method",
     CASE(.kind = OUTCOME_CONNECT, .shield = SHIELD_SAFE, .untouched = true), RETRY_SAME},
    {"no retries left", CASE(.kind = OUTCOME_RESET, .idempotent = true, .retries_left = 0),
     RETRY_NONE},
    {"a warm connection broke under a GET: anew, and charged",
     CASE(.kind = OUTCOME_RESET, .idempotent = true, .reused = true, .retries_left = 0),
     RETRY_ANEW},
    {"the same at the canary: stable",
     CASE(ON_CANARY, .kind = OUTCOME_RESET, .shield = SHIELD_SAFE, .idempotent = true,
          .reused = true),
     RETRY_STABLE},
    {"a kept connection had died: the same attempt",
     CASE(.kind = OUTCOME_RESET, .idempotent = true, .stale = true, .retries_left = 0),
     RETRY_FRESH},
    {"too often", CASE(.kind = OUTCOME_RESET, .idempotent = true, .stale = true, .fresh_left = 0),
     RETRY_SAME},
    {"a kept connection had died under a POST",
     CASE(.kind = OUTCOME_RESET, .shield = SHIELD_SAFE, .stale = true), RETRY_NONE},
    {"a slow answer is not asked for twice at stable",
     CASE(.kind = OUTCOME_TIMEOUT, .idempotent = true), RETRY_NONE},
};

static void test_decisions(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (retry_decide(&rows[i].in) != rows[i].want)
            fail_msg("%s: %d, not %d", rows[i].name, (int)retry_decide(&rows[i].in),
                     (int)rows[i].want);
}

static void test_no_repeat_of_what_may_have_been_read(void **state)
{
    (void)state;
    for (unsigned bits = 0; bits < 1u << 10; bits++)
        for (int kind = 0; kind < OUTCOME_KIND_COUNT; kind++) {
            const struct retry_case c = {.variant = bits & 1,
                                         .kind = (enum outcome_kind)kind,
                                         .shield = bits & 2 ? SHIELD_SAFE : SHIELD_OFF,
                                         .whole = bits & 4,
                                         .stale = bits & 8,
                                         .stable_free = bits & 16,
                                         .fresh_left = bits >> 5 & 3,
                                         .retries_left = bits >> 7};
            assert_int_equal(retry_decide(&c), RETRY_NONE);
        }
}

static void test_budget(void **state)
{
    struct retry_budget b = {0};
    int64_t now_ns = 5 * NS_PER_SEC;
    int granted = 0;

    (void)state;
    assert_true(retry_budget_withdraw(&b, 0.1, now_ns)); /* one in any second */
    assert_false(retry_budget_withdraw(&b, 0.1, now_ns));
    for (int i = 0; i < 500; i++) { /* an outage: every request would like a retry */
        retry_budget_deposit(&b, 0.1);
        granted += retry_budget_withdraw(&b, 0.1, now_ns);
    }
    assert_int_equal(granted, 50);
    assert_true(retry_budget_withdraw(&b, 0.1, now_ns + NS_PER_SEC));
    assert_false(retry_budget_withdraw(&b, 0.1, now_ns + NS_PER_SEC));
    for (int i = 0; i < 1000000; i++) /* quiet times are not saved up without end */
        retry_budget_deposit(&b, 1);
    for (granted = 0; retry_budget_withdraw(&b, 1, now_ns + NS_PER_SEC); granted++)
        ;
    assert_int_equal(granted, 100);
    assert_false(retry_budget_withdraw(&b, 0, now_ns + 100 * NS_PER_SEC)); /* 0%: never */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_decisions),
        cmocka_unit_test(test_no_repeat_of_what_may_have_been_read),
        cmocka_unit_test(test_budget),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
