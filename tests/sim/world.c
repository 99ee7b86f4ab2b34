/* A world for one rollout. Outcomes wait in a calendar of 100 ms buckets, and a bucket is an
 * observation already: what the recorder would have seen change in that tenth of a second.
 */
#include "tests/sim/world.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "analysis/observation.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "base/rng.h"
#include "controller/engine.h"

#define TICK_NS (100 * NS_PER_MS)

enum {
    BUCKETS = 512,    /* 51 s: no response takes longer here */
    QUANTILES = 1024, /* of a response time distribution */
};
#define RESPONSE_MAX_NS ((BUCKETS - 2) * TICK_NS)

struct world {
    const struct world_config *config;
    struct rng rng;
    struct engine engine;
    struct observation buckets[BUCKETS];
    int64_t tick, start_ns, first_canary_ns; /* -1: none yet */
    uint32_t epoch, weight_bp;               /* what the proxies have */
    double *responses[VARIANT_COUNT][2];     /* ns; before and after the onset */
    struct world_result *result;
    bool ended;
};

/* --- what the engine does --------------------------------------------------------------------- */

static void set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    struct world *w = ctx;

    CHECK(epoch > w->epoch);
    w->epoch = epoch;
    w->weight_bp = weight_bp;
    if (weight_bp > w->result->max_weight_bp)
        w->result->max_weight_bp = weight_bp;
}

static int commit(void *ctx, const struct rollout_decision *d)
{
    (void)ctx;
    (void)d;
    return 0;
}

static int commit_owed(void *ctx, const struct rollout_state *s)
{
    (void)ctx;
    (void)s;
    return 0;
}

static int64_t now(const struct world *w)
{
    return w->start_ns + w->tick * TICK_NS;
}

static void finish(struct world *w, enum world_end end, enum rollout_cause cause)
{
    int64_t onset_ns = w->first_canary_ns + w->config->onset_ns;

    w->ended = true;
    w->result->end = end;
    w->result->cause = cause;
    w->result->since_onset_ns = now(w) > onset_ns ? now(w) - onset_ns : 0;
}

static void event(void *ctx, const struct rollout_decision *d)
{
    struct world *w = ctx;

    w->result->decisions++;
    w->result->digest = w->result->digest * UINT64_C(0x100000001b3) ^
                        hash_fnv1a((struct str){(const char *)d, sizeof(*d)});
    if (d->event == EVENT_ROLLED_BACK)
        finish(w, WORLD_REVERTED, d->cause);
    if (d->event == EVENT_PROMOTED)
        finish(w, WORLD_PROMOTED, d->cause);
}

/* --- traffic ---------------------------------------------------------------------------------- */

static double *responses_new(struct rng *rng, int64_t median_ns, double sigma)
{
    double *table = xcalloc(QUANTILES, sizeof(*table));

    for (int i = 0; i < QUANTILES; i++) {
        double ns = (double)median_ns * exp(sigma * rng_normal(rng));
        table[i] = fmin(fmax(ns, 1e5), (double)RESPONSE_MAX_NS);
    }
    return table;
}

static struct slot_counts *counts_at(struct world *w, int64_t tick, enum variant v, int64_t slot)
{
    return &observation_at(&w->buckets[tick % BUCKETS], w->epoch, slot)->variants[v];
}

static int64_t ticks(double ns)
{
    int64_t n = (int64_t)ceil(ns / (double)TICK_NS);

    return n < 1 ? 1 : n;
}

/* Latency criteria: over its limit a request is bad as soon as that is known; a failure that is not
 * over it is no sample. */
static void judge_latency(struct world *w, enum variant v, int64_t slot, size_t c, double ns,
                          bool failed)
{
    double limit_ns = (double)w->config->policy->analysis.criteria[c].limit_ns;
    int64_t ends = w->tick + ticks(ns), late = w->tick + ticks(limit_ns);

    if (ns > limit_ns) {
        counts_at(w, late < ends ? late : ends, v, slot)->bad[c]++;
        if (late < ends) {
            counts_at(w, late, v, slot)->overdue[c]++;
            counts_at(w, ends, v, slot)->overdue[c]--;
        }
    } else if (failed) {
        counts_at(w, ends, v, slot)->excluded[c]++;
    }
}

