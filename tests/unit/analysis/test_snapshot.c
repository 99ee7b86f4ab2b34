/* A reader gets a value that was written, whole, or none. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "analysis/snapshot.h"
#include "base/arena.h"

enum { WORDS = 24, WRITTEN = 300000 };

static void test_last_value(void **state)
{
    struct snapshot *s = xcalloc(1, snapshot_size(WORDS));
    uint64_t words[WORDS] = {0}, seen[WORDS], first, second;
    (void)state;
    assert_false(snapshot_load(s, seen, WORDS, &first)); /* never written */
    words[WORDS - 1] = 1;
    snapshot_store(s, words, WORDS);
    assert_true(snapshot_load(s, seen, WORDS, &first));
    assert_int_equal(seen[WORDS - 1], 1);
    assert_int_equal(snapshot_sequence(s), first);
    words[0] = 2;
    snapshot_store(s, words, WORDS);
    assert_true(snapshot_sequence(s) != first);
    assert_true(snapshot_load(s, seen, WORDS, &second));
    assert_int_equal(seen[0], 2);
    assert_true(second > first);
    free(s);
}

struct writer {
    struct snapshot *to;
    atomic_bool done;
};

static void *write_values(void *arg)
{
    struct writer *w = arg;
    uint64_t words[WORDS];
    for (uint64_t n = 1; n <= WRITTEN; n++) {
        for (size_t i = 0; i < WORDS; i++)
            words[i] = n * (i + 1);
        snapshot_store(w->to, words, WORDS);
    }
    atomic_store(&w->done, true);
    return NULL;
}

static void test_never_torn(void **state)
{
    struct writer w = {.to = xcalloc(1, snapshot_size(WORDS))};
    uint64_t words[WORDS], sequence, last = 0, whole = 0, looks = 0;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, write_values, &w), 0);
    for (bool done = false; !done; looks++) {
        done = atomic_load(&w.done); /* and once more after it */
        if (!snapshot_load(w.to, words, WORDS, &sequence))
            continue;
        whole++;
        for (size_t i = 0; i < WORDS; i++)
            assert_int_equal(words[i], words[0] * (i + 1));
        assert_true(words[0] >= last);
        assert_int_equal(sequence, 2 * words[0]);
        last = words[0];
    }
    pthread_join(thread, NULL);
    assert_int_equal(last, WRITTEN);
    printf("           %ju of %ju looks found a value\n", (uintmax_t)whole, (uintmax_t)looks);
    free(w.to);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_last_value),
        cmocka_unit_test(test_never_torn),
    };
    return cmocka_run_group_tests_name("snapshot", tests, NULL, NULL);
}
