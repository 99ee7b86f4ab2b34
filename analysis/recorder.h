/* analysis/recorder.h — every attempt, counted at dispatch and revised until settled.
 *
 * One shard per worker: written by that worker alone, without a lock; counters are relaxed atomics
 * that only grow. The control thread reads all shards with no handshake (bad before dispatched, so
 * that it can only err to the careful side). A stuck worker delays nothing.
 *
 *   worker:   recorder_dispatch → (recorder_sent) → recorder_finish, and recorder_sweep every 100
 * ms control:  recorder_read each tick; recorder_totals for status and metrics
 *
 * Only a request's first attempt is evidence: it gets a ticket. All memory is allocated at first
 * dispatch of a rollout in a shard or from a bounded pool; recorder_dispatch never fails (when the
 * ring of open slots is full, requests count into the newest open slot, and `overflows` says so).
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
#include "policies/policy.h"
#include "policies/policy_set.h"

struct cell;
struct recorder;
struct recorder_part;
struct recorder_shard;

/* Lives inside the attempt (proxy/attempt.h); no allocation. Fields are the recorder's. */
struct recorder_ticket {
    struct list in_flight; /* in the wheel of its shard, by when it next may be late */
    struct cell *cell;     /* NULL: not evidence or already finished */
    struct recorder_part *part;
    int64_t sent_ns;   /* 0 until the whole request is with the backend */
    int64_t unread_ns; /* time in which the client did not read */
    uint32_t bad_mask; /* criteria already marked bad */
    uint8_t variant;
};

/* One shard per worker, one entry per policy of the set (which must outlive the recorder). */
struct recorder *recorder_new(size_t shards, const struct policy_set *);
void recorder_free(struct recorder *);
struct recorder_shard *recorder_shard(struct recorder *, size_t index);

/* --- worker --- */

/* Counts the request into the slot of now_ns under `epoch`. */
void recorder_dispatch(struct recorder_shard *, struct recorder_ticket *, uint32_t rollout,
                       uint32_t epoch, enum variant, int64_t now_ns);
/* The request's last byte is with the backend: latency runs from here. Idempotent. */
static inline void recorder_sent(struct recorder_ticket *t, int64_t now_ns)
{
    if (t->sent_ns == 0)
        t->sent_ns = now_ns;
}
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
/* Marks requests in flight that are older than a latency criterion's limit bad, once. */
void recorder_sweep(struct recorder_shard *, int64_t now_ns);

/* --- control thread --- */

/* Adds what changed since the last read of this rollout to `obs` (not cleared here). */
void recorder_read(struct recorder *, uint32_t rollout, struct observation *obs);
/* Rises with each request of the canary that becomes known bad, for an error or a criterion; what
 * rose is in what is read afterwards. Much cheaper than reading. */
uint64_t recorder_alarms(const struct recorder *, uint32_t rollout);

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
