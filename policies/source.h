/* policies/source.h — files and folders, read whole, kept for diagnostics. Internal to policies/.
 */
#ifndef POLICIES_SOURCE_H
#define POLICIES_SOURCE_H

#include <stddef.h>
#include <sys/types.h>

#include "base/error.h"
#include "policies/policy_set.h"

enum { FOLDER_FILES_MAX = ROLLOUTS_MAX };

/* `path` lives in the source_files. */
typedef void source_text_fn(void *arg, const char *path, struct str text);

struct source_loader {
    struct source_files *files;
    source_text_fn *fn;
    void *arg;
    struct diagnostics *errors;
    struct source_id { /* what was read already */
        dev_t device;
        ino_t inode;
    } * seen;
    size_t seen_count;
};

void source_loader_init(struct source_loader *, struct source_files *, source_text_fn *, void *arg,
                        struct diagnostics *);
void source_loader_deinit(struct source_loader *);

/* Gives the text of a file, or of each *.yaml and *.yml of a folder, to `fn`. What cannot be read
 * is an error at `asked` (where a file names the path), or at the path itself. */
void source_load(struct source_loader *, const char *path, struct source_pos asked);

/* 0 when a file that is named somewhere can be read, else an errno. */
int source_try(const char *path);

/* The source_files' copy of a path, which errors may borrow; NULL stays NULL. */
const char *source_loader_path(const struct source_loader *, const char *path);

#endif
