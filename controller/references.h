/* controller/references.h — what a rollout that is compared with stable needs beside its counts:
 * looks at stable's times, publishes the limits that follow from them, and turns values that
 * answers had into observations. Control thread.
 */
#ifndef CONTROLLER_REFERENCES_H
#define CONTROLLER_REFERENCES_H

#include <stdbool.h>
#include <stdint.h>

#include "analysis/reference.h"
#include "controller/controller.h"

/* Before each look: adds the values seen since the last one to `add_to`; every 10 s takes new
 * limits, and when the canary has all traffic (`alone`) the last ones. A NULL reference
 * (analysis/reference.h: the policy needs none) costs nothing. */
void references_observe(struct reference *, const struct controller_ports *, uint32_t rollout,
                        int64_t now_ns, bool alone, struct observation *add_to);

#endif
