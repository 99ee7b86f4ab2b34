/* proxy/slots.h — requests in flight at each endpoint, over all workers, and how many wait.
 *
 * One cache line per endpoint, relaxed atomics. Any thread. Endpoints are named by their pool
 * (route_version.first_pool + endpoint), versions by slots_version.
 */
#ifndef PROXY_SLOTS_H
#define PROXY_SLOTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "policies/policy.h"

struct slots;

struct slots *slots_new(size_t pools, size_t rollouts);
void slots_free(struct slots *);

/* False: `max` are in flight there already. */
bool slots_take(struct slots *, size_t pool, uint32_t max);
void slots_give(struct slots *, size_t pool);
uint32_t slots_in_flight(const struct slots *, size_t pool);

static inline size_t slots_version(uint32_t rollout, enum variant variant)
{
    return (size_t)rollout * VARIANT_COUNT + variant;
}
/* Requests that wait for any endpoint of a version. */
void slots_wait(struct slots *, size_t version, int by);
uint32_t slots_waiting(const struct slots *, size_t version);

#endif
