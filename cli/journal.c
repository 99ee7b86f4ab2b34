/* `sluice journal`: a rollout's journal as a file. */
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/units.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote.h"

static const struct cli_option journal_options[] = {
    {"to", 0, "FILE", "write it there instead of to standard output"},
};

static int failed(const char *path, int error)
{
    fprintf(stderr, "sluice journal: cannot write %s: %s\n", path, strerror(error));
    return CLI_FAILED;
}

static int write_file(const char *path, struct str bytes)
{
    FILE *f = fopen(path, "wb");
    char size[UNITS_TEXT_MAX];

    if (f == NULL)
        return failed(path, errno);
    size_t written = fwrite(bytes.ptr, 1, bytes.len, f);
    int error = written == bytes.len ? 0 : errno;
    if (fclose(f) != 0 && error == 0)
        error = errno;
    if (error != 0)
        return failed(path, error);
    fprintf(stderr, "%s: %s\n", path, units_size_text(bytes.len, size));
    return CLI_OK;
}

static int write_out(struct str bytes)
{
    if (fwrite(bytes.ptr, 1, bytes.len, stdout) != bytes.len || fflush(stdout) != 0)
        return failed("standard output", errno);
    return CLI_OK;
}

static int run_journal(const struct cli_args *args)
{
    const char *to = option_value(args, "to");
    struct str bytes;

    if (to == NULL && isatty(STDOUT_FILENO) == 1) {
        fprintf(stderr, "sluice journal: a journal is no text for a terminal: --to FILE, or > FILE"
                        "\n");
        return CLI_USAGE;
    }
    struct remote *remote = remote_new(args);
    if (remote == NULL)
        return CLI_USAGE;
    char *path = remote_rollout_path(args->args[0], "/journal");
    int rc = remote_fetch(remote, path, &bytes);
    if (rc == CLI_OK)
        rc = to == NULL ? write_out(bytes) : write_file(to, bytes);
    free(path);
    remote_free(remote);
    return rc;
}

const struct cli_command command_journal = {
    .name = "journal",
    .summary =
        "save what a rollout's decisions rested on, to replay it or try another policy on it",
    .usage = "NAME [--to FILE]",
    .details =
        "The journal holds what was observed at each look at the rollout, each command and\n"
        "each decision, and the policy: all that `sluice replay` needs to take the decisions\n"
        "again. It is kept in memory, up to 8 MiB for a rollout (docs/journal.md), and ends\n"
        "with the process.",
    .example = "  sluice journal chat --to chat.journal && sluice replay chat.journal",
    .options = journal_options,
    .option_count = sizeof(journal_options) / sizeof(journal_options[0]),
    .args_min = 1,
    .args_max = 1,
    .client = true,
    .run = run_journal,
};
