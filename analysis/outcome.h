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

#include "policies/outcome_kind.h"

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
    /* Between two pieces of content of an event stream: the longest, and the mean per piece behind
     * the first; -1: no stream, or fewer than two pieces. */
    int64_t longest_gap_ns, per_token_ns;
    int64_t connect_ns;     /* -1: a pooled connection */
    int64_t queue_ns;       /* waited for room at an endpoint; -1: had not to */
    int64_t response_bytes; /* of the answer's body as it came; -1: it was not whole */
    int64_t tokens;         /* that the answer says it used; -1: it did not say */
    uint32_t endpoint;      /* index in its version */
    enum outcome_stream {
        STREAM_UNKNOWN, /* it never answered, or with no success, and did not say what it wants */
        STREAM_NO,
        STREAM_YES,
    } stream;
};

/* The kind a complete response of this status is. */
enum outcome_kind outcome_of_status(int status);
/* Counts as an error unless the policy says otherwise (count_as_error). */
bool outcome_is_error(enum outcome_kind);

#endif
