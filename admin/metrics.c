/* The metrics page. Series exist from the start at 0, so that a rate has a first value.
 *
 * Attempts that never reached an endpoint (none healthy, queue full) are the difference between a
 * variant's totals and its endpoints' and carry endpoint="". The two are read one after the other
 * while workers count on, so the difference can be short for a moment; the largest value seen is
 * kept, because a counter must not fall. */
#include "admin/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/process.h"
#include "admin/prometheus.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"

static const double le_seconds[] = {0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5,
                                    1,     2.5,    5,     10,   30,    60,   120, 300,  600};

static const char *const phases[] = {"idle",        "pending",  "smoke_testing",
                                     "progressing", "paused",   "awaiting_approval",
                                     "baking",      "promoted", "rolled_back"};

struct rollout_cache {
    uint64_t homeless[VARIANT_COUNT][OUTCOME_KIND_COUNT]; /* attempts without an endpoint */
};

struct metrics {
    const struct admin_ports *ports;
    struct rollout_cache *rollouts;
    struct histogram_view view; /* too large for the stack of a busy function */
    struct prometheus p;
};

#define LABELS(...)                                                                                \
    (const struct prometheus_label[]){__VA_ARGS__},                                                \
        sizeof((const struct prometheus_label[]){__VA_ARGS__}) / sizeof(struct prometheus_label)

struct metrics *metrics_new(const struct admin_ports *ports)
{
    struct metrics *m = xcalloc(1, sizeof(*m));

    m->ports = ports;
    m->rollouts = xcalloc(ports->set->count + 1, sizeof(*m->rollouts));
    return m;
}

void metrics_free(struct metrics *m)
{
    if (m == NULL)
        return;
    free(m->rollouts);
    free(m);
}

static const struct policy *policy_at(const struct metrics *m, size_t index)
{
    return m->ports->set->policies[index];
}

/* --- attempts and results --- */

static void add_endpoints(struct metrics *m, size_t index, enum variant variant,
                          const struct recorder_totals *totals)
{
    const struct policy *policy = policy_at(m, index);
    const struct policy_version *version = &policy->versions[variant];
    uint64_t counted[OUTCOME_KIND_COUNT] = {0}, one[OUTCOME_KIND_COUNT];
    uint64_t *homeless = m->rollouts[index].homeless[variant];

    for (uint32_t e = 0; e < version->endpoint_count; e++) {
        m->ports->endpoint_totals(m->ports->ctx, (uint32_t)index, variant, e, one);
        for (int k = 0; k < OUTCOME_KIND_COUNT; k++) {
            counted[k] += one[k];
            prometheus_u64(&m->p, "",
                           LABELS({"rollout", policy->name}, {"version", version->version},
                                  {"variant", variant_names[variant]},
                                  {"endpoint", version->endpoints[e].authority},
                                  {"outcome", outcome_names[k]}),
                           one[k]);
        }
    }
    for (int k = 0; k < OUTCOME_KIND_COUNT; k++) {
        uint64_t all = totals->variants[variant].outcomes[k];
        if (all > counted[k] && all - counted[k] > homeless[k])
            homeless[k] = all - counted[k];
        if (homeless[k] > 0)
            prometheus_u64(&m->p, "",
                           LABELS({"rollout", policy->name}, {"version", version->version},
                                  {"variant", variant_names[variant]}, {"endpoint", ""},
                                  {"outcome", outcome_names[k]}),
                           homeless[k]);
    }
}

static void add_requests(struct metrics *m)
{
    prometheus_family(&m->p, "sluice_requests_total", "counter",
                      "First attempts that ended, by what they gave. endpoint=\"\": none was "
                      "reached.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        for (int v = 0; v < VARIANT_COUNT; v++)
            if (policy_at(m, i)->versions[v].version != NULL)
                add_endpoints(m, i, (enum variant)v, &totals);
    }
}

static void add_retries(struct metrics *m)
{
    prometheus_family(&m->p, "sluice_retries_total", "counter",
                      "Attempts after a request's first.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        for (int v = 0; v < VARIANT_COUNT; v++)
            if (policy_at(m, i)->versions[v].version != NULL)
                prometheus_u64(&m->p, "",
                               LABELS({"rollout", policy_at(m, i)->name},
                                      {"version", policy_at(m, i)->versions[v].version},
                                      {"variant", variant_names[v]}),
                               totals.variants[v].retries);
    }
}

static void add_results(struct metrics *m)
{
    prometheus_family(&m->p, "sluice_results_total", "counter", "What clients got.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        for (int k = 0; k < OUTCOME_KIND_COUNT; k++)
            prometheus_u64(&m->p, "",
                           LABELS({"rollout", policy_at(m, i)->name}, {"result", outcome_names[k]}),
                           totals.results[k]);
    }
}

/* --- times --- */

