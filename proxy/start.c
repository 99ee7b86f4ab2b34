/* A request's beginning: what sluice answers by itself, the rollout that takes it, the version it
 * goes to.
 */
#include "analysis/where.h"
#include "base/check.h"
#include "proxy/access_entry.h"
#include "proxy/exchange.h"
#include "proxy/split.h"
#include "proxy/trust.h"

/* An answer without an exchange. Such requests are logged when errors are. */
static void answer_unrouted(struct client *c, const struct head *h, const struct failure *f)
{
    char request_id[REQUEST_ID_MAX + 1];
    bool has_body = h->framing != FRAMING_NONE;
    bool keep = client_may_go_on(c, h) && h->minor == 1 && !has_body;

    forward_request_id(h, &c->worker->rng, request_id);
    struct forward_error e = {.status = f->status,
                              .code = f->code,
                              .message = f->message,
                              .request_id = request_id,
                              .close = !keep,
                              .to_head = str_eq(h->method, STR("HEAD"))};
    client_log_refusal(c, h, &e);
    client_answer(c, &e, keep, has_body);
}

/* The listeners' own probe: before any rollout is looked at, never counted as a request. */
static bool answer_health(struct client *c, const struct head *h)
{
    const struct shared *s = c->worker->shared;
    struct strbuf *out = &c->worker->scratch;

    if (s->config->health_path == NULL || !str_eq(h->path, str_from(s->config->health_path)) ||
        (!str_eq(h->method, STR("GET")) && !str_eq(h->method, STR("HEAD"))))
        return false;
    bool ready = !c->worker->draining && !atomic_load_explicit(&s->unready, memory_order_relaxed);
    bool has_body = h->framing != FRAMING_NONE;
    bool keep = client_may_go_on(c, h) && h->minor == 1 && !has_body;
    struct str body = ready ? STR("ready\n") : STR("draining\n");
    strbuf_reset(out);
    strbuf_addf(out,
                "HTTP/1.1 %s\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n"
                "Cache-Control: no-store\r\n%s\r\n",
                ready ? "200 OK" : "503 Service Unavailable", body.len,
                keep ? "" : "Connection: close\r\n");
    if (!str_eq(h->method, STR("HEAD")))
        strbuf_add(out, body);
    client_send(c, strbuf_str(out), keep, has_body);
    return true;
}

static bool idempotent(struct str method)
{
    static const struct str methods[] = {{"GET", 3},   {"HEAD", 4}, {"OPTIONS", 7},
                                         {"TRACE", 5}, {"PUT", 3},  {"DELETE", 6}};

    for (size_t i = 0; i < ARRAY_LEN(methods); i++)
        if (str_eq(method, methods[i]))
            return true;
    return false;
}

/* The memo has it where it stands in the text. */
static void remember_at(struct exchange *ex, enum exchange_memo which, size_t at, struct str text)
{
    ex->memo_at[which] = (uint32_t)at;
    ex->memo_len[which] = (uint8_t)exchange_cut(which, text).len;
}

/* The memo has it behind the head. */
static void remember(struct exchange *ex, enum exchange_memo which, struct str text,
                     struct strbuf *out)
{
    remember_at(ex, which, out->len, text);
    strbuf_add(out, exchange_cut(which, text));
}

/* What is compressed cannot be looked at. */
static bool wants_unencoded(const struct route *route, const struct head *h)
{
    return (h->accepts_event_stream && route->policy->protocol != PROTOCOL_PLAIN) ||
           (route->fields != NULL && route->fields->slots != 0);
}

/* The head as it goes out, and behind it what outlives it. False: it is too large. */
static bool write_text(struct exchange *ex, const struct head *h)
{
    struct client *c = ex->client;
    struct worker *w = ex->worker;
    struct strbuf *out = &w->scratch;
    char request_id[REQUEST_ID_MAX + 1];
    bool given = forward_request_id(h, &w->rng, request_id);
    struct forward_request r = {
        .head = h,
        .peer = client_peer(c),
        .authority = ex->route->versions[VARIANT_STABLE].endpoints[0].authority,
        .request_id = {request_id, given ? strlen(request_id) : REQUEST_ID_BYTES},
        .secure = stream_is_secure(&c->stream),
        .trusted = c->trusted,
        .upstream = &ex->route->policy->upstream,
        .upgrade = ex->wants_upgrade,
        .unencoded = wants_unencoded(ex->route, h),
    };
    struct forward_places at;

    strbuf_reset(out);
    forward_request_head(&r, out, &at);
    ex->head_len = (uint32_t)out->len;
    ex->host_at = (uint32_t)at.host;
    remember_at(ex, MEMO_METHOD, 0, h->method);
    remember_at(ex, MEMO_PATH, at.path, h->path);
    if (at.request_id > 0)
        remember_at(ex, MEMO_REQUEST_ID, at.request_id, r.request_id);
    else
        remember(ex, MEMO_REQUEST_ID, r.request_id, out);
    if (c->trusted)
        remember(ex, MEMO_PEER, trust_client(w->shared->config, h, r.peer), out);
    if (ex->wants_upgrade)
        remember(ex, MEMO_UPGRADE, h->upgrade_protocol, out);
    if (out->overflow) /* never a part of a head */
        return false;
    exchange_keep(ex, strbuf_str(out));
    return true;
}

