/* Most names of a head are dismissed by a look at their length. */
#include "net/field.h"

#include <strings.h>

/* In lower case, of letters, digits and '-' only: same_name() relies on it. */
static const char *const names[FIELD_ID_COUNT] = {
    [FIELD_ACCEPT] = "accept",
    [FIELD_ACCEPT_ENCODING] = "accept-encoding",
    [FIELD_CONNECTION] = "connection",
    [FIELD_CONTENT_LENGTH] = "content-length",
    [FIELD_CONTENT_TYPE] = "content-type",
    [FIELD_DATE] = "date",
    [FIELD_EXPECT] = "expect",
    [FIELD_FORWARDED] = "forwarded",
    [FIELD_HOST] = "host",
    [FIELD_HTTP2_SETTINGS] = "http2-settings",
    [FIELD_KEEP_ALIVE] = "keep-alive",
    [FIELD_MAX_FORWARDS] = "max-forwards",
    [FIELD_PROXY_AUTHENTICATE] = "proxy-authenticate",
    [FIELD_PROXY_AUTHORIZATION] = "proxy-authorization",
    [FIELD_PROXY_CONNECTION] = "proxy-connection",
    [FIELD_TE] = "te",
    [FIELD_TRACEPARENT] = "traceparent",
    [FIELD_TRACESTATE] = "tracestate",
    [FIELD_TRAILER] = "trailer",
    [FIELD_TRANSFER_ENCODING] = "transfer-encoding",
    [FIELD_UPGRADE] = "upgrade",
    [FIELD_VIA] = "via",
    [FIELD_X_FORWARDED_FOR] = "x-forwarded-for",
    [FIELD_X_FORWARDED_HOST] = "x-forwarded-host",
    [FIELD_X_FORWARDED_PROTO] = "x-forwarded-proto",
    [FIELD_X_REQUEST_ID] = "x-request-id",
    [FIELD_X_SLUICE_VERSION] = "x-sluice-version",
};

enum { NAME_LENGTH_MAX = 19, SAME_LENGTH_MAX = 3, X_FORWARDED_LENGTH = 12 };

/* Ended by FIELD_OTHER, which is 0. */
static const uint8_t by_length[NAME_LENGTH_MAX + 1][SAME_LENGTH_MAX + 1] = {
    [2] = {FIELD_TE},
    [3] = {FIELD_VIA},
    [4] = {FIELD_HOST, FIELD_DATE},
    [6] = {FIELD_ACCEPT, FIELD_EXPECT},
    [7] = {FIELD_UPGRADE, FIELD_TRAILER},
    [9] = {FIELD_FORWARDED},
    [10] = {FIELD_CONNECTION, FIELD_KEEP_ALIVE, FIELD_TRACESTATE},
    [11] = {FIELD_TRACEPARENT},
    [12] = {FIELD_CONTENT_TYPE, FIELD_X_REQUEST_ID, FIELD_MAX_FORWARDS},
    [14] = {FIELD_CONTENT_LENGTH, FIELD_HTTP2_SETTINGS},
    [15] = {FIELD_ACCEPT_ENCODING, FIELD_X_FORWARDED_FOR},
    [16] = {FIELD_X_SLUICE_VERSION, FIELD_X_FORWARDED_HOST, FIELD_PROXY_CONNECTION},
    [17] = {FIELD_TRANSFER_ENCODING, FIELD_X_FORWARDED_PROTO},
    [18] = {FIELD_PROXY_AUTHENTICATE},
    [19] = {FIELD_PROXY_AUTHORIZATION},
};

/* Bit 5 makes a letter small; of the bytes in a known name, letters alone have bit 6. So in `known`
 * bit 6 says where bit 5 does not matter, and all else must be the same. */
static bool same_word(const char *known, const char *name)
{
    uint64_t k, n;

    memcpy(&k, known, sizeof(k));
    memcpy(&n, name, sizeof(n));
    return k == (n | (k >> 1 & UINT64_C(0x2020202020202020)));
}

static bool same_half(const char *known, const char *name)
{
    uint32_t k, n;

    memcpy(&k, known, sizeof(k));
    memcpy(&n, name, sizeof(n));
    return k == (n | (k >> 1 & UINT32_C(0x20202020)));
}

