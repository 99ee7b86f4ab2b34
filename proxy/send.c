/* Sending one attempt: a connection from the pool or a new one, the head, what is held of the body,
 * and the body as it comes. What may have to be sent again is held on the way.
 */
#include <stdio.h>

#include "proxy/exchange.h"
#include "proxy/retry.h"

/* What framing anew may add to one read: size lines, and the trailers that came before it. */
enum { FRAMING_BYTES = 20 * 1024 };

static const struct route_endpoint *endpoint_of(const struct exchange *ex)
{
    return &ex->route->versions[ex->variant].endpoints[ex->endpoint];
}

/* Everything of the request is with the kernel and the connection stands. */
static void check_sent(struct exchange *ex)
{
    if (!ex->request.done || ex->sent_ns != 0 || ex->up->stream.connecting ||
        stream_pending(&ex->up->stream) > 0)
        return;
    ex->sent_ns = ex->worker->loop.now_ns;
    if (ex->attempts == 1)
        recorder_sent(&ex->ticket, ex->sent_ns);
}

/* Pauses the client while the endpoint does not take what it sends; a whole request needs no pause,
 * and reading on is how we learn that the client went away. */
static void balance_upload(struct exchange *ex)
{
    bool full = stream_pending(&ex->up->stream) > (ex->up->stream.connecting ? LOOP_READ_BYTES : 0);

    ex->client->upload_paused = full && !ex->request.done && !ex->upload_broken;
    client_update_reading(ex->client);
}

static void sent_some(struct exchange *ex)
{
    check_sent(ex);
    balance_upload(ex);
}

/* Keeps what was sent for as long as it may be sent again. */
static void hold(struct exchange *ex, const uv_buf_t *bufs, unsigned count)
{
    struct replay_limits *limits = &ex->worker->shared->replay;

    if (count == 0 || ex->replay.given_up)
        return;
    if (ex->state == EX_RESPONDING || !attempt_may_repeat(ex))
        replay_give_up(&ex->replay, limits);
    else
        (void)replay_add(&ex->replay, limits, bufs, count);
}

/* A connection has the bytes now; what may not be sent twice need not be held any longer. */
static void touch(struct exchange *ex)
{
    ex->touched = true;
    if (ex->replay.len > 0 && !attempt_may_repeat(ex))
        replay_give_up(&ex->replay, &ex->worker->shared->replay);
}

/* The head, and what is held of the body. */
static unsigned add_head(const struct exchange *ex, uv_buf_t *bufs)
{
    char *head = ex->text;
    const char *authority = endpoint_of(ex)->authority;
    unsigned n = 0;

    if (ex->host_at > 0) {
        bufs[n++] = uv_buf_init(head, ex->host_at);
        bufs[n++] = uv_buf_init((char *)(uintptr_t)authority, (unsigned)strlen(authority));
    }
    bufs[n++] = uv_buf_init(head + ex->host_at, ex->head_len - ex->host_at);
    if (ex->replay.len > 0)
        bufs[n++] = uv_buf_init(ex->replay.ptr, (unsigned)ex->replay.len);
    return n;
}

static bool take_connection(struct exchange *ex, bool fresh, int *ret_status)
{
    struct pool *p = &ex->worker->pools[attempt_pool(ex)];

    *ret_status = 0;
    ex->up = fresh ? NULL : pool_take(p, ex);
    ex->connect_ns = -1;
    if (ex->up == NULL)
        ex->up = pool_connect(ex->worker, p, endpoint_of(ex), ex, ret_status);
    if (ex->up == NULL)
        return false;
    ex->attempt_ns = ex->progress_ns = ex->worker->loop.now_ns;
    stream_read(&ex->up->stream);
    return true;
}

/* The first write over a connection. What the kernel refuses outright was not read by anybody: a
 * connection that died in the pool is replaced. 0, or the error with which there is none. */
static int write_first(struct exchange *ex, const struct body_out *out)
{
    int status = 0;

    for (;;) {
        ssize_t written = stream_write(&ex->up->stream, out->bufs, out->count);
        if (written >= 0)
            break;
        bool reused = ex->up->reused;
        pool_drop(ex->up);
        ex->up = NULL;
        if (!reused)
            return (int)written;
        if (!take_connection(ex, false, &status))
            return status;
    }
    if (!ex->up->stream.connecting)
        touch(ex);
    return 0;
}

/* A chunked body tells its size only as it comes. */
static bool over_limit(const struct exchange *ex)
{
    return ex->request.bytes > ex->worker->shared->config->limits.body_bytes;
}

/* What the body says the answer should be. */
static void listen_to(struct exchange *ex, const struct body_out *out)
{
    bool more = !ex->request.done;

    for (unsigned i = 0; i < out->run_count; i++)
        more &= asked_bytes(ex->asked, (struct str){out->runs[i].base, out->runs[i].len});
    if (more)
        return;
    ex->asks = (uint8_t)asked_end(ex->asked, ex->route->policy->protocol);
    asked_free(ex->asked);
    ex->asked = NULL;
    attempt_asks(ex);
}

/* The next piece of the body, framed for the endpoint. BODY_ERROR also when it is larger than it
 * may be: then nothing of it is to be sent. */
static enum body_result next_piece(struct exchange *ex, struct str *bytes, struct body_out *out)
{
    bool was_done = ex->request.done;
    unsigned before = out->count;
    enum body_result result = body_read(&ex->request, bytes, ex->request.framing, out);

