/* What happens when time is up: one look at every exchange each 100 ms. */
#include "proxy/timeouts.h"

#include "proxy/exchange.h"

static const struct policy_upstream *limits(const struct exchange *ex)
{
    return &ex->route->policy->upstream;
}

bool exchange_awaits_client(const struct exchange *ex)
{
    const struct waiting w = {.request_done = ex->request.done,
                              .upload_full = ex->client->upload_paused,
                              .download_full = ex->paused_ns != 0};

    return timeouts_awaited(&w) == AWAITED_CLIENT;
}

static void client_is_late(struct exchange *ex, const char *message)
{
    if (ex->state == EX_RESPONDING)
        exchange_abort(ex);
    else
        exchange_reject(ex, &(struct failure){408, "request_timeout", message});
}

static void endpoint_is_late(struct exchange *ex, const char *message)
{
    if (ex->state == EX_RESPONDING)
        exchange_break(ex, OUTCOME_STALLED);
    else
        attempt_failed(ex, OUTCOME_TIMEOUT, &(struct failure){504, "upstream_timeout", message});
}

/* The request's own deadline: whatever it takes, there is no other attempt. */
static void total_is_over(struct exchange *ex, int64_t now_ns)
{
    static const char message[] = "the request took longer than total_timeout";
    int64_t unread_ns = ex->ticket.unread_ns;

    /* Time in which the client did not read is not the endpoint's. */
    if (exchange_awaits_client(ex) ||
        now_ns - ex->start_ns - unread_ns <= limits(ex)->total_timeout_ns) {
        client_is_late(ex, message);
    } else if (ex->state == EX_RESPONDING) {
        exchange_break(ex, OUTCOME_TIMEOUT);
    } else {
        attempt_charge(ex, OUTCOME_TIMEOUT);
        exchange_answer(ex, OUTCOME_TIMEOUT, &(struct failure){504, "upstream_timeout", message});
    }
}

static void nothing_moves(struct exchange *ex, int64_t silent_ns)
{
    const struct config *config = ex->worker->shared->config;
    bool body = !ex->request.done && exchange_awaits_client(ex) && ex->paused_ns == 0;

    if (body && silent_ns > config->limits.body_timeout_ns)
        client_is_late(ex, "the request's body did not arrive within limits.body_timeout");
    else if (body || silent_ns <= limits(ex)->idle_timeout_ns)
        return;
    else if (exchange_awaits_client(ex))
        exchange_abort(ex); /* it does not read its answer */
    else
        endpoint_is_late(ex, "the upstream did not take the request within idle_timeout");
}

/* A canary that was taken to 0 keeps its requests for on_rollback.drain. True: this one is gone. */
static bool is_withdrawn(struct exchange *ex, int64_t now_ns)
{
    static const struct failure withdrawn = {503, "canary_withdrawn",
                                             "the canary was taken back while it had the request"};
    struct worker *w = ex->worker;
    struct withdrawal *at = &w->withdrawals[ex->route->rollout];
    struct weight_now weight = weight_read(&w->shared->weights[ex->route->rollout]);

    if (weight.weight_bp > 0 || ex->variant == VARIANT_STABLE)
        return false;
    if (at->since_ns == 0 || at->epoch != weight.epoch)
        *at = (struct withdrawal){.since_ns = now_ns, .epoch = weight.epoch};
    if (ex->state != EX_QUEUED && now_ns - at->since_ns < ex->route->policy->rollback_drain_ns)
        return false;
    if (ex->state == EX_TUNNEL)
        exchange_end_tunnel(ex, RESULT_CUT, true);
    else if (ex->state == EX_RESPONDING || !attempt_withdraw(ex))
        exchange_void(ex, RESULT_CUT, &withdrawn);
    return true;
}

static void sweep_attempt(struct exchange *ex, int64_t now_ns)
{
    const struct policy_upstream *t = limits(ex);

    if (ex->up->stream.connecting) {
        if (now_ns - ex->attempt_ns > t->connect_timeout_ns)
            attempt_failed(ex, OUTCOME_CONNECT,
                           &(struct failure){504, "upstream_connect_timeout",
                                             "the upstream did not accept the connection within "
                                             "connect_timeout"});
    } else if (ex->sent_ns != 0) {
        if (now_ns - ex->sent_ns > t->first_byte_timeout_ns)
            endpoint_is_late(ex, "the upstream did not answer within first_byte_timeout");
    } else {
        nothing_moves(ex, now_ns - ex->progress_ns);
    }
}

static void sweep_queued(struct exchange *ex, int64_t now_ns)
{
    static const struct failure late = {503, "queue_timeout",
                                        "no endpoint became free within queue.timeout"};

    if (now_ns - ex->queued_ns > limits(ex)->queue_timeout_ns ||
        now_ns - ex->start_ns > limits(ex)->total_timeout_ns)
        attempt_unavailable(ex, &late);
}

/* A slow side takes a little at a time, long before all that is pending is gone. */
static void see_progress(struct exchange *ex, int64_t now_ns)
{
    size_t backlog = stream_pending(&ex->client->stream);

    if (ex->up != NULL)
        backlog += stream_pending(&ex->up->stream);
    if (backlog < ex->backlog)
        ex->progress_ns = now_ns;
    ex->backlog = backlog;
}

void exchange_sweep(struct exchange *ex, int64_t now_ns)
{
    see_progress(ex, now_ns);
    if (ex->paused_ns != 0) /* a client that does not read makes nobody slow */
        ex->ticket.unread_ns = ex->unread_ns + now_ns - ex->paused_ns;
    if (ex->state == EX_RESPONDING || ex->state == EX_TUNNEL)
        exchange_slim(ex);
    if (ex->variant == VARIANT_CANARY && is_withdrawn(ex, now_ns))
        return;
    if (ex->state == EX_TUNNEL) {
        if (now_ns - ex->progress_ns > limits(ex)->tunnel_timeout_ns)
            exchange_end_tunnel(ex, exchange_result(ex, OUTCOME_OK), false);
    } else if (ex->state == EX_QUEUED) {
        sweep_queued(ex, now_ns);
    } else if (now_ns - ex->start_ns > limits(ex)->total_timeout_ns) {
        total_is_over(ex, now_ns);
    } else if (ex->state == EX_ATTEMPTING) {
        sweep_attempt(ex, now_ns);
    } else {
        nothing_moves(ex, now_ns - ex->progress_ns);
    }
}
