/* cli/command.h — what a subcommand is. The table of main.c is the help. */
#ifndef CLI_COMMAND_H
#define CLI_COMMAND_H

#include <stdbool.h>
#include <stddef.h>

/* Exit codes, the same for every command. */
enum {
    CLI_OK = 0,
    CLI_FAILED = 1,     /* what was asked for did not come about; said on standard error */
    CLI_USAGE = 2,      /* the command line is wrong */
    CLI_TIMEOUT = 3,    /* wait only */
    CLI_CANNOT_TELL = 4 /* wait only: there is nothing to wait for, or nobody to ask */
};

enum { CLI_OPTIONS_MAX = 24, CLI_ARGS_MAX = 1024 };

struct cli_option {
    const char *name;  /* without dashes: "reason" */
    char letter;       /* 'o' for -o; 0: none */
    const char *value; /* "TEXT" in the help; NULL: a flag */
    const char *help;
};

struct cli_args;

struct cli_command {
    const char *name, *summary, *usage; /* usage: what follows the name, "NAME [--full]" */
    const char *details;                /* a paragraph for --help; NULL: none */
    const char *example;                /* one or more whole lines */
    const struct cli_option *options;   /* own ones; --help, and for clients --admin and --token,
                                           are added */
    size_t option_count;
    size_t args_min, args_max; /* CLI_ARGS_MAX: any number */
    bool client;               /* talks to a running sluice */
    bool json;                 /* takes -o json */
    int (*run)(const struct cli_args *);
};

/* A parsed command line; strings are those of argv. */
struct cli_args {
    const struct cli_command *command;
    const char *args[CLI_ARGS_MAX];
    size_t arg_count;
    bool help;
    /* internal: option → value ("" for a flag) */
    struct {
        const char *name, *value;
    } given[CLI_OPTIONS_MAX];
    size_t given_count;
};

extern const struct cli_command command_run, command_check, command_list, command_status,
    command_wait, command_promote, command_pause, command_resume, command_approve, command_rollback,
    command_retry, command_simulate, command_journal, command_replay, command_history,
    command_explain, command_version;

#endif
