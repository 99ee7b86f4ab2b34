/* proxy/retry.h — what becomes of a request whose attempt failed before the first byte of an
 * answer: sent again, answered by stable, or given up. Pure.
 *
 * The rule beneath (RFC 9110, 9.2.2): a request that a backend may have read is sent again only if
 * its method is idempotent, or if the policy's author said with `shield: all` that requests may be
 * sent twice.
 */
#ifndef PROXY_RETRY_H
#define PROXY_RETRY_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/outcome.h"
#include "policies/policy.h"

enum retry {
    RETRY_NONE,
    RETRY_FRESH, /* the same attempt over a new connection: the old one had died idle */
    RETRY_ANEW, /* a kept connection broke under the request: another attempt, outside the budget */
    RETRY_SAME, /* another attempt at the same version; takes from the retry budget */
    RETRY_STABLE, /* stable answers in the canary's place; no budget, but only what stable has free
                   */
};

struct retry_case {
    enum variant variant;
    enum outcome_kind kind;
    enum shield shield;
    bool idempotent;
    bool untouched;      /* no connection took a byte of it */
    bool whole;          /* everything that was read of it is held */
    bool reused;         /* a kept-alive connection ended before a byte of an answer */
    bool stale;          /* and nothing speaks against its having died while it was idle */
    bool stable_free;    /* one of stable's endpoints has room */
    uint32_t fresh_left; /* new connections in place of kept ones */
    uint32_t retries_left;
};

/* What stable can make good: everything that went wrong before an answer was begun. */
bool retry_shieldable(enum outcome_kind);

enum retry retry_decide(const struct retry_case *);

/* Whether there may be any use in holding the request's bytes. */
bool retry_may_resend(enum shield, bool idempotent, bool untouched);

/* A share of the requests lately sent may be retried, so that retries never amplify an outage (as
 * Linkerd's retry budget), and one more per second, so that a rollout with little traffic is not
 * without them. In thousandths of a retry. One thread. */
struct retry_budget {
    int64_t since_ns;
    uint32_t left;
};

/* A request was sent. `share`: 0..1. */
void retry_budget_deposit(struct retry_budget *, double share);
/* False: there is none left. */
bool retry_budget_withdraw(struct retry_budget *, double share, int64_t now_ns);

#endif
