/* admin/ports.h — what the admin API asks of the rest: filled by cli/run.c, faked by tests.
 *
 * Through it admin/ reads the controller, the recorder and the proxy without knowing who answers.
 * Every function runs on the control thread, never blocks, and gets `ctx` first. Rollout indexes
 * are those of `set`.
 */
#ifndef ADMIN_PORTS_H
#define ADMIN_PORTS_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/recorder.h"
#include "controller/controller.h"
#include "policies/policy_set.h"

/* One worker's counters since the start; the gauges are those that say `active`. */
struct admin_worker {
    uint64_t connections, connections_active, connections_handed;
    uint64_t requests, requests_active;
    uint64_t upstream_connections;
    uint64_t unmatched;
    uint64_t rejected;
    uint64_t refused_connections;
    uint64_t overloaded;
    uint64_t unshielded, retries_denied;
    uint64_t queued, queue_full;
    uint64_t streams_unseen, tunnels, log_dropped;
    uint64_t handshakes, handshake_failures;
};

struct admin_ports {
    const struct policy_set *set; /* outlives the admin server */

    /* Contracts as of the controller_ functions of the same name. */
    json_t *(*document)(void *ctx, const char *rollout);
    json_t *(*document_at)(void *ctx, size_t index);
    int (*command)(void *ctx, const char *rollout, const struct command *,
                   struct command_result *ret);
    json_t *(*verdict)(void *ctx, const char *rollout, bool *ret_ok);
    json_t *(*decision)(void *ctx, const char *id);
    json_t *(*decisions)(void *ctx, const char *rollout, size_t max);
    bool (*journal)(void *ctx, const char *rollout, struct strbuf *out);
    size_t (*events)(void *ctx, uint64_t after, struct controller_event *ret, size_t max);
    void (*gauges)(void *ctx, size_t index, struct controller_gauges *ret);
    int64_t (*tick_late_ns)(void *ctx);

    /* Contracts as of the recorder_ functions of the same name. */
    void (*totals)(void *ctx, uint32_t rollout, struct recorder_totals *ret);
    void (*endpoint_totals)(void *ctx, uint32_t rollout, enum variant, uint32_t endpoint,
                            uint64_t ret[static OUTCOME_KIND_COUNT]);
    void (*histogram)(void *ctx, uint32_t rollout, enum variant, enum recorder_histogram,
                      struct histogram_view *ret);

    size_t (*workers)(void *ctx);
    /* One worker's share of the totals: how even the split is on each. */
    void (*worker_totals)(void *ctx, size_t worker, uint32_t rollout, struct recorder_totals *ret);
    void (*worker)(void *ctx, size_t index, struct admin_worker *ret);

    /* NULL: ready for traffic; otherwise why not ("draining"). */
    const char *(*not_ready)(void *ctx);
    void *ctx;
};

#endif
