/* policies/outcome_kind.h — what one attempt at one endpoint can amount to.
 *
 * The names are part of the policy language (`outcome`, `count_as_error`) and of every metric,
 * which is why they stand down here. What an outcome carries besides is in analysis/outcome.h.
 */
#ifndef POLICIES_OUTCOME_KIND_H
#define POLICIES_OUTCOME_KIND_H

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

/* As in metrics: they open every table that names more than outcomes. */
#define OUTCOME_NAMES                                                                              \
    [OUTCOME_OK] = "ok", [OUTCOME_4XX] = "4xx", [OUTCOME_429] = "429", [OUTCOME_5XX] = "5xx",      \
    [OUTCOME_CONNECT] = "connect", [OUTCOME_UNAVAILABLE] = "unavailable",                          \
    [OUTCOME_TIMEOUT] = "timeout", [OUTCOME_STALLED] = "stalled", [OUTCOME_RESET] = "reset",       \
    [OUTCOME_MALFORMED] = "malformed", [OUTCOME_TRUNCATED] = "truncated",                          \
    [OUTCOME_STREAM_ERROR] = "stream_error", [OUTCOME_EMPTY] = "empty",                            \
    [OUTCOME_CLIENT_ABORT] = "client_abort"
extern const char *const outcome_names[OUTCOME_KIND_COUNT];

/* Sets of kinds. */
static inline uint32_t outcome_bit(enum outcome_kind kind)
{
    return UINT32_C(1) << kind;
}
/* What count_as_error has without being written: all but ok, 4xx, 429 and client_abort. */
extern const uint32_t outcome_errors;

#endif
