/* Time, and what the engine does. What surprises: most ticks do not look. Between looks the world
 * keeps what became known, as the recorder does, and the engine cannot tell the difference: its
 * evidence depends on what is known of each slot and not on when it was folded, and time without a
 * bad canary request can only lower it.
 */
#include "controller/sim_world.h"

#include <stdlib.h>
#include <string.h>

#include "analysis/observation.h"
#include "analysis/reference.h"
#include "analysis/sequential.h"
#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"
#include "base/hash.h"
#include "controller/engine.h"
#include "controller/sim_calendar.h"
#include "controller/sim_traffic.h"

#define TURN_NS NS_PER_SEC /* the controller's turn with few rollouts */

const char *const sim_end_names[SIM_END_COUNT] = {
    [SIM_UNDECIDED] = "undecided",
    [SIM_PROMOTED] = "promoted",
    [SIM_REVERTED] = "reverted",
    [SIM_PAUSED] = "paused",
};

/* How many requests of the step were known to be bad, per criterion, at some time. */
struct known {
    int64_t tick;
    uint64_t bad[CRITERIA_MAX];
};

struct sim_world {
    struct sim_config config;
    const struct sim_plan *plan;
    int64_t max_ns;
    struct sim_calendar calendar;
    struct sim_traffic traffic;
    struct sim_rival rival;
    struct reference *reference;
    struct engine engine;
    struct observation observation;
    struct rollout_decision decision;
    int64_t zero_ns;           /* the monotonic time of tick 0 */
    int64_t tick;              /* rising from the start of the watch */
    int64_t start_tick;        /* of the rollout */
    uint32_t epoch, weight_bp; /* what the proxies have */
    uint64_t alarms;           /* seen */
    int64_t due_ns;
    struct known older, newer; /* older: of requests that have all ended by now, or zeros */
    uint64_t idle_until;       /* canary requests without which no harm cannot be shown yet */
    struct sim_result *result;
    bool ended;
};

static int64_t now(const struct sim_world *w)
{
    return w->zero_ns + w->tick * SIM_TICK_NS;
}

static int64_t since_start(const struct sim_world *w)
{
    return (w->tick - w->start_tick) * SIM_TICK_NS;
}

/* --- what the engine does --------------------------------------------------------------------- */

static void set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    struct sim_world *w = ctx;

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

static void take_toll(const struct sim_world *w, struct sim_toll *ret)
{
    const struct sim_traffic *t = &w->traffic;

    if (t->onset_tick < 0)
        return;
    ret->known = true;
    ret->ns = (w->tick - t->onset_tick) * SIM_TICK_NS;
    ret->requests = t->requests;
    ret->failed = t->failed;
}

static void finish(struct sim_world *w, enum sim_end end, enum rollout_cause cause)
{
    w->ended = true;
    w->result->end = end;
    w->result->cause = cause;
}

static void trace(const struct sim_world *w, enum rollout_event event)
{
    const struct analysis_report *r = &w->engine.report;

    if (w->config.trace == NULL || w->tick < w->start_tick)
        return;
    struct sim_point point = {.ns = since_start(w),
                              .weight_bp = w->weight_bp,
                              .log_e = r->log_e,
                              .threshold = r->threshold,
                              .wide_log_e = r->wide.log_e,
                              .wide_threshold = r->wide.threshold,
                              .event = event};
    w->config.trace(w->config.trace_ctx, &point);
}

static void event(void *ctx, const struct rollout_decision *d)
{
    struct sim_world *w = ctx;
    struct sim_result *r = w->result;
    bool taken = d->before.weight_bp > 0 && d->state.weight_bp == 0;

    r->decisions++;
    r->digest =
        r->digest * UINT64_C(0x100000001b3) ^ hash_fnv1a((struct str){(const char *)d, sizeof(*d)});
    trace(w, d->event);
    r->sent_back = r->sent_back || taken;
    if (taken && !r->down.known)
        take_toll(w, &r->down);
    if (taken && d->state.phase != PHASE_ROLLED_BACK)
        r->retreats++;
    if (d->event == EVENT_ROLLED_BACK) {
        take_toll(w, &r->verdict);
        finish(w, SIM_REVERTED, d->cause);
    } else if (d->event == EVENT_PROMOTED) {
        finish(w, SIM_PROMOTED, d->cause);
    } else if (d->event == EVENT_PAUSED) {
        finish(w, SIM_PAUSED, d->cause);
    } else if (d->event == EVENT_STEP_UNDECIDED &&
               w->plan->policy.analysis.on_undecided == UNDECIDED_HOLD) {
        finish(w, SIM_UNDECIDED, d->cause);
    }
}

static const struct engine_ports engine_ports = {
    .set_weight = set_weight, .commit = commit, .commit_owed = commit_owed, .event = event};

/* --- looks ------------------------------------------------------------------------------------ */

