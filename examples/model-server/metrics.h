/* examples/model-server/metrics.h — what GET /metrics shows, in Prometheus text format 0.0.4.
 *
 * Names of vLLM where they apply, so that its dashboards and rules work on this server too.
 */
#ifndef MODEL_SERVER_METRICS_H
#define MODEL_SERVER_METRICS_H

#include <stdint.h>

#include "base/strbuf.h"
#include "examples/model-server/faults.h"

enum metrics_histogram { METRICS_TTFT, METRICS_E2E, METRICS_PREDICT, METRICS_HISTOGRAM_COUNT };
enum metrics_finish { METRICS_STOP, METRICS_LENGTH, METRICS_ABORT, METRICS_FINISH_COUNT };
enum { METRICS_BUCKETS = 18 };

struct metrics {
    struct {
        uint64_t buckets[METRICS_BUCKETS + 1]; /* not cumulative; the last is +Inf */
        uint64_t count;
        double sum_s;
    } histograms[METRICS_HISTOGRAM_COUNT];
    uint64_t prompt_tokens, generation_tokens, predictions;
    uint64_t finished[METRICS_FINISH_COUNT];
    uint64_t statuses[6]; /* answers by class; [0]: none */
    uint64_t running, waiting;
};

void metrics_observe(struct metrics *, enum metrics_histogram, int64_t ns);
void metrics_print(const struct metrics *, const struct fault_counters *, const char *model,
                   const char *version, struct strbuf *out);

#endif
