/* A state survives being written and read; what contradicts the core is never read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "controller/state_json.h"

static struct rollout_state some_state(void)
{
    struct rollout_state s;

    memset(&s, 0, sizeof(s));
    s.phase = PHASE_PAUSED;
    s.paused_from = PHASE_PROGRESSING;
    s.epoch = 17;
    s.step = 2;
    s.weight_bp = 2500;
    s.reported = 0x80000001;
    s.zeroed = true;
    s.undecided = true;
    s.held_ns = INT64_C(123456789012);
    s.phase_ns = 5;
    strcpy(s.canary_version, "2.1.0 \"quoted\" \xc3\xa9");
    strcpy(s.rejected_version, "2.0.9");
    return s;
}

static void test_what_is_written_is_read(void **state)
{
    struct rollout_state from = some_state(), to;
    struct error error = {0};

    (void)state;
    json_t *json = state_to_json(&from);
    char *text = json_dumps(json, 0);
    json_decref(json);
    json = json_loads(text, 0, NULL);
    free(text);
    memset(&to, 0xff, sizeof(to));
    assert_int_equal(state_from_json(json, &to, &error), 0);
    assert_memory_equal(&from, &to, sizeof(from));
    json_object_set_new(json, "of_a_later_version", json_true());
    assert_int_equal(state_from_json(json, &to, &error), 0);
    json_decref(json);
}

static void test_what_does_not_fit_is_refused(void **state)
{
    static const struct {
        const char *key, *value; /* NULL: the key is missing */
    } rows[] = {
        {"phase", NULL},
        {"phase", "\"flying\""},
        {"phase", "3"},
        {"phase", "\"promoted\""},
        {"paused_from", "\"promoted\""},
        {"no_data_ns", "-1"},
        {"retreats_in_step", "\"6\""},
        {"retreat", "7"},
        {"phase", "\"smoke_testing\""},
        {"phase", "\"rolled_back\""},
        {"phase", "\"pending\""},
        {"phase", "\"idle\""},
        {"paused_from", "null"},
        {"epoch", "0"},
        {"epoch", "2147483647"},
        {"epoch", "1.5"},
        {"step", "-1"},
        {"step", "33"},
        {"step", "0"},
        {"weight_bp", "10001"},
        {"weight_bp", NULL},
        {"reported", "4294967296"},
        {"zeroed", "1"},
        {"approved", NULL},
        {"held_ns", "-1"},
        {"phase_ns", "\"5\""},
        {"canary_version", "null"},
        {"rejected_version", NULL},
    };
    struct rollout_state from = some_state(), to, untouched;
    struct error error;

    (void)state;
    memset(&to, 0x5a, sizeof(to));
    memcpy(&untouched, &to, sizeof(to));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        json_t *json = state_to_json(&from);
        json_object_del(json, rows[i].key);
        if (rows[i].value != NULL)
            json_object_set_new(json, rows[i].key,
                                json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        error = (struct error){0};
        if (state_from_json(json, &to, &error) != -EINVAL)
            fail_msg("taken: %s %s", rows[i].key, rows[i].value);
        assert_true(strlen(error.message) > 0);
        json_decref(json);
    }
    assert_memory_equal(&to, &untouched, sizeof(to));
    json_t *list = json_array();
    assert_int_equal(state_from_json(list, &to, &error), -EINVAL);
    json_decref(list);
    assert_int_equal(state_from_json(NULL, &to, &error), -EINVAL);
}

/* Sent back for the second time, and being asked. */
static struct rollout_state retreated_state(bool probing)
{
    struct rollout_state s = some_state();

    s.phase = PHASE_BAKING;
    s.paused_from = PHASE_IDLE;
    s.zeroed = false;
    s.weight_bp = probing ? 1000 : 0;
    s.retreats_in_step = 3;
    s.no_data_ns = 7;
    s.retreat = (struct rollout_retreat){.visit = 2,
                                         .probing = probing,
                                         .weight_bp = 9500,
                                         .pause_ns = 120 * INT64_C(1000000000),
                                         .left_ns = probing ? 0 : 5,
                                         .since_ns = 31,
                                         .probe = {.criterion = CRITERIA_MAX, .p1 = 0.1, .z = 0.01},
                                         .seen = {{620, 30}, {21, 20}}};
    s.retreat.probe.p1 = 0.094868329805051371;
    return s;
}

