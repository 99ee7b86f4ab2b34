/* proxy/weight_region.h — the weight words in memory that can be shared with the process that
 * replaces this one, so that this one still obeys it while it drains.
 *
 *   header | name and versions of each rollout, 384 bytes | a word of 64 bytes per rollout
 *
 * The memory is a sealed memfd: whoever maps it cannot be hurt by it shrinking. Making and freeing
 * on the control thread; the words are any thread's (proxy/weights.h).
 */
#ifndef PROXY_WEIGHT_REGION_H
#define PROXY_WEIGHT_REGION_H

#include <stddef.h>

#include "base/error.h"
#include "proxy/weights.h"

struct policy;
struct policy_set;
struct weight_region;

enum { WEIGHT_REGION_VERSION = 1 };

/* One word per policy of the set, by its name, all 0. Where the kernel has no memfd the words are
 * in ordinary memory (weight_region_fd is -1 then) and *reterr says why. Never NULL. */
struct weight_region *weight_region_new(const struct policy_set *, struct error *reterr);
/* Another process's; the descriptor is taken over when 0 is returned. -EPROTO: its layout is not
 * ours, and then it is not touched. */
int weight_region_map(int fd, struct weight_region **ret, struct error *reterr);
void weight_region_free(struct weight_region *); /* NULL is fine */

int weight_region_fd(const struct weight_region *);
size_t weight_region_count(const struct weight_region *);
struct weight *weight_region_words(const struct weight_region *);
/* NULL: it does not know the rollout. */
struct weight *weight_region_find(const struct weight_region *, const char *rollout);
/* Somebody else decided `weight_bp` for the canary of this policy, which may name other versions by
 * now: the region's word becomes what that means for its own canary. The same canary gets the same
 * weight, one that is stable by now gets all, one that was taken out of the policy nothing. */
void weight_region_follow(const struct weight_region *, const struct policy *, uint32_t weight_bp);

#endif
