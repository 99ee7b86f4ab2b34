/* Files, folders, and what stands in several of them. */
#include "policies/policy_set.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "tests/unit/policies/parse.h"

#define POLICY(name_, match_)                                                                      \
    "rollout: " name_ "\nstable: {version: \"1\", endpoints: [http://a]}\nmatch: {" match_ "}\n"

struct fixture {
    char folder[64];
    struct policy_set *set;
    struct source_files sources;
    struct diagnostics errors;
    int rc;
};

static void path_of(const struct fixture *f, const char *name, char to[static 256])
{
    snprintf(to, 256, "%s/%s", f->folder, name);
}

static void put(const struct fixture *f, const char *name, const char *text)
{
    char path[256];

    path_of(f, name, path);
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void unload(struct fixture *f)
{
    policy_set_unref(f->set);
    f->set = NULL;
    diagnostics_deinit(&f->errors);
    source_files_deinit(&f->sources);
}

/* Loads names of the folder ("" is the folder itself). */
static void load(struct fixture *f, const char *const *names, size_t count)
{
    char paths[8][256];
    const char *pointers[8];

    unload(f);
    for (size_t i = 0; i < count; i++) {
        path_of(f, names[i], paths[i]);
        pointers[i] = paths[i];
    }
    f->rc = policy_set_load(pointers, count, 7, &f->set, &f->sources, &f->errors);
}

#define LOAD(f, ...)                                                                               \
    load((f), (const char *const[]){__VA_ARGS__},                                                  \
         sizeof((const char *const[]){__VA_ARGS__}) / sizeof(char *))

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));

    strcpy(f->folder, "/tmp/sluice-test-XXXXXX");
    if (mkdtemp(f->folder) == NULL)
        return -1;
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    char command[128];

    unload(f);
    snprintf(command, sizeof(command), "rm -rf '%s'", f->folder);
    int rc = system(command);
    free(f);
    return rc;
}

static void test_folder_in_order_of_names(void **state)
{
    struct fixture *f = *state;

    put(f, "b.yaml", POLICY("b", "paths: [/b]"));
    put(f, "a.yml", POLICY("a1", "paths: [/a1]") "---\n" POLICY("a2", "paths: [/a2]"));
    put(f, "c.txt", "not read\n");
    put(f, ".hidden.yaml", "not read\n");
    LOAD(f, "");
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->set->generation, 7);
    assert_int_equal(f->set->count, 3);
    assert_string_equal(f->set->policies[0]->name, "a1");
    assert_string_equal(f->set->policies[1]->name, "a2");
    assert_string_equal(f->set->policies[2]->name, "b");
    assert_int_equal(f->set->policies[1]->at.line, 5);
    assert_non_null(f->set->config);
    assert_null(f->set->config->file);
}

static void test_file_reached_twice_is_loaded_once(void **state)
{
    struct fixture *f = *state;
    char from[256], to[256];

    put(f, "a.yaml", POLICY("a", ""));
    path_of(f, "a.yaml", from);
    path_of(f, "z.yaml", to);
    assert_int_equal(symlink(from, to), 0);
    LOAD(f, "a.yaml", "", "a.yaml");
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->set->count, 1);
}

static void test_policies_are_found_from_the_configuration(void **state)
{
    struct fixture *f = *state;
    char folder[256];

    path_of(f, "policies.d", folder);
    assert_int_equal(mkdir(folder, 0700), 0);
    put(f, "policies.d/a.yaml", POLICY("a", ""));
    put(f, "sluice.yaml", "proxy: {workers: 2}\npolicies: policies.d\n");
    LOAD(f, "sluice.yaml");
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->set->count, 1);
    assert_int_equal(f->set->config->workers, 2);
}

static void test_no_policy_is_no_error(void **state)
{
    struct fixture *f = *state;

    LOAD(f, "");
    assert_int_equal(f->rc, 0);
    assert_int_equal(f->set->count, 0);
    assert_int_equal(f->errors.count, 1); /* but said */
    assert_int_equal(f->errors.warnings, 1);
}

static void test_what_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    char path[256];

    LOAD(f, "none.yaml");
    assert_int_equal(f->rc, -EINVAL);
    assert_int_equal(f->errors.count, 1);
    assert_string_equal(f->errors.items[0].message, "cannot read: No such file or directory");
    assert_true(str_ends_with(str_from(f->errors.items[0].at.file), STR("/none.yaml")));
    assert_true(f->errors.items[0].hint[0] != '\0');

    path_of(f, "pipe.yaml", path);
    assert_int_equal(mkfifo(path, 0600), 0); /* must not hang */
    LOAD(f, "");
    assert_int_equal(f->rc, -EINVAL);
    assert_string_equal(f->errors.items[0].message, "is not a regular file");
}

