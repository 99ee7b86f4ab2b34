/* cli/run_ports.h — one running sluice, and the ports through which its parts see each other. */
#ifndef CLI_RUN_PORTS_H
#define CLI_RUN_PORTS_H

#include <uv.h>

#include <stdbool.h>

#include "admin/ports.h"
#include "admin/server.h"
#include "controller/controller.h"
#include "policies/config.h"
#include "proxy/proxy.h"

/* Everything lives on the control thread, except that a helper thread owns `proxy` once `draining`
 * is true: from then on nothing else may touch it. */
struct run {
    struct policy_set *set;
    struct recorder *recorder;
    struct store *store;
    struct proxy *proxy;
    struct controller *controller; /* NULL until the proxy has started */
    struct admin *admin;
    bool draining;
    struct admin_worker last_workers[WORKERS_MAX]; /* as they were when the drain began */
    size_t worker_count;

    uv_loop_t loop;
    uv_timer_t tick;
    uv_signal_t signals[3];
    uv_async_t stopped;
    uv_thread_t stopper;
};

/* Both structs point to `run`, which outlives their users. */
void run_controller_ports(struct run *, struct controller_ports *ret);
void run_admin_ports(struct run *, struct admin_ports *ret);

/* Keeps the proxy's counters for /metrics, since the proxy goes away. Before `draining` is set. */
void run_keep_worker_stats(struct run *);

#endif
