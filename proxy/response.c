/* The response on its way down: the head is read once it is whole, then head and body leave in one
 * gathered write per read, framed as the client needs it. An event stream is looked at as it
 * passes; the look changes and delays nothing.
 */
#include <stdio.h>

#include "proxy/exchange.h"

enum { INTERIM_MAX = 16, PATIENCE_MS = 1000 };

static void malformed(struct exchange *ex, const char *why)
{
    char message[160];

    if (ex->state == EX_RESPONDING) {
        exchange_break(ex, OUTCOME_MALFORMED);
        return;
    }
    snprintf(message, sizeof(message), "the upstream's answer is not valid HTTP: %s", why);
    attempt_failed(ex, OUTCOME_MALFORMED, &(struct failure){502, "upstream_malformed", message});
}

/* How the client gets the body: counted as it came, else chunked, else (HTTP/1.0) by closing. */
static enum framing frame_for_client(const struct exchange *ex, const struct head *h)
{
    if (h->framing == FRAMING_NONE || h->framing == FRAMING_LENGTH)
        return h->framing;
    return ex->http10 ? FRAMING_CLOSE : FRAMING_CHUNKED;
}

static bool client_keeps_alive(const struct exchange *ex)
{
    return ex->client_keep_alive && ex->response_as != FRAMING_CLOSE && ex->request.done &&
           !ex->worker->draining;
}

/* While the client does not read, neither do we, and the clock of latency stands. */
static void balance_download(struct exchange *ex)
{
    bool full = stream_pending(&ex->client->stream) > 0;
    int64_t now_ns = ex->worker->loop.now_ns;

    if (full && ex->paused_ns == 0) {
        stream_pause(&ex->up->stream);
        ex->paused_ns = now_ns;
    } else if (!full && ex->paused_ns != 0) {
        ex->unread_ns += now_ns - ex->paused_ns;
        ex->ticket.unread_ns = ex->unread_ns;
        ex->paused_ns = 0;
        stream_read(&ex->up->stream);
    }
}

/* Pieces of content that came in one read came at one time. */
static void count_pieces(struct exchange *ex, unsigned pieces)
{
    int64_t now_ns = ex->worker->loop.now_ns;
    int64_t unread_ns = ex->unread_ns + (ex->paused_ns != 0 ? now_ns - ex->paused_ns : 0);
    int64_t piece_ns = now_ns - unread_ns, gap_ns = piece_ns - ex->last_piece_ns;

    if (ex->first_token_ns == 0) {
        ex->first_token_ns = now_ns;
        ex->first_piece_ns = piece_ns;
        if (ex->attempts == 1)
            recorder_first_token(&ex->ticket, now_ns);
    } else {
        if (gap_ns > ex->longest_gap_ns)
            ex->longest_gap_ns = gap_ns;
        if (ex->attempts == 1)
            recorder_token_gap(ex->worker->shard, ex->route->rollout, ex->variant, gap_ns);
    }
    ex->last_piece_ns = piece_ns;
    ex->tokens += pieces;
}

/* The content that goes by. */
static void look_on(struct exchange *ex, const struct body_out *out)
{
    unsigned pieces = 0;

    for (unsigned i = 0; i < out->run_count; i++) {
        struct str run = {out->runs[i].base, out->runs[i].len};
        if (ex->observe != NULL)
            pieces += observe_bytes(ex->observe, run);
        if (ex->fields != NULL)
            fields_bytes(ex->fields, run);
    }
    if (pieces > 0)
        count_pieces(ex, pieces);
}

/* Body bytes down, after the head in worker.scratch when `with_head`. May end the exchange. */
static void send_down(struct exchange *ex, bool with_head, struct str bytes)
{
    struct strbuf *head = &ex->worker->scratch;
    enum body_result result;

    do {
        struct body_out out;
        out.count = 0;
        if (with_head)
            out.bufs[out.count++] = uv_buf_init(head->ptr, (unsigned)head->len);
        with_head = false;
        result = body_read(&ex->response, &bytes, ex->response_as, &out);
        if (result == BODY_ERROR) {
            malformed(ex, "its chunked coding is broken");
            return;
        }
        if (ex->state == EX_ATTEMPTING) { /* here the first byte goes out */
            exchange_enter(ex, EX_RESPONDING);
            replay_give_up(&ex->replay, &ex->worker->shared->replay);
        }
        if (ex->observe != NULL || ex->fields != NULL)
            look_on(ex, &out);
        if (result == BODY_DONE) {
            exchange_complete(ex, bytes.len > 0, &out);
            return;
        }
        if (out.count > 0 && stream_write(&ex->client->stream, out.bufs, out.count) < 0) {
            exchange_abort(ex);
            return;
        }
    } while (result == BODY_AGAIN);
    if (ex->observe != NULL)
        exchange_slim(ex);
    ex->progress_ns = ex->worker->loop.now_ns;
    balance_download(ex);
}

