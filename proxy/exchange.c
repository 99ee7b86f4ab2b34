/* The life of a request: its state, its ways to end, and what is written down of it. It begins in
 * start.c; sending stands in attempt.c, the answer in response.c, waiting in queue.c, time limits
 * in timeouts.c. The surprising part: every event handler may end the exchange, which hands the
 * client on to its next request at once; nothing touches the exchange after such a call.
 */
#include "proxy/exchange.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "proxy/access_entry.h"

enum { SPARE_MAX = 1024, HALF_CLOSE_MS = 50 };

void exchange_enter(struct exchange *ex, enum exchange_state next)
{
    static const uint8_t legal[EX_STATE_COUNT] = {
        [EX_ATTEMPTING] = 1 << EX_QUEUED | 1 << EX_RESPONDING | 1 << EX_TUNNEL,
        [EX_QUEUED] = 1 << EX_ATTEMPTING,
    };

    CHECK((legal[ex->state] >> next & 1) != 0);
    ex->state = (uint8_t)next;
}

struct exchange *exchange_take(struct worker *w)
{
    struct exchange *ex;

    if (list_empty(&w->spare))
        return xcalloc(1, sizeof(*ex));
    ex = CONTAINER_OF(w->spare.prev, struct exchange, link); /* the warmest */
    list_remove(&ex->link);
    w->spare_count--;
    char *text = ex->text;
    uint32_t text_cap = ex->text_cap;
    memset(ex, 0, sizeof(*ex));
    ex->text = text;
    ex->text_cap = text_cap;
    return ex;
}

static void free_exchange(struct exchange *ex)
{
    free(ex->text);
    free(ex);
}

void exchange_free_spare(struct worker *w)
{
    while (!list_empty(&w->spare)) {
        struct exchange *ex = CONTAINER_OF(w->spare.next, struct exchange, link);
        list_remove(&ex->link);
        free_exchange(ex);
    }
}

static void put_back(struct worker *w, struct exchange *ex)
{
    enum { TEXT_KEPT_MAX = 16 * 1024 };

    replay_clear(&ex->replay, &w->shared->replay);
    body_deinit(&ex->request);
    body_deinit(&ex->response);
    observe_free(ex->observe);
    fields_free(ex->fields);
    asked_free(ex->asked);
    free(ex->why);
    if (w->spare_count >= SPARE_MAX || ex->text_cap > TEXT_KEPT_MAX) {
        free_exchange(ex);
        return;
    }
    list_push(&w->spare, &ex->link);
    w->spare_count++;
}

struct str exchange_cut(enum exchange_memo which, struct str text)
{
    static const uint8_t max[MEMO_COUNT] = {[MEMO_REQUEST_ID] = REQUEST_ID_MAX,
                                            [MEMO_METHOD] = 15,
                                            [MEMO_PATH] = 255,
                                            [MEMO_PEER] = 63,
                                            [MEMO_UPGRADE] = UPGRADE_MAX};

    return (struct str){text.ptr, text.len < max[which] ? text.len : max[which]};
}

void exchange_keep(struct exchange *ex, struct str text)
{
    if (text.len > ex->text_cap) {
        free(ex->text);
        ex->text = xmalloc(text.len);
        ex->text_cap = (uint32_t)text.len;
    }
    memcpy(ex->text, text.ptr, text.len);
}

void exchange_slim(struct exchange *ex)
{
    CHECK(ex->state == EX_RESPONDING || ex->state == EX_TUNNEL);
    if (ex->head_len == 0 || !ex->request.done)
        return;
    uint32_t len = 0;
    for (int i = 0; i < MEMO_COUNT; i++)
        len += ex->memo_len[i];
    char *memo = xmalloc(len), *to = memo;
    for (int i = 0; i < MEMO_COUNT; i++) {
        memcpy(to, ex->text + ex->memo_at[i], ex->memo_len[i]);
        ex->memo_at[i] = (uint32_t)(to - memo);
        to += ex->memo_len[i];
    }
    free(ex->text);
    ex->text = memo;
    ex->text_cap = len;
    ex->head_len = ex->host_at = 0;
}

