/* One try at one endpoint: choose it, connect or reuse, send. The surprising part: a connection
 * from the pool may have been closed by the endpoint while it was idle; as long as nothing of an
 * answer came, a request without a body and with an idempotent method goes out again on another one
 * (RFC 9110, 9.2.2), and any request whose first write the kernel refused.
 */
#include "proxy/balance.h"
#include "proxy/exchange.h"
#include "proxy/split.h"

static const struct route_version *version_of(const struct exchange *ex)
{
    return &ex->route->versions[ex->variant];
}

static struct pool *pool_of(const struct exchange *ex)
{
    return &ex->worker->pools[version_of(ex)->first_pool + ex->endpoint];
}

static uint32_t choose_endpoint(struct exchange *ex)
{
    const struct route_version *v = version_of(ex);
    struct endpoint_load loads[ENDPOINTS_MAX];

    if (v->endpoint_count == 1)
        return 0;
    for (size_t i = 0; i < v->endpoint_count; i++)
        loads[i] =
            (struct endpoint_load){.in_flight = ex->worker->pools[v->first_pool + i].in_flight,
                                   .weight = v->endpoints[i].weight};
    return (uint32_t)balance_pick(loads, v->endpoint_count, rng_u64(&ex->worker->rng));
}

/* Everything of the request is with the kernel and the connection stands. */
static void check_sent(struct exchange *ex)
{
    if (!ex->request.done || ex->up->stream.connecting || stream_pending(&ex->up->stream) > 0)
        return;
    if (ex->sent_ns == 0)
        ex->sent_ns = ex->worker->loop.now_ns;
    recorder_sent(&ex->ticket, ex->worker->loop.now_ns);
}

/* Pauses the client while the endpoint does not take what it sends; a whole request needs no pause,
 * and reading on is how we learn that the client went away. */
static void balance_upload(struct exchange *ex)
{
    bool full = stream_pending(&ex->up->stream) > (ex->up->stream.connecting ? LOOP_READ_BYTES : 0);

    ex->client->upload_paused = full && !ex->request.done && !ex->upload_broken;
    client_update_reading(ex->client);
}

/* The head (when `with_head`) and the body's bytes in as few writes as the framing allows.
 * BODY_ERROR, or in *ret_status the error with which the kernel refused the very first write: then
 * nobody has read a byte and the request may go elsewhere. After a later one the endpoint takes no
 * more; it may have answered early, and what still comes of the body is dropped. */
static enum body_result send_request(struct exchange *ex, bool with_head, struct str *bytes,
                                     ssize_t *ret_status)
{
    enum body_result result;
    bool was_done = ex->request.done;

    *ret_status = 0;
    do {
        struct body_out out = {.count = 0};
        bool first = with_head;
        if (first)
            out.bufs[out.count++] = uv_buf_init(ex->head.ptr, (unsigned)ex->head.len);
        with_head = false;
        result = body_read(&ex->request, bytes, ex->request_as, &out);
        if (result == BODY_ERROR)
            return result;
        if (out.count > 0 && !ex->upload_broken) {
            ssize_t status = stream_write(&ex->up->stream, out.bufs, out.count);
            if (status < 0 && first) {
                *ret_status = status;
                return result;
            }
            ex->upload_broken = status < 0;
        }
    } while (result == BODY_AGAIN);
    ex->progress_ns = ex->worker->loop.now_ns;
    if (ex->request.done && !was_done)
        ex->request_done_ns = ex->progress_ns;
    return result;
}

static bool take_connection(struct exchange *ex, bool fresh, int *ret_status)
{
    struct pool *p = pool_of(ex);

    *ret_status = 0;
    ex->up = fresh ? NULL : pool_take(p, ex);
    ex->connect_ns = -1;
    if (ex->up == NULL)
        ex->up =
            pool_connect(ex->worker, p, &version_of(ex)->endpoints[ex->endpoint], ex, ret_status);
    if (ex->up == NULL)
        return false;
    ex->attempt_ns = ex->worker->loop.now_ns;
    stream_read(&ex->up->stream);
    return true;
}

static void bad_body(struct exchange *ex)
{
    stat_add(&ex->worker->stats.rejected, 1);
    /* The client's fault: settled as its abort, so that it counts against nobody. */
    exchange_fail(ex, OUTCOME_CLIENT_ABORT, 400, "bad_request",
                  "the body's chunked coding is broken");
}

/* A chunked body tells its size only as it comes. */
static bool over_limit(const struct exchange *ex)
{
    return ex->request.bytes > ex->worker->shared->config->limits.body_bytes;
}

static void too_large(struct exchange *ex)
{
    stat_add(&ex->worker->stats.rejected, 1);
    if (ex->state == EX_RESPONDING)
        exchange_abort(ex);
    else
        exchange_fail(ex, OUTCOME_CLIENT_ABORT, 413, "body_too_large",
                      "the body is larger than limits.body");
}

/* We have run out of something: not the endpoint's fault. */
static bool is_exhaustion(int status)
{
    return status == UV_EMFILE || status == UV_ENFILE || status == UV_ENOBUFS ||
           status == UV_ENOMEM || status == UV_EADDRNOTAVAIL;
}

