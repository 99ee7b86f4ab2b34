/* `sluice simulate`: a policy's operating characteristics, before it is used. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/units.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/simulate_journal.h"
#include "cli/simulate_text.h"
#include "controller/rollout.h"
#include "controller/sim_batch.h"
#include "controller/sim_svg.h"

enum { ROLLOUTS_DEFAULT = 1000, ROLLOUTS_COUNT_MAX = 10000000, WORLD_BYTES_MAX = 64 * 1024 };
#define WATCH_DEFAULT_NS (60 * NS_PER_SEC)

static int usage_error(const char *option, const struct error *error)
{
    fprintf(stderr, "sluice simulate: %s%s%s\n", option, option[0] == '\0' ? "" : ": ",
            error->message);
    if (error->hint[0] != '\0')
        fprintf(stderr, "  hint: %s\n", error->hint);
    return CLI_USAGE;
}

/* --- the world -------------------------------------------------------------------------------- */

static int read_file(const char *path, struct strbuf *out, struct error *reterr)
{
    FILE *f = fopen(path, "rb");
    char block[4096];
    size_t n;

    if (f == NULL)
        return error_set(reterr, -errno, "%s: %s", path, strerror(errno));
    while ((n = fread(block, 1, sizeof(block), f)) > 0)
        strbuf_add(out, (struct str){block, n});
    fclose(f);
    return out->overflow ? error_set(reterr, -E2BIG, "%s: too long for a world", path) : 0;
}

static int read_world(const char *path, struct sim_spec *spec)
{
    struct diagnostics diagnostics;
    struct strbuf text, out;
    struct error error = {.code = 0};

    strbuf_init(&text, WORLD_BYTES_MAX);
    strbuf_init(&out, OUTPUT_BYTES_MAX);
    diagnostics_init(&diagnostics);
    int rc = read_file(path, &text, &error);
    if (rc != 0)
        usage_error("--world", &error);
    else
        rc = sim_spec_read(spec, path, strbuf_str(&text), &diagnostics);
    for (size_t i = 0; i < diagnostics.count; i++)
        diagnostics_print(&diagnostics.items[i], strbuf_str(&text), &out);
    output_write(stderr, &out);
    diagnostics_deinit(&diagnostics);
    strbuf_deinit(&text);
    strbuf_deinit(&out);
    return rc == 0 ? CLI_OK : CLI_USAGE;
}

static int read_spec(const struct cli_args *args, struct sim_spec *spec)
{
    const char *world = option_value(args, "world"), *rps = option_value(args, "rps");
    const char *stable = option_value(args, "stable"), *canary = option_value(args, "canary");
    const char *shared = option_value(args, "shared");
    struct error error = {.code = 0};

    sim_spec_init(spec);
    if (world != NULL && read_world(world, spec) != CLI_OK)
        return CLI_USAGE;
    if (rps != NULL && sim_rps_parse(str_from(rps), &spec->rps, &error) != 0)
        return usage_error("--rps", &error);
    if (stable != NULL) {
        if (sim_variant_parse(&spec->variants[VARIANT_STABLE], str_from(stable), &error) != 0)
            return usage_error("--stable", &error);
        if (world == NULL)
            spec->variants[VARIANT_CANARY] = spec->variants[VARIANT_STABLE];
    }
    if (canary != NULL &&
        sim_variant_parse(&spec->variants[VARIANT_CANARY], str_from(canary), &error) != 0)
        return usage_error("--canary", &error);
    if (shared != NULL && sim_shared_parse(&spec->shared, str_from(shared), &error) != 0)
        return usage_error("--shared", &error);
    return sim_spec_check(spec, &error) == 0 ? CLI_OK : usage_error("", &error);
}

/* --- numbers ---------------------------------------------------------------------------------- */

struct settings {
    uint64_t rollouts, seed, jobs;
    int64_t watch_ns, max_ns;
};

static int read_count(const struct cli_args *args, const char *option, uint64_t min, uint64_t max,
                      uint64_t *ret)
{
    const char *text = option_value(args, option);

    if (text == NULL || (str_to_u64(str_from(text), ret) && *ret >= min && *ret <= max))
        return CLI_OK;
    fprintf(stderr, "sluice simulate: --%s takes a number from %" PRIu64 " to %" PRIu64 "\n",
            option, min, max);
    return CLI_USAGE;
}

