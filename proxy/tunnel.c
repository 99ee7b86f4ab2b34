/* After a 101: bytes both ways as they are, until both sides have ended. Each side's FIN is passed
 * on; a broken side breaks the other. The attempt was settled when the upgrade was accepted: a
 * connection that lives for hours must not leave its verdict open for as long.
 */
#include "proxy/exchange.h"

static void end(struct exchange *ex, bool broken)
{
    exchange_end_tunnel(ex, exchange_result(ex, OUTCOME_OK), broken);
}

/* Each direction is read as fast as the other side takes it. */
static void balance(struct exchange *ex)
{
    ex->client->upload_paused = stream_pending(&ex->up->stream) > 0;
    client_update_reading(ex->client);
    if (stream_pending(&ex->client->stream) > 0)
        stream_pause(&ex->up->stream);
    else
        stream_read(&ex->up->stream);
}

static void pass(struct exchange *ex, struct stream *to, struct str bytes)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)bytes.ptr, (unsigned)bytes.len);

    ex->progress_ns = ex->worker->loop.now_ns;
    if (bytes.len > 0 && stream_write(to, &buf, 1) < 0)
        end(ex, true);
    else
        balance(ex);
}

void tunnel_begin(struct exchange *ex, const struct head *h, struct str rest)
{
    struct worker *w = ex->worker;
    struct client *c = ex->client;
    struct forward_response r = {
        .head = h,
        .version = str_from(ex->route->versions[ex->variant].version),
        .request_id = exchange_memo(ex, MEMO_REQUEST_ID),
        .framing = FRAMING_NONE,
        .upgrade = true,
    };

    ex->status = h->status;
    ex->first_byte_ns = w->loop.now_ns;
    strbuf_reset(&w->scratch);
    forward_response_head(&r, &w->scratch);
    stat_add(&w->stats.tunnels, 1);
    attempt_charge(ex, OUTCOME_OK);
    exchange_enter(ex, EX_TUNNEL);
    ex->response.bytes += rest.len;
    uv_buf_t bufs[] = {uv_buf_init(w->scratch.ptr, (unsigned)w->scratch.len),
                       uv_buf_init((char *)(uintptr_t)rest.ptr, (unsigned)rest.len)};
    ex->progress_ns = w->loop.now_ns;
    if (w->scratch.overflow || stream_write(&c->stream, bufs, rest.len > 0 ? 2 : 1) < 0) {
        end(ex, true);
        return;
    }
    balance(ex);
    client_resume(c); /* what it sent before it had the answer */
}

void tunnel_client_bytes(struct exchange *ex, struct str *bytes)
{
    struct str all = *bytes;

    *bytes = (struct str){all.ptr + all.len, 0};
    ex->request.bytes += all.len;
    if (!ex->client_ended && !ex->up->stream.shut)
        pass(ex, &ex->up->stream, all);
}

void tunnel_upstream_bytes(struct exchange *ex, struct str bytes)
{
    ex->response.bytes += bytes.len;
    pass(ex, &ex->client->stream, bytes);
}

void tunnel_drained(struct exchange *ex)
{
    ex->progress_ns = ex->worker->loop.now_ns;
    if (ex->client_ended && ex->upstream_ended && stream_pending(&ex->up->stream) == 0)
        end(ex, false);
    else
        balance(ex);
}

/* One side sent its FIN: so do we on the other. With both the tunnel is over; the client's last
 * bytes are written out by its lingering close. */
static void one_end(struct exchange *ex, struct stream *other)
{
    if (ex->client_ended && ex->upstream_ended && stream_pending(&ex->up->stream) == 0)
        end(ex, false);
    else
        stream_shutdown(other);
}

void tunnel_client_end(struct exchange *ex, int status)
{
    ex->client_ended = true;
    if (status < 0)
        end(ex, true);
    else
        one_end(ex, &ex->up->stream);
}

void tunnel_upstream_end(struct exchange *ex, int status)
{
    ex->upstream_ended = true;
    if (status < 0)
        end(ex, true);
    else
        one_end(ex, &ex->client->stream);
}