/* The sum is taken from bucket middles: within 0.4 % of the true one, and it never falls. */
static void add_histogram(struct metrics *m, const struct prometheus_label labels[static 4])
{
    const struct histogram_view *view = &m->view;
    struct prometheus_label with_le[4];
    uint64_t below = 0;
    double sum_us = 0, lower = 0;
    size_t next = 0;
    char le[32];

    for (size_t i = 0; i < 3; i++)
        with_le[i] = labels[i];
    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        double upper = (double)histogram_upper_us(b);
        for (; next < ARRAY_LEN(le_seconds) && upper > le_seconds[next] * 1e6 + 1; next++) {
            snprintf(le, sizeof(le), "%g", le_seconds[next]);
            with_le[3] = (struct prometheus_label){"le", le};
            prometheus_u64(&m->p, "_bucket", with_le, 4, below);
        }
        below += view->counts[b];
        sum_us += (double)view->counts[b] * (lower + upper) / 2;
        lower = upper;
    }
    for (; next < ARRAY_LEN(le_seconds); next++) {
        snprintf(le, sizeof(le), "%g", le_seconds[next]);
        with_le[3] = (struct prometheus_label){"le", le};
        prometheus_u64(&m->p, "_bucket", with_le, 4, below);
    }
    with_le[3] = (struct prometheus_label){"le", "+Inf"};
    prometheus_u64(&m->p, "_bucket", with_le, 4, below);
    prometheus_f64(&m->p, "_sum", labels, 3, sum_us / 1e6);
    prometheus_u64(&m->p, "_count", labels, 3, below);
}

static void add_times(struct metrics *m, enum recorder_histogram which, const char *name,
                      const char *help)
{
    prometheus_family(&m->p, name, "histogram", help);
    for (size_t i = 0; i < m->ports->set->count; i++) {
        for (int v = 0; v < VARIANT_COUNT; v++) {
            const struct policy *policy = policy_at(m, i);
            if (policy->versions[v].version == NULL)
                continue;
            const struct prometheus_label labels[4] = {
                {"rollout", policy->name},
                {"version", policy->versions[v].version},
                {"variant", variant_names[v]},
            };
            m->view = (struct histogram_view){.total = 0};
            m->ports->histogram(m->ports->ctx, (uint32_t)i, (enum variant)v, which, &m->view);
            add_histogram(m, labels);
        }
    }
}

/* --- the rollout --- */

static void add_weights(struct metrics *m)
{
    struct controller_gauges g;

    prometheus_family(&m->p, "sluice_weight_percent", "gauge",
                      "Share of the traffic that the canary gets.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        const struct policy *policy = policy_at(m, i);
        if (!policy_has_canary(policy))
            continue;
        m->ports->gauges(m->ports->ctx, i, &g);
        prometheus_f64(&m->p, "",
                       LABELS({"rollout", policy->name},
                              {"version", policy->versions[VARIANT_CANARY].version},
                              {"variant", variant_names[VARIANT_CANARY]}),
                       (double)g.weight_bp / 100);
    }
}

static void add_phases(struct metrics *m)
{
    struct controller_gauges g;

    prometheus_family(&m->p, "sluice_rollout_phase", "gauge",
                      "1 for the phase that the rollout is in, 0 for the others.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        m->ports->gauges(m->ports->ctx, i, &g);
        for (size_t k = 0; k < ARRAY_LEN(phases); k++)
            prometheus_u64(&m->p, "",
                           LABELS({"rollout", policy_at(m, i)->name}, {"phase", phases[k]}),
                           g.phase != NULL && strcmp(g.phase, phases[k]) == 0);
    }
}

enum gauge {
    GAUGE_STEP,
    GAUGE_STEPS,
    GAUGE_EVIDENCE,
    GAUGE_THRESHOLD,
    GAUGE_DECISIONS,
    GAUGE_ROLLBACKS,
    GAUGE_PROMOTIONS,
    GAUGE_COUNT
};

static const struct {
    const char *name, *type, *help;
} gauge_families[GAUGE_COUNT] = {
    [GAUGE_STEP] = {"sluice_rollout_step", "gauge", "The step, from 1; 0 before the first."},
    [GAUGE_STEPS] = {"sluice_rollout_steps", "gauge", "How many steps the policy has."},
    [GAUGE_EVIDENCE] = {"sluice_evidence", "gauge",
                        "Evidence against the canary (natural logarithm); at the threshold it is "
                        "taken back."},
    [GAUGE_THRESHOLD] = {"sluice_evidence_threshold", "gauge",
                         "Where the evidence takes the canary back."},
    [GAUGE_DECISIONS] = {"sluice_decisions_total", "counter", "Decisions taken."},
    [GAUGE_ROLLBACKS] = {"sluice_rollbacks_total", "counter", "Canaries taken back."},
    [GAUGE_PROMOTIONS] = {"sluice_promotions_total", "counter", "Canaries promoted."},
};

