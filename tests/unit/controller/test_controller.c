/* The shell: ticks, commands, documents, events, with a clock in the hand and a scripted proxy. */
#include "fixtures.h"

#include <errno.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/rng.h"
#include "controller/controller.h"
#include "controller/events.h"
#include "controller/journal_format.h"

/* A proxy that sends `rate` requests per tick, split by the weight, of which shares fail. */
struct proxy {
    struct controller *controller;
    int64_t now_ns, slot_ns;
    uint32_t epoch, weight_bp;
    uint32_t requests[VARIANT_COUNT]; /* per tick */
    uint32_t bad[VARIANT_COUNT];      /* of them */
    struct recorder_totals totals;
    uint64_t latencies;    /* at 10 ms, of each variant */
    uint64_t first_tokens; /* at 4 ms, of each variant */
    char events[8192];
    struct observation news;
    uint64_t alarms;
    bool looks_always;       /* something is always said to be wrong */
    int64_t kept_waiting_ns; /* the control thread, before it observes; requests go on */
    int looks;
};

static void set_weight(void *ctx, uint32_t rollout, uint32_t epoch, uint32_t weight_bp)
{
    struct proxy *p = ctx;

    assert_int_equal(rollout, 0);
    assert_true(epoch > p->epoch);
    p->epoch = epoch;
    p->weight_bp = weight_bp;
}

/* What a tick's time brings. */
static void serve(struct proxy *p)
{
    struct slot_delta *d = observation_at(&p->news, p->epoch, p->now_ns / p->slot_ns);
    for (int v = 0; v < VARIANT_COUNT; v++) {
        if (v == VARIANT_CANARY && p->weight_bp == 0)
            continue;
        struct slot_counts *c = &d->variants[v];
        c->dispatched = c->settled += p->requests[v];
        c->errors = c->bad[0] = c->bad[1] = c->excluded[2] += p->bad[v];
        if (v == VARIANT_CANARY)
            p->alarms += p->bad[v];
        p->totals.variants[v].dispatched += p->requests[v];
        p->totals.variants[v].outcomes[OUTCOME_5XX] += p->bad[v];
        p->totals.variants[v].outcomes[OUTCOME_OK] += p->requests[v] - p->bad[v];
        p->latencies += p->requests[v];
    }
}

static void observe(void *ctx, uint32_t rollout, struct observation *o)
{
    struct proxy *p = ctx;

    (void)rollout;
    p->looks++;
    if (p->kept_waiting_ns > 0) {
        p->now_ns += p->kept_waiting_ns;
        serve(p);
    }
    for (size_t i = 0; i < p->news.count; i++)
        *observation_at(o, p->news.deltas[i].epoch, p->news.deltas[i].slot) = p->news.deltas[i];
    observation_clear(&p->news);
}

static uint64_t alarms(void *ctx, uint32_t rollout)
{
    struct proxy *p = ctx;

    (void)rollout;
    p->alarms += p->looks_always;
    return p->alarms;
}

static void totals(void *ctx, uint32_t rollout, struct recorder_totals *ret)
{
    const struct proxy *p = ctx;

    (void)rollout;
    *ret = p->totals;
}

static void histogram(void *ctx, uint32_t rollout, enum variant v, enum recorder_histogram which,
                      struct histogram_view *ret)
{
    const struct proxy *p = ctx;

    (void)rollout;
    (void)v;
    uint64_t n = which == HIST_LATENCY ? p->latencies : p->first_tokens;
    assert_true(which == HIST_LATENCY || which == HIST_FIRST_TOKEN);
    ret->counts[histogram_bucket(which == HIST_LATENCY ? 10000 : 4000)] += (uint32_t)n;
    ret->total += n;
}

static void on_event(void *ctx, const struct controller_event *e)
{
    struct proxy *p = ctx;
    size_t len = strlen(p->events);

    assert_string_equal(e->rollout, "chat");
    snprintf(p->events + len, sizeof(p->events) - len, "%s%s", len == 0 ? "" : " ", e->type);
}

static int64_t mono(void *ctx)
{
    return ((const struct proxy *)ctx)->now_ns;
}