static void connect_failed(struct exchange *ex, int status)
{
    char message[160];

    if (is_exhaustion(status)) {
        stat_add(&ex->worker->stats.overloaded, 1);
        snprintf(message, sizeof(message), "sluice has run out of resources: %s",
                 uv_strerror(status));
        /* Settled like a client's abort: it counts against nobody. */
        exchange_fail(ex, OUTCOME_CLIENT_ABORT, 503, "overloaded", message);
        return;
    }

    snprintf(message, sizeof(message), "cannot connect to %s: %s",
             version_of(ex)->endpoints[ex->endpoint].authority, uv_strerror(status));
    exchange_fail(ex, OUTCOME_CONNECT, status == UV_ETIMEDOUT ? 504 : 502,
                  status == UV_ETIMEDOUT ? "upstream_connect_timeout" : "upstream_connect_failed",
                  message);
}

void attempt_start(struct exchange *ex, struct str *body)
{
    int status;
    ssize_t written;

    ex->endpoint = choose_endpoint(ex);
    pool_of(ex)->in_flight++;
    recorder_dispatch(ex->worker->shard, &ex->ticket, ex->route->rollout, ex->epoch, ex->variant,
                      ex->worker->loop.now_ns);
    if (!take_connection(ex, false, &status)) {
        connect_failed(ex, status);
        return;
    }
    /* What the kernel refuses outright was not read by anybody: a connection that died in the pool
     * is replaced before the request's bytes are touched. */
    struct str begin = *body;
    struct body request = ex->request;
    for (;;) {
        if (send_request(ex, true, body, &written) == BODY_ERROR) {
            bad_body(ex);
            return;
        }
        if (written >= 0)
            break;
        bool reused = ex->up->reused;
        pool_drop(ex->up);
        ex->up = NULL;
        *body = begin;
        body_deinit(&ex->request);
        ex->request = request;
        if (!reused || !take_connection(ex, false, &status)) {
            connect_failed(ex, reused ? status : (int)written);
            return;
        }
    }
    if (over_limit(ex)) {
        too_large(ex);
        return;
    }
    check_sent(ex);
    balance_upload(ex);
}

bool attempt_again(struct exchange *ex)
{
    int status;
    ssize_t written;
    struct str none = {NULL, 0};

    if (!ex->bare || ex->up == NULL || !ex->up->reused || ex->up->held.len > 0 || ex->interim > 0 ||
        ex->state != EX_ATTEMPTING)
        return false;
    pool_drop(ex->up);
    ex->up = NULL;
    ex->sent_ns = 0;
    ex->ticket.sent_ns = 0;
    if (!take_connection(ex, true, &status)) {
        connect_failed(ex, status);
        return true;
    }
    (void)send_request(ex, true, &none, &written);
    if (written < 0) {
        connect_failed(ex, (int)written);
        return true;
    }
    check_sent(ex);
    return true;
}

void exchange_connected(struct exchange *ex, int status)
{
    int64_t now_ns = ex->worker->loop.now_ns;

    if (status < 0) {
        connect_failed(ex, status);
        return;
    }
    ex->connect_ns = now_ns - ex->attempt_ns;
    ex->progress_ns = now_ns;
    stream_read(&ex->up->stream);
    check_sent(ex);
    balance_upload(ex);
}

void exchange_body(struct exchange *ex, struct str *bytes)
{
    ssize_t written;

    if (ex->request.done)
        return;
    if (send_request(ex, false, bytes, &written) == BODY_ERROR) {
        if (ex->state == EX_RESPONDING)
            exchange_abort(ex);
        else
            bad_body(ex);
        return;
    }
    if (over_limit(ex)) {
        too_large(ex);
        return;
    }
    check_sent(ex);
    balance_upload(ex);
}

void exchange_upstream_drained(struct exchange *ex)
{
    ex->progress_ns = ex->worker->loop.now_ns;
    check_sent(ex);
    balance_upload(ex);
}

void attempt_settle(struct exchange *ex, enum outcome_kind kind, bool reuse)
{
    int64_t now_ns = ex->worker->loop.now_ns;
    int64_t from = ex->sent_ns;
    struct outcome o = {.kind = kind,
                        .endpoint = ex->endpoint,
                        .connect_ns = ex->connect_ns,
                        .latency_ns = -1,
                        .first_byte_ns = -1,
                        .first_token_ns = -1,
                        .queue_ns = -1};

    if (ex->paused_ns != 0)
        ex->unread_ns += now_ns - ex->paused_ns;
    ex->paused_ns = 0;
    ex->ticket.unread_ns = ex->unread_ns;
    if (from != 0) {
        o.latency_ns = now_ns - from - ex->unread_ns;
        if (ex->first_byte_ns != 0)
            o.first_byte_ns = ex->first_byte_ns > from ? ex->first_byte_ns - from : 0;
    }
    recorder_finish(ex->worker->shard, &ex->ticket, &o, now_ns);
    pool_of(ex)->in_flight--;
    if (ex->up == NULL)
        return;
    if (reuse)
        pool_give(ex->up);
    else
        pool_drop(ex->up);
    ex->up = NULL;
}
