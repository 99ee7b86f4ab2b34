/* policies/policy_set.h — everything that was loaded, as one immutable, counted snapshot.
 *
 * The index of a policy in its set is the "rollout index" that recorder, proxy and controller use.
 */
#ifndef POLICIES_POLICY_SET_H
#define POLICIES_POLICY_SET_H

#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "policies/config.h"
#include "policies/policy.h"

enum {
    ROLLOUTS_MAX = 4096,
    POLICY_FILE_BYTES_MAX = 1024 * 1024,
};

struct policy_set {
    uint64_t generation;
    const struct config *config; /* never NULL */
    const struct policy *const *policies;
    size_t count;
    /* internal */
    uint32_t references;
};

/* One file's text, kept so that diagnostics can show its lines. */
struct source_file {
    const char *path;
    struct str text;
};
struct source_files {
    struct source_file *items;
    size_t count;
};
void source_files_deinit(struct source_files *);
/* The text of `path`, or an empty slice. */
struct str source_files_text(const struct source_files *, const char *path);

/* Loads files and folders (a folder: its *.yaml and *.yml, sorted by name; YAML files may hold
 * several documents). Files are recognised by their top-level key (`rollout:` = policy). At most
 * one configuration. Checks across files: duplicate rollout names, ties in match; and that every
 * file a document names (a certificate, a key) can be read. With no policy at all the set is empty,
 * which is not an error here.
 *
 * Returns 0 and *ret (reference 1), or -EINVAL with every error in `reterr`. `sources` receives
 * the texts (caller deinits) and must outlive reterr; both in either case. Blocking; any thread. */
int policy_set_load(const char *const *paths, size_t path_count, uint64_t generation,
                    struct policy_set **ret, struct source_files *sources,
                    struct diagnostics *reterr);

struct policy_set *policy_set_ref(struct policy_set *); /* atomic: any thread */
void policy_set_unref(struct policy_set *);

#endif
