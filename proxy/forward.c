/* What passes is copied in runs of neighbouring lines: most heads are two or three memcpys. */
#include "proxy/forward.h"

#include <inttypes.h>

#include "net/serve.h"

bool forward_request_id(const struct head *h, struct rng *rng, char to[static REQUEST_ID_MAX + 1])
{
    static const char hex[] = "0123456789abcdef";
    const struct head_field *f = head_get(h, FIELD_X_REQUEST_ID);

    if (f != NULL && f->value.len > 0 && f->value.len <= REQUEST_ID_MAX) {
        bool sane = true;
        for (size_t i = 0; i < f->value.len && sane; i++)
            sane = f->value.ptr[i] > ' ' && f->value.ptr[i] < 0x7f;
        if (sane) {
            str_copy(to, REQUEST_ID_MAX + 1, f->value);
            return true;
        }
    }
    for (int half = 0; half < 2; half++) {
        uint64_t random = rng_u64(rng);
        for (int i = 0; i < 16; i++, random >>= 4)
            to[half * 16 + i] = hex[random & 15];
    }
    to[32] = '\0';
    return false;
}

static bool lower_hex(struct str s, bool *ret_zero)
{
    *ret_zero = true;
    for (size_t i = 0; i < s.len; i++) {
        char c = s.ptr[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
            return false;
        if (c != '0')
            *ret_zero = false;
    }
    return true;
}

/* W3C Trace Context, 3.2: version "-" trace-id "-" parent-id "-" flags, lower-case hex, neither id
 * zero, version not ff; version 00 ends there, later ones may go on after another dash. */
static bool traceparent_valid(struct str v)
{
    bool zero;

    if (v.len < 55 || v.ptr[2] != '-' || v.ptr[35] != '-' || v.ptr[52] != '-')
        return false;
    if (!lower_hex((struct str){v.ptr, 2}, &zero) || memcmp(v.ptr, "ff", 2) == 0 ||
        (zero && v.len != 55) || (v.len > 55 && v.ptr[55] != '-'))
        return false;
    if (!lower_hex((struct str){v.ptr + 3, 32}, &zero) || zero)
        return false;
    if (!lower_hex((struct str){v.ptr + 36, 16}, &zero) || zero)
        return false;
    return lower_hex((struct str){v.ptr + 53, 2}, &zero);
}

/* Copies the lines for which drop[id] is false and that do not belong to the connection. */
static void add_lines(const struct head *h, const bool drop[static FIELD_ID_COUNT],
                      struct strbuf *out)
{
    struct str run = {NULL, 0};

    for (size_t i = 0; i < h->count; i++) {
        const struct head_field *f = &h->fields[i];
        if (f->hop || drop[f->id]) {
            strbuf_add(out, run);
            run = (struct str){NULL, 0};
        } else if (run.ptr == NULL) {
            run = f->line;
        } else {
            run.len += f->line.len;
        }
    }
    strbuf_add(out, run);
}

/* "Name: " with all present values of that field joined, and one more. */
static void add_joined(const struct head *h, enum field_id id, struct str name, struct str last,
                       struct strbuf *out)
{
    strbuf_add(out, name);
    if (h->index[id] != 0) {
        for (size_t i = h->index[id] - 1; i < h->count; i++) {
            if (h->fields[i].id != id || h->fields[i].value.len == 0)
                continue;
            strbuf_add(out, h->fields[i].value);
            strbuf_add(out, STR(", "));
        }
    }
    strbuf_add(out, last);
    strbuf_add(out, STR("\r\n"));
}

static void add_field(struct str name, struct str value, struct strbuf *out)
{
    strbuf_add(out, name);
    strbuf_add(out, value);
    strbuf_add(out, STR("\r\n"));
}

void forward_request_head(const struct forward_request *r, struct strbuf *out)
{
    const struct head *h = r->head;
    const struct head_field *trace = head_get(h, FIELD_TRACEPARENT);
    bool drop[FIELD_ID_COUNT] = {
        [FIELD_HOST] = true,
        [FIELD_VIA] = true,
        [FIELD_X_FORWARDED_FOR] = true,
        [FIELD_X_FORWARDED_HOST] = true,
        [FIELD_X_FORWARDED_PROTO] = true,
        [FIELD_X_REQUEST_ID] = true,
    };
    struct str authority = h->authority.len > 0 ? h->authority : r->authority;

    if (trace != NULL && !traceparent_valid(trace->value))
        drop[FIELD_TRACEPARENT] = drop[FIELD_TRACESTATE] = true;
    drop[FIELD_EXPECT] = !h->expect_continue;

    strbuf_add(out, h->method);
    strbuf_add_char(out, ' ');
    strbuf_add(out, h->path);
    strbuf_add(out, h->query);
    strbuf_add(out, STR(" HTTP/1.1\r\n"));
    add_field(STR("Host: "), authority, out);
    add_lines(h, drop, out);
    if (h->framing == FRAMING_CHUNKED)
        strbuf_add(out, STR("Transfer-Encoding: chunked\r\n"));
    add_joined(h, FIELD_X_FORWARDED_FOR, STR("X-Forwarded-For: "), r->peer, out);
    strbuf_add(out, STR("X-Forwarded-Proto: http\r\n"));
    if (h->authority.len > 0)
        add_field(STR("X-Forwarded-Host: "), h->authority, out);
    add_field(STR("X-Request-Id: "), str_from(r->request_id), out);
    add_joined(h, FIELD_VIA, STR("Via: "), h->minor == 1 ? STR("1.1 sluice") : STR("1.0 sluice"),
               out);
    strbuf_add(out, STR("\r\n"));
}

/* A status has three digits: no need for printf on every answer. */
static void add_status_line(const struct head *h, struct strbuf *out)
{
    const char digits[] = {(char)('0' + h->status / 100), (char)('0' + h->status / 10 % 10),
                           (char)('0' + h->status % 10), ' '};

    strbuf_add(out, STR("HTTP/1.1 "));
    strbuf_add(out, (struct str){digits, sizeof(digits)});
    strbuf_add(out, h->reason);
    strbuf_add(out, STR("\r\n"));
}

void forward_response_head(const struct forward_response *r, struct strbuf *out)
{
    const struct head *h = r->head;
    bool drop[FIELD_ID_COUNT] = {[FIELD_VIA] = true,
                                 [FIELD_X_SLUICE_VERSION] = true,
                                 [FIELD_CONTENT_LENGTH] = h->status == 204}; /* RFC 9110, 8.6 */

    add_status_line(h, out);
    add_lines(h, drop, out);
    if (r->framing == FRAMING_CHUNKED)
        strbuf_add(out, STR("Transfer-Encoding: chunked\r\n"));
    add_field(STR("x-sluice-version: "), str_from(r->version), out);
    if (h->index[FIELD_X_REQUEST_ID] == 0)
        add_field(STR("X-Request-Id: "), str_from(r->request_id), out);
    add_joined(h, FIELD_VIA, STR("Via: "), h->minor == 1 ? STR("1.1 sluice") : STR("1.0 sluice"),
               out);
    if (r->close)
        strbuf_add(out, STR("Connection: close\r\n"));
    else if (r->keep_alive_10)
        strbuf_add(out, STR("Connection: keep-alive\r\n"));
    strbuf_add(out, STR("\r\n"));
}

void forward_interim_head(const struct head *h, struct strbuf *out)
{
    static const bool drop[FIELD_ID_COUNT] = {[FIELD_CONTENT_LENGTH] = true};

    add_status_line(h, out);
    add_lines(h, drop, out);
    strbuf_add(out, STR("\r\n"));
}

static void add_error_body(const struct forward_error *e, struct strbuf *body)
{
    strbuf_add(body, STR("{\"error\": {\"code\": "));
    strbuf_add_json(body, str_from(e->code));
    strbuf_add(body, STR(", \"message\": "));
    strbuf_add_json(body, str_from(e->message));
    strbuf_add(body, STR(", \"request_id\": "));
    if (e->request_id != NULL)
        strbuf_add_json(body, str_from(e->request_id));
    else
        strbuf_add(body, STR("null"));
    strbuf_add(body, STR("}}\n"));
}

void forward_error(const struct forward_error *e, struct strbuf *out)
{
    struct strbuf body;

    strbuf_init(&body, 4096);
    add_error_body(e, &body);
    strbuf_addf(out,
                "HTTP/1.1 %d %s\r\nContent-Type: application/json\r\nContent-Length: %zu\r\n"
                "Cache-Control: no-store\r\n",
                e->status, serve_reason(e->status), body.len);
    if (e->version != NULL)
        add_field(STR("x-sluice-version: "), str_from(e->version), out);
    if (e->request_id != NULL)
        add_field(STR("X-Request-Id: "), str_from(e->request_id), out);
    if (e->retry_after_s > 0)
        strbuf_addf(out, "Retry-After: %d\r\n", e->retry_after_s);
    strbuf_add(out, STR("Via: 1.1 sluice\r\n"));
    if (e->close)
        strbuf_add(out, STR("Connection: close\r\n"));
    strbuf_add(out, STR("\r\n"));
    if (!e->to_head)
        strbuf_add(out, strbuf_str(&body));
    strbuf_deinit(&body);
}
