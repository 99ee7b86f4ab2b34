/* No field of a decision is missed by what a journal keeps of it, and a state comes back as it was.
 */
#include "fixtures.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "controller/decision_fields.h"

#define COUNT_AT (offsetof(struct rollout_decision, report.count))

/* Bytes of the object at `offset` whose change the sum does not see: its padding, one hopes. */
static size_t unseen(struct rollout_decision *d, size_t offset, size_t size)
{
    uint32_t sum = decision_sum(d);
    char *bytes = (char *)d;
    size_t count = 0;

    for (size_t i = offset; i < offset + size; i++) {
        if (i >= COUNT_AT && i < COUNT_AT + sizeof(size_t))
            continue; /* how many criteria there are: another number reads others */
        bytes[i] = (char)(bytes[i] ^ 1);
        count += decision_sum(d) == sum;
        bytes[i] = (char)(bytes[i] ^ 1);
    }
    return count;
}

static struct rollout_decision *decision_new(void)
{
    struct rollout_decision *d = xcalloc(1, sizeof(*d));

    /* Texts of full length, so that every one of their bytes counts but the terminator. */
    memset(d->state.canary_version, 'x', VERSION_MAX);
    memset(d->state.rejected_version, 'y', VERSION_MAX);
    d->before = d->state;
    d->action_count = ACTIONS_MAX;
    d->report.count = CRITERIA_MAX;
    return d;
}

/* Padding, and the members that are always 0. When this fails a struct has grown: give the new
 * field a row in controller/decision_fields.c, or count its padding here. */
enum { STATE_UNSEEN = 26, ACTION_UNSEEN = 4, REPORT_UNSEEN = 38, CRITERION_UNSEEN = 9 };

static void test_no_field_is_missed(void **state)
{
    struct rollout_decision *d = decision_new();
    const size_t report = offsetof(struct rollout_decision, report);
    const size_t criteria = offsetof(struct analysis_report, criteria);

    (void)state;
    assert_int_equal(unseen(d, offsetof(struct rollout_decision, before), sizeof(d->before)),
                     STATE_UNSEEN);
    assert_int_equal(unseen(d, offsetof(struct rollout_decision, state), sizeof(d->state)),
                     STATE_UNSEEN);
    assert_int_equal(unseen(d, offsetof(struct rollout_decision, actions), sizeof(d->actions[0])),
                     ACTION_UNSEEN);
    assert_int_equal(unseen(d, report, criteria), REPORT_UNSEEN);
    assert_int_equal(unseen(d, report + criteria, sizeof(d->report.criteria[0])), CRITERION_UNSEEN);
    assert_int_equal(unseen(d, offsetof(struct rollout_decision, criterion), sizeof(uint32_t)), 0);
    assert_int_equal(unseen(d, offsetof(struct rollout_decision, failed), sizeof(uint32_t)), 0);
    free(d);
}

static void test_a_state_comes_back_as_it_was(void **state)
{
    struct fixture f;
    struct rollout_state back;
    struct error error = {0};
    struct strbuf text;

    (void)state;
    fixture_init(&f);
    struct rollout_state s = state_at(&f, 2, false);
    s.weight_bp = 0;
    s.retreat = (struct rollout_retreat){.visit = 2,
                                         .weight_bp = 2500,
                                         .pause_ns = 120 * NS_PER_SEC,
                                         .left_ns = 77777777777,
                                         .since_ns = 3,
                                         .probe = {.criterion = 1, .p1 = 0.1 + 0.2, .z = 1e-17},
                                         .seen = {{100, 7}, {33, 3}}};
    s.retreats_in_step = 2;
    s.placebo_before_step = 9;
    strbuf_init(&text, 65536);
    state_add_text(&s, &text);
    if (state_from_text(strbuf_str(&text), &back, &error) != 0)
        fail_msg("%s", error.message);
    struct strbuf again;
    strbuf_init(&again, 65536);
    state_add_text(&back, &again);
    assert_string_equal(strbuf_cstr(&text), strbuf_cstr(&again));
    assert_true(back.retreat.probe.p1 == s.retreat.probe.p1);
    strbuf_deinit(&text);
    strbuf_deinit(&again);
}

static void test_a_state_that_is_none_is_refused(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "no JSON object"},
        {"{}", "\"phase\""},
        {"{\"phase\": \"asleep\"}", "\"phase\""},
    };
    struct rollout_state s;
    struct error error = {0};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(state_from_text(str_from(rows[i].text), &s, &error), -EINVAL);
        if (strstr(error.message, rows[i].says) == NULL)
            fail_msg("%s is not in: %s", rows[i].says, error.message);
    }
}

static void test_the_first_difference_is_named(void **state)
{
    static const struct {
        const char *recorded, *now, *path, *before, *after;
    } rows[] = {
        {"{\"a\":1,\"b\":[{\"c\":2}]}", "{\"a\":1,\"b\":[{\"c\":3}]}", "b[0].c", "2", "3"},
        {"{\"a\":0.1}", "{\"a\":0.10000000000000002}", "a", "0.10000000000000001",
         "0.10000000000000002"},
        {"{\"a\":1}", "{\"a\":1,\"z\":true}", "z", "", "true"},
        {"{\"a\":[1,2]}", "{\"a\":[1]}", "a[1]", "2", ""},
        {"{\"a\":1}", "{ \"a\":1}", "the text", "{\"a\":1}", "{ \"a\":1}"},
    };
    struct decision_difference d;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_true(
            decision_text_difference(str_from(rows[i].recorded), str_from(rows[i].now), &d));
        assert_string_equal(d.path, rows[i].path);
        assert_string_equal(d.recorded, rows[i].before);
        assert_string_equal(d.now, rows[i].after);
    }
    assert_false(decision_text_difference(STR("{\"a\":1}"), STR("{\"a\":1}"), &d));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_field_is_missed),
        cmocka_unit_test(test_a_state_comes_back_as_it_was),
        cmocka_unit_test(test_a_state_that_is_none_is_refused),
        cmocka_unit_test(test_the_first_difference_is_named),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
