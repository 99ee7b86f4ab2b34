/* The end is looked for, lines are cut byte by byte, then llhttp judges the whole head without
 * callbacks, and both must agree on the framing: two readers of one head that differ are how
 * requests are smuggled.
 */
#include "net/judged.h"

#include <llhttp.h>

#include "base/check.h"
#include "net/scan.h"

ptrdiff_t judged_end(struct str bytes, size_t from)
{
    size_t at = from > 0 && bytes.ptr[from - 1] == '\r' ? from - 1 : from;

    while ((at = scan_plain(bytes, at)) < bytes.len) {
        char c = bytes.ptr[at++];
        if (c == '\n' || c == '\0')
            return -1;
        if (c != '\r' || at == bytes.len || bytes.ptr[at] != '\n')
            continue;
        if (at >= 3 && bytes.ptr[at - 2] == '\n')
            return (ptrdiff_t)at + 1;
        at++;
    }
    return 0;
}

static int refuse(const char **ret_why, int status, const char *why)
{
    *ret_why = why;
    return status;
}

/* Begins the long way: where the head ends, and none of it read. 0, HEAD_MORE, 400 or 431. */
static int find_head(struct str bytes, size_t scanned, size_t max, struct head *h, const char **why)
{
    ptrdiff_t end = judged_end(bytes, scanned);

    memset(h, 0, offsetof(struct head, fields));
    h->max_forwards = -1;
    if (end < 0)
        return refuse(why, 400, "the head has a bare LF or a NUL");
    if ((size_t)end > max || (end == 0 && bytes.len > max))
        return refuse(why, 431, "the head is larger than limits.head");
    h->bytes = (size_t)end;
    return end == 0 ? HEAD_MORE : 0;
}

static void add_field(struct head *h, const struct field_cut *cut)
{
    struct head_field *f = &h->fields[h->count++];

    *f = (struct head_field){.line = cut->line, .name = cut->name, .value = cut->value};
    f->id = field_identify(f->name);
    f->hop = field_is_hop(f->id);
    f->anew = cut->gap > 0;
    if (f->id == FIELD_OTHER)
        return;
    if (!head_has(h, f->id))
        h->index[f->id] = (uint8_t)h->count;
    h->repeated |= h->present & FIELD_BIT(f->id);
    h->present |= FIELD_BIT(f->id);
}

/* A space before the colon is how one reader's Content-Length is another's unknown field. */
static bool gap_matters(enum field_id id)
{
    return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_CONNECTION;
}

/* Cuts the lines after the start line into fields, in one pass over their bytes. judged_end has
 * seen that every LF stands behind a CR. 0 or a status. */
static int cut_fields(struct str rest, size_t max, bool response, struct head *h, const char **why)
{
    struct field_cut cut;

    while (rest.len > 2) {
        const char *wrong = field_cut(rest, response, &cut);
        if (wrong != NULL)
            return refuse(why, 400, wrong);
        if (h->count == max)
            return refuse(why, 431, "too many header lines");
        add_field(h, &cut);
        if (cut.gap > 0 && gap_matters(h->fields[h->count - 1].id))
            return refuse(why, 400, "space before the colon of a field that frames the message");
        rest = (struct str){rest.ptr + cut.line.len, rest.len - cut.line.len};
    }
    return 0;
}

/* What frames the message and Host survive being named: they say what this message is. */
static void nominate(struct head *h, struct str name)
{
    enum field_id id = field_identify(name);

    h->nominates |= !field_is_hop(id);
    if (id == FIELD_HOST || id == FIELD_CONTENT_LENGTH)
        return;
    for (size_t i = 0; i < h->count; i++)
        if (h->fields[i].id == id && str_ieq(h->fields[i].name, name))
            h->fields[i].hop = true;
}

/* Marks what Connection names, and reads close and keep-alive from it. */
static void apply_connection(struct head *h)
{
    bool close = false, keep = false;

    for (size_t i = h->index[FIELD_CONNECTION]; i > 0 && i <= h->count; i++) {
        struct str rest = h->fields[i - 1].value, member;
        if (h->fields[i - 1].id != FIELD_CONNECTION)
            continue;
        while (field_next_member(&rest, &member)) {
            if (str_ieq(member, STR("close")))
                close = true;
            else if (str_ieq(member, STR("keep-alive")))
                keep = true;
            else
                nominate(h, member);
        }
    }
    h->keep_alive = !close && (h->minor == 1 || keep);
}

