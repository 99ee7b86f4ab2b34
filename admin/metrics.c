/* The metrics page. Series exist from the start at 0, so that a rate has a first value, but for the
 * histograms of what not every rollout has: those of streams and of the queue begin with their
 * first value, and stay.
 *
 * Attempts that never reached an endpoint (none healthy, queue full) are the difference between a
 * variant's totals and its endpoints' and carry endpoint="". The two are read one after the other
 * while workers count on, so the difference can be short for a moment; the largest value seen is
 * kept, because a counter must not fall. */
#include "admin/metrics.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "admin/metrics_process.h"
#include "admin/prometheus.h"
#include "analysis/analysis.h"
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

struct le {
    char text[16];
    uint32_t bucket; /* the first one that is not wholly at or below it */
};

struct metrics {
    const struct admin_ports *ports;
    struct rollout_cache *rollouts;
    struct le le[ARRAY_LEN(le_seconds)];
    struct histogram_view view; /* too large for the stack of a busy function */
    struct prometheus p;
};

/* A value is known to within its bucket and is a whole number of microseconds: the upper edge,
 * which is exclusive, may be one more than the limit. */
static uint32_t le_bucket(double seconds)
{
    uint32_t b = 0;

    while (b < HISTOGRAM_BUCKETS && (double)histogram_upper_us(b) <= seconds * 1e6 + 1)
        b++;
    return b;
}

struct metrics *metrics_new(const struct admin_ports *ports)
{
    struct metrics *m = xcalloc(1, sizeof(*m));

    for (size_t i = 0; i < ARRAY_LEN(le_seconds); i++) {
        snprintf(m->le[i].text, sizeof(m->le[i].text), "%g", le_seconds[i]);
        m->le[i].bucket = le_bucket(le_seconds[i]);
    }
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
                           PROMETHEUS_LABELS({"rollout", policy->name},
                                             {"version", version->version},
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
                           PROMETHEUS_LABELS({"rollout", policy->name},
                                             {"version", version->version},
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
                      "Attempts after a request's first, the shield's among them, by what they "
                      "gave. Shown only: criteria do not see them.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        for (int v = 0; v < VARIANT_COUNT; v++) {
            if (policy_at(m, i)->versions[v].version == NULL)
                continue;
            for (int k = 0; k < OUTCOME_KIND_COUNT; k++)
                prometheus_u64(&m->p, "",
                               PROMETHEUS_LABELS({"rollout", policy_at(m, i)->name},
                                                 {"version", policy_at(m, i)->versions[v].version},
                                                 {"variant", variant_names[v]},
                                                 {"outcome", outcome_names[k]}),
                               totals.variants[v].retry_outcomes[k]);
        }
    }
}

static void add_voided(struct metrics *m)
{
    prometheus_family(&m->p, "sluice_voided_total", "counter",
                      "First attempts that sluice ended itself and charged to nobody. When it "
                      "rises, sluice_results_total with overloaded or rejected says why.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        for (int v = 0; v < VARIANT_COUNT; v++)
            if (policy_at(m, i)->versions[v].version != NULL)
                prometheus_u64(&m->p, "",
                               PROMETHEUS_LABELS({"rollout", policy_at(m, i)->name},
                                                 {"version", policy_at(m, i)->versions[v].version},
                                                 {"variant", variant_names[v]}),
                               totals.variants[v].voided);
    }
}

static void add_values_lost(struct metrics *m)
{
    prometheus_family(&m->p, "sluice_values_lost_total", "counter",
                      "Values of answers that drift compares and that were not counted, because "
                      "more came between two looks than are kept.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        prometheus_u64(&m->p, "", PROMETHEUS_LABELS({"rollout", policy_at(m, i)->name}),
                       totals.values_lost);
    }
}

static void add_results(struct metrics *m)
{
    prometheus_family(&m->p, "sluice_results_total", "counter",
                      "What clients got: the outcome that their answer amounts to; shielded: the "
                      "canary failed and stable answered; rejected, overloaded, cut: sluice "
                      "answered.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        struct recorder_totals totals = {.overflows = 0};
        m->ports->totals(m->ports->ctx, (uint32_t)i, &totals);
        for (int k = 0; k < RESULT_KIND_COUNT; k++)
            prometheus_u64(
                &m->p, "",
                PROMETHEUS_LABELS({"rollout", policy_at(m, i)->name}, {"result", result_names[k]}),
                totals.results[k]);
    }
}

/* --- times --- */

/* The sum is taken from bucket middles: within 0.4 % of the true one, and it never falls. */
static double sum_us(const struct histogram_view *view)
{
    double sum = 0;

    for (uint32_t b = 0; b < HISTOGRAM_BUCKETS; b++) {
        if (view->counts[b] == 0)
            continue;
        uint64_t edges = histogram_upper_us(b) + (b > 0 ? histogram_upper_us(b - 1) : 0);
        sum += (double)view->counts[b] * (double)edges / 2;
    }
    return sum;
}

static void add_histogram(struct metrics *m, const struct prometheus_label labels[static 3])
{
    struct prometheus_label with_le[4] = {labels[0], labels[1], labels[2], {"le", NULL}};
    uint64_t below = 0;
    uint32_t b = 0;

    for (size_t i = 0; i < ARRAY_LEN(m->le); i++) {
        for (; b < m->le[i].bucket; b++)
            below += m->view.counts[b];
        with_le[3].value = m->le[i].text;
        prometheus_u64(&m->p, "_bucket", with_le, 4, below);
    }
    for (; b < HISTOGRAM_BUCKETS; b++)
        below += m->view.counts[b];
    with_le[3].value = "+Inf";
    prometheus_u64(&m->p, "_bucket", with_le, 4, below);
    prometheus_f64(&m->p, "_sum", labels, 3, sum_us(&m->view) / 1e6);
    prometheus_u64(&m->p, "_count", labels, 3, below);
}