/* Words that overlap cover any length. */
static bool same_name(const char *known, struct str name)
{
    size_t n = name.len;

    if (n > 8)
        return same_word(known, name.ptr) && same_word(known + n - 8, name.ptr + n - 8) &&
               (n <= 16 || same_word(known + 8, name.ptr + 8));
    if (n >= 4)
        return same_half(known, name.ptr) && same_half(known + n - 4, name.ptr + n - 4);
    return str_ieq((struct str){known, n}, name);
}

enum field_id field_identify(struct str name)
{
    if (name.len <= NAME_LENGTH_MAX)
        for (const uint8_t *id = by_length[name.len]; *id != FIELD_OTHER; id++)
            if (same_name(names[*id], name))
                return (enum field_id) * id;
    if (name.len > X_FORWARDED_LENGTH && (name.ptr[0] | 0x20) == 'x' &&
        strncasecmp(name.ptr, "x-forwarded-", X_FORWARDED_LENGTH) == 0)
        return FIELD_X_FORWARDED_OTHER;
    return FIELD_OTHER;
}

enum byte_class {
    TEXT = 1,  /* may stand in a value: all but control bytes other than tab */
    TOKEN = 2, /* may stand in a name (RFC 9110, 5.6.2) */
};

static const uint8_t classes[256] = {
    ['\t'] = TEXT,
    [' '] = TEXT,
    ['!'] = TEXT | TOKEN,
    ['"'] = TEXT,
    ['#' ... '\''] = TEXT | TOKEN,
    ['(' ... ')'] = TEXT,
    ['*' ... '+'] = TEXT | TOKEN,
    [','] = TEXT,
    ['-' ... '.'] = TEXT | TOKEN,
    ['/'] = TEXT,
    ['0' ... '9'] = TEXT | TOKEN,
    [':' ... '@'] = TEXT,
    ['A' ... 'Z'] = TEXT | TOKEN,
    ['[' ... ']'] = TEXT,
    ['^' ... 'z'] = TEXT | TOKEN,
    ['{'] = TEXT,
    ['|'] = TEXT | TOKEN,
    ['}'] = TEXT,
    ['~'] = TEXT | TOKEN,
    [0x80 ... 0xff] = TEXT,
};

static size_t run_of(struct str s, enum byte_class class)
{
    size_t n = 0;

    while (n < s.len && (classes[(unsigned char)s.ptr[n]] & class) != 0)
        n++;
    return n;
}

size_t field_token_run(struct str s)
{
    return run_of(s, TOKEN);
}

size_t field_text_run(struct str s)
{
    return run_of(s, TEXT);
}

bool field_is_token(struct str s)
{
    return s.len > 0 && run_of(s, TOKEN) == s.len;
}

const char *field_cut(struct str bytes, bool gaps, struct field_cut *ret)
{
    size_t name = run_of(bytes, TOKEN), colon = name;

    if (name == 0)
        return bytes.len > 0 && (bytes.ptr[0] == ' ' || bytes.ptr[0] == '\t')
                   ? "a header line is folded"
                   : "a header line has no name";
    while (gaps && colon < bytes.len && (bytes.ptr[colon] == ' ' || bytes.ptr[colon] == '\t'))
        colon++;
    if (colon == bytes.len || bytes.ptr[colon] != ':')
        return "a header name is not a token";
    size_t value = run_of((struct str){bytes.ptr + colon + 1, bytes.len - colon - 1}, TEXT);
    size_t line = colon + 1 + value + 2;
    if (line > bytes.len || bytes.ptr[line - 2] != '\r' || bytes.ptr[line - 1] != '\n')
        return "a header line has a control byte";
    ret->line = (struct str){bytes.ptr, line};
    ret->name = (struct str){bytes.ptr, name};
    ret->value = str_trim((struct str){bytes.ptr + colon + 1, value});
    ret->gap = colon - name;
    return NULL;
}

bool field_next_member(struct str *rest, struct str *ret_member)
{
    while (str_split(rest, ',', ret_member)) {
        *ret_member = str_trim(*ret_member);
        if (ret_member->len > 0)
            return true;
    }
    return false;
}