/* The canary's 5xx stays here. Its connection may serve again when the answer is all there. */
static void shield_answer(struct exchange *ex, const struct head *h, struct str rest)
{
    enum body_result result;
    struct body body;

    body_init(&body, h->framing, h->length);
    do {
        struct body_out out = {.count = 0};
        result = body_read(&body, &rest, FRAMING_NONE, &out);
    } while (result == BODY_AGAIN);
    body_deinit(&body);
    char message[48];

    snprintf(message, sizeof(message), "the canary answered %d", h->status);
    exchange_note(ex, "upstream_status", message);
    ex->status = h->status;
    ex->first_byte_ns = ex->worker->loop.now_ns;
    attempt_shield(ex, OUTCOME_5XX,
                   result == BODY_DONE && rest.len == 0 && h->keep_alive && ex->request.done &&
                       h->framing != FRAMING_CLOSE && !ex->upload_broken &&
                       stream_pending(&ex->up->stream) == 0);
}

/* Whether it is a stream is said of successes alone: that an error is none tells nothing of the
 * answer that was asked for, and it counts for requests of either kind. */
static void watch(struct exchange *ex, const struct head *h)
{
    bool unseen = false;

    if (h->status / 100 != 2 || ex->to_head)
        return;
    ex->observe = observe_new(ex->route->policy->protocol, h, ex->worker->shapes, &unseen);
    ex->stream = ex->observe != NULL || unseen ? STREAM_YES : STREAM_NO;
    if (ex->route->asks && ex->attempts == 1)
        recorder_stream(ex->worker->shard, &ex->ticket, (enum outcome_stream)ex->stream);
    if (unseen) {
        stat_add(&ex->worker->stats.streams_unseen, 1);
        /* Its content came no sooner than its head: more will not be known. */
        if (ex->attempts == 1)
            recorder_first_token(&ex->ticket, ex->worker->loop.now_ns);
    }
    if (ex->route->fields != NULL && ex->attempts == 1)
        ex->fields = fields_new(ex->route->fields, ex->applies, h);
}

/* A 204 that announces a body (RFC 9110, 8.6): who knows whether it comes. */
static bool lies_about_body(const struct head *h)
{
    return h->status == 204 &&
           (h->index[FIELD_CONTENT_LENGTH] != 0 || h->index[FIELD_TRANSFER_ENCODING] != 0);
}

static void respond(struct exchange *ex, const struct head *h, struct str rest)
{
    struct worker *w = ex->worker;

    if (h->status >= 500 && attempt_shields_answer(ex)) {
        shield_answer(ex, h, rest);
        return;
    }
    ex->status = h->status;
    ex->first_byte_ns = w->loop.now_ns;
    ex->response_as = frame_for_client(ex, h);
    ex->upstream_keep_alive = h->keep_alive && h->framing != FRAMING_CLOSE && !lies_about_body(h);
    body_init(&ex->response, h->framing, h->length);
    ex->response.drop_trailers = !forward_response_trailers(h, ex->te_trailers);
    bool keep = client_keeps_alive(ex);
    struct forward_response r = {
        .head = h,
        .version = str_from(ex->route->versions[ex->variant].version),
        .request_id = exchange_memo(ex, MEMO_REQUEST_ID),
        .date = worker_date(w),
        .framing = ex->response_as,
        .trailers = !ex->response.drop_trailers,
        .close = !keep,
        .keep_alive_10 = keep && ex->http10,
    };
    strbuf_reset(&w->scratch);
    forward_response_head(&r, &w->scratch);
    if (w->scratch.overflow) {
        malformed(ex, "its head is too large");
        return;
    }
    ex->keep_announced = keep;
    watch(ex, h);
    send_down(ex, true, rest);
}

/* 1xx answers are passed on to clients that know them; none is ever taken for the answer. A 100
 * for a client that sends its body already says nothing new, and stays here. */
static bool interim(struct exchange *ex, const struct head *h)
{
    struct strbuf *out = &ex->worker->scratch;

    if (++ex->interim > INTERIM_MAX) {
        malformed(ex, "too many 1xx answers");
        return false;
    }
    if (ex->http10 || (h->status == 100 && ex->body_begun))
        return true;
    strbuf_reset(out);
    forward_interim_head(h, out);
    uv_buf_t buf = uv_buf_init(out->ptr, (unsigned)out->len);
    if (!out->overflow && stream_write(&ex->client->stream, &buf, 1) < 0) {
        exchange_abort(ex);
        return false;
    }
    return true;
}

