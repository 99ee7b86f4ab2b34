/* net/target.h — a request's target and the host it names (RFC 9112, 3.2). Pure; slices. */
#ifndef NET_TARGET_H
#define NET_TARGET_H

#include <stdbool.h>

#include "base/str.h"

struct target {
    struct str authority; /* of an absolute-form target, with its port; else empty */
    struct str host;      /* the same without */
    struct str path;      /* "*" for the whole server */
    struct str query;     /* with its '?', or empty */
};

/* NULL, or why the target is refused (static text). `options`: the method is OPTIONS, which may ask
 * of the whole server. An absolute form without a path is "/", for OPTIONS "*" (9112, 3.2.4). */
const char *target_parse(struct str text, bool options, struct target *ret);

/* A host with an optional port: no user information, no path, brackets only round IPv6. */
bool target_split_authority(struct str authority, struct str *ret_host);

#endif
