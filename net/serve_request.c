/* One request as it is read: llhttp (strict) splits it, its pieces are copied into one growing
 * buffer of the request's own, so that it stays readable when the connection is gone. llhttp bounds
 * nothing, so every byte is counted here: the head as a whole, the body, and what a chunked body
 * can carry beside data (extensions, trailers; both are thrown away).
 *
 * What surprises: `data` moves while the request grows, so spans are offsets until it is complete.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "net/serve_internal.h"

static struct str span_str(const struct serve_request *r, struct serve_span s)
{
    return (struct str){r->data + s.at, s.len};
}

/* --- memory --- */

/* Back to the state serve_request_take wants, with the buffers kept. Field by field: clearing the
 * whole object would cost more than reading a small request. */
static void clear(struct serve_request *r)
{
    static const struct serve_span none = {0, 0};

    free(r->params);
    free(r->params_text);
    r->params = NULL;
    r->params_text = NULL;
    r->param_count = r->field_count = 0;
    r->conn = NULL;
    r->len = r->mark = r->head_raw = r->idle_raw = 0;
    r->target = r->path = r->query = r->body = r->name = none;
    r->begun = r->head_complete = r->complete = r->keep_alive = r->http10 = false;
    r->is_head = r->wants_continue = false;
    r->has_length = r->streaming = r->chunked = r->silent = r->in_gone = false;
    r->error_status = 0;
    r->error_detail = NULL;
    r->length_left = 0;
    r->gone = NULL;
    r->gone_arg = NULL;
    strbuf_reset(&r->extra);
}

void serve_request_give(struct serve *s, struct serve_request *r)
{
    clear(r);
    if (s != NULL && !s->closing && s->pool_count < SERVE_POOL_MAX) {
        if (r->cap > SERVE_POOL_BYTES_MAX) {
            free(r->data);
            r->data = NULL;
            r->cap = 0;
        }
        r->next_free = s->pool;
        s->pool = r;
        s->pool_count++;
        return;
    }
    strbuf_deinit(&r->extra);
    free(r->data);
    free(r);
}

static void append(struct serve_request *r, const char *data, size_t len)
{
    if (r->cap - r->len < len) {
        size_t cap = r->cap < 1024 ? 1024 : r->cap * 2;

        if (cap < r->len + len)
            cap = r->len + len;
        r->data = xrealloc(r->data, cap);
        r->cap = cap;
    }
    memcpy(r->data + r->len, data, len);
    r->len += len;
}

/* --- the parser's callbacks --- */

static int refuse(struct serve_request *r, int status, const char *detail)
{
    r->error_status = status;
    r->error_detail = detail;
    return -1;
}

static int on_begin(llhttp_t *p)
{
    struct serve_request *r = p->data;

    r->begun = true;
    return 0;
}

static int on_head_bytes(llhttp_t *p, const char *at, size_t len)
{
    struct serve_request *r = p->data;

    if (r->head_complete)
        return 0; /* a trailer */
    if (len > r->head_max || r->len > r->head_max - len)
        return refuse(r, 431, "the request's head is too large");
    append(r, at, len);
    return 0;
}

static int on_url_complete(llhttp_t *p)
{
    struct serve_request *r = p->data;

    r->target = (struct serve_span){0, r->len};
    r->mark = r->len;
    return 0;
}

static int on_name_complete(llhttp_t *p)
{
    struct serve_request *r = p->data;

    if (r->head_complete)
        return 0;
    r->name = (struct serve_span){r->mark, r->len - r->mark};
    /* llhttp 8.1 counts spaces as part of a name, even when strict; RFC 9112, 5.1 does not. */
    if (r->name.len == 0 || memchr(r->data + r->name.at, ' ', r->name.len) != NULL)
        return refuse(r, 400, "a header field's name has a space");
    r->mark = r->len;
    return 0;
}

static int on_value_complete(llhttp_t *p)
{
    struct serve_request *r = p->data;

    if (r->head_complete)
        return 0;
    if (r->field_count == SERVE_FIELDS_MAX)
        return refuse(r, 431, "too many header fields");
    struct str value = str_trim((struct str){r->data + r->mark, r->len - r->mark});
    r->fields[r->field_count].name = r->name;
    r->fields[r->field_count].value = (struct serve_span){(size_t)(value.ptr - r->data), value.len};
    r->field_count++;
    r->mark = r->len;
    return 0;
}

