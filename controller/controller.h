/* controller/controller.h — the shell round the pure core: ticks, gathers inputs, calls
 * rollout_decide, runs its effects through ports. Control thread only; never blocks.
 *
 * It does not know the proxy: cli/run.c fills the ports.
 */
#ifndef CONTROLLER_CONTROLLER_H
#define CONTROLLER_CONTROLLER_H

#include <jansson.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/recorder.h"
#include "analysis/reference.h"
#include "base/clock.h"
#include "base/error.h"
#include "base/strbuf.h"
#include "controller/command.h"
#include "controller/store.h"
#include "policies/policy_set.h"

struct controller;

struct controller_event {
    uint64_t id; /* rising, from 1 */
    int64_t wall_ns;
    const char *type; /* "rollout.started", "step.advanced", ... product events */
    const char *rollout;
    const char *json; /* the event's whole document: {"id","time","type","rollout",...} */
};

struct controller_ports {
    void (*set_weight)(void *ctx, uint32_t rollout, uint32_t epoch, uint32_t weight_bp);
    void (*observe)(void *ctx, uint32_t rollout, struct observation *add_to);
    /* Rises with each request of the canary known bad: whether to observe now, or when it is due.
     */
    uint64_t (*alarms)(void *ctx, uint32_t rollout);
    /* since the start of the process; for display */
    void (*totals)(void *ctx, uint32_t rollout, struct recorder_totals *ret);
    void (*histogram)(void *ctx, uint32_t rollout, enum variant, enum recorder_histogram,
                      struct histogram_view *ret);
    /* For criteria that follow stable or compare values (analysis/reference.h): stable's times that
     * were samples of the criterion, since the start; where their limits go; the values seen since
     * the last call. NULL: no such criterion has data. */
    void (*moving_histogram)(void *ctx, uint32_t rollout, size_t criterion,
                             struct histogram_view *ret);
    void (*limits)(void *ctx, uint32_t rollout, const struct moving_limits *);
    void (*values)(void *ctx, uint32_t rollout,
                   void (*take)(void *take_ctx, const struct shift_value *), void *take_ctx);
    /* The newest bad requests of the canary (recorder_examples). NULL: none are known. */
    size_t (*examples)(void *ctx, uint32_t rollout, struct recorder_example *ret, size_t max);
    void (*on_event)(void *ctx, const struct controller_event *); /* may be NULL */
    void *ctx;
};

/* References the set. The store outlives it. Starts every rollout from what the store holds (or
 * from weight 0, which it says). A new canary gets its first traffic with the first tick, which the
 * caller may make at once. */
int controller_new(struct policy_set *, const struct controller_ports *, struct store *,
                   const struct clock *, struct controller **ret, struct error *reterr);
void controller_free(struct controller *);

/* Every 100 ms. */
void controller_tick(struct controller *);

/* -ENOENT: no such rollout. Otherwise 0 and *ret. */
int controller_command(struct controller *, const char *rollout, const struct command *,
                       struct command_result *ret);

size_t controller_count(const struct controller *);
/* The rollout's document (docs/api.md), new reference; NULL: no such rollout. */
json_t *controller_document(const struct controller *, const char *rollout);
json_t *controller_document_at(const struct controller *, size_t index);
/* {"rollout", "verdict": "pass|fail|undecided|no_data", "phase", "reasons": [...]}; NULL: unknown.
 * *ret_ok: may be used as a gate's yes. */
json_t *controller_verdict(const struct controller *, const char *rollout, bool *ret_ok);
/* A decision by id ("chat-17"), new reference, or NULL. Kept: the last 1,000 per process. */
json_t *controller_decision(const struct controller *, const char *id);
/* Decisions in a few words each (controller/events.h), newest first; `rollout` NULL: of all. */
json_t *controller_decisions(const struct controller *, const char *rollout, size_t max);
/* Appends the rollout's journal (controller/journal.h) as a file. False: no such rollout, or no
 * room. */
bool controller_journal(const struct controller *, const char *rollout, struct strbuf *out);
/* Events with id > after, oldest first, at most `max`; borrowed until the next tick or command. The
 * last 1,000 are kept. */
size_t controller_events(const struct controller *, uint64_t after, struct controller_event *ret,
                         size_t max);

/* As it stands, valid until the next tick or command: for the process that comes next. */
const struct rollout_state *controller_state(const struct controller *, size_t index);

/* For /metrics. */
struct controller_gauges {
    const char *rollout, *stable, *canary, *phase; /* canary NULL: none */
    uint32_t weight_bp, step, steps;
    uint64_t rollbacks, promotions, decisions, retreats, clearances;
    double log_e, threshold;
    const struct analysis_report *report; /* until the next tick or command */
};
void controller_gauges(const struct controller *, size_t index, struct controller_gauges *ret);
int64_t controller_tick_late_ns(const struct controller *); /* worst lateness of a tick so far */

#endif
