/* policies/policy_ties.h — rollouts that would fight for the same requests.
 *
 * Routing prefers the more exact host, then the longer path, then more conditions (methods count as
 * one, each header as one). Two rollouts tie when one pair of host and path is the same in both,
 * they have the same number of conditions, and no condition keeps them apart: their methods overlap
 * (or one names none) and no header is demanded with two different values.
 */
#ifndef POLICIES_POLICY_TIES_H
#define POLICIES_POLICY_TIES_H

#include <stddef.h>

#include "policies/policy.h"

struct policy_tie {
    size_t earlier, later;   /* indexes */
    const char *host, *path; /* "": any */
};

/* At most one tie for each policy, as a heap array (caller frees; NULL when there is none). */
struct policy_tie *policy_ties_find(const struct policy *const *policies, size_t count,
                                    size_t *ret_count);

#endif
