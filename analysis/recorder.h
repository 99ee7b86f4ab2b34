/* analysis/recorder.h — every attempt, counted at dispatch and revised until settled.
 *
 * One shard per worker: written by that worker alone, without a lock; counters are relaxed atomics
 * that only grow. The control thread reads all shards with no handshake (bad before dispatched, so
 * that it can only err to the careful side). A stuck worker delays nothing.
 *
 *   worker:   recorder_dispatch → recorder_endpoint → recorder_sent → (recorder_stream →
 *             recorder_first_token) → recorder_finish, and recorder_sweep every 100 ms
 *   control:  recorder_read each tick; recorder_totals for status and metrics
 *
 * Only a request's first attempt is evidence: it gets a ticket. All memory is allocated at first
 * dispatch of a rollout in a shard or from a bounded pool; recorder_dispatch never fails (when the
 * ring of open slots is full, requests count into the newest open slot, and `overflows` says so).
 *
 * What a request is to a criterion: bad, ok, or no sample (excluded). Kinds are those of
 * analysis/outcome.h, times are compared strictly: bad iff above the limit.
 *
 *   error_rate         bad: the policy's error_kinds
 *   outcome            bad: the criterion's kinds
 *   stream_*_rate      samples: answers that are event streams; bad: truncated, stalled, empty or
 *                      stream_error
 *   client_abort_rate  bad: a client_abort before the first byte of the answer; all else is ok
 *   latency            bad: above the limit, timeout, stalled; ok: an ok in time. Everything else
 *                      is no sample: a fast error must not look fast
 *   time_to_first_token, inter_token_gap, time_per_output_token
 *                      samples: event streams, and attempts that failed before they answered, which
 *                      may have been some. bad: above the limit; a timeout without that time; a
 *                      stall, except for a first token that had come in time; a first token that
 *                      had not come when the attempt ended above the limit. ok: an ok in time
 *   response_size, token_usage, drift
 *                      nothing here: their values go through recorder_values
 *
 * A client_abort is no sample of anything but client_abort_rate, except that one above a limit of
 * time was kept waiting too long. Criteria with `where` take the requests that it names; an attempt
 * that never answered counts for either setting of `where.stream`, unless its request said what it
 * wants.
 *
 * In flight: an attempt above a limit of latency, or of the first token, is bad from that moment.
 * A criterion of one kind of answer (a first token; where.stream) waits until the kind is known:
 * else slow plain answers would be held against the streams beside them. What never answers is
 * bad for it when it ends, and for a limit of latency long before.
 *
 * Limits that follow stable are those that were known when the cell of the request was opened
 * (within a slot of its dispatch, never after). Without one the request is no sample.
 */
#ifndef ANALYSIS_RECORDER_H
#define ANALYSIS_RECORDER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/histogram.h"
#include "analysis/observation.h"
#include "analysis/outcome.h"
#include "base/list.h"
#include "base/str.h"
#include "policies/policy.h"
#include "policies/policy_set.h"

struct cell;
struct moving_limits; /* analysis/reference.h */
struct recorder;
struct recorder_part;
struct recorder_shard;
struct shift_value; /* analysis/reference.h */

/* Lives inside the attempt (proxy/attempt.h); no allocation. Fields are the recorder's. */
struct recorder_ticket {
    struct list in_flight; /* in the wheel of its shard, by when it next may be late */
    struct cell *cell;     /* NULL: not evidence or already finished */
    struct recorder_part *part;
    int64_t sent_ns;   /* 0 until the whole request is with the backend */
    int64_t unread_ns; /* time in which the client did not read */
    uint32_t applies;  /* criteria whose `where` the request fits */
    uint32_t open;     /* criteria for which it is not decided yet */
    uint32_t bad_mask; /* criteria already marked bad */
    uint32_t endpoint; /* UINT32_MAX: none yet */
    uint8_t variant;
    uint8_t stream;   /* enum outcome_stream, as far as it is known */
    bool first_token; /* came */
    bool warm_up;     /* its endpoint is new: no sample of times */
};

