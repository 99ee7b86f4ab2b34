/* `sluice run`: the composition root. Starts the parts in the order in which a failure costs least
 * (the admin port before the first request is taken), turns the control loop, and ends them.
 *
 * What surprises: proxy_stop blocks until requests in flight are done, so it runs on a helper
 * thread while the loop goes on answering /readyz (with 503). The signal handlers are gone by then,
 * so that a second signal has its default effect and ends the process at once. */
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
#include "cli/command.h"
#include "cli/load.h"
#include "cli/options.h"
#include "cli/output.h"
#include "cli/run_ports.h"

enum { TICK_MS = 100 };
#define DRAIN_NS (30 * NS_PER_SEC)

/* --- the end --- */

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

static void close_signals(struct run *run)
{
    for (size_t i = 0; i < ARRAY_LEN(run->signals); i++)
        close_handle((uv_handle_t *)&run->signals[i]);
}

static void on_stopped(uv_async_t *async)
{
    struct run *run = async->data;

    uv_thread_join(&run->stopper);
    run->proxy = NULL;
    log_info("run.stopped");
    admin_close(run->admin);
    run->admin = NULL;
    close_handle((uv_handle_t *)&run->tick);
    close_handle((uv_handle_t *)async);
}

static void stop_proxy(void *arg)
{
    struct run *run = arg;

    proxy_stop(run->proxy, DRAIN_NS);
    uv_async_send(&run->stopped);
}

static void begin_drain(struct run *run, int signum)
{
    char limit[UNITS_TEXT_MAX];

    log_info("run.draining", F("signal", LOG_STR(signum == SIGINT ? "SIGINT" : "SIGTERM")),
             F("at_most", LOG_STR(units_duration_text(DRAIN_NS, limit))),
             F("note", LOG_STR("a second signal ends it at once")));
    run_keep_worker_stats(run);
    uv_timer_stop(&run->tick);
    run->draining = true;
    close_signals(run);
    CHECK(uv_thread_create(&run->stopper, stop_proxy, run) == 0);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct run *run = handle->data;

    if (signum == SIGHUP)
        log_warn("run.reload_unsupported",
                 F("note", LOG_STR("not supported yet: restart to read the files again")));
    else if (!run->draining)
        begin_drain(run, signum);
}

/* Ends what there is, in any state of being started. */
static void tear_down(struct run *run)
{
    close_signals(run);
    close_handle((uv_handle_t *)&run->tick);
    close_handle((uv_handle_t *)&run->stopped);
    admin_close(run->admin);
    run->admin = NULL;
    uv_run(&run->loop, UV_RUN_DEFAULT);
    if (run->proxy != NULL)
        proxy_stop(run->proxy, 0);
    controller_free(run->controller);
    store_free(run->store);
    recorder_free(run->recorder);
    CHECK(uv_loop_close(&run->loop) == 0);
}

/* --- the start --- */

static void on_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;

    controller_tick(run->controller);
    admin_pump(run->admin);
}

static void raise_file_limit(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == limit.rlim_max)
        return;
    limit.rlim_cur = limit.rlim_max;
    if (setrlimit(RLIMIT_NOFILE, &limit) != 0)
        log_warn("run.file_limit", F("error", LOG_STR(strerror(errno))));
}

static void init_loop(struct run *run)
{
    static const int signums[] = {SIGTERM, SIGINT, SIGHUP};

    CHECK(uv_loop_init(&run->loop) == 0);
    CHECK(uv_timer_init(&run->loop, &run->tick) == 0);
    CHECK(uv_async_init(&run->loop, &run->stopped, on_stopped) == 0);
    run->tick.data = run->stopped.data = run;
    for (size_t i = 0; i < ARRAY_LEN(run->signals); i++) {
        CHECK(uv_signal_init(&run->loop, &run->signals[i]) == 0);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, signums[i]);
    }
}

static int start(struct run *run, struct error *reterr)
{
    const struct config *config = run->set->config;
    struct controller_ports controller_ports;
    struct admin_ports admin_ports;

    run->worker_count = proxy_worker_count(config);
    run->recorder = recorder_new(run->worker_count, run->set);
    run->store = store_memory_new();
    run_admin_ports(run, &admin_ports);
    int rc = admin_start(&run->loop, config->admin.host, config->admin.port, &admin_ports,
                         &run->admin, reterr);
    if (rc != 0)
        return rc;
    const struct proxy_options options = {
        .set = run->set,
        .recorder = run->recorder,
        .workers = run->worker_count,
        .clock = &clock_system,
    };
    rc = proxy_start(&options, &run->proxy, reterr);
    if (rc != 0)
        return rc;
    run_controller_ports(run, &controller_ports);
    rc = controller_new(run->set, &controller_ports, run->store, &clock_system, &run->controller,
                        reterr);
    if (rc == 0)
        uv_timer_start(&run->tick, on_tick, 0, TICK_MS); /* the first before any request */
    return rc;
}

/* --- what is said --- */

static void add_host(struct strbuf *b, const char *host, uint16_t port)
{
    strbuf_addf(b, strchr(host, ':') != NULL ? "[%s]:%u" : "%s:%u", host, port);
}

static void log_addresses(const struct run *run)
{
    const struct config *config = run->set->config;
    struct strbuf text;

    strbuf_init(&text, 512);
    for (size_t i = 0; i < config->listen_count; i++) {
        strbuf_reset(&text);
        add_host(&text, config->listen[i].host, proxy_port(run->proxy, i));
        log_info("proxy.listening", F("address", LOG_STR(strbuf_cstr(&text))),
                 F("workers", LOG_U64(run->worker_count)));
    }
    strbuf_reset(&text);
    strbuf_add(&text, STR("http://"));
    add_host(&text, config->admin.host, admin_port(run->admin));
    log_info("admin.listening", F("url", LOG_STR(strbuf_cstr(&text))));
    strbuf_deinit(&text);
}

static void log_rollouts(const struct run *run)
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
    log_info(
        "run.state", F("kept", LOG_STR("in memory")),
        F("note", LOG_STR("nothing was kept of an earlier run: each rollout begins at weight 0")));
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

static int run_set(struct policy_set *set)
{
    struct run *run = xcalloc(1, sizeof(*run));
    struct error error = {.code = 0};

    run->set = set;
    raise_file_limit();
    init_loop(run);
    int rc = start(run, &error);
    if (rc != 0) {
        print_start_error(&error);
    } else {
        log_addresses(run);
        log_rollouts(run);
        uv_run(&run->loop, UV_RUN_DEFAULT);
    }
    tear_down(run);
    free(run);
    return rc == 0 ? CLI_OK : CLI_FAILED;
}

static int run_run(const struct cli_args *args)
{
    struct load load;

    if (args->arg_count == 0)
        return usage_error("give at least one policy file, such as: sluice run sluice.yaml");
    int rc = init_log(args);
    if (rc != CLI_OK)
        return rc;
    rc = load_set(&load, args);
    if (rc == CLI_OK)
        rc = run_set(load.set);
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
               "127.0.0.1:9900. SIGTERM drains for at most 30 s; a second one ends at once.",
    .example = "  sluice run sluice.yaml chat.yaml",
    .options = run_options,
    .option_count = sizeof(run_options) / sizeof(run_options[0]),
    .args_max = CLI_ARGS_MAX,
    .run = run_run,
};
