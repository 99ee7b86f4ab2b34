/* The inner loop of the simulation: a request is two random words, a time out of a table, a
 * comparison per criterion of time, and an event or two in the calendar.
 */
#include "controller/sim_traffic.h"

#include <math.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { SHARED = VARIANT_COUNT };

/* --- trouble ---------------------------------------------------------------------------------- */

static const struct sim_bursts *bursts_of(const struct sim_plan *plan, int who)
{
    return who == SHARED ? &plan->spec.shared.bursts : &plan->spec.variants[who].bursts;
}

static const struct sim_outage *outage_of(const struct sim_plan *plan, int who)
{
    return who == SHARED ? &plan->spec.shared.outage : &plan->spec.variants[who].outage;
}

static void next_burst(struct sim_trouble *t, const struct sim_bursts *b)
{
    t->begins_ns = t->ends_ns + rng_exponential(&t->rng, b->every_ns);
    t->ends_ns = t->begins_ns + rng_exponential(&t->rng, b->length_ns);
}

/* The share of requests that fail because of it. */
static double trouble_now(struct sim_traffic *t, int who, int64_t tick, int64_t since_ns)
{
    const struct sim_bursts *b = bursts_of(t->plan, who);
    const struct sim_outage *o = outage_of(t->plan, who);
    struct sim_trouble *trouble = &t->troubles[who];
    double share = 0, now_ns = (double)tick * (double)SIM_TICK_NS;

    if (b->length_ns > 0) {
        while (now_ns >= trouble->ends_ns)
            next_burst(trouble, b);
        if (now_ns >= trouble->begins_ns)
            share = b->share;
    }
    if (o->length_ns > 0 && since_ns >= o->after_ns && since_ns < o->after_ns + o->length_ns)
        share = fmax(share, o->share);
    return share;
}

void sim_traffic_begin(struct sim_traffic *t, const struct sim_plan *plan,
                       struct sim_calendar *calendar, uint64_t seed)
{
    memset(t, 0, sizeof(*t));
    t->plan = plan;
    t->calendar = calendar;
    t->first_tick = t->onset_tick = -1;
    rng_seed(&t->rng, seed);
    for (int i = 0; i <= SHARED; i++)
        rng_seed(&t->troubles[i].rng, rng_u64(&t->rng));
    for (int i = 0; i < SIM_ENDPOINTS_MAX; i++)
        t->warm_since[i] = -1;
}

/* --- one request ------------------------------------------------------------------------------ */

