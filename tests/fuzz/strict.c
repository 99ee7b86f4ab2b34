/* Deliberately naive: one byte after the other, every rule spelled out, nothing fast. */
#include "tests/fuzz/strict.h"

#include <ctype.h>
#include <stdint.h>
#include <stdlib.h>
#include <strings.h>

#include "base/arena.h"

struct reader {
    const char *at, *end;
    const char *why; /* set: wrong */
    bool short_of;   /* the bytes ended */
};

static bool fail(struct reader *r, const char *why)
{
    if (r->why == NULL && !r->short_of)
        r->why = why;
    return false;
}

static bool is_tchar(unsigned char c)
{
    return isalnum(c) || (c != 0 && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

/* One line without its CRLF. */
static bool read_line(struct reader *r, struct str *ret)
{
    const char *from = r->at;

    for (const char *p = from; p < r->end; p++) {
        unsigned char c = (unsigned char)*p;
        if (c == '\n')
            return fail(r, "a LF without CR");
        if (c == '\r') {
            if (p + 1 == r->end)
                break;
            if (p[1] != '\n')
                return fail(r, "a CR without LF");
            *ret = (struct str){from, (size_t)(p - from)};
            r->at = p + 2;
            return true;
        }
        if (c == 0x7f || (c < 0x20 && c != '\t'))
            return fail(r, "a control byte in a line");
    }
    r->short_of = true;
    return false;
}

static bool read_fields(struct reader *r, struct strict_field *to, size_t *ret_count)
{
    struct str line;

    *ret_count = 0;
    for (;;) {
        if (!read_line(r, &line))
            return false;
        if (line.len == 0)
            return true;
        if (*ret_count == STRICT_FIELDS_MAX)
            return fail(r, "too many fields");
        size_t n = 0;
        while (n < line.len && is_tchar((unsigned char)line.ptr[n]))
            n++;
        if (n == 0 || n == line.len || line.ptr[n] != ':')
            return fail(r, "not a field line");
        struct strict_field *f = &to[(*ret_count)++];
        f->name = (struct str){line.ptr, n};
        const char *from = line.ptr + n + 1, *to_end = line.ptr + line.len;
        while (from < to_end && (*from == ' ' || *from == '\t'))
            from++;
        while (to_end > from && (to_end[-1] == ' ' || to_end[-1] == '\t'))
            to_end--;
        f->value = (struct str){from, (size_t)(to_end - from)};
    }
}

static bool is_name(struct str s, const char *name)
{
    if (s.len != strlen(name))
        return false;
    for (size_t i = 0; i < s.len; i++)
        if (tolower((unsigned char)s.ptr[i]) != name[i])
            return false;
    return true;
}

static bool begins_with(struct str s, const char *prefix)
{
    size_t n = strlen(prefix);

    return s.len >= n && is_name((struct str){s.ptr, n}, prefix);
}

size_t strict_count(const struct strict *m, const char *name)
{
    size_t n = 0;

    for (size_t i = 0; i < m->field_count; i++)
        n += is_name(m->fields[i].name, name);
    return n;
}

struct str strict_get(const struct strict *m, const char *name)
{
    for (size_t i = 0; i < m->field_count; i++)
        if (is_name(m->fields[i].name, name))
            return m->fields[i].value;
    return (struct str){NULL, 0};
}

static bool take(struct reader *r, struct strict *m, size_t n)
{
    if ((size_t)(r->end - r->at) < n) {
        r->short_of = true;
        return false;
    }
    m->content = xrealloc(m->content, m->content_len + n + 1);
    memcpy(m->content + m->content_len, r->at, n);
    m->content_len += n;
    r->at += n;
    return true;
}

/* Names that decide something before the content is read. */
static bool late_is_too_late(struct str name)
{
    static const char *const names[] = {"transfer-encoding",
                                        "content-length",
                                        "content-type",
                                        "content-encoding",
                                        "content-range",
                                        "trailer",
                                        "te",
                                        "connection",
                                        "upgrade",
                                        "host",
                                        "authorization",
                                        "cookie",
                                        "set-cookie",
                                        "expect",
                                        "range",
                                        "cache-control",
                                        "max-forwards",
                                        "x-request-id",
                                        "via",
                                        "age",
                                        "location",
                                        "keep-alive",
                                        "if-none-match",
                                        "www-authenticate",
                                        "vary"};

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        if (is_name(name, names[i]))
            return true;
    return begins_with(name, "x-forwarded-") || begins_with(name, "proxy-");
}

static void cut_extension(struct str *line)
{
    const char *semicolon = memchr(line->ptr, ';', line->len);

    if (semicolon == NULL)
        return;
    line->len = (size_t)(semicolon - line->ptr);
    while (line->len > 0 && strchr(" \t", line->ptr[line->len - 1]) != NULL)
        line->len--;
}

static bool read_chunks(struct reader *r, struct strict *m, bool received)
{
    struct str line;

    for (;;) {
        uint64_t size = 0;
        if (!read_line(r, &line))
            return false;
        if (received)
            cut_extension(&line);
        if (line.len == 0 || line.len > 15)
            return fail(r, "no chunk size");
        for (size_t i = 0; i < line.len; i++) {
            const char *digits = "0123456789abcdef";
            const char *at = strchr(digits, tolower((unsigned char)line.ptr[i]));
            if (at == NULL || line.ptr[i] == '\0')
                return fail(r, "a chunk size that is not hex");
            size = size * 16 + (uint64_t)(at - digits);
        }
        if (size == 0)
            break;
        if (!take(r, m, size) || !read_line(r, &line))
            return false;
        if (line.len != 0)
            return fail(r, "no CRLF behind a chunk");
    }
    if (!read_fields(r, m->trailers, &m->trailer_count))
        return false;
    for (size_t i = 0; i < m->trailer_count && !received; i++)
        if (late_is_too_late(m->trailers[i].name))
            return fail(r, "a field that must not be in a trailer section");
    return true;
}

static bool read_framing(struct reader *r, struct strict *m, uint64_t *ret_length)
{
    struct str length = strict_get(m, "content-length");
    size_t codings = strict_count(m, "transfer-encoding");

    if (strict_count(m, "content-length") + codings > 1)
        return fail(r, "more than one framing");
    m->chunked = codings == 1;
    m->counted = length.ptr != NULL;
    if (m->chunked && !is_name(strict_get(m, "transfer-encoding"), "chunked"))
        return fail(r, "a coding other than chunked");
    *ret_length = 0;
    if (m->counted && (length.len == 0 || length.len > 19))
        return fail(r, "not a length");
    for (size_t i = 0; i < length.len; i++) {
        if (!isdigit((unsigned char)length.ptr[i]))
            return fail(r, "not a length");
        *ret_length = *ret_length * 10 + (uint64_t)(length.ptr[i] - '0');
    }
    return true;
}

bool strict_one_framing(struct str head)
{
    const char *at = head.ptr, *end = head.ptr + head.len;
    size_t framings = 0;

    for (size_t i = 0; i < head.len; i++) {
        unsigned char c = (unsigned char)head.ptr[i];
        if ((c < 0x20 && c != '\t' && c != '\r' && c != '\n') || c == 0x7f)
            return false;
        if (c == '\r' && (i + 1 == head.len || head.ptr[i + 1] != '\n'))
            return false;
        if (c == '\n' && (i == 0 || head.ptr[i - 1] != '\r'))
            return false;
    }
    for (const char *next; at < end; at = next) {
        next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        const char *colon = memchr(at, ':', (size_t)(next - at));
        if (*at == ' ' || *at == '\t')
            return false;
        if (colon == NULL)
            continue;
        struct str value = {colon + 1, (size_t)(next - 2 - (colon + 1))};
        while (value.len > 0 && (*value.ptr == ' ' || *value.ptr == '\t'))
            value = (struct str){value.ptr + 1, value.len - 1};
        while (value.len > 0 && strchr(" \t", value.ptr[value.len - 1]) != NULL)
            value.len--;
        if (is_name((struct str){at, (size_t)(colon - at)}, "transfer-encoding")) {
            framings++;
            if (!is_name(value, "chunked"))
                return false;
        } else if (begins_with((struct str){at, (size_t)(colon - at)}, "content-length") &&
                   (colon - at == 14 || at[14] == ' ' || at[14] == '\t')) {
            framings++;
            for (size_t i = 0; i < value.len; i++)
                if (!isdigit((unsigned char)value.ptr[i]))
                    return false;
            if (value.len == 0)
                return false;
        }
    }
    return framings <= 1;
}

/* The member at the front of [*at, end), without the space round it; *at behind its comma. */
static struct str take_member(const char **at, const char *end)
{
    const char *from = *at, *to = from;

    while (to < end && *to != ',')
        to++;
    *at = to < end ? to + 1 : end;
    while (from < to && (*from == ' ' || *from == '\t'))
        from++;
    while (to > from && (to[-1] == ' ' || to[-1] == '\t'))
        to--;
    return (struct str){from, (size_t)(to - from)};
}

bool strict_nominated(struct str head, struct str name)
{
    const char *at = head.ptr, *end = head.ptr + head.len;

    for (const char *next; at < end; at = next) {
        next = (const char *)memchr(at, '\n', (size_t)(end - at)) + 1;
        if (!begins_with((struct str){at, (size_t)(next - at)}, "connection:"))
            continue;
        for (const char *p = at + 11; p < next - 2;) {
            struct str member = take_member(&p, next - 2);
            if (member.len == name.len && strncasecmp(member.ptr, name.ptr, name.len) == 0)
                return true;
        }
    }
    return false;
}

/* Three parts of the start line; the third may hold spaces. */
static bool read_start(struct reader *r, struct strict *m)
{
    struct str line;

    if (!read_line(r, &line))
        return false;
    for (int i = 0; i < 2; i++) {
        const char *space = memchr(line.ptr, ' ', line.len);
        if (space == NULL || space == line.ptr)
            return fail(r, "not a start line");
        m->start[i] = (struct str){line.ptr, (size_t)(space - line.ptr)};
        line = (struct str){space + 1, line.len - m->start[i].len - 1};
    }
    m->start[2] = line;
    return read_fields(r, m->fields, &m->field_count);
}

static bool is_host(struct str s)
{
    size_t i = 0;

    if (s.len > 0 && s.ptr[0] == '[') {
        while (++i < s.len && s.ptr[i] != ']')
            if (!isxdigit((unsigned char)s.ptr[i]) && s.ptr[i] != ':' && s.ptr[i] != '.')
                return false;
        if (i++ == s.len)
            return false;
    } else {
        while (i < s.len && s.ptr[i] != ':') {
            if (!isalnum((unsigned char)s.ptr[i]) && strchr("._~!$&'()*+;=%-", s.ptr[i]) == NULL)
                return false;
            i++;
        }
    }
    if (i == 0)
        return false;
    if (i < s.len && s.ptr[i++] != ':')
        return false;
    for (; i < s.len; i++)
        if (!isdigit((unsigned char)s.ptr[i]))
            return false;
    return true;
}

static bool check_request(struct reader *r, const struct strict *m)
{
    struct str method = m->start[0], target = m->start[1];

    for (size_t i = 0; i < method.len; i++)
        if (!is_tchar((unsigned char)method.ptr[i]) || islower((unsigned char)method.ptr[i]))
            return fail(r, "not a method");
    if (target.ptr[0] != '/' && !(target.len == 1 && target.ptr[0] == '*'))
        return fail(r, "not a target");
    if (target.ptr[0] == '*' && !(method.len == 7 && memcmp(method.ptr, "OPTIONS", 7) == 0))
        return fail(r, "* without OPTIONS");
    for (size_t i = 0; i < target.len; i++)
        if (target.ptr[i] <= ' ' || target.ptr[i] > '~' || target.ptr[i] == '#')
            return fail(r, "a byte that no target has");
    if (m->start[2].len != 8 || memcmp(m->start[2].ptr, "HTTP/1.1", 8) != 0)
        return fail(r, "not HTTP/1.1");
    if (strict_count(m, "host") != 1 || !is_host(strict_get(m, "host")))
        return fail(r, "not one valid Host");
    return true;
}

static bool check_hops(struct reader *r, const struct strict *m)
{
    static const char *const never[] = {"keep-alive", "proxy-connection", "proxy-authorization",
                                        "proxy-authenticate", "http2-settings"};
    static const char *const options[] = {"close",   "keep-alive",  "te",
                                          "upgrade", "upgrade, te", "upgrade, close"};
    bool known = strict_count(m, "connection") == 0;
    struct str connection = strict_get(m, "connection");

    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (strict_count(m, never[i]) > 0)
            return fail(r, "a field of another hop");
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]) && !known; i++)
        known = strict_count(m, "connection") == 1 && is_name(connection, options[i]);
    if (!known)
        return fail(r, "a Connection of another hop");
    if (strict_count(m, "upgrade") > 0 && !begins_with(connection, "upgrade"))
        return fail(r, "an Upgrade that Connection does not name");
    if (strict_count(m, "te") > 0 && !is_name(strict_get(m, "te"), "trailers"))
        return fail(r, "a TE of another hop");
    return true;
}

