/* A head is scanned once, for its line ends and for bytes that are not plain ASCII; the lines are
 * then cut at their colons. llhttp judges what is not plain, without callbacks, and both must agree
 * on the framing: two readers of one head that differ are how requests are smuggled.
 */
#include "net/head.h"

#include <llhttp.h>

#include "base/check.h"
#include "net/target.h"

#ifndef HEAD_JUDGE_ALL
#define HEAD_JUDGE_ALL 0
#endif

struct lines {
    size_t count;                      /* the start line's is the first */
    uint32_t end[HEAD_FIELDS_MAX + 2]; /* behind the LF; one more than may be, to see that it is */
    bool plain;                        /* nothing but visible ASCII, spaces, and CRLF */
};

/* Where the head ends. > 0: its length, the empty line included. 0: not all there yet. -1: a bare
 * LF or a NUL, which no head may hold. `from` is how much was looked at before; *ret is of what
 * lies behind it. */
static ptrdiff_t find_lines(struct str bytes, size_t from, struct lines *ret)
{
    size_t at = from > 0 && bytes.ptr[from - 1] == '\r' ? from - 1 : from;

    ret->count = 0;
    ret->plain = true;
    while ((at = scan_plain(bytes, at)) < bytes.len) {
        char c = bytes.ptr[at++];
        if (c == '\r' && at < bytes.len && bytes.ptr[at] == '\n') {
            if (at >= 3 && bytes.ptr[at - 2] == '\n')
                return (ptrdiff_t)at + 1;
            at++;
            if (ret->count < ARRAY_LEN(ret->end))
                ret->end[ret->count++] = (uint32_t)at;
        } else if (c == '\n' || c == '\0') {
            return -1;
        } else {
            ret->plain = false;
        }
    }
    return 0;
}

static int refuse(const char **ret_why, int status, const char *why)
{
    *ret_why = why;
    return status;
}

/* 0, HEAD_MORE, or 400 or 431. */
static int find_head(struct str bytes, size_t scanned, size_t max, struct head *h,
                     struct lines *lines, const char **why)
{
    ptrdiff_t end = scanned > 0 && scanned <= bytes.len ? find_lines(bytes, scanned, lines) : 1;

    if (end > 0) /* the lines of all of it, also where a part had been looked at */
        end = find_lines(bytes, 0, lines);
    memset(h, 0, offsetof(struct head, fields));
    h->max_forwards = -1;
    *why = "";
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
    enum field_id id = field_identify(cut->name);
    uint32_t bit = FIELD_BIT(id);

    *f = (struct head_field){.line = cut->line,
                             .name = cut->name,
                             .value = cut->value,
                             .id = id,
                             .hop = field_is_hop(id),
                             .anew = cut->gap > 0};
    if ((h->present & bit) == 0)
        h->index[id] = (uint8_t)h->count;
    h->repeated |= h->present & bit;
    h->present |= bit;
}

/* A space before the colon is how one reader's Content-Length is another's unknown field. */
static bool gap_matters(enum field_id id)
{
    return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_CONNECTION;
}

static const char *cut_line(struct str bytes, size_t len, bool plain, bool response,
                            struct field_cut *cut)
{
    struct field_cut other;

    if (!plain)
        return field_cut(bytes, response, cut);
    const char *wrong = field_cut_plain(bytes, len, response, cut);
    if (HEAD_JUDGE_ALL && wrong == NULL) {
        CHECK(field_cut(bytes, response, &other) == NULL);
        CHECK(str_eq(cut->line, other.line) && str_eq(cut->name, other.name) &&
              str_eq(cut->value, other.value) && cut->gap == other.gap);
    }
    return wrong;
}

/* Cuts the lines after the start line into fields. 0 or a status. */
static int cut_fields(struct str bytes, const struct lines *lines, size_t max, bool response,
                      struct head *h, const char **why)
{
    struct field_cut cut;

    for (size_t i = 1; i < lines->count; i++) {
        size_t start = lines->end[i - 1], len = lines->end[i] - start - 2;
        struct str rest = {bytes.ptr + start, bytes.len - start};
        const char *wrong = cut_line(rest, len, lines->plain, response, &cut);
        if (wrong != NULL)
            return refuse(why, 400, wrong);
        if (h->count == max)
            return refuse(why, 431, "too many header lines");
        add_field(h, &cut);
        if (cut.gap == 0)
            continue;
        if (gap_matters(h->fields[h->count - 1].id))
            return refuse(why, 400, "space before the colon of a field that frames the message");
        h->plain = false;
    }
    return 0;
}

