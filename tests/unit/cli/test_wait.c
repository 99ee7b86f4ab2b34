/* What `sluice wait` takes for an answer: CI relies on its exit code. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "cli/wait.h"

static const struct {
    const char *goal, *phase;
    int step;
    enum wait_answer want;
} rows[] = {
    {"promoted", "progressing", 3, WAIT_ON},    {"promoted", "promoted", 4, WAIT_REACHED},
    {"promoted", "rolled_back", 3, WAIT_LOST},  {"promoted", "idle", 0, WAIT_NO_CANARY},
    {"rolled_back", "idle", 0, WAIT_NO_CANARY}, {"step:9", "idle", 0, WAIT_NO_CANARY},
    {"step:4", "progressing", 3, WAIT_ON},      {"step:5", "pending", 0, WAIT_BEYOND},
    {"step:9", "promoted", 4, WAIT_BEYOND},     {"promoted", "pending", 0, WAIT_ON},
    {"promoted", "paused", 2, WAIT_ON},         {"promoted", "a phase of 2030", 2, WAIT_ON},
    {"rolled_back", "progressing", 1, WAIT_ON}, {"rolled_back", "rolled_back", 1, WAIT_REACHED},
    {"rolled_back", "promoted", 4, WAIT_LOST},  {"step:2", "progressing", 1, WAIT_ON},
    {"step:2", "progressing", 2, WAIT_REACHED}, {"step:2", "paused", 3, WAIT_REACHED},
    {"step:2", "promoted", 4, WAIT_REACHED},    {"step:2", "rolled_back", 3, WAIT_LOST},
};

static void answers(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct wait_goal goal;
        json_t *doc =
            json_pack("{s:s, s:i, s:i}", "phase", rows[i].phase, "step", rows[i].step, "steps", 4);
        assert_true(wait_parse_goal(rows[i].goal, &goal));
        enum wait_answer got = wait_check(&goal, doc);
        json_decref(doc);
        if (got != rows[i].want)
            fail_msg("for %s in %s step %d: %d", rows[i].goal, rows[i].phase, rows[i].step, got);
    }
}

static void goals(void **state)
{
    static const char *const wrong[] = {
        "", "promote", "step", "step:", "step:0", "step:x", "step:33", "step:-1"};
    struct wait_goal goal = {.kind = WAIT_PROMOTED};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(wrong); i++)
        assert_false(wait_parse_goal(wrong[i], &goal));
    assert_true(wait_parse_goal("step:32", &goal));
    assert_int_equal(goal.step, 32);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers),
        cmocka_unit_test(goals),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