/* One shard per worker, one entry per policy of the set (which must outlive the recorder). */
struct recorder *recorder_new(size_t shards, const struct policy_set *);
void recorder_free(struct recorder *);
struct recorder_shard *recorder_shard(struct recorder *, size_t index);

/* --- worker --- */

/* How the id of a request is found, for the few that become examples; not asked for the others.
 * The text is copied. NULL (as it begins): examples have no ids. */
void recorder_ids(struct recorder_shard *, struct str (*id_of)(const struct recorder_ticket *));
/* Counts the request into the slot of now_ns under `epoch`. `applies`: the criteria whose `where`
 * it fits (where_applies); UINT32_MAX: all. */
void recorder_dispatch(struct recorder_shard *, struct recorder_ticket *, uint32_t rollout,
                       uint32_t epoch, enum variant, uint32_t applies, int64_t now_ns);
/* The endpoint is chosen. The first requests of an endpoint (analysis.warm_up, counted over all
 * workers) are left out of criteria of time. At most once per ticket, before recorder_sent. */
void recorder_endpoint(struct recorder_shard *, struct recorder_ticket *, uint32_t endpoint,
                       int64_t now_ns);
/* The request's last byte is with the backend: latency runs from here. Idempotent. */
static inline void recorder_sent(struct recorder_ticket *t, int64_t now_ns)
{
    if (t->sent_ns == 0)
        t->sent_ns = now_ns;
}
/* It is known whether the answer is an event stream: its head came, or the request asked for one
 * in a way that leaves no doubt. STREAM_NO or STREAM_YES. */
void recorder_stream(struct recorder_shard *, struct recorder_ticket *, enum outcome_stream);
/* The first piece of content of an event stream came. */
void recorder_first_token(struct recorder_ticket *, int64_t now_ns);
/* A value for a criterion of shifts (METRIC_DRIFT: the caller finds it; response_size and
 * token_usage are taken from the outcome by recorder_finish). `criterion`, `kind` and the value are
 * the caller's, epoch and variant are the ticket's. Before recorder_finish; without effect when the
 * criterion's `where` leaves the request out. When nobody takes values for long they are lost, and
 * counted (recorder_totals). */
void recorder_value(struct recorder_shard *, struct recorder_ticket *, const struct shift_value *);
/* Settles the ticket (per criterion: bad, ok or excluded) and counts outcome and latencies for
 * display. A client_abort that is already over a latency limit stays bad for it. */
void recorder_finish(struct recorder_shard *, struct recorder_ticket *, const struct outcome *,
                     int64_t now_ns);
/* Settles the ticket of an attempt that is charged to nobody, because what ended it was neither the
 * backend's doing nor the client's: we ran out of descriptors, we refused the rest of the request.
 * Like a client_abort it is left out of every criterion, and it is counted as `voided` instead of
 * under an outcome. A latency limit that it was over before that stays broken: the time was the
 * backend's, whatever came then, and evidence that was acted upon is not taken back. */
void recorder_void(struct recorder_shard *, struct recorder_ticket *);
/* An attempt that is not evidence (a retry, or stable's for the shield): counted for display only,
 * by its outcome and its times. */
void recorder_count(struct recorder_shard *, uint32_t rollout, enum variant,
                    const struct outcome *);
/* What the client got: an outcome kind or a RESULT_ (analysis/outcome.h). */
void recorder_result(struct recorder_shard *, uint32_t rollout, unsigned result);
/* The time between two pieces of content of an event stream. */
void recorder_token_gap(struct recorder_shard *, uint32_t rollout, enum variant, int64_t gap_ns);
/* Marks requests in flight bad that are above a limit, once for each. */
void recorder_sweep(struct recorder_shard *, int64_t now_ns);

/* --- control thread --- */