static bool any_member(const struct head *h, enum field_id id, struct str wanted)
{
    for (size_t i = h->index[id]; i > 0 && i <= h->count; i++) {
        struct str rest = h->fields[i - 1].value, member;
        if (h->fields[i - 1].id != id)
            continue;
        while (field_next_member(&rest, &member))
            if (str_ieq(member, wanted))
                return true;
    }
    return false;
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

/* Marks what Connection names, and reads close and keep-alive from it. True: it says one of these
 * and nothing else, or is absent. */
static bool read_connection(struct head *h)
{
    const struct head_field *first = head_get(h, FIELD_CONNECTION);
    bool close = false, keep = false, more = first != NULL && (h->repeated & FIELD_BIT(first->id));

    if (first != NULL && !more) {
        close = str_ieq(first->value, STR("close"));
        keep = !close && str_ieq(first->value, STR("keep-alive"));
    }
    if (first == NULL || close || keep) {
        h->keep_alive = !close && (h->minor == 1 || keep);
        return true;
    }
    for (size_t i = h->index[FIELD_CONNECTION]; i <= h->count; i++) {
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
    return false;
}

/* The one protocol that Upgrade names, or an empty slice: none, several, or not a protocol. */
static struct str upgrade_protocol(const struct head *h)
{
    const struct head_field *f = head_get(h, FIELD_UPGRADE);
    struct str none = {"", 0};

    if (f == NULL || h->minor == 0 || (h->repeated & FIELD_BIT(FIELD_UPGRADE)) != 0 ||
        !any_member(h, FIELD_CONNECTION, STR("upgrade")))
        return none;
    struct str version = f->value, name;
    (void)str_split(&version, '/', &name);
    return field_is_token(name) && (version.ptr == NULL || field_is_token(version)) ? f->value
                                                                                    : none;
}

/* Protocols that change how we would have to read what follows are ours to speak, or nobody's. */
static bool tunnelled(struct str protocol)
{
    static const struct str ours[] = {{"h2", 2}, {"h2c", 3}, {"http", 4}, {"tls", 3}};
    struct str name;

    (void)str_split(&protocol, '/', &name);
    for (size_t i = 0; i < ARRAY_LEN(ours); i++)
        if (str_ieq(name, ours[i]))
            return false;
    return name.len > 0;
}

static int read_length(struct head *h, struct head_field *f, const char **why)
{
    if (!str_to_u64(f->value, &h->length) || h->length > INT64_MAX)
        return refuse(why, 400, "Content-Length is not a number");
    for (; f->value.len > 1 && f->value.ptr[0] == '0'; f->anew = true)
        f->value = (struct str){f->value.ptr + 1, f->value.len - 1};
    h->plain &= !f->anew;
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

/* The second judge's word, where it is asked. */
static bool is_agreed(struct str bytes, const char *minor, struct head *h, bool bare_connection)
{
    static const uint32_t judged = FIELD_BIT(FIELD_TRANSFER_ENCODING) | FIELD_BIT(FIELD_UPGRADE) |
                                   FIELD_BIT(FIELD_PROXY_CONNECTION) |
                                   FIELD_BIT(FIELD_HTTP2_SETTINGS);

    h->plain = h->plain && bare_connection && (h->present & judged) == 0;
    if (h->plain && !HEAD_JUDGE_ALL)
        return true;
    bool agrees = llhttp_agrees(bytes, minor, h);
    CHECK(agrees || !h->plain);
    return agrees;
}

/* Host and the target's form (RFC 9112, 3.2). An absolute-form target replaces Host. */
static int read_target(struct head *h, const char **why)
{
    const struct head_field *host = head_get(h, FIELD_HOST);
    struct target target;

    if ((h->repeated & FIELD_BIT(FIELD_HOST)) != 0)
        return refuse(why, 400, "Host is given twice");
    if (host == NULL && h->minor == 1)
        return refuse(why, 400, "Host is missing");
    h->authority = h->host = STR("");
    if (host != NULL) {
        h->authority = host->value;
        if (!target_split_authority(h->authority, &h->host))
            return refuse(why, 400, "Host is not a host");
    }
    if (h->path.len > 0) /* read_usual_line has seen it */
        return 0;
    const char *wrong = target_parse(h->target, str_eq(h->method, STR("OPTIONS")), &target);
    if (wrong != NULL)
        return refuse(why, 400, wrong);
    if (target.authority.len > 0) {
        h->authority = target.authority;
        h->host = target.host;
    }
    h->path = target.path;
    h->query = target.query;
    return 0;
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

/* The same for a line of plain ASCII of the usual form: capitals, a path, perhaps a query,
 * HTTP/1.1. False: it is not; which says nothing yet. */
static bool read_usual_line(struct str bytes, size_t len, struct head *h)
{
    const char *p = bytes.ptr;
    size_t method = 0;

    while (p[method] >= 'A' && p[method] <= 'Z') /* the line's CR ends it */
        method++;
    if (method == 0 || method > HEAD_METHOD_MAX || p[method] != ' ' || p[method + 1] != '/' ||
        method + 11 > len || memcmp(p + len - 9, " HTTP/1.1", 9) != 0)
        return false;
    size_t from = method + 1, path = scan_target(bytes, from), to = path;
    while (p[to] == '?')
        to = scan_target(bytes, to + 1);
    if (to != len - 9 || to - from > HEAD_TARGET_MAX)
        return false;
    h->method = (struct str){p, method};
    if (str_eq(h->method, STR("CONNECT")) || str_eq(h->method, STR("TRACE")))
        return false;
    h->target = (struct str){p + from, to - from};
    h->path = (struct str){p + from, path - from};
    h->query = (struct str){p + path, to - path};
    h->minor = 1;
    return true;
}

static int read_line(struct str bytes, const struct lines *lines, struct head *h, const char **why)
{
    struct str line = {bytes.ptr, lines->end[0] - 2};
    struct head other = {.plain = false};

    h->plain = lines->plain && read_usual_line(bytes, line.len, h);
    if (!h->plain)
        return read_request_line(line, h, why);
    if (HEAD_JUDGE_ALL) {
        struct target target;
        CHECK(read_request_line(line, &other, why) == 0 && other.minor == h->minor);
        CHECK(str_eq(other.method, h->method) && str_eq(other.target, h->target));
        CHECK(target_parse(h->target, false, &target) == NULL && target.authority.len == 0);
        CHECK(str_eq(target.path, h->path) && str_eq(target.query, h->query));
    }
    return 0;
}

/* Expect (RFC 9110, 10.1.1), which HTTP/1.0 does not have. */
static int read_expect(struct head *h, const char **why)
{
    if (h->minor == 0 || !head_has(h, FIELD_EXPECT))
        return 0;
    for (size_t i = 0; i < h->count; i++)
        if (h->fields[i].id == FIELD_EXPECT && !str_ieq(h->fields[i].value, STR("100-continue")))
            return refuse(why, 417, "an expectation other than 100-continue");
    h->expect_continue = !head_get(h, FIELD_EXPECT)->hop;
    return 0;
}

/* Max-Forwards of OPTIONS (RFC 9110, 7.6.2); other methods' means nothing. */
static int read_max_forwards(struct head *h, const char **why)
{
    const struct head_field *f = head_get(h, FIELD_MAX_FORWARDS);
    uint64_t hops;

    if (f == NULL || !str_eq(h->method, STR("OPTIONS")))
        return 0;
    if ((h->repeated & FIELD_BIT(FIELD_MAX_FORWARDS)) != 0)
        return refuse(why, 400, "Max-Forwards is given twice");
    if (!str_to_u64(f->value, &hops))
        return refuse(why, 400, "Max-Forwards is not a number");
    if (hops == 0)
        return refuse(why, 501, "OPTIONS that may not be sent on: this proxy has none to tell");
    h->max_forwards = hops > INT32_MAX ? INT32_MAX : (int32_t)hops;
    return 0;
}

/* A weight of 0 says "not this one" (RFC 9110, 12.4.2). */
static bool weight_zero(struct str parameters)
{
    struct str p;

    while (str_split(&parameters, ';', &p)) {
        p = str_trim(p);
        if (p.len < 3 || (p.ptr[0] | 0x20) != 'q' || p.ptr[1] != '=')
            continue;
        p = (struct str){p.ptr + 2, p.len - 2};
        for (size_t i = 0; i < p.len; i++)
            if (p.ptr[i] != '0' && p.ptr[i] != '.')
                return false;
        return true;
    }
    return false;
}

static bool accepts_event_stream(const struct head *h)
{
    static const struct str wanted = {"text/event-stream", 17};

    for (size_t i = h->index[FIELD_ACCEPT]; i > 0 && i <= h->count; i++) {
        struct str rest = h->fields[i - 1].value, member, type;
        if (h->fields[i - 1].id != FIELD_ACCEPT || rest.len < wanted.len)
            continue;
        while (field_next_member(&rest, &member)) {
            (void)str_split(&member, ';', &type);
            if (str_ieq(str_trim(type), wanted) && !weight_zero(member))
                return true;
        }
    }
    return false;
}

int head_parse_request(struct str bytes, size_t scanned, struct head_limits limits, struct head *h,
                       const char **ret_why)
{
    struct lines lines;
    int status;

    CHECK(limits.fields <= HEAD_FIELDS_MAX);
    if ((status = find_head(bytes, scanned, limits.bytes, h, &lines, ret_why)) != 0 ||
        (status = read_line(bytes, &lines, h, ret_why)) != 0 ||
        (status = cut_fields(bytes, &lines, limits.fields, false, h, ret_why)) != 0 ||
        (status = read_framing(h, ret_why)) != 0)
        return status;
    bool bare = read_connection(h);
    if (!is_agreed(bytes, bytes.ptr + lines.end[0] - 3, h, bare))
        return refuse(ret_why, 400, "the request head is malformed");
    h->framing = head_has(h, FIELD_TRANSFER_ENCODING) ? FRAMING_CHUNKED
                 : h->length > 0                      ? FRAMING_LENGTH
                                                      : FRAMING_NONE;
    if ((status = read_target(h, ret_why)) != 0 || (status = read_expect(h, ret_why)) != 0 ||
        (status = read_max_forwards(h, ret_why)) != 0)
        return status;
    if (head_has(h, FIELD_UPGRADE)) {
        h->upgrade_protocol = upgrade_protocol(h);
        h->upgrade = h->framing == FRAMING_NONE && tunnelled(h->upgrade_protocol) &&
                     (str_eq(h->method, STR("GET")) || str_eq(h->method, STR("POST")));
    }
    /* Not named by Connection, TE is somebody else's that nobody took out (9110, 10.1.4). */
    h->te_trailers = h->minor == 1 && any_member(h, FIELD_TE, STR("trailers")) &&
                     any_member(h, FIELD_CONNECTION, STR("te"));
    h->accepts_event_stream = accepts_event_stream(h);
    return 0;
}

/* "HTTP/1.x SP status [SP reason]". */
static bool read_status_line(struct str line, bool plain, struct head *h)
{
    if (line.len < 12 || !str_starts_with(line, STR("HTTP/1.")) || line.ptr[8] != ' ' ||
        line.ptr[7] < '0' || line.ptr[7] > '9' || (!plain && field_text_run(line) < line.len))
        return false;
    uint64_t status;
    if (!str_to_u64((struct str){line.ptr + 9, 3}, &status) || status < 100 || status > 599)
        return false;
    h->plain = plain && line.ptr[7] == '1';
    if (line.len > 12 && line.ptr[12] != ' ')
        return false;
    h->minor = line.ptr[7] > '0';
    h->status = (int)status;
    h->reason = line.len > 13 ? (struct str){line.ptr + 13, line.len - 13} : (struct str){"", 0};
    return true;
}

int head_parse_response(struct str bytes, size_t scanned, struct head_limits limits, bool to_head,
                        struct head *h, const char **ret_why)
{
    struct lines lines;
    int status;

    CHECK(limits.fields <= HEAD_FIELDS_MAX);
    if ((status = find_head(bytes, scanned, limits.bytes, h, &lines, ret_why)) != 0)
        return status == HEAD_MORE ? HEAD_MORE : 502;
    if (!read_status_line((struct str){bytes.ptr, lines.end[0] - 2}, lines.plain, h))
        return refuse(ret_why, 502, "the status line is malformed");
    if (cut_fields(bytes, &lines, limits.fields, true, h, ret_why) != 0 ||
        read_framing(h, ret_why) != 0)
        return 502;
    bool bare = read_connection(h);
    if (!is_agreed(bytes, bytes.ptr + 7, h, bare))
        return refuse(ret_why, 502, "the response head is malformed");
    if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
        h->framing = FRAMING_NONE;
    else
        h->framing = head_has(h, FIELD_TRANSFER_ENCODING) ? FRAMING_CHUNKED
                     : !head_has(h, FIELD_CONTENT_LENGTH) ? FRAMING_CLOSE
                     : h->length > 0                      ? FRAMING_LENGTH
                                                          : FRAMING_NONE;
    if (head_has(h, FIELD_UPGRADE)) {
        h->upgrade_protocol = upgrade_protocol(h);
        h->upgrade = (h->status == 101 || h->status == 426) && tunnelled(h->upgrade_protocol);
    }
    return 0;
}

struct str head_find(const struct head *h, struct str name)
{
    for (size_t i = 0; i < h->count; i++)
        if (str_ieq(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct str){NULL, 0};
}
