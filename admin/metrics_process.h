/* admin/metrics_process.h — the part of the /metrics page that is about the process and its
 * workers, not about rollouts. Control thread only.
 */
#ifndef ADMIN_METRICS_PROCESS_H
#define ADMIN_METRICS_PROCESS_H

#include "admin/ports.h"
#include "admin/prometheus.h"

/* Appends its families. */
void metrics_process(struct prometheus *, const struct admin_ports *);

#endif