    if (result == BODY_ERROR || over_limit(ex))
        return BODY_ERROR;
    ex->body_begun |= out->count > before;
    if (ex->asked != NULL)
        listen_to(ex, out);
    if (ex->request.done && !was_done)
        ex->request_done_ns = ex->worker->loop.now_ns;
    return result;
}

/* The body's bytes (after the head when `first`) in as few writes as the framing allows.
 * BODY_ERROR, or in *ret_status the error with which no connection took the head. After a later
 * failed write the endpoint takes no more; it may have answered early, and what still comes of the
 * body is dropped. */
static enum body_result send_request(struct exchange *ex, bool first, struct str *bytes,
                                     int *ret_status)
{
    enum body_result result;

    *ret_status = 0;
    do {
        struct body_out out;
        unsigned heads = out.count = first ? add_head(ex, out.bufs) : 0;
        result = next_piece(ex, bytes, &out);
        if (result == BODY_ERROR)
            return result;
        if (first)
            *ret_status = write_first(ex, &out);
        else if (out.count > 0 && !ex->upload_broken)
            ex->upload_broken = stream_write(&ex->up->stream, out.bufs, out.count) < 0;
        hold(ex, out.bufs + heads, out.count - heads);
        first = false;
    } while (result == BODY_AGAIN && *ret_status == 0);
    ex->progress_ns = ex->worker->loop.now_ns;
    return result;
}

/* Larger than it may be, or not chunked coding. */
static void refuse_body(struct exchange *ex)
{
    static const struct failure large = {413, "body_too_large",
                                         "the body is larger than limits.body"};
    static const struct failure broken = {400, "bad_request",
                                          "the body's chunked coding is broken"};

    if (ex->state == EX_RESPONDING) {
        stat_add(&ex->worker->stats.rejected, 1);
        exchange_abort(ex);
    } else {
        exchange_reject(ex, over_limit(ex) ? &large : &broken);
    }
}

/* We have run out of something: not the endpoint's fault. */
static bool is_exhaustion(int status)
{
    return status == UV_EMFILE || status == UV_ENFILE || status == UV_ENOBUFS ||
           status == UV_ENOMEM || status == UV_EADDRNOTAVAIL;
}

static void connect_failed(struct exchange *ex, int status)
{
    char message[320];
    const char *tls = ex->up == NULL ? "" : stream_tls_error(&ex->up->stream);

    if (is_exhaustion(status)) {
        snprintf(message, sizeof(message), "sluice has run out of resources: %s",
                 uv_strerror(status));
        stat_add(&ex->worker->stats.overloaded, 1);
        exchange_void(ex, RESULT_OVERLOADED, &(struct failure){503, "overloaded", message});
        return;
    }
    snprintf(message, sizeof(message), "cannot connect to %s: %s", endpoint_of(ex)->authority,
             tls[0] != '\0' ? tls : uv_strerror(status));
    bool late = status == UV_ETIMEDOUT;
    const struct failure f = {
        late ? 504 : 502, late ? "upstream_connect_timeout" : "upstream_connect_failed", message};
    attempt_failed(ex, OUTCOME_CONNECT, &f);
}

void send_begin(struct exchange *ex, bool fresh, struct str *body)
{
    enum body_result result;
    int status;

    CHECK(ex->has_slot);
    if (!take_connection(ex, fresh, &status)) {
        connect_failed(ex, status);
        return;
    }
    result = send_request(ex, true, body, &status);
    if (result == BODY_ERROR)
        refuse_body(ex);
    else if (status < 0)
        connect_failed(ex, status);
    else
        sent_some(ex);
}

void send_later(struct exchange *ex, struct str *bytes)
{
    struct replay_limits *limits = &ex->worker->shared->replay;
    enum body_result result = BODY_AGAIN;

    /* Only what can be held for certain is taken; the rest stays with the client. */
    while (result == BODY_AGAIN && bytes->len > 0 && ex->replay.len < LOOP_READ_BYTES &&
           replay_reserve(&ex->replay, limits, ex->replay.len + bytes->len + FRAMING_BYTES)) {
        struct body_out out;
        out.count = 0;
        result = next_piece(ex, bytes, &out);
        if (result == BODY_ERROR) {
            refuse_body(ex);
            return;
        }
        CHECK(replay_add(&ex->replay, limits, out.bufs, out.count));
    }
    ex->client->upload_paused = !ex->request.done && ex->replay.len >= LOOP_READ_BYTES;
    client_update_reading(ex->client);
}

void exchange_connected(struct exchange *ex, int status)
{
    int64_t now_ns = ex->worker->loop.now_ns;

    if (status < 0) {
        connect_failed(ex, status);
        return;
    }
    touch(ex);
    ex->connect_ns = now_ns - ex->attempt_ns;
    ex->progress_ns = now_ns;
    stream_read(&ex->up->stream);
    sent_some(ex);
}

void exchange_body(struct exchange *ex, struct str *bytes)
{
    int status;

    if (ex->state == EX_TUNNEL) {
        tunnel_client_bytes(ex, bytes);
        return;
    }
    if (ex->request.done)
        return;
    if (ex->state == EX_QUEUED)
        send_later(ex, bytes);
    else if (send_request(ex, false, bytes, &status) == BODY_ERROR)
        refuse_body(ex);
    else
        sent_some(ex);
}

void exchange_upstream_drained(struct exchange *ex)
{
    if (ex->state == EX_TUNNEL) {
        tunnel_drained(ex);
        return;
    }
    ex->progress_ns = ex->worker->loop.now_ns;
    sent_some(ex);
}