/* False: the head is too large to be sent on. */
static bool fill(struct exchange *ex, struct client *c, const struct route *route,
                 const struct head *h)
{
    struct worker *w = c->worker;

    ex->worker = w;
    ex->client = c;
    ex->route = route;
    ex->idempotent = idempotent(h->method);
    ex->to_head = str_eq(h->method, STR("HEAD"));
    ex->http10 = h->minor == 0;
    ex->te_trailers = h->te_trailers;
    ex->wants_upgrade = h->upgrade && h->upgrade_protocol.len <= UPGRADE_MAX;
    ex->client_keep_alive = client_may_go_on(c, h);
    ex->start_ns = ex->attempt_ns = ex->progress_ns = ex->request_done_ns = w->loop.now_ns;
    body_init(&ex->request, h->framing, h->length);
    ex->request.drop_trailers = !forward_request_trailers(h);
    list_init(&ex->link);
    list_init(&ex->wait);
    return write_text(ex, h);
}

static void choose_variant(struct exchange *ex, const struct head *h)
{
    struct worker *w = ex->worker;
    const struct policy_analysis *a = &ex->route->policy->analysis;
    struct weight_now weight = weight_read(&w->shared->weights[ex->route->rollout]);

    ex->epoch = weight.epoch;
    ex->applies = ex->route->has_where ? where_applies(a, h->method, h->path) : UINT32_MAX;
    ex->variant = (uint8_t)(ex->route->versions[VARIANT_CANARY].endpoint_count == 0
                                ? VARIANT_STABLE
                                : split_pick(rng_u64(&w->rng), weight.weight_bp));
}

/* The client asked for one server's certificate and then for another's host, as one that reuses a
 * connection for all names does: it should ask on a connection of its own (RFC 9110, 7.4). */
static bool is_misdirected(const struct client *c, const struct head *h)
{
    if (!stream_is_secure(&c->stream))
        return false;
    struct str sni = str_from(stream_server_name(&c->stream));
    return sni.len > 0 && !str_ieq(sni, h->host) && !stream_covers(&c->stream, h->host);
}

/* What is wrong with a request before it is anybody's; NULL: nothing. */
static const struct failure *objection(struct client *c, const struct head *h,
                                       const struct route *route)
{
    static const struct failure misdirected = {
        421, "misdirected", "the certificate that was shown does not cover this host"};
    static const struct failure no_rollout = {404, "no_rollout",
                                              "no rollout takes this host, path and method"};
    static const struct failure too_large = {413, "body_too_large",
                                             "the body is larger than limits.body"};
    struct worker *w = c->worker;

    if (is_misdirected(c, h)) {
        stat_add(&w->stats.rejected, 1);
        return &misdirected;
    }
    if (route == NULL) {
        stat_add(&w->stats.unmatched, 1);
        return &no_rollout;
    }
    if (h->framing == FRAMING_LENGTH && h->length > w->shared->config->limits.body_bytes) {
        stat_add(&w->stats.rejected, 1);
        return &too_large;
    }
    return NULL;
}

void exchange_start(struct client *c, const struct head *h, struct str *rest)
{
    static const struct failure head_too_large = {431, "head_too_large",
                                                  "the head is too large to be sent on"};
    struct worker *w = c->worker;

    c->requests++;
    if (answer_health(c, h))
        return;
    const struct route *route = route_match(w->shared->table, h);
    stat_add(&w->stats.requests, 1);
    const struct failure *f = objection(c, h, route);
    if (f != NULL) {
        answer_unrouted(c, h, f);
        return;
    }
    struct exchange *ex = exchange_take(w);
    c->exchange = ex;
    if (!fill(ex, c, route, h)) {
        exchange_discard(ex);
        stat_add(&w->stats.rejected, 1);
        answer_unrouted(c, h, &head_too_large);
        return;
    }
    list_push(&w->exchanges, &ex->link);
    stat_add(&w->stats.requests_active, 1);
    choose_variant(ex, h);
    if (route->asks) {
        ex->asks = (uint8_t)asked_by_head(h);
        ex->asked = ex->asks != STREAM_UNKNOWN || ex->request.done ? NULL : asked_new();
    }
    attempt_first(ex, rest);
}