static int hex_digit(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/* Writes s, decoded, to `to` (at least s.len bytes). False on a broken escape or a NUL. */
static bool decode(struct str s, bool plus_is_space, char *to, size_t *ret_len)
{
    size_t n = 0;

    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];

        if (c == '%') {
            int high = -1, low = -1;

            if (s.len - i > 2) {
                high = hex_digit(s.ptr[i + 1]);
                low = hex_digit(s.ptr[i + 2]);
            }
            if (high < 0 || low < 0 || (high == 0 && low == 0))
                return false;
            c = (char)(high * 16 + low);
            i += 2;
        } else if (c == '+' && plus_is_space) {
            c = ' ';
        }
        to[n++] = c;
    }
    *ret_len = n;
    return true;
}

/* origin-form, absolute-form and "*" (RFC 9112, 3.2). CONNECT's authority-form is refused. */
static int split_target(struct serve_request *r)
{
    struct str t = span_str(r, r->target);
    size_t at = 0;

    if (memchr(t.ptr, '#', t.len) != NULL)
        return refuse(r, 400, "the request target has a fragment");
    if (t.len > 0 && t.ptr[0] != '/' && !str_eq(t, STR("*"))) {
        const char *scheme = memmem(t.ptr, t.len, "://", 3);

        if (scheme == NULL)
            return refuse(r, 400, "the request target is not a path");
        at = (size_t)(scheme - t.ptr) + 3;
        while (at < t.len && t.ptr[at] != '/' && t.ptr[at] != '?')
            at++;
    }
    const char *mark = memchr(t.ptr + at, '?', t.len - at);
    size_t end = mark != NULL ? (size_t)(mark - t.ptr) : t.len;
    if (mark != NULL)
        r->query = (struct serve_span){end + 1, t.len - end - 1};
    if (memchr(t.ptr + at, '%', end - at) == NULL) {
        r->path = (struct serve_span){at, end - at};
        return 0;
    }
    char *decoded = xmalloc(end - at);
    size_t len = 0;
    bool ok = decode((struct str){t.ptr + at, end - at}, false, decoded, &len);
    r->path = (struct serve_span){r->len, len};
    if (ok)
        append(r, decoded, len);
    free(decoded);
    return ok ? 0 : refuse(r, 400, "the request target has a broken percent-escape");
}

static int check_host(struct serve_request *r)
{
    size_t hosts = 0;

    for (size_t i = 0; i < r->field_count; i++)
        hosts += str_ieq(span_str(r, r->fields[i].name), STR("host"));
    if (hosts > 1)
        return refuse(r, 400, "more than one Host field");
    if (hosts == 0 && !r->http10)
        return refuse(r, 400, "no Host field");
    return 0;
}

static int check_expect(struct serve_request *r, bool has_body)
{
    struct str expect = serve_header(r, STR("expect"));

    if (expect.ptr == NULL || r->http10)
        return 0;
    if (!str_ieq(expect, STR("100-continue")))
        return refuse(r, 417, "the only expectation that can be met is 100-continue");
    r->wants_continue = has_body;
    return 0;
}

