/* policies/policy_criteria.h — how items of `analysis.criteria` become criteria. Internal to
 * policies/.
 */
#ifndef POLICIES_POLICY_CRITERIA_H
#define POLICIES_POLICY_CRITERIA_H

#include "policies/policy_read.h"

/* Sets of metrics. */
#define METRIC_BIT(metric) (UINT32_C(1) << (metric))
static const uint32_t metrics_shares = METRIC_BIT(METRIC_LATENCY) - 1;
static const uint32_t metrics_times = METRIC_BIT(METRIC_RESPONSE_SIZE) - METRIC_BIT(METRIC_LATENCY);
static const uint32_t metrics_values = METRIC_BIT(METRIC_COUNT) - METRIC_BIT(METRIC_RESPONSE_SIZE);
/* That have a sample only when the answer is an event stream. */
static const uint32_t metrics_streams =
    METRIC_BIT(METRIC_STREAM_TRUNCATION_RATE) | METRIC_BIT(METRIC_STREAM_STALL_RATE) |
    METRIC_BIT(METRIC_STREAM_EMPTY_RATE) | METRIC_BIT(METRIC_STREAM_ERROR_RATE) |
    METRIC_BIT(METRIC_TIME_TO_FIRST_TOKEN) | METRIC_BIT(METRIC_INTER_TOKEN_GAP) |
    METRIC_BIT(METRIC_TIME_PER_OUTPUT_TOKEN);

struct policy_criteria {
    struct policy_reader *reader;
    const struct policy *policy; /* what is read already: match, what an error is */
    struct policy_criterion *items;
    size_t count;
    uint32_t group; /* of what is added next; has gaps until all are read */
    bool full;      /* said once */
};

/* One item of the file on its way. */
struct policy_criterion_item {
    struct yaml_node *node;
    struct policy_criterion base; /* what all that it becomes has in common */
    const char *suffix;           /* of their names: " where /predict" */
    bool require_no_harm;
    bool mute; /* something in it is in error: it is read for its other errors alone */
};

/* Adds `k` as "WHAT LIMIT SUFFIX". A limit of its own begins a group with policy_criteria_group. */
void policy_criteria_group(struct policy_criteria *);
void policy_criteria_add(struct policy_criteria *, const struct policy_criterion_item *,
                         struct policy_criterion k, const char *what, const char *limit);
/* Says that no limit is written, unless that may be another mistake's doing. */
void policy_criteria_no_limit(struct policy_criteria *, const struct policy_criterion_item *,
                              const char *hint);
/* The text of a key, or NULL: absent or bad. */
const struct yaml_node *policy_criterion_text(const struct policy_criterion_item *,
                                              const char *key);

void policy_criterion_share(struct policy_criteria *, struct policy_criterion_item *);
void policy_criterion_time(struct policy_criteria *, struct policy_criterion_item *);
void policy_criterion_shift(struct policy_criteria *, struct policy_criterion_item *);

/* Reads `where` (NULL: none); *ret_suffix is how names say it. Lives in the reader's arena. */
void policy_read_where(struct policy_criteria *, const struct yaml_node *where,
                       struct policy_criterion *, const char **ret_suffix);

/* Warns of what cannot do anything. */
void policy_criteria_warn_of_idle(const struct policy_criteria *);

#endif
