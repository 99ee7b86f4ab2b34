/* analysis/where.h — which criteria look at a request, by what is known before it is sent.
 *
 * `where.stream` is about the answer and therefore the recorder's (analysis/recorder.h).
 */
#ifndef ANALYSIS_WHERE_H
#define ANALYSIS_WHERE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "policies/policy.h"

/* Whether any criterion has paths or methods. Without, where_applies need not be asked: all do. */
bool where_any(const struct policy_analysis *);
/* A bit for each criterion whose `where` a request fits, as `match` compares: methods as they are,
 * paths (without the query) by prefixes that end at the end of the path or at a segment's edge. */
uint32_t where_applies(const struct policy_analysis *, struct str method, struct str path);

#endif
