/* `sluice status` and `sluice list`. --watch keeps going when sluice does not answer for a while:
 * a restart must not end the page that someone is looking at. Ctrl-C ends it. */
#include <stdlib.h>
#include <sys/ioctl.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/member.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote.h"
#include "cli/status_text.h"

static const struct cli_option status_options[] = {
    {"watch", 'w', NULL, "refresh until Ctrl-C"},
    {"interval", 'i', "DURATION", "how often --watch looks (default 1s)"},
};

struct view {
    struct remote *remote;
    const char *name; /* NULL: every rollout */
    bool json, list;
};

static int fetch(const struct view *v, json_t **ret, struct error *reterr)
{
    char *path = v->name == NULL ? NULL : remote_rollout_path(v->name, "");
    int rc = remote_try(v->remote, "GET", path == NULL ? "/v1/rollouts" : path, NULL, ret, reterr);

    free(path);
    return rc;
}

static void render(const struct view *v, const json_t *answer, bool colours, struct strbuf *out)
{
    const json_t *all = member_get(answer, "rollouts"), *one;
    size_t i;

    if (v->name != NULL) {
        status_render(answer, colours, out);
    } else if (v->list) {
        status_render_list(all, colours, out);
    } else {
        if (json_array_size(all) == 0)
            strbuf_add(out, STR("no rollouts\n"));
        json_array_foreach(all, i, one)
        {
            if (i > 0)
                strbuf_add_char(out, '\n');
            status_render(one, colours, out);
        }
    }
}

static int show_once(const struct view *v)
{
    json_t *answer = NULL;
    struct strbuf out;

    if (fetch(v, &answer, NULL) != 0) {
        remote_print_failure(v->remote);
        return CLI_FAILED;
    }
    if (v->json) {
        output_json(stdout, answer);
    } else {
        strbuf_init(&out, OUTPUT_BYTES_MAX);
        render(v, answer, output_colours(stdout), &out);
        output_write(stdout, &out);
        strbuf_deinit(&out);
    }
    json_decref(answer);
    return CLI_OK;
}

/* --- watch --- */

static size_t terminal_rows(void)
{
    struct winsize size;

    return ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_row > 1 ? size.ws_row : 24;
}

/* Draws over what is there: every line erases the rest of its old self, the end erases what is
 * below; no flicker as with a clear. What does not fit is left out, so that nothing scrolls. */
static void draw_in_place(const struct strbuf *page)
{
    struct str rest = strbuf_str(page), line;
    size_t rows = terminal_rows() - 1;
    struct strbuf out;

    strbuf_init(&out, OUTPUT_BYTES_MAX);
    strbuf_add(&out, STR("\033[H"));
    for (size_t i = 0; i < rows && str_split(&rest, '\n', &line) && rest.ptr != NULL; i++) {
        strbuf_add(&out, line);
        strbuf_add(&out, STR("\033[K\n"));
    }
    strbuf_add(&out, STR("\033[J"));
    output_write(stdout, &out);
    strbuf_deinit(&out);
}

static void draw_appended(struct strbuf *page)
{
    char now[WALL_TEXT_MAX];

    strbuf_addf(page, "--- %s\n", wall_to_text(clock_wall(&clock_system), now));
    output_write(stdout, page);
}

static void draw(const struct view *v, const json_t *answer, bool terminal)
{
    struct strbuf page;

    strbuf_init(&page, OUTPUT_BYTES_MAX);
    render(v, answer, output_colours(stdout), &page);
    if (terminal)
        draw_in_place(&page);
    else
        draw_appended(&page);
    strbuf_deinit(&page);
}

static void sleep_ns(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};

    nanosleep(&t, NULL);
}

static int watch(const struct view *v, int64_t interval_ns)
{
    bool terminal = isatty(STDOUT_FILENO) == 1, first = true;

    for (;; first = false) {
        json_t *answer = NULL;
        int rc = fetch(v, &answer, NULL);
        if (rc != 0) {
            remote_print_failure(v->remote);
            if (first)
                return CLI_FAILED;
        } else if (v->json) {
            json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
            fputc('\n', stdout);
            fflush(stdout);
        } else {
            if (first && terminal)
                fputs("\033[2J", stdout);
            draw(v, answer, terminal);
        }
        json_decref(answer);
        if (ferror(stdout))
            return CLI_FAILED;
        sleep_ns(interval_ns);
    }
}

static int run_status(const struct cli_args *args)
{
    const char *interval = option_value(args, "interval");
    int64_t interval_ns = NS_PER_SEC;

    if (interval != NULL && (!units_parse_duration(str_from(interval), &interval_ns) ||
                             interval_ns < 100 * NS_PER_MS || interval_ns > NS_PER_HOUR)) {
        fprintf(stderr, "sluice: --interval takes a duration from 100ms to 1h, such as 1s\n");
        return CLI_USAGE;
    }
    struct view v = {
        .name = args->arg_count > 0 ? args->args[0] : NULL,
        .json = option_json(args),
        .remote = remote_new(args),
    };
    if (v.remote == NULL)
        return CLI_USAGE;
    int rc = option_given(args, "watch") ? watch(&v, interval_ns) : show_once(&v);
    remote_free(v.remote);
    return rc;
}

static int run_list(const struct cli_args *args)
{
    struct view v = {.json = option_json(args), .list = true, .remote = remote_new(args)};

    if (v.remote == NULL)
        return CLI_USAGE;
    int rc = show_once(&v);
    remote_free(v.remote);
    return rc;
}

const struct cli_command command_status = {
    .name = "status",
    .summary = "where a rollout stands, what was observed, what the next step still waits for",
    .usage = "[NAME] [--watch] [-o json]",
    .details = "Per criterion: what the canary does with its bounds, what stable does, the limit,\n"
               "the verdict, and how much evidence there is against the canary and how much it\n"
               "takes. \"no harm\" is what is still missing to say that the limit is kept.",
    .example = "  sluice status chat --watch\n  sluice status chat -o json | jq .next.text",
    .options = status_options,
    .option_count = sizeof(status_options) / sizeof(status_options[0]),
    .args_max = 1,
    .client = true,
    .json = true,
    .run = run_status,
};

const struct cli_command command_list = {
    .name = "list",
    .summary = "all rollouts, one line each",
    .usage = "[-o json]",
    .example = "  sluice list",
    .client = true,
    .json = true,
    .run = run_list,
};
