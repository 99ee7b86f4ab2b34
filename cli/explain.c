/* `sluice explain` and `sluice history`: decisions as they were kept; nothing is computed again. */
#include <errno.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/explain_text.h"
#include "cli/member.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote.h"

enum { PATH_MAX_BYTES = 1024 };

/* "/v1/decisions/ID", or of a rollout: its newest one. Heap. */
static char *escaped(const char *before, const char *name, const char *behind)
{
    char *rollout = remote_rollout_path(name, "");
    struct strbuf path;

    strbuf_init(&path, PATH_MAX_BYTES * 4);
    strbuf_addf(&path, "%s%s%s", before, rollout + strlen("/v1/rollouts/"), behind);
    free(rollout);
    return strbuf_steal(&path);
}

static int get(struct remote *remote, char *path, json_t **ret)
{
    struct error error;
    int rc = remote_try(remote, "GET", path, NULL, ret, &error);

    free(path);
    return rc;
}

/* By a rollout's name: the decision taken last. */
static int fetch_last(struct remote *remote, const char *name, json_t **ret)
{
    json_t *list = NULL;
    int rc = get(remote, escaped("/v1/decisions?limit=1&rollout=", name, ""), &list);

    if (rc != 0)
        return rc;
    const char *id = member_text(json_array_get(member_get(list, "decisions"), 0), "id");
    if (id[0] == '\0') {
        fprintf(stderr, "sluice explain: nothing was decided about %s since the start\n", name);
        rc = REMOTE_REFUSED;
    } else {
        rc = get(remote, escaped("/v1/decisions/", id, ""), ret);
        if (rc != 0)
            remote_print_failure(remote);
    }
    json_decref(list);
    return rc == 0 ? 0 : 1;
}

/* What was typed is a decision's id, or a rollout's name. The failure is printed. */
static int fetch(struct remote *remote, const char *what, json_t **ret)
{
    int rc = get(remote, escaped("/v1/decisions/", what, ""), ret);

    if (rc == 0)
        return 0;
    if (rc == -ENOENT) {
        rc = fetch_last(remote, what, ret);
        if (rc >= 0)
            return rc;
    }
    if (rc == -ENOENT)
        fprintf(stderr,
                "sluice explain: there is neither a decision nor a rollout \"%.128s\". `sluice "
                "history` lists the decisions that are kept\n",
                what);
    else
        remote_print_failure(remote);
    return 1;
}

static int run_explain(const struct cli_args *args)
{
    struct remote *remote = remote_new(args);
    json_t *decision = NULL, *document = NULL;
    struct strbuf out;

    if (remote == NULL)
        return CLI_USAGE;
    int rc = fetch(remote, args->args[0], &decision);
    if (rc == 0 && option_json(args)) {
        output_json(stdout, decision);
    } else if (rc == 0) {
        if (get(remote, remote_rollout_path(member_text(decision, "rollout"), ""), &document) != 0)
            document = NULL;
        strbuf_init(&out, OUTPUT_BYTES_MAX);
        explain_render(decision, document, output_colours(stdout), &out);
        output_write(stdout, &out);
        strbuf_deinit(&out);
    }
    json_decref(decision);
    json_decref(document);
    remote_free(remote);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

const struct cli_command command_explain = {
    .name = "explain",
    .summary = "why a decision fell: everything it rested on, and the command that undoes it",
    .usage = "ID | NAME [-o json]",
    .details =
        "ID is a decision's, as in `sluice history` and in messages; with a rollout's name it\n"
        "is the last one. In words first, then: which slots carried it and what each added,\n"
        "each criterion with its counts, bounds and evidence, how the canary's requests\n"
        "ended, ids of three that failed, weight and traffic over time, and what was decided\n"
        "before. All of it was stored when the decision was taken.",
    .example = "  sluice explain chat\n  sluice explain chat-17 -o json | jq .basis.examples",
    .args_min = 1,
    .args_max = 1,
    .client = true,
    .json = true,
    .run = run_explain,
};

static const struct cli_option history_options[] = {
    {"limit", 'n', "N", "how many, from 1 to 1000 (default 100)"},
};

static int run_history(const struct cli_args *args)
{
    const char *limit = option_value(args, "limit");
    json_t *answer = NULL;
    struct strbuf path, out;
    uint64_t n = 100;

    if (limit != NULL && (!str_to_u64(str_from(limit), &n) || n == 0 || n > 1000)) {
        fprintf(stderr, "sluice history: --limit takes a whole number from 1 to 1000\n");
        return CLI_USAGE;
    }
    struct remote *remote = remote_new(args);
    if (remote == NULL)
        return CLI_USAGE;
    strbuf_init(&path, PATH_MAX_BYTES * 4);
    strbuf_addf(&path, "/v1/decisions?limit=%u", (unsigned)n);
    if (args->arg_count > 0) {
        char *name = escaped("&rollout=", args->args[0], "");
        strbuf_add(&path, str_from(name));
        free(name);
    }
    int rc = remote_call(remote, "GET", strbuf_cstr(&path), NULL, &answer);
    if (rc == CLI_OK && option_json(args)) {
        output_json(stdout, answer);
    } else if (rc == CLI_OK) {
        strbuf_init(&out, OUTPUT_BYTES_MAX);
        history_render(member_get(answer, "decisions"), output_colours(stdout), &out);
        output_write(stdout, &out);
        strbuf_deinit(&out);
    }
    json_decref(answer);
    strbuf_deinit(&path);
    remote_free(remote);
    return rc;
}

const struct cli_command command_history = {
    .name = "history",
    .summary = "what was decided, newest first",
    .usage = "[NAME] [--limit N] [-o json]",
    .details =
        "The last 1,000 decisions of the running process are kept, of all rollouts together.",
    .example = "  sluice history chat\n  sluice explain chat-17",
    .options = history_options,
    .option_count = sizeof(history_options) / sizeof(history_options[0]),
    .args_max = 1,
    .client = true,
    .json = true,
    .run = run_history,
};
