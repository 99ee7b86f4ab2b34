/* Attempts: which endpoint, what each is charged with, and what follows when one failed before an
 * answer (retry.c decides): another, stable in the canary's place, or an error of our own.
 */
#include "analysis/reference.h"
#include "proxy/choice.h"
#include "proxy/exchange.h"
#include "proxy/retry.h"
#include "proxy/slots.h"

/* A kept connection is taken for one that died idle when it had been idle for so long, and ended
 * within so short a time. */
enum { STALE_AFTER_MS = 1000, STALE_WITHIN_MS = 1000 };

static const struct route_version *version_of(const struct exchange *ex)
{
    return &ex->route->versions[ex->variant];
}

size_t attempt_pool(const struct exchange *ex)
{
    return version_of(ex)->first_pool + ex->endpoint;
}

static const struct policy_upstream *upstream_of(const struct exchange *ex)
{
    return &ex->route->policy->upstream;
}

bool attempt_may_repeat(const struct exchange *ex)
{
    return retry_may_resend(ex->route->policy->shield, ex->idempotent,
                            !ex->touched && !ex->ever_touched);
}

/* --- choosing an endpoint --- */

bool attempt_choose(struct exchange *ex)
{
    const struct route_version *v = version_of(ex);
    struct slots *slots = ex->worker->shared->slots;
    uint32_t endpoint;

    CHECK(!ex->has_slot);
    do {
        endpoint = v->endpoint_count == 1 ? 0
                                          : choice_endpoint(v, slots, upstream_of(ex)->max_requests,
                                                            ex->avoid, &ex->worker->rng);
        if (endpoint == NO_ENDPOINT)
            return false;
        ex->has_slot = slots_take(slots, v->first_pool + endpoint, upstream_of(ex)->max_requests);
    } while (!ex->has_slot && v->endpoint_count > 1); /* another worker was faster: look again */
    if (!ex->has_slot)
        return false;
    ex->endpoint = endpoint;
    if (ex->attempts == 1)
        recorder_endpoint(ex->worker->shard, &ex->ticket, endpoint, ex->worker->loop.now_ns);
    return true;
}

/* Whether stable could take it now; or soon, if nobody has asked anybody yet: only such a request
 * may wait once more. */
static bool stable_is_free(const struct exchange *ex)
{
    const struct route_version *v = &ex->route->versions[VARIANT_STABLE];

    for (size_t i = 0; i < v->endpoint_count; i++)
        if (slots_in_flight(ex->worker->shared->slots, v->first_pool + i) <
            upstream_of(ex)->max_requests)
            return true;
    return !ex->touched && !ex->ever_touched && queue_has_room(ex, VARIANT_STABLE);
}

/* --- the end of an attempt --- */

static int64_t since(int64_t from_ns, int64_t at_ns)
{
    return at_ns == 0 ? -1 : at_ns > from_ns ? at_ns - from_ns : 0;
}

/* What is known of the answer's content, when it is whole or as far as it came. */
static void describe_content(const struct exchange *ex, struct outcome *o)
{
    o->stream = ex->stream != STREAM_UNKNOWN ? ex->stream : ex->asks;
    if (ex->tokens >= 2) {
        o->longest_gap_ns = ex->longest_gap_ns;
        o->per_token_ns = (ex->last_piece_ns - ex->first_piece_ns) / (int64_t)(ex->tokens - 1);
    }
    if (ex->response.done && ex->state == EX_RESPONDING && !ex->to_head)
        o->response_bytes = (int64_t)ex->response.bytes;
    if (ex->fields != NULL)
        o->tokens = fields_tokens(ex->fields);
}

