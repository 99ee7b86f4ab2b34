/* The life of a request: begin, end, be written down. Sending stands in attempt.c, the answer in
 * response.c, its time limits in timeouts.c. The surprising part: every event handler may end the
 * exchange, which hands the client on to its next request at once; nothing touches the exchange
 * after such a call.
 */
#include "proxy/exchange.h"

#include <inttypes.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "proxy/split.h"

enum { SPARE_MAX = 1024, HALF_CLOSE_MS = 50 };

void exchange_enter(struct exchange *ex, enum exchange_state next)
{
    CHECK(ex->state == EX_ATTEMPTING);
    CHECK(next == EX_RESPONDING);
    ex->state = next;
}

static struct exchange *take(struct worker *w)
{
    struct exchange *ex = w->spare;

    if (ex == NULL) {
        ex = xcalloc(1, sizeof(*ex));
        strbuf_init(&ex->head, 2 * w->shared->config->limits.head_bytes + HEAD_EXTRA_BYTES);
        return ex;
    }
    w->spare = ex->next;
    w->spare_count--;
    struct strbuf head = ex->head;
    memset(ex, 0, offsetof(struct exchange, request_id));
    ex->head = head;
    strbuf_reset(&ex->head);
    return ex;
}

static void put_back(struct worker *w, struct exchange *ex)
{
    if (w->spare_count >= SPARE_MAX || ex->head.cap > 16 * 1024) {
        strbuf_deinit(&ex->head);
        free(ex);
        return;
    }
    ex->next = w->spare;
    w->spare = ex;
    w->spare_count++;
}

/* One JSON line. What the client chose is escaped. */
static void write_access_log(const struct exchange *ex, enum outcome_kind result)
{
    struct worker *w = ex->worker;
    struct strbuf b;
    char when[WALL_TEXT_MAX];
    int64_t now_ns = w->loop.now_ns;

    strbuf_init(&b, ACCESS_LOG_LINE_MAX);
    strbuf_addf(
        &b, "{\"time\":\"%s\",\"request_id\":", wall_to_text(clock_wall(w->shared->clock), when));
    strbuf_add_json(&b, str_from(ex->request_id));
    strbuf_addf(&b, ",\"rollout\":\"%s\",\"variant\":\"%s\",\"version\":", ex->route->policy->name,
                variant_names[ex->variant]);
    strbuf_add_json(&b, str_from(ex->route->versions[ex->variant].version));
    strbuf_add(&b, STR(",\"endpoint\":"));
    strbuf_add_json(&b,
                    str_from(ex->route->versions[ex->variant].endpoints[ex->endpoint].authority));
    strbuf_add(&b, STR(",\"client\":"));
    strbuf_add_json(&b, str_from(ex->client->peer));
    strbuf_addf(&b, ",\"method\":\"%s\",\"path\":", ex->method);
    strbuf_add_json(&b, str_from(ex->path));
    strbuf_addf(&b,
                ",\"status\":%d,\"outcome\":\"%s\",\"bytes_in\":%" PRIu64 ",\"bytes_out\":%" PRIu64,
                ex->status, outcome_names[result], ex->request.bytes, ex->response.bytes);
    if (ex->connect_ns >= 0)
        strbuf_addf(&b, ",\"connect_ms\":%.3f", (double)ex->connect_ns / 1e6);
    if (ex->first_byte_ns != 0)
        strbuf_addf(&b, ",\"first_byte_ms\":%.3f",
                    (double)(ex->first_byte_ns - ex->start_ns) / 1e6);
    strbuf_addf(&b, ",\"total_ms\":%.3f}\n", (double)(now_ns - ex->start_ns) / 1e6);
    if (!b.overflow)
        access_log_add(w->shared->access_log, w->index, strbuf_str(&b));
    strbuf_deinit(&b);
}

static bool wants_log(struct worker *w, enum outcome_kind result)
{
    const struct config *config = w->shared->config;

    if (w->shared->access_log == NULL)
        return false;
    if (result != OUTCOME_OK && config->access_log.errors == ACCESS_LOG_ERRORS_ALL)
        return true;
    return rng_unit(&w->rng) < config->access_log.sample;
}

/* The attempt is settled; counts what the client got and forgets the exchange. The client is the
 * caller's to go on with. */
static struct client *finish(struct exchange *ex, enum outcome_kind result)
{
    struct worker *w = ex->worker;
    struct client *c = ex->client;

    CHECK(ex->up == NULL);
    recorder_result(w->shard, ex->route->rollout, result);
    if (wants_log(w, result))
        write_access_log(ex, result);
    list_remove(&ex->link);
    stat_add(&w->stats.requests_active, -1);
    c->exchange = NULL;
    body_deinit(&ex->request);
    body_deinit(&ex->response);
    put_back(w, ex);
    return c;
}

void exchange_fail(struct exchange *ex, enum outcome_kind kind, int status, const char *code,
                   const char *message)
{
    char request_id[REQUEST_ID_MAX + 1];
    bool body_coming = !ex->request.done, keep = ex->client_keep_alive && !ex->worker->draining;
    struct forward_error e = {
        .status = status,
        .code = code,
        .message = message,
        .request_id = request_id,
        .version = ex->route->versions[ex->variant].version,
        .close = body_coming || !keep,
        .to_head = ex->to_head,
    };

    CHECK(ex->state == EX_ATTEMPTING);
    memcpy(request_id, ex->request_id, sizeof(request_id));
    ex->status = status;
    if (status == 503)
        e.retry_after_s = 1;
    attempt_settle(ex, kind, false);
    struct client *c = finish(ex, kind);
    client_answer(c, &e, !e.close, body_coming);
}

