/* Answers. A problem's `instance` is the path that was asked for, so that a log of bodies alone
 * can be read. */
#include "admin/reply.h"

#include <stdarg.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/strbuf.h"

enum { DETAIL_BYTES_MAX = 16 * 1024, JSON_BYTES_MAX = 256 * 1024 * 1024 };

void reply_headers(struct serve_request *r)
{
    serve_add_header(r, STR("cache-control"), STR("no-store"));
    serve_add_header(r, STR("x-content-type-options"), STR("nosniff"));
    serve_add_header(r, STR("x-frame-options"), STR("DENY"));
    serve_add_header(r, STR("content-security-policy"),
                     STR("default-src 'none'; frame-ancestors 'none'"));
    serve_add_header(r, STR("referrer-policy"), STR("no-referrer"));
    serve_add_header(r, STR("cross-origin-resource-policy"), STR("same-origin"));
}

void reply_text(struct serve_request *r, int status, struct str content_type, struct str body)
{
    reply_headers(r);
    serve_reply(r, status, content_type, body);
}

static int add_piece(const char *bytes, size_t len, void *to)
{
    return strbuf_add(to, (struct str){bytes, len}) ? 0 : -1;
}

bool reply_add_json(struct strbuf *to, json_t *value)
{
    /* 12 digits: enough for every measured value, and 0.1 stays "0.1". */
    int rc = json_dump_callback(value, add_piece, to, JSON_COMPACT | JSON_REAL_PRECISION(12));

    json_decref(value);
    return rc == 0;
}

static void reply_dump(struct serve_request *r, int status, struct str content_type, json_t *body)
{
    struct strbuf line;

    strbuf_init(&line, JSON_BYTES_MAX);
    bool whole = reply_add_json(&line, body);
    strbuf_add_char(&line, '\n');
    if (whole && !line.overflow)
        reply_text(r, status, content_type, strbuf_str(&line));
    else
        reply_text(r, 500, STR("text/plain"), STR("the answer is not valid JSON\n"));
    strbuf_deinit(&line);
}

void reply_json(struct serve_request *r, int status, json_t *body)
{
    reply_dump(r, status, STR("application/json"), body);
}

/* Peers choose paths: bytes that are not UTF-8 are replaced, since JSON cannot carry them. */
static json_t *json_from_peer(struct str s)
{
    struct strbuf quoted;

    strbuf_init(&quoted, s.len * 6 + 3);
    strbuf_add_json(&quoted, s);
    json_t *value = json_loads(strbuf_cstr(&quoted), JSON_DECODE_ANY | JSON_ALLOW_NUL, NULL);
    strbuf_deinit(&quoted);
    return value == NULL ? json_string("") : value;
}

void reply_problem(struct serve_request *r, int status, const char *kind, const char *title,
                   const char *detail_fmt, ...)
{
    struct strbuf type, detail;
    json_t *body = json_object();
    va_list args;

    strbuf_init(&type, 128);
    strbuf_init(&detail, DETAIL_BYTES_MAX);
    strbuf_addf(&type, "urn:sluice:problem:%s", kind);
    va_start(args, detail_fmt);
    strbuf_vaddf(&detail, detail_fmt, args);
    va_end(args);
    json_object_set_new(body, "type", json_string(strbuf_cstr(&type)));
    json_object_set_new(body, "title", json_string(title));
    json_object_set_new(body, "status", json_integer(status));
    json_object_set_new(body, "detail", json_from_peer(strbuf_str(&detail)));
    json_object_set_new(body, "instance", json_from_peer(serve_path(r)));
    strbuf_deinit(&type);
    strbuf_deinit(&detail);
    reply_dump(r, status, STR("application/problem+json"), body);
}
