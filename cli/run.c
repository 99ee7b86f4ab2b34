/* `sluice run`: the composition root. Starts the parts in the order in which a failure costs least,
 * turns the control loop (cli/run_life.c says how it lives), and ends them. */
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/activation.h"
#include "cli/command.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/run.h"
#include "cli/run_ports.h"
#include "cli/successor.h"
#include "controller/rollout.h"
#include "controller/state_json.h"

/* Ends what there is, in any state of being started. */
static void tear_down(struct run *run)
{
    run_life_close(run);
    uv_run(&run->loop, UV_RUN_DEFAULT);
    proxy_free(run->proxy);
    controller_free(run->controller);
    store_free(run->store);
    recorder_free(run->recorder);
    notify_deinit(&run->notify);
    CHECK(uv_loop_close(&run->loop) == 0);
}

/* --- the start --- */

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("run.file_limit", F("error", LOG_STR(strerror(errno))));
}

static int start_admin(struct run *run, struct inherited *inherited, struct error *reterr)
{
    const struct config_address *a = &run->set->config->admin;
    struct admin_ports ports;

    run_admin_ports(run, &ports);
    int fd = inherited_take_admin(inherited, a->text, a->host, a->port);
    if (fd < 0)
        return admin_start(&run->loop, a->host, a->port, &ports, &run->admin, reterr);
    int rc = admin_adopt(&run->loop, fd, &ports, &run->admin, reterr);
    if (rc != 0)
        close(fd);
    return rc;
}

/* What the process before knew of this process's rollouts, as if this one had stored it. */
static int take_up_states(struct run *run, struct successor *successor, struct error *reterr)
{
    json_t *states = NULL;

    if (successor->socket < 0)
        return 0;
    int rc = successor_states(successor, &states, reterr);
    for (size_t i = 0; rc == 0 && i < run->set->count; i++) {
        const char *name = run->set->policies[i]->name;
        const json_t *stored = json_object_get(states, name);
        struct rollout_state state;
        struct error error = {0};
        if (stored == NULL)
            continue;
        if (state_from_json(stored, &state, &error) == 0)
            rc = run->store->ops->commit(run->store, name, &state, NULL, reterr);
        else
            log_warn("upgrade.state_unknown", F("rollout", LOG_STR(name)),
                     F("error", LOG_STR(error.message)), F("note", LOG_STR("begins at weight 0")));
    }
    json_decref(states);
    return rc;
}

/* What can fail comes first, what others see last: a process that replaces another must not take a
 * connection before it is sure to serve it. */
static int start(struct run *run, struct inherited *inherited, struct successor *successor,
                 struct error *reterr)
{
    struct controller_ports controller_ports;

    run->worker_count = proxy_worker_count(run->set->config);
    run->recorder = recorder_new(run->worker_count, run->set);
    run->store = store_memory_new();
    const struct proxy_options options = {
        .set = run->set,
        .recorder = run->recorder,
        .workers = run->worker_count,
        .clock = &clock_system,
        .inherited = inherited,
        .predecessors = successor->weights,
        .predecessor_count = successor->weight_count,
    };
    int rc = proxy_new(&options, &run->proxy, reterr);
    if (rc == 0)
        rc = start_admin(run, inherited, reterr);
    if (rc == 0)
        rc = take_up_states(run, successor, reterr);
    if (rc != 0)
        return rc;
    run_controller_ports(run, &controller_ports);
    rc = controller_new(run->set, &controller_ports, run->store, &clock_system, &run->controller,
                        reterr);
    if (rc == 0)
        rc = proxy_start(run->proxy, reterr);
    if (rc == 0 && successor->socket >= 0)
        rc = successor_ready(successor, reterr);
    if (rc != 0)
        return rc;
    proxy_lead(run->proxy);
    proxy_open(run->proxy);
    return 0;
}

/* --- what is said --- */

static void log_addresses(const struct run *run)
{
    const struct config *config = run->set->config;
    char address[PROXY_ADDRESS_MAX], url[PROXY_ADDRESS_MAX + 16];

    for (size_t i = 0; i < config->listen_count; i++) {
        proxy_address(run->proxy, i, address);
        log_info("proxy.listening", F("address", LOG_STR(address)),
                 F("workers", LOG_U64(run->worker_count)));
    }
    bool v6 = strchr(config->admin.host, ':') != NULL;
    snprintf(url, sizeof(url), v6 ? "http://[%s]:%u" : "http://%s:%u", config->admin.host,
             admin_port(run->admin));
    log_info("admin.listening", F("url", LOG_STR(url)));
}

static void log_rollouts(const struct run *run, bool replaces)
{
    struct strbuf steps;

    strbuf_init(&steps, 4096);
    for (size_t i = 0; i < run->set->count; i++) {
        const struct policy *p = run->set->policies[i];
        const char *canary = p->versions[VARIANT_CANARY].version;
        strbuf_reset(&steps);
        load_steps_text(p, &steps);
        log_info("run.rollout", F("rollout", LOG_STR(p->name)),
                 F("stable", LOG_STR(p->versions[VARIANT_STABLE].version)),
                 F("canary", LOG_STR(canary == NULL ? "none" : canary)),
                 F("steps", LOG_STR(strbuf_cstr(&steps))));
    }
    strbuf_deinit(&steps);
    log_info("run.state", F("kept", LOG_STR("in memory")),
             F("note", LOG_STR(replaces ? "rollouts go on where the process before left them"
                                        : "nothing was kept of an earlier run: each rollout "
                                          "begins at weight 0")));
}

