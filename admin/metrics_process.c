/* Families per worker and of the process. A worker's counters are fields of struct admin_worker, so
 * a new one is a row in the table. */
#include "admin/metrics_process.h"

#include <stddef.h>
#include <stdio.h>

#include "admin/process.h"
#include "base/check.h"

static const struct {
    const char *name, *type, *help;
    size_t offset;
} worker_families[] = {
    {"sluice_connections_total", "counter", "Client connections accepted.",
     offsetof(struct admin_worker, connections)},
    {"sluice_connections_active", "gauge", "Client connections open.",
     offsetof(struct admin_worker, connections_active)},
    {"sluice_refused_connections_total", "counter",
     "Client connections closed at once because there were too many.",
     offsetof(struct admin_worker, refused_connections)},
    {"sluice_worker_connections_handed_total", "counter",
     "Client connections that this worker accepted and gave to one that had fewer.",
     offsetof(struct admin_worker, connections_handed)},
    {"sluice_worker_requests_total", "counter", "Requests read, matched or not.",
     offsetof(struct admin_worker, requests)},
    {"sluice_requests_active", "gauge", "Requests in flight.",
     offsetof(struct admin_worker, requests_active)},
    {"sluice_upstream_connections_total", "counter", "Connections opened to endpoints.",
     offsetof(struct admin_worker, upstream_connections)},
    {"sluice_unmatched_total", "counter", "Requests that no rollout takes, answered 404.",
     offsetof(struct admin_worker, unmatched)},
    {"sluice_rejected_total", "counter",
     "Requests refused as malformed, too large or too slow; never sent on.",
     offsetof(struct admin_worker, rejected)},
    {"sluice_overloaded_total", "counter",
     "Requests answered 503 because sluice had no descriptor or memory left.",
     offsetof(struct admin_worker, overloaded)},
    {"sluice_unshielded_total", "counter",
     "Canary failures that were the client's answer although the policy shields: the request was "
     "too large or too many were held (limits.replay, limits.replay_total), may not be sent twice, "
     "or stable was full. With shield: all, POST requests may be.",
     offsetof(struct admin_worker, unshielded)},
    {"sluice_retries_denied_total", "counter",
     "Retries that the budget did not allow: an endpoint fails more often than "
     "upstream.retries.budget is meant for.",
     offsetof(struct admin_worker, retries_denied)},
    {"sluice_queued_total", "counter",
     "Requests that waited because every endpoint was at upstream.max_requests. If it rises "
     "steadily, add endpoints.",
     offsetof(struct admin_worker, queued)},
    {"sluice_queue_full_total", "counter",
     "Requests that found the queue full or waited longer than upstream.queue.timeout, answered "
     "503. Add endpoints, or raise upstream.max_requests if they can take more.",
     offsetof(struct admin_worker, queue_full)},
    {"sluice_streams_unseen_total", "counter",
     "Event streams that came encoded and were passed on unread: errors inside them and times to "
     "the first token are not known. Let the backend send text/event-stream uncompressed.",
     offsetof(struct admin_worker, streams_unseen)},
    {"sluice_tunnels_total", "counter", "Connections upgraded, for example to WebSocket.",
     offsetof(struct admin_worker, tunnels)},
    {"sluice_access_log_dropped_total", "counter",
     "Access log lines that were not written: the disk or the reader could not keep up; log a "
     "smaller sample, or errors: sampled.",
     offsetof(struct admin_worker, log_dropped)},
    {"sluice_tls_handshakes_total", "counter", "TLS handshakes with clients that were done.",
     offsetof(struct admin_worker, handshakes)},
    {"sluice_tls_handshake_failures_total", "counter",
     "TLS handshakes with clients that failed or took longer than limits.handshake_timeout. Why "
     "stands in the log with --log-level debug.",
     offsetof(struct admin_worker, handshake_failures)},
};

static void add_workers(struct prometheus *p, const struct admin_ports *ports)
{
    size_t workers = ports->workers(ports->ctx);

    for (size_t f = 0; f < ARRAY_LEN(worker_families); f++) {
        prometheus_family(p, worker_families[f].name, worker_families[f].type,
                          worker_families[f].help);
        for (size_t w = 0; w < workers; w++) {
            struct admin_worker stats = {0};
            char number[24];
            ports->worker(ports->ctx, w, &stats);
            snprintf(number, sizeof(number), "%zu", w);
            prometheus_u64(p, "", PROMETHEUS_LABELS({"worker", number}),
                           *(const uint64_t *)(const void *)((const char *)&stats +
                                                             worker_families[f].offset));
        }
    }
}

static void add_worker_splits(struct prometheus *p, const struct admin_ports *ports)
{
    size_t workers = ports->workers(ports->ctx);

    prometheus_family(p, "sluice_worker_dispatched_total", "counter",
                      "Requests sent to each variant by each worker.");
    for (size_t w = 0; w < workers; w++) {
        char number[24];
        snprintf(number, sizeof(number), "%zu", w);
        for (size_t i = 0; i < ports->set->count; i++) {
            struct recorder_totals totals = {.overflows = 0};
            ports->worker_totals(ports->ctx, w, (uint32_t)i, &totals);
            for (int v = 0; v < VARIANT_COUNT; v++)
                if (ports->set->policies[i]->versions[v].version != NULL)
                    prometheus_u64(p, "",
                                   PROMETHEUS_LABELS({"worker", number},
                                                     {"rollout", ports->set->policies[i]->name},
                                                     {"variant", variant_names[v]}),
                                   totals.variants[v].dispatched);
        }
    }
}

static void add_one(struct prometheus *p, const char *name, const char *type, const char *help,
                    double value)
{
    prometheus_family(p, name, type, help);
    prometheus_f64(p, "", NULL, 0, value);
}

static void add_process(struct prometheus *p, const struct admin_ports *ports)
{
    struct process_stats s;

    process_read(&s);
    prometheus_family(p, "sluice_build_info", "gauge", "1, with the version as a label.");
    prometheus_u64(p, "", PROMETHEUS_LABELS({"version", SLUICE_VERSION}), 1);
    add_one(p, "sluice_controller_tick_late_seconds", "gauge",
            "The latest that a controller tick has ever been.",
            (double)ports->tick_late_ns(ports->ctx) / 1e9);
    add_one(p, "sluice_policy_rejected_total", "counter", "Reloads refused because of errors.", 0);
    add_one(p, "process_cpu_seconds_total", "counter", "Processor time used.", s.cpu_seconds);
    add_one(p, "process_resident_memory_bytes", "gauge", "Memory in use.",
            (double)s.resident_bytes);
    add_one(p, "process_virtual_memory_bytes", "gauge", "Address space in use.",
            (double)s.virtual_bytes);
    add_one(p, "process_start_time_seconds", "gauge", "When the process started, since 1970.",
            s.start_time);
    add_one(p, "process_open_fds", "gauge", "Open file descriptors.", (double)s.open_fds);
    add_one(p, "process_max_fds", "gauge", "The limit of open file descriptors.",
            (double)s.max_fds);
}

void metrics_process(struct prometheus *p, const struct admin_ports *ports)
{
    add_workers(p, ports);
    add_worker_splits(p, ports);
    add_process(p, ports);
}