static int read_settings(const struct cli_args *args, struct settings *ret)
{
    const char *watch = option_value(args, "watch"), *hours = option_value(args, "hours");

    *ret = (struct settings){.rollouts = ROLLOUTS_DEFAULT,
                             .seed = 1,
                             .jobs = sim_default_jobs(),
                             .watch_ns = WATCH_DEFAULT_NS};
    if (read_count(args, "rollouts", 1, ROLLOUTS_COUNT_MAX, &ret->rollouts) != CLI_OK ||
        read_count(args, "seed", 0, INT64_MAX, &ret->seed) != CLI_OK ||
        read_count(args, "jobs", 1, SIM_JOBS_MAX, &ret->jobs) != CLI_OK)
        return CLI_USAGE;
    if (watch != NULL && !units_parse_duration(str_from(watch), &ret->watch_ns)) {
        fprintf(stderr, "sluice simulate: --watch takes a duration, such as 10m\n");
        return CLI_USAGE;
    }
    if (hours != NULL) {
        char *end;
        double value = strtod(hours, &end);
        if (end == hours || *end != '\0' || !(value > 0 && value <= 10000)) {
            fprintf(stderr, "sluice simulate: --hours takes a number of hours, such as 24\n");
            return CLI_USAGE;
        }
        ret->max_ns = (int64_t)(value * 3600 * (double)NS_PER_SEC);
    }
    return CLI_OK;
}

/* --- the policy ------------------------------------------------------------------------------- */

/* The one policy that has a canary, or the one that is named. */
static const struct policy *choose(const struct policy_set *set, const char *name)
{
    const struct policy *found = NULL;
    size_t count = 0;

    for (size_t i = 0; i < set->count; i++) {
        const struct policy *p = set->policies[i];
        if (rollout_canary(p) == NULL || (name != NULL && strcmp(p->name, name) != 0))
            continue;
        found = p;
        count++;
    }
    if (count == 1)
        return found;
    if (count > 1)
        fprintf(stderr, "sluice simulate: several rollouts have a canary: name one\n"
                        "  hint: sluice simulate FILE NAME\n");
    else if (name != NULL)
        fprintf(stderr, "sluice simulate: no rollout %s with a canary\n", name);
    else
        fprintf(stderr, "sluice simulate: no rollout has a canary other than its stable\n");
    return NULL;
}

/* --- running ---------------------------------------------------------------------------------- */

struct bar {
    const char *name;
    int64_t begun_ns;
    bool drawn;
};

enum { BAR_WIDTH = 30 };

static void draw_bar(void *ctx, size_t done, size_t count)
{
    struct bar *bar = ctx;
    char line[BAR_WIDTH + 1], left[UNITS_TEXT_MAX] = "";
    int64_t passed_ns = clock_mono(&clock_system) - bar->begun_ns;
    size_t filled = done * BAR_WIDTH / count;

    if (passed_ns < NS_PER_SEC / 2)
        return;
    memset(line, '.', BAR_WIDTH);
    memset(line, '#', filled);
    line[BAR_WIDTH] = '\0';
    if (done > 0) {
        int64_t left_ns = passed_ns / (int64_t)done * (int64_t)(count - done);
        units_duration_text((left_ns / NS_PER_SEC + 1) * NS_PER_SEC, left);
    }
    fprintf(stderr, "\r%s [%s] %zu of %zu, %s left \033[K", bar->name, line, done, count, left);
    bar->drawn = true;
    if (done == count)
        fprintf(stderr, "\r\033[K");
    fflush(stderr);
}

static void run_column(const struct sim_config *config, const struct settings *s, const char *name,
                       struct simulate_column *ret)
{
    struct bar bar = {.name = name, .begun_ns = clock_mono(&clock_system)};
    struct sim_batch batch = {.config = *config,
                              .seed = s->seed,
                              .count = s->rollouts,
                              .jobs = s->jobs,
                              .progress = isatty(STDERR_FILENO) ? draw_bar : NULL,
                              .progress_ctx = &bar};

    sim_batch_run(&batch);
    ret->name = name;
    sim_figures(&batch, &ret->figures);
    sim_batch_deinit(&batch);
}