static int64_t wall(void *ctx)
{
    return INT64_C(1795546152000000000) + ((const struct proxy *)ctx)->now_ns;
}

struct harness {
    struct fixture f;
    struct proxy p;
    const struct policy *policies[1];
    struct policy_set set;
    struct clock clock;
    struct store *store;
};

static void start(struct harness *h)
{
    const struct controller_ports ports = {.set_weight = set_weight,
                                           .observe = observe,
                                           .alarms = alarms,
                                           .totals = totals,
                                           .histogram = histogram,
                                           .on_event = on_event,
                                           .ctx = &h->p};
    struct error error = {0};

    h->clock = (struct clock){mono, wall, &h->p};
    assert_int_equal(controller_new(&h->set, &ports, h->store, &h->clock, &h->p.controller, &error),
                     0);
}

static void set_up_with(struct harness *h, int64_t slot_ns)
{
    memset(h, 0, sizeof(*h));
    fixture_init(&h->f);
    h->f.policy.analysis.slot_ns = slot_ns;
    h->policies[0] = &h->f.policy;
    h->set = (struct policy_set){.policies = h->policies, .count = 1, .references = 1};
    h->p.now_ns = T0;
    h->p.slot_ns = h->f.policy.analysis.slot_ns;
    h->p.requests[VARIANT_STABLE] = 18;
    h->p.requests[VARIANT_CANARY] = 2;
    h->store = store_memory_new();
    start(h);
}

static void set_up(struct harness *h)
{
    set_up_with(h, NS_PER_SEC);
}

static void tear_down(struct harness *h)
{
    controller_free(h->p.controller);
    store_free(h->store);
    observation_deinit(&h->p.news);
}

static void pass(struct harness *h, int64_t ns)
{
    for (int64_t end_ns = h->p.now_ns + ns; h->p.now_ns < end_ns;) {
        h->p.now_ns += 100 * NS_PER_MS;
        serve(&h->p);
        controller_tick(h->p.controller);
    }
}

static json_t *document(struct harness *h)
{
    json_t *d = controller_document(h->p.controller, "chat");

    assert_non_null(d);
    return d;
}

static const char *text(const json_t *o, const char *key)
{
    return json_string_value(json_object_get(o, key));
}

static double number(const json_t *o, const char *key)
{
    const json_t *v = json_object_get(o, key);

    if (!json_is_number(v))
        fail_msg("%s is not a number", key);
    return json_number_value(v);
}

static void expect_phase(struct harness *h, const char *phase, double step, double weight)
{
    json_t *d = document(h);

    assert_string_equal(text(d, "phase"), phase);
    assert_true(number(d, "step") == step);
    assert_true(number(d, "weight") == weight);
    assert_int_equal(h->p.weight_bp, (int)(100 * weight));
    json_decref(d);
}

/* --- a rollout ------------------------------------------------------------------------------- */

static void test_healthy_to_the_end(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    expect_phase(&h, "idle", 0, 0);
    pass(&h, NS_PER_SEC);
    expect_phase(&h, "progressing", 1, 10);
    pass(&h, 10 * NS_PER_MIN);
    expect_phase(&h, "progressing", 2, 25);
    pass(&h, 31 * NS_PER_MIN);
    expect_phase(&h, "promoted", 4, 100);
    json_t *d = document(&h);
    assert_string_equal(text(d, "serving"), "2.1.0");
    json_decref(d);
    assert_string_equal(
        h.p.events, "rollout.started step.advanced step.advanced step.advanced rollout.promoted");
    struct controller_gauges g;
    controller_gauges(h.p.controller, 0, &g);
    assert_int_equal(g.promotions, 1);
    assert_int_equal(g.rollbacks, 0);
    assert_int_equal(g.decisions, 5);
    assert_string_equal(g.phase, "promoted");
    tear_down(&h);
}

