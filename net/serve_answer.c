/* What goes back to the client. A whole answer leaves as one gathered write; a stream is chunked,
 * or sent as it is when its length was announced or the client speaks HTTP/1.0 (then the end of
 * the connection is its end). Fields whose bytes could split an answer are left out.
 */
#include <stdio.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/serve_internal.h"

const char *serve_reason(int status)
{
    switch (status) {
    case 100:
        return "Continue";
    case 101:
        return "Switching Protocols";
    case 200:
        return "OK";
    case 201:
        return "Created";
    case 202:
        return "Accepted";
    case 204:
        return "No Content";
    case 206:
        return "Partial Content";
    case 301:
        return "Moved Permanently";
    case 302:
        return "Found";
    case 303:
        return "See Other";
    case 304:
        return "Not Modified";
    case 307:
        return "Temporary Redirect";
    case 308:
        return "Permanent Redirect";
    case 400:
        return "Bad Request";
    case 401:
        return "Unauthorized";
    case 403:
        return "Forbidden";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 406:
        return "Not Acceptable";
    case 408:
        return "Request Timeout";
    case 409:
        return "Conflict";
    case 410:
        return "Gone";
    case 411:
        return "Length Required";
    case 412:
        return "Precondition Failed";
    case 413:
        return "Content Too Large";
    case 414:
        return "URI Too Long";
    case 415:
        return "Unsupported Media Type";
    case 417:
        return "Expectation Failed";
    case 421:
        return "Misdirected Request";
    case 422:
        return "Unprocessable Content";
    case 428:
        return "Precondition Required";
    case 429:
        return "Too Many Requests";
    case 431:
        return "Request Header Fields Too Large";
    case 500:
        return "Internal Server Error";
    case 501:
        return "Not Implemented";
    case 502:
        return "Bad Gateway";
    case 503:
        return "Service Unavailable";
    case 504:
        return "Gateway Timeout";
    case 505:
        return "HTTP Version Not Supported";
    case 507:
        return "Insufficient Storage";
    default:
        return "Unknown";
    }
}

/* --- the head --- */

static void add_number(struct strbuf *b, uint64_t n)
{
    char digits[20];
    size_t at = sizeof(digits);

    do {
        digits[--at] = (char)('0' + n % 10);
        n /= 10;
    } while (n > 0);
    strbuf_add(b, (struct str){digits + at, sizeof(digits) - at});
}

static void add_field(struct strbuf *b, struct str name, struct str value)
{
    strbuf_add(b, name);
    strbuf_add(b, STR(": "));
    strbuf_add(b, value);
    strbuf_add(b, STR("\r\n"));
}

static void begin_head(struct serve *s, int status)
{
    struct strbuf *b = &s->head;

    strbuf_reset(b);
    strbuf_add(b, STR("HTTP/1.1 "));
    add_number(b, (uint64_t)status);
    strbuf_add_char(b, ' ');
    strbuf_add(b, str_from(serve_reason(status)));
    strbuf_add(b, STR("\r\n"));
    add_field(b, STR("date"), str_from(s->date));
}

static void end_head(struct serve *s, struct serve_request *r)
{
    struct strbuf *b = &s->head;

    if (r != NULL)
        strbuf_add(b, strbuf_str(&r->extra));
    if (r != NULL && s->draining)
        r->keep_alive = false;
    if (r == NULL || !r->keep_alive)
        strbuf_add(b, STR("connection: close\r\n"));
    else if (r->http10)
        strbuf_add(b, STR("connection: keep-alive\r\n"));
    strbuf_add(b, STR("\r\n"));
    CHECK(!b->overflow); /* its parts are bounded below its maximum */
}

static bool status_has_body(int status)
{
    return status >= 200 && status != 204 && status != 304;
}

