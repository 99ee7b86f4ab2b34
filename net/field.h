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

#define FIELD_HOP                                                                                  \
    (FIELD_BIT(FIELD_CONNECTION) | FIELD_BIT(FIELD_HTTP2_SETTINGS) | FIELD_BIT(FIELD_KEEP_ALIVE) | \
     FIELD_BIT(FIELD_PROXY_AUTHENTICATE) | FIELD_BIT(FIELD_PROXY_AUTHORIZATION) |                  \
     FIELD_BIT(FIELD_PROXY_CONNECTION) | FIELD_BIT(FIELD_TE) |                                     \
     FIELD_BIT(FIELD_TRANSFER_ENCODING) | FIELD_BIT(FIELD_UPGRADE))

/* Length, first and last byte tell all known names apart, and so does a sum of them: each has a
 * slot of its own in a small table (two in one would not compile). Case does not count. */
#define FIELD_SLOT(length, first, last)                                                            \
    (((length)*24 + ((first) | 0x20) + ((last) | 0x20)) & (FIELD_SLOTS - 1))

enum { FIELD_SLOTS = 128, FIELD_X_FORWARDED_LENGTH = 12 };

struct field_known {
    uint8_t length, id;
    char text[30]; /* lower case; of letters, digits and '-' only, of letters if it has 2 or 3 */
};

extern const struct field_known field_known[FIELD_SLOTS];

/* Bit 5 makes a letter small; of the bytes in a known name, letters alone have bit 6. So in `lower`
 * bit 6 says where bit 5 does not matter, and all else must be the same. */
static inline bool field_same_word(const char *lower, const char *name)
{
    uint64_t l, n;

    memcpy(&l, lower, sizeof(l));
    memcpy(&n, name, sizeof(n));
    return l == (n | (l >> 1 & UINT64_C(0x2020202020202020)));
}

static inline bool field_same_half(const char *lower, const char *name)
{
    uint32_t l, n;

    memcpy(&l, lower, sizeof(l));
    memcpy(&n, name, sizeof(n));
    return l == (n | (l >> 1 & UINT32_C(0x20202020)));
}

/* `name` is as long as `lower`, which is as the text of field_known. Words that overlap cover any
 * length up to 24. */
static inline bool field_same_name(const char *lower, struct str name)
{
    size_t n = name.len;

    if (n > 8)
        return field_same_word(lower, name.ptr) &&
               field_same_word(lower + n - 8, name.ptr + n - 8) &&
               (n <= 16 || field_same_word(lower + 8, name.ptr + 8));
    if (n >= 4)
        return field_same_half(lower, name.ptr) && field_same_half(lower + n - 4, name.ptr + n - 4);
    for (size_t i = 0; i < n; i++)
        if ((name.ptr[i] | 0x20) != lower[i])
            return false;
    return true;
}

/* Which of them a name is, in any case. */
__attribute__((always_inline)) static inline enum field_id field_identify(struct str name)
{
    if (name.len == 0)
        return FIELD_OTHER;
    size_t slot =
        FIELD_SLOT(name.len, (unsigned char)name.ptr[0], (unsigned char)name.ptr[name.len - 1]);
    if (field_known[slot].length == name.len && field_same_name(field_known[slot].text, name))
        return (enum field_id)field_known[slot].id;
    if (name.len > FIELD_X_FORWARDED_LENGTH && (name.ptr[0] | 0x20) == 'x' &&
        field_same_name("x-forwarded-", (struct str){name.ptr, FIELD_X_FORWARDED_LENGTH}))
        return FIELD_X_FORWARDED_OTHER;
    return FIELD_OTHER;
}

/* Belongs to one connection only, whether Connection names it or not (RFC 9110, 7.6.1). */
static inline bool field_is_hop(enum field_id id)
{
    return (FIELD_HOP >> id & 1) != 0;
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

/* The next member of a comma-separated list, without the space round it; empty ones are skipped.
 * False: there is none. Commas within quotes are taken for commas. */
bool field_next_member(struct str *rest, struct str *ret_member);

#endif