/* Values of a whole answer for the criteria that look into it: before the ticket is settled. */
static void record_values(struct exchange *ex)
{
    const struct fields_plan *plan = ex->route->fields;

    for (uint32_t c = plan->fields; c != 0; c &= c - 1) {
        uint8_t criterion = (uint8_t)__builtin_ctz(c);
        struct field_value found = fields_value(ex->fields, criterion);
        struct shift_value v = {.criterion = criterion, .kind = VALUE_MISSING};
        if (found.kind == FIELD_NUMBER) {
            v.kind = VALUE_NUMBER;
            v.number = found.number;
        } else if (found.kind == FIELD_CATEGORY) {
            v.kind = VALUE_CATEGORY;
            v.category = found.category;
        }
        recorder_value(ex->worker->shard, &ex->ticket, &v);
    }
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
                        .longest_gap_ns = -1,
                        .per_token_ns = -1,
                        .response_bytes = -1,
                        .tokens = -1,
                        .queue_ns = -1};

    if (ex->state == EX_QUEUED)
        o.queue_ns = now_ns - ex->queued_ns;
    else if (ex->queue_ns > 0)
        o.queue_ns = ex->queue_ns;
    if (ex->charged)
        return;
    ex->charged = true;
    if (ex->paused_ns != 0)
        ex->unread_ns += now_ns - ex->paused_ns;
    ex->paused_ns = 0;
    if (from != 0) {
        o.latency_ns = now_ns - from - ex->unread_ns;
        o.first_byte_ns = since(from, ex->first_byte_ns);
        o.first_token_ns = since(from, ex->first_piece_ns);
    }
    if (ex->fields != NULL && kind == OUTCOME_OK)
        fields_end(ex->fields);
    describe_content(ex, &o);
    if (ex->attempts > 1) {
        recorder_count(ex->worker->shard, ex->route->rollout, ex->variant, &o);
        return;
    }
    ex->first_kind = kind;
    ex->ticket.unread_ns = ex->unread_ns;
    if (ex->fields != NULL && kind == OUTCOME_OK)
        record_values(ex);
    recorder_finish(ex->worker->shard, &ex->ticket, &o, now_ns);
}

void attempt_void(struct exchange *ex)
{
    if (!ex->charged && ex->attempts == 1) {
        recorder_void(ex->worker->shard, &ex->ticket);
        ex->first_void = true;
    }
    ex->charged = true;
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
    slots_give(ex->worker->shared->slots, attempt_pool(ex));
    queue_notify(ex->worker, ex->route->rollout, ex->variant);
}

static bool is_reused(const struct exchange *ex)
{
    return ex->up != NULL && ex->up->reused && ex->up->held.len == 0 && ex->interim == 0;
}

/* A connection that had been idle for a while and ends as soon as it is used: the endpoint had
 * closed it. One that was warm, or ends later, ended for another reason, and that is the
 * endpoint's. */
static bool is_stale(const struct exchange *ex)
{
    return is_reused(ex) && ex->attempt_ns - ex->up->idle_since_ns >= STALE_AFTER_MS * NS_PER_MS &&
           ex->worker->loop.now_ns - ex->attempt_ns <= STALE_WITHIN_MS * NS_PER_MS;
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
                                 .reused = is_reused(ex),
                                 .stale = is_stale(ex),
                                 .stable_free = stable_is_free(ex),
                                 .fresh_left = FRESH_MAX - ex->fresh,
                                 .retries_left = max > ex->retries ? max - ex->retries : 0};
    return retry_decide(&c);
}

/* The request goes out from its first byte again: nothing of what came back before counts. */
static void begin_anew(struct exchange *ex)
{
    ex->ever_touched |= ex->touched;
    ex->touched = false;
    ex->upload_broken = false;
    ex->sent_ns = ex->first_byte_ns = ex->unread_ns = ex->paused_ns = 0;
    ex->interim = 0;
    ex->status = 0;
    body_deinit(&ex->response);
    ex->response = (struct body){0};
    ex->stream = STREAM_UNKNOWN;
    observe_free(ex->observe);
    ex->observe = NULL;
    fields_free(ex->fields);
    ex->fields = NULL;
}

/* Another attempt, at ex->variant. */
static void another(struct exchange *ex, bool fresh)
{
    static const struct failure full = {503, "upstream_full",
                                        "every endpoint has max_requests in flight"};
    struct str none = {NULL, 0};

    begin_anew(ex);
    ex->attempts++;
    ex->charged = false;
    ex->queue_sum_ns += ex->queue_ns;
    ex->queue_ns = 0;
    ex->endpoint = NO_ENDPOINT;
    if (attempt_choose(ex)) {
        send_begin(ex, fresh, &none);
    } else if (!ex->ever_touched) {
        queue_enter(ex);
    } else {
        attempt_charge(ex, OUTCOME_UNAVAILABLE);
        exchange_answer(ex, OUTCOME_UNAVAILABLE, &full);
    }
}

