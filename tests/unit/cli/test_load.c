/* The steps of a policy in a line: what `check` and the log say of it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"
#include "cli/load.h"

static void test_steps_in_a_line(void **state)
{
    static const struct {
        int64_t last_hold_ns, bake_ns;
        uint32_t control_bp;
        const char *text;
    } rows[] = {
        {10 * NS_PER_MIN, 0, 0, "10% → 100%, each 10m"},
        {5 * NS_PER_MIN, 0, 0, "10% for 10m → 100% for 5m"},
        {10 * NS_PER_MIN, 90 * NS_PER_MIN, 0, "10% → 100%, each 10m, then 1h30m bake"},
        {10 * NS_PER_MIN, 90 * NS_PER_MIN, 500,
         "10% → 100%, each 10m, then 1h30m bake, 5% control"},
        {5 * NS_PER_MIN, 0, 500, "10% for 10m → 100% for 5m, 5% control"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct policy_step steps[] = {
            {.weight_bp = 1000, .hold_ns = 10 * NS_PER_MIN},
            {.weight_bp = 10000, .hold_ns = rows[i].last_hold_ns},
        };
        struct policy policy = {
            .steps = steps,
            .step_count = 2,
            .bake = {.for_ns = rows[i].bake_ns, .control_bp = rows[i].control_bp},
        };
        struct strbuf out;
        strbuf_init(&out, 1000);
        load_steps_text(&policy, &out);
        assert_string_equal(strbuf_cstr(&out), rows[i].text);
        strbuf_deinit(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_steps_in_a_line),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
