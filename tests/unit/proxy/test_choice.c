/* How evenly requests are spread over the endpoints of a version, and that room is found. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#include "proxy/choice.h"

enum { FIRST_POOL = 3, PLENTY = 1000000 };

struct version {
    struct route_endpoint endpoints[ENDPOINTS_MAX];
    uint32_t sums[ENDPOINTS_MAX];
    struct route_version version;
    struct slots *slots;
    struct rng rng;
};

static struct version v;

static void version_init(size_t count, uint32_t every_third)
{
    uint32_t sum = 0;

    memset(&v, 0, sizeof(v));
    for (size_t i = 0; i < count; i++) {
        v.endpoints[i].weight = i % 3 == 0 ? every_third : 1;
        v.sums[i] = sum += v.endpoints[i].weight;
    }
    v.version = (struct route_version){.endpoints = v.endpoints,
                                       .endpoint_count = count,
                                       .weight_sums = v.sums,
                                       .first_pool = FIRST_POOL};
    v.slots = slots_new(FIRST_POOL + count, 1);
    rng_seed(&v.rng, 7);
}

static uint32_t choose(uint32_t max_requests, uint32_t avoid)
{
    return choice_endpoint(&v.version, v.slots, max_requests, avoid, &v.rng);
}

static uint32_t in_flight(size_t endpoint)
{
    return slots_in_flight(v.slots, FIRST_POOL + endpoint);
}

static void add(uint32_t endpoint, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        assert_true(slots_take(v.slots, FIRST_POOL + endpoint, PLENTY));
}

/* Requests that stay: nobody has many more than his share. */
static void test_even_under_load(void **state)
{
    static const struct {
        size_t count;
        uint32_t requests, least, most;
    } rows[] = {
        {1, 10, 10, 10},   {2, 1000, 500, 500}, {8, 800, 100, 100},    /* all are compared */
        {9, 900, 96, 103}, {100, 1000, 7, 13},  {256, 25600, 94, 103}, /* two of them */
    };

    (void)state;
    for (size_t r = 0; r < sizeof(rows) / sizeof(rows[0]); r++) {
        version_init(rows[r].count, 1);
        for (uint32_t i = 0; i < rows[r].requests; i++)
            add(choose(PLENTY, NO_ENDPOINT), 1);
        for (size_t i = 0; i < rows[r].count; i++)
            assert_in_range(in_flight(i), rows[r].least, rows[r].most);
        slots_free(v.slots);
    }
}

/* One with weight 3 has three times as many in flight, and gets three times as many when none is.
 */
static void test_weights_count(void **state)
{
    static const size_t counts[] = {6, 99};
    uint32_t got[2];

    (void)state;
    for (size_t c = 0; c < 2; c++) {
        size_t n = counts[c];
        version_init(n, 3);
        got[0] = got[1] = 0;
        for (uint32_t i = 0; i < 30000; i++)
            got[choose(PLENTY, NO_ENDPOINT) % 3 == 0]++;
        assert_in_range(got[1], 17600, 18400); /* 3 of 5 parts */
        for (uint32_t i = 0; i < n * 50; i++)
            add(choose(PLENTY, NO_ENDPOINT), 1);
        for (size_t i = 0; i < n; i++)
            assert_in_range(in_flight(i), i % 3 == 0 ? 86 : 27, i % 3 == 0 ? 93 : 33);
        slots_free(v.slots);
    }
}

/* However few have room, it is found; and none is taken over the limit. */
static void test_room_is_found(void **state)
{
    static const size_t counts[] = {2, 8, 9, 200};

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        uint32_t n = (uint32_t)counts[c], free_one = n / 2;
        version_init(n, 1);
        for (uint32_t i = 0; i < n; i++)
            add(i, i == free_one ? 4 : 5);
        for (int i = 0; i < 100; i++)
            assert_int_equal(choose(5, NO_ENDPOINT), free_one);
        add(free_one, 1);
        assert_int_equal(choose(5, NO_ENDPOINT), NO_ENDPOINT);
        slots_free(v.slots);
    }
}

/* A second try goes elsewhere, unless there is nowhere else. */
static void test_avoid(void **state)
{
    static const size_t counts[] = {2, 8, 9, 200};

    (void)state;
    for (size_t c = 0; c < 4; c++) {
        uint32_t n = (uint32_t)counts[c];
        version_init(n, 1);
        for (int i = 0; i < 1000; i++)
            assert_int_not_equal(choose(5, 1), 1);
        for (uint32_t i = 0; i < n; i++)
            add(i, i == 1 ? 0 : 5);
        for (int i = 0; i < 100; i++)
            assert_int_equal(choose(5, 1), 1);
        add(1, 5);
        assert_int_equal(choose(5, 1), NO_ENDPOINT);
        slots_free(v.slots);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_even_under_load),
        cmocka_unit_test(test_weights_count),
        cmocka_unit_test(test_room_is_found),
        cmocka_unit_test(test_avoid),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
