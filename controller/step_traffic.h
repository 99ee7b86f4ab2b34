/* controller/step_traffic.h — what was recorded since a rollout's step began.
 *
 * Counters of the recorder are since the start of the process; people ask about this step. So the
 * step's beginning is kept, and the difference is shown. Control thread only.
 */
#ifndef CONTROLLER_STEP_TRAFFIC_H
#define CONTROLLER_STEP_TRAFFIC_H

#include "analysis/recorder.h"
#include "controller/controller.h"

/* Zeroed: since the start of the process. */
struct step_traffic {
    struct recorder_totals totals;
    struct histogram_view *latency[VARIANT_COUNT]; /* NULL: there was nothing yet */
    struct histogram_view *first_token[VARIANT_COUNT];
};

/* The step begins now. */
void step_traffic_begin(struct step_traffic *, const struct controller_ports *, uint32_t rollout);
void step_traffic_deinit(struct step_traffic *);

/* Of this step until now. */
void step_traffic_totals(const struct step_traffic *, const struct controller_ports *,
                         uint32_t rollout, struct recorder_totals *ret);
void step_traffic_latency(const struct step_traffic *, const struct controller_ports *,
                          uint32_t rollout, enum variant, struct histogram_view *ret);
void step_traffic_first_token(const struct step_traffic *, const struct controller_ports *,
                              uint32_t rollout, enum variant, struct histogram_view *ret);

#endif
