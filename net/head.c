/* Lines are cut here, llhttp judges the whole head without callbacks, then both must agree on the
 * framing: two readers of one head that differ are how requests are smuggled.
 */
#include "net/head.h"

#include <llhttp.h>

#include "base/check.h"
#include "net/target.h"

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

static void add_field(struct head *h, const struct field_cut *cut)
{
    struct head_field *f = &h->fields[h->count++];

    *f = (struct head_field){.line = cut->line, .name = cut->name, .value = cut->value};
    f->id = field_identify(f->name);
    f->hop = field_is_hop(f->id);
    f->anew = cut->gap > 0;
    if (f->id != FIELD_OTHER && h->index[f->id] == 0)
        h->index[f->id] = (uint32_t)h->count;
}

/* A space before the colon is how one reader's Content-Length is another's unknown field. */
static bool gap_matters(enum field_id id)
{
    return id == FIELD_CONTENT_LENGTH || id == FIELD_TRANSFER_ENCODING || id == FIELD_CONNECTION;
}

/* Cuts the lines after the start line into fields, in one pass over their bytes. head_end has seen
 * that every LF stands behind a CR. 0 or a status. */
static int cut_fields(struct str rest, size_t max, bool response, struct head *h, const char **why)
{
    struct field_cut cut;

    h->count = 0;
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

/* The one protocol that Upgrade names, or an empty slice: none, several, or not a protocol. */
static struct str upgrade_protocol(const struct head *h)
{
    const struct head_field *f = head_get(h, FIELD_UPGRADE);
    struct str none = {"", 0};

    if (f == NULL || h->minor == 0 || !any_member(h, FIELD_CONNECTION, STR("upgrade")))
        return none;
    for (size_t i = h->index[FIELD_UPGRADE]; i < h->count; i++)
        if (h->fields[i].id == FIELD_UPGRADE)
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

/* Content-Length and Transfer-Encoding. 0 or a status; `ret_chunked` and h->length are set. */
static int read_framing(struct head *h, bool *ret_chunked, bool *ret_length, const char **why)
{
    *ret_chunked = *ret_length = false;
    for (size_t i = 0; i < h->count; i++) {
        struct head_field *f = &h->fields[i];
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
            for (; f->value.len > 1 && f->value.ptr[0] == '0'; f->anew = true)
                f->value = (struct str){f->value.ptr + 1, f->value.len - 1};
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

static bool feed(llhttp_t *parser, const char *from, const char *to, llhttp_errno_t want)
{
    return llhttp_execute(parser, from, (size_t)(to - from)) == want;
}

/* llhttp's opinion of the same bytes. It is spared what it does not know and we do: methods outside
 * its list (it reads POST for all), minor versions above 1, and space before a colon. */
static bool llhttp_agrees(struct str bytes, const char *minor, const struct head *h, bool chunked,
                          bool length)
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

/* Host and the target's form (RFC 9112, 3.2). An absolute-form target replaces Host. */
static int read_target(struct head *h, const char **why)
{
    const struct head_field *host = head_get(h, FIELD_HOST);
    struct target target;
    size_t hosts = 0;

    for (size_t i = 0; i < h->count; i++)
        hosts += h->fields[i].id == FIELD_HOST;
    if (hosts > 1)
        return refuse(why, 400, "Host is given twice");
    if (host == NULL && h->minor == 1)
        return refuse(why, 400, "Host is missing");
    h->authority = h->host = STR("");
    if (host != NULL) {
        h->authority = host->value;
        if (!target_split_authority(h->authority, &h->host))
            return refuse(why, 400, "Host is not a host");
    }
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

/* "METHOD SP target SP HTTP/1.x". */
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

/* Expect (RFC 9110, 10.1.1), which HTTP/1.0 does not have. */
static int read_expect(struct head *h, const char **why)
{
    if (h->minor == 0 || h->index[FIELD_EXPECT] == 0)
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

    h->max_forwards = -1;
    if (f == NULL || !str_eq(h->method, STR("OPTIONS")))
        return 0;
    for (size_t i = h->index[FIELD_MAX_FORWARDS]; i < h->count; i++)
        if (h->fields[i].id == FIELD_MAX_FORWARDS)
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
    for (size_t i = h->index[FIELD_ACCEPT]; i > 0 && i <= h->count; i++) {
        struct str rest = h->fields[i - 1].value, member, type;
        if (h->fields[i - 1].id != FIELD_ACCEPT)
            continue;
        while (field_next_member(&rest, &member)) {
            (void)str_split(&member, ';', &type);
            if (str_ieq(str_trim(type), STR("text/event-stream")) && !weight_zero(member))
                return true;
        }
    }
    return false;
}

int head_parse_request(struct str bytes, size_t max_fields, struct head *h, const char **ret_why)
{
    struct str line = start_line(bytes);
    bool chunked, length;
    int status;

    CHECK(max_fields <= HEAD_FIELDS_MAX);
    memset(h, 0, offsetof(struct head, fields));
    h->bytes = bytes.len;
    *ret_why = "";
    if ((status = read_request_line(line, h, ret_why)) != 0)
        return status;
    struct str rest = {bytes.ptr + line.len + 2, bytes.len - line.len - 2};
    if ((status = cut_fields(rest, max_fields, false, h, ret_why)) != 0 ||
        (status = read_framing(h, &chunked, &length, ret_why)) != 0)
        return status;
    if (!llhttp_agrees(bytes, line.ptr + line.len - 1, h, chunked, length))
        return refuse(ret_why, 400, "the request head is malformed");
    h->framing = chunked                   ? FRAMING_CHUNKED
                 : length && h->length > 0 ? FRAMING_LENGTH
                                           : FRAMING_NONE;
    apply_connection(h);
    if ((status = read_target(h, ret_why)) != 0 || (status = read_expect(h, ret_why)) != 0 ||
        (status = read_max_forwards(h, ret_why)) != 0)
        return status;
    h->upgrade_protocol = upgrade_protocol(h);
    h->upgrade = h->framing == FRAMING_NONE && tunnelled(h->upgrade_protocol) &&
                 (str_eq(h->method, STR("GET")) || str_eq(h->method, STR("POST")));
    /* Not named by Connection, TE is somebody else's that nobody took out (9110, 10.1.4). */
    h->te_trailers = h->minor == 1 && any_member(h, FIELD_TE, STR("trailers")) &&
                     any_member(h, FIELD_CONNECTION, STR("te"));
    h->accepts_event_stream = accepts_event_stream(h);
    return 0;
}

/* "HTTP/1.x SP status [SP reason]". */
static bool read_status_line(struct str line, struct head *h)
{
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
    h->reason = line.len > 13 ? (struct str){line.ptr + 13, line.len - 13} : (struct str){"", 0};
    return true;
}

int head_parse_response(struct str bytes, bool to_head, struct head *h, const char **ret_why)
{
    struct str line = start_line(bytes);
    bool chunked, length;

    memset(h, 0, offsetof(struct head, fields));
    h->bytes = bytes.len;
    h->max_forwards = -1;
    *ret_why = "";
    if (!read_status_line(line, h))
        return refuse(ret_why, 502, "the status line is malformed");
    struct str rest = {bytes.ptr + line.len + 2, bytes.len - line.len - 2};
    if (cut_fields(rest, HEAD_FIELDS_MAX, true, h, ret_why) != 0 ||
        read_framing(h, &chunked, &length, ret_why) != 0)
        return 502;
    if (!llhttp_agrees(bytes, line.ptr + 7, h, chunked, length))
        return refuse(ret_why, 502, "the response head is malformed");
    apply_connection(h);
    if (to_head || h->status < 200 || h->status == 204 || h->status == 304)
        h->framing = FRAMING_NONE;
    else
        h->framing = chunked         ? FRAMING_CHUNKED
                     : !length       ? FRAMING_CLOSE
                     : h->length > 0 ? FRAMING_LENGTH
                                     : FRAMING_NONE;
    h->upgrade_protocol = upgrade_protocol(h);
    h->upgrade = (h->status == 101 || h->status == 426) && tunnelled(h->upgrade_protocol);
    return 0;
}

struct str head_find(const struct head *h, struct str name)
{
    for (size_t i = 0; i < h->count; i++)
        if (str_ieq(h->fields[i].name, name))
            return h->fields[i].value;
    return (struct str){NULL, 0};
}
