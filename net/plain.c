/* Every line is looked at in two strides: to the end of its name, which must be the colon, and to
 * the first byte that is not plain ASCII, which must be its CR. Nothing else needs a look.
 */
#include "net/plain.h"

#include "base/check.h"
#include "net/scan.h"

enum { LENGTH_MIN = 16 }; /* no head is shorter, and no scan needs to look out for less */

#define RARELY(condition) __builtin_expect(condition, 0)

static bool crlf_at(struct str bytes, size_t at)
{
    return memcmp(bytes.ptr + at, "\r\n", 2) == 0;
}

/* The lines from `at` up to the empty one, and that. The scans end two bytes early, so that a CRLF
 * may be looked for wherever they stop. */
static bool read_fields(struct str bytes, size_t at, size_t max, struct head *h)
{
    struct str early = {bytes.ptr, bytes.len - 2};
    uint32_t present = 0, repeated = 0;
    size_t count = 0, colon;

    for (struct head_field *f = h->fields; (colon = scan_word(early, at)) > at; f++) {
        if (bytes.ptr[colon] != ':' || count++ == max)
            return false;
        size_t from = colon + 1, cr = scan_plain(early, from), to = cr;
        if (!crlf_at(bytes, cr))
            return false;
        from += bytes.ptr[from] == ' ';
        while (RARELY(bytes.ptr[from] == ' ')) /* at most to the CR */
            from++;
        while (RARELY(bytes.ptr[to - 1] == ' ')) /* at most to the colon */
            to--;
        f->line = (struct str){bytes.ptr + at, cr + 2 - at};
        f->name = (struct str){bytes.ptr + at, colon - at};
        f->value = (struct str){bytes.ptr + from, to < from ? 0 : to - from};
        f->hop = f->anew = false;
        f->id = field_identify(f->name);
        at = cr + 2;
        if (f->id == FIELD_OTHER)
            continue;
        uint32_t bit = FIELD_BIT(f->id);
        if ((present & bit) == 0)
            h->index[f->id] = (uint8_t)count;
        repeated |= present & bit;
        present |= bit;
    }
    h->bytes = at + 2;
    h->count = count;
    h->present = present;
    h->repeated = repeated;
    return at <= early.len && crlf_at(bytes, at);
}

/* Digits without leading zeros, of which 18 do not overflow. */
static bool read_length(struct str digits, uint64_t *ret)
{
    uint64_t length = 0;

    if (digits.len == 0 || digits.len > 18 || (digits.ptr[0] == '0' && digits.len > 1))
        return false;
    for (size_t i = 0; i < digits.len; i++) {
        unsigned digit = (unsigned char)digits.ptr[i] - (unsigned)'0';
        if (digit > 9)
            return false;
        length = length * 10 + digit;
    }
    *ret = length;
    return true;
}

/* What the fields say of the message's end and of the connection. */
static bool read_framing(struct head *h)
{
    static const uint32_t judged = FIELD_BIT(FIELD_TRANSFER_ENCODING) | FIELD_BIT(FIELD_UPGRADE) |
                                   FIELD_BIT(FIELD_PROXY_CONNECTION) |
                                   FIELD_BIT(FIELD_HTTP2_SETTINGS);
    static const uint32_t once = FIELD_BIT(FIELD_CONTENT_LENGTH) | FIELD_BIT(FIELD_CONNECTION);

    if ((h->present & judged) != 0 || (h->repeated & once) != 0)
        return false;
    if ((h->present & FIELD_HOP) != 0)
        for (size_t i = 0; i < h->count; i++)
            h->fields[i].hop = field_is_hop(h->fields[i].id);
    if (head_has(h, FIELD_CONTENT_LENGTH) &&
        !read_length(head_get(h, FIELD_CONTENT_LENGTH)->value, &h->length))
        return false;
    h->keep_alive = true;
    if (head_has(h, FIELD_CONNECTION)) {
        struct str says = head_get(h, FIELD_CONNECTION)->value;
        h->keep_alive = says.len == 10 && field_same_name("keep-alive", says);
        if (!h->keep_alive && !(says.len == 5 && field_same_name("close", says)))
            return false;
    }
    return true;
}

static void clear(struct head *h)
{
    memset(h, 0, offsetof(struct head, fields));
    h->max_forwards = -1;
    h->minor = 1;
    h->plain = true;
}

/* "CAPITALS SP /path[?query] SP HTTP/1.1 CRLF". */
static bool read_request_line(struct str bytes, struct head *h, size_t *ret_end)
{
    enum { VERSION = 11 }; /* of " HTTP/1.1\r\n" */
    size_t method = 0;

    while (method < bytes.len && bytes.ptr[method] >= 'A' && bytes.ptr[method] <= 'Z')
        method++;
    h->method = (struct str){bytes.ptr, method};
    if (method == 0 || method > HEAD_METHOD_MAX || str_eq(h->method, STR("CONNECT")) ||
        str_eq(h->method, STR("TRACE")))
        return false;
    size_t from = method + 1;
    if (from >= bytes.len || bytes.ptr[method] != ' ' || bytes.ptr[from] != '/')
        return false;
    size_t path = scan_target(bytes, from), to = path;
    while (to < bytes.len && bytes.ptr[to] == '?')
        to = scan_target(bytes, to + 1);
    if (to - from > HEAD_TARGET_MAX || bytes.len - to < VERSION || bytes.ptr[to] != ' ' ||
        memcmp(bytes.ptr + to + 1, "HTTP/1.1", 8) != 0 || !crlf_at(bytes, to + 9))
        return false;
    h->target = (struct str){bytes.ptr + from, to - from};
    h->path = (struct str){bytes.ptr + from, path - from};
    h->query = (struct str){bytes.ptr + path, to - path};
    *ret_end = to + VERSION;
    return true;
}

bool plain_request(struct str bytes, struct head_limits limits, struct head *h)
{
    size_t at;

    if (bytes.len < LENGTH_MIN)
        return false;
    clear(h);
    return read_request_line(bytes, h, &at) && read_fields(bytes, at, limits.fields, h) &&
           h->bytes <= limits.bytes && read_framing(h);
}

/* "HTTP/1.1 SP status [SP reason] CRLF". */
static bool read_status_line(struct str bytes, struct head *h, size_t *ret_end)
{
    enum { STATUS = 9, REASON = 13 };
    const char *s = bytes.ptr + STATUS;

    if (bytes.len < REASON || memcmp(bytes.ptr, "HTTP/1.1 ", STATUS) != 0 || s[0] < '1' ||
        s[0] > '5' || s[1] < '0' || s[1] > '9' || s[2] < '0' || s[2] > '9')
        return false;
    size_t cr = scan_plain((struct str){bytes.ptr, bytes.len - 2}, REASON - 1);
    if (!crlf_at(bytes, cr) || (cr >= REASON && s[3] != ' '))
        return false;
    h->status = (s[0] - '0') * 100 + (s[1] - '0') * 10 + (s[2] - '0');
    size_t from = cr > REASON ? REASON : cr;
    h->reason = (struct str){bytes.ptr + from, cr - from};
    *ret_end = cr + 2;
    return true;
}

bool plain_response(struct str bytes, struct head_limits limits, struct head *h)
{
    size_t at;

    if (bytes.len < LENGTH_MIN)
        return false;
    clear(h);
    return read_status_line(bytes, h, &at) && read_fields(bytes, at, limits.fields, h) &&
           h->bytes <= limits.bytes && read_framing(h);
}
