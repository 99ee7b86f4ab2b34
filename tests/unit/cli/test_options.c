/* Command lines: what is accepted, what a mistake is told, and that the help names every option. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <errno.h>
#include <string.h>

#include "base/check.h"
#include "cli/options.h"

static const struct cli_option options[] = {
    {"reason", 'r', "TEXT", "why"},
    {"full", 0, NULL, "all of it"},
};
static const struct cli_command command = {
    .name = "promote",
    .summary = "one step up",
    .usage = "NAME [--full]",
    .example = "  sluice promote chat",
    .options = options,
    .option_count = 2,
    .args_min = 1,
    .args_max = 1,
    .client = true,
    .json = true,
};

static int parse(const char *line, struct cli_args *ret, struct error *reterr)
{
    static char copy[512];
    char *argv[32], *save = NULL;
    int argc = 0;

    strcpy(copy, line);
    for (char *w = strtok_r(copy, " ", &save); w != NULL; w = strtok_r(NULL, " ", &save))
        argv[argc++] = w;
    return options_parse(&command, argc, argv, ret, reterr);
}

static void options_and_arguments_mix(void **state)
{
    static const char *const lines[] = {
        "chat --reason x --full", "--full chat --reason=x", "--reason x --full -- chat",
        "-r x chat --full",       "-rx --full chat",        "--reason y --reason x chat --full",
    };
    struct cli_args a;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        if (parse(lines[i], &a, NULL) != 0)
            fail_msg("refused: %s", lines[i]);
        assert_int_equal(a.arg_count, 1);
        assert_string_equal(a.args[0], "chat");
        assert_string_equal(option_value(&a, "reason"), "x");
        assert_true(option_given(&a, "full"));
        assert_false(option_given(&a, "admin"));
        assert_false(option_json(&a));
    }
    assert_int_equal(parse("chat -o json --admin http://x --reason=", &a, NULL), 0);
    assert_true(option_json(&a));
    assert_string_equal(option_value(&a, "admin"), "http://x");
    assert_string_equal(option_value(&a, "reason"), "");
    assert_int_equal(parse("-- --full", &a, NULL), 0);
    assert_string_equal(a.args[0], "--full");
}

static const struct {
    const char *line, *message, *hint;
} mistakes[] = {
    {"chat --raeson x", "--raeson", "did you mean --reason?"},
    {"chat --ful", "--ful", "did you mean --full?"},
    {"chat --zzz", "--zzz", ""},
    {"chat -x", "-x", ""},
    {"chat --full=yes", "takes no value", ""},
    {"chat --reason", "needs a value", ""},
    {"chat -o xml", "json or text", ""},
    {"", "NAME is missing", "usage: sluice promote NAME [--full]"},
    {"chat embed", "\"embed\"", "usage: sluice promote NAME [--full]"},
};

static void mistakes_are_told(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(mistakes); i++) {
        struct cli_args a = {.arg_count = 77};
        struct error e = {.code = 0};
        assert_int_equal(parse(mistakes[i].line, &a, &e), -EINVAL);
        assert_int_equal(a.arg_count, 77);
        if (strstr(e.message, mistakes[i].message) == NULL || strcmp(e.hint, mistakes[i].hint) != 0)
            fail_msg("%s: \"%s\" \"%s\"", mistakes[i].line, e.message, e.hint);
    }
}

static void help_needs_no_arguments_and_names_all(void **state)
{
    static const char *const words[] = {"usage: sluice promote NAME",
                                        "-r, --reason TEXT",
                                        "--full",
                                        "-o, --output json|text",
                                        "--admin URL",
                                        "--token TOKEN",
                                        "-h, --help",
                                        "example:\n  sluice promote chat\n"};
    struct strbuf text;
    struct cli_args a;

    (void)state;
    assert_int_equal(parse("--help", &a, NULL), 0);
    assert_true(a.help);
    strbuf_init(&text, 8192);
    options_help(&command, &text);
    for (size_t i = 0; i < ARRAY_LEN(words); i++)
        if (strstr(strbuf_cstr(&text), words[i]) == NULL)
            fail_msg("no \"%s\" in:\n%s", words[i], strbuf_cstr(&text));
    strbuf_deinit(&text);
}

static void nearest_names(void **state)
{
    static const char *const names[] = {"run", "check", "status", "rollback", "retry", "resume"};
    static const struct {
        const char *word, *want;
    } rows[] = {{"statsu", "status"},
                {"rolback", "rollback"},
                {"roll", "rollback"},
                {"chek", "check"},
                {"stat", "status"},
                {"rnu", "run"},
                {"frobnicate", NULL},
                {"x", NULL},
                {"", NULL}};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = nearest_name(rows[i].word, names, ARRAY_LEN(names));
        if ((got == NULL) != (rows[i].want == NULL) ||
            (got != NULL && strcmp(got, rows[i].want) != 0))
            fail_msg("%s: %s", rows[i].word, got == NULL ? "nothing" : got);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_and_arguments_mix),
        cmocka_unit_test(mistakes_are_told),
        cmocka_unit_test(help_needs_no_arguments_and_names_all),
        cmocka_unit_test(nearest_names),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
