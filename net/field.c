/* Most names of a head are dismissed by a look at their length. */
#include "net/field.h"

#include <stdint.h>
#include <strings.h>

static const struct {
    struct str name;
    bool hop;
} known[FIELD_ID_COUNT] = {
    [FIELD_ACCEPT] = {{"accept", 6}, false},
    [FIELD_ACCEPT_ENCODING] = {{"accept-encoding", 15}, false},
    [FIELD_CONNECTION] = {{"connection", 10}, true},
    [FIELD_CONTENT_LENGTH] = {{"content-length", 14}, false},
    [FIELD_CONTENT_TYPE] = {{"content-type", 12}, false},
    [FIELD_DATE] = {{"date", 4}, false},
    [FIELD_EXPECT] = {{"expect", 6}, false},
    [FIELD_FORWARDED] = {{"forwarded", 9}, false},
    [FIELD_HOST] = {{"host", 4}, false},
    [FIELD_HTTP2_SETTINGS] = {{"http2-settings", 14}, true},
    [FIELD_KEEP_ALIVE] = {{"keep-alive", 10}, true},
    [FIELD_MAX_FORWARDS] = {{"max-forwards", 12}, false},
    [FIELD_PROXY_AUTHENTICATE] = {{"proxy-authenticate", 18}, true},
    [FIELD_PROXY_AUTHORIZATION] = {{"proxy-authorization", 19}, true},
    [FIELD_PROXY_CONNECTION] = {{"proxy-connection", 16}, true},
    [FIELD_TE] = {{"te", 2}, true},
    [FIELD_TRACEPARENT] = {{"traceparent", 11}, false},
    [FIELD_TRACESTATE] = {{"tracestate", 10}, false},
    [FIELD_TRAILER] = {{"trailer", 7}, false},
    [FIELD_TRANSFER_ENCODING] = {{"transfer-encoding", 17}, true},
    [FIELD_UPGRADE] = {{"upgrade", 7}, true},
    [FIELD_VIA] = {{"via", 3}, false},
    [FIELD_X_FORWARDED_FOR] = {{"x-forwarded-for", 15}, false},
    [FIELD_X_FORWARDED_HOST] = {{"x-forwarded-host", 16}, false},
    [FIELD_X_FORWARDED_PROTO] = {{"x-forwarded-proto", 17}, false},
    [FIELD_X_REQUEST_ID] = {{"x-request-id", 12}, false},
    [FIELD_X_SLUICE_VERSION] = {{"x-sluice-version", 16}, false},
};

enum { NAME_LENGTH_MAX = 19, SAME_LENGTH_MAX = 3, X_FORWARDED_LENGTH = 12 };

static const uint8_t by_length[NAME_LENGTH_MAX + 1][SAME_LENGTH_MAX] = {
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

enum field_id field_identify(struct str name)
{
    if (name.len <= NAME_LENGTH_MAX) {
        const uint8_t *ids = by_length[name.len];
        for (int i = 0; i < SAME_LENGTH_MAX && ids[i] != FIELD_OTHER; i++)
            if ((known[ids[i]].name.ptr[0] | 0x20) == (name.ptr[0] | 0x20) &&
                str_ieq(known[ids[i]].name, name))
                return (enum field_id)ids[i];
    }
    if (name.len > X_FORWARDED_LENGTH && (name.ptr[0] | 0x20) == 'x' &&
        strncasecmp(name.ptr, "x-forwarded-", X_FORWARDED_LENGTH) == 0)
        return FIELD_X_FORWARDED_OTHER;
    return FIELD_OTHER;
}

bool field_is_hop(enum field_id id)
{
    return known[id].hop;
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
