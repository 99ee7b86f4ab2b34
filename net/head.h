/* net/head.h — the head of an HTTP/1 message as slices of the bytes it came in.
 *
 * Strict: llhttp checks the grammar, our own checks refuse what it lets through (bare LF, folded
 * lines, control bytes, several or signed Content-Length, Transfer-Encoding that is not exactly
 * "chunked"), and both must agree on where the message ends; if they do not, it is refused, never
 * repaired. docs/wire.md lists it all. Pure; the slices live as long as the bytes.
 *
 * A head is *plain*, and read by net/plain.c alone, when its start line is CAPITALS SP /path SP
 * HTTP/1.1 (or HTTP/1.1 SP status), it has no bytes but visible ASCII, spaces and CRLF, its names
 * are of letters, digits, '-' and '.' up to the colon, it has at most one Content-Length and that
 * without leading zeros, a Connection that says close or keep-alive and nothing else or none, and
 * no Transfer-Encoding, Upgrade, Proxy-Connection or HTTP2-Settings. Built with HEAD_JUDGE_ALL (all
 * builds but release) plain heads go the long way too (net/judged.c), and any difference is a CHECK
 * failure.
 */
#ifndef NET_HEAD_H
#define NET_HEAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "net/field.h"

enum {
    HEAD_FIELDS_MAX = 128,
    HEAD_TARGET_MAX = 16 * 1024, /* beyond: 414 */
    HEAD_METHOD_MAX = 32,        /* beyond: 501 */
};

struct head_field {
    struct str line;        /* name, colon, value and CRLF as they came */
    struct str name, value; /* value without surrounding space */
    enum field_id id;
    bool hop;  /* belongs to this connection only: known hop-by-hop, or nominated by Connection */
    bool anew; /* goes out as name and value, not as `line`: the line is odd (space before the colon
                  of an answer's field, zeros before a length's digits) */
};

enum framing { FRAMING_NONE, FRAMING_LENGTH, FRAMING_CHUNKED, FRAMING_CLOSE };

struct head {
    size_t bytes;      /* of the whole head, the empty line included; also of one refused, but 0
                          where it is too large or has a bare LF or a NUL */
    uint32_t present;  /* the ids that are there: FIELD_BIT */
    uint32_t repeated; /* those that are there more than once */
    bool plain;        /* see above */
    uint8_t minor;     /* HTTP/1.minor: 0, or 1 for that and all above (RFC 9110, 2.5) */
    bool keep_alive;
    bool nominates; /* Connection names fields of the sender's own */
    bool upgrade; /* a request that validly asks for an upgrade that can be tunnelled; a 101 or 426
                     that validly says to what: HTTP/1.1, Connection names it, one protocol that is
                     neither HTTP nor TLS. The request has no body then, and is GET or POST. */
    struct str upgrade_protocol; /* of `upgrade`, as it came: "websocket" */
    enum framing framing;
    uint64_t length; /* FRAMING_LENGTH */
    /* request */
    struct str method, target; /* target as it came */
    struct str path;           /* of the target, without the query; "*" for OPTIONS * */
    struct str query;          /* with its '?', or empty */
    struct str host;           /* of Host or of an absolute-form target, without the port */
    struct str authority;      /* the same with its port; both empty: HTTP/1.0 without Host */
    bool expect_continue;      /* HTTP/1.1 */
    bool te_trailers;          /* HTTP/1.1, TE: trailers, and Connection names TE */
    bool accepts_event_stream; /* Accept names text/event-stream */
    int32_t max_forwards;      /* of OPTIONS, > 0; -1: none said */
    /* response */
    int status;
    struct str reason;
    size_t count;
    uint8_t index[FIELD_ID_COUNT]; /* of the first field with this id, plus 1; 0: absent */
    struct head_field fields[HEAD_FIELDS_MAX];
};

_Static_assert(HEAD_FIELDS_MAX <= UINT8_MAX, "index is of bytes");

struct head_limits {
    size_t bytes;  /* of the whole head */
    size_t fields; /* header lines, at most HEAD_FIELDS_MAX */
};

#define HEAD_LIMITS_MOST ((struct head_limits){SIZE_MAX, HEAD_FIELDS_MAX})

enum { HEAD_MORE = -1 }; /* it is not all there yet */

/* The head at the front of `bytes`, of which the first `scanned` are known to hold no end of a head
 * (0 at first). 0 (ret->bytes says what it took), HEAD_MORE, or the status to refuse with: 400,
 * 414, 417, 431, 501, 505 for requests; 502 for responses. *ret_why (static text) says what was
 * wrong. */
int head_parse_request(struct str bytes, size_t scanned, struct head_limits limits,
                       struct head *ret, const char **ret_why);
/* `to_head`: the response answers a HEAD request (and has no body). */
int head_parse_response(struct str bytes, size_t scanned, struct head_limits limits, bool to_head,
                        struct head *ret, const char **ret_why);

/* The first field with this id, or NULL. */
static inline const struct head_field *head_get(const struct head *h, enum field_id id)
{
    return h->index[id] == 0 ? NULL : &h->fields[h->index[id] - 1];
}

static inline bool head_has(const struct head *h, enum field_id id)
{
    return (h->present & FIELD_BIT(id)) != 0;
}

/* The value of the first field of that name (any case), ptr NULL: absent. */
struct str head_find(const struct head *, struct str name);

#endif
