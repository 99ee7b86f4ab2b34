/* `sluice wait`: for CI. Polls, since a document says more than a missed event, and outlasts a
 * sluice that is restarted meanwhile. Phase changes are printed as they are seen. */
#include "cli/wait.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/member.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "policies/policy.h"

enum { POLL_MS = 500, ANSWER_MS = 5000 };

/* A restart is shorter; a pipeline must not take a dead controller for one that takes its time. */
#define AWAY_MAX_NS (10 * NS_PER_SEC)

bool wait_parse_goal(const char *text, struct wait_goal *ret)
{
    uint64_t step;

    if (strcmp(text, "promoted") == 0) {
        *ret = (struct wait_goal){.kind = WAIT_PROMOTED};
    } else if (strcmp(text, "rolled_back") == 0) {
        *ret = (struct wait_goal){.kind = WAIT_ROLLED_BACK};
    } else if (strncmp(text, "step:", 5) == 0 && str_to_u64(str_from(text + 5), &step) &&
               step > 0 && step <= STEPS_MAX) {
        *ret = (struct wait_goal){.kind = WAIT_STEP, .step = (uint32_t)step};
    } else {
        return false;
    }
    return true;
}

enum wait_answer wait_check(const struct wait_goal *goal, const json_t *document)
{
    const char *phase = member_text(document, "phase");
    bool promoted = strcmp(phase, "promoted") == 0, back = strcmp(phase, "rolled_back") == 0;

    if (strcmp(phase, "idle") == 0)
        return WAIT_NO_CANARY;
    if (goal->kind == WAIT_STEP && goal->step > member_number(document, "steps", STEPS_MAX))
        return WAIT_BEYOND;
    if (goal->kind == WAIT_ROLLED_BACK)
        return back ? WAIT_REACHED : promoted ? WAIT_LOST : WAIT_ON;
    if (promoted)
        return WAIT_REACHED;
    if (back)
        return WAIT_LOST;
    if (goal->kind == WAIT_STEP && member_number(document, "step", 0) >= goal->step)
        return WAIT_REACHED;
    return WAIT_ON;
}

struct waiting {
    struct remote *remote;
    const char *name;
    char *path;
    struct wait_goal goal;
    int64_t deadline_ns; /* INT64_MAX: none */
    int64_t answered_ns; /* the last answer; 0: none yet */
    bool away, json;
    char shown[160]; /* the last line, so that only changes are printed */
};

/* "chat: progressing, step 2 of 4, 25%", when it is not what was printed last. */
static void show(struct waiting *w, const json_t *doc)
{
    char line[sizeof(w->shown)];
    struct strbuf out;

    snprintf(line, sizeof(line), "%s: %s, step %.0f of %.0f, %.6g%% to the canary", w->name,
             member_text(doc, "phase"), member_number(doc, "step", 0),
             member_number(doc, "steps", 0), member_number(doc, "weight", 0));
    if (w->json || strcmp(line, w->shown) == 0)
        return;
    str_copy(w->shown, sizeof(w->shown), str_from(line));
    strbuf_init(&out, 4096);
    output_add(&out, false, COLOUR_NONE, str_from(line));
    strbuf_add_char(&out, '\n');
    output_write(stdout, &out);
    strbuf_deinit(&out);
}

/* Prints why it will not come. */
static void show_lost(const struct waiting *w, enum wait_answer answer, const json_t *doc)
{
    const char *reason = member_text(doc, "decision.reason");
    double steps = member_number(doc, "steps", 0);
    struct strbuf out;

    strbuf_init(&out, 8192);
    strbuf_addf(&out, "sluice wait: %s ", w->name);
    if (answer == WAIT_NO_CANARY) {
        strbuf_add(&out, STR("has no canary: there is nothing to wait for"));
    } else if (answer == WAIT_BEYOND) {
        strbuf_addf(&out, "has %.0f step%s: step:%u will never come", steps, steps == 1 ? "" : "s",
                    w->goal.step);
    } else {
        strbuf_add(&out, STR("is "));
        output_add(&out, false, COLOUR_NONE, str_from(member_text(doc, "phase")));
        strbuf_add(&out, reason[0] == '\0' ? STR("") : STR(": "));
        output_add(&out, false, COLOUR_NONE, str_from(reason));
    }
    strbuf_add_char(&out, '\n');
    output_write(stderr, &out);
    strbuf_deinit(&out);
}