static bool is_token_char(char c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool field_is_clean(struct str name, struct str value)
{
    for (size_t i = 0; i < name.len; i++)
        if (!is_token_char(name.ptr[i]))
            return false;
    for (size_t i = 0; i < value.len; i++)
        if ((unsigned char)value.ptr[i] < 0x20 && value.ptr[i] != '\t')
            return false;
    return name.len > 0 && memchr(value.ptr, 0x7f, value.len) == NULL;
}

void serve_add_header(struct serve_request *r, struct str name, struct str value)
{
    uint64_t length = 0;

    CHECK(!r->streaming);
    if (value.ptr == NULL)
        value = STR("");
    if (!field_is_clean(name, value) || r->extra.len + name.len + value.len + 4 > SERVE_EXTRA_MAX)
        return;
    if (str_ieq(name, STR("content-length"))) {
        if (!str_to_u64(value, &length) || r->has_length)
            return;
        r->has_length = true;
        r->length_left = length;
    }
    add_field(&r->extra, name, value);
}

/* --- ending --- */

static uv_buf_t as_buf(struct str s)
{
    return (uv_buf_t){.base = (char *)(uintptr_t)s.ptr, .len = s.len};
}

/* Frees the request and lets its connection go on, or end when `keep_alive` is false. */
static void end_request(struct serve_request *r, bool keep_alive)
{
    struct serve_conn *c = r->conn;

    if (r->in_gone)
        return; /* freed by whoever calls back */
    if (c == NULL) {
        serve_request_give(NULL, r);
        return;
    }
    c->request = NULL;
    serve_request_give(c->server, r);
    serve_conn_next(c, keep_alive);
}

void serve_reply(struct serve_request *r, int status, struct str content_type, struct str body)
{
    struct serve_conn *c = r->conn;
    bool has_body = status_has_body(status);

    CHECK(!r->streaming);
    if (c == NULL || r->in_gone) {
        end_request(r, false);
        return;
    }
    struct serve *s = c->server;
    bool whole = !r->has_length || r->length_left == body.len || r->is_head || !has_body;
    if (r->has_length && body.len > r->length_left)
        body.len = (size_t)r->length_left; /* never more than was announced */
    begin_head(s, status);
    if (has_body && content_type.len > 0)
        add_field(&s->head, STR("content-type"), content_type);
    if (has_body && !r->has_length) {
        strbuf_add(&s->head, STR("content-length: "));
        add_number(&s->head, body.len);
        strbuf_add(&s->head, STR("\r\n"));
    }
    end_head(s, r);
    uv_buf_t bufs[2] = {as_buf(strbuf_str(&s->head)), as_buf(body)};
    serve_conn_write(c, bufs, has_body && !r->is_head && body.len > 0 ? 2 : 1);
    end_request(r, r->keep_alive && whole);
}

void serve_answer_error(struct serve_conn *c, int status, const char *detail)
{
    struct serve *s = c->server;
    struct strbuf body;

    strbuf_init(&body, 1024);
    strbuf_addf(&body, "{\"title\":\"%s\",\"status\":%d,\"detail\":", serve_reason(status), status);
    strbuf_add_json(&body, detail != NULL ? str_from(detail) : STR(""));
    strbuf_add(&body, STR("}\n"));
    begin_head(s, status);
    add_field(&s->head, STR("content-type"), STR("application/problem+json"));
    strbuf_add(&s->head, STR("content-length: "));
    add_number(&s->head, body.len);
    strbuf_add(&s->head, STR("\r\n"));
    end_head(s, NULL);
    uv_buf_t bufs[2] = {as_buf(strbuf_str(&s->head)), as_buf(strbuf_str(&body))};
    if (c->request != NULL) {
        serve_request_give(s, c->request);
        c->request = NULL;
    }
    serve_conn_write(c, bufs, 2);
    strbuf_deinit(&body);
    serve_conn_finish(c);
}

/* --- streams --- */

void serve_stream_start(struct serve_request *r, int status, struct str content_type)
{
    struct serve_conn *c = r->conn;

    CHECK(!r->streaming);
    r->streaming = true;
    r->silent = r->is_head || !status_has_body(status);
    r->chunked = !r->has_length && !r->http10 && !r->silent;
    if (r->http10 && !r->has_length && !r->silent)
        r->keep_alive = false; /* its end is the connection's */
    if (c == NULL || r->in_gone)
        return;
    struct serve *s = c->server;
    begin_head(s, status);
    if (status_has_body(status) && content_type.len > 0)
        add_field(&s->head, STR("content-type"), content_type);
    if (!r->has_length && !r->http10 && status_has_body(status))
        add_field(&s->head, STR("transfer-encoding"), STR("chunked"));
    end_head(s, r);
    uv_buf_t buf = as_buf(strbuf_str(&s->head));
    serve_conn_write(c, &buf, 1);
}

static void write_chunk(struct serve_conn *c, struct str bytes)
{
    char size[20];
    int n = snprintf(size, sizeof(size), "%zx\r\n", bytes.len);
    uv_buf_t bufs[3] = {as_buf((struct str){size, (size_t)n}), as_buf(bytes), as_buf(STR("\r\n"))};

    serve_conn_write(c, bufs, 3);
}

bool serve_stream_send(struct serve_request *r, struct str bytes)
{
    struct serve_conn *c = r->conn;

    CHECK(r->streaming);
    if (c == NULL || r->in_gone || c->state == CONN_CLOSED)
        return false;
    if (r->silent || bytes.len == 0)
        return true;
    if (r->has_length) {
        if (bytes.len > r->length_left)
            bytes.len = (size_t)r->length_left; /* never more than was announced */
        r->length_left -= bytes.len;
    }
    if (serve_conn_queued(c) + bytes.len > SERVE_STREAM_QUEUE_MAX && serve_conn_queued(c) > 0) {
        serve_conn_drop(c, true);
        return false;
    }
    if (r->chunked) {
        write_chunk(c, bytes);
    } else {
        uv_buf_t buf = as_buf(bytes);
        serve_conn_write(c, &buf, 1);
    }
    return c->state != CONN_CLOSED;
}

void serve_stream_end(struct serve_request *r)
{
    struct serve_conn *c = r->conn;
    bool whole = !r->has_length || r->length_left == 0 || r->silent;

    CHECK(r->streaming);
    if (c != NULL && !r->in_gone && r->chunked) {
        uv_buf_t buf = as_buf(STR("0\r\n\r\n"));
        serve_conn_write(c, &buf, 1);
    }
    end_request(r, r->keep_alive && whole);
}

void serve_abort(struct serve_request *r, bool reset)
{
    struct serve_conn *c = r->conn;

    if (c != NULL && !r->in_gone && reset)
        serve_conn_drop(c, true);
    end_request(r, false);
}