static int read_length(struct head *h, struct head_field *f, const char **why)
{
    if (!str_to_u64(f->value, &h->length) || h->length > INT64_MAX)
        return refuse(why, 400, "Content-Length is not a number");
    for (; f->value.len > 1 && f->value.ptr[0] == '0'; f->anew = true)
        f->value = (struct str){f->value.ptr + 1, f->value.len - 1};
    return 0;
}

/* Content-Length and Transfer-Encoding. 0: there is one of them, or none; or a status. */
static int read_framing(struct head *h, const char **why)
{
    uint32_t both = FIELD_BIT(FIELD_CONTENT_LENGTH) | FIELD_BIT(FIELD_TRANSFER_ENCODING), seen = 0;
    int status;

    for (size_t i = 0; (h->present & both) != 0 && i < h->count; i++) {
        struct head_field *f = &h->fields[i];
        uint32_t bit = FIELD_BIT(f->id);
        if ((bit & both) == 0)
            continue;
        if ((bit & seen) != 0)
            return refuse(why, 400,
                          f->id == FIELD_CONTENT_LENGTH ? "Content-Length is given twice"
                                                        : "Transfer-Encoding is given twice");
        if (f->id == FIELD_TRANSFER_ENCODING && !str_ieq(f->value, STR("chunked")))
            return refuse(why, 501, "a Transfer-Encoding other than chunked");
        if (f->id == FIELD_CONTENT_LENGTH && (status = read_length(h, f, why)) != 0)
            return status;
        seen |= bit;
    }
    if (seen == both)
        return refuse(why, 400, "both Content-Length and Transfer-Encoding");
    if (head_has(h, FIELD_TRANSFER_ENCODING) && h->minor == 0)
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

static bool feed(llhttp_t *parser, const char *from, const char *to, llhttp_errno_t want)
{
    return llhttp_execute(parser, from, (size_t)(to - from)) == want;
}

/* llhttp's opinion of the same bytes. It is spared what it does not know and we do: methods outside
 * its list (it reads POST for all), minor versions above 1, and space before a colon. */
static bool llhttp_agrees(struct str bytes, const char *minor, const struct head *h)
{
    const char *at = bytes.ptr + h->method.len;
    llhttp_t parser;

    llhttp_init(&parser, h->method.len > 0 ? HTTP_REQUEST : HTTP_RESPONSE, settings());
    if (h->method.len > 0 && llhttp_execute(&parser, "POST", 4) != HPE_OK)
        return false;
    if (*minor > '1') {
        if (!feed(&parser, at, minor, HPE_OK) || llhttp_execute(&parser, "1", 1) != HPE_OK)
            return false;
        at = minor + 1;
    }
    for (size_t i = 0; i < h->count; i++) {
        if (!h->fields[i].anew)
            continue;
        const char *end = h->fields[i].name.ptr + h->fields[i].name.len;
        if (!feed(&parser, at, end, HPE_OK))
            return false;
        for (at = end; *at != ':';)
            at++;
    }
    if (!feed(&parser, at, bytes.ptr + bytes.len, HPE_PAUSED))
        return false;
    if (((parser.flags & F_CHUNKED) != 0) != head_has(h, FIELD_TRANSFER_ENCODING))
        return false;
    return !head_has(h, FIELD_CONTENT_LENGTH) || parser.content_length == h->length;
}

/* The start line without its CRLF. */
static struct str start_line(struct str bytes)
{
    const char *lf = memchr(bytes.ptr, '\n', bytes.len);

    CHECK(lf != NULL);
    return (struct str){bytes.ptr, (size_t)(lf - bytes.ptr) - 1};
}

/* Methods are case-sensitive: "get" is not GET, and a backend that thinks otherwise would not frame
 * its answer as we expect. So no method with lower-case letters passes. */
static int read_method(struct str method, const char **why)
{
    if (!field_is_token(method))
        return refuse(why, 400, "the method is not a token");
    for (size_t i = 0; i < method.len; i++)
        if (method.ptr[i] >= 'a' && method.ptr[i] <= 'z')
            return refuse(why, 501, "methods are written in capitals");
    if (method.len > HEAD_METHOD_MAX)
        return refuse(why, 501, "the method is too long");
    if (str_eq(method, STR("CONNECT")))
        return refuse(why, 501, "CONNECT is not served here");
    if (str_eq(method, STR("TRACE")))
        return refuse(why, 501, "TRACE is not served here");
    return 0;
}

/* "HTTP/" DIGIT "." DIGIT. 0 or a status. */
static int read_version(struct str version, struct head *h, const char **why)
{
    if (version.len != 8 || !str_starts_with(version, STR("HTTP/")) || version.ptr[6] != '.' ||
        version.ptr[5] < '0' || version.ptr[5] > '9' || version.ptr[7] < '0' ||
        version.ptr[7] > '9')
        return refuse(why, 400, "the request line is malformed");
    if (version.ptr[5] != '1')
        return refuse(why, 505, "only HTTP/1.1 and HTTP/1.0 are spoken here");
    h->minor = version.ptr[7] > '0';
    return 0;
}

/* "METHOD SP target SP HTTP/1.x". 0 or a status. */
static int read_request_line(struct str line, struct head *h, const char **why)
{
    const char *first = memchr(line.ptr, ' ', line.len);
    const char *last = memrchr(line.ptr, ' ', line.len);
    int status;

    if (field_text_run(line) < line.len || first == NULL || first == last || first == line.ptr ||
        last == first + 1)
        return refuse(why, 400, "the request line is malformed");
    h->method = (struct str){line.ptr, (size_t)(first - line.ptr)};
    h->target = (struct str){first + 1, (size_t)(last - first) - 1};
    struct str version = {last + 1, line.len - (size_t)(last - line.ptr) - 1};
    if (memchr(h->target.ptr, ' ', h->target.len) != NULL)
        return refuse(why, 400, "the request line has too many parts");
    if ((status = read_version(version, h, why)) != 0 ||
        (status = read_method(h->method, why)) != 0)
        return status;
    if (h->target.len > HEAD_TARGET_MAX)
        return refuse(why, 414, "the target is too long");
    return 0;
}

int judged_request(struct str bytes, size_t scanned, struct head_limits limits, struct head *h,
                   const char **why)
{
    int status;

    if ((status = find_head(bytes, scanned, limits.bytes, h, why)) != 0)
        return status;
    bytes.len = h->bytes;
    struct str line = start_line(bytes);
    struct str rest = {bytes.ptr + line.len + 2, bytes.len - line.len - 2};
    if ((status = read_request_line(line, h, why)) != 0 ||
        (status = cut_fields(rest, limits.fields, false, h, why)) != 0 ||
        (status = read_framing(h, why)) != 0)
        return status;
    if (!llhttp_agrees(bytes, line.ptr + line.len - 1, h))
        return refuse(why, 400, "the request head is malformed");
    apply_connection(h);
    return 0;
}

/* "HTTP/1.x SP status [SP reason]". */
static bool read_status_line(struct str line, struct head *h)
{
    enum { REASON = 13 };

    if (line.len < 12 || !str_starts_with(line, STR("HTTP/1.")) || line.ptr[8] != ' ' ||
        line.ptr[7] < '0' || line.ptr[7] > '9' || field_text_run(line) < line.len)
        return false;
    uint64_t status;
    if (!str_to_u64((struct str){line.ptr + 9, 3}, &status) || status < 100 || status > 599)
        return false;
    if (line.len > 12 && line.ptr[12] != ' ')
        return false;
    h->minor = line.ptr[7] > '0';
    h->status = (int)status;
    size_t from = line.len > REASON ? REASON : line.len;
    h->reason = (struct str){line.ptr + from, line.len - from};
    return true;
}

int judged_response(struct str bytes, size_t scanned, struct head_limits limits, struct head *h,
                    const char **why)
{
    int status;

    if ((status = find_head(bytes, scanned, limits.bytes, h, why)) != 0)
        return status == HEAD_MORE ? HEAD_MORE : 502;
    bytes.len = h->bytes;
    struct str line = start_line(bytes);
    struct str rest = {bytes.ptr + line.len + 2, bytes.len - line.len - 2};
    if (!read_status_line(line, h))
        return refuse(why, 502, "the status line is malformed");
    if (cut_fields(rest, limits.fields, true, h, why) != 0 || read_framing(h, why) != 0)
        return 502;
    if (!llhttp_agrees(bytes, line.ptr + 7, h))
        return refuse(why, 502, "the response head is malformed");
    apply_connection(h);
    return 0;
}