static enum strict_result result_of(const struct reader *r, bool ok, const char **ret_why)
{
    *ret_why = r->why;
    return ok ? STRICT_WHOLE : r->why != NULL ? STRICT_WRONG : STRICT_INCOMPLETE;
}

static void begin(struct reader *r, struct str bytes, struct strict *m)
{
    *r = (struct reader){.at = bytes.ptr, .end = bytes.ptr + bytes.len};
    m->field_count = m->trailer_count = m->content_len = m->used = 0;
    m->chunked = m->counted = m->by_close = false;
    m->content = NULL;
}

enum strict_result strict_request(struct str bytes, struct strict *m, const char **ret_why)
{
    struct reader r;
    uint64_t length;

    begin(&r, bytes, m);
    bool ok = read_start(&r, m) && check_request(&r, m) && check_hops(&r, m) &&
              read_framing(&r, m, &length) &&
              (m->chunked ? read_chunks(&r, m, false) : take(&r, m, length));
    m->used = (size_t)(r.at - bytes.ptr);
    return result_of(&r, ok, ret_why);
}

static bool read_status(struct reader *r, struct strict *m)
{
    if (m->start[0].len != 8 || memcmp(m->start[0].ptr, "HTTP/1.1", 8) != 0)
        return fail(r, "not HTTP/1.1");
    if (m->start[1].len != 3 || m->start[1].ptr[0] < '1' || m->start[1].ptr[0] > '5')
        return fail(r, "not a status");
    m->status = 0;
    for (size_t i = 0; i < 3; i++) {
        if (!isdigit((unsigned char)m->start[1].ptr[i]))
            return fail(r, "not a status");
        m->status = m->status * 10 + (m->start[1].ptr[i] - '0');
    }
    return true;
}