static uint64_t mix(uint64_t x)
{
    x = (x ^ (x >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ (x >> 27)) * UINT64_C(0x94d049bb133111eb);
    return x ^ (x >> 31);
}

static enum outcome_kind kind_of(const struct sim_answers *a, uint32_t random)
{
    int kind = OUTCOME_OK + 1;

    while (kind < OUTCOME_KIND_COUNT - 1 && random >= a->kind_below[kind])
        kind++;
    return (enum outcome_kind)kind;
}

/* What ends badly: how long that takes, and how much of an answer there was. */
static void spoil(const struct sim_traffic *t, const struct sim_answers *a, struct sim_request *r)
{
    const struct policy_upstream *up = &t->plan->policy.upstream;
    bool answered = false; /* a part of an answer came */

    if (r->kind == OUTCOME_5XX)
        r->kind = a->failure_kind;
    switch (r->kind) {
    case OUTCOME_TIMEOUT:
        r->end_ns = a->failure_kind == OUTCOME_TIMEOUT && a->failure_ns >= 0
                        ? a->failure_ns
                        : (double)up->first_byte_timeout_ns;
        break;
    case OUTCOME_STALLED:
        r->end_ns += (double)up->idle_timeout_ns;
        answered = true;
        break;
    case OUTCOME_TRUNCATED:
    case OUTCOME_STREAM_ERROR:
    case OUTCOME_EMPTY:
        answered = true;
        break;
    case OUTCOME_CLIENT_ABORT:
        r->end_ns /= 2;
        break;
    default:
        if (a->failure_ns >= 0)
            r->end_ns = a->failure_ns;
        break;
    }
    r->sent = r->kind != OUTCOME_CONNECT && r->kind != OUTCOME_UNAVAILABLE;
    if (r->kind == OUTCOME_4XX || r->kind == OUTCOME_429 || r->kind == OUTCOME_5XX) {
        r->stream = STREAM_NO;
        r->head_ns = r->end_ns;
    } else if (answered) {
        r->stream = STREAM_YES;
    } else {
        r->stream = STREAM_UNKNOWN;
        r->head_ns = -1;
    }
}

static void stream_times(const struct sim_answers *a, uint64_t random, double swing,
                         struct sim_request *r)
{
    for (int m = 1; m < SIM_TIME_METRICS; m++)
        if (a->has_time[m] && r->stream == STREAM_YES && r->kind != OUTCOME_EMPTY) {
            random = mix(random + UINT64_C(0x9e3779b97f4a7c15));
            r->times[m] = fmin(sim_quantile(&a->times[m], (uint32_t)random) * swing, r->end_ns);
        }
    if (r->times[1] >= 0)
        r->head_ns = r->times[1];
}

static int64_t ns_of(double ns)
{
    return ns < 0 ? -1 : (int64_t)ns;
}

void sim_request_outcome(const struct sim_request *r, struct outcome *ret)
{
    bool late = r->kind == OUTCOME_STALLED || r->kind == OUTCOME_OK;

    *ret =
        (struct outcome){.kind = r->kind,
                         .latency_ns = late || r->kind == OUTCOME_TIMEOUT ? ns_of(r->times[0]) : -1,
                         .first_byte_ns = ns_of(r->head_ns),
                         .first_token_ns = ns_of(r->times[1]),
                         .longest_gap_ns = ns_of(r->times[2]),
                         .per_token_ns = ns_of(r->times[3]),
                         .connect_ns = -1,
                         .queue_ns = -1,
                         .response_bytes = -1,
                         .tokens = -1,
                         .stream = r->stream};
}

static int64_t ticks_after(const struct sim_request *r, double ns)
{
    int64_t n = (int64_t)(r->offset + ns * (1 / (double)SIM_TICK_NS)) + 1;

    return n < 1 ? 1 : n;
}

/* Those of the bad marks that are known before the end are reported then: a limit of latency when
 * it is passed, one of a kind of answer not before the kind is known. */
static void report_overdue(struct sim_traffic *t, const struct sim_request *r, int64_t tick,
                           int64_t ends, const int64_t *limits, struct sim_event *end)
{
    const struct judge *j = &t->plan->judge;

    for (size_t i = 0; i < j->time_count; i++) {
        uint32_t bit = UINT32_C(1) << j->time[i].criterion;
        double known_ns = (double)limits[i];
        if ((end->bad & j->in_flight & bit) == 0 || !r->sent)
            continue;
        if ((j->by_answer & bit) != 0)
            known_ns = r->head_ns < 0 ? r->end_ns : fmax(known_ns, r->head_ns);
        if (known_ns >= r->end_ns)
            continue;
        int64_t known = tick + ticks_after(r, known_ns);
        if (known >= ends)
            continue;
        *sim_calendar_at(t->calendar, known) = (struct sim_event){
            .cell = end->cell, .bad = bit, .flags = end->flags & SIM_EVENT_CANARY};
        end->bad &= ~bit;
        end->flags |= bit << SIM_EVENT_OVERDUE;
    }
}

static void keep_times(const struct sim_traffic *t, const struct sim_request *r,
                       struct sim_event *end)
{
    const struct sim_plan *plan = t->plan;

    if (r->kind != OUTCOME_OK && r->kind != OUTCOME_TIMEOUT && r->kind != OUTCOME_STALLED)
        return;
    for (size_t g = 0; g < plan->group_count; g++) {
        enum where_stream stream = plan->groups[g].stream;
        bool other = (stream == WHERE_STREAM && r->stream == STREAM_NO) ||
                     (stream == WHERE_NO_STREAM && r->stream == STREAM_YES);
        end->groups |= other ? 0 : UINT32_C(1) << g;
    }
    for (int m = 0; m < SIM_TIME_METRICS; m++)
        end->buckets[m] = r->times[m] >= 0
                              ? (uint16_t)histogram_bucket((uint64_t)r->times[m] / 1000)
                              : (uint16_t)SIM_NO_BUCKET;
}

static void record(struct sim_traffic *t, const struct sim_request *r, int64_t tick)
{
    const struct judge *j = &t->plan->judge;
    uint32_t number = t->calendar->cell_count - 1;
    const struct sim_cell *cell = sim_calendar_cell(t->calendar, number);
    const int64_t *limits = cell->limits[r->variant];
    int64_t ends = tick + ticks_after(r, r->end_ns);
    uint32_t asked = j->counted & ~cell->without;
    uint32_t open = r->warm_up ? asked & ~j->times : asked;
    struct sim_event end = {.cell = number, .flags = SIM_EVENT_SETTLES};
    struct outcome outcome;

    sim_request_outcome(r, &outcome);
    judge_end(j, &outcome, r->sent ? (int64_t)r->end_ns : -1, limits, cell->steps[r->variant], open,
              &end.bad, &end.excluded);
    end.excluded |= asked & ~open;
    if (r->variant == VARIANT_CANARY)
        end.flags |= SIM_EVENT_CANARY;
    if ((outcome_bit(r->kind) & j->error_kinds) != 0)
        end.flags |= SIM_EVENT_ERROR;
    else if (r->kind == OUTCOME_CLIENT_ABORT)
        end.flags |= SIM_EVENT_EXCUSED;
    if ((end.bad & j->in_flight) != 0)
        report_overdue(t, r, tick, ends, limits, &end);
    if (r->variant == VARIANT_STABLE && t->plan->group_count > 0 && !r->warm_up)
        keep_times(t, r, &end);
    *sim_calendar_at(t->calendar, ends) = end;
}

/* --- a tick of them --------------------------------------------------------------------------- */

/* What a tick has in common for the requests to one variant. */
struct side {
    const struct sim_answers *answers;
    uint32_t trouble; /* of 2^32: fail whatever they are */
};

static void answer(struct sim_traffic *t, const struct side *side, double swing, uint64_t first,
                   uint64_t second, struct sim_request *r)
{
    const struct sim_answers *a = side->answers;
    uint32_t luck = (uint32_t)first;

    r->end_ns = sim_quantile(&a->times[0], (uint32_t)(second >> 32)) * swing;
    r->offset = (double)(second & 0xffff) * 0x1.0p-16;
    r->stream = (second >> 16 & 0xffff) < a->streams_below ? STREAM_YES : STREAM_NO;
    r->head_ns = r->end_ns;
    r->sent = true;
    if (luck < side->trouble)
        r->kind = OUTCOME_5XX;
    else if (side->trouble > 0)
        luck = (uint32_t)((uint64_t)(luck - side->trouble) * UINT64_C(0x100000000) /
                          (UINT64_C(0x100000000) - side->trouble));
    if (r->kind == OUTCOME_OK && luck < a->bad)
        r->kind = kind_of(a, luck);
    if (r->kind != OUTCOME_OK)
        spoil(t, a, r);
    double limit_ns = (double)t->plan->policy.upstream.total_timeout_ns;
    r->end_ns = fmin(r->end_ns, limit_ns);
    for (int m = 0; m < SIM_TIME_METRICS; m++)
        r->times[m] = -1;
    if (r->stream == STREAM_YES)
        stream_times(a, first ^ second, swing, r);
    if (r->sent)
        r->times[0] = r->end_ns;
}

/* Endpoints in turn; each is warm after so many requests or so long. */
static bool warms_up(struct sim_traffic *t, int64_t tick)
{
    const struct policy *p = &t->plan->policy;
    size_t count = p->versions[VARIANT_CANARY].endpoint_count;

    if (p->analysis.warm_up_requests == 0)
        return false;
    count = count == 0 ? 1 : count > SIM_ENDPOINTS_MAX ? SIM_ENDPOINTS_MAX : count;
    size_t endpoint = t->all_requests % count;
    if (t->warm_since[endpoint] < 0)
        t->warm_since[endpoint] = tick;
    if ((tick - t->warm_since[endpoint]) * SIM_TICK_NS >= p->analysis.warm_up_ns)
        return false;
    return t->warm_count[endpoint]++ < p->analysis.warm_up_requests;
}

static void count_canary(struct sim_traffic *t, struct sim_request *r, int64_t tick)
{
    uint32_t kind = outcome_bit(r->kind);

    if (t->first_tick < 0)
        t->first_tick = tick;
    r->warm_up = warms_up(t, tick);
    t->all_requests++;
    t->requests++;
    t->failed += (kind & t->plan->policy.analysis.error_kinds) != 0;
}

static bool has_begun(struct sim_traffic *t, const struct sim_moment *m)
{
    const struct sim_variant *v = &t->plan->spec.variants[VARIANT_CANARY];

    if (t->onset_tick >= 0)
        return true;
    if (t->first_tick < 0) {
        /* The first request to it is of this tick, or none is. */
        if (m->weight_bp == 0 || v->onset_ns > 0 || m->weight_bp < v->onset_bp)
            return false;
    } else if ((m->tick - t->first_tick) * SIM_TICK_NS < v->onset_ns ||
               m->weight_bp < v->onset_bp) {
        return false;
    }
    t->onset_tick = m->tick;
    t->requests = t->failed = 0;
    return true;
}

static uint32_t of_32_bits(double share)
{
    return share >= 1 ? UINT32_MAX : (uint32_t)(share * 0x1.0p32);
}

static double swing_at(const struct sim_shared *s, int64_t since_ns)
{
    if (s->swing_ns == 0)
        return 1;
    return 1 + s->swing * sin(6.283185307179586 * (double)since_ns / (double)s->swing_ns);
}

void sim_traffic_tick(struct sim_traffic *t, const struct sim_moment *m)
{
    const struct sim_plan *plan = t->plan;
    uint32_t n = sim_plan_arrivals(plan, (uint32_t)(rng_u64(&t->rng) >> 32));
    uint64_t below = (uint64_t)m->weight_bp * UINT64_C(0x100000000) / WEIGHT_FULL_BP;
    double shared = trouble_now(t, SHARED, m->tick, m->since_ns);
    double swing = swing_at(&plan->spec.shared, m->since_ns);
    uint32_t dispatched[VARIANT_COUNT] = {0};
    struct side sides[VARIANT_COUNT];

    for (int v = 0; v < VARIANT_COUNT; v++) {
        bool changed = v == VARIANT_CANARY && has_begun(t, m);
        double own = trouble_now(t, v, m->tick, m->since_ns);
        sides[v].answers = &plan->answers[changed ? VARIANT_CANARY : VARIANT_STABLE];
        sides[v].trouble = of_32_bits(fmax(shared, own));
    }
    if (n == 0)
        return;
    sim_calendar_open(t->calendar, m->epoch, m->slot, m->limits);
    while (n-- > 0) {
        uint64_t first = rng_u64(&t->rng), second = rng_u64(&t->rng);
        struct sim_request r = {.kind = OUTCOME_OK};
        r.variant = first >> 32 < below ? VARIANT_CANARY : VARIANT_STABLE;
        answer(t, &sides[r.variant], swing, first, second, &r);
        if (r.variant == VARIANT_CANARY)
            count_canary(t, &r, m->tick);
        dispatched[r.variant]++;
        record(t, &r, m->tick);
        if (t->seen != NULL)
            t->seen(t->seen_ctx, &r);
    }
    for (int v = 0; v < VARIANT_COUNT; v++)
        sim_calendar_dispatch(t->calendar, (enum variant)v, dispatched[v]);
}
