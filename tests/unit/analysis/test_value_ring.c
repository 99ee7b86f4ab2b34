/* Every value comes once and in order, until nobody takes them: then their number is bounded. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>

#include "analysis/value_ring.h"
#include "base/rng.h"

struct taken {
    uint64_t next, count;
};

static void take(void *ctx, const struct shift_value *v)
{
    struct taken *t = ctx;
    assert_int_equal(v->category, t->next);
    assert_int_equal(v->epoch, (uint32_t)t->next);
    t->next++;
    t->count++;
}

static void push(struct value_ring *r, uint64_t n)
{
    value_ring_push(r, &(struct shift_value){.epoch = (uint32_t)n, .category = n});
}

static void test_in_order(void **state)
{
    struct value_ring *r = value_ring_new();
    struct taken t = {0, 0};
    struct rng rng;
    uint64_t next = 0;
    (void)state;
    rng_seed(&rng, 1);
    value_ring_take(r, take, &t);
    assert_int_equal(t.count, 0);
    for (int round = 0; round < 2000; round++) {
        for (uint32_t left = rng_below(&rng, 1000); left > 0; left--)
            push(r, next++);
        value_ring_take(r, take, &t);
        assert_int_equal(t.count, next);
    }
    assert_int_equal(value_ring_lost(r), 0);
    value_ring_free(r);
}

static void test_what_nobody_takes_is_bounded(void **state)
{
    struct value_ring *r = value_ring_new();
    struct taken t = {0, 0};
    (void)state;
    for (uint64_t n = 0; n < VALUES_MAX + 1000; n++)
        push(r, n);
    assert_int_equal(value_ring_lost(r), 1000);
    value_ring_take(r, take, &t); /* the first ones */
    assert_int_equal(t.count, VALUES_MAX);
    t.next = 7;
    push(r, 7); /* there is room again */
    value_ring_take(r, take, &t);
    assert_int_equal(t.count, VALUES_MAX + 1);
    assert_int_equal(value_ring_lost(r), 1000);
    value_ring_free(r);
}

enum { PUSHED = 1000000 };

struct writer {
    struct value_ring *ring;
    atomic_bool done;
};

static void *write_values(void *arg)
{
    struct writer *w = arg;
    uint64_t before = 0;
    for (uint64_t n = 0; n < PUSHED;) { /* what was lost is pushed again */
        push(w->ring, n);
        uint64_t lost = value_ring_lost(w->ring);
        n += lost == before;
        before = lost;
    }
    atomic_store(&w->done, true);
    return NULL;
}

static void test_two_threads(void **state)
{
    struct writer w = {.ring = value_ring_new()};
    struct taken t = {0, 0};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, write_values, &w), 0);
    for (bool done = false; !done;) {
        done = atomic_load(&w.done);
        value_ring_take(w.ring, take, &t);
    }
    pthread_join(thread, NULL);
    assert_int_equal(t.count, PUSHED);
    value_ring_free(w.ring);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_in_order),
        cmocka_unit_test(test_what_nobody_takes_is_bounded),
        cmocka_unit_test(test_two_threads),
    };
    return cmocka_run_group_tests_name("value_ring", tests, NULL, NULL);
}
