/* Lines are cut here, llhttp judges the whole head without callbacks, then both must agree on the
 * framing: two readers of one head that differ are how requests are smuggled.
 */
#include "net/head.h"

#include <llhttp.h>
#include <strings.h>

#include "base/check.h"

static const struct {
    struct str name;
    bool hop;
} known[FIELD_ID_COUNT] = {
    [FIELD_CONNECTION] = {{"connection", 10}, true},
    [FIELD_CONTENT_LENGTH] = {{"content-length", 14}, false},
    [FIELD_CONTENT_TYPE] = {{"content-type", 12}, false},
    [FIELD_DATE] = {{"date", 4}, false},
    [FIELD_EXPECT] = {{"expect", 6}, false},
    [FIELD_HOST] = {{"host", 4}, false},
    [FIELD_KEEP_ALIVE] = {{"keep-alive", 10}, true},
    [FIELD_PROXY_AUTHENTICATE] = {{"proxy-authenticate", 18}, true},
    [FIELD_PROXY_AUTHORIZATION] = {{"proxy-authorization", 19}, true},
    [FIELD_PROXY_CONNECTION] = {{"proxy-connection", 16}, true},
    [FIELD_TE] = {{"te", 2}, true},
    [FIELD_TRACEPARENT] = {{"traceparent", 11}, false},
    [FIELD_TRACESTATE] = {{"tracestate", 10}, false},
    [FIELD_TRAILER] = {{"trailer", 7}, true}, /* trailer fields are not passed on */
    [FIELD_TRANSFER_ENCODING] = {{"transfer-encoding", 17}, true},
    [FIELD_UPGRADE] = {{"upgrade", 7}, true},
    [FIELD_VIA] = {{"via", 3}, false},
    [FIELD_X_FORWARDED_FOR] = {{"x-forwarded-for", 15}, false},
    [FIELD_X_FORWARDED_HOST] = {{"x-forwarded-host", 16}, false},
    [FIELD_X_FORWARDED_PROTO] = {{"x-forwarded-proto", 17}, false},
    [FIELD_X_REQUEST_ID] = {{"x-request-id", 12}, false},
    [FIELD_X_SLUICE_VERSION] = {{"x-sluice-version", 16}, false},
};

enum { NAME_LENGTH_MAX = 19, SAME_LENGTH_MAX = 3 };

/* Those of one length: a head's names are dismissed by a look here. */
static const uint8_t by_length[NAME_LENGTH_MAX + 1][SAME_LENGTH_MAX] = {
    [2] = {FIELD_TE},
    [3] = {FIELD_VIA},
    [4] = {FIELD_HOST, FIELD_DATE},
    [6] = {FIELD_EXPECT},
    [7] = {FIELD_UPGRADE, FIELD_TRAILER},
    [10] = {FIELD_CONNECTION, FIELD_KEEP_ALIVE, FIELD_TRACESTATE},
    [11] = {FIELD_TRACEPARENT},
    [12] = {FIELD_CONTENT_TYPE, FIELD_X_REQUEST_ID},
    [14] = {FIELD_CONTENT_LENGTH},
    [15] = {FIELD_X_FORWARDED_FOR},
    [16] = {FIELD_X_SLUICE_VERSION, FIELD_X_FORWARDED_HOST, FIELD_PROXY_CONNECTION},
    [17] = {FIELD_TRANSFER_ENCODING, FIELD_X_FORWARDED_PROTO},
    [18] = {FIELD_PROXY_AUTHENTICATE},
    [19] = {FIELD_PROXY_AUTHORIZATION},
};

static enum field_id identify(struct str name)
{
    if (name.len > NAME_LENGTH_MAX)
        return FIELD_OTHER;
    const uint8_t *ids = by_length[name.len];
    for (int i = 0; i < SAME_LENGTH_MAX && ids[i] != FIELD_OTHER; i++)
        if ((known[ids[i]].name.ptr[0] | 0x20) == (name.ptr[0] | 0x20) &&
            str_ieq(known[ids[i]].name, name))
            return (enum field_id)ids[i];
    return FIELD_OTHER;
}

ptrdiff_t head_end(struct str bytes, size_t from)
{
    /* Step back so that a CRLF CRLF over the edge is seen. */
    size_t at = from > 3 ? from - 3 : 0;

    if (bytes.len > from && memchr(bytes.ptr + from, '\0', bytes.len - from) != NULL) {
        /* A NUL after the end of the head belongs to the body, not to us. */
        const char *end = memmem(bytes.ptr, bytes.len, "\r\n\r\n", 4);
        const char *nul = memchr(bytes.ptr + from, '\0', bytes.len - from);
        if (end == NULL || nul < end)
            return -1;
    }
    while (at < bytes.len) {
        const char *lf = memchr(bytes.ptr + at, '\n', bytes.len - at);
        if (lf == NULL)
            return 0;
        size_t i = (size_t)(lf - bytes.ptr);
        if (i == 0 || bytes.ptr[i - 1] != '\r')
            return -1;
        if (i >= 3 && bytes.ptr[i - 2] == '\n')
            return (ptrdiff_t)i + 1;
        at = i + 1;
    }
    return 0;
}