static const struct {
    enum recorder_histogram which;
    bool when_used;
    const char *name, *help;
} time_families[] = {
    {HIST_LATENCY, false, "sluice_request_duration_seconds",
     "From the request being with the backend to the last byte of its answer, less time in which "
     "the client did not read."},
    {HIST_FIRST_BYTE, false, "sluice_first_byte_seconds",
     "From the request being with the backend to the first byte of its answer."},
    {HIST_CONNECT, false, "sluice_connect_seconds", "Opening a connection to an endpoint."},
    {HIST_FIRST_TOKEN, true, "sluice_first_token_seconds",
     "Event streams: from the request being with the backend to the first piece of content."},
    {HIST_TOKEN_GAP, true, "sluice_token_gap_seconds",
     "Event streams: from one piece of content to the next."},
    {HIST_QUEUE, true, "sluice_queue_seconds",
     "Requests that waited because every endpoint was at upstream.max_requests: how long. When it "
     "nears upstream.queue.timeout, add endpoints."},
};

static void add_times(struct metrics *m, size_t family)
{
    prometheus_family(&m->p, time_families[family].name, "histogram", time_families[family].help);
    for (size_t i = 0; i < m->ports->set->count; i++) {
        for (int v = 0; v < VARIANT_COUNT; v++) {
            const struct policy *policy = policy_at(m, i);
            if (policy->versions[v].version == NULL)
                continue;
            const struct prometheus_label labels[3] = {
                {"rollout", policy->name},
                {"version", policy->versions[v].version},
                {"variant", variant_names[v]},
            };
            m->ports->histogram(m->ports->ctx, (uint32_t)i, (enum variant)v,
                                time_families[family].which, &m->view);
            if (m->view.total > 0 || !time_families[family].when_used)
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
                       PROMETHEUS_LABELS({"rollout", policy->name},
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
            prometheus_u64(
                &m->p, "",
                PROMETHEUS_LABELS({"rollout", policy_at(m, i)->name}, {"phase", phases[k]}),
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
    GAUGE_RETREATS,
    GAUGE_CLEARANCES,
    GAUGE_PLACEBO,
    GAUGE_BURST,
    GAUGE_DEGRADED,
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
    [GAUGE_RETREATS] = {"sluice_canary_retreats_total", "counter",
                        "How often a canary was sent back to weight 0, to be asked again."},
    [GAUGE_CLEARANCES] = {"sluice_canary_cleared_total", "counter",
                          "How often it was found well then and went on."},
    [GAUGE_PLACEBO] = {"sluice_placebo_sent_back_total", "counter",
                       "How often the test that sends canaries back would have done so to stable "
                       "itself: its failures come in bursts."},
    [GAUGE_BURST] = {"sluice_stable_longest_burst_seconds", "gauge",
                     "The longest burst of stable's failures so far."},
    [GAUGE_DEGRADED] = {"sluice_stable_degraded", "gauge",
                        "1 while stable itself breaks an absolute limit."},
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
    case GAUGE_RETREATS:
        return (double)g->retreats;
    case GAUGE_CLEARANCES:
        return (double)g->clearances;
    case GAUGE_PLACEBO:
        return (double)g->report->placebo.sent_back;
    case GAUGE_BURST:
        return (double)g->report->placebo.longest_burst_ns / (double)NS_PER_SEC;
    case GAUGE_DEGRADED:
        return g->report->stable_degraded;
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
            prometheus_f64(&m->p, "", PROMETHEUS_LABELS({"rollout", policy_at(m, i)->name}),
                           gauge_value(&g, (enum gauge)which));
        }
    }
}

/* Below zero it speaks for the canary, which is no more than nothing against it. */
static void add_criteria(struct metrics *m)
{
    struct controller_gauges g;

    prometheus_family(&m->p, "sluice_criterion_evidence_ratio", "gauge",
                      "A criterion's evidence against the canary, of what would do by itself: 1 "
                      "sends it back.");
    for (size_t i = 0; i < m->ports->set->count; i++) {
        const struct policy *policy = policy_at(m, i);
        m->ports->gauges(m->ports->ctx, i, &g);
        for (size_t c = 0; g.canary != NULL && c < g.report->count; c++) {
            const struct criterion_report *r = &g.report->criteria[c];
            if (policy->analysis.criteria[c].method == METHOD_SEQUENTIAL)
                prometheus_f64(&m->p, "",
                               PROMETHEUS_LABELS({"rollout", policy->name},
                                                 {"criterion", policy->analysis.criteria[c].name}),
                               r->log_e > 0 ? r->log_e / r->threshold : 0);
        }
    }
}

void metrics_render(struct metrics *m, struct strbuf *out)
{
    m->p = (struct prometheus){.out = out};
    add_requests(m);
    add_retries(m);
    add_voided(m);
    add_values_lost(m);
    add_results(m);
    for (size_t f = 0; f < ARRAY_LEN(time_families); f++)
        add_times(m, f);
    add_weights(m);
    add_phases(m);
    add_gauges(m);
    add_criteria(m);
    metrics_process(&m->p, m->ports);
}