static void set_due(struct sim_world *w)
{
    int64_t now_ns = now(w), turn_ns = (now_ns / TURN_NS + 1) * TURN_NS;
    int64_t quiet_ns = rollout_quiet_ns(&w->plan->policy, &w->engine.state);

    w->due_ns = quiet_ns < turn_ns - now_ns ? now_ns + quiet_ns : turn_ns;
}

static void remember(struct sim_world *w, bool afresh)
{
    int64_t settled_ticks = (int64_t)(w->plan->answer_max_ns / (double)SIM_TICK_NS) + 2;

    if (afresh) {
        memset(&w->older, 0, sizeof(w->older));
        memset(&w->newer, 0, sizeof(w->newer));
        w->newer.tick = w->tick;
    } else if (w->tick - w->newer.tick >= settled_ticks) {
        w->older = w->newer;
        w->newer.tick = w->tick;
        for (size_t i = 0; i < w->engine.report.count; i++)
            w->newer.bad[i] = w->engine.report.criteria[i].bad[VARIANT_CANARY];
    }
}

/* While no harm is still to be shown, so many more canary requests must come first, even if all
 * that are in flight and all that come are good. It may be shown by any of the step's requests up
 * to some moment, but what had ended when this was looked at last was looked at: what counts is any
 * moment since, with at least the bad requests that were known before. */
static void set_idle(struct sim_world *w)
{
    const struct policy_analysis *a = &w->plan->policy.analysis;
    uint64_t most = 0;

    for (size_t i = 0; i < w->engine.report.count; i++) {
        const struct policy_criterion *c = &a->criteria[i];
        const struct criterion_report *r = &w->engine.report.criteria[i];
        if (c->test != TEST_MAX || !c->require_no_harm || r->no_harm_threshold <= 0)
            continue;
        uint64_t more = sequential_requests_more(r->requests[VARIANT_CANARY], w->older.bad[i],
                                                 c->p0, a->max_bad_promotion);
        most = more > most ? more : most;
    }
    w->idle_until = w->traffic.all_requests + most;
}

static void look(struct sim_world *w, enum rollout_input_kind kind, const struct command *command)
{
    struct engine_ports ports = engine_ports;
    const struct rollout_state *s = &w->engine.state;

    ports.ctx = w;
    observation_clear(&w->observation);
    sim_calendar_take(&w->calendar, &w->observation);
    engine_look(&w->engine, kind, &w->observation, command, now(w), &ports, &w->decision);
    w->result->looks++;
    w->alarms = w->calendar.alarms;
    set_due(w);
    remember(w, w->decision.state.step != w->decision.before.step ||
                    w->decision.state.phase != w->decision.before.phase);
    w->idle_until = 0;
    if (!w->config.every_tick && rollout_awaits_requests(&w->plan->policy, s) &&
        rollout_needs_evidence(&w->plan->policy, s->step) && !w->engine.report.no_harm)
        set_idle(w);
}

static void command(struct sim_world *w, enum command_kind kind)
{
    struct command c = {.kind = kind, .reason = "simulated"};

    look(w, INPUT_TICK, NULL);
    look(w, INPUT_COMMAND, &c);
    CHECK(w->decision.result.ok);
}

/* As the controller's shell decides, which a test holds to deciding nothing that looking at every
 * tick would not. */
static bool wants_look(const struct sim_world *w)
{
    const struct rollout_state *s = &w->engine.state;

    if (w->config.every_tick || now(w) >= w->due_ns)
        return true;
    if (w->alarms != w->calendar.alarms && rollout_is_judged(s))
        return true;
    return rollout_awaits_requests(&w->plan->policy, s) &&
           w->traffic.all_requests >= w->idle_until && sim_calendar_has_news(&w->calendar);
}

static void histogram(void *ctx, size_t criterion, struct histogram_view *add_to)
{
    const struct sim_world *w = ctx;

    memcpy(add_to, &w->calendar.histograms[w->plan->group_of[criterion]], sizeof(*add_to));
}

/* --- time ------------------------------------------------------------------------------------- */

/* As long as the policy can take, and an hour. Watching decides nothing: as long as the steps. */
static int64_t longest_ns(const struct policy *p)
{
    int64_t sum = p->bake.for_ns + 3600 * NS_PER_SEC;
    bool observe = p->analysis.mode == MODE_OBSERVE;

    for (size_t i = 0; i < p->step_count; i++)
        sum += observe || p->steps[i].hold_ns > p->analysis.max_hold_ns ? p->steps[i].hold_ns
                                                                        : p->analysis.max_hold_ns;
    return observe ? sum - 3600 * NS_PER_SEC : sum;
}

struct sim_world *sim_world_new(const struct sim_config *config)
{
    struct sim_world *w = xcalloc(1, sizeof(*w));