static int refuse(const char **ret_why, int status, const char *why)
{
    *ret_why = why;
    return status;
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

/* How many bytes from the front are of that class. */
static size_t run_of(struct str s, enum byte_class class)
{
    size_t n = 0;

    while (n < s.len && (classes[(unsigned char)s.ptr[n]] & class) != 0)
        n++;
    return n;
}

static bool has_control(struct str s)
{
    return run_of(s, TEXT) < s.len;
}

static void add_field(struct head *h, struct str line, size_t name_len, size_t value_len)
{
    struct head_field *f = &h->fields[h->count++];

    f->line = line;
    f->name = (struct str){line.ptr, name_len};
    f->value = str_trim((struct str){line.ptr + name_len + 1, value_len});
    f->id = identify(f->name);
    f->hop = known[f->id].hop;
    if (f->id != FIELD_OTHER && h->index[f->id] == 0)
        h->index[f->id] = (uint32_t)h->count;
}

/* Cuts the lines after the start line into fields, in one pass over their bytes. head_end has seen
 * that every LF stands behind a CR. 0 or a status. */
static int cut_fields(struct str rest, struct head *h, const char **why)
{
    h->count = 0;
    while (rest.len > 2) {
        size_t name = run_of(rest, TOKEN);
        if (name == 0)
            return refuse(why, 400,
                          rest.ptr[0] == ' ' || rest.ptr[0] == '\t' ? "a header line is folded"
                                                                    : "a header line has no name");
        if (name == rest.len || rest.ptr[name] != ':')
            return refuse(why, 400, "a header name is not a token");
        size_t value = run_of((struct str){rest.ptr + name + 1, rest.len - name - 1}, TEXT);
        size_t line = name + 1 + value + 2;
        if (line > rest.len || rest.ptr[line - 2] != '\r' || rest.ptr[line - 1] != '\n')
            return refuse(why, 400, "a header line has a control byte");
        if (h->count == HEAD_FIELDS_MAX)
            return refuse(why, 431, "too many header lines");
        add_field(h, (struct str){rest.ptr, line}, name, value);
        rest = (struct str){rest.ptr + line, rest.len - line};
    }
    return 0;
}

/* Marks what Connection names, and reads close and keep-alive from it. What frames the message and
 * Host survive being named. */
static void apply_connection(struct head *h)
{
    bool close = false, keep = false;

    for (size_t i = 0; i < h->count; i++) {
        if (h->fields[i].id != FIELD_CONNECTION)
            continue;
        struct str rest = h->fields[i].value, token;
        while (str_split(&rest, ',', &token)) {
            token = str_trim(token);
            if (str_ieq(token, STR("close")))
                close = true;
            else if (str_ieq(token, STR("keep-alive")))
                keep = true;
            for (size_t j = 0; j < h->count; j++)
                if (h->fields[j].id != FIELD_HOST && h->fields[j].id != FIELD_CONTENT_LENGTH &&
                    str_ieq(h->fields[j].name, token))
                    h->fields[j].hop = true;
        }
    }
    h->keep_alive = !close && (h->minor == 1 || keep);
}

/* Content-Length and Transfer-Encoding. 0 or a status; `ret_chunked` and h->length are set. */
static int read_framing(struct head *h, bool *ret_chunked, bool *ret_length, const char **why)
{
    *ret_chunked = *ret_length = false;
    for (size_t i = 0; i < h->count; i++) {
        const struct head_field *f = &h->fields[i];
        if (f->id == FIELD_TRANSFER_ENCODING) {
            if (*ret_chunked)
                return refuse(why, 400, "Transfer-Encoding is given twice");
            if (!str_ieq(f->value, STR("chunked")))
                return refuse(why, 501, "a Transfer-Encoding other than chunked");
            *ret_chunked = true;
        } else if (f->id == FIELD_CONTENT_LENGTH) {
            uint64_t length;
            if (*ret_length)
                return refuse(why, 400, "Content-Length is given twice");
            if (!str_to_u64(f->value, &length) || length > INT64_MAX)
                return refuse(why, 400, "Content-Length is not a number");
            h->length = length;
            *ret_length = true;
        }
    }
    if (*ret_chunked && *ret_length)
        return refuse(why, 400, "both Content-Length and Transfer-Encoding");
    if (*ret_chunked && h->minor == 0)
        return refuse(why, 400, "Transfer-Encoding in an HTTP/1.0 message");
    return 0;
}

static int on_headers_complete(llhttp_t *parser)
{
    (void)parser;
    return HPE_PAUSED;
}

static const llhttp_settings_t *settings(void)
{
    static const llhttp_settings_t s = {.on_headers_complete = on_headers_complete};

    return &s;
}

/* llhttp's opinion of the same bytes. */
static bool llhttp_agrees(struct str bytes, llhttp_type_t type, const struct head *h, bool chunked,
                          bool length)
{
    llhttp_t parser;

    llhttp_init(&parser, type, settings());
    if (llhttp_execute(&parser, bytes.ptr, bytes.len) != HPE_PAUSED)
        return false;
    if (((parser.flags & F_CHUNKED) != 0) != chunked)
        return false;
    return !length || parser.content_length == h->length;
}

/* The start line without its CRLF. */
static struct str start_line(struct str bytes)
{
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);

    CHECK(lf != NULL);
    return (struct str){bytes.ptr, (size_t)(lf - bytes.ptr) - 1};
}

