/* The access log's file as its readers see it: whole lines, in order, also where it is shared or
 * renamed.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/arena.h"
#include "proxy/access_log.h"

enum { LINES = 150, LINE_BYTES = 1500, WRITERS = 3, ROUNDS = 20 };

/* "w 007 xxx…": a length of its own for each, so that they meet the ring's end anywhere. */
static size_t make_line(char to[LINE_BYTES + 1], size_t writer, size_t n)
{
    size_t len = LINE_BYTES - (writer * 131 + n * 17) % 700;

    memset(to, 'x', len);
    int head = snprintf(to, 32, "%zu %06zu ", writer, n);
    to[head] = 'x';
    to[len - 1] = '\n';
    return len;
}

static char *read_all(const char *path, size_t *ret_len)
{
    struct stat st;
    int fd = open(path, O_RDONLY);

    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &st), 0);
    char *bytes = xmalloc((size_t)st.st_size + 1);
    assert_int_equal(read(fd, bytes, (size_t)st.st_size), st.st_size);
    close(fd);
    *ret_len = (size_t)st.st_size;
    return bytes;
}

/* Every line is one that was written, each writer's in their order. Returns how many. */
static size_t assert_whole_lines(const char *path, size_t next[static WRITERS])
{
    char line[LINE_BYTES + 1];
    size_t len, count = 0;
    char *bytes = read_all(path, &len);

    for (size_t at = 0; at < len; count++) {
        size_t writer = (size_t)(bytes[at] - '0');
        assert_true(writer < WRITERS);
        size_t n = make_line(line, writer, next[writer]++);
        assert_true(n <= len - at);
        assert_memory_equal(bytes + at, line, n);
        at += n;
    }
    free(bytes);
    return count;
}

static void make_path(char path[static 64])
{
    strcpy(path, "/tmp/sluice-access-log-XXXXXX");
    int fd = mkstemp(path);

    assert_true(fd >= 0);
    close(fd);
}

/* As two processes do in an upgrade, with the ends of their rings met on the way. */
static void test_lines_stay_whole_in_a_file_that_is_shared(void **state)
{
    size_t next[WRITERS] = {0};
    struct error error = {0};
    char path[64], line[LINE_BYTES + 1];

    (void)state;
    make_path(path);
    for (size_t round = 0; round < ROUNDS; round++) {
        struct access_log *logs[WRITERS];
        for (size_t w = 0; w < WRITERS; w++)
            assert_int_equal(access_log_new(path, 1, &logs[w], &error), 0);
        for (size_t n = round * LINES; n < (round + 1) * LINES; n++)
            for (size_t w = 0; w < WRITERS; w++)
                assert_true(access_log_add(logs[w], 0, (struct str){line, make_line(line, w, n)}));
        for (size_t w = 0; w < WRITERS; w++)
            access_log_free(logs[w]);
    }
    assert_int_equal(assert_whole_lines(path, next), WRITERS * LINES * ROUNDS);
    unlink(path);
}

/* A rotation: what was added before may land in either file, but nothing is lost or torn. */
static void test_a_renamed_file_is_let_go_between_two_lines(void **state)
{
    size_t next[WRITERS] = {0}, before, after;
    struct error error = {0};
    char path[64], renamed[80], line[LINE_BYTES + 1];
    struct access_log *log;

    (void)state;
    make_path(path);
    snprintf(renamed, sizeof(renamed), "%s.1", path);
    assert_int_equal(access_log_new(path, 1, &log, &error), 0);
    for (size_t n = 0; n < LINES; n++) {
        if (n == LINES / 2) {
            assert_int_equal(rename(path, renamed), 0);
            assert_int_equal(access_log_reopen(log, &error), 0);
            assert_int_equal(access_log_reopen(log, &error), 0); /* before the first is noticed */
        }
        access_log_add(log, 0, (struct str){line, make_line(line, 0, n)});
    }
    access_log_free(log);
    before = assert_whole_lines(renamed, next);
    after = assert_whole_lines(path, next);
    assert_int_equal(before + after, LINES);
    unlink(path);
    unlink(renamed);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_lines_stay_whole_in_a_file_that_is_shared),
        cmocka_unit_test(test_a_renamed_file_is_let_go_between_two_lines),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
