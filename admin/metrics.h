/* admin/metrics.h — the /metrics page: which series there are. Names and labels are listed in
 * docs/api.md. Control thread only.
 */
#ifndef ADMIN_METRICS_H
#define ADMIN_METRICS_H

#include "admin/ports.h"
#include "base/strbuf.h"

enum { METRICS_BYTES_MAX = 256 * 1024 * 1024 };

struct metrics;

struct metrics *metrics_new(const struct admin_ports *);
void metrics_free(struct metrics *);

/* Appends the page. Check out->overflow afterwards. */
void metrics_render(struct metrics *, struct strbuf *out);

#endif
