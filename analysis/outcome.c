/* The one place that says what a kind is called and whether it speaks against a version. A 429 is
 * not an error although it may look like one: it is an answer of a working limiter, and a policy
 * that minds 4xx or 429 shares asks for them by name. */

#include "analysis/outcome.h"

#include "base/check.h"

/* The outcomes' names open both tables. */
#define OUTCOME_NAMES                                                                              \
    [OUTCOME_OK] = "ok", [OUTCOME_4XX] = "4xx", [OUTCOME_429] = "429", [OUTCOME_5XX] = "5xx",      \
    [OUTCOME_CONNECT] = "connect", [OUTCOME_UNAVAILABLE] = "unavailable",                          \
    [OUTCOME_TIMEOUT] = "timeout", [OUTCOME_STALLED] = "stalled", [OUTCOME_RESET] = "reset",       \
    [OUTCOME_MALFORMED] = "malformed", [OUTCOME_TRUNCATED] = "truncated",                          \
    [OUTCOME_STREAM_ERROR] = "stream_error", [OUTCOME_EMPTY] = "empty",                            \
    [OUTCOME_CLIENT_ABORT] = "client_abort"

const char *const outcome_names[OUTCOME_KIND_COUNT] = {OUTCOME_NAMES};

const char *const result_names[RESULT_KIND_COUNT] = {
    OUTCOME_NAMES,
    [RESULT_SHIELDED] = "shielded",
    [RESULT_REJECTED] = "rejected",
    [RESULT_OVERLOADED] = "overloaded",
    [RESULT_CUT] = "cut",
};

enum outcome_kind outcome_of_status(int status)
{
    if (status >= 500)
        return OUTCOME_5XX;
    if (status == 429)
        return OUTCOME_429;
    return status >= 400 ? OUTCOME_4XX : OUTCOME_OK;
}

bool outcome_is_error(enum outcome_kind kind)
{
    switch (kind) {
    case OUTCOME_OK:
    case OUTCOME_4XX:
    case OUTCOME_429:
    case OUTCOME_CLIENT_ABORT:
        return false;
    case OUTCOME_5XX:
    case OUTCOME_CONNECT:
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_TIMEOUT:
    case OUTCOME_STALLED:
    case OUTCOME_RESET:
    case OUTCOME_MALFORMED:
    case OUTCOME_TRUNCATED:
    case OUTCOME_STREAM_ERROR:
    case OUTCOME_EMPTY:
        return true;
    case OUTCOME_KIND_COUNT:
        break;
    }
    UNREACHABLE();
}
