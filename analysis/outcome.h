/* analysis/outcome.h — what one attempt at one endpoint gave, as a value.
 *
 * An attempt outcome is charged to its variant and used by criteria; what the client got is a
 * request result, counted apart. They differ where the client got something other than its first
 * attempt's answer: a retry's, the shield's, or our own refusal.
 */
#ifndef ANALYSIS_OUTCOME_H
#define ANALYSIS_OUTCOME_H

#include <stdbool.h>
#include <stdint.h>

enum outcome_kind {
    OUTCOME_OK,
    OUTCOME_4XX,
    OUTCOME_429,
    OUTCOME_5XX,
    OUTCOME_CONNECT,      /* refused, unreachable, DNS, TLS, connect timeout */
    OUTCOME_UNAVAILABLE,  /* no healthy endpoint, queue full */
    OUTCOME_TIMEOUT,      /* no first byte in time, or over the total time */
    OUTCOME_STALLED,      /* silence inside a response */
    OUTCOME_RESET,        /* closed or reset before the response was complete */
    OUTCOME_MALFORMED,    /* not HTTP */
    OUTCOME_TRUNCATED,    /* a clean close with fewer bytes than announced */
    OUTCOME_STREAM_ERROR, /* an error event inside a 200 stream */
    OUTCOME_EMPTY,        /* a stream that ended well and said nothing */
    OUTCOME_CLIENT_ABORT, /* the client went away: not held against the variant */
    OUTCOME_KIND_COUNT,
};

extern const char *const outcome_names[OUTCOME_KIND_COUNT]; /* as in metrics: "ok", "4xx", ... */

/* What a client got: the outcome kind that its answer amounts to, or one of these. */
enum {
    RESULT_SHIELDED = OUTCOME_KIND_COUNT, /* the canary failed and stable answered */
    RESULT_REJECTED,                      /* we refused the request: 400, 408, 413 */
    RESULT_OVERLOADED,                    /* we had run out of something: 503 */
    RESULT_CUT,                           /* ended by a rollback with on_rollback: cut */
    RESULT_KIND_COUNT,
};

extern const char *const result_names[RESULT_KIND_COUNT]; /* the outcomes' names, then the rest */

struct outcome {
    enum outcome_kind kind;
    /* From the moment the request was with the backend, less time the client did not read;
     * -1: not known (it never got that far). */
    int64_t latency_ns, first_byte_ns;
    /* The first piece of content of an event stream, measured like first_byte_ns; -1: none seen. */
    int64_t first_token_ns;
    int64_t connect_ns; /* -1: a pooled connection */
    int64_t queue_ns;   /* waited for room at an endpoint; -1: had not to */
    uint32_t endpoint;  /* index in its version */
};

/* The kind a complete response of this status is. */
enum outcome_kind outcome_of_status(int status);
/* Counts as an error for error_rate: everything but ok, 4xx, 429 and client_abort. */
bool outcome_is_error(enum outcome_kind);

#endif
