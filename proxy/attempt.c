/* One try at one endpoint: choose it, connect or reuse, send; and what follows when it failed
 * before an answer: another try, stable in the canary's place, or an error of our own (retry.c
 * decides). The surprising part: a connection from the pool may have been closed by the endpoint
 * while it was idle. That is no failure of the version: where the request may be sent again, it
 * goes out over a new connection as the same attempt.
 */
#include <stdio.h>

#include "proxy/balance.h"
#include "proxy/exchange.h"
#include "proxy/retry.h"
#include "proxy/slots.h"

enum { NO_ENDPOINT = UINT32_MAX };

static const struct route_version *version_of(const struct exchange *ex)
{
    return &ex->route->versions[ex->variant];
}

static size_t pool_index(const struct exchange *ex)
{
    return version_of(ex)->first_pool + ex->endpoint;
}

static const struct policy_upstream *upstream_of(const struct exchange *ex)
{
    return &ex->route->policy->upstream;
}

static bool may_resend(const struct exchange *ex)
{
    return retry_may_resend(ex->route->policy->shield, ex->idempotent,
                            !ex->touched && !ex->ever_touched);
}

/* --- choosing an endpoint --- */

/* One with room, not `avoid` where there is another. NO_ENDPOINT: all are full. */
static uint32_t pick(const struct exchange *ex, uint32_t avoid)
{
    const struct route_version *v = version_of(ex);
    const struct slots *slots = ex->worker->shared->slots;
    struct endpoint_load loads[ENDPOINTS_MAX];
    uint16_t endpoints[ENDPOINTS_MAX];
    size_t n = 0;

    for (size_t i = 0; i < v->endpoint_count; i++) {
        uint32_t in_flight = slots_in_flight(slots, v->first_pool + i);
        if (in_flight >= upstream_of(ex)->max_requests || i == avoid)
            continue;
        loads[n] = (struct endpoint_load){in_flight, v->endpoints[i].weight};
        endpoints[n++] = (uint16_t)i;
    }
    if (n == 0)
        return avoid == NO_ENDPOINT ? NO_ENDPOINT : pick(ex, NO_ENDPOINT);
    return endpoints[balance_pick(loads, n, rng_u64(&ex->worker->rng))];
}

bool attempt_choose(struct exchange *ex)
{
    const struct route_version *v = version_of(ex);
    struct slots *slots = ex->worker->shared->slots;
    uint32_t endpoint;

    CHECK(!ex->has_slot);
    do {
        endpoint = v->endpoint_count == 1 ? 0 : pick(ex, ex->avoid);
        if (endpoint == NO_ENDPOINT)
            return false;
        ex->has_slot = slots_take(slots, v->first_pool + endpoint, upstream_of(ex)->max_requests);
    } while (!ex->has_slot && v->endpoint_count > 1); /* another worker was faster: look again */
    if (ex->has_slot)
        ex->endpoint = endpoint;
    return ex->has_slot;
}

static bool stable_is_free(const struct exchange *ex)
{
    const struct route_version *v = &ex->route->versions[VARIANT_STABLE];

    for (size_t i = 0; i < v->endpoint_count; i++)
        if (slots_in_flight(ex->worker->shared->slots, v->first_pool + i) <
            upstream_of(ex)->max_requests)
            return true;
    return false;
}

/* --- sending --- */

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

/* Keeps what was sent for as long as it may be sent again. */
static void hold(struct exchange *ex, const uv_buf_t *bufs, unsigned count)
{
    struct replay_limits *limits = &ex->worker->shared->replay;

    if (count == 0 || ex->replay.given_up)
        return;
    if (ex->state != EX_ATTEMPTING || !may_resend(ex))
        replay_give_up(&ex->replay, limits);
    else if (!replay_add(&ex->replay, limits, bufs, count))
        stat_add(&ex->worker->stats.unshielded, 1);
}

/* A connection has the bytes now; what may not be sent twice need not be held any longer. */
static void touch(struct exchange *ex)
{
    ex->touched = true;
    if (ex->replay.len > 0 && !may_resend(ex))
        replay_give_up(&ex->replay, &ex->worker->shared->replay);
}