/* A host with an optional port: no user information, no path, brackets only round IPv6. */
static bool split_authority(struct str authority, struct str *ret_host)
{
    size_t host_len = authority.len;

    if (authority.len == 0 || authority.len > 255)
        return false;
    for (size_t i = 0; i < authority.len; i++) {
        unsigned char c = (unsigned char)authority.ptr[i];
        if (c <= ' ' || c >= 0x7f || strchr("/?#@\\,\"<>^`{|}", c) != NULL)
            return false;
    }
    if (authority.ptr[0] == '[') {
        const char *end = memchr(authority.ptr, ']', authority.len);
        if (end == NULL)
            return false;
        host_len = (size_t)(end - authority.ptr) + 1;
    } else {
        const char *colon = memchr(authority.ptr, ':', authority.len);
        if (colon != NULL)
            host_len = (size_t)(colon - authority.ptr);
    }
    if (host_len == 0)
        return false;
    if (host_len < authority.len) {
        uint64_t port;
        struct str digits = {authority.ptr + host_len + 1, authority.len - host_len - 1};
        if (authority.ptr[host_len] != ':' ||
            (digits.len > 0 && (!str_to_u64(digits, &port) || port > 65535)))
            return false;
    }
    *ret_host = (struct str){authority.ptr, host_len};
    return true;
}

/* Host and the target's form (RFC 9112, 3.2). An absolute-form target replaces Host. */
static int read_target(struct head *h, const char **why)
{
    struct str rest = h->target;
    const struct head_field *host = head_get(h, FIELD_HOST);
    size_t hosts = 0;

    for (size_t i = 0; i < h->count; i++)
        hosts += h->fields[i].id == FIELD_HOST;
    if (hosts > 1)
        return refuse(why, 400, "Host is given twice");
    if (host == NULL && h->minor == 1)
        return refuse(why, 400, "Host is missing");
    h->authority = host == NULL ? (struct str){"", 0} : host->value;
    h->host = h->authority;
    if (h->authority.len > 0 && !split_authority(h->authority, &h->host))
        return refuse(why, 400, "Host is not a host");

    if (str_eq(h->method, STR("CONNECT")))
        return refuse(why, 501, "CONNECT is not served here");
    if (memchr(rest.ptr, '#', rest.len) != NULL)
        return refuse(why, 400, "the target has a fragment");
    if (rest.len > 7 && strncasecmp(rest.ptr, "http://", 7) == 0) {
        rest = (struct str){rest.ptr + 7, rest.len - 7};
        size_t n = 0;
        while (n < rest.len && rest.ptr[n] != '/' && rest.ptr[n] != '?')
            n++;
        h->authority = (struct str){rest.ptr, n};
        if (!split_authority(h->authority, &h->host))
            return refuse(why, 400, "the target's host is not a host");
        rest = (struct str){rest.ptr + n, rest.len - n};
        if (rest.len == 0)
            rest = STR("/");
    } else if (!str_eq(rest, STR("*")) && rest.ptr[0] != '/') {
        return refuse(why, 400, "the target is not a path");
    } else if (rest.ptr[0] == '*' && !str_eq(h->method, STR("OPTIONS"))) {
        return refuse(why, 400, "the target * is for OPTIONS only");
    }
    const char *question = memchr(rest.ptr, '?', rest.len);
    size_t path_len = question == NULL ? rest.len : (size_t)(question - rest.ptr);
    h->path = (struct str){rest.ptr, path_len};
    h->query = (struct str){rest.ptr + path_len, rest.len - path_len};
    if (h->path.len == 0) /* http://host?query */
        h->path = STR("/");
    return 0;
}

