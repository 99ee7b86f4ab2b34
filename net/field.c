/* The table of known names, and the grammar of a line byte by byte. */
#include "net/field.h"

#define NAME(id, length, first, last, text) [FIELD_SLOT(length, first, last)] = {length, id, text}

const struct field_known field_known[FIELD_SLOTS] = {
    NAME(FIELD_ACCEPT, 6, 'a', 't', "accept"),
    NAME(FIELD_ACCEPT_ENCODING, 15, 'a', 'g', "accept-encoding"),
    NAME(FIELD_CONNECTION, 10, 'c', 'n', "connection"),
    NAME(FIELD_CONTENT_LENGTH, 14, 'c', 'h', "content-length"),
    NAME(FIELD_CONTENT_TYPE, 12, 'c', 'e', "content-type"),
    NAME(FIELD_DATE, 4, 'd', 'e', "date"),
    NAME(FIELD_EXPECT, 6, 'e', 't', "expect"),
    NAME(FIELD_FORWARDED, 9, 'f', 'd', "forwarded"),
    NAME(FIELD_HOST, 4, 'h', 't', "host"),
    NAME(FIELD_HTTP2_SETTINGS, 14, 'h', 's', "http2-settings"),
    NAME(FIELD_KEEP_ALIVE, 10, 'k', 'e', "keep-alive"),
    NAME(FIELD_MAX_FORWARDS, 12, 'm', 's', "max-forwards"),
    NAME(FIELD_PROXY_AUTHENTICATE, 18, 'p', 'e', "proxy-authenticate"),
    NAME(FIELD_PROXY_AUTHORIZATION, 19, 'p', 'n', "proxy-authorization"),
    NAME(FIELD_PROXY_CONNECTION, 16, 'p', 'n', "proxy-connection"),
    NAME(FIELD_TE, 2, 't', 'e', "te"),
    NAME(FIELD_TRACEPARENT, 11, 't', 't', "traceparent"),
    NAME(FIELD_TRACESTATE, 10, 't', 'e', "tracestate"),
    NAME(FIELD_TRAILER, 7, 't', 'r', "trailer"),
    NAME(FIELD_TRANSFER_ENCODING, 17, 't', 'g', "transfer-encoding"),
    NAME(FIELD_UPGRADE, 7, 'u', 'e', "upgrade"),
    NAME(FIELD_VIA, 3, 'v', 'a', "via"),
    NAME(FIELD_X_FORWARDED_FOR, 15, 'x', 'r', "x-forwarded-for"),
    NAME(FIELD_X_FORWARDED_HOST, 16, 'x', 't', "x-forwarded-host"),
    NAME(FIELD_X_FORWARDED_PROTO, 17, 'x', 'o', "x-forwarded-proto"),
    NAME(FIELD_X_REQUEST_ID, 12, 'x', 'd', "x-request-id"),
    NAME(FIELD_X_SLUICE_VERSION, 16, 'x', 'n', "x-sluice-version"),
};

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
