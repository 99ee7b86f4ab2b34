/* net/head.h — the head of an HTTP/1 message as slices of the bytes it came in.
 *
 * Strict: llhttp checks the grammar, our own checks refuse what it lets through (bare LF, folded
 * lines, control bytes, several or signed Content-Length, Transfer-Encoding that is not exactly
 * "chunked"), and both must agree on where the message ends; if they do not, it is refused, never
 * repaired. Pure; the slices live as long as the bytes.
 */
#ifndef NET_HEAD_H
#define NET_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { HEAD_FIELDS_MAX = 128, HEAD_TARGET_MAX = 16 * 1024 };

enum field_id { /* those the proxy handles; all others are passed on as they came */
                FIELD_OTHER,
                FIELD_CONNECTION,
                FIELD_CONTENT_LENGTH,
                FIELD_CONTENT_TYPE,
                FIELD_DATE,
                FIELD_EXPECT,
                FIELD_HOST,
                FIELD_KEEP_ALIVE,
                FIELD_PROXY_AUTHENTICATE,
                FIELD_PROXY_AUTHORIZATION,
                FIELD_PROXY_CONNECTION,
                FIELD_TE,
                FIELD_TRACEPARENT,
                FIELD_TRACESTATE,
                FIELD_TRAILER,
                FIELD_TRANSFER_ENCODING,
                FIELD_UPGRADE,
                FIELD_VIA,
                FIELD_X_FORWARDED_FOR,
                FIELD_X_FORWARDED_HOST,
                FIELD_X_FORWARDED_PROTO,
                FIELD_X_REQUEST_ID,
                FIELD_X_SLUICE_VERSION,
                FIELD_ID_COUNT,
};

struct head_field {
    struct str line;        /* name, colon, value and CRLF as they came */
    struct str name, value; /* value without surrounding space */
    enum field_id id;
    bool hop; /* belongs to this connection only: known hop-by-hop, or nominated by Connection */
};

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct head {
    size_t bytes;  /* of the whole head, the empty line included */
    uint8_t minor; /* HTTP/1.minor: 0 or 1 */
    bool keep_alive;
    enum framing framing;
    uint64_t length; /* FRAMING_LENGTH */
    /* request */
    struct str method, target; /* target as it came */
    struct str path;           /* of the target, without the query; "*" for OPTIONS * */
    struct str query;          /* with its '?', or empty */
    struct str host;           /* of Host or of an absolute-form target, without the port */
    struct str authority;      /* the same with its port */
    bool expect_continue;
    /* response */
    int status;
    struct str reason;
    size_t count;
    uint32_t index[FIELD_ID_COUNT]; /* of the first field with this id, plus 1; 0: absent */
    struct head_field fields[HEAD_FIELDS_MAX];
};

/* Where the head ends. > 0: its length, the empty line included. 0: not all there yet. -1: a bare
 * LF or a NUL, which no head may hold. `from` is how much was looked at before (0 at first). */
ptrdiff_t head_end(struct str bytes, size_t from);

/* Both take exactly the bytes that head_end found. 0, or the status to refuse with: 400, 414, 431,
 * 501, 505 for requests; 502 for responses. *ret_why (static text) says what was wrong. */
int head_parse_request(struct str bytes, struct head *ret, const char **ret_why);
/* `to_head`: the response answers a HEAD request (and has no body). */
int head_parse_response(struct str bytes, bool to_head, struct head *ret, const char **ret_why);

/* The first field with this id, or NULL. */
static inline const struct head_field *head_get(const struct head *h, enum field_id id)
{
    return h->index[id] == 0 ? NULL : &h->fields[h->index[id] - 1];
}

/* The value of the first field of that name (any case), ptr NULL: absent. */
struct str head_find(const struct head *, struct str name);

#endif
