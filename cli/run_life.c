/* How a running sluice lives and ends: signals, the tick, reload, drain.
 *
 * What surprises: waiting for the drain blocks, so a helper thread does it while the loop goes on
 * deciding and answering, and listening for the second signal that ends it at once. */
#include <signal.h>
#include <unistd.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/log.h"
#include "base/units.h"
#include "cli/run.h"

enum { LINGER_TURN_MS = 50, LINGER_TURNS = 60 };

static const int signums[RUN_SIGNALS] = {SIGTERM, SIGINT, SIGHUP, SIGUSR2};

/* SIGHUP and SIGUSR2 must never end a process, not even one that has no handler for them yet or any
 * more; every other thread is born while they are blocked. */
void run_block_signals(bool blocked)
{
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGHUP);
    sigaddset(&set, SIGUSR2);
    pthread_sigmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL);
}

static void close_handle(uv_handle_t *handle)
{
    if (handle->type != UV_UNKNOWN_HANDLE && !uv_is_closing(handle))
        uv_close(handle, NULL);
}

void run_life_close(struct run *run)
{
    run_block_signals(true);
    for (size_t i = 0; i < RUN_SIGNALS; i++)
        close_handle((uv_handle_t *)&run->signals[i]);
    close_handle((uv_handle_t *)&run->tick);
    close_handle((uv_handle_t *)&run->watchdog);
    close_handle((uv_handle_t *)&run->delay);
    close_handle((uv_handle_t *)&run->stopped);
    upgrade_forget(run);
    admin_close(run->admin);
    run->admin = NULL;
}

/* --- the end --- */

/* The last users of the admin API of a process that was replaced have a moment to end. */
static void on_linger(uv_timer_t *timer)
{
    struct run *run = timer->data;

    if (admin_connections(run->admin) == 0 || ++run->lingered == LINGER_TURNS)
        run_life_close(run);
}

static void on_stopped(uv_async_t *async)
{
    struct run *run = async->data;
    uint64_t cut = proxy_cut(run->proxy);

    uv_thread_join(&run->stopper);
    if (cut > 0)
        log_warn("run.cut", F("requests", LOG_U64(cut)),
                 F("note", LOG_STR("they were still under way when proxy.drain_timeout was over")));
    log_info("run.stopped", F("cut", LOG_U64(cut)));
    if (run->replaced)
        uv_timer_start(&run->delay, on_linger, 0, LINGER_TURN_MS);
    else
        run_life_close(run);
}

static void join_proxy(void *arg)
{
    struct run *run = arg;

    proxy_join(run->proxy);
    uv_async_send(&run->stopped);
}

static void stop_accepting(struct run *run)
{
    proxy_drain(run->proxy, run->set->config->drain_timeout_ns);
    CHECK(uv_thread_create(&run->stopper, join_proxy, run) == 0);
}

static void on_delay(uv_timer_t *timer)
{
    stop_accepting(timer->data);
}

static void leave(struct run *run, int signum)
{
    const struct config *config = run->set->config;
    char limit[UNITS_TEXT_MAX], delay[UNITS_TEXT_MAX];

    log_info("run.draining", F("signal", LOG_STR(signum == SIGINT ? "SIGINT" : "SIGTERM")),
             F("delay", LOG_STR(units_duration_text(config->drain_delay_ns, delay))),
             F("at_most", LOG_STR(units_duration_text(config->drain_timeout_ns, limit))),
             F("note", LOG_STR("a second signal ends it at once")));
    notify_send(&run->notify, "STOPPING=1\nSTATUS=draining");
    run->leaving = true;
    proxy_set_ready(run->proxy, false);
    if (config->drain_delay_ns > 0)
        uv_timer_start(&run->delay, on_delay,
                       (uint64_t)((config->drain_delay_ns + NS_PER_MS - 1) / NS_PER_MS), 0);
    else
        stop_accepting(run);
}

void run_replaced(struct run *run)
{
    char limit[UNITS_TEXT_MAX];

    log_info("run.draining", F("signal", LOG_STR("SIGUSR2")),
             F("at_most", LOG_STR(units_duration_text(run->set->config->drain_timeout_ns, limit))),
             F("note", LOG_STR("replaced: a SIGTERM ends it at once")));
    run->leaving = run->replaced = true;
    close_handle((uv_handle_t *)&run->tick);
    close_handle((uv_handle_t *)&run->watchdog);
    admin_drain(run->admin);
    stop_accepting(run);
}

