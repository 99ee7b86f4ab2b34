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
    if (ex->state == EX_ATTEMPTING)
        exchange_fail(ex, OUTCOME_CLIENT_ABORT, 408, "request_timeout", message);
    else
        exchange_abort(ex);
}

static void endpoint_is_late(struct exchange *ex, const char *message)
{
    if (ex->state == EX_ATTEMPTING)
        exchange_fail(ex, OUTCOME_TIMEOUT, 504, "upstream_timeout", message);
    else
        exchange_break(ex, OUTCOME_STALLED);
}

static void total_is_over(struct exchange *ex, int64_t now_ns)
{
    static const char message[] = "the request took longer than total_timeout";
    int64_t unread_ns = ex->ticket.unread_ns;

    /* Time in which the client did not read is not the endpoint's. */
    if (exchange_awaits_client(ex) ||
        now_ns - ex->start_ns - unread_ns <= limits(ex)->total_timeout_ns)
        client_is_late(ex, message);
    else if (ex->state == EX_ATTEMPTING)
        endpoint_is_late(ex, message);
    else
        exchange_break(ex, OUTCOME_TIMEOUT);
}

static void nothing_moves(struct exchange *ex)
{
    if (exchange_awaits_client(ex))
        client_is_late(ex, "the request's body did not arrive within idle_timeout");
    else
        endpoint_is_late(ex, "the upstream did not take the request within idle_timeout");
}

void exchange_sweep(struct exchange *ex, int64_t now_ns)
{
    const struct policy_upstream *t = limits(ex);

    if (ex->paused_ns != 0) /* a client that does not read makes nobody slow */
        ex->ticket.unread_ns = ex->unread_ns + now_ns - ex->paused_ns;
    if (now_ns - ex->start_ns > t->total_timeout_ns) {
        total_is_over(ex, now_ns);
    } else if (ex->state == EX_ATTEMPTING && ex->up->stream.connecting) {
        if (now_ns - ex->attempt_ns > t->connect_timeout_ns)
            exchange_fail(ex, OUTCOME_CONNECT, 504, "upstream_connect_timeout",
                          "the upstream did not accept the connection within connect_timeout");
    } else if (ex->state == EX_ATTEMPTING && ex->sent_ns != 0) {
        if (now_ns - ex->sent_ns > t->first_byte_timeout_ns)
            endpoint_is_late(ex, "the upstream did not answer within first_byte_timeout");
    } else if (now_ns - ex->progress_ns > t->idle_timeout_ns) {
        nothing_moves(ex);
    }
}