/* One line: what it was and what to do. */
static void print_start_error(const struct error *e)
{
    const char *hint = e->hint;

    if (hint[0] == '\0' && e->code == -EADDRINUSE)
        hint = "another process has the port: end it, or give another address in the configuration";
    fprintf(stderr, "sluice: %s%s%s\n", e->message, hint[0] == '\0' ? "" : ": ", hint);
}

/* --- the command --- */

static int usage_error(const char *message)
{
    fprintf(stderr, "sluice run: %s\n", message);
    return CLI_USAGE;
}

static int init_log(const struct cli_args *args)
{
    static const char *const levels[LOG_LEVEL_COUNT] = {"debug", "info", "warn", "error"};
    const char *format = option_value(args, "log-format"), *level = option_value(args, "log-level");
    int at = LOG_INFO;

    if (format != NULL && strcmp(format, "json") != 0 && strcmp(format, "text") != 0)
        return usage_error("--log-format takes json or text");
    for (at = level == NULL ? at : 0; level != NULL && at < LOG_LEVEL_COUNT; at++)
        if (strcmp(levels[at], level) == 0)
            break;
    if (at == LOG_LEVEL_COUNT)
        return usage_error("--log-level takes debug, info, warn or error");
    log_init((enum log_level)at,
             format != NULL && strcmp(format, "json") == 0 ? LOG_JSON : LOG_TEXT, STDERR_FILENO);
    return CLI_OK;
}

/* The set, or NULL with everything said as `sluice check` says it. */
static int load_set(struct load *load, const struct cli_args *args)
{
    int rc = load_files(args, load);
    struct strbuf out;

    strbuf_init(&out, OUTPUT_BYTES_MAX);
    load_print_diagnostics(load, &out);
    load_print_error_counts(load, &out);
    output_write(stderr, &out);
    strbuf_deinit(&out);
    if (rc != 0)
        return CLI_FAILED;
    if (load->set->count == 0)
        log_warn("run.no_policies", F("note", LOG_STR("every request is answered 404")));
    return CLI_OK;
}

/* What systemd opened and nobody listens on; a process before simply closes its own. */
static void log_unused(const struct inherited *inherited, bool replaces)
{
    for (size_t i = 0; !replaces && i < inherited->count; i++)
        if (!inherited->sockets[i].taken)
            log_warn("activation.unused", F("descriptor", LOG_I64(inherited->sockets[i].fd)),
                     F("note", LOG_STR("fits no proxy.listen and is not called proxy or admin; "
                                       "closed")));
}

static int run_set(struct policy_set *set, struct inherited *inherited, struct successor *successor)
{
    struct run *run = xcalloc(1, sizeof(*run));
    struct error error = {.code = 0};
    bool replaces = successor->socket >= 0;

    run->set = set;
    notify_init(&run->notify, replaces);
    raise_file_limit();
    run_life_init(run);
    int rc = start(run, inherited, successor, &error);
    log_unused(inherited, replaces);
    inherited_deinit(inherited);
    if (rc != 0) {
        print_start_error(&error);
    } else {
        log_addresses(run);
        log_rollouts(run, replaces);
        run_life_serve(run);
        uv_run(&run->loop, UV_RUN_DEFAULT);
    }
    tear_down(run);
    free(run);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

/* Sockets and all else that another process prepared for this one. */
static int begin(struct inherited *inherited, struct successor *successor)
{
    struct error error = {.code = 0};

    run_block_signals(true);
    if (successor_begin(successor, inherited, &error) != 0) {
        print_start_error(&error);
        return CLI_FAILED;
    }
    if (successor->socket < 0)
        activation_take(inherited);
    return CLI_OK;
}

static int run_run(const struct cli_args *args)
{
    struct inherited inherited = {0};
    struct successor successor;
    struct load load;

    if (args->arg_count == 0)
        return usage_error("give at least one policy file, such as: sluice run sluice.yaml");
    int rc = init_log(args);
    if (rc == CLI_OK)
        rc = begin(&inherited, &successor);
    if (rc != CLI_OK)
        return rc;
    rc = load_set(&load, args);
    if (rc == CLI_OK)
        rc = run_set(load.set, &inherited, &successor);
    inherited_deinit(&inherited);
    successor_end(&successor);
    load_deinit(&load);
    return rc;
}

static const struct cli_option run_options[] = {
    {"log-format", 0, "text|json", "how log lines are written (default text)"},
    {"log-level", 0, "LEVEL", "debug, info, warn or error (default info)"},
};

const struct cli_command command_run = {
    .name = "run",
    .summary = "proxy and controller in one process",
    .usage = "FILE… [--log-format text|json] [--log-level LEVEL]",
    .details = "Files are policies or a configuration, or folders of them, told apart by their\n"
               "top-level key. Without a configuration: listens on 127.0.0.1:8080, admin API on\n"
               "127.0.0.1:9900.\n\n"
               "SIGTERM  drains: finishes what is in flight within proxy.drain_timeout (30s);\n"
               "         a second one ends at once\n"
               "SIGUSR2  starts the program anew, with the files as they are now, hands it the\n"
               "         open sockets and the rollouts' states, and drains once it serves\n"
               "SIGHUP   opens the access log anew, reads certificates again; not policies\n\n"
               "Takes sockets from systemd and tells it how it is: docs/operations.md.",
    .example = "  sluice run sluice.yaml chat.yaml",
    .options = run_options,
    .option_count = sizeof(run_options) / sizeof(run_options[0]),
    .args_max = CLI_ARGS_MAX,
    .run = run_run,
};
