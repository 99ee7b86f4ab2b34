/* admin/access.h — who may talk to an admin API that has no tokens: only this machine, and no web
 * page that a browser on this machine happens to show.
 *
 * Pure. A page of a foreign site can make a browser send requests to 127.0.0.1, and by answering
 * DNS for its own name with 127.0.0.1 (rebinding) even read the answers. The Host field then still
 * carries its name, Origin and Sec-Fetch-Site give away the rest.
 */
#ifndef ADMIN_ACCESS_H
#define ADMIN_ACCESS_H

#include <stdbool.h>

#include "base/str.h"

enum access {
    ACCESS_OK,
    ACCESS_NO_HOST,        /* 400 */
    ACCESS_FOREIGN_HOST,   /* 421: a name that is not this machine's */
    ACCESS_FOREIGN_ORIGIN, /* 403: a page that did not come from here */
};

/* Slices with ptr NULL stand for fields that were not sent. */
enum access access_check(struct str host, struct str origin, struct str sec_fetch_site);

/* "localhost", any of 127.0.0.0/8, "[::1]", each with or without a port. Any port: the API may be
 * reached through a tunnel. */
bool access_host_is_local(struct str host);

/* A numeric address that only this machine can reach: 127.0.0.0/8 or ::1 (no brackets). */
bool access_address_is_loopback(const char *address);

/* "application/json", whatever its case and parameters. */
bool access_content_type_is_json(struct str content_type);

#endif
