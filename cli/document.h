/* cli/document.h — reads members of JSON documents that may lack them: a client must not break on
 * a server that is a version older or newer.
 */
#ifndef CLI_DOCUMENT_H
#define CLI_DOCUMENT_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

/* `path` is member names with dots between: "next.text". NULL when a part is missing or null. */
const json_t *document_get(const json_t *, const char *path);
/* "" when it is not a string. */
const char *document_text(const json_t *, const char *path);
double document_number(const json_t *, const char *path, double otherwise);
bool document_has_number(const json_t *, const char *path);
bool document_true(const json_t *, const char *path);

#endif
