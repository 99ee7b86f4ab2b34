/* Descriptors between threads: each is somebody's at any time, and closed once. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <unistd.h>

#include "proxy/inbox.h"

static int descriptor(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

    assert_true(fd >= 0);
    return fd;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void test_comes_out_in_order_with_its_listener(void **state)
{
    struct inbox_connection got[INBOX_MAX];
    struct inbox i;

    (void)state;
    inbox_init(&i);
    assert_int_equal(inbox_take(&i, got), 0);
    assert_true(inbox_put(&i, (struct inbox_connection){100, 3}));
    assert_true(inbox_put(&i, (struct inbox_connection){101, 0}));
    assert_int_equal(inbox_count(&i), 2);
    assert_int_equal(inbox_take(&i, got), 2);
    assert_int_equal(got[0].fd, 100);
    assert_int_equal(got[0].listener, 3);
    assert_int_equal(got[1].fd, 101);
    assert_int_equal(inbox_count(&i), 0);
    assert_int_equal(inbox_take(&i, got), 0);
    inbox_deinit(&i);
}

static void test_full_or_closed_leaves_it_to_the_giver(void **state)
{
    struct inbox_connection got[INBOX_MAX];
    struct inbox i;

    (void)state;
    inbox_init(&i);
    for (int fd = 0; fd < INBOX_MAX; fd++)
        assert_true(inbox_put(&i, (struct inbox_connection){1000 + fd, 0}));
    assert_false(inbox_put(&i, (struct inbox_connection){5000, 0}));
    assert_int_equal(inbox_close(&i, got), INBOX_MAX);
    assert_int_equal(got[INBOX_MAX - 1].fd, 1000 + INBOX_MAX - 1);
    assert_false(inbox_put(&i, (struct inbox_connection){5000, 0}));
    assert_int_equal(inbox_close(&i, got), 0);
    inbox_deinit(&i);
}

static void test_what_nobody_took_is_closed(void **state)
{
    int fd = descriptor();
    struct inbox i;

    (void)state;
    inbox_init(&i);
    assert_true(inbox_put(&i, (struct inbox_connection){fd, 0}));
    assert_true(is_open(fd));
    inbox_deinit(&i);
    assert_false(is_open(fd));
}

enum { GIVERS = 3, EACH = 4000 };

struct giving {
    struct inbox inbox;
    _Atomic int refused;
};

static void *give(void *arg)
{
    struct giving *g = arg;

    for (int i = 0; i < EACH; i++)
        if (!inbox_put(&g->inbox, (struct inbox_connection){i, 0}))
            g->refused++;
    return NULL;
}

static void test_none_is_lost_between_threads(void **state)
{
    struct inbox_connection got[INBOX_MAX];
    pthread_t threads[GIVERS];
    static struct giving g;
    size_t taken = 0;

    (void)state;
    inbox_init(&g.inbox);
    for (size_t i = 0; i < GIVERS; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, give, &g), 0);
    for (int i = 0; i < 2000; i++)
        taken += inbox_take(&g.inbox, got);
    taken += inbox_close(&g.inbox, got);
    for (size_t i = 0; i < GIVERS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(taken + (size_t)g.refused, GIVERS * EACH);
    inbox_deinit(&g.inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_comes_out_in_order_with_its_listener),
        cmocka_unit_test(test_full_or_closed_leaves_it_to_the_giver),
        cmocka_unit_test(test_what_nobody_took_is_closed),
        cmocka_unit_test(test_none_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
