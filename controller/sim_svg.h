/* controller/sim_svg.h — the drawing of one simulated rollout: the canary's weight, and below it
 * the evidence against it, over time.
 */
#ifndef CONTROLLER_SIM_SVG_H
#define CONTROLLER_SIM_SVG_H

#include <stddef.h>

#include "base/str.h"
#include "base/strbuf.h"
#include "controller/sim_world.h"

/* The history of a rollout: sim_history_add is a sim_trace, its ctx the history. */
struct sim_history {
    struct sim_point *points; /* heap; bounded by a point per second and the decisions */
    size_t count, capacity;
};

void sim_history_init(struct sim_history *);
void sim_history_deinit(struct sim_history *);
void sim_history_add(void *history, const struct sim_point *);

/* A whole SVG document. The title is escaped. */
void sim_svg(const struct sim_history *, struct str title, struct strbuf *out);

#endif