/* -1: go on waiting; otherwise the exit code. */
static int judge(struct waiting *w, const json_t *doc)
{
    enum wait_answer answer = wait_check(&w->goal, doc);

    show(w, doc);
    if (answer == WAIT_ON)
        return -1;
    if (w->json)
        output_json(stdout, doc);
    if (answer != WAIT_REACHED)
        show_lost(w, answer, doc);
    return answer == WAIT_REACHED ? CLI_OK : answer == WAIT_LOST ? CLI_FAILED : CLI_CANNOT_TELL;
}

/* Says once per absence that nobody answers. False: no use in going on. */
static bool bear_absence(struct waiting *w, int rc)
{
    bool began = !w->away, hopeless = w->answered_ns == 0 || rc == -ENOENT;

    w->away = true;
    if (began || hopeless)
        remote_print_failure(w->remote);
    if (hopeless)
        return false;
    if (clock_mono(&clock_system) - w->answered_ns <= AWAY_MAX_NS)
        return true;
    fprintf(stderr, "sluice wait: no answer for %d s: it cannot be told what became of %s\n",
            (int)(AWAY_MAX_NS / NS_PER_SEC), w->name);
    return false;
}

static int wait_loop(struct waiting *w)
{
    const struct timespec pause = {.tv_sec = 0, .tv_nsec = POLL_MS * NS_PER_MS};

    for (;;) {
        json_t *doc = NULL;
        int rc = remote_try(w->remote, "GET", w->path, NULL, &doc, NULL), code = -1;
        if (rc == 0) {
            w->away = false;
            w->answered_ns = clock_mono(&clock_system);
            code = judge(w, doc);
        } else if (!bear_absence(w, rc)) {
            code = CLI_CANNOT_TELL;
        }
        json_decref(doc);
        if (code >= 0)
            return code;
        if (clock_mono(&clock_system) >= w->deadline_ns) {
            fprintf(stderr, "sluice wait: timeout: %s\n", w->shown[0] == '\0' ? w->name : w->shown);
            return CLI_TIMEOUT;
        }
        nanosleep(&pause, NULL);
    }
}

static int run_wait(const struct cli_args *args)
{
    const char *goal = option_value(args, "for"), *timeout = option_value(args, "timeout");
    struct waiting w = {.name = args->args[0], .json = option_json(args)};
    int64_t timeout_ns = 0;

    if (!wait_parse_goal(goal == NULL ? "promoted" : goal, &w.goal)) {
        fprintf(stderr, "sluice wait: --for takes promoted, rolled_back or step:N\n");
        return CLI_USAGE;
    }
    if (timeout != NULL && !units_parse_duration(str_from(timeout), &timeout_ns)) {
        fprintf(stderr, "sluice wait: --timeout takes a duration such as 2h\n");
        return CLI_USAGE;
    }
    w.deadline_ns = timeout == NULL ? INT64_MAX : clock_mono(&clock_system) + timeout_ns;
    w.remote = remote_new(args);
    if (w.remote == NULL)
        return CLI_USAGE;
    remote_limit(w.remote, ANSWER_MS);
    w.path = remote_rollout_path(w.name, "");
    int rc = wait_loop(&w);
    free(w.path);
    remote_free(w.remote);
    return rc;
}

static const struct cli_option wait_options[] = {
    {"for", 0, "GOAL", "promoted (the default), rolled_back or step:N"},
    {"timeout", 0, "DURATION", "give up after so long, with exit code 3 (default never)"},
};

const struct cli_command command_wait = {
    .name = "wait",
    .summary = "wait until a rollout is promoted, taken back or at a step",
    .usage = "NAME [--for promoted|rolled_back|step:N] [--timeout DURATION]",
    .details =
        "For CI. Exit code: 0 reached; 1 it went the other way; 3 time is up; 4 cannot tell:\n"
        "sluice does not answer at the start or for 10 s, there is no such rollout, it has\n"
        "no canary, or its plan has fewer steps than step:N.",
    .example = "  sluice wait chat --for promoted --timeout 2h",
    .options = wait_options,
    .option_count = sizeof(wait_options) / sizeof(wait_options[0]),
    .args_min = 1,
    .args_max = 1,
    .client = true,
    .json = true,
    .run = run_wait,
};