/* Draws the first rollout of the batch. */
static int draw(const struct sim_config *config, const struct settings *s, const char *path)
{
    struct sim_history history;
    struct sim_config traced = *config;
    struct sim_result result;
    struct strbuf title, out;
    FILE *f = fopen(path, "wb");

    if (f == NULL) {
        fprintf(stderr, "sluice simulate: %s: %s\n", path, strerror(errno));
        return CLI_FAILED;
    }
    sim_history_init(&history);
    strbuf_init(&title, 4096);
    strbuf_init(&out, OUTPUT_BYTES_MAX);
    traced.trace = sim_history_add;
    traced.trace_ctx = &history;
    struct sim_world *world = sim_world_new(&traced);
    sim_world_run(world, sim_seed(s->seed, 0), &result);
    sim_world_free(world);
    strbuf_addf(&title, "%s: %s; canary ", config->plan->policy.name, sim_end_names[result.end]);
    sim_variant_text(&config->plan->spec.variants[VARIANT_CANARY], &title);
    sim_svg(&history, strbuf_str(&title), &out);
    output_write(f, &out);
    bool ok = !out.overflow && ferror(f) == 0;
    ok = fclose(f) == 0 && ok;
    if (!ok)
        fprintf(stderr, "sluice simulate: %s: could not be written\n", path);
    sim_history_deinit(&history);
    strbuf_deinit(&title);
    strbuf_deinit(&out);
    return ok ? CLI_OK : CLI_FAILED;
}

static void print_report(const struct simulate_report *report, bool json)
{
    struct strbuf out;

    if (json) {
        json_t *o = simulate_json(report);
        output_json(stdout, o);
        json_decref(o);
        return;
    }
    strbuf_init(&out, OUTPUT_BYTES_MAX);
    simulate_render(report, output_colours(stdout), &out);
    output_write(stdout, &out);
    strbuf_deinit(&out);
}

struct rivals {
    struct sim_rival_rules rules[SIMULATE_COLUMNS_MAX - 1];
    char names[SIMULATE_COLUMNS_MAX - 1][SIM_RIVAL_NAME_MAX];
    size_t count;
};

static int read_rivals(const struct cli_args *args, const struct policy *policy, struct rivals *ret)
{
    struct str list = str_from(option_value(args, "compare")), one;
    struct error error = {.code = 0};

    ret->count = 0;
    while (str_split(&list, ',', &one)) {
        if (ret->count == SIMULATE_COLUMNS_MAX - 1)
            error_set(&error, -E2BIG, "at most %d", SIMULATE_COLUMNS_MAX - 1);
        else
            sim_rival_parse(str_trim(one), policy, &ret->rules[ret->count], &error);
        if (error.code != 0)
            return usage_error("--compare", &error);
        sim_rival_name(&ret->rules[ret->count], ret->names[ret->count]);
        ret->count++;
    }
    return CLI_OK;
}

static int simulate(const struct cli_args *args, const struct policy *policy)
{
    struct settings settings;
    struct sim_spec spec;
    struct rivals rivals;

    if (read_spec(args, &spec) != CLI_OK || read_settings(args, &settings) != CLI_OK ||
        read_rivals(args, policy, &rivals) != CLI_OK)
        return CLI_USAGE;
    struct sim_plan *plan = sim_plan_new(policy, &spec, !option_given(args, "no-bake"));
    struct simulate_report *report = xcalloc(1, sizeof(*report));
    struct sim_config config = {.plan = plan,
                                .watch_ns = settings.watch_ns,
                                .max_ns = settings.max_ns,
                                .every_tick = option_given(args, "every-tick")};

    report->plan = plan;
    report->seed = settings.seed;
    report->watch_s = (double)settings.watch_ns / 1e9;
    const char *svg = option_value(args, "svg");
    int rc = svg == NULL ? CLI_OK : draw(&config, &settings, svg);
    run_column(&config, &settings, "sluice", &report->columns[report->count++]);
    for (size_t i = 0; i < rivals.count; i++) {
        config.rival = &rivals.rules[i];
        run_column(&config, &settings, rivals.names[i], &report->columns[report->count++]);
    }
    print_report(report, option_json(args));
    free(report);
    sim_plan_free(plan);
    return rc;
}

/* What was recorded is simulated no more: all but -o json says how to. False: said why. */
static bool goes_with_journal(const struct cli_args *args)
{
    for (size_t i = 0; i < command_simulate.option_count; i++) {
        const char *name = command_simulate.options[i].name;
        if (strcmp(name, "from-journal") == 0 || !option_given(args, name))
            continue;
        fprintf(stderr,
                "sluice simulate: --%s does not go with --from-journal\n"
                "  hint: what is recorded there is taken as it was, and nothing is simulated\n",
                name);
        return false;
    }
    return true;
}