/* --- signals --- */

/* All of them or none: what is wrong with one is said, and what was in use stays. */
static bool reload_certificates(struct run *run)
{
    struct diagnostics d;

    diagnostics_init(&d);
    int status = proxy_reload_certificates(run->proxy, &d);
    for (size_t i = 0; i < d.count; i++) {
        if (d.items[i].code == 0)
            log_warn("tls.certificate", F("warning", LOG_STR(d.items[i].message)));
        else
            log_error("tls.reload_failed", F("error", LOG_STR(d.items[i].message)),
                      F("file", LOG_STR(d.items[i].at.file)),
                      F("line", LOG_U64(d.items[i].at.line)));
    }
    diagnostics_deinit(&d);
    return status == 0;
}

static void reload(struct run *run)
{
    struct error error = {0};
    /* Neither after STOPPING=1, nor within an upgrade, whose end will say READY=1. */
    bool tell = !run->leaving && run->upgrade == NULL;

    if (tell)
        notify_send(&run->notify, "RELOADING=1\nMONOTONIC_USEC=%lld",
                    (long long)(clock_mono(&clock_system) / NS_PER_US));
    if (proxy_reopen_log(run->proxy, &error) != 0)
        log_error("access_log.reopen_failed", F("error", LOG_STR(error.message)),
                  F("note", LOG_STR("the file that was open stays in use")));
    bool good = reload_certificates(run);
    log_info("run.reloaded",
             F("certificates", LOG_STR(good ? "read again" : "those that were in use stay")),
             F("note", LOG_STR("the access log was opened anew; policies and configuration were "
                               "not read again, which SIGUSR2 does")));
    if (tell)
        notify_send(&run->notify, "READY=1");
}

/* As if nobody had ever handled it: who waits for us sees what ended us. */
static void end_at_once(int signum)
{
    signal(signum, SIG_DFL);
    raise(signum);
}

static void on_signal(uv_signal_t *handle, int signum)
{
    struct run *run = handle->data;

    if (signum == SIGHUP)
        reload(run);
    else if (signum == SIGUSR2)
        upgrade_start(run);
    else if (run->leaving)
        end_at_once(signum);
    else if (upgrade_abandon(run))
        leave(run, signum);
}

/* --- the tick --- */

static void on_tick(uv_timer_t *timer)
{
    struct run *run = timer->data;

    controller_tick(run->controller);
    proxy_tidy(run->proxy);
    admin_pump(run->admin);
}

void run_freeze(struct run *run, bool frozen)
{
    run->frozen = frozen;
    if (frozen)
        uv_timer_stop(&run->tick);
    else if (!uv_is_closing((uv_handle_t *)&run->tick))
        uv_timer_start(&run->tick, on_tick, 0, RUN_TICK_MS);
}

static void on_watchdog(uv_timer_t *timer)
{
    const struct run *run = timer->data;

    notify_send(&run->notify, "WATCHDOG=1");
}

void run_life_init(struct run *run)
{
    CHECK(uv_loop_init(&run->loop) == 0);
    CHECK(uv_timer_init(&run->loop, &run->tick) == 0);
    CHECK(uv_timer_init(&run->loop, &run->watchdog) == 0);
    CHECK(uv_timer_init(&run->loop, &run->delay) == 0);
    CHECK(uv_async_init(&run->loop, &run->stopped, on_stopped) == 0);
    run->tick.data = run->watchdog.data = run->delay.data = run->stopped.data = run;
    for (size_t i = 0; i < RUN_SIGNALS; i++) {
        CHECK(uv_signal_init(&run->loop, &run->signals[i]) == 0);
        run->signals[i].data = run;
        uv_signal_start(&run->signals[i], on_signal, signums[i]);
    }
}

void run_life_serve(struct run *run)
{
    uint64_t half_ms = (uint64_t)(run->notify.watchdog_ns / 2 / NS_PER_MS);

    run_block_signals(false);
    run_freeze(run, false); /* the first tick comes before any request */
    if (run->notify.watchdog_ns > 0)
        uv_timer_start(&run->watchdog, on_watchdog, 0, half_ms > 0 ? half_ms : 1);
    notify_send(&run->notify, "READY=1\nMAINPID=%ld\nSTATUS=serving", (long)getpid());
}
