/* cli/promotion.h — how many requests a canary of a known failure rate needs to be promoted. Pure.
 */
#ifndef CLI_PROMOTION_H
#define CLI_PROMOTION_H

#include <stdint.h>

/* The number of requests by which `share` (0.5: the median, 0.95) of all canaries that fail at
 * `rate` have shown that they are below p0 at 1 - beta (sequential_no_harm, asked after every
 * request). UINT64_MAX: not within the first thousand failures, or never. 0 < p0 < 1, rate >= 0. */
uint64_t promotion_requests(double p0, double beta, double rate, double share);

#endif
