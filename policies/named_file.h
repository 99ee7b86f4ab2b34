/* policies/named_file.h — files that a policy or a configuration names: certificates and keys.
 *
 * Parsing does not touch them: a path is made usable and noted with its place, so that whoever
 * loads a set of files can say where one is named that cannot be read.
 */
#ifndef POLICIES_NAMED_FILE_H
#define POLICIES_NAMED_FILE_H

#include <stdbool.h>

#include "base/arena.h"
#include "base/error.h"
#include "policies/yaml.h"

struct named_file {
    const char *key;  /* "upstream.tls.key" */
    const char *path; /* usable from the working folder */
    struct source_pos at;
    const struct named_file *next;
};

/* What reads them: a document's own memory and errors. */
struct named_file_reader {
    struct arena *arena;
    struct diagnostics *errors;
    const char *file;               /* the document's own copy of its path */
    bool cut;                       /* nothing is said about what is missing */
    const struct named_file **list; /* grows at its front */
};

/* A path as it stands in `file`: absolute, or relative to the folder of `file`. What came through a
 * descriptor (/dev/stdin) has no folder: paths in it are relative to the working folder. */
const char *named_file_path(struct arena *, const char *file, struct str written);

/* Reads the member `leaf` of `map`, whose own path is `parent`, as a file's path; NULL when it is
 * not there or bad. */
const char *named_file_read(struct named_file_reader *, const char *parent,
                            const struct yaml_node *map, const char *leaf);

/* `certificate` and `key` of `map`, of which none stands without the other. */
void named_file_read_pair(struct named_file_reader *, const char *parent,
                          const struct yaml_node *map, const char **ret_certificate,
                          const char **ret_key);

#endif