/* The head, and what is held of the body. */
static unsigned add_head(const struct exchange *ex, uv_buf_t *bufs)
{
    const struct strbuf *h = &ex->head;
    const char *authority = version_of(ex)->endpoints[ex->endpoint].authority;
    unsigned n = 0;

    if (ex->host_at > 0) {
        bufs[n++] = uv_buf_init(h->ptr, (unsigned)ex->host_at);
        bufs[n++] = uv_buf_init((char *)(uintptr_t)authority, (unsigned)strlen(authority));
    }
    bufs[n++] = uv_buf_init(h->ptr + ex->host_at, (unsigned)(h->len - ex->host_at));
    if (ex->replay.len > 0)
        bufs[n++] = uv_buf_init(ex->replay.ptr, (unsigned)ex->replay.len);
    return n;
}

static bool take_connection(struct exchange *ex, bool fresh, int *ret_status)
{
    struct pool *p = &ex->worker->pools[pool_index(ex)];

    *ret_status = 0;
    ex->up = fresh ? NULL : pool_take(p, ex);
    ex->connect_ns = -1;
    if (ex->up == NULL)
        ex->up =
            pool_connect(ex->worker, p, &version_of(ex)->endpoints[ex->endpoint], ex, ret_status);
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
    uv_buf_t bufs[ARRAY_LEN(out->bufs) + 4];
    unsigned count = add_head(ex, bufs);
    int status = 0;

    memcpy(bufs + count, out->bufs, out->count * sizeof(*bufs));
    count += out->count;
    for (;;) {
        ssize_t written = stream_write(&ex->up->stream, bufs, count);
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

/* The body's bytes (after the head when `first`) in as few writes as the framing allows.
 * BODY_ERROR, or in *ret_status the error with which no connection took the head. After a later
 * failed write the endpoint takes no more; it may have answered early, and what still comes of the
 * body is dropped. */
static enum body_result send_request(struct exchange *ex, bool first, struct str *bytes,
                                     int *ret_status)
{
    enum body_result result;
    bool was_done = ex->request.done;

    *ret_status = 0;
    do {
        struct body_out out = {.count = 0};
        result = body_read(&ex->request, bytes, ex->request_as, &out);
        if (result == BODY_ERROR)
            return result;
        ex->body_begun |= out.count > 0;
        if (first)
            *ret_status = write_first(ex, &out);
        else if (out.count > 0 && !ex->upload_broken)
            ex->upload_broken = stream_write(&ex->up->stream, out.bufs, out.count) < 0;
        hold(ex, out.bufs, out.count);
        first = false;
    } while (result == BODY_AGAIN && *ret_status == 0);
    ex->progress_ns = ex->worker->loop.now_ns;
    if (ex->request.done && !was_done)
        ex->request_done_ns = ex->progress_ns;
    return result;
}

static void bad_body(struct exchange *ex)
{
    const struct failure f = {400, "bad_request", "the body's chunked coding is broken"};

    if (ex->state == EX_RESPONDING)
        exchange_abort(ex);
    else
        exchange_reject(ex, &f);
}

/* A chunked body tells its size only as it comes. */
static bool over_limit(const struct exchange *ex)
{
    return ex->request.bytes > ex->worker->shared->config->limits.body_bytes;
}

static void too_large(struct exchange *ex)
{
    const struct failure f = {413, "body_too_large", "the body is larger than limits.body"};

    if (ex->state == EX_RESPONDING) {
        stat_add(&ex->worker->stats.rejected, 1);
        exchange_abort(ex);
    } else {
        exchange_reject(ex, &f);
    }
}

/* --- failing --- */

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
    snprintf(message, sizeof(message), "cannot connect to %s: %s",
             version_of(ex)->endpoints[ex->endpoint].authority,
             tls[0] != '\0' ? tls : uv_strerror(status));
    bool late = status == UV_ETIMEDOUT;
    const struct failure f = {
        late ? 504 : 502, late ? "upstream_connect_timeout" : "upstream_connect_failed", message};
    attempt_failed(ex, OUTCOME_CONNECT, &f);
}

void attempt_charge(struct exchange *ex, enum outcome_kind kind)
{
    int64_t now_ns = ex->worker->loop.now_ns, from = ex->sent_ns;
    struct outcome o = {.kind = kind,
                        .endpoint = ex->endpoint,
                        .connect_ns = ex->connect_ns,
                        .latency_ns = -1,
                        .first_byte_ns = -1,
                        .first_token_ns = -1,
                        .queue_ns = ex->queue_ns > 0 ? ex->queue_ns : -1};

    if (ex->charged)
        return;
    ex->charged = true;
    if (ex->paused_ns != 0)
        ex->unread_ns += now_ns - ex->paused_ns;
    ex->paused_ns = 0;
    if (from != 0) {
        o.latency_ns = now_ns - from - ex->unread_ns;
        if (ex->first_byte_ns != 0)
            o.first_byte_ns = ex->first_byte_ns > from ? ex->first_byte_ns - from : 0;
        if (ex->first_token_ns != 0)
            o.first_token_ns = ex->first_token_ns > from ? ex->first_token_ns - from : 0;
    }
    if (ex->attempts > 1) {
        recorder_count(ex->worker->shard, ex->route->rollout, ex->variant, &o);
        return;
    }
    ex->first_kind = kind;
    ex->ticket.unread_ns = ex->unread_ns;
    recorder_finish(ex->worker->shard, &ex->ticket, &o, now_ns);
}

void attempt_release(struct exchange *ex, bool reuse)
{
    if (ex->up != NULL && reuse)
        pool_give(ex->up);
    else if (ex->up != NULL)
        pool_drop(ex->up);
    ex->up = NULL;
    if (!ex->has_slot)
        return;
    ex->has_slot = false;
    slots_give(ex->worker->shared->slots, pool_index(ex));
    queue_notify(ex->worker, ex->route->rollout, ex->variant);
}

static enum retry decide(const struct exchange *ex, enum outcome_kind kind)
{
    uint32_t max = upstream_of(ex)->retries_max;
    const struct retry_case c = {.variant = ex->variant,
                                 .kind = kind,
                                 .shield = ex->route->policy->shield,
                                 .idempotent = ex->idempotent,
                                 .untouched = !ex->touched && !ex->ever_touched,
                                 .whole = !ex->replay.given_up,
                                 .stale = ex->up != NULL && ex->up->reused &&
                                          ex->up->held.len == 0 && ex->interim == 0,
                                 .stable_free = stable_is_free(ex),
                                 .fresh_left = FRESH_MAX - ex->fresh,
                                 .retries_left = max > ex->retries ? max - ex->retries : 0};
    return retry_decide(&c);
}

/* Sends the request anew from its first byte; the slot is taken. */
static void send_again(struct exchange *ex, bool fresh)
{
    struct str none = {NULL, 0};
    int status;

    ex->ever_touched |= ex->touched;
    ex->touched = false;
    ex->upload_broken = false;
    ex->sent_ns = ex->first_byte_ns = ex->unread_ns = ex->paused_ns = 0;
    ex->interim = 0;
    if (!take_connection(ex, fresh, &status)) {
        connect_failed(ex, status);
        return;
    }
    (void)send_request(ex, true, &none, &status);
    if (status < 0) {
        connect_failed(ex, status);
        return;
    }
    check_sent(ex);
    balance_upload(ex);
}

/* Another attempt, at ex->variant. */
static void another(struct exchange *ex)
{
    static const struct failure full = {503, "upstream_full",
                                        "every endpoint has max_requests in flight"};

    ex->attempts++;
    ex->charged = false;
    ex->fresh = 0;
    if (!attempt_choose(ex)) {
        ex->endpoint = 0;
        attempt_charge(ex, OUTCOME_UNAVAILABLE);
        exchange_answer(ex, OUTCOME_UNAVAILABLE, &full);
        return;
    }
    send_again(ex, false);
}

void attempt_shield(struct exchange *ex, enum outcome_kind kind, bool reuse)
{
    attempt_charge(ex, kind);
    attempt_release(ex, reuse);
    ex->variant = VARIANT_STABLE;
    ex->avoid = NO_ENDPOINT;
    ex->shielded = true;
    ex->status = 0;
    another(ex);
}

bool attempt_shields_answer(const struct exchange *ex)
{
    return ex->variant == VARIANT_CANARY && decide(ex, OUTCOME_5XX) == RETRY_STABLE;
}

void attempt_failed(struct exchange *ex, enum outcome_kind kind, const struct failure *f)
{
    struct worker *w = ex->worker;
    enum retry what = decide(ex, kind);

    if (what == RETRY_SAME &&
        !retry_budget_withdraw(&w->budgets[ex->route->rollout], upstream_of(ex)->retries_budget,
                               w->loop.now_ns)) {
        stat_add(&w->stats.retries_denied, 1);
        what = RETRY_NONE;
    }
    switch (what) {
    case RETRY_FRESH:
        pool_drop(ex->up);
        ex->up = NULL;
        ex->fresh++;
        if (ex->attempts == 1)
            ex->ticket.sent_ns = 0;
        send_again(ex, true);
        return;
    case RETRY_STABLE:
        attempt_shield(ex, kind, false);
        return;
    case RETRY_SAME:
        attempt_charge(ex, kind);
        attempt_release(ex, false);
        ex->avoid = ex->endpoint;
        ex->retries++;
        another(ex);
        return;
    case RETRY_NONE:
        break;
    }
    attempt_charge(ex, kind);
    exchange_answer(ex, kind, f);
}

void attempt_unavailable(struct exchange *ex, const struct failure *f)
{
    bool shield = decide(ex, OUTCOME_UNAVAILABLE) == RETRY_STABLE;

    if (ex->state == EX_QUEUED) {
        queue_leave(ex);
        exchange_enter(ex, EX_ATTEMPTING);
    }
    struct client *c = ex->client;
    if (shield) {
        attempt_shield(ex, OUTCOME_UNAVAILABLE, false);
        client_resume(c);
        return;
    }
    attempt_charge(ex, OUTCOME_UNAVAILABLE);
    exchange_answer(ex, OUTCOME_UNAVAILABLE, f);
}

bool attempt_withdraw(struct exchange *ex)
{
    CHECK(ex->variant == VARIANT_CANARY);
    if (ex->replay.given_up || !may_resend(ex) || !stable_is_free(ex))
        return false;
    if (ex->state == EX_QUEUED) {
        queue_leave(ex);
        exchange_enter(ex, EX_ATTEMPTING);
    }
    if (!ex->charged && ex->attempts == 1)
        recorder_void(ex->worker->shard, &ex->ticket);
    ex->charged = true;
    struct client *c = ex->client;
    attempt_shield(ex, OUTCOME_OK, false);
    client_resume(c);
    return true;
}

/* --- the way through --- */

void attempt_begin(struct exchange *ex, struct str *body)
{
    int status;

    CHECK(ex->has_slot);
    if (!take_connection(ex, false, &status)) {
        connect_failed(ex, status);
        return;
    }
    if (send_request(ex, true, body, &status) == BODY_ERROR) {
        bad_body(ex);
        return;
    }
    if (status < 0) {
        connect_failed(ex, status);
        return;
    }
    if (over_limit(ex)) {
        too_large(ex);
        return;
    }
    check_sent(ex);
    balance_upload(ex);
}

void attempt_first(struct exchange *ex, struct str *body)
{
    struct worker *w = ex->worker;

    ex->attempts = 1;
    ex->avoid = NO_ENDPOINT;
    ex->first_variant = ex->variant;
    ex->connect_ns = -1;
    retry_budget_deposit(&w->budgets[ex->route->rollout], upstream_of(ex)->retries_budget);
    recorder_dispatch(w->shard, &ex->ticket, ex->route->rollout, ex->epoch, ex->variant,
                      w->loop.now_ns);
    if (attempt_choose(ex))
        attempt_begin(ex, body);
    else
        queue_enter(ex);
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
    check_sent(ex);
    balance_upload(ex);
}

void exchange_body(struct exchange *ex, struct str *bytes)
{
    int status;

    if (ex->state == EX_TUNNEL) {
        tunnel_client_bytes(ex, bytes);
        return;
    }
    if (ex->request.done || ex->state == EX_QUEUED)
        return;
    if (send_request(ex, false, bytes, &status) == BODY_ERROR) {
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
    if (ex->state == EX_TUNNEL) {
        tunnel_drained(ex);
        return;
    }
    ex->progress_ns = ex->worker->loop.now_ns;
    check_sent(ex);
    balance_upload(ex);
}
