/* The operator's verbs: one request each. They differ in a row of a table, so they share a file. */
#include <stdlib.h>

#include "base/str.h"
#include "cli/command.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "policies/policy.h"

#define REASON                                                                                     \
    {                                                                                              \
        "reason", 0, "TEXT", "why; kept with the decision"                                         \
    }
#define EXPECT_STEP                                                                                \
    {                                                                                              \
        "expect-step", 0, "N", "refuse unless the rollout is at step N"                            \
    }

static const struct cli_option promote_options[] = {
    REASON,
    EXPECT_STEP,
    {"full", 0, NULL, "to the end, not only to the next step"},
    {"force", 0, NULL, "past a failed criterion"},
};
static const struct cli_option pause_options[] = {
    REASON,
    EXPECT_STEP,
    {"weight", 0, "0", "take the canary's traffic away while it is paused"},
};
static const struct cli_option plain_options[] = {REASON, EXPECT_STEP};

static bool is_zero(const char *text)
{
    return strcmp(text, "0") == 0 || strcmp(text, "0%") == 0;
}

static int usage_error(const struct cli_args *args, const char *message)
{
    fprintf(stderr, "sluice %s: %s\n", args->command->name, message);
    return CLI_USAGE;
}

/* The request's body from the options. NULL: a value is wrong, *ret_message says which. */
static json_t *build_body(const struct cli_args *args, const char **ret_message)
{
    const char *reason = option_value(args, "reason"), *step = option_value(args, "expect-step");
    const char *weight = option_value(args, "weight");
    json_t *body = json_object();
    uint64_t number = 0;

    *ret_message = NULL;
    if (reason != NULL && json_object_set_new(body, "reason", json_string(reason)) != 0)
        *ret_message = "--reason takes text in UTF-8";
    if (step != NULL) {
        if (!str_to_u64(str_from(step), &number) || number == 0 || number > STEPS_MAX)
            *ret_message = "--expect-step takes the number of a step, from 1";
        json_object_set_new(body, "expect_step", json_integer((json_int_t)number));
    }
    if (weight != NULL) {
        if (!is_zero(weight))
            *ret_message = "--weight takes 0: a rollout is paused where it is, or without traffic";
        json_object_set_new(body, "weight", json_integer(0));
    }
    if (option_given(args, "full"))
        json_object_set_new(body, "full", json_true());
    if (option_given(args, "force"))
        json_object_set_new(body, "force", json_true());
    if (*ret_message == NULL)
        return body;
    json_decref(body);
    return NULL;
}

static void print_answer(const struct cli_args *args, const json_t *answer)
{
    const char *detail = json_string_value(json_object_get(answer, "detail"));
    struct strbuf out;

    if (option_json(args)) {
        output_json(stdout, answer);
        return;
    }
    strbuf_init(&out, OUTPUT_BYTES_MAX);
    strbuf_addf(&out, "%s: ", args->args[0]);
    output_add(&out, false, COLOUR_NONE, str_from(detail == NULL ? "done" : detail));
    strbuf_add_char(&out, '\n');
    output_write(stdout, &out);
    strbuf_deinit(&out);
}

static int run_verb(const struct cli_args *args)
{
    const char *message;
    json_t *body = build_body(args, &message), *answer = NULL;
    char suffix[32];

    if (body == NULL)
        return usage_error(args, message);
    struct remote *remote = remote_new(args);
    if (remote == NULL) {
        json_decref(body);
        return CLI_USAGE;
    }
    snprintf(suffix, sizeof(suffix), "/%s", args->command->name);
    char *path = remote_rollout_path(args->args[0], suffix);
    int rc = remote_call(remote, "POST", path, body, &answer);
    if (rc == CLI_OK)
        print_answer(args, answer);
    json_decref(answer);
    json_decref(body);
    free(path);
    remote_free(remote);
    return rc;
}

#define VERB(name_, options_, usage_, summary_, details_, example_)                                \
    const struct cli_command command_##name_ = {                                                   \
        .name = #name_,                                                                            \
        .summary = summary_,                                                                       \
        .usage = usage_,                                                                           \
        .details = details_,                                                                       \
        .example = example_,                                                                       \
        .options = options_,                                                                       \
        .option_count = sizeof(options_) / sizeof(options_[0]),                                    \
        .args_min = 1,                                                                             \
        .args_max = 1,                                                                             \
        .client = true,                                                                            \
        .json = true,                                                                              \
        .run = run_verb,                                                                           \
    }

VERB(promote, promote_options, "NAME [--full] [--force] [--reason TEXT] [--expect-step N]",
     "start a rollout, or move its canary one step up now",
     "Does not wait for what the policy asks of the step: it skips what is left of the hold,\n"
     "min_requests, the evidence that the limits hold, and an approval. The canary is still taken\n"
     "back when it fails. A criterion that has failed already is only passed with --force. A\n"
     "canary that was sent back gets the weight of its own step again with --force, on fresh\n"
     "evidence (and with --full --force everything); another promote then moves it up,\n"
     "with --force while the step's record is beyond a limit. With --expect-step a click that\n"
     "comes too late does nothing.",
     "  sluice promote chat --expect-step 2 --reason \"load test is through\"");
VERB(pause, pause_options, "NAME [--weight 0] [--reason TEXT]",
     "hold a rollout at its weight; it is still taken back when it fails", NULL,
     "  sluice pause chat --reason INC-42\n  sluice pause chat --weight 0");
VERB(resume, plain_options, "NAME [--reason TEXT]", "let a paused rollout go on", NULL,
     "  sluice resume chat");
VERB(approve, plain_options, "NAME [--expect-step N] [--reason TEXT]",
     "give the approval that a step waits for", NULL, "  sluice approve chat --expect-step 3");
VERB(rollback, plain_options, "NAME [--reason TEXT]", "take the canary to 0 now",
     "The canary's version is not tried again until it changes or someone says retry.",
     "  sluice rollback chat --reason \"wrong tokenizer\"");
VERB(retry, plain_options, "NAME [--reason TEXT]",
     "try a canary again that was taken back, from the first step", NULL, "  sluice retry chat");