static int on_head_complete(llhttp_t *p)
{
    struct serve_request *r = p->data;
    bool chunked = (p->flags & F_CHUNKED) != 0;

    r->head_complete = true;
    r->method = llhttp_method_name((llhttp_method_t)p->method);
    r->is_head = p->method == HTTP_HEAD;
    r->http10 = p->http_major == 1 && p->http_minor == 0;
    if (p->http_major != 1)
        return refuse(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    if (p->method == HTTP_CONNECT)
        return refuse(r, 501, "CONNECT is not supported");
    if (r->http10 && (p->flags & F_TRANSFER_ENCODING) != 0)
        return refuse(r, 400, "an HTTP/1.0 request with Transfer-Encoding");
    if (check_host(r) != 0 || split_target(r) != 0)
        return -1;
    if (!chunked && p->content_length > r->body_max)
        return refuse(r, 413, "the request's body is too large");
    if (check_expect(r, chunked || p->content_length > 0) != 0)
        return -1;
    p->upgrade = 0; /* an upgrade nobody here offers is ignored (RFC 9110, 7.8) */
    r->body.at = r->len;
    return 0;
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct serve_request *r = p->data;

    if (len > r->body_max - r->body.len)
        return refuse(r, 413, "the request's body is too large");
    append(r, at, len);
    r->body.len += len;
    r->wants_continue = false; /* it did not wait */
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct serve_request *r = p->data;

    r->keep_alive = llhttp_should_keep_alive(p) != 0;
    r->complete = true;
    r->wants_continue = false;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_message_begin = on_begin,
    .on_url = on_head_bytes,
    .on_url_complete = on_url_complete,
    .on_header_field = on_head_bytes,
    .on_header_field_complete = on_name_complete,
    .on_header_value = on_head_bytes,
    .on_header_value_complete = on_value_complete,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

struct serve_request *serve_request_take(struct serve_conn *c)
{
    struct serve *s = c->server;
    struct serve_request *r = s->pool;

    if (r != NULL) {
        s->pool = r->next_free;
        s->pool_count--;
    } else {
        r = xcalloc(1, sizeof(*r));
        strbuf_init(&r->extra, SERVE_EXTRA_MAX);
    }
    llhttp_init(&r->parser, HTTP_REQUEST, &settings);
    r->parser.data = r;
    r->conn = c;
    r->loop = s->loop;
    r->head_max = s->options.head_max;
    r->body_max = s->options.body_max;
    memcpy(r->peer, c->peer, sizeof(r->peer));
    return r;
}

/* Counts what the parser swallowed without keeping: false when it is too much. */
static bool count_raw(struct serve_request *r, size_t len, size_t body_before)
{
    if (!r->head_complete) {
        r->head_raw += len;
        return r->head_raw <= r->head_max;
    }
    r->idle_raw = r->body.len > body_before ? 0 : r->idle_raw + len;
    return r->idle_raw <= r->head_max;
}

enum serve_parse serve_request_feed(struct serve_request *r, const char *data, size_t len,
                                    size_t *ret_used)
{
    size_t body_before = r->body.len;
    enum llhttp_errno e = llhttp_execute(&r->parser, data, len);

    if (r->complete) {
        *ret_used = (size_t)(llhttp_get_error_pos(&r->parser) - data);
        return SERVE_PARSE_DONE;
    }
    if (e == HPE_OK && count_raw(r, len, body_before)) {
        *ret_used = len;
        return SERVE_PARSE_MORE;
    }
    if (e == HPE_OK)
        refuse(r, 431, "the request's head is too large");
    else if (e == HPE_PAUSED_H2_UPGRADE)
        refuse(r, 505, "only HTTP/1.0 and HTTP/1.1 are spoken here");
    else if (r->error_status == 0)
        refuse(r, 400, llhttp_get_error_reason(&r->parser));
    return SERVE_PARSE_BAD;
}

/* --- what a handler reads --- */

struct str serve_method(const struct serve_request *r)
{
    return str_from(r->method);
}

struct str serve_path(const struct serve_request *r)
{
    return r->path.len > 0 ? span_str(r, r->path) : STR("/");
}

struct str serve_query(const struct serve_request *r)
{
    return span_str(r, r->query);
}

struct str serve_body(const struct serve_request *r)
{
    return span_str(r, r->body);
}

struct str serve_peer(const struct serve_request *r)
{
    return str_from(r->peer);
}

uv_loop_t *serve_loop(const struct serve_request *r)
{
    return r->loop;
}

struct str serve_header(const struct serve_request *r, struct str name)
{
    for (size_t i = 0; i < r->field_count; i++)
        if (r->fields[i].name.len == name.len && str_ieq(span_str(r, r->fields[i].name), name))
            return span_str(r, r->fields[i].value);
    return (struct str){NULL, 0};
}

/* Decodes the whole query once. A parameter with a broken escape is left out. */
static void parse_query(struct serve_request *r)
{
    struct str rest = serve_query(r), one;
    char *to = r->params_text = xmalloc(rest.len + 1);

    r->params = xcalloc(SERVE_PARAMS_MAX, sizeof(*r->params));
    while (r->param_count < SERVE_PARAMS_MAX && str_split(&rest, '&', &one)) {
        struct str name = {NULL, 0}, value = one;
        size_t name_len = 0, value_len = 0;

        if (one.len == 0 || !str_split(&value, '=', &name))
            continue;
        if (value.ptr == NULL)
            value = STR("");
        if (!decode(name, true, to, &name_len) || !decode(value, true, to + name_len, &value_len))
            continue;
        r->params[r->param_count++] =
            (struct serve_param){{to, name_len}, {to + name_len, value_len}};
        to += name_len + value_len;
    }
}

bool serve_query_get(const struct serve_request *r, struct str name, struct str *ret)
{
    if (r->params == NULL)
        parse_query((struct serve_request *)(uintptr_t)r); /* a cache: the request is the same */
    for (size_t i = 0; i < r->param_count; i++) {
        if (str_eq(r->params[i].name, name)) {
            *ret = r->params[i].value;
            return true;
        }
    }
    return false;
}

void serve_on_gone(struct serve_request *r, serve_gone_fn *fn, void *arg)
{
    r->gone = fn;
    r->gone_arg = arg;
}
