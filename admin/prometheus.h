/* admin/prometheus.h — writes Prometheus's text format 0.0.4: families with HELP and TYPE, samples
 * with escaped labels. Knows nothing about sluice.
 */
#ifndef ADMIN_PROMETHEUS_H
#define ADMIN_PROMETHEUS_H

#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

#define PROMETHEUS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

struct prometheus {
    struct strbuf *out;
    const char *family; /* of the samples that follow */
};

struct prometheus_label {
    const char *name, *value; /* value as it is; NULL counts as "" */
};

/* {"name", value}, ... as the two arguments for labels, for one call. */
#define PROMETHEUS_LABELS(...)                                                                     \
    (const struct prometheus_label[]){__VA_ARGS__},                                                \
        sizeof((const struct prometheus_label[]){__VA_ARGS__}) / sizeof(struct prometheus_label)

/* Begins a family; all its samples follow before the next one. */
void prometheus_family(struct prometheus *, const char *name, const char *type, const char *help);

/* `suffix`: "", "_bucket", "_sum", "_count". */
void prometheus_u64(struct prometheus *, const char *suffix, const struct prometheus_label *,
                    size_t label_count, uint64_t value);
void prometheus_f64(struct prometheus *, const char *suffix, const struct prometheus_label *,
                    size_t label_count, double value);

#endif
