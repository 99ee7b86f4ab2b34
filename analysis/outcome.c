/* What a client can get: an outcome's name, or one of our own doings. */

#include "analysis/outcome.h"

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
    return (outcome_errors & outcome_bit(kind)) != 0;
}