static void test_breach_is_explained(void **state)
{
    struct harness h;
    struct controller_event events[10];
    bool ok = true;

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_MIN);
    h.p.bad[VARIANT_CANARY] = 2;
    pass(&h, 5 * NS_PER_SEC);
    expect_phase(&h, "rolled_back", 1, 0);

    json_t *v = controller_verdict(h.p.controller, "chat", &ok);
    assert_false(ok);
    assert_string_equal(text(v, "verdict"), "fail");
    const char *reason = json_string_value(json_array_get(json_object_get(v, "reasons"), 0));
    assert_non_null(strstr(reason, "rolled back: error_rate max"));
    json_decref(v);

    assert_int_equal(controller_events(h.p.controller, 1, events, 10), 1);
    assert_string_equal(events[0].type, "rollout.rolled_back");
    assert_int_equal(events[0].id, 2);
    json_t *e = json_loads(events[0].json, 0, NULL);
    assert_true(number(e, "id") == 2);
    assert_string_equal(text(e, "rollout"), "chat");
    assert_string_equal(text(e, "type"), "rollout.rolled_back");
    assert_string_equal(text(e, "decision"), "chat-2");
    assert_string_equal(text(e, "cause"), "criterion");
    assert_true(number(e, "seconds_since_first_failure") > 0);

    json_t *decision = controller_decision(h.p.controller, text(e, "decision"));
    assert_non_null(decision);
    assert_string_equal(text(decision, "reason"), text(e, "reason"));
    json_decref(decision);
    json_decref(e);
    assert_null(controller_decision(h.p.controller, "chat-99"));
    tear_down(&h);
}

/* --- the document ----------------------------------------------------------------------------- */

static const char *const fields[] = {
    "rollout",       "phase",        "step",         "steps",    "weight",   "stable",
    "canary",        "serving",      "mode",         "frozen",   "problems", "started",
    "phase_seconds", "held_seconds", "hold_seconds", "evidence", "criteria", "hard_down",
    "next",          "traffic",      "plan",         "decision", "retreat",  "retreats_in_step",
    "bake",          "wide",         "placebo"};
static const char *const criterion_fields[] = {"name",
                                               "metric",
                                               "test",
                                               "variant",
                                               "quantile",
                                               "value",
                                               "lower",
                                               "upper",
                                               "limit",
                                               "verdict",
                                               "requests",
                                               "bad",
                                               "evidence",
                                               "threshold",
                                               "no_harm",
                                               "no_harm_threshold",
                                               "requests_more",
                                               "stable",
                                               "method",
                                               "on_fail",
                                               "allowed",
                                               "frozen",
                                               "reference_missing"};

static void expect_fields(const json_t *o, const char *const *names, size_t count)
{
    for (size_t i = 0; i < count; i++)
        if (json_object_get(o, names[i]) == NULL)
            fail_msg("%s is missing", names[i]);
}

static void test_document(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    pass(&h, 100 * NS_PER_SEC);
    json_t *d = document(&h);
    expect_fields(d, fields, sizeof(fields) / sizeof(fields[0]));
    assert_int_equal(json_object_size(d), sizeof(fields) / sizeof(fields[0]));
    assert_true(number(d, "steps") == 4);
    assert_true(number(d, "held_seconds") == 99.9);
    assert_true(number(d, "hold_seconds") == 600);
    assert_string_equal(text(d, "started"), "2026-11-24T19:05:52.100Z");
    assert_string_equal(text(d, "serving"), "2.0.0");

    json_t *criteria = json_object_get(d, "criteria");
    assert_int_equal(json_array_size(criteria), 3);
    for (size_t i = 0; i < 3; i++)
        expect_fields(json_array_get(criteria, i), criterion_fields,
                      sizeof(criterion_fields) / sizeof(criterion_fields[0]));
    json_t *latency = json_array_get(criteria, 2);
    assert_true(number(latency, "limit_ms") == 500);
    assert_true(number(latency, "quantile") == 0.99);
    assert_true(number(latency, "observed_ms") > 10 && number(latency, "observed_ms") < 10.2);

    json_t *next = json_object_get(d, "next");
    assert_string_equal(text(next, "action"), "step");
    assert_true(number(next, "weight") == 25);
    assert_true(number(next, "hold_seconds_left") == 500.1);
    assert_string_equal(text(next, "text"), "8m21s");

    json_t *canary = json_object_get(json_object_get(d, "traffic"), "canary");
    assert_true(number(canary, "requests_per_second") == 20);
    /* the tick of the start was before the step */
    assert_true(number(canary, "requests") == 2 * 999);
    assert_true(number(json_object_get(canary, "outcomes"), "ok") == 2 * 999);
    assert_true(json_is_null(json_object_get(canary, "first_token_ms")));
    assert_true(number(canary, "retries") == 0);
    assert_int_equal(json_array_size(json_object_get(d, "plan")), 4);
    assert_string_equal(text(json_object_get(d, "decision"), "id"), "chat-1");
    json_decref(d);
    assert_null(controller_document(h.p.controller, "other"));
    assert_null(controller_document_at(h.p.controller, 1));
    tear_down(&h);
}

