/* Rows of conditions in the order in which they win. */
#include "proxy/retry.h"

#include "base/clock.h"

enum { BUDGET_UNIT = 1000, BUDGET_MAX = 100 * BUDGET_UNIT };

bool retry_may_resend(enum shield shield, bool idempotent, bool untouched)
{
    return idempotent || untouched || shield == SHIELD_ALL;
}

bool retry_shieldable(enum outcome_kind kind)
{
    switch (kind) {
    case OUTCOME_5XX:
    case OUTCOME_CONNECT:
    case OUTCOME_UNAVAILABLE:
    case OUTCOME_TIMEOUT:
    case OUTCOME_RESET:
    case OUTCOME_MALFORMED:
        return true;
    case OUTCOME_OK:
    case OUTCOME_4XX:
    case OUTCOME_429:
    case OUTCOME_STALLED:
    case OUTCOME_TRUNCATED:
    case OUTCOME_STREAM_ERROR:
    case OUTCOME_EMPTY:
    case OUTCOME_CLIENT_ABORT:
    case OUTCOME_KIND_COUNT:
        break;
    }
    return false;
}

enum retry retry_decide(const struct retry_case *c)
{
    if (!c->whole || !retry_may_resend(c->shield, c->idempotent, c->untouched))
        return RETRY_NONE;
    if (c->stale && c->kind == OUTCOME_RESET && c->fresh_left > 0)
        return RETRY_FRESH;
    /* A canary without a free endpoint is not asked at all: that needs no shield. */
    if (c->variant == VARIANT_CANARY && c->stable_free && retry_shieldable(c->kind) &&
        (c->shield != SHIELD_OFF || c->kind == OUTCOME_UNAVAILABLE))
        return RETRY_STABLE;
    if (c->reused && c->kind == OUTCOME_RESET && c->fresh_left > 0)
        return RETRY_ANEW;
    if (c->retries_left > 0 && (c->kind == OUTCOME_CONNECT || c->kind == OUTCOME_RESET))
        return RETRY_SAME;
    return RETRY_NONE;
}

static void add(struct retry_budget *b, uint64_t units)
{
    uint64_t sum = b->left + units;

    b->left = sum > BUDGET_MAX ? BUDGET_MAX : (uint32_t)sum;
}

void retry_budget_deposit(struct retry_budget *b, double share)
{
    add(b, (uint64_t)(share * BUDGET_UNIT));
}

bool retry_budget_withdraw(struct retry_budget *b, double share, int64_t now_ns)
{
    int64_t seconds = (now_ns - b->since_ns) / NS_PER_SEC;

    if (share <= 0)
        return false;
    if (b->since_ns == 0 || seconds > 0) {
        add(b, b->since_ns == 0 ? BUDGET_UNIT : (uint64_t)seconds * BUDGET_UNIT);
        b->since_ns = now_ns;
    }
    if (b->left < BUDGET_UNIT)
        return false;
    b->left -= BUDGET_UNIT;
    return true;
}