static void test_file_that_is_too_large(void **state)
{
    struct fixture *f = *state;
    char *text = malloc(POLICY_FILE_BYTES_MAX + 2);

    memset(text, '#', POLICY_FILE_BYTES_MAX + 1);
    text[POLICY_FILE_BYTES_MAX + 1] = '\0';
    put(f, "a.yaml", text);
    free(text);
    LOAD(f, "a.yaml");
    assert_int_equal(f->rc, -EINVAL);
    assert_string_equal(f->errors.items[0].message, "the file is larger than 1MiB");
    assert_int_equal(f->errors.items[0].at.line, 1);
}

/* One bad file refuses the whole set, and every file's errors are there, in order. */
static void test_errors_of_all_files(void **state)
{
    struct fixture *f = *state;

    put(f, "a.yaml", POLICY("a", "") "stat: auto\n");
    put(f, "b.yaml", POLICY("b", "paths: [/b]"));
    put(f, "c.yaml", "rollout: c\n");
    LOAD(f, "c.yaml", "b.yaml", "a.yaml");
    assert_int_equal(f->rc, -EINVAL);
    assert_null(f->set);
    assert_int_equal(f->errors.count, 2);
    assert_true(str_ends_with(str_from(f->errors.items[0].at.file), STR("/a.yaml")));
    assert_int_equal(f->errors.items[0].at.line, 4);
    assert_true(str_ends_with(str_from(f->errors.items[1].at.file), STR("/c.yaml")));
    struct str text = source_files_text(&f->sources, f->errors.items[1].at.file);
    assert_true(str_eq(text, STR("rollout: c\n")));
    assert_int_equal(source_files_text(&f->sources, "unknown").len, 0);
}

static void test_names_across_files(void **state)
{
    struct fixture *f = *state;

    put(f, "z.yaml", POLICY("a", "paths: [/z]"));
    put(f, "a.yaml", POLICY("a", "paths: [/a]"));
    LOAD(f, "z.yaml", "a.yaml"); /* what came first is what was given first */
    assert_int_equal(f->rc, -EINVAL);
    assert_int_equal(f->errors.count, 1);
    assert_true(str_ends_with(str_from(f->errors.items[0].at.file), STR("/a.yaml")));
    assert_non_null(strstr(f->errors.items[0].message, "z.yaml:1"));
}

static void test_ties(void **state)
{
    static const struct {
        const char *a, *b;
        bool tie;
    } rows[] = {
        {"", "", true},
        {"hosts: [x]", "", false},
        {"hosts: [x]", "hosts: [X]", true},
        {"hosts: [x]", "hosts: ['*.x']", false},
        {"hosts: [x, y]", "hosts: [z, y]", true},
        {"hosts: [x], paths: [/]", "hosts: [x]", false}, /* a path is longer than none */
        {"paths: [/v1/, /v2/]", "paths: [/v2/]", true},
        {"paths: [/v1/]", "paths: [/v1]", false},
        {"methods: [GET]", "methods: [POST]", false},
        {"methods: [GET, PUT]", "methods: [POST, PUT]", true},
        {"methods: [GET]", "", false},               /* more conditions go first */
        {"headers: {x: 1}", "methods: [GET]", true}, /* both can hold, none goes first */
        {"headers: {x: 1}", "headers: {X: 2}", false},
        {"headers: {x: 1}", "headers: {y: 2}", true},
        {"headers: {x: 1, y: 2}", "headers: {y: 2}", false},
        {"headers: {x: 1}, methods: [GET]", "headers: {x: 1}, methods: [GET]", true},
    };
    struct fixture *f = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char text[512];
        snprintf(text, sizeof(text), POLICY("a", "%s"), rows[i].a);
        put(f, "a.yaml", text);
        snprintf(text, sizeof(text), POLICY("b", "%s"), rows[i].b);
        put(f, "b.yaml", text);
        LOAD(f, "");
        if ((f->rc != 0) != rows[i].tie)
            fail_msg("{%s} and {%s}", rows[i].a, rows[i].b);
    }
}

static void test_the_last_reference_frees(void **state)
{
    struct fixture *f = *state;

    put(f, "a.yaml", POLICY("a", ""));
    LOAD(f, "a.yaml");
    struct policy_set *set = policy_set_ref(f->set);
    policy_set_unref(f->set);
    f->set = set;
    assert_string_equal(set->policies[0]->name, "a");
    policy_set_unref(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_folder_in_order_of_names, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_reached_twice_is_loaded_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_policies_are_found_from_the_configuration, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_no_policy_is_no_error, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_cannot_be_read, setup, teardown),
        cmocka_unit_test_setup_teardown(test_file_that_is_too_large, setup, teardown),
        cmocka_unit_test_setup_teardown(test_errors_of_all_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_names_across_files, setup, teardown),
        cmocka_unit_test_setup_teardown(test_ties, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_last_reference_frees, setup, teardown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
