/* Paths in files are relative to the file. */
#include "policies/named_file.h"

#include "base/check.h"
#include "tests/unit/policies/parse.h"

static void test_paths_are_relative_to_the_file(void **state)
{
    static const struct {
        const char *file, *written, *path;
    } rows[] = {
        {"sluice.yaml", "tls.key", "tls.key"},
        {"./sluice.yaml", "tls.key", "./tls.key"},
        {"/etc/sluice/sluice.yaml", "tls.key", "/etc/sluice/tls.key"},
        {"/etc/sluice/sluice.yaml", "../ssl/tls.key", "/etc/sluice/../ssl/tls.key"},
        {"/etc/sluice/sluice.yaml", "/run/tls.key", "/run/tls.key"},
        {"/sluice.yaml", "tls.key", "/tls.key"},
        {"/dev/stdin", "tls.key", "tls.key"},
        {"/dev/fd/63", "certs/tls.key", "certs/tls.key"},
        {NULL, "tls.key", "tls.key"},
    };
    struct arena arena;

    (void)state;
    arena_init(&arena);
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(named_file_path(&arena, rows[i].file, str_from(rows[i].written)),
                            rows[i].path);
    arena_deinit(&arena);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_paths_are_relative_to_the_file),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
