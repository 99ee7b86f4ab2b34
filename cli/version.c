/* `sluice version`. */
#include <stdio.h>

#include "cli/command.h"
#include "cli/options.h"

static int run_version(const struct cli_args *args)
{
    printf(option_json(args) ? "{\"version\": \"%s\"}\n" : "sluice %s\n", SLUICE_VERSION);
    return CLI_OK;
}

const struct cli_command command_version = {
    .name = "version",
    .summary = "print the version",
    .usage = "",
    .example = "  sluice version",
    .json = true,
    .run = run_version,
};
