/* net/trailers.h — the trailer fields of a chunked body, collected while it is read.
 *
 * Each line is checked like a header line. What must not come late (RFC 9110, 6.5.1: framing,
 * routing, authentication, request modifiers, response control, content format) is dropped, so that
 * whoever merges trailers into the header, as some do, merges nothing that decides anything.
 */
#ifndef NET_TRAILERS_H
#define NET_TRAILERS_H

#include <stdbool.h>

#include "base/str.h"
#include "base/strbuf.h"

enum { TRAILERS_BYTES_MAX = 16 * 1024, TRAILERS_FIELDS_MAX = 64 };

struct trailers {
    struct strbuf lines; /* those kept, each with its CRLF; and the open one */
    size_t open;         /* where that one begins */
    size_t bytes;        /* of the whole section, dropped lines too */
    unsigned count;      /* of all lines */
};

struct trailers *trailers_new(void);
void trailers_free(struct trailers *); /* NULL is fine */
/* One byte of the section, line ends included. False: too much of it, or the line it ends is not a
 * field; the message must be refused. */
bool trailers_add(struct trailers *, char byte);
/* The whole lines that are kept. */
struct str trailers_kept(const struct trailers *);
/* True for names that a trailer section may carry. */
bool trailers_allowed(struct str name);

#endif