static bool read_content(struct reader *r, struct strict *m, bool to_head, bool ended)
{
    bool none = m->status < 200 || m->status == 204;
    uint64_t length;

    if (!read_framing(r, m, &length))
        return false;
    if (none && (m->chunked || m->counted))
        return fail(r, "framing where there is no content");
    if (none || to_head || m->status == 304)
        return true;
    if (m->chunked)
        return read_chunks(r, m, false);
    if (m->counted)
        return take(r, m, length);
    m->by_close = true;
    (void)take(r, m, (size_t)(r->end - r->at));
    r->short_of = !ended;
    return ended;
}

enum strict_result strict_answer(struct str bytes, bool to_head, bool ended, struct strict *m,
                                 const char **ret_why)
{
    struct reader r;

    begin(&r, bytes, m);
    bool ok = read_start(&r, m) && read_status(&r, m) && check_hops(&r, m) &&
              read_content(&r, m, to_head, ended);
    m->used = (size_t)(r.at - bytes.ptr);
    return result_of(&r, ok, ret_why);
}

enum strict_result strict_chunks(struct str bytes, bool received, struct strict *m,
                                 const char **ret_why)
{
    struct reader r;

    begin(&r, bytes, m);
    bool ok = read_chunks(&r, m, received);
    m->used = (size_t)(r.at - bytes.ptr);
    return result_of(&r, ok, ret_why);
}

void strict_free(struct strict *m)
{
    free(m->content);
    m->content = NULL;
}