static double gauge_value(const struct controller_gauges *g, enum gauge which)
{
    switch (which) {
    case GAUGE_STEP:
        return g->step;
    case GAUGE_STEPS:
        return g->steps;
    case GAUGE_EVIDENCE:
        return g->log_e;
    case GAUGE_THRESHOLD:
        return g->threshold;
    case GAUGE_DECISIONS:
        return (double)g->decisions;
    case GAUGE_ROLLBACKS:
        return (double)g->rollbacks;
    case GAUGE_PROMOTIONS:
        return (double)g->promotions;
    case GAUGE_COUNT:
        break;
    }
    UNREACHABLE();
}

static void add_gauges(struct metrics *m)
{
    struct controller_gauges g;

    for (int which = 0; which < GAUGE_COUNT; which++) {
        prometheus_family(&m->p, gauge_families[which].name, gauge_families[which].type,
                          gauge_families[which].help);
        for (size_t i = 0; i < m->ports->set->count; i++) {
            m->ports->gauges(m->ports->ctx, i, &g);
            prometheus_f64(&m->p, "", LABELS({"rollout", policy_at(m, i)->name}),
                           gauge_value(&g, (enum gauge)which));
        }
    }
}

/* --- workers and process --- */

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
};

static void add_workers(struct metrics *m)
{
    size_t workers = m->ports->workers(m->ports->ctx);

    for (size_t f = 0; f < ARRAY_LEN(worker_families); f++) {
        prometheus_family(&m->p, worker_families[f].name, worker_families[f].type,
                          worker_families[f].help);
        for (size_t w = 0; w < workers; w++) {
            struct admin_worker stats = {0};
            char number[24];
            m->ports->worker(m->ports->ctx, w, &stats);
            snprintf(number, sizeof(number), "%zu", w);
            prometheus_u64(&m->p, "", LABELS({"worker", number}),
                           *(const uint64_t *)(const void *)((const char *)&stats +
                                                             worker_families[f].offset));
        }
    }
}

static void add_worker_splits(struct metrics *m)
{
    size_t workers = m->ports->workers(m->ports->ctx);

    prometheus_family(&m->p, "sluice_worker_dispatched_total", "counter",
                      "Requests sent to each variant by each worker.");
    for (size_t w = 0; w < workers; w++) {
        char number[24];
        snprintf(number, sizeof(number), "%zu", w);
        for (size_t i = 0; i < m->ports->set->count; i++) {
            struct recorder_totals totals = {.overflows = 0};
            m->ports->worker_totals(m->ports->ctx, w, (uint32_t)i, &totals);
            for (int v = 0; v < VARIANT_COUNT; v++)
                if (policy_at(m, i)->versions[v].version != NULL)
                    prometheus_u64(&m->p, "",
                                   LABELS({"worker", number}, {"rollout", policy_at(m, i)->name},
                                          {"variant", variant_names[v]}),
                                   totals.variants[v].dispatched);
        }
    }
}

static void add_one(struct metrics *m, const char *name, const char *type, const char *help,
                    double value)
{
    prometheus_family(&m->p, name, type, help);
    prometheus_f64(&m->p, "", NULL, 0, value);
}

static void add_process(struct metrics *m)
{
    struct process_stats s;

    process_read(&s);
    prometheus_family(&m->p, "sluice_build_info", "gauge", "1, with the version as a label.");
    prometheus_u64(&m->p, "", LABELS({"version", SLUICE_VERSION}), 1);
    add_one(m, "sluice_controller_tick_late_seconds", "gauge",
            "The latest that a controller tick has ever been.",
            (double)m->ports->tick_late_ns(m->ports->ctx) / 1e9);
    add_one(m, "sluice_policy_rejected_total", "counter", "Reloads refused because of errors.", 0);
    add_one(m, "process_cpu_seconds_total", "counter", "Processor time used.", s.cpu_seconds);
    add_one(m, "process_resident_memory_bytes", "gauge", "Memory in use.",
            (double)s.resident_bytes);
    add_one(m, "process_virtual_memory_bytes", "gauge", "Address space in use.",
            (double)s.virtual_bytes);
    add_one(m, "process_start_time_seconds", "gauge", "When the process started, since 1970.",
            s.start_time);
    add_one(m, "process_open_fds", "gauge", "Open file descriptors.", (double)s.open_fds);
    add_one(m, "process_max_fds", "gauge", "The limit of open file descriptors.",
            (double)s.max_fds);
}

void metrics_render(struct metrics *m, struct strbuf *out)
{
    m->p = (struct prometheus){.out = out};
    add_requests(m);
    add_retries(m);
    add_results(m);
    add_times(m, HIST_LATENCY, "sluice_request_duration_seconds",
              "From the request being with the backend to the last byte of its answer, less time "
              "in which the client did not read.");
    add_times(m, HIST_FIRST_BYTE, "sluice_first_byte_seconds",
              "From the request being with the backend to the first byte of its answer.");
    add_times(m, HIST_CONNECT, "sluice_connect_seconds", "Opening a connection to an endpoint.");
    add_weights(m);
    add_phases(m);
    add_gauges(m);
    add_workers(m);
    add_worker_splits(m);
    add_process(m);
}
