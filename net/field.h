/* net/field.h — one line of a header or trailer section: its grammar, and the names we know.
 *
 * Strict: a name is a token, nothing stands between it and the colon, a value has no control byte
 * but tab, the line ends in CRLF. Pure; slices of the bytes that came.
 */
#ifndef NET_FIELD_H
#define NET_FIELD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "net/scan.h"

enum field_id { /* those the proxy handles; all others are passed on as they came */
                FIELD_OTHER,
                FIELD_ACCEPT,
                FIELD_ACCEPT_ENCODING,
                FIELD_CONNECTION,
                FIELD_CONTENT_LENGTH,
                FIELD_CONTENT_TYPE,
                FIELD_DATE,
                FIELD_EXPECT,
                FIELD_FORWARDED,
                FIELD_HOST,
                FIELD_HTTP2_SETTINGS,
                FIELD_KEEP_ALIVE,
                FIELD_MAX_FORWARDS,
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
                FIELD_X_FORWARDED_OTHER, /* X-Forwarded-Port and whatever else begins so */
                FIELD_X_FORWARDED_PROTO,
                FIELD_X_REQUEST_ID,
                FIELD_X_SLUICE_VERSION,
                FIELD_ID_COUNT,
};

/* A set of them: FIELD_BIT(a) | FIELD_BIT(b). */
#define FIELD_BIT(id) (UINT32_C(1) << (id))

_Static_assert(FIELD_ID_COUNT <= 32, "a set of ids is 32 bits");

/* Which of them a name is, in any case. */
enum field_id field_identify(struct str name);

/* Belongs to one connection only, whether Connection names it or not (RFC 9110, 7.6.1). */
static inline bool field_is_hop(enum field_id id)
{
    uint32_t hop = FIELD_BIT(FIELD_CONNECTION) | FIELD_BIT(FIELD_HTTP2_SETTINGS) |
                   FIELD_BIT(FIELD_KEEP_ALIVE) | FIELD_BIT(FIELD_PROXY_AUTHENTICATE) |
                   FIELD_BIT(FIELD_PROXY_AUTHORIZATION) | FIELD_BIT(FIELD_PROXY_CONNECTION) |
                   FIELD_BIT(FIELD_TE) | FIELD_BIT(FIELD_TRANSFER_ENCODING) |
                   FIELD_BIT(FIELD_UPGRADE);

    return (hop >> id & 1) != 0;
}

/* How many bytes from the front may stand in a token; in a value or a reason. */
size_t field_token_run(struct str);
size_t field_text_run(struct str);
/* True when s is one whole token: at least a byte, and nothing else. */
bool field_is_token(struct str s);

struct field_cut {
    struct str line; /* name, colon, value and CRLF as they came */
    struct str name, value;
    size_t gap; /* spaces and tabs between the name and the colon */
};

/* The line at the front of `bytes`. NULL, or what is wrong with it (static text). `gaps`: space
 * before the colon is taken (in answers; RFC 9112, 5.1), else refused. */
const char *field_cut(struct str bytes, bool gaps, struct field_cut *ret);

/* The same for a line of which is known that it is `len` bytes of plain ASCII and then CRLF, as
 * scan_plain finds it; `bytes` may go on behind it. */
static inline const char *field_cut_plain(struct str bytes, size_t len, bool gaps,
                                          struct field_cut *ret)
{
    size_t name = scan_word(bytes, 0);

    if (name == 0 || bytes.ptr[name] != ':') /* at the CR at the latest */
        return field_cut(bytes, gaps, ret);
    *ret =
        (struct field_cut){.line = {bytes.ptr, len + 2},
                           .name = {bytes.ptr, name},
                           .value = str_trim((struct str){bytes.ptr + name + 1, len - name - 1})};
    return NULL;
}

/* The next member of a comma-separated list, without the space round it; empty ones are skipped.
 * False: there is none. Commas within quotes are taken for commas. */
bool field_next_member(struct str *rest, struct str *ret_member);

#endif
