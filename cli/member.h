/* cli/member.h — reads members of JSON documents that may lack them: a client must not break on
 * a server that is a version older or newer.
 */
#ifndef CLI_MEMBER_H
#define CLI_MEMBER_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

/* `path` is member names with dots between: "next.text". NULL when a part is missing or null. */
const json_t *member_get(const json_t *, const char *path);
/* "" when it is not a string. */
const char *member_text(const json_t *, const char *path);
double member_number(const json_t *, const char *path, double otherwise);
bool member_has_number(const json_t *, const char *path);
bool member_true(const json_t *, const char *path);

#endif
