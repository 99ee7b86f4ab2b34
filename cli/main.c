/* The subcommand table, which is the help. */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/respawn.h"

static const struct cli_command *const commands[] = {
    &command_run,     &command_check,    &command_list,    &command_status,  &command_wait,
    &command_promote, &command_pause,    &command_resume,  &command_approve, &command_rollback,
    &command_retry,   &command_simulate, &command_history, &command_explain, &command_journal,
    &command_replay,  &command_version,
};

/* Known to belong to sluice, and not there: typed by people who read about it elsewhere. */
static const char *const absent[] = {"proxy",  "controller", "release", "settle", "remove",
                                     "freeze", "reload",     "backup",  "notify", "top"};

static void print_overview(FILE *f)
{
    struct strbuf out;

    strbuf_init(&out, 16 * 1024);
    strbuf_add(&out, STR("sluice: splits traffic between two versions of a model API, and takes a "
                         "bad one back\n\nusage: sluice COMMAND [options]\n\ncommands:\n"));
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        strbuf_addf(&out, "  %-9s %s\n", commands[i]->name, commands[i]->summary);
    strbuf_add(&out, STR("\n`sluice COMMAND --help` describes one, with an example. To begin:\n"
                         "  sluice check sluice.yaml && sluice run sluice.yaml\n"));
    output_write(f, &out);
    strbuf_deinit(&out);
}

static const struct cli_command *find(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        if (strcmp(commands[i]->name, name) == 0)
            return commands[i];
    return NULL;
}

static int unknown_command(const char *name)
{
    const char *names[ARRAY_LEN(commands)];

    for (size_t i = 0; i < ARRAY_LEN(absent); i++)
        if (strcmp(absent[i], name) == 0) {
            fprintf(stderr, "sluice: %s is not supported yet\n", name);
            return CLI_USAGE;
        }
    for (size_t i = 0; i < ARRAY_LEN(commands); i++)
        names[i] = commands[i]->name;
    const char *near = nearest_name(name, names, ARRAY_LEN(names));
    fprintf(stderr, "sluice: unknown command \"%.64s\"", name);
    if (near != NULL)
        fprintf(stderr, ": did you mean %s?\n", near);
    else
        fprintf(stderr, "; sluice --help lists them\n");
    return CLI_USAGE;
}

static int print_help(const struct cli_command *command)
{
    struct strbuf out;

    strbuf_init(&out, 16 * 1024);
    options_help(command, &out);
    output_write(stdout, &out);
    strbuf_deinit(&out);
    return CLI_OK;
}

static int run_command(const struct cli_command *command, int argc, char *const *argv)
{
    static struct cli_args args; /* large, and there is one */
    struct error error = {.code = 0};

    if (options_parse(command, argc, argv, &args, &error) != 0) {
        fprintf(stderr, "sluice %s: %s\n", command->name, error.message);
        if (error.hint[0] != '\0')
            fprintf(stderr, "  hint: %s\n", error.hint);
        return CLI_USAGE;
    }
    return args.help ? print_help(command) : command->run(&args);
}

#ifdef __SANITIZE_THREAD__
/* libuv closes descriptors by a bare system call. ThreadSanitizer does not see that, and where it
 * has not seen the opening either takes the next thread that is given the number for a racer; so
 * too with a directory's, which it does see close. */
const char *__tsan_default_suppressions(void);
const char *__tsan_default_suppressions(void)
{
    return "race:uv_pipe\nrace:run_upgrade.c\nrace:closedir\n";
}
#endif

int main(int argc, char **argv)
{
    const char *name = argc > 1 ? argv[1] : NULL;

    respawn_remember(argv);

    /* Writes to a closed pipe or connection are errors where they happen. */
    signal(SIGPIPE, SIG_IGN);
    if (name == NULL) {
        print_overview(stderr);
        return CLI_USAGE;
    }
    if (strcmp(name, "--version") == 0 || strcmp(name, "-V") == 0)
        name = "version";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0) {
        const struct cli_command *about = argc > 2 ? find(argv[2]) : NULL;
        if (argc > 2 && about == NULL)
            return unknown_command(argv[2]);
        if (about != NULL)
            return print_help(about);
        print_overview(stdout);
        return CLI_OK;
    }
    const struct cli_command *command = find(name);
    return command == NULL ? unknown_command(name) : run_command(command, argc - 2, argv + 2);
}
