/* analysis/window_method.h — `method: window`: the rule that people know from other tools. Every
 * window the share of bad requests among those that ended in it; so many windows over the limit in
 * a row fail the criterion.
 *
 * Pure and plain data. It promises nothing about false alarms, which is why it is not the default:
 * with a limit near the true rate it fires by chance, sooner or later.
 */
#ifndef ANALYSIS_WINDOW_METHOD_H
#define ANALYSIS_WINDOW_METHOD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "analysis/observation.h"
#include "policies/policy.h"

struct window_method {
    int64_t end_ns; /* of the window that runs; 0: none yet */
    /* In it. Requests that are no sample are known as such when they begin or when they end, so the
     * samples among those that ended are taken to be as many as among those that began. */
    int64_t began[VARIANT_COUNT], ended[VARIANT_COUNT], excluded[VARIANT_COUNT];
    int64_t bad[VARIANT_COUNT];
    uint64_t windows;           /* that had enough requests */
    uint32_t fails_in_a_row;    /* a window with too few is no data: it breaks no run */
    uint32_t short_in_a_row;    /* windows lately with some requests of the canary, but too few */
    bool failed;                /* for good */
    double last[VARIANT_COUNT]; /* share of the last window that had enough; -1: none */
};

void window_method_init(struct window_method *);
/* Whether its windows have been too short of requests to say anything: two in a row, since the
 * first may have been cut short by a weight that changed. */
static inline bool window_method_starves(const struct window_method *w)
{
    return w->short_in_a_row >= 2;
}
/* What was seen since the last look, of requests routed with `first_epoch` or later (older ones are
 * another canary's); windows begin at whole slots, with the first look. The
 * criterion is the policy's with that index: limit p0, or for relative ones ratio times stable's
 * share plus delta. */
void window_method_observe(struct window_method *, const struct policy_analysis *, size_t criterion,
                           uint32_t first_epoch, const struct observation *, int64_t now_ns);

#endif