/* Adds what changed since the last read of this rollout to `obs` (not cleared here). */
void recorder_read(struct recorder *, uint32_t rollout, struct observation *obs);
/* Rises with each request of the canary that becomes known to be an error, or bad for a criterion
 * that at most one request in twenty may be bad for: of absolute limits p0, of quantiles 1 - q says
 * so. (A healthy canary is above stable's median half of the time, and what share of 4xx is usual
 * nobody knows: these can wait for the next look.) What rose is in what is read afterwards. Much
 * cheaper than reading. */
uint64_t recorder_alarms(const struct recorder *, uint32_t rollout);
/* Limits that follow stable, for the cells that are opened from now on. */
void recorder_limits(struct recorder *, uint32_t rollout, const struct moving_limits *);
/* Hands over the values that came since the last time, those of one worker in their order. Often
 * enough: a worker keeps VALUES_MAX (analysis/value_ring.h) of each rollout. */
void recorder_values(struct recorder *, uint32_t rollout,
                     void (*take)(void *ctx, const struct shift_value *), void *ctx);
/* Stable's times, since the start, that are samples of a criterion that follows stable: those of ok
 * answers, timeouts and stalls, whether or not there was a limit yet. Criteria of one metric and
 * one `where` have the same. */
void recorder_moving_histogram(const struct recorder *, uint32_t rollout, size_t criterion,
                               struct histogram_view *ret);

enum { RECORDER_ID_MAX = 64 };
struct recorder_example {
    char id[RECORDER_ID_MAX + 1]; /* of the request; cut; "" when there was none */
    int64_t wall_ns;              /* when it was known to be bad */
    enum outcome_kind kind;       /* OUTCOME_OK with bad_mask: it was too slow */
    bool in_flight;               /* it had not ended: there is no kind yet */
    int64_t latency_ns;           /* -1: not known */
    uint32_t endpoint;            /* UINT32_MAX: none, or not known */
    uint32_t bad_mask;            /* criteria that it was bad for; 0: an error none asks about */
};
/* The newest bad requests of the canary, the newest first; returns how many (<= max). Those that
 * are bad only for a criterion that many requests are bad for (see recorder_alarms) are kept apart,
 * one a second, so that they do not crowd out the others. */
size_t recorder_examples(const struct recorder *, uint32_t rollout, struct recorder_example *ret,
                         size_t max);

struct recorder_variant_totals {
    uint64_t dispatched;                         /* first attempts */
    uint64_t voided;                             /* of them, charged to nobody */
    uint64_t outcomes[OUTCOME_KIND_COUNT];       /* of them, charged to the variant */
    uint64_t retries;                            /* attempts that are not evidence */
    uint64_t retry_outcomes[OUTCOME_KIND_COUNT]; /* of these */
};
struct recorder_totals {
    struct recorder_variant_totals variants[VARIANT_COUNT];
    uint64_t results[RESULT_KIND_COUNT];
    uint64_t overflows;
    uint64_t values_lost; /* nobody took them in time */
};
/* Sums over all shards since the start. */
void recorder_totals(const struct recorder *, uint32_t rollout, struct recorder_totals *ret);
void recorder_shard_totals(const struct recorder *, size_t shard, uint32_t rollout,
                           struct recorder_totals *ret);
/* Outcomes of one endpoint (first attempts), summed over shards. */
void recorder_endpoint_totals(const struct recorder *, uint32_t rollout, enum variant,
                              uint32_t endpoint, uint64_t ret[static OUTCOME_KIND_COUNT]);
enum recorder_histogram {
    HIST_LATENCY,
    HIST_FIRST_BYTE,
    HIST_CONNECT,
    HIST_FIRST_TOKEN, /* this and the next: event streams only */
    HIST_TOKEN_GAP,
    HIST_QUEUE, /* of attempts that had to wait for room at an endpoint */
    HIST_COUNT,
};
/* Merged over shards since the start (ok, 4xx... every outcome with a known time). */
void recorder_histogram(const struct recorder *, uint32_t rollout, enum variant,
                        enum recorder_histogram, struct histogram_view *ret);

#endif
