/* policies/yaml_text.h — the text beneath the YAML: is it text at all, and ${ENV} in values. */
#ifndef POLICIES_YAML_TEXT_H
#define POLICIES_YAML_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "policies/yaml.h"

/* Without a UTF-8 byte order mark, which some editors write and nobody sees. */
struct str yaml_text_strip_mark(struct str text);

/* True when the text is UTF-8 of a bearable size without control characters and without line ends
 * other than LF and CR LF (so that everybody counts the same lines); else the error is added. */
bool yaml_text_check(const char *path, struct str text, struct diagnostics *);

/* The byte offset of a position, or text.len. */
size_t yaml_text_offset(struct str text, struct source_pos at);

/* The position behind the last character that is not white space. */
struct source_pos yaml_text_end(const char *path, struct str text);

/* Replaces ${NAME} by the environment's value and $${ by ${ in the node's text. `source` is the
 * whole text, for positions; *used counts the bytes that variables gave, at most YAML_BYTES_MAX.
 * False when an error was added. */
bool yaml_text_expand(struct yaml_node *, struct str source, size_t *used, struct arena *,
                      struct diagnostics *);

enum { YAML_SHOWN_MAX = 72 };
/* A value as it can stand in a message: one line without invisible characters, cut with "..." when
 * long. Returns `to`. */
char *yaml_shown(struct str text, char to[static YAML_SHOWN_MAX]);

#endif
