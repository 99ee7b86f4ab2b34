/* What one process says to the next: descriptors arrive, and what is no message of ours is refused.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/str.h"
#include "cli/handover.h"

static void test_a_message_arrives_with_its_descriptors(void **state)
{
    struct handover_message sent = {.kind = HANDOVER_PROXY_SOCKETS,
                                    .group = 7,
                                    .text = "127.0.0.1:8080",
                                    .fd_count = HANDOVER_FDS_MAX};
    struct handover_message got;
    int ends[2], through[2];
    char byte = 0;

    (void)state;
    assert_int_equal(handover_pair(ends), 0);
    assert_int_equal(pipe(through), 0);
    for (size_t i = 0; i < HANDOVER_FDS_MAX; i++)
        sent.fds[i] = through[1];
    assert_int_equal(handover_receive(ends[1], &got), -EAGAIN);
    assert_int_equal(handover_send(ends[0], &sent), 0);
    assert_int_equal(handover_await(ends[1], 1000, &got), 0);
    assert_int_equal(got.kind, HANDOVER_PROXY_SOCKETS);
    assert_int_equal(got.group, 7);
    assert_string_equal(got.text, "127.0.0.1:8080");
    assert_int_equal(got.fd_count, HANDOVER_FDS_MAX);
    close(through[1]);
    for (size_t i = 0; i < got.fd_count; i++) {
        assert_int_equal(write(got.fds[i], "x", 1), 1);
        assert_int_equal(read(through[0], &byte, 1), 1);
        assert_true(fcntl(got.fds[i], F_GETFD) & FD_CLOEXEC);
    }
    handover_close_fds(&got);
    assert_int_equal(read(through[0], &byte, 1), 0); /* no copy is left anywhere */
    close(through[0]);
    close(ends[0]);
    assert_int_equal(handover_receive(ends[1], &got), -EPIPE);
    assert_int_equal(handover_send(ends[1], &sent), -EBADF); /* the descriptors in it are closed */
    sent.fd_count = 0;
    assert_int_equal(handover_send(ends[1], &sent), -EPIPE);
    close(ends[1]);
}

/* Sixteen listeners of 64 sockets, said before anybody listens. */
static void test_everything_fits_before_it_is_read(void **state)
{
    struct handover_message m = {.kind = HANDOVER_PROXY_SOCKETS, .fd_count = HANDOVER_FDS_MAX};
    int ends[2];

    (void)state;
    assert_int_equal(handover_pair(ends), 0);
    for (size_t i = 0; i < HANDOVER_FDS_MAX; i++)
        m.fds[i] = ends[0];
    for (int i = 0; i < 16 + 3; i++)
        assert_int_equal(handover_send(ends[0], &m), 0);
    for (int i = 0; i < 16 + 3; i++) {
        assert_int_equal(handover_receive(ends[1], &m), 0);
        handover_close_fds(&m);
    }
    close(ends[0]);
    close(ends[1]);
}

static void test_what_is_no_message_of_ours_is_refused(void **state)
{
    enum { PACKET = 8 + 4 * 4 + HANDOVER_TEXT_MAX + 1 };
    static const struct {
        const char *what;
        size_t at, len;
        char value;
    } rows[] = {
        {"magic", 0, PACKET, 'x'},      {"version", 8, PACKET, 9},
        {"kind", 12, PACKET, 0},        {"unknown kind", 12, PACKET, HANDOVER_KIND_COUNT},
        {"descriptors", 20, PACKET, 1}, {"too short", 0, PACKET - 1, 's'},
        {"a byte", 0, 1, 's'},
    };
    const struct handover_message good = {.kind = HANDOVER_READY};
    struct handover_message got;
    char bytes[PACKET + 1];
    int ends[2];

    (void)state;
    assert_int_equal(handover_pair(ends), 0);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_int_equal(handover_send(ends[0], &good), 0);
        assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), PACKET);
        bytes[rows[i].at] = rows[i].value;
        assert_int_equal(send(ends[0], bytes, rows[i].len, 0), rows[i].len);
        if (handover_receive(ends[1], &got) != -EPROTO)
            fail_msg("taken: %s", rows[i].what);
    }
    assert_int_equal(handover_send(ends[0], &good), 0);
    assert_int_equal(recv(ends[1], bytes, sizeof(bytes), 0), PACKET);
    memset(bytes + PACKET - HANDOVER_TEXT_MAX - 1, 'x', HANDOVER_TEXT_MAX + 1); /* no end */
    assert_int_equal(send(ends[0], bytes, PACKET, 0), PACKET);
    assert_int_equal(handover_receive(ends[1], &got), -EPROTO);
    assert_int_equal(handover_await(ends[1], 0, &got), -ETIMEDOUT);
    close(ends[0]);
    close(ends[1]);
}

static void test_memory_files(void **state)
{
    size_t len = 0;

    (void)state;
    int fd = handover_write_file("test", STR("{\"chat\":1}"));
    assert_true(fd >= 0);
    char *bytes = handover_read_file(fd, 1024, &len);
    assert_string_equal(bytes, "{\"chat\":1}");
    assert_int_equal(len, 10);
    free(bytes);
    assert_null(handover_read_file(fd, 9, &len)); /* larger than is wanted */
    assert_int_equal(write(fd, "x", 1), -1);      /* nobody changes it while it is read */
    close(fd);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_a_message_arrives_with_its_descriptors),
        cmocka_unit_test(test_everything_fits_before_it_is_read),
        cmocka_unit_test(test_what_is_no_message_of_ours_is_refused),
        cmocka_unit_test(test_memory_files),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
