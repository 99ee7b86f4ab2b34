/* `sluice check`: every error of every file, and what a good file means. Errors go to standard
 * output: they are what was asked for. */
#include <errno.h>
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "base/units.h"
#include "cli/check_traffic.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/member.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/remote.h"

enum { OBSERVED_MIN = 1000 }; /* of stable's requests, before their share of errors says anything */

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

static json_t *all_traffic_json(const struct policy_set *set, const struct traffic *t)
{
    json_t *all = json_array();

    for (size_t i = 0; set != NULL && i < set->count; i++)
        if (policy_has_canary(set->policies[i]))
            json_array_append_new(all, traffic_json(set->policies[i], t));
    return all;
}

static void print_json(const struct load *load, const struct traffic *t, bool ok)
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
    if (t->rps > 0)
        json_object_set_new(body, "traffic", all_traffic_json(load->set, t));
    output_json(stdout, body);
    json_decref(body);
}

static void print_traffic(const struct policy_set *set, const struct traffic *t)
{
    struct strbuf out;

    strbuf_init(&out, OUTPUT_BYTES_MAX);
    for (size_t i = 0; i < set->count; i++)
        if (policy_has_canary(set->policies[i]))
            traffic_describe(set->policies[i], t, &out);
    output_write(stdout, &out);
    strbuf_deinit(&out);
}

/* False: said why. */
static bool read_traffic(const struct cli_args *args, struct traffic *ret)
{
    const char *rps = option_value(args, "rps"), *errors = option_value(args, "stable-errors");
    char *end = NULL;

    *ret = (struct traffic){.stable_errors = -1};
    if (rps != NULL) {
        ret->rps = strtod(rps, &end);
        if (end == rps || *end != '\0' || !(ret->rps >= 1e-6 && ret->rps <= 1e9)) {
            fprintf(stderr, "sluice check: --rps takes requests per second, such as 50\n");
            return false;
        }
    }
    if (errors != NULL && !units_parse_share(str_from(errors), &ret->stable_errors)) {
        fprintf(stderr, "sluice check: --stable-errors takes a share, such as 0.2%%\n");
        return false;
    }
    return true;
}

/* What a running sluice has seen of stable's errors for this rollout, or < 0: too little, or it has
 * no such rollout. */
static int ask_stable_errors(struct remote *remote, const char *name, double *ret)
{
    char *path = remote_rollout_path(name, "");
    const json_t *c;
    json_t *doc = NULL;
    struct error e = {0};
    size_t i;
    int rc = remote_try(remote, "GET", path, NULL, &doc, &e);

    free(path);
    *ret = -1;
    if (rc != 0 && rc != -ENOENT) {
        remote_print_failure(remote);
        return CLI_FAILED;
    }
    json_array_foreach(member_get(doc, "criteria"), i, c)
    {
        double requests = member_number(c, "stable.requests", 0);
        if (strcmp(member_text(c, "metric"), metric_names[METRIC_ERROR_RATE]) == 0 &&
            requests >= OBSERVED_MIN && *ret < 0)
            *ret = member_number(c, "stable.bad", 0) / requests;
    }
    json_decref(doc);
    return CLI_OK;
}

/* Warnings of the traffic, among the others. */
static int add_warnings(const struct cli_args *args, const struct traffic *t, struct load *load)
{
    struct remote *remote = NULL;
    int rc = CLI_OK;

    if (option_given(args, "admin") && t->stable_errors < 0 && (remote = remote_new(args)) == NULL)
        return CLI_USAGE;
    for (size_t i = 0; i < load->set->count && rc == CLI_OK; i++) {
        const struct policy *p = load->set->policies[i];
        struct traffic own = *t;
        if (remote != NULL)
            rc = ask_stable_errors(remote, p->name, &own.stable_errors);
        traffic_check(p, &own, &load->diagnostics);
    }
    remote_free(remote);
    diagnostics_sort(&load->diagnostics);
    return rc;
}

static int run_check(const struct cli_args *args)
{
    struct traffic traffic;
    struct load load;

    if (!read_traffic(args, &traffic))
        return CLI_USAGE;
    bool ok = load_files(args, &load) == 0;
    int rc = ok ? add_warnings(args, &traffic, &load) : CLI_FAILED;
    if (option_given(args, "strict") && load.diagnostics.warnings > 0)
        ok = false;
    if (option_json(args))
        print_json(&load, &traffic, ok);
    else
        print_text(&load);
    if (load.set != NULL && traffic.rps > 0 && !option_json(args))
        print_traffic(load.set, &traffic);
    load_deinit(&load);
    return rc != CLI_OK ? rc : ok ? CLI_OK : CLI_FAILED;
}

static const struct cli_option check_options[] = {
    {"rps", 0, "N", "warn of what cannot work with N requests per second to each rollout"},
    {"stable-errors", 0, "SHARE", "how often stable fails, such as 0.2%"},
    {"admin", 0, "URL", "ask the sluice that runs there how often stable fails"},
    {"token", 0, "T", "for --admin, or SLUICE_TOKEN"},
    {"strict", 0, NULL, "exit 1 for warnings, too"},
};

const struct cli_command command_check = {
    .name = "check",
    .summary = "check configuration and policies: every error, with its line and a hint",
    .usage = "FILE… [--rps N] [--stable-errors SHARE] [--strict] [-o json]",
    .details =
        "Files are policies or a configuration, or folders of them. Exit code 1 when there is\n"
        "any error. Warnings are of what is allowed and does not work: a limit that another one\n"
        "makes idle, a criterion that sees no request. With --rps there are those of the traffic,\n"
        "too: a step that cannot end within max_hold, min_requests that never come, a limit that\n"
        "stable itself breaks. They leave the exit code alone, but for --strict.",
    .example = "  sluice check sluice.yaml policies.d/\n"
               "  sluice check chat.yaml --rps 50 --stable-errors 0.2%",
    .options = check_options,
    .option_count = sizeof(check_options) / sizeof(check_options[0]),
    .args_min = 1,
    .args_max = CLI_ARGS_MAX,
    .json = true,
    .run = run_check,
};
