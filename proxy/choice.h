/* proxy/choice.h — which endpoint of a version takes a request.
 *
 * Least requests by weight, over all workers. Up to 8 endpoints are all compared. Of more, two are
 * drawn by weight and the less loaded one is taken: looking at all would cost a cache line that
 * other workers write for each of them, at every request, and spread the load hardly better
 * (Mitzenmacher 2001, "The power of two choices in randomized load balancing").
 */
#ifndef PROXY_CHOICE_H
#define PROXY_CHOICE_H

#include "base/rng.h"
#include "proxy/route.h"
#include "proxy/slots.h"

enum { CHOICE_COMPARE_ALL_MAX = 8, NO_ENDPOINT = UINT32_MAX };

/* An endpoint with fewer than `max_requests` in flight, not `avoid` (or NO_ENDPOINT) where there is
 * another. NO_ENDPOINT: all are full. The version has one at least. */
uint32_t choice_endpoint(const struct route_version *, const struct slots *, uint32_t max_requests,
                         uint32_t avoid, struct rng *);

#endif
