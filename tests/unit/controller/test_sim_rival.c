/* What the rules of others do with a stream, minute by minute. */
#include "tests/unit/controller/sim_fixtures.h"

#include "controller/sim_rival.h"

#define MINUTES 12

/* Errors of 100 requests in each minute; -1: no requests. */
struct row {
    const char *rules;
    int errors[MINUTES];
    int64_t ends_min;
    enum sim_rival_move ends;
};

static const struct row rows[] = {
    /* Holds of a minute each: three steps, promoted after three minutes. */
    {"argo", {0}, 3, SIM_RIVAL_PROMOTES},
    {"flagger", {0}, 3, SIM_RIVAL_PROMOTES},
    {"argo:60s:0", {0, 2}, 2, SIM_RIVAL_REVERTS},
    {"argo:60s:0", {1, 1, 1}, 3, SIM_RIVAL_PROMOTES}, /* at the limit is not above it */
    {"argo", {5, 5, 5}, 3, SIM_RIVAL_PROMOTES},       /* three failures are allowed */
    {"argo:60s:2", {5, 5, 5}, 3, SIM_RIVAL_REVERTS},
    {"argo:60s:0", {-1, -1, 0}, 3, SIM_RIVAL_PROMOTES}, /* no requests: no measurement */
    /* The fifth failed check is counted, the sixth look rolls back. */
    {"flagger", {5, 5, 5, 5, 5, 5}, 6, SIM_RIVAL_REVERTS},
    {"flagger", {-1, -1, -1, -1, -1, -1}, 6, SIM_RIVAL_REVERTS},
    /* A failed check keeps the weight where it is, and is never taken back. */
    {"flagger", {5, 5, 0, 0, 0}, 5, SIM_RIVAL_PROMOTES},
    {"flagger:1m:2", {5, 0, 5, 0}, 4, SIM_RIVAL_REVERTS},
    {"flagger:1m:5:10%", {5, 5, 5}, 3, SIM_RIVAL_PROMOTES},
};

static void each_does_as_it_says(void **state)
{
    (void)state;
    struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS);

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct sim_rival_rules rules;
        struct sim_rival rival;
        struct error error;
        uint64_t settled = 0, errors = 0;
        enum sim_rival_move move = SIM_RIVAL_STAYS;
        int64_t minute = 0;
        assert_int_equal(sim_rival_parse(str_from(rows[i].rules), policy, &rules, &error), 0);
        sim_rival_begin(&rival, &rules, policy);
        while (minute < MINUTES && move != SIM_RIVAL_PROMOTES && move != SIM_RIVAL_REVERTS) {
            int bad = rows[i].errors[minute++];
            settled += bad < 0 ? 0 : 100;
            errors += bad < 0 ? 0 : (uint64_t)bad;
            move = sim_rival_look(&rival, minute * NS_PER_MIN, settled, errors);
        }
        if (move != rows[i].ends || minute != rows[i].ends_min)
            fail_msg("row %zu (%s): %d after %lld minutes", i, rows[i].rules, move,
                     (long long)minute);
    }
    policy_free(policy);
}

static void rules_can_be_said(void **state)
{
    (void)state;
    static const struct {
        const char *text, *name;
    } said[] = {
        {"argo", "argo:1m:3:1%"},
        {"flagger", "flagger:1m:5:1%"},
        {"argo:30s:0:2%", "argo:30s:0:2%"},
    };
    static const char *const wrong[] = {
        "spinnaker",          "argo:soon",       "argo:0s", "argo:60s:many",
        "flagger:60s:5:200%", "argo:60s:1:1%:x", ""};
    struct policy *policy = sim_policy(SIM_HEAD SIM_STEPS);
    struct policy *strict = sim_policy(SIM_HEAD "analysis:\n  criteria:\n"
                                                "    - {metric: error_rate, max: 3%}\n");
    struct sim_rival_rules rules;
    struct error error;
    char name[SIM_RIVAL_NAME_MAX];

    for (size_t i = 0; i < sizeof(said) / sizeof(said[0]); i++) {
        assert_int_equal(sim_rival_parse(str_from(said[i].text), policy, &rules, &error), 0);
        assert_string_equal(sim_rival_name(&rules, name), said[i].name);
    }
    assert_int_equal(sim_rival_parse(STR("argo"), strict, &rules, &error), 0);
    assert_string_equal(sim_rival_name(&rules, name), "argo:1m:3:3%");
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++)
        assert_int_not_equal(sim_rival_parse(str_from(wrong[i]), policy, &rules, &error), 0);
    policy_free(policy);
    policy_free(strict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_does_as_it_says),
        cmocka_unit_test(rules_can_be_said),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
