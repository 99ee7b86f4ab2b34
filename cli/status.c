/* `sluice status` and `sluice list`. --watch keeps going when sluice does not answer for a while:
 * a restart must not end the page that someone is looking at. Ctrl-C ends it. */
#include <errno.h>
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
#include "cli/screen.h"
#include "cli/status_text.h"

static const struct cli_option status_options[] = {
    {"watch", 'w', NULL, "refresh until Ctrl-C"},
    {"interval", 'i', "DURATION", "how often --watch looks (default 1s)"},
};

enum { WATCH_ANSWER_MS = 3000 };

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

/* What --watch shows. */
struct watch {
    const struct view *view;
    struct strbuf page;  /* as the last answer was drawn, uncut */
    int64_t answered_ns; /* when that was, by the wall clock */
    bool terminal, drawn, away;
};

static void terminal_size(size_t *ret_columns, size_t *ret_rows)
{
    struct winsize size;
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0;

    *ret_columns = known && size.ws_col > 0 ? size.ws_col : 80;
    *ret_rows = known && size.ws_row > 1 ? size.ws_row : 24;
}

/* Draws over what is there: every line is erased before it is written and the end erases what is
 * below, which does not flicker as a clear does. The last row stays free for the cursor. Wrapping
 * is off meanwhile, for characters that this terminal takes for wider than we do. */
static void draw_in_place(struct watch *w, struct str page)
{
    struct strbuf cut, out;
    size_t columns, rows;

    terminal_size(&columns, &rows);
    strbuf_init(&cut, OUTPUT_BYTES_MAX);
    strbuf_init(&out, OUTPUT_BYTES_MAX);
    screen_clip(page, columns, rows - 1, &cut);
    strbuf_add(&out, w->drawn ? STR("\033[H\033[?7l\033[K") : STR("\033[2J\033[H\033[?7l"));
    for (size_t i = 0; i < cut.len; i++) {
        strbuf_add_char(&out, cut.ptr[i]);
        if (cut.ptr[i] == '\n')
            strbuf_add(&out, STR("\033[K"));
    }
    strbuf_add(&out, STR("\033[J\033[?7h"));
    output_write(stdout, &out);
    strbuf_deinit(&cut);
    strbuf_deinit(&out);
    w->drawn = true;
}

static void draw_appended(struct strbuf *page)
{
    char now[WALL_TEXT_MAX];

    strbuf_addf(page, "--- %s\n", wall_to_text(clock_wall(&clock_system), now));
    output_write(stdout, page);
}

static void show_answer(struct watch *w, const json_t *answer)
{
    if (w->view->json) {
        json_dumpf(answer, stdout, JSON_COMPACT | JSON_REAL_PRECISION(12));
        fputc('\n', stdout);
        fflush(stdout);
        return;
    }
    strbuf_reset(&w->page);
    render(w->view, answer, output_colours(stdout), &w->page);
    if (w->terminal)
        draw_in_place(w, strbuf_str(&w->page));
    else
        draw_appended(&w->page);
}

/* On a terminal the last figures stay, marked as old, under the header that they belong to; in a
 * pipe the failure is said once per absence. */
static void show_absence(struct watch *w, int rc)
{
    char when[WALL_TEXT_MAX];
    struct strbuf notice, page;

    if (!w->terminal || w->view->json) {
        if (!w->away)
            remote_print_failure(w->view->remote);
        return;
    }
    wall_to_text(w->answered_ns, when);
    strbuf_init(&notice, OUTPUT_BYTES_MAX);
    strbuf_init(&page, OUTPUT_BYTES_MAX);
    /* 2026-11-20T18:49:12.345Z: the time of day. */
    strbuf_addf(&page, "  no answer since %.8sZ: the figures are that old%s", when + 11,
                rc == -EHOSTUNREACH ? "" : "; ");
    if (rc != -EHOSTUNREACH)
        strbuf_addf(&page, "%s", remote_failure(w->view->remote));
    output_add(&notice, output_colours(stdout), COLOUR_RED, strbuf_str(&page));
    strbuf_reset(&page);
    screen_insert(strbuf_str(&w->page), w->view->name == NULL ? 0 : STATUS_HEADER_LINES,
                  strbuf_str(&notice), &page);
    draw_in_place(w, strbuf_str(&page));
    strbuf_deinit(&notice);
    strbuf_deinit(&page);
}

static void sleep_ns(int64_t ns)
{
    struct timespec t = {.tv_sec = ns / NS_PER_SEC, .tv_nsec = ns % NS_PER_SEC};

    nanosleep(&t, NULL);
}

/* False: over before it began. */
static bool look(struct watch *w)
{
    json_t *answer = NULL;
    int rc = fetch(w->view, &answer, NULL);

    if (rc != 0 && w->answered_ns == 0) {
        remote_print_failure(w->view->remote);
        return false;
    }
    if (rc == 0) {
        w->answered_ns = clock_wall(&clock_system);
        show_answer(w, answer);
    } else {
        show_absence(w, rc);
    }
    w->away = rc != 0;
    json_decref(answer);
    return true;
}

static int watch(const struct view *v, int64_t interval_ns)
{
    struct watch w = {.view = v, .terminal = isatty(STDOUT_FILENO) == 1};

    strbuf_init(&w.page, OUTPUT_BYTES_MAX);
    remote_limit(v->remote, WATCH_ANSWER_MS);
    while (look(&w) && ferror(stdout) == 0)
        sleep_ns(interval_ns);
    strbuf_deinit(&w.page);
    return CLI_FAILED;
}

static int run_status(const struct cli_args *args)
{
    const char *interval = option_value(args, "interval");
    int64_t interval_ns = NS_PER_SEC;

    if (interval != NULL && (!units_parse_duration(str_from(interval), &interval_ns) ||
                             interval_ns < 100 * NS_PER_MS || interval_ns > NS_PER_HOUR)) {
        fprintf(stderr,
                "sluice status: --interval takes a duration from 100ms to 1h, such as 1s\n");
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
    .details =
        "Per criterion: what the canary does with its bounds, what stable does, the limit,\n"
        "the verdict, and how much evidence there is against the canary and how much it\n"
        "takes. \"no harm\" is what is still missing to say that the limit is kept. With\n"
        "max_ratio of times, \"over\" is the canary's share above the limit and \"over x1\"\n"
        "stable's above its own quantile: a canary at the limit has as much. A limit against\n"
        "stable that says \"frozen\" is what stable was measured to do before its traffic ended.",
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