/* "METHOD SP target SP HTTP/1.x". */
static int read_request_line(struct str line, struct head *h, const char **why)
{
    const char *first = memchr(line.ptr, ' ', line.len);
    const char *last = memrchr(line.ptr, ' ', line.len);

    if (has_control(line) || first == NULL || first == last || first == line.ptr ||
        last == first + 1)
        return refuse(why, 400, "the request line is malformed");
    h->method = (struct str){line.ptr, (size_t)(first - line.ptr)};
    h->target = (struct str){first + 1, (size_t)(last - first) - 1};
    struct str version = {last + 1, line.len - (size_t)(last - line.ptr) - 1};
    if (memchr(h->target.ptr, ' ', h->target.len) != NULL)
        return refuse(why, 400, "the request line has too many parts");
    if (str_eq(version, STR("HTTP/1.1")))
        h->minor = 1;
    else if (str_eq(version, STR("HTTP/1.0")))
        h->minor = 0;
    else if (str_starts_with(version, STR("HTTP/")))
        return refuse(why, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    else
        return refuse(why, 400, "the request line is malformed");
    if (h->target.len > HEAD_TARGET_MAX)
        return refuse(why, 414, "the target is too long");
    return 0;
}

int head_parse_request(struct str bytes, struct head *h, const char **ret_why)
{
    struct str line = start_line(bytes);
    bool chunked, length;
    int status;

    memset(h, 0, offsetof(struct head, fields));
    h->bytes = bytes.len;
    *ret_why = "";
    if ((status = read_request_line(line, h, ret_why)) != 0)
        return status;
    struct str rest = {bytes.ptr + line.len + 2, bytes.len - line.len - 2};
    if ((status = cut_fields(rest, h, ret_why)) != 0 ||
        (status = read_framing(h, &chunked, &length, ret_why)) != 0)
        return status;
    if (!llhttp_agrees(bytes, HTTP_REQUEST, h, chunked, length))
        return refuse(ret_why, 400, "the request head is malformed");
    apply_connection(h);
    if ((status = read_target(h, ret_why)) != 0)
        return status;
    for (size_t i = 0; i < h->count; i++)
        if (h->fields[i].id == FIELD_EXPECT && !str_ieq(h->fields[i].value, STR("100-continue")))
            return refuse(ret_why, 417, "an expectation other than 100-continue");
    h->expect_continue = head_get(h, FIELD_EXPECT) != NULL && h->minor == 1;
    h->framing = chunked                   ? FRAMING_CHUNKED
                 : length && h->length > 0 ? FRAMING_LENGTH
                                           : FRAMING_NONE;
    return 0;
}

/* "HTTP/1.x SP status [SP reason]". */
static bool read_status_line(struct str line, struct head *h)
{
    if (line.len < 12 || !str_starts_with(line, STR("HTTP/1.")) || line.ptr[8] != ' ' ||
        (line.ptr[7] != '0' && line.ptr[7] != '1') || has_control(line))
        return false;
    uint64_t status;
    if (!str_to_u64((struct str){line.ptr + 9, 3}, &status) || status < 100 || status > 599)
        return false;
    if (line.len > 12 && line.ptr[12] != ' ')
        return false;
    h->minor = (uint8_t)(line.ptr[7] - '0');
    h->status = (int)status;
    h->reason = line.len > 13 ? (struct str){line.ptr + 13, line.len - 13} : (struct str){"", 0};
    return true;
}

int head_parse_response(struct str bytes, bool to_head, struct head *h, const char **ret_why)
{
    struct str line = start_line(bytes);
    bool chunked, length;

    memset(h, 0, offsetof(struct head, fields));
    h->bytes = bytes.len;
    *ret_why = "";
    if (!read_status_line(line, h))
        return refuse(ret_why, 502, "the status line is malformed");
    struct str rest = {bytes.ptr + line.len + 2, bytes.len - line.len - 2};
    if (cut_fields(rest, h, ret_why) != 0 || read_framing(h, &chunked, &length, ret_why) != 0)
        return 502;
    if (!llhttp_agrees(bytes, HTTP_RESPONSE, h, chunked, length))
        return refuse(ret_why, 502, "the response head is malformed");
    apply_connection(h);
    if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
        h->framing = FRAMING_NONE;
    else
        h->framing = chunked         ? FRAMING_CHUNKED
                     : !length       ? FRAMING_CLOSE
                     : h->length > 0 ? FRAMING_LENGTH
                                     : FRAMING_NONE;
    return 0;
}

struct str head_find(const struct head *h, struct str name)
{
    for (size_t i = 0; i < h->count; i++)
        if (str_ieq(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct str){NULL, 0};
}
