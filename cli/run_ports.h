/* cli/run_ports.h — the ports through which the parts of one running sluice see each other. */
#ifndef CLI_RUN_PORTS_H
#define CLI_RUN_PORTS_H

#include "admin/ports.h"
#include "cli/run.h"

/* Both structs point to `run`, which outlives their users. */
void run_controller_ports(struct run *, struct controller_ports *ret);
void run_admin_ports(struct run *, struct admin_ports *ret);

#endif