static int run_simulate(const struct cli_args *args)
{
    struct cli_args files = {.args = {args->args[0]}, .arg_count = 1};
    struct load load;
    struct strbuf out;
    int rc = CLI_FAILED;

    if (option_given(args, "from-journal") && !goes_with_journal(args))
        return CLI_USAGE;
    strbuf_init(&out, OUTPUT_BYTES_MAX);
    if (load_files(&files, &load) == 0) {
        const struct policy *p = choose(load.set, args->arg_count > 1 ? args->args[1] : NULL);
        const char *journal = option_value(args, "from-journal");
        if (p != NULL)
            rc = journal == NULL ? simulate(args, p) : simulate_journal(args, p, journal);
    } else {
        load_print_diagnostics(&load, &out);
        load_print_error_counts(&load, &out);
        output_write(stderr, &out);
    }
    strbuf_deinit(&out);
    load_deinit(&load);
    return rc;
}

static const struct cli_option simulate_options[] = {
    {"canary", 0, "WORDS", "how the canary differs from stable: errors=5%,shift=1.5x"},
    {"stable", 0, "WORDS", "how stable answers (errors=0.1%,latency=lognormal:1s:0.5)"},
    {"shared", 0, "WORDS", "what befalls both: bursts, outage, swing"},
    {"world", 0, "FILE", "rps, stable, canary and shared as YAML or JSON"},
    {"rps", 0, "N", "requests per second, both variants together (100)"},
    {"rollouts", 'n', "N", "how many (1000)"},
    {"seed", 0, "N", "of all chance (1); equal seeds give equal results"},
    {"jobs", 'j', "N", "threads (one per core)"},
    {"svg", 0, "FILE", "draw weight and evidence over time, of the first rollout"},
    {"compare", 0, "RULES", "argo, flagger: what their rules would have done; argo:60s:0:1%"},
    {"from-journal", 0, "FILE", "instead: what this policy would have done with that rollout"},
    {"watch", 0, "DURATION", "stable alone, before the rollout (1m)"},
    {"hours", 0, "N", "end of a rollout that does not end by itself"},
    {"no-bake", 0, NULL, "promoted with the last step"},
    {"every-tick", 0, NULL, "decide every 100 ms, also where nothing can have changed"},
};

const struct cli_command command_simulate = {
    .name = "simulate",
    .summary = "run a policy in virtual time: how soon is a bad canary caught, and a good one not",
    .usage = "POLICY [NAME] [--canary WORDS] [--rps N] [-n N] [-o json]",
    .details =
        "The code that decides in production, fed by simulated requests. WORDS are KEY=VALUE,…:\n"
        "  errors=SHARE            end in 5xx; also each outcome by its name: 4xx=10%, reset=1%\n"
        "  failures=DURATION       how long an error takes (50ms), or as-slow as an answer, or\n"
        "                          timeout:60s\n"
        "  hang[=SHARE]            never answered: a timeout after first_byte_timeout\n"
        "  latency=TIME            2s, lognormal:2s:0.6, exponential:1s, uniform:1s:3s\n"
        "  shift=1.5x              all times longer by this factor\n"
        "  streaming[=SHARE]       answered as event streams; with ttft, gap, per-token=TIME\n"
        "  bursts=3s/5m:50%        for 3 s, once in 5 min, half of all requests fail (means)\n"
        "  outage=10m+2m:40%       from 10 min on, for 2 min, 40% fail\n"
        "  onset=120s              the canary is like stable until then; or from a weight on: 50%\n"
        "--shared takes bursts, outage and swing=50%/20m (times go up and down).\n"
        "--compare: argo or flagger, then interval, failures and limit, as far as they differ "
        "from\n"
        "a minute, 3 or 5, and the policy's own limit on the error rate.",
    .example = "  sluice simulate chat.yaml --canary errors=5% --rps 100\n"
               "  sluice simulate chat.yaml --canary shift=2x --stable latency=lognormal:3s:1\n"
               "  sluice simulate stricter.yaml --from-journal chat.journal",
    .options = simulate_options,
    .option_count = sizeof(simulate_options) / sizeof(simulate_options[0]),
    .args_min = 1,
    .args_max = 2,
    .json = true,
    .run = run_simulate,
};
