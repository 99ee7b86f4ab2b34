/* An endpoint never has more in flight than it may, whoever asks at the same time. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>

#include "base/check.h"
#include "proxy/slots.h"

enum { THREADS = 4, ROUNDS = 20000, MOST = 3 };

struct shared {
    struct slots *slots;
    _Atomic int inside, over;
};

static void *work(void *arg)
{
    struct shared *s = arg;

    for (int i = 0; i < ROUNDS; i++) {
        if (!slots_take(s->slots, 1, MOST))
            continue;
        if (++s->inside > MOST)
            s->over++;
        s->inside--;
        slots_give(s->slots, 1);
    }
    return NULL;
}

static void test_never_more_than_its_slots(void **state)
{
    struct shared s = {.slots = slots_new(2, 1)};
    pthread_t threads[THREADS];

    (void)state;
    for (int i = 0; i < THREADS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, work, &s), 0);
    for (int i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(s.over, 0);
    assert_int_equal(slots_in_flight(s.slots, 1), 0);
    assert_int_equal(slots_in_flight(s.slots, 0), 0);
    slots_free(s.slots);
}

static void test_waiting_is_seen(void **state)
{
    struct slots *s = slots_new(1, 2);
    size_t canary = slots_version(1, VARIANT_CANARY);

    (void)state;
    assert_false(0 < slots_waiting(s, canary));
    slots_wait(s, canary, 1);
    assert_int_equal(slots_waiting(s, canary), 1);
    assert_false(0 < slots_waiting(s, slots_version(1, VARIANT_STABLE)));
    slots_wait(s, canary, -1);
    assert_false(0 < slots_waiting(s, canary));
    slots_free(s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_never_more_than_its_slots),
        cmocka_unit_test(test_waiting_is_seen),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