/* Traffic of the document is the step's: it begins again with each. */
static void test_document_counts_from_the_step(void **state)
{
    struct harness h;
    struct command_result result;

    (void)state;
    set_up(&h);
    pass(&h, 100 * NS_PER_SEC);
    h.p.first_tokens = 50;
    h.p.totals.results[RESULT_SHIELDED] = 3;
    h.p.totals.variants[VARIANT_STABLE].retries = 3;
    h.p.totals.variants[VARIANT_CANARY].voided = 7;
    controller_command(h.p.controller, "chat", &(struct command){.kind = COMMAND_PROMOTE}, &result);
    assert_true(result.ok);
    h.p.requests[VARIANT_STABLE] = 0;
    h.p.first_tokens += 20;
    h.p.totals.results[RESULT_SHIELDED] += 5;
    h.p.totals.variants[VARIANT_STABLE].retries += 5;
    h.p.totals.variants[VARIANT_CANARY].voided += 1;
    pass(&h, NS_PER_SEC);
    json_t *d = document(&h);
    json_t *canary = json_object_get(json_object_get(d, "traffic"), "canary");
    assert_true(number(canary, "requests") == 20);
    assert_true(number(canary, "requests_per_second") == 20);
    /* the last seconds were mostly the step's before */
    json_t *stable = json_object_get(json_object_get(d, "traffic"), "stable");
    assert_true(number(stable, "requests") == 0);
    assert_true(number(stable, "requests_per_second") == 0);
    assert_true(number(stable, "retries") == 5 && number(canary, "retries") == 0);
    assert_true(number(stable, "shielded") == 0 && number(canary, "shielded") == 5);
    assert_true(number(stable, "voided") == 0 && number(canary, "voided") == 1);
    const json_t *first_token = json_object_get(canary, "first_token_ms");
    assert_true(number(first_token, "p50") >= 4 && number(first_token, "p95") < 4.1);
    json_decref(d);
    tear_down(&h);
}

static void test_what_it_waits_for(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    h.f.steps[0].min_requests = 5000;
    h.p.requests[VARIANT_CANARY] = 0;
    pass(&h, 2 * NS_PER_MIN);
    json_t *d = document(&h);
    assert_string_equal(text(json_object_get(d, "next"), "text"), "5,000 more requests and 8m1s");
    const char *problem = json_string_value(json_array_get(json_object_get(d, "problems"), 0));
    assert_non_null(strstr(problem, "no request has reached the canary in this step"));
    json_decref(d);
    /* and it waits for ever: no data is not good data */
    pass(&h, NS_PER_HOUR);
    expect_phase(&h, "progressing", 1, 10);
    tear_down(&h);
}

/* --- commands and events ---------------------------------------------------------------------- */

static void test_commands(void **state)
{
    struct harness h;
    struct command_result result;
    struct command pause = {.kind = COMMAND_PAUSE, .zero = true, .reason = "look", .who = "ada"};

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_SEC);
    assert_int_equal(controller_command(h.p.controller, "other", &pause, &result), -ENOENT);
    assert_int_equal(controller_command(h.p.controller, "chat", &pause, &result), 0);
    assert_true(result.ok);
    expect_phase(&h, "paused", 1, 0);
    json_t *d = document(&h);
    json_t *decision = json_object_get(d, "decision");
    assert_string_equal(text(decision, "who"), "ada");
    assert_string_equal(text(decision, "why"), "look");
    assert_string_equal(text(decision, "command"), "pause");
    json_decref(d);
    controller_command(h.p.controller, "chat", &pause, &result);
    assert_false(result.ok);
    controller_command(h.p.controller, "chat", &(struct command){.kind = COMMAND_RESUME}, &result);
    assert_true(result.ok);
    expect_phase(&h, "progressing", 1, 10);
    tear_down(&h);
}

