/* cli/simulate_text.h — what simulated rollouts amount to, as a table and as JSON. Pure. */
#ifndef CLI_SIMULATE_TEXT_H
#define CLI_SIMULATE_TEXT_H

#include <jansson.h>

#include <stddef.h>

#include "base/strbuf.h"
#include "controller/sim_batch.h"

enum { SIMULATE_COLUMNS_MAX = 6 };

/* One set of rules on the same streams: sluice's own, or those of something else. */
struct simulate_column {
    const char *name;
    struct sim_figures figures;
};

struct simulate_report {
    const struct sim_plan *plan;
    uint64_t seed;
    double watch_s;
    struct simulate_column columns[SIMULATE_COLUMNS_MAX];
    size_t count;
};

void simulate_render(const struct simulate_report *, bool colours, struct strbuf *out);
json_t *simulate_json(const struct simulate_report *);

#endif