void exchange_discard(struct exchange *ex)
{
    ex->client->exchange = NULL;
    put_back(ex->worker, ex);
}

/* --- what is written down --- */

static bool wants_log(struct worker *w, unsigned result)
{
    const struct config *config = w->shared->config;

    if (w->shared->access_log == NULL)
        return false;
    if (result != OUTCOME_OK && config->access_log.errors == ACCESS_LOG_ERRORS_ALL)
        return true;
    return rng_unit(&w->rng) < config->access_log.sample;
}

static void write_access_log(const struct exchange *ex, unsigned result)
{
    struct worker *w = ex->worker;
    const struct route_version *v = &ex->route->versions[ex->variant];
    struct str peer = exchange_memo(ex, MEMO_PEER);
    const struct access_entry e = {
        .request_id = exchange_memo(ex, MEMO_REQUEST_ID),
        .rollout = ex->route->policy->name,
        .variant = variant_names[ex->variant],
        .version = v->version,
        .endpoint = ex->endpoint == NO_ENDPOINT ? NULL : v->endpoints[ex->endpoint].authority,
        .client = peer.len > 0 ? peer : client_peer(ex->client),
        .method = exchange_memo(ex, MEMO_METHOD),
        .path = exchange_memo(ex, MEMO_PATH),
        .status = ex->status,
        .result = result_names[result],
        .attempts = ex->attempts,
        .error = ex->why,
        .first_variant = ex->attempts > 1 ? variant_names[ex->first_variant] : NULL,
        .first_outcome = ex->attempts <= 1 ? NULL
                         : ex->first_void  ? "withdrawn"
                                           : outcome_names[ex->first_kind],
        .bytes_in = ex->request.bytes,
        .bytes_out = ex->response.bytes,
        .tokens = ex->tokens,
        .queue_ns = ex->queue_sum_ns + ex->queue_ns,
        .connect_ns = ex->connect_ns,
        .first_byte_ns = ex->first_byte_ns == 0 ? -1 : ex->first_byte_ns - ex->start_ns,
        .first_token_ns = ex->first_token_ns == 0 ? -1 : ex->first_token_ns - ex->start_ns,
        .total_ns = w->loop.now_ns - ex->start_ns,
    };

    access_entry_write(&e, w);
}

unsigned exchange_result(const struct exchange *ex, enum outcome_kind kind)
{
    return ex->shielded && !outcome_is_error(kind) && kind != OUTCOME_CLIENT_ABORT
               ? (unsigned)RESULT_SHIELDED
               : (unsigned)kind;
}

/* The attempt is settled; counts what the client got and forgets the exchange. The client is the
 * caller's to go on with. */
static struct client *finish(struct exchange *ex, unsigned result)
{
    struct worker *w = ex->worker;
    struct client *c = ex->client;

    CHECK(ex->up == NULL);
    CHECK(!ex->has_slot);
    if (ex->state == EX_QUEUED)
        queue_leave(ex);
    recorder_result(w->shard, ex->route->rollout, result);
    if (wants_log(w, result))
        write_access_log(ex, result);
    list_remove(&ex->link);
    stat_add(&w->stats.requests_active, -1);
    c->exchange = NULL;
    put_back(w, ex);
    return c;
}

/* --- the ways to end --- */

void exchange_note(struct exchange *ex, const char *code, const char *message)
{
    char why[192];

    if (ex->why != NULL)
        return;
    snprintf(why, sizeof(why), "%s: %s", code, message);
    ex->why = xstrdup(why);
}

void exchange_answer(struct exchange *ex, unsigned result, const struct failure *f)
{
    char request_id[REQUEST_ID_MAX + 1];
    bool body_coming = !ex->request.done,
         keep = ex->client_keep_alive && !ex->http10 && !ex->worker->draining;
    struct forward_error e = {
        .status = f->status,
        .code = f->code,
        .message = f->message,
        .request_id = request_id,
        .version = ex->route->versions[ex->variant].version,
        .close = body_coming || !keep,
        .to_head = ex->to_head,
        .retry_after_s = f->status == 503 ? 1 : 0,
    };

    CHECK(ex->state == EX_ATTEMPTING || ex->state == EX_QUEUED);
    str_copy(request_id, sizeof(request_id), exchange_memo(ex, MEMO_REQUEST_ID));
    exchange_note(ex, f->code, f->message);
    ex->status = f->status;
    attempt_release(ex, false);
    struct client *c = finish(ex, result);
    client_answer(c, &e, !e.close, body_coming);
}

