/* A late count finds the slot in which its request was dispatched, or the nearest with its weight.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "analysis/window.h"

static void test_where_counts_belong(void **state)
{
    /* index:            0        1        2        3        4        5 */
    static const struct {
        uint32_t epoch;
        int64_t slot;
    } open[] = {{3, 10}, {3, 11}, {3, 14}, {5, 14}, {5, 15}, {6, 15}};
    static const struct {
        const char *what;
        uint32_t epoch;
        int64_t slot;
        size_t want;
    } rows[] = {
        {"its own", 3, 11, 1},
        {"its own, of two in the same second", 5, 14, 3},
        {"in a gap: the one before", 3, 12, 1},
        {"later than its weight lasted", 3, 99, 2},
        {"closed for good, its weight still open", 3, 4, 0},
        {"before its weight was known here", 6, 14, 5},
        {"the newest", 6, 20, 5},
        {"its weight is closed altogether", 2, 9, 0},
        {"a weight between two others", 4, 14, 2},
        {"a weight of the future", 9, 1, 5},
    };
    struct window w;
    (void)state;
    window_init(&w);
    for (size_t i = 0; i < 3; i++) /* so that the array wraps round */
        window_push(&w, 1, (int64_t)i, 0, 0);
    for (size_t i = 0; i < sizeof open / sizeof open[0]; i++)
        window_push(&w, open[i].epoch, open[i].slot, 1000, 1);
    window_drop(&w, 3);
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
        if (window_find(&w, rows[i].epoch, rows[i].slot) != rows[i].want)
            fail_msg("%s: %zu", rows[i].what, window_find(&w, rows[i].epoch, rows[i].slot));
    window_deinit(&w);
}

static void test_slots_survive_growth_and_wrapping(void **state)
{
    struct window w;
    int64_t next = 0, oldest = 0;
    (void)state;
    window_init(&w);
    for (int round = 0; round < 200; round++) {
        for (int i = 0; i < 7; i++, next++) {
            window_push(&w, 1, next, 0, 0);
            window_at(&w, w.count - 1)->counts[VARIANT_CANARY].dispatched = (uint32_t)next;
        }
        window_drop(&w, 5);
        oldest += 5;
        for (size_t i = 0; i < w.count; i++) {
            assert_int_equal(window_at(&w, i)->slot, oldest + (int64_t)i);
            assert_int_equal(window_at(&w, i)->counts[VARIANT_CANARY].dispatched,
                             oldest + (int64_t)i);
        }
    }
    assert_true(w.capacity <= 512);
    window_deinit(&w);
}

static void test_counts_never_contradict_themselves(void **state)
{
    static const struct {
        struct slot_counts counts;
        uint64_t sample;
        uint32_t pending;
    } rows[] = {
        {{.dispatched = 10, .settled = 4}, 10, 6},
        {{.dispatched = 10, .settled = 4, .bad = {5}, .overdue = {3}}, 10, 3},
        {{.dispatched = 10, .settled = 10, .excluded = {2}}, 8, 0},
        {{.dispatched = 0, .settled = 3, .bad = {2}}, 2, 0}, /* late, of a closed slot */
        {{.dispatched = 1, .settled = 3, .excluded = {2}}, 0, 0},
        /* In flight, and not asked about by the criterion. */
        {{.dispatched = 10, .settled = 1, .excluded = {8}}, 2, 2},
        {{.dispatched = 10, .excluded = {8}, .bad = {1}, .overdue = {1}}, 2, 1},
        {{.dispatched = 10, .excluded = {10}}, 0, 0},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++) {
        assert_int_equal(slot_counts_sample(&rows[i].counts, 0), rows[i].sample);
        assert_int_equal(slot_counts_pending(&rows[i].counts, 0), rows[i].pending);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_where_counts_belong),
        cmocka_unit_test(test_slots_survive_growth_and_wrapping),
        cmocka_unit_test(test_counts_never_contradict_themselves),
    };
    return cmocka_run_group_tests_name("window", tests, NULL, NULL);
}