/* A command given in the tenth of a second after a breach is judged on that breach. */
static void test_command_sees_the_latest(void **state)
{
    struct harness h;
    struct command_result result;

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_SEC);
    h.p.bad[VARIANT_CANARY] = 2;
    while (h.p.weight_bp > 0 && h.p.now_ns < T0 + NS_PER_MIN) {
        h.p.now_ns += 100 * NS_PER_MS;
        serve(&h.p);
        controller_command(h.p.controller, "chat", &(struct command){.kind = COMMAND_APPROVE},
                           &result);
        assert_false(result.ok);
    }
    assert_non_null(strstr(result.detail, "rolled_back"));
    tear_down(&h);
}

static void test_events_are_bounded(void **state)
{
    struct harness h;
    struct command_result result;
    static struct controller_event events[EVENTS_MAX + 10];

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_SEC);
    for (int i = 0; i < EVENTS_MAX; i++) {
        h.p.events[0] = '\0';
        struct command c = {.kind = i % 2 == 0 ? COMMAND_PAUSE : COMMAND_RESUME};
        controller_command(h.p.controller, "chat", &c, &result);
        assert_true(result.ok);
    }
    assert_int_equal(controller_events(h.p.controller, 0, events, EVENTS_MAX + 10), EVENTS_MAX);
    assert_int_equal(events[0].id, 2);
    assert_int_equal(events[EVENTS_MAX - 1].id, EVENTS_MAX + 1);
    assert_int_equal(controller_events(h.p.controller, EVENTS_MAX - 1, events, 1), 1);
    assert_int_equal(events[0].id, EVENTS_MAX);
    assert_int_equal(controller_events(h.p.controller, EVENTS_MAX + 1, events, 1), 0);
    assert_null(controller_decision(h.p.controller, "chat-1"));
    tear_down(&h);
}

/* --- verdicts, restarts, ticks ---------------------------------------------------------------- */

static void test_verdict_as_a_gate(void **state)
{
    struct harness h;
    bool ok;

    (void)state;
    set_up(&h);
    assert_null(controller_verdict(h.p.controller, "other", &ok));
    json_t *v = controller_verdict(h.p.controller, "chat", &ok);
    assert_string_equal(text(v, "verdict"), "no_data");
    assert_false(ok);
    json_decref(v);
    pass(&h, 10 * NS_PER_SEC); /* 200 canary requests: too few to know */
    v = controller_verdict(h.p.controller, "chat", &ok);
    assert_string_equal(text(v, "verdict"), "undecided");
    assert_false(ok);
    json_decref(v);
    pass(&h, NS_PER_MIN);
    v = controller_verdict(h.p.controller, "chat", &ok);
    assert_string_equal(text(v, "verdict"), "pass");
    assert_true(ok);
    json_decref(v);
    tear_down(&h);
}

static void test_restart(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    pass(&h, 11 * NS_PER_MIN);
    expect_phase(&h, "progressing", 2, 25);
    /* the store knows it: the same step again, held afresh */
    controller_free(h.p.controller);
    h.p.epoch = h.p.weight_bp = 0;
    start(&h);
    expect_phase(&h, "progressing", 2, 25);
    pass(&h, 5 * NS_PER_MIN);
    expect_phase(&h, "progressing", 2, 25);
    /* nothing is known: weight 0, and it says that it begins anew */
    controller_free(h.p.controller);
    store_free(h.store);
    h.store = store_memory_new();
    h.p.epoch = 0;
    start(&h);
    expect_phase(&h, "idle", 0, 0);
    pass(&h, NS_PER_SEC);
    expect_phase(&h, "progressing", 1, 10);
    json_t *d = document(&h);
    assert_non_null(strstr(text(json_object_get(d, "decision"), "reason"), "nothing was kept"));
    json_decref(d);
    tear_down(&h);
}

/* What goes well waits for the rollout's turn, a second at most; a failure waits for nothing, nor
 * does the end of a hold, nor what is needed after it. */
