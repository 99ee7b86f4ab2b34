/* cli/traffic.h — whether a rollout's traffic suffices for its policy, before it is ever run. Pure.
 */
#ifndef CLI_TRAFFIC_H
#define CLI_TRAFFIC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "policies/policy.h"

/* Canary requests that step `step` (from 0) asks for: min_requests, and before 100 % as many as
 * show that every absolute limit holds when none of them is bad. */
uint64_t traffic_needed(const struct policy *, size_t step);

/* Appends a line per step that takes longer than its hold, or one line that says that none does.
 * `rps`: requests per second to the whole rollout, > 0. False: a step does not end within max_hold
 * even when all is well. */
bool traffic_describe(const struct policy *, double rps, struct strbuf *out);

#endif
