/* What passes is copied in runs of neighbouring lines: most heads are two or three memcpys. */
#include "proxy/forward.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#include "base/check.h"
#include "net/serve.h"

/* Eight hex digits at once: each nibble gets a byte, and those above 9 are moved up to 'a'. */
static void put_hex(uint32_t number, char *to)
{
    uint64_t x = number;

    x = (x | x << 16) & UINT64_C(0x0000ffff0000ffff);
    x = (x | x << 8) & UINT64_C(0x00ff00ff00ff00ff);
    x = (x | x << 4) & UINT64_C(0x0f0f0f0f0f0f0f0f);
    uint64_t letters = (x + UINT64_C(0x0606060606060606)) >> 4 & UINT64_C(0x0101010101010101);
    x += UINT64_C(0x3030303030303030) + letters * ('a' - '0' - 10);
    memcpy(to, &x, sizeof(x));
}

bool forward_request_id(const struct head *h, struct rng *rng, char to[static REQUEST_ID_MAX + 1])
{
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
    for (size_t at = 0; at < 32; at += 16) {
        uint64_t random = rng_u64(rng);
        put_hex((uint32_t)random, to + at);
        put_hex((uint32_t)(random >> 32), to + at + 8);
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

static inline char *put(char *to, struct str s)
{
    memcpy(to, s.ptr, s.len);
    return to + s.len;
}

/* `name` with its colon and space. */
static inline void add_field(struct str name, struct str value, struct strbuf *out)
{
    char *to = strbuf_grow(out, name.len + value.len + 2);

    if (to != NULL)
        put(put(put(to, name), value), STR("\r\n"));
}

/* The policy sets or removes this header, so that the client's own does not pass. */
static bool named_by_policy(const struct policy_upstream *u, struct str name)
{
    for (size_t i = 0; i < u->set_header_count; i++)
        if (str_ieq(name, str_from(u->set_headers[i].name)))
            return true;
    for (size_t i = 0; i < u->remove_header_count; i++)
        if (str_ieq(name, str_from(u->remove_headers[i])))
            return true;
    return false;
}

static inline bool overridden(const struct policy_upstream *u, struct str name)
{
    return u != NULL && named_by_policy(u, name);
}

/* A set of field ids. */
typedef uint32_t field_set;
_Static_assert(FIELD_ID_COUNT <= 32, "field_set has a bit for each");

static inline field_set only_if(bool wanted, enum field_id id)
{
    return (field_set)wanted << id;
}

/* Copies `first` (what stands right before the lines, or nothing) and the lines whose ids are not
 * in `drop`, that do not belong to the connection, and that the policy (`u`, for requests) has no
 * opinion about. */
static void add_lines(struct str first, const struct head *h, field_set drop,
                      const struct policy_upstream *u, struct strbuf *out)
{
    struct str run = first;

    for (size_t i = 0; i < h->count; i++) {
        const struct head_field *f = &h->fields[i];
        bool passes = !f->hop && (drop >> f->id & 1) == 0;
        bool copied =
            passes && !f->anew && (f->id == FIELD_CONTENT_LENGTH || !overridden(u, f->name));
        if (copied && run.ptr != NULL) {
            run.len += f->line.len;
            continue;
        }
        if (run.len > 0)
            strbuf_add(out, run);
        run = copied ? f->line : (struct str){NULL, 0};
        if (f->anew && passes) {
            strbuf_add(out, f->name);
            add_field(STR(": "), f->value, out);
        }
    }
    strbuf_add(out, run);
}

/* "Name: " with all present values of that field joined, and one more. */
static void add_present(const struct head *h, enum field_id id, struct strbuf *out)
{
    for (size_t i = h->index[id] - 1; i < h->count; i++) {
        if (h->fields[i].id != id || h->fields[i].value.len == 0 || h->fields[i].hop)
            continue;
        strbuf_add(out, h->fields[i].value);
        strbuf_add(out, STR(", "));
    }
}

static inline void add_joined(const struct head *h, enum field_id id, struct str name,
                              struct str last, struct strbuf *out)
{
    strbuf_add(out, name);
    if (h->index[id] != 0)
        add_present(h, id, out);
    strbuf_add(out, last);
    strbuf_add(out, STR("\r\n"));
}

static void add_via(const struct head *h, struct strbuf *out)
{
    if (h->index[FIELD_VIA] == 0 && h->minor == 1)
        strbuf_add(out, STR("Via: 1.1 sluice\r\n"));
    else
        add_joined(h, FIELD_VIA, STR("Via: "),
                   h->minor == 1 ? STR("1.1 sluice") : STR("1.0 sluice"), out);
}

/* What a trusted proxy said of the outside, or what we saw ourselves. */
static inline void add_claim(const struct forward_request *r, enum field_id id, struct str name,
                             struct str seen, struct strbuf *out)
{
    const struct head_field *f = r->trusted ? head_get(r->head, id) : NULL;
    struct str value = f != NULL && !f->hop && f->value.len > 0 ? f->value : seen;

    if (value.len > 0)
        add_field(name, value, out);
}

static const struct policy_upstream *policy_of(const struct forward_request *r)
{
    const struct policy_upstream *u = r->upstream;

    return u != NULL && u->set_header_count + u->remove_header_count > 0 ? u : NULL;
}

/* Fields that a proxy says in its own name, unless the policy has other plans for them. */
static void add_own(const struct forward_request *r, struct strbuf *out, struct forward_places *ret)
{
    const struct policy_upstream *u = policy_of(r);
    const struct head *h = r->head;

    if (!overridden(u, STR("x-forwarded-for"))) {
        if (r->trusted)
            add_joined(h, FIELD_X_FORWARDED_FOR, STR("X-Forwarded-For: "), r->peer, out);
        else
            add_field(STR("X-Forwarded-For: "), r->peer, out);
    }
    if (!overridden(u, STR("x-forwarded-proto")))
        add_claim(r, FIELD_X_FORWARDED_PROTO, STR("X-Forwarded-Proto: "),
                  r->secure ? STR("https") : STR("http"), out);
    if (!overridden(u, STR("x-forwarded-host")))
        add_claim(r, FIELD_X_FORWARDED_HOST, STR("X-Forwarded-Host: "), h->authority, out);
    if (!overridden(u, STR("x-request-id"))) {
        ret->request_id = out->len + sizeof("X-Request-Id: ") - 1;
        add_field(STR("X-Request-Id: "), r->request_id, out);
    }
    if (!overridden(u, STR("via")))
        add_via(h, out);
    for (size_t i = 0; u != NULL && i < u->set_header_count; i++) {
        strbuf_add(out, str_from(u->set_headers[i].name));
        add_field(STR(": "), str_from(u->set_headers[i].value), out);
    }
}

static void add_request_line(const struct head *h, struct strbuf *out)
{
    char *to = strbuf_grow(out, h->method.len + 1 + h->path.len + h->query.len + 11);

    if (to == NULL)
        return;
    to = put(put(to, h->method), STR(" "));
    put(put(put(to, h->path), h->query), STR(" HTTP/1.1\r\n"));
}

static void add_host(const struct forward_request *r, struct strbuf *out,
                     struct forward_places *ret)
{
    struct str host = r->head->authority;

    if (r->upstream != NULL && r->upstream->host == UPSTREAM_HOST_NAME) {
        host = str_from(r->upstream->host_name);
    } else if (r->upstream != NULL && r->upstream->host == UPSTREAM_HOST_ENDPOINT) {
        host = STR("");
        ret->host = out->len + sizeof("Host: ") - 1;
    } else if (host.len == 0) {
        host = str_from(r->authority);
    }
    add_field(STR("Host: "), host, out);
}

/* The usual request goes on as it came: its line, Host, and what may pass behind it. */
static bool goes_as_it_came(const struct forward_request *r)
{
    return r->head->plain && policy_of(r) == NULL &&
           (r->upstream == NULL || r->upstream->host == UPSTREAM_HOST_PRESERVE);
}

/* Connection and what it names: said to the upstream in our own name. */
static void add_connection(const struct forward_request *r, struct strbuf *out)
{
    const struct head *h = r->head;
    bool upgrade = r->upgrade && h->upgrade;

    if (upgrade)
        add_field(STR("Upgrade: "), h->upgrade_protocol, out);
    if (h->te_trailers)
        strbuf_add(out, STR("TE: trailers\r\n"));
    if (upgrade || h->te_trailers)
        add_field(STR("Connection: "),
                  !upgrade         ? STR("TE")
                  : h->te_trailers ? STR("Upgrade, TE")
                                   : STR("Upgrade"),
                  out);
}

bool forward_request_trailers(const struct head *h)
{
    return h->framing == FRAMING_CHUNKED && !h->nominates;
}

bool forward_response_trailers(const struct head *h, bool wanted)
{
    return h->framing == FRAMING_CHUNKED && !h->nominates && wanted;
}

void forward_request_head(const struct forward_request *r, struct strbuf *out,
                          struct forward_places *ret)
{
    const struct head *h = r->head;
    const struct head_field *trace = head_get(h, FIELD_TRACEPARENT);
    field_set drop =
        1u << FIELD_HOST | 1u << FIELD_VIA | 1u << FIELD_X_FORWARDED_FOR |
        1u << FIELD_X_FORWARDED_HOST | 1u << FIELD_X_FORWARDED_PROTO | 1u << FIELD_X_REQUEST_ID |
        only_if(r->unencoded, FIELD_ACCEPT_ENCODING) | only_if(!h->expect_continue, FIELD_EXPECT) |
        only_if(!r->trusted, FIELD_FORWARDED) | only_if(!r->trusted, FIELD_X_FORWARDED_OTHER) |
        only_if(h->max_forwards >= 0, FIELD_MAX_FORWARDS) |
        only_if(!forward_request_trailers(h), FIELD_TRAILER);

    if (trace != NULL && !traceparent_valid(trace->value))
        drop |= 1u << FIELD_TRACEPARENT | 1u << FIELD_TRACESTATE;

    struct str first = {NULL, 0};

    *ret = (struct forward_places){.path = h->method.len + 1};
    if (goes_as_it_came(r)) {
        first = (struct str){h->method.ptr, (size_t)(h->fields[0].line.ptr - h->method.ptr)};
        drop &= ~(1u << FIELD_HOST);
    } else {
        add_request_line(h, out);
        add_host(r, out, ret);
    }
    add_lines(first, h, drop, policy_of(r), out);
    if (h->framing == FRAMING_CHUNKED)
        strbuf_add(out, STR("Transfer-Encoding: chunked\r\n"));
    if (h->max_forwards > 0)
        strbuf_addf(out, "Max-Forwards: %" PRId32 "\r\n", h->max_forwards - 1);
    add_connection(r, out);
    add_own(r, out, ret);
    strbuf_add(out, STR("\r\n"));
}

/* A status has three digits: no need for printf on every answer. */
static void add_status_line(const struct head *h, struct strbuf *out)
{
    unsigned status = (unsigned)h->status;
    const char digits[] = {(char)('0' + status / 100), (char)('0' + status / 10 % 10),
                           (char)('0' + status % 10), ' '};
    char *to = strbuf_grow(out, 13 + h->reason.len + 2);

    if (to == NULL)
        return;
    to = put(put(to, STR("HTTP/1.1 ")), (struct str){digits, sizeof(digits)});
    put(put(to, h->reason), STR("\r\n"));
}

static bool passes(const struct head *h, enum field_id id)
{
    const struct head_field *f = head_get(h, id);

    return f != NULL && !f->hop;
}

void forward_response_head(const struct forward_response *r, struct strbuf *out)
{
    const struct head *h = r->head;
    bool upgrade = h->upgrade && (r->upgrade || h->status == 426);
    bool no_length = h->status == 204 || h->status < 200; /* RFC 9110, 8.6 */
    field_set drop = 1u << FIELD_VIA | 1u << FIELD_X_SLUICE_VERSION |
                     only_if(no_length, FIELD_CONTENT_LENGTH) |
                     only_if(r->framing != FRAMING_CHUNKED || !r->trailers, FIELD_TRAILER);

    add_status_line(h, out);
    add_lines((struct str){NULL, 0}, h, drop, NULL, out);
    if (r->framing == FRAMING_CHUNKED)
        strbuf_add(out, STR("Transfer-Encoding: chunked\r\n"));
    if (r->date.len > 0 && !passes(h, FIELD_DATE))
        add_field(STR("Date: "), r->date, out);
    add_field(STR("x-sluice-version: "), r->version, out);
    if (!passes(h, FIELD_X_REQUEST_ID))
        add_field(STR("X-Request-Id: "), r->request_id, out);
    add_via(h, out);
    if (upgrade) {
        add_field(STR("Upgrade: "), h->upgrade_protocol, out);
        strbuf_add(out, r->close && h->status != 101 ? STR("Connection: Upgrade, close\r\n")
                                                     : STR("Connection: Upgrade\r\n"));
    } else if (r->close) {
        strbuf_add(out, STR("Connection: close\r\n"));
    } else if (r->keep_alive_10) {
        strbuf_add(out, STR("Connection: keep-alive\r\n"));
    }
    strbuf_add(out, STR("\r\n"));
}

void forward_interim_head(const struct head *h, struct strbuf *out)
{
    field_set drop =
        1u << FIELD_CONTENT_LENGTH | 1u << FIELD_TRAILER | 1u << FIELD_X_SLUICE_VERSION;

    add_status_line(h, out);
    add_lines((struct str){NULL, 0}, h, drop, NULL, out);
    strbuf_add(out, STR("\r\n"));
}

struct str forward_date(int64_t unix_s, char to[static FORWARD_DATE_MAX])
{
    static const char days[7][4] = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static const char months[12][4] = {"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                       "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    time_t t = (time_t)unix_s;
    struct tm tm;
    char text[80];

    CHECK(gmtime_r(&t, &tm) != NULL);
    snprintf(text, sizeof(text), "%s, %02d %s %04d %02d:%02d:%02d GMT", days[tm.tm_wday],
             tm.tm_mday, months[tm.tm_mon], tm.tm_year + 1900, tm.tm_hour, tm.tm_min, tm.tm_sec);
    str_copy(to, FORWARD_DATE_MAX, str_from(text));
    return str_from(to);
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
    if (e->date.len > 0)
        add_field(STR("Date: "), e->date, out);
    strbuf_add(out, STR("Via: 1.1 sluice\r\n"));
    if (e->close)
        strbuf_add(out, STR("Connection: close\r\n"));
    strbuf_add(out, STR("\r\n"));
    if (!e->to_head)
        strbuf_add(out, strbuf_str(&body));
    strbuf_deinit(&body);
}