static void test_looks_where_something_may_move(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_SEC);
    expect_phase(&h, "progressing", 1, 10);
    h.p.looks = 0;
    pass(&h, 10 * NS_PER_SEC);
    assert_in_range(h.p.looks, 10, 11);
    h.p.bad[VARIANT_CANARY] = 1;
    h.p.looks = 0;
    pass(&h, NS_PER_SEC / 2);
    assert_int_equal(h.p.looks, 5);
    h.p.bad[VARIANT_CANARY] = 0;
    assert_non_null(strstr(h.p.events, "rollout.started"));
    tear_down(&h);

    set_up(&h);
    h.f.steps[0].min_requests = 1000000; /* so that the hold is not all it waits for */
    pass(&h, h.f.steps[0].hold_ns);
    h.p.looks = 0;
    pass(&h, NS_PER_SEC);
    assert_in_range(h.p.looks, 9, 10);
    tear_down(&h);
}

/* --- looks that are left out decide nothing -----------------------------------------------------
 */

enum { ROLLOUTS = 60, ROLLOUT_TICKS = 1500, TURN_TICKS = 10 };

struct rates {
    double bad[VARIANT_COUNT];
};

static struct rates draw_rates(struct rng *rng)
{
    static const double shares[] = {0, 0.001, 0.003, 0.01, 0.05, 0.5};

    return (struct rates){.bad = {[VARIANT_STABLE] = shares[rng_below(rng, 4)],
                                  [VARIANT_CANARY] = shares[rng_below(rng, ARRAY_LEN(shares))]}};
}

/* The same traffic for both, whatever their weights are. */
static void draw_traffic(struct rng *rng, const struct rates *rates, struct harness h[2])
{
    for (int v = 0; v < VARIANT_COUNT; v++) {
        uint32_t n = rng_below(rng, v == VARIANT_STABLE ? 40 : 12), bad = 0;
        for (uint32_t i = 0; i < n; i++)
            bad += rng_unit(rng) < rates->bad[v];
        for (int i = 0; i < 2; i++) {
            h[i].p.requests[v] = n;
            h[i].p.bad[v] = bad;
        }
    }
}

static bool are_alike(const struct harness h[2])
{
    const struct rollout_state *a = controller_state(h[0].p.controller, 0);
    const struct rollout_state *b = controller_state(h[1].p.controller, 0);

    return a->phase == b->phase && a->step == b->step && h[0].p.weight_bp == h[1].p.weight_bp;
}

static void switch_pause(struct harness *h)
{
    bool paused = controller_state(h->p.controller, 0)->phase == PHASE_PAUSED;
    struct command c = {.kind = paused ? COMMAND_RESUME : COMMAND_PAUSE, .zero = true};
    struct command_result result;

    controller_command(h->p.controller, "chat", &c, &result);
}

static void run_both(struct harness h[2], uint64_t seed)
{
    struct rng rng;
    int unlike = 0;

    rng_seed(&rng, seed);
    struct rates rates = draw_rates(&rng);
    for (int t = 0; t < ROLLOUT_TICKS; t++) {
        if (rng_below(&rng, 700) == 0)
            rates = draw_rates(&rng);
        bool pauses = rng_below(&rng, 1000) == 0;
        draw_traffic(&rng, &rates, h);
        for (int i = 0; i < 2; i++) {
            pass(&h[i], 100 * NS_PER_MS);
            if (pauses)
                switch_pause(&h[i]);
        }
        unlike = are_alike(h) ? 0 : unlike + 1;
        if (unlike >= (h[0].p.bad[VARIANT_CANARY] > 0 ? 1 : TURN_TICKS))
            fail_msg("rollout %d, tick %d: not what a look at each tick decides", (int)seed, t);
    }
    assert_string_equal(h[0].p.events, h[1].p.events);
    assert_true(h[0].p.looks <= h[1].p.looks);
}