void attempt_shield(struct exchange *ex, enum outcome_kind kind, bool reuse)
{
    attempt_charge(ex, kind);
    attempt_release(ex, reuse);
    ex->variant = VARIANT_STABLE;
    ex->avoid = NO_ENDPOINT;
    ex->shielded = true;
    another(ex, false);
}

/* The canary's failure reaches the client although the policy shields. */
static void count_unshielded(struct exchange *ex, enum outcome_kind kind)
{
    if (ex->variant == VARIANT_CANARY && ex->route->policy->shield != SHIELD_OFF &&
        retry_shieldable(kind))
        stat_add(&ex->worker->stats.unshielded, 1);
}

bool attempt_shields_answer(struct exchange *ex)
{
    if (ex->variant != VARIANT_CANARY)
        return false;
    if (decide(ex, OUTCOME_5XX) == RETRY_STABLE)
        return true;
    count_unshielded(ex, OUTCOME_5XX);
    return false;
}

void attempt_failed(struct exchange *ex, enum outcome_kind kind, const struct failure *f)
{
    struct worker *w = ex->worker;
    enum retry what = decide(ex, kind);

    exchange_note(ex, f->code, f->message);
    /* Where no connection was made nothing was asked of anybody: that needs no budget. */
    if (what == RETRY_SAME && kind != OUTCOME_CONNECT &&
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
        begin_anew(ex);
        send_begin(ex, true, &(struct str){NULL, 0});
        return;
    case RETRY_STABLE:
        attempt_shield(ex, kind, false);
        return;
    case RETRY_ANEW:
        attempt_charge(ex, kind);
        attempt_release(ex, false);
        ex->fresh++;
        another(ex, true);
        return;
    case RETRY_SAME:
        attempt_charge(ex, kind);
        attempt_release(ex, false);
        ex->avoid = ex->endpoint;
        ex->retries++;
        another(ex, true); /* where one kept connection broke, others may have */
        return;
    case RETRY_NONE:
        break;
    }
    count_unshielded(ex, kind);
    attempt_charge(ex, kind);
    exchange_answer(ex, kind, f);
}

void attempt_unavailable(struct exchange *ex, const struct failure *f)
{
    bool shield = decide(ex, OUTCOME_UNAVAILABLE) == RETRY_STABLE;

    if (ex->state == EX_QUEUED)
        queue_leave(ex);
    if (shield) {
        struct client *c = ex->client;
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
    if (ex->replay.given_up || !attempt_may_repeat(ex) || !stable_is_free(ex))
        return false;
    if (ex->state == EX_QUEUED)
        queue_leave(ex);
    attempt_void(ex);
    struct client *c = ex->client;
    attempt_shield(ex, OUTCOME_OK, false);
    client_resume(c);
    return true;
}

/* --- the first --- */

void attempt_asks(struct exchange *ex)
{
    if (ex->attempts == 1 && ex->stream == STREAM_UNKNOWN && ex->asks != STREAM_UNKNOWN)
        recorder_stream(ex->worker->shard, &ex->ticket, (enum outcome_stream)ex->asks);
}

void attempt_first(struct exchange *ex, struct str *body)
{
    struct worker *w = ex->worker;

    ex->attempts = 1;
    ex->avoid = ex->endpoint = NO_ENDPOINT;
    ex->first_variant = ex->variant;
    ex->connect_ns = -1;
    ex->replay.yields = ex->variant == VARIANT_STABLE;
    retry_budget_deposit(&w->budgets[ex->route->rollout], upstream_of(ex)->retries_budget);
    recorder_dispatch(w->shard, &ex->ticket, ex->route->rollout, ex->epoch, ex->variant,
                      ex->applies, w->loop.now_ns);
    if (ex->asks != STREAM_UNKNOWN)
        attempt_asks(ex);
    /* Who waits goes first. */
    if (slots_waiting(w->shared->slots, slots_version(ex->route->rollout, ex->variant)) == 0 &&
        attempt_choose(ex))
        send_begin(ex, false, body);
    else
        queue_enter(ex);
}
