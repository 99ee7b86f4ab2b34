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
    enum {
        WHOLE = 64 + POLICIES * (384 + 64),
        COUNT_AT = 24,
        VERSION_AT = 8,
        NAME_AT = 64 + 384,
        CANARY_AT = NAME_AT + 64 + 160
    };
    static const struct {
        const char *what;
        size_t bytes, at;
        char value;
        bool seal;
    } rows[] = {
        {"magic", WHOLE, 0, 'x', true},
        {"version", WHOLE, VERSION_AT, 99, true},
        {"header size", WHOLE, 12, 1, true},
        {"entry size", WHOLE, 16, 1, true},
        {"word size", WHOLE, 20, 8, true},
        {"more rollouts than bytes", WHOLE, COUNT_AT, POLICIES + 1, true},
        {"fewer rollouts than bytes", WHOLE, COUNT_AT, POLICIES - 1, true},
        {"very many rollouts", WHOLE, COUNT_AT + 3, 0x7f, true},
        {"cut", WHOLE - 1, 0, 's', true},
        {"cut within the header", 63, 0, 's', true},
        {"a name without end", WHOLE, NAME_AT + 63, 'x', true},
        {"a version without end", WHOLE, CANARY_AT + 159, 'x', true},
        {"not sealed: it could shrink under us", WHOLE, 0, 's', false},
    };
    struct weight_region *other = NULL;
    struct error error = {0};
    struct set s;
    char label[160];

    (void)state;
    memset(label, 'v', sizeof(label) - 1);
    label[sizeof(label) - 1] = '\0';
    make_set(&s);
    s.policies[1].versions[VARIANT_CANARY].version = label; /* a byte more has no end */
    struct weight_region *own = weight_region_new(&s.set, &error);
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

/* What somebody who decides about these versions means for a process that runs those. */
static void test_a_weight_belongs_to_its_versions(void **state)
{
    static const struct {
        const char *what;
        const char *stable, *canary; /* of who decides; the region has 1.0.0 and 2.0.0, at 50 % */
        uint32_t weight_bp, want_bp;
    } rows[] = {
        {"the same", "1.0.0", "2.0.0", 2500, 2500},
        {"the same, taken back", "1.0.0", "2.0.0", 0, 0},
        {"another stable beside the same canary", "1.0.1", "2.0.0", 0, 0},
        {"promoted, and the next begins", "2.0.0", "3.0.0", 0, 10000},
        {"promoted, and the next is far", "2.0.0", "3.0.0", 7500, 10000},
        {"promoted, and nothing next", "2.0.0", NULL, 0, 10000},
        {"taken out of the policy", "1.0.0", NULL, 0, 0},
        {"another in its place", "1.0.0", "2.0.1", 7500, 0},
        {"all is new", "3.0.0", "4.0.0", 0, 5000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct error error = {0};
        struct set s, decides;
        make_set(&s);
        make_set(&decides);
        s.policies[1].versions[VARIANT_STABLE].version = "1.0.0";
        s.policies[1].versions[VARIANT_CANARY].version = "2.0.0";
        decides.policies[1].versions[VARIANT_STABLE].version = rows[i].stable;
        decides.policies[1].versions[VARIANT_CANARY].version = rows[i].canary;
        struct weight_region *r = weight_region_new(&s.set, &error);
        struct weight *words = weight_region_words(r);
        weight_follow(&words[1], 5000);
        weight_region_follow(r, &decides.policies[1], rows[i].weight_bp);
        if (weight_read(&words[1]).weight_bp != rows[i].want_bp)
            fail_msg("%s: %u", rows[i].what, weight_read(&words[1]).weight_bp);
        decides.policies[1].name = "unknown";
        weight_region_follow(r, &decides.policies[1], 1);
        assert_int_equal(weight_read(&words[0]).weight_bp, 0);
        weight_region_free(r);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_two_mappings_see_the_same_words),
        cmocka_unit_test(test_without_rollouts),
        cmocka_unit_test(test_memory_that_is_not_ours_is_refused),
        cmocka_unit_test(test_a_weight_belongs_to_its_versions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