void exchange_break(struct exchange *ex, enum outcome_kind kind)
{
    CHECK(ex->state == EX_RESPONDING);
    attempt_settle(ex, kind, false);
    client_cut(finish(ex, kind));
}

void exchange_abort(struct exchange *ex)
{
    ex->status = ex->status == 0 ? 499 : ex->status;
    attempt_settle(ex, OUTCOME_CLIENT_ABORT, false);
    client_cut(finish(ex, OUTCOME_CLIENT_ABORT));
}

void exchange_complete(struct exchange *ex, bool surplus, const struct body_out *last)
{
    enum outcome_kind kind = outcome_of_status(ex->status);
    bool body_coming = !ex->request.done;
    bool keep = ex->keep_announced && !body_coming; /* what was said is kept, also in a drain */

    attempt_settle(ex, kind,
                   ex->upstream_keep_alive && !surplus && !body_coming && !ex->upload_broken &&
                       stream_pending(&ex->up->stream) == 0);
    struct body response = ex->response; /* its trailers are in `last` */
    ex->response = (struct body){.bytes = response.bytes};
    struct client *c = finish(ex, kind);
    /* Counted before the last bytes go out: who has the whole answer finds it in the metrics. */
    if (last->count > 0 && stream_write(&c->stream, last->bufs, last->count) < 0)
        client_cut(c);
    else
        client_done(c, keep, body_coming);
    body_deinit(&response);
}

void exchange_client_end(struct exchange *ex, int status)
{
    int64_t now_ns = ex->worker->loop.now_ns;

    /* A FIN right behind a whole request is a half-close (as `printf | nc` makes): it is answered.
     * One that comes later, or within the request, is a client that went away. */
    if (status == 0 && ex->request.done && !ex->half_closed &&
        now_ns - ex->request_done_ns < HALF_CLOSE_MS * NS_PER_MS) {
        ex->half_closed = true;
        ex->client_keep_alive = false;
        return;
    }
    exchange_abort(ex);
}

/* --- the beginning --- */

static void answer_unrouted(struct client *c, const struct head *h, int status, const char *code,
                            const char *message)
{
    char request_id[REQUEST_ID_MAX + 1];
    bool has_body = h->framing != FRAMING_NONE;
    bool keep = h->keep_alive && !has_body && !c->worker->draining;

    forward_request_id(h, &c->worker->rng, request_id);
    struct forward_error e = {.status = status,
                              .code = code,
                              .message = message,
                              .request_id = request_id,
                              .close = !keep,
                              .to_head = str_eq(h->method, STR("HEAD"))};
    client_answer(c, &e, keep, has_body);
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

static void fill(struct exchange *ex, struct client *c, const struct route *route,
                 const struct head *h)
{
    struct worker *w = c->worker;

    ex->worker = w;
    ex->client = c;
    ex->route = route;
    ex->to_head = str_eq(h->method, STR("HEAD"));
    ex->http10 = h->minor == 0;
    ex->te_trailers = h->te_trailers;
    ex->client_keep_alive = h->keep_alive;
    ex->bare = h->framing == FRAMING_NONE && idempotent(h->method);
    ex->start_ns = ex->attempt_ns = ex->progress_ns = w->loop.now_ns;
    ex->connect_ns = -1;
    body_init(&ex->request, h->framing, h->length);
    ex->request.drop_trailers = !forward_request_trailers(h);
    ex->request_as = h->framing;
    ex->request_done_ns = ex->start_ns;
    forward_request_id(h, &w->rng, ex->request_id);
    str_copy(ex->method, sizeof(ex->method), h->method);
    str_copy(ex->path, sizeof(ex->path), h->path);
    struct forward_request r = {
        .head = h,
        .peer = str_from(c->peer),
        .authority = str_from(route->versions[VARIANT_STABLE].endpoints[0].authority),
        .request_id = ex->request_id};
    size_t host_at;
    forward_request_head(&r, &ex->head, &host_at);
    list_init(&ex->link);
}

void exchange_start(struct client *c, const struct head *h, struct str *rest)
{
    struct worker *w = c->worker;
    const struct route *route = route_match(w->shared->table, h);

    stat_add(&w->stats.requests, 1);
    if (route == NULL) {
        stat_add(&w->stats.unmatched, 1);
        answer_unrouted(c, h, 404, "no_rollout", "no rollout takes this host, path and method");
        return;
    }
    if (h->framing == FRAMING_LENGTH && h->length > w->shared->config->limits.body_bytes) {
        stat_add(&w->stats.rejected, 1);
        answer_unrouted(c, h, 413, "body_too_large", "the body is larger than limits.body");
        return;
    }
    struct exchange *ex = take(w);
    c->exchange = ex;
    fill(ex, c, route, h);
    if (ex->head.overflow) { /* never a part of a head */
        c->exchange = NULL;
        put_back(w, ex);
        stat_add(&w->stats.rejected, 1);
        answer_unrouted(c, h, 431, "head_too_large", "the head is too large to be sent on");
        return;
    }
    list_push(&w->exchanges, &ex->link);
    stat_add(&w->stats.requests_active, 1);
    struct weight_now weight = weight_read(&w->shared->weights[route->rollout]);
    ex->epoch = weight.epoch;
    ex->variant = route->versions[VARIANT_CANARY].endpoint_count == 0
                      ? VARIANT_STABLE
                      : split_pick(rng_u64(&w->rng), weight.weight_bp);
    attempt_start(ex, rest);
}