/* A process that takes over asks about the very same thing, to the last bit. */
static void test_retreats_survive(void **state)
{
    (void)state;
    for (int probing = 0; probing < 2; probing++) {
        struct rollout_state from = retreated_state(probing != 0), to;
        struct error error = {0};
        json_t *json = state_to_json(&from);
        char *text = json_dumps(json, 0);
        json_decref(json);
        json = json_loads(text, 0, NULL);
        free(text);
        memset(&to, 0xff, sizeof(to));
        assert_int_equal(state_from_json(json, &to, &error), 0);
        assert_memory_equal(&from, &to, sizeof(from));
        json_decref(json);
    }
}

static void test_retreats_that_do_not_fit_are_refused(void **state)
{
    static const struct {
        bool probing, inner;
        const char *key, *value; /* NULL: the key is missing */
    } rows[] = {
        {false, false, "weight_bp", "1000"},
        {false, false, "phase", "\"promoted\""},
        {false, false, "phase", "\"rolled_back\""},
        {false, false, "step", "0"},
        {true, false, "zeroed", "true"},
        {true, false, "weight_bp", "9501"},
        {true, true, "left_ns", "1"},
        {false, true, "left_ns", "120000000001"},
        {false, true, "visit", "0"},
        {false, true, "visit", "3"},
        {false, true, "visit", "9"},
        {false, true, "probing", NULL},
        {false, true, "weight_bp", "0"},
        {false, true, "criterion", "25"},
        {false, true, "p1", "0.01"},
        {false, true, "p1", "1"},
        {false, true, "z", "0"},
        {false, true, "z", NULL},
        {false, true, "seen", "[]"},
        {false, true, "seen", "[{\"requests\": 1, \"bad\": 1}, 7]"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rollout_state from = retreated_state(rows[i].probing), to;
        struct error error = {0};
        json_t *json = state_to_json(&from);
        json_t *in = rows[i].inner ? json_object_get(json, "retreat") : json;
        json_object_del(in, rows[i].key);
        if (rows[i].value != NULL)
            json_object_set_new(in, rows[i].key, json_loads(rows[i].value, JSON_DECODE_ANY, NULL));
        if (state_from_json(json, &to, &error) != -EINVAL)
            fail_msg("taken: %s %s", rows[i].key, rows[i].value);
        json_decref(json);
    }
}

/* A process before retreats and bakes hands over: its rollouts go on. */
static void test_an_earlier_version_is_read(void **state)
{
    struct rollout_state from = some_state(), to;
    struct error error = {0};

    (void)state;
    json_t *json = state_to_json(&from);
    json_object_del(json, "retreat");
    json_object_del(json, "retreats_in_step");
    json_object_del(json, "no_data_ns");
    assert_int_equal(state_from_json(json, &to, &error), 0);
    assert_memory_equal(&from, &to, sizeof(from));
    json_decref(json);
}

static void test_versions_are_bounded(void **state)
{
    struct rollout_state from = some_state(), to;
    struct error error = {0};
    char version[VERSION_MAX + 2];

    (void)state;
    memset(version, 'v', sizeof(version));
    version[VERSION_MAX + 1] = '\0';
    json_t *json = state_to_json(&from);
    json_object_set_new(json, "canary_version", json_string(version));
    assert_int_equal(state_from_json(json, &to, &error), -EINVAL);
    json_object_set_new(json, "canary_version", json_string(version + 1));
    assert_int_equal(state_from_json(json, &to, &error), 0);
    assert_string_equal(to.canary_version, version + 1);
    json_decref(json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written_is_read),
        cmocka_unit_test(test_what_does_not_fit_is_refused),
        cmocka_unit_test(test_retreats_survive),
        cmocka_unit_test(test_retreats_that_do_not_fit_are_refused),
        cmocka_unit_test(test_an_earlier_version_is_read),
        cmocka_unit_test(test_versions_are_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