    w->config = *config;
    w->plan = config->plan;
    w->max_ns = config->max_ns > 0 ? config->max_ns : longest_ns(&w->plan->policy);
    sim_calendar_init(&w->calendar, w->plan);
    observation_init(&w->observation);
    return w;
}

void sim_world_free(struct sim_world *w)
{
    if (w == NULL)
        return;
    sim_calendar_deinit(&w->calendar);
    observation_deinit(&w->observation);
    free(w);
}

static void begin(struct sim_world *w, uint64_t seed)
{
    struct rng rng;

    rng_seed(&rng, seed);
    /* Any monotonic time will do; another for each seed, so that slots begin anywhere. */
    w->zero_ns = NS_PER_SEC + (int64_t)(rng_u64(&rng) % 1000000) * NS_PER_MS;
    w->tick = 0;
    w->start_tick = (w->config.watch_ns + SIM_TICK_NS - 1) / SIM_TICK_NS;
    w->epoch = w->weight_bp = 0;
    w->alarms = w->idle_until = 0;
    w->due_ns = 0;
    remember(w, true);
    w->ended = false;
    sim_calendar_reset(&w->calendar);
    sim_traffic_begin(&w->traffic, w->plan, &w->calendar, rng_u64(&rng));
    w->reference = w->config.rival != NULL ? NULL : reference_new(&w->plan->policy);
    engine_init(&w->engine, &w->plan->policy, now(w));
    w->epoch = w->engine.state.epoch;
}

static void traffic(struct sim_world *w)
{
    const struct sim_moment m = {
        .tick = w->tick,
        .since_ns = since_start(w),
        .slot = now(w) / w->plan->policy.analysis.slot_ns,
        .epoch = w->epoch,
        .weight_bp = w->weight_bp,
        .limits = w->reference == NULL ? NULL : reference_limits(w->reference),
    };

    sim_traffic_tick(&w->traffic, &m);
}

/* --- other rules ------------------------------------------------------------------------------ */

static void rival_weight(struct sim_world *w, uint32_t weight_bp)
{
    if (w->weight_bp > 0 && weight_bp == 0) {
        w->result->sent_back = true;
        take_toll(w, &w->result->down);
        take_toll(w, &w->result->verdict);
    }
    set_weight(w, w->epoch + 1, weight_bp);
}

static void steer_rival(struct sim_world *w)
{
    const struct policy_step *steps = w->plan->policy.steps;
    struct sim_calendar *c = &w->calendar;

    sim_calendar_forget(c);
    if (w->tick < w->start_tick)
        return;
    if (w->tick == w->start_tick) {
        sim_rival_begin(&w->rival, w->config.rival, &w->plan->policy);
        rival_weight(w, steps[0].weight_bp);
        return;
    }
    switch (sim_rival_look(&w->rival, since_start(w), c->settled[VARIANT_CANARY],
                           c->errors[VARIANT_CANARY])) {
    case SIM_RIVAL_STAYS:
        return;
    case SIM_RIVAL_STEPS:
        rival_weight(w, steps[w->rival.step - 1].weight_bp);
        return;
    case SIM_RIVAL_PROMOTES:
        finish(w, SIM_PROMOTED, CAUSE_PASSED);
        return;
    case SIM_RIVAL_REVERTS:
        rival_weight(w, 0);
        finish(w, SIM_REVERTED, CAUSE_CRITERION);
        return;
    }
}

/* The policy of a plan starts on command, so that stable can be watched before. */
static void steer(struct sim_world *w)
{
    if (w->reference != NULL)
        reference_look(w->reference, now(w), w->engine.state.weight_bp >= WEIGHT_FULL_BP, histogram,
                       w);
    if (w->tick == w->start_tick)
        command(w, COMMAND_PROMOTE);
    else if (wants_look(w))
        look(w, INPUT_TICK, NULL);
    if (w->engine.state.phase == PHASE_AWAITING_APPROVAL)
        command(w, COMMAND_APPROVE);
    if (w->config.trace != NULL && since_start(w) % NS_PER_SEC == 0)
        trace(w, EVENT_NONE);
}

void sim_world_run(struct sim_world *w, uint64_t seed, struct sim_result *ret)
{
    memset(ret, 0, sizeof(*ret));
    w->result = ret;
    begin(w, seed);
    while (!w->ended && since_start(w) < w->max_ns) {
        sim_calendar_pass(&w->calendar, w->tick);
        if (w->config.rival != NULL)
            steer_rival(w);
        else
            steer(w);
        if (w->ended)
            break;
        traffic(w);
        w->tick++;
    }
    ret->end_ns = since_start(w);
    ret->step = w->config.rival != NULL ? w->rival.step : w->engine.state.step;
    ret->requests = w->traffic.requests;
    ret->failed = w->traffic.failed;
    engine_deinit(&w->engine);
    reference_free(w->reference);
    w->reference = NULL;
}