static void switch_protocols(struct exchange *ex, const struct head *h, struct str rest)
{
    struct held held = ex->up->held; /* `rest` may lie in it */

    if (!ex->wants_upgrade || !h->upgrade ||
        !str_ieq(exchange_memo(ex, MEMO_UPGRADE), h->upgrade_protocol)) {
        malformed(ex, "it switches to a protocol that nobody asked for");
        return;
    }
    ex->up->held = (struct held){0};
    tunnel_begin(ex, h, rest);
    held_drop(&held);
}

/* Heads from `bytes` until the final one. */
static void read_heads(struct exchange *ex, struct str bytes, size_t scanned)
{
    struct head *h = &ex->worker->response_head;
    struct upstream *up = ex->up;
    struct head_limits limits = {ex->worker->shared->config->limits.head_bytes, HEAD_FIELDS_MAX};
    const char *why;

    for (;;) {
        int status = head_parse_response(bytes, scanned, limits, ex->to_head, h, &why);
        if (status == HEAD_MORE) {
            held_keep(&up->held, bytes);
            return;
        }
        if (status != 0) {
            malformed(ex, why);
            return;
        }
        struct str rest = {bytes.ptr + h->bytes, bytes.len - h->bytes};
        if (h->status == 101) {
            switch_protocols(ex, h, rest);
            return;
        }
        if (h->status >= 200) {
            struct held held = up->held; /* `rest` may lie in it: dropped once it was written */
            up->held = (struct held){0};
            respond(ex, h, rest);
            held_drop(&held);
            return;
        }
        if (!interim(ex, h))
            return;
        bytes = rest;
        scanned = 0;
    }
}

void exchange_response(struct exchange *ex, struct str bytes)
{
    struct upstream *up = ex->up;

    if (ex->state == EX_TUNNEL) {
        tunnel_upstream_bytes(ex, bytes);
        return;
    }
    if (ex->state == EX_RESPONDING) {
        send_down(ex, false, bytes);
        return;
    }
    size_t scanned = up->held.len;
    if (scanned > 0) {
        held_keep(&up->held, bytes);
        bytes = held_str(&up->held);
    }
    read_heads(ex, bytes, scanned);
}

void exchange_client_drained(struct exchange *ex)
{
    ex->progress_ns = ex->worker->loop.now_ns;
    if (ex->state == EX_TUNNEL)
        tunnel_drained(ex);
    else if (ex->state == EX_RESPONDING && ex->up != NULL)
        balance_download(ex);
}

static void ended_before_answer(struct exchange *ex, int status)
{
    static const struct failure late = {408, "request_timeout",
                                        "the request's body did not arrive in time"};
    const char *tls = stream_tls_error(&ex->up->stream);
    char message[320];

    snprintf(message, sizeof(message), "the upstream closed the connection before it answered%s%s",
             tls[0] == '\0' ? "" : ": ", tls);
    if (status == 0 && exchange_awaits_client(ex) &&
        ex->worker->loop.now_ns - ex->progress_ns > PATIENCE_MS * NS_PER_MS)
        exchange_reject(ex, &late); /* it waited for the rest, as we did, and gave up first */
    else
        attempt_failed(ex, OUTCOME_RESET, &(struct failure){502, "upstream_reset", message});
}

/* A body that only the end of the connection ends. One whose protocol has an end mark, which did
 * not come, was cut, and the client must be able to tell. */
static void ended_by_close(struct exchange *ex)
{
    struct body_out out = {.count = 0};

    if (ex->observe != NULL && observe_end(ex->observe, true) == OUTCOME_TRUNCATED) {
        exchange_break(ex, OUTCOME_TRUNCATED);
        return;
    }
    body_close(&ex->response, ex->response_as, &out);
    exchange_complete(ex, false, &out);
}

/* A clean end (or one without close_notify) with less than was announced, or a reset. */
static enum outcome_kind how_it_broke(const struct exchange *ex, int status)
{
    if (ex->observe != NULL && observe_end(ex->observe, false) == OUTCOME_STREAM_ERROR)
        return OUTCOME_STREAM_ERROR; /* it said so before */
    return status == 0 || status == UV_EPROTO ? OUTCOME_TRUNCATED : OUTCOME_RESET;
}

void exchange_upstream_end(struct exchange *ex, int status)
{
    if (ex->state == EX_TUNNEL)
        tunnel_upstream_end(ex, status);
    else if (ex->state == EX_ATTEMPTING)
        ended_before_answer(ex, status);
    else if (status == 0 && ex->response.framing == FRAMING_CLOSE)
        ended_by_close(ex);
    else
        exchange_break(ex, how_it_broke(ex, status));
}