static void request(struct world *w, enum variant v, bool troubled, int64_t slot)
{
    const struct policy_analysis *a = &w->config->policy->analysis;
    const struct world_variant *wv = &w->config->variants[v];
    double ns = w->responses[v][troubled][rng_u64(&w->rng) % QUANTILES];
    bool failed = rng_unit(&w->rng) < (troubled ? wv->errors_after : wv->errors);

    if (failed && wv->failure_ns >= 0)
        ns = (double)wv->failure_ns;
    struct slot_counts *end = counts_at(w, w->tick + ticks(ns), v, slot);
    end->settled++;
    end->errors += failed;
    for (size_t c = 0; c < a->criteria_count; c++)
        if (a->criteria[c].metric == METRIC_LATENCY)
            judge_latency(w, v, slot, c, ns, failed);
        else if (failed)
            counts_at(w, w->tick + ticks(ns), v, slot)->bad[c]++;
    if (v == VARIANT_CANARY) {
        w->result->canary_requests++;
        w->result->canary_failed += failed;
    }
}

static void traffic(struct world *w)
{
    double canary = w->weight_bp / (double)WEIGHT_FULL_BP;
    double per_tick = w->config->rps * (double)TICK_NS / (double)NS_PER_SEC;
    int64_t slot = now(w) / w->config->policy->analysis.slot_ns;

    for (int v = 0; v < VARIANT_COUNT; v++) {
        uint32_t n = rng_poisson(&w->rng, per_tick * (v == VARIANT_CANARY ? canary : 1 - canary));
        if (n == 0)
            continue;
        if (v == VARIANT_CANARY && w->first_canary_ns < 0)
            w->first_canary_ns = now(w);
        bool troubled =
            w->first_canary_ns >= 0 && now(w) >= w->first_canary_ns + w->config->onset_ns;
        counts_at(w, w->tick + 1, (enum variant)v, slot)->dispatched += n;
        while (n-- > 0)
            request(w, (enum variant)v, troubled, slot);
    }
}

/* --- time ------------------------------------------------------------------------------------- */

static void begin(struct world *w)
{
    const struct world_config *c = w->config;

    rng_seed(&w->rng, c->seed);
    /* Any monotonic time will do; another for each seed, so that slots begin anywhere. */
    w->start_ns = (int64_t)(rng_u64(&w->rng) % 1000000) * NS_PER_MS;
    w->first_canary_ns = -1;
    for (int v = 0; v < VARIANT_COUNT; v++) {
        const struct world_variant *wv = &c->variants[v];
        w->responses[v][0] = responses_new(&w->rng, wv->latency_ns, wv->sigma);
        w->responses[v][1] = responses_new(&w->rng, wv->latency_after_ns, wv->sigma);
    }
    for (int i = 0; i < BUCKETS; i++)
        observation_init(&w->buckets[i]);
    engine_init(&w->engine, c->policy, w->start_ns);
}

static void end(struct world *w)
{
    for (int i = 0; i < BUCKETS; i++)
        observation_deinit(&w->buckets[i]);
    for (int v = 0; v < VARIANT_COUNT; v++) {
        free(w->responses[v][0]);
        free(w->responses[v][1]);
    }
    engine_deinit(&w->engine);
    free(w);
}

void world_run(const struct world_config *config, struct world_result *ret)
{
    struct world *w = xcalloc(1, sizeof(*w));
    const struct engine_ports ports = {set_weight, commit, commit_owed, event, w};
    struct rollout_decision decision;

    memset(ret, 0, sizeof(*ret));
    w->config = config;
    w->result = ret;
    begin(w);
    while (!w->ended && w->tick * TICK_NS < config->max_ns) {
        struct observation *seen = &w->buckets[w->tick % BUCKETS];
        engine_look(&w->engine, INPUT_TICK, seen, NULL, now(w), &ports, &decision);
        observation_clear(seen);
        traffic(w);
        w->tick++;
        ret->looks++;
    }
    ret->end_ns = w->tick * TICK_NS;
    ret->step = w->engine.state.step;
    end(w);
}
