/* cli/run.h — one running sluice: what it is made of, and how it lives and ends. */
#ifndef CLI_RUN_H
#define CLI_RUN_H

#include <uv.h>

#include <stdbool.h>

#include "admin/server.h"
#include "cli/notify.h"
#include "controller/controller.h"
#include "policies/config.h"
#include "proxy/proxy.h"

struct upgrade;

enum { RUN_TICK_MS = 100, RUN_SIGNALS = 4 };

/* Everything lives on the control thread; a helper thread waits for the proxy's drain to end. */
struct run {
    struct policy_set *set;
    struct recorder *recorder;
    struct store *store;
    struct proxy *proxy;
    struct controller *controller; /* NULL until the proxy stands */
    struct admin *admin;
    struct upgrade *upgrade; /* one under way, or done; NULL: none */
    struct notify notify;
    bool leaving;  /* it was told to end, or is replaced: takes no commands */
    bool replaced; /* another process serves in its place */
    bool frozen;   /* the next process has what the rollouts stand at: nothing is decided here */
    size_t worker_count;
    unsigned lingered;

    uv_loop_t loop;
    uv_timer_t tick, watchdog, delay;
    uv_signal_t signals[RUN_SIGNALS];
    uv_async_t stopped;
    uv_thread_t stopper;
};

/* --- run_life.c --- */
/* SIGHUP and SIGUSR2, for this thread and those it starts: before any is started. What comes
 * meanwhile is done by run_life_serve. */
void run_block_signals(bool blocked);
/* Handles on the loop, signals among them. */
void run_life_init(struct run *);
/* Everything is up: ticks, and says so. */
void run_life_serve(struct run *);
/* Closes the handles; the loop ends once they are. */
void run_life_close(struct run *);
/* Decides nothing from now on, or goes on deciding. */
void run_freeze(struct run *, bool frozen);
/* Another process serves: stops accepting, drains, ends. */
void run_replaced(struct run *);

/* --- run_upgrade.c --- */
/* Starts the program anew to take this process's place; says in the log how it went. */
void upgrade_start(struct run *);
/* Gives up on one that is under way. False: it was just done, this process is replaced. */
bool upgrade_abandon(struct run *);
/* Lets go of the successor's handle. */
void upgrade_forget(struct run *);

#endif