/* The same rollouts looked at where something may move, and at every tick. */
static void test_looks_left_out_decide_nothing(void **state)
{
    unsigned rolled_back = 0, promoted = 0;
    int left_out = 0;

    (void)state;
    for (uint64_t seed = 0; seed < ROLLOUTS; seed++) {
        static struct harness h[2];
        for (int i = 0; i < 2; i++) {
            set_up_with(&h[i], seed % 3 == 0 ? 100 * NS_PER_MS : NS_PER_SEC);
            h[i].p.looks_always = i == 1;
            h[i].f.policy.analysis.on_undecided = (enum on_undecided)(seed % 4);
            h[i].f.policy.analysis.max_hold_ns = 25 * NS_PER_SEC;
            for (int s = 0; s < 4; s++)
                h[i].f.steps[s].hold_ns = 8 * NS_PER_SEC + 300 * NS_PER_MS;
        }
        run_both(h, seed);
        rolled_back += strstr(h[0].p.events, "rolled_back") != NULL;
        promoted += strstr(h[0].p.events, "promoted") != NULL;
        left_out += h[1].p.looks - h[0].p.looks;
        tear_down(&h[0]);
        tear_down(&h[1]);
    }
    assert_true(left_out > 100 * ROLLOUTS);
    assert_true(rolled_back >= ROLLOUTS / 10 && promoted >= ROLLOUTS / 10);
}

static void test_late_ticks_are_seen(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_SEC);
    assert_int_equal(controller_tick_late_ns(h.p.controller), 0);
    h.p.now_ns += 350 * NS_PER_MS;
    controller_tick(h.p.controller);
    pass(&h, NS_PER_SEC);
    assert_int_equal(controller_tick_late_ns(h.p.controller), 250 * NS_PER_MS);
    tear_down(&h);
}

/* A machine that stood still between the tick and what it observes: what was seen is of the time
 * of its look, so that its journal can be read, also by the decision that follows from it. */
static void test_kept_waiting_within_a_look(void **state)
{
    struct harness h;

    (void)state;
    set_up(&h);
    pass(&h, NS_PER_MIN);
    h.p.kept_waiting_ns = 5 * NS_PER_SEC;
    h.p.bad[VARIANT_CANARY] = 2;
    for (int i = 0; i < 100 && h.p.weight_bp > 0; i++)
        pass(&h, NS_PER_SEC);
    h.p.kept_waiting_ns = 0;
    expect_phase(&h, "rolled_back", 1, 0);
    json_t *d = controller_decision(h.p.controller, "chat-2");
    const json_t *slots = json_object_get(json_object_get(d, "basis"), "slots");
    assert_true(number(slots, "bad") >= 3 * 2);
    assert_true(json_array_size(json_object_get(slots, "list")) >= 3);
    json_decref(d);

    struct strbuf file;
    strbuf_init(&file, JOURNAL_FILE_MAX);
    assert_true(controller_journal(h.p.controller, "chat", &file));
    struct journal_reader r = {.all = strbuf_str(&file), .at = sizeof(JOURNAL_MAGIC) - 1};
    struct journal_look_record look;
    struct observation o;
    struct journal_segment segment;
    int64_t last_ns = 0;
    int looks = 0;
    observation_init(&o);
    while (journal_next(&r, NULL) == 1) {
        if (r.kind == JOURNAL_SEGMENT) {
            assert_true(journal_get_segment(r.payload, &segment));
            last_ns = segment.now_ns;
        } else if (r.kind == JOURNAL_LOOK) {
            assert_true(journal_get_look(r.payload, &h.f.policy, last_ns, &look, &o));
            last_ns = look.now_ns;
            looks++;
        }
    }
    assert_true(looks > 60);
    observation_deinit(&o);
    strbuf_deinit(&file);
    tear_down(&h);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_healthy_to_the_end),
        cmocka_unit_test(test_breach_is_explained),
        cmocka_unit_test(test_document),
        cmocka_unit_test(test_document_counts_from_the_step),
        cmocka_unit_test(test_what_it_waits_for),
        cmocka_unit_test(test_commands),
        cmocka_unit_test(test_command_sees_the_latest),
        cmocka_unit_test(test_events_are_bounded),
        cmocka_unit_test(test_verdict_as_a_gate),
        cmocka_unit_test(test_restart),
        cmocka_unit_test(test_looks_where_something_may_move),
        cmocka_unit_test(test_looks_left_out_decide_nothing),
        cmocka_unit_test(test_late_ticks_are_seen),
        cmocka_unit_test(test_kept_waiting_within_a_look),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
