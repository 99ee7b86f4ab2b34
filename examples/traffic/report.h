/* examples/traffic/report.h — what is printed: a progress line, the summary, the JSON document. */
#ifndef TRAFFIC_REPORT_H
#define TRAFFIC_REPORT_H

#include <stdio.h>

#include "examples/traffic/stats.h"

/* What changed since the last line, for --report. */
struct report_line {
    uint64_t answered, lost, failed, cut, connect_failures;
    uint64_t versions[STATS_VERSIONS_MAX];
    int64_t at_ns;
};

void report_progress(const struct stats *, struct report_line *last, int64_t now_ns, FILE *to);
void report_summary(const struct stats *, const struct mix *, int64_t now_ns, FILE *to);
void report_json(const struct stats *, const struct mix *, const char *url, int64_t now_ns,
                 FILE *to);

#endif
