/* Weights in shared memory: what one mapping writes the other reads, and foreign memory is refused.
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
#include <sys/mman.h>
#include <unistd.h>

#include "base/arena.h"
#include "policies/policy_set.h"
#include "proxy/weight_region.h"

enum { POLICIES = 3 };

struct set {
    struct policy_set set;
    struct policy policies[POLICIES];
    const struct policy *list[POLICIES];
};

static struct policy_set *make_set(struct set *s)
{
    static const char *const names[POLICIES] = {
        "chat", "a-name-of-sixty-three-bytes-which-is-the-longest-there-may-be-0", "embed"};

    memset(s, 0, sizeof(*s));
    for (size_t i = 0; i < POLICIES; i++) {
        s->policies[i].name = names[i];
        s->list[i] = &s->policies[i];
    }
    s->set = (struct policy_set){.policies = s->list, .count = POLICIES};
    return &s->set;
}

/* As the next process gets it: a descriptor of its own. */
static int passed(const struct weight_region *r)
{
    int fd = dup(weight_region_fd(r));

    assert_true(fd >= 0);
    return fd;
}

static void test_two_mappings_see_the_same_words(void **state)
{
    struct weight_region *other = NULL;
    struct error error = {0};
    struct set s;

    (void)state;
    struct weight_region *own = weight_region_new(make_set(&s), &error);
    assert_true(weight_region_fd(own) >= 0);
    struct weight *words = weight_region_words(own);
    for (size_t i = 0; i < POLICIES; i++) {
        assert_int_equal(weight_read(&words[i]).weight_bp, 0);
        assert_int_equal((uintptr_t)&words[i] % 64, 0);
        assert_ptr_equal(weight_region_find(own, s.policies[i].name), &words[i]);
    }
    assert_true(weight_set(&words[2], 7, 2500));
    assert_int_equal(weight_region_map(passed(own), &other, &error), 0);
    assert_int_equal(weight_region_count(other), POLICIES);
    struct weight *theirs = weight_region_find(other, "embed");
    assert_non_null(theirs);
    assert_int_equal(weight_read(theirs).epoch, 7);
    weight_follow(theirs, 0);
    assert_int_equal(weight_read(&words[2]).weight_bp, 0);
    assert_int_equal(weight_read(&words[2]).epoch, 8);
    assert_null(weight_region_find(other, "unknown"));
    /* Who made it goes first: the words stay where they are. */
    weight_region_free(own);
    weight_follow(theirs, 100);
    assert_int_equal(weight_read(theirs).weight_bp, 100);
    weight_region_free(other);
}

static void test_without_rollouts(void **state)
{
    const struct policy_set empty = {.count = 0};
    struct weight_region *other = NULL;
    struct error error = {0};

    (void)state;
    struct weight_region *own = weight_region_new(&empty, &error);
    assert_int_equal(weight_region_map(passed(own), &other, &error), 0);
    assert_null(weight_region_find(other, "chat"));
    weight_region_free(own);
    weight_region_free(other);
}

/* The bytes of a region, changed at `at`, as memory of its own. */
static int forged(const struct weight_region *r, size_t bytes, size_t at, char value, bool seal)
{
    char *copy = xmalloc(bytes);
    int fd = memfd_create("forged", MFD_CLOEXEC | MFD_ALLOW_SEALING);

    assert_int_equal(pread(weight_region_fd(r), copy, bytes, 0), bytes);
    copy[at] = value;
    assert_int_equal(write(fd, copy, bytes), bytes);
    free(copy);
    if (seal)
        assert_int_equal(fcntl(fd, F_ADD_SEALS, F_SEAL_SHRINK), 0);
    return fd;
}

static void test_memory_that_is_not_ours_is_refused(void **state)
{
    enum { WHOLE = 64 + POLICIES * 128, COUNT_AT = 24, VERSION_AT = 8, NAME_AT = 64 + 64 };
    static const struct {
        const char *what;
        size_t bytes, at;
        char value;
        bool seal;
    } rows[] = {
        {"magic", WHOLE, 0, 'x', true},
        {"version", WHOLE, VERSION_AT, 99, true},
        {"header size", WHOLE, 12, 1, true},
        {"name size", WHOLE, 16, 1, true},
        {"word size", WHOLE, 20, 8, true},
        {"more rollouts than bytes", WHOLE, COUNT_AT, POLICIES + 1, true},
        {"fewer rollouts than bytes", WHOLE, COUNT_AT, POLICIES - 1, true},
        {"very many rollouts", WHOLE, COUNT_AT + 3, 0x7f, true},
        {"cut", WHOLE - 1, 0, 's', true},
        {"cut within the header", 63, 0, 's', true},
        {"a name without end", WHOLE, NAME_AT + 63, 'x', true},
        {"not sealed: it could shrink under us", WHOLE, 0, 's', false},
    };
    struct weight_region *other = NULL;
    struct error error = {0};
    struct set s;

    (void)state;
    struct weight_region *own = weight_region_new(make_set(&s), &error);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int fd = forged(own, rows[i].bytes, rows[i].at, rows[i].value, rows[i].seal);
        if (weight_region_map(fd, &other, &error) != -EPROTO)
            fail_msg("taken: %s", rows[i].what);
        assert_true(strlen(error.message) > 0);
        close(fd);
    }
    int ends[2];
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(weight_region_map(ends[0], &other, &error), -EPROTO);
    close(ends[0]);
    close(ends[1]);
    weight_region_free(own);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_mappings_see_the_same_words),
        cmocka_unit_test(test_without_rollouts),
        cmocka_unit_test(test_memory_that_is_not_ours_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
