/* Running out of descriptors: the loop goes on, and accepting comes back by itself. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "net/acceptor.h"

enum { CLIENTS = 8 };

static int accepted[64];
static int accepted_count;

static void on_accept(struct acceptor *a, int fd)
{
    (void)a;
    accepted[accepted_count++] = fd;
}

static void run_until_accepted(uv_loop_t *loop, int count)
{
    for (int i = 0; i < 1000 && accepted_count < count; i++)
        uv_run(loop, UV_RUN_ONCE);
    assert_int_equal(accepted_count, count);
}

static int lowest_free_descriptor(void)
{
    int fd = dup(0);

    close(fd);
    return fd;
}

static void test_comes_back_after_exhaustion(void **state)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t len = sizeof(at);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0), clients[CLIENTS];
    struct acceptor a;
    struct rlimit before, tight;
    uv_loop_t loop;

    (void)state;
    assert_int_equal(bind(fd, (struct sockaddr *)&at, sizeof(at)), 0);
    assert_int_equal(listen(fd, 64), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&at, &len), 0);
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(acceptor_open(&a, &loop, fd, on_accept, NULL), 0);
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = socket(AF_INET, SOCK_STREAM, 0);
        assert_int_equal(connect(clients[i], (struct sockaddr *)&at, sizeof(at)), 0);
    }

    /* Room for two more descriptors. */
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    tight.rlim_cur = (rlim_t)lowest_free_descriptor() + 2;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    run_until_accepted(&loop, 2);
    uint64_t exhausted = a.exhausted;
    while (a.exhausted < exhausted + 2)
        uv_run(&loop, UV_RUN_ONCE); /* it rests and tries again; it does not spin in one turn */
    assert_int_equal(accepted_count, 2);

    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    run_until_accepted(&loop, CLIENTS);

    acceptor_close(&a, NULL);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&loop), 0);
    for (int i = 0; i < CLIENTS; i++) {
        close(clients[i]);
        close(accepted[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_comes_back_after_exhaustion)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