void exchange_reject(struct exchange *ex, const struct failure *f)
{
    stat_add(&ex->worker->stats.rejected, 1);
    attempt_charge(ex, OUTCOME_CLIENT_ABORT);
    exchange_answer(ex, RESULT_REJECTED, f);
}

void exchange_void(struct exchange *ex, unsigned result, const struct failure *f)
{
    attempt_void(ex);
    if (ex->state == EX_ATTEMPTING || ex->state == EX_QUEUED) {
        exchange_answer(ex, result, f);
        return;
    }
    attempt_release(ex, false);
    client_cut(finish(ex, result));
}

void exchange_break(struct exchange *ex, enum outcome_kind kind)
{
    CHECK(ex->state == EX_RESPONDING);
    attempt_charge(ex, kind);
    attempt_release(ex, false);
    client_cut(finish(ex, kind));
}

void exchange_abort(struct exchange *ex)
{
    if (ex->state == EX_TUNNEL) {
        exchange_end_tunnel(ex, exchange_result(ex, OUTCOME_OK), true);
        return;
    }
    ex->status = ex->status == 0 ? 499 : ex->status;
    attempt_charge(ex, OUTCOME_CLIENT_ABORT);
    attempt_release(ex, false);
    client_cut(finish(ex, OUTCOME_CLIENT_ABORT));
}

void exchange_end_tunnel(struct exchange *ex, unsigned result, bool broken)
{
    CHECK(ex->state == EX_TUNNEL);
    CHECK(ex->charged); /* when the upgrade was accepted */
    if (broken && ex->up != NULL)
        stream_reset(&ex->up->stream);
    attempt_release(ex, false);
    struct client *c = finish(ex, result);
    if (broken)
        client_cut(c);
    else
        client_done(c, false, false);
}

void exchange_complete(struct exchange *ex, bool surplus, const struct body_out *last)
{
    enum outcome_kind kind = outcome_of_status(ex->status);
    bool body_coming = !ex->request.done;
    bool keep = ex->keep_announced && !body_coming; /* what was said is kept, also in a drain */

    if (ex->observe != NULL && kind == OUTCOME_OK)
        kind = observe_end(ex->observe, true);
    attempt_charge(ex, kind);
    attempt_release(ex, ex->upstream_keep_alive && !surplus && !body_coming && !ex->upload_broken &&
                            stream_pending(&ex->up->stream) == 0);
    struct body response = ex->response; /* its trailers are among the last bytes */
    ex->response = (struct body){.bytes = response.bytes};
    struct client *c = finish(ex, exchange_result(ex, kind));
    /* Counted before the last bytes go out: who has the whole answer finds it in the metrics. */
    if (last->count > 0 && stream_write(&c->stream, last->bufs, last->count) < 0)
        client_cut(c);
    else
        client_done(c, keep, body_coming);
    body_deinit(&response);
}

/* A FIN right behind a whole request is a half-close (as `printf | nc` makes); one that comes
 * later, or within the request, is a client that went away. */
static bool is_half_close(const struct exchange *ex)
{
    switch (ex->worker->shared->config->client_eof) {
    case CLIENT_EOF_ANSWER:
        return ex->request.done;
    case CLIENT_EOF_CANCEL:
        return false;
    case CLIENT_EOF_AUTO:
        break;
    }
    return ex->request.done &&
           ex->worker->loop.now_ns - ex->request_done_ns < HALF_CLOSE_MS * NS_PER_MS;
}

void exchange_client_end(struct exchange *ex, int status)
{
    if (ex->state == EX_TUNNEL) {
        tunnel_client_end(ex, status);
    } else if (status == 0 && !ex->half_closed && is_half_close(ex)) {
        ex->half_closed = true;
        ex->client_keep_alive = false;
    } else {
        exchange_abort(ex);
    }
}
