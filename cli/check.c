/* `sluice check`: every error of every file, and what a good file means. Errors go to standard
 * output: they are what was asked for. */
#include <jansson.h>
#include <stdlib.h>

#include "cli/command.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/traffic.h"

static void describe_policy(const struct policy *p, struct strbuf *out)
{
    strbuf_addf(out, "rollout %s: ", p->name);
    if (!policy_has_canary(p)) {
        strbuf_addf(out, "stable %s, no canary", p->versions[VARIANT_STABLE].version);
        return;
    }
    load_steps_text(p, out);
    strbuf_addf(out, ", %zu criteri%s%s", p->analysis.criteria_count,
                p->analysis.criteria_count == 1 ? "on" : "a",
                p->analysis.mode == MODE_OBSERVE ? ", observe only" : "");
}

static bool is_from(const struct policy *p, const char *path)
{
    return p->file != NULL && strcmp(p->file, path) == 0;
}

/* What the set holds from one file, a line each when there are several:
 *   ": ok (rollout chat: …)"    ": ok\n  rollout chat: …\n  configuration: …" */
static void describe_file(const struct policy_set *set, const char *path, struct strbuf *out)
{
    const struct config *config = set->config;
    bool configures = config->file != NULL && strcmp(config->file, path) == 0;
    size_t count = configures, told = 0;

    for (size_t i = 0; i < set->count; i++)
        count += is_from(set->policies[i], path);
    for (size_t i = 0; i < set->count; i++) {
        if (!is_from(set->policies[i], path))
            continue;
        strbuf_add(out, count > 1 ? STR("\n  ") : STR(" ("));
        describe_policy(set->policies[i], out);
        told++;
    }
    if (configures) {
        strbuf_addf(out, "%sconfiguration: ", count > 1 ? "\n  " : " (");
        for (size_t i = 0; i < config->listen_count; i++)
            strbuf_addf(out, "%s%s%s", i == 0 ? "listens on " : ", ", config->listen[i].text,
                        config->listen[i].tls != NULL ? " (TLS)" : "");
        strbuf_addf(out, "; admin %s", config->admin.text);
        told++;
    }
    if (told == 1)
        strbuf_add_char(out, ')');
}

/* By the file's own set: that of all files, or, when another file is bad, loaded by itself. Nothing
 * is said of one that is not good without the others, such as an empty folder. */
static void print_good_file(const struct load *all, const char *path, struct strbuf *out)
{
    struct cli_args alone = {.args = {path}, .arg_count = 1};
    struct load load = {.set = all->set};

    if (all->set == NULL)
        load_files(&alone, &load);
    if (load.set != NULL) {
        strbuf_addf(out, "%s: ok", path);
        describe_file(load.set, path, out);
        strbuf_add_char(out, '\n');
    }
    if (all->set == NULL)
        load_deinit(&load);
}

static void print_text(const struct load *load)
{
    struct strbuf out;

    strbuf_init(&out, OUTPUT_BYTES_MAX);
    load_print_diagnostics(load, &out);
    load_print_error_counts(load, &out);
    for (size_t i = 0; i < load->sources.count; i++)
        if (load_errors_in(load, load->sources.items[i].path) == 0)
            print_good_file(load, load->sources.items[i].path, &out);
    output_write(stdout, &out);
    strbuf_deinit(&out);
}

static json_t *diagnostic_json(const struct error *e)
{
    json_t *o = json_object();

    json_object_set_new(o, "file", e->at.file == NULL ? json_null() : json_string(e->at.file));
    json_object_set_new(o, "line", json_integer(e->at.line));
    json_object_set_new(o, "column", json_integer(e->at.column));
    json_object_set_new(o, "severity", json_string(e->code == 0 ? "warning" : "error"));
    json_object_set_new(o, "message", json_string(e->message));
    json_object_set_new(o, "hint", e->hint[0] == '\0' ? json_null() : json_string(e->hint));
    return o;
}

static void print_json(const struct load *load, bool ok)
{
    json_t *body = json_object(), *list = json_array(), *files = json_array();
    json_t *rollouts = json_array();
    const struct diagnostics *d = &load->diagnostics;

    for (size_t i = 0; i < d->count; i++)
        json_array_append_new(list, diagnostic_json(&d->items[i]));
    for (size_t i = 0; i < load->sources.count; i++) {
        json_t *file = json_object();
        size_t errors = load_errors_in(load, load->sources.items[i].path);
        json_object_set_new(file, "path", json_string(load->sources.items[i].path));
        json_object_set_new(file, "errors", json_integer((json_int_t)errors));
        json_array_append_new(files, file);
    }
    for (size_t i = 0; load->set != NULL && i < load->set->count; i++)
        json_array_append_new(rollouts, json_string(load->set->policies[i]->name));
    json_object_set_new(body, "ok", json_boolean(ok));
    json_object_set_new(body, "errors",
                        json_integer((json_int_t)(d->count - d->warnings + d->dropped)));
    json_object_set_new(body, "warnings", json_integer((json_int_t)d->warnings));
    json_object_set_new(body, "files", files);
    json_object_set_new(body, "rollouts", rollouts);
    json_object_set_new(body, "diagnostics", list);
    output_json(stdout, body);
    json_decref(body);
}

/* --rps: what the traffic means for each canary. False when it does not suffice for one. */
static bool print_traffic(const struct policy_set *set, double rps)
{
    struct strbuf out;
    bool enough = true;

    strbuf_init(&out, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < set->count; i++)
        if (policy_has_canary(set->policies[i]) && !traffic_describe(set->policies[i], rps, &out))
            enough = false;
    output_write(stdout, &out);
    strbuf_deinit(&out);
    return enough;
}

/* 0: not given; < 0: not a rate. */
static double parse_rps(const char *text)
{
    char *end;

    if (text == NULL)
        return 0;
    double rps = strtod(text, &end);
    return end == text || *end != '\0' || !(rps >= 1e-6 && rps <= 1e9) ? -1 : rps;
}

static int run_check(const struct cli_args *args)
{
    struct load load;
    double rps = parse_rps(option_value(args, "rps"));

    if (rps < 0) {
        fprintf(stderr, "sluice check: --rps takes requests per second, such as 50\n");
        return CLI_USAGE;
    }
    bool ok = load_files(args, &load) == 0;
    if (option_json(args))
        print_json(&load, ok);
    else
        print_text(&load);
    if (ok && rps > 0 && !option_json(args))
        ok = print_traffic(load.set, rps);
    load_deinit(&load);
    return ok ? CLI_OK : CLI_FAILED;
}

static const struct cli_option check_options[] = {
    {"rps", 0, "N", "say whether N requests per second to each rollout suffice for its steps"},
};

const struct cli_command command_check = {
    .name = "check",
    .summary = "check configuration and policies: every error, with its line and a hint",
    .usage = "FILE… [--rps N] [-o json]",
    .details = "Files are policies or a configuration, or folders of them. Exit code 1 when there\n"
               "is any error, or when, with --rps, a step cannot end within its max_hold.",
    .example = "  sluice check sluice.yaml policies.d/\n  sluice check chat.yaml --rps 50",
    .options = check_options,
    .option_count = sizeof(check_options) / sizeof(check_options[0]),
    .args_min = 1,
    .args_max = CLI_ARGS_MAX,
    .json = true,
    .run = run_check,
};
