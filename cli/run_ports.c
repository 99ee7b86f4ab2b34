/* The glue: each function is one call on, because proxy, controller and admin do not know each
 * other. What it adds is the end of life: then commands are refused. */
#include "cli/run_ports.h"

#include <errno.h>
#include <stdio.h>

#include "base/clock.h"

/* --- for the controller --- */

static void set_weight(void *ctx, uint32_t rollout, uint32_t epoch, uint32_t weight_bp)
{
    struct run *run = ctx;

    proxy_set_weight(run->proxy, rollout, epoch, weight_bp);
}

static void observe(void *ctx, uint32_t rollout, struct observation *add_to)
{
    struct run *run = ctx;

    recorder_read(run->recorder, rollout, add_to);
}

static uint64_t alarms(void *ctx, uint32_t rollout)
{
    struct run *run = ctx;

    return recorder_alarms(run->recorder, rollout);
}

static void totals(void *ctx, uint32_t rollout, struct recorder_totals *ret)
{
    struct run *run = ctx;

    recorder_totals(run->recorder, rollout, ret);
}

static void histogram(void *ctx, uint32_t rollout, enum variant variant,
                      enum recorder_histogram which, struct histogram_view *ret)
{
    struct run *run = ctx;

    recorder_histogram(run->recorder, rollout, variant, which, ret);
}

static void moving_histogram(void *ctx, uint32_t rollout, size_t criterion,
                             struct histogram_view *ret)
{
    struct run *run = ctx;

    recorder_moving_histogram(run->recorder, rollout, criterion, ret);
}

static void limits(void *ctx, uint32_t rollout, const struct moving_limits *moving)
{
    struct run *run = ctx;

    recorder_limits(run->recorder, rollout, moving);
}

static void values(void *ctx, uint32_t rollout,
                   void (*take)(void *take_ctx, const struct shift_value *), void *take_ctx)
{
    struct run *run = ctx;

    recorder_values(run->recorder, rollout, take, take_ctx);
}

static size_t examples(void *ctx, uint32_t rollout, struct recorder_example *ret, size_t max)
{
    struct run *run = ctx;

    return recorder_examples(run->recorder, rollout, ret, max);
}

void run_controller_ports(struct run *run, struct controller_ports *ret)
{
    *ret = (struct controller_ports){
        .set_weight = set_weight,
        .observe = observe,
        .alarms = alarms,
        .totals = totals,
        .histogram = histogram,
        .moving_histogram = moving_histogram,
        .limits = limits,
        .values = values,
        .examples = examples,
        .ctx = run,
    };
}

/* --- for the admin API --- */

static json_t *document(void *ctx, const char *rollout)
{
    struct run *run = ctx;

    return controller_document(run->controller, rollout);
}

static json_t *document_at(void *ctx, size_t index)
{
    struct run *run = ctx;

    return controller_document_at(run->controller, index);
}

static int command(void *ctx, const char *rollout, const struct command *what,
                   struct command_result *ret)
{
    struct run *run = ctx;

    bool being_replaced = run->frozen || run->replaced;
    if (!run->leaving && !being_replaced)
        return controller_command(run->controller, rollout, what, ret);
    *ret = (struct command_result){.ok = false};
    snprintf(ret->title, sizeof(ret->title), being_replaced ? "Being replaced" : "Shutting down");
    snprintf(ret->detail, sizeof(ret->detail),
             being_replaced ? "Another process takes over; the command was not run: try again."
                            : "This process is ending and takes no commands; try again when it "
                              "runs again.");
    return 0;
}

static json_t *verdict(void *ctx, const char *rollout, bool *ret_ok)
{
    struct run *run = ctx;

    return controller_verdict(run->controller, rollout, ret_ok);
}

static json_t *decision(void *ctx, const char *id)
{
    struct run *run = ctx;

    return controller_decision(run->controller, id);
}

static json_t *decisions(void *ctx, const char *rollout, size_t max)
{
    struct run *run = ctx;

    return controller_decisions(run->controller, rollout, max);
}

static bool journal(void *ctx, const char *rollout, struct strbuf *out)
{
    struct run *run = ctx;

    return controller_journal(run->controller, rollout, out);
}

static size_t events(void *ctx, uint64_t after, struct controller_event *ret, size_t max)
{
    struct run *run = ctx;

    return controller_events(run->controller, after, ret, max);
}

static void gauges(void *ctx, size_t index, struct controller_gauges *ret)
{
    struct run *run = ctx;

    controller_gauges(run->controller, index, ret);
}

static int64_t tick_late_ns(void *ctx)
{
    struct run *run = ctx;

    return controller_tick_late_ns(run->controller);
}

static void worker_totals(void *ctx, size_t worker, uint32_t rollout, struct recorder_totals *ret)
{
    struct run *run = ctx;

    recorder_shard_totals(run->recorder, worker, rollout, ret);
}

static void endpoint_totals(void *ctx, uint32_t rollout, enum variant variant, uint32_t endpoint,
                            uint64_t ret[static OUTCOME_KIND_COUNT])
{
    struct run *run = ctx;

    recorder_endpoint_totals(run->recorder, rollout, variant, endpoint, ret);
}

static size_t workers(void *ctx)
{
    struct run *run = ctx;

    return run->worker_count;
}

static void read_worker(const struct run *run, size_t index, struct admin_worker *ret)
{
    struct proxy_worker_stats s;

    proxy_worker_stats(run->proxy, index, &s);
    *ret = (struct admin_worker){
        .connections = s.connections,
        .connections_active = s.connections_active,
        .connections_handed = s.connections_handed,
        .requests = s.requests,
        .requests_active = s.requests_active,
        .upstream_connections = s.upstream_connections,
        .unmatched = s.unmatched,
        .rejected = s.rejected,
        .refused_connections = s.refused_connections,
        .overloaded = s.overloaded,
        .unshielded = s.unshielded,
        .retries_denied = s.retries_denied,
        .queued = s.queued,
        .queue_full = s.queue_full,
        .streams_unseen = s.streams_unseen,
        .tunnels = s.tunnels,
        .log_dropped = s.log_dropped,
        .handshakes = s.handshakes,
        .handshake_failures = s.handshake_failures,
    };
}

static void worker(void *ctx, size_t index, struct admin_worker *ret)
{
    struct run *run = ctx;

    read_worker(run, index, ret);
}

static const char *not_ready(void *ctx)
{
    struct run *run = ctx;

    return run->leaving ? "draining: no new requests are taken" : NULL;
}

void run_admin_ports(struct run *run, struct admin_ports *ret)
{
    *ret = (struct admin_ports){
        .set = run->set,
        .document = document,
        .document_at = document_at,
        .command = command,
        .verdict = verdict,
        .decision = decision,
        .decisions = decisions,
        .journal = journal,
        .events = events,
        .gauges = gauges,
        .tick_late_ns = tick_late_ns,
        .totals = totals,
        .endpoint_totals = endpoint_totals,
        .worker_totals = worker_totals,
        .histogram = histogram,
        .workers = workers,
        .worker = worker,
        .not_ready = not_ready,
        .ctx = run,
    };
}
