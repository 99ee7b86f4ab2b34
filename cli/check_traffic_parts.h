/* cli/check_traffic_parts.h — what the parts of check_traffic share. Internal. */
#ifndef CLI_CHECK_TRAFFIC_PARTS_H
#define CLI_CHECK_TRAFFIC_PARTS_H

#include "cli/check_traffic.h"

/* A step's weight less what stays on stable. */
uint32_t traffic_weight_bp(const struct policy *, size_t step);
/* How often a healthy canary is bad for a criterion with TEST_MAX. */
double traffic_healthy_rate(const struct policy_criterion *, const struct traffic *);
/* How long `needed` requests take at `rps`; INT64_MAX: never, or beyond a hundred years. */
int64_t traffic_time_for(uint64_t needed, double rps);

#endif
