/* A 429 is no error although it may look like one: it is an answer of a working limiter, and a
 * policy that minds 4xx or 429 asks for them by name. */
#include "policies/outcome_kind.h"

const char *const outcome_names[OUTCOME_KIND_COUNT] = {OUTCOME_NAMES};

const uint32_t outcome_errors =
    1u << OUTCOME_5XX | 1u << OUTCOME_CONNECT | 1u << OUTCOME_UNAVAILABLE | 1u << OUTCOME_TIMEOUT |
    1u << OUTCOME_STALLED | 1u << OUTCOME_RESET | 1u << OUTCOME_MALFORMED |
    1u << OUTCOME_TRUNCATED | 1u << OUTCOME_STREAM_ERROR | 1u << OUTCOME_EMPTY;
