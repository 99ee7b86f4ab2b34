/* Ticks every rollout and lets people see and command it. What surprises: a command makes a look of
 * its own first, so that it is never judged on evidence that is older than itself; and a tick looks
 * only at those rollouts that failures were seen of or that something is due for. A thousand that
 * do well are looked at every few seconds, a few of them at each tick.
 */
#include "controller/controller.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/log.h"
#include "controller/basis.h"
#include "controller/document.h"
#include "controller/engine.h"
#include "controller/events.h"
#include "controller/history.h"
#include "controller/references.h"
#include "controller/step_traffic.h"
#include "controller/verdict.h"

#define TICK_NS (100 * NS_PER_MS)
/* Between two looks at what does well, or idles: what people see may be so old. With many rollouts
 * it is longer, so that their looks cost little beside the requests; below ROLLOUT_GAP_MAX_NS, so
 * that holds count on. */
#define TURN_NS      NS_PER_SEC
#define TURN_MANY_NS (3 * NS_PER_SEC)
/* Once per turn, and a tick may come a little early. */
#define RATE_SAMPLE_NS (TURN_NS - TICK_NS / 2)

enum {
    MANY_ROLLOUTS = 200,
    RATE_SAMPLES = 6, /* five turns between the oldest and the newest */
};

struct rate_sample {
    int64_t at_ns;
    uint64_t dispatched[VARIANT_COUNT];
};

struct rollout {
    struct controller *controller;
    uint32_t index;
    int64_t due_ns;  /* of the next look, unless something is observed before */
    uint64_t alarms; /* as last seen */
    struct engine engine;
    struct reference *reference; /* NULL: no criterion needs one */
    struct history *history;
    struct step_traffic step;
    struct rate_sample samples[RATE_SAMPLES]; /* ring, the newest at sample_count - 1 */
    uint64_t sample_count;
    int64_t started_wall_ns;
    uint64_t rollbacks, promotions, decisions, retreats, clearances;
    json_t *last_decision;
    bool unkept, store_fails;
    /* during its look: */
    const struct command *command;
    struct decision_record *record; /* of its decision, made once for store and event */
};

struct controller {
    struct policy_set *set;
    struct controller_ports ports;
    struct store *store;
    const struct clock *clock;
    struct events *events;
    struct journals *journals;
    struct observation observation; /* of one rollout during its look */
    struct rollout *rollouts;
    size_t count;
    int64_t turn_ns;
    int64_t now_ns;       /* read at each tick, and when something was observed */
    int64_t last_tick_ns; /* -1: none yet */
    int64_t late_ns;
};

/* --- what a decision does --------------------------------------------------------------------- */

static void port_set_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    const struct rollout *r = ctx;
    const struct controller_ports *ports = &r->controller->ports;

    ports->set_weight(ports->ctx, r->index, epoch, weight_bp);
}

enum { TIME_VIEWS = 2 * VARIANT_COUNT }; /* latency and first token; too large for the stack */

static void fill_latency(const struct rollout *r, struct histogram_view views[TIME_VIEWS],
                         struct evidence_latency *ret)
{
    const struct controller_ports *ports = &r->controller->ports;
    struct histogram_view *first_token = views + VARIANT_COUNT;

    for (int v = 0; v < VARIANT_COUNT; v++) {
        step_traffic_latency(&r->step, ports, r->index, (enum variant)v, &views[v]);
        step_traffic_first_token(&r->step, ports, r->index, (enum variant)v, &first_token[v]);
        ret->variants[v] = &views[v];
        ret->first_token[v] = &first_token[v];
    }
    ret->limits = r->reference == NULL ? NULL : reference_limits(r->reference);
}

static json_t *basis_of(const struct rollout *r, const struct decision_facts *facts)
{
    const struct controller *c = r->controller;
    struct recorder_totals step = {0};
    const struct basis_source src = {.facts = facts,
                                     .history = r->history,
                                     .observation = &c->observation,
                                     .events = c->events,
                                     .ports = &c->ports,
                                     .rollout = r->index,
                                     .outcomes = step.variants[VARIANT_CANARY].outcomes};

    step_traffic_totals(&r->step, &c->ports, r->index, &step);
    return basis_json(&src);
}

static struct decision_record *record_of(struct rollout *r, const struct rollout_decision *d)
{
    const struct controller *c = r->controller;

    if (r->record != NULL)
        return r->record;
    struct histogram_view *views = xcalloc(TIME_VIEWS, sizeof(*views));
    struct decision_facts facts = {
        .policy = r->engine.policy,
        .decision = d,
        .command = r->command,
        .number = r->decisions + 1,
        .now_ns = c->now_ns,
        .wall_ns = clock_wall(c->clock),
        .unkept = r->unkept,
    };
    fill_latency(r, views, &facts.latency);
    r->record = decision_record_new(&facts);
    r->record->basis = basis_of(r, &facts);
    free(views);
    return r->record;
}

static int store_result(struct rollout *r, int rc, const struct error *error)
{
    if (rc != 0 && !r->store_fails)
        log_error("store.commit_failed", F("rollout", LOG_STR(r->engine.policy->name)),
                  F("store", LOG_STR(r->controller->store->ops->kind)),
                  F("error", LOG_STR(error->message)));
    if (rc == 0 && r->store_fails)
        log_info("store.commit_works_again", F("rollout", LOG_STR(r->engine.policy->name)));
    r->store_fails = rc != 0;
    return rc;
}

static int port_commit(void *ctx, const struct rollout_decision *d)
{
    struct rollout *r = ctx;
    struct store *store = r->controller->store;
    struct error error = {0};
    int rc = store->ops->commit(store, r->engine.policy->name, &d->state, record_of(r, d), &error);

    return store_result(r, rc, &error);
}

static int port_commit_owed(void *ctx, const struct rollout_state *state)
{
    struct rollout *r = ctx;
    struct store *store = r->controller->store;
    struct error error = {0};
    int rc = store->ops->commit(store, r->engine.policy->name, state, NULL, &error);

    return store_result(r, rc, &error);
}

static void log_decision(const struct rollout *r, const struct rollout_decision *d,
                         const struct decision_record *record)
{
    bool bad = d->event == EVENT_ROLLED_BACK || d->event == EVENT_CRITERION_FAILED ||
               d->event == EVENT_STEP_UNDECIDED || d->event == EVENT_RETREATED ||
               d->event == EVENT_NO_DATA;

    LOG_AT(bad ? LOG_WARN : LOG_INFO, event_names[d->event],
           F("rollout", LOG_STR(r->engine.policy->name)), F("decision", LOG_STR(record->id)),
           F("phase", LOG_STR(phase_names[d->state.phase])), F("step", LOG_U64(d->state.step)),
           F("weight_bp", LOG_U64(d->state.weight_bp)), F("reason", LOG_STR(record->reason)));
}

static void port_event(void *ctx, const struct rollout_decision *d)
{
    struct rollout *r = ctx;
    struct controller *c = r->controller;
    struct decision_record *record = record_of(r, d);

    r->decisions++;
    r->rollbacks += d->event == EVENT_ROLLED_BACK;
    r->promotions += d->event == EVENT_PROMOTED;
    r->retreats += d->event == EVENT_RETREATED;
    r->clearances += d->event == EVENT_CLEARED && d->cause == CAUSE_VISIT;
    if (d->event == EVENT_STARTED)
        r->started_wall_ns = record->wall_ns;
    if (d->event == EVENT_STARTED || d->event == EVENT_RESTARTED)
        r->unkept = false;
    log_decision(r, d, record);
    const struct controller_event *event = events_add(c->events, record, r->engine.policy->name);
    json_decref(r->last_decision);
    r->last_decision = json_incref(record->json);
    for (size_t i = 0; i < d->action_count; i++)
        if (d->actions[i].why == WEIGHT_STEP || d->actions[i].why == WEIGHT_BAKE) {
            step_traffic_begin(&r->step, &r->controller->ports, r->index);
            break;
        }
    if (c->ports.on_event != NULL)
        c->ports.on_event(c->ports.ctx, event);
}

/* --- looks ------------------------------------------------------------------------------------ */

static void sample_rate(struct rollout *r)
{
    const struct controller *c = r->controller;
    const struct rate_sample *last =
        &r->samples[(r->sample_count + RATE_SAMPLES - 1) % RATE_SAMPLES];
    struct recorder_totals totals = {0};

    if (r->sample_count > 0 && c->now_ns - last->at_ns < RATE_SAMPLE_NS)
        return;
    c->ports.totals(c->ports.ctx, r->index, &totals);
    struct rate_sample *s = &r->samples[r->sample_count++ % RATE_SAMPLES];
    s->at_ns = c->now_ns;
    for (int v = 0; v < VARIANT_COUNT; v++)
        s->dispatched[v] = totals.variants[v].dispatched;
}

static double rate(const struct rollout *r, enum variant v)
{
    if (r->sample_count < 2)
        return -1;
    uint64_t oldest = r->sample_count > RATE_SAMPLES ? r->sample_count - RATE_SAMPLES : 0;
    const struct rate_sample *from = &r->samples[oldest % RATE_SAMPLES];
    const struct rate_sample *to = &r->samples[(r->sample_count - 1) % RATE_SAMPLES];
    double seconds = (double)(to->at_ns - from->at_ns) / (double)NS_PER_SEC;

    return seconds <= 0 ? -1 : (double)(to->dispatched[v] - from->dispatched[v]) / seconds;
}

/* As many at each tick: a thousand rollouts must not be looked at all at once. */
static int64_t next_turn_ns(const struct rollout *r, int64_t now_ns)
{
    int64_t turn_ns = r->controller->turn_ns;
    int64_t offset_ns = r->index % (turn_ns / TICK_NS) * TICK_NS;

    return ((now_ns - offset_ns) / turn_ns + 1) * turn_ns + offset_ns;
}

static void set_due(struct rollout *r, enum effects_result result)
{
    const struct rollout_state *s = &r->engine.state;
    int64_t quiet_ns = rollout_quiet_ns(r->engine.policy, s), turn_ns = next_turn_ns(r, s->last_ns);

    r->due_ns = turn_ns;
    if (result != EFFECTS_DONE || r->engine.owed) /* the store is asked again at once */
        r->due_ns = s->last_ns;
    else if (quiet_ns < turn_ns - s->last_ns)
        r->due_ns = s->last_ns + quiet_ns;
}

static void read_clock(struct controller *c)
{
    int64_t now_ns = clock_mono(c->clock);

    if (now_ns > c->now_ns)
        c->now_ns = now_ns;
}

static void observe(struct rollout *r)
{
    struct controller *c = r->controller;

    observation_clear(&c->observation);
    references_observe(r->reference, &c->ports, r->index, c->now_ns,
                       r->engine.state.weight_bp >= WEIGHT_FULL_BP, &c->observation);
    c->ports.observe(c->ports.ctx, r->index, &c->observation);
    /* What was just seen is not of the time to come, however long this thread was kept waiting. */
    read_clock(c);
}

/* On what was observed. */
static void look(struct rollout *r, enum rollout_input_kind kind, const struct command *command,
                 struct rollout_decision *ret)
{
    struct controller *c = r->controller;
    const struct engine_ports ports = {port_set_weight, port_commit, port_commit_owed, port_event,
                                       r};

    uint64_t decisions = r->decisions;

    r->command = command;
    enum effects_result result =
        engine_look(&r->engine, kind, &c->observation, command, c->now_ns, &ports, ret);
    r->command = NULL;
    const struct journal_look looked = {.kind = kind,
                                        .observation = &c->observation,
                                        .command = command,
                                        .now_ns = c->now_ns,
                                        .wall_ns = clock_wall(c->clock),
                                        .result = result,
                                        .decision = ret,
                                        .number = r->decisions != decisions ? r->decisions : 0};
    history_look(r->history, &r->engine, &looked);
    decision_record_free(r->record);
    r->record = NULL;
    set_due(r, result);
}

static bool has_alarm(struct rollout *r)
{
    const struct controller_ports *ports = &r->controller->ports;
    uint64_t alarms = ports->alarms(ports->ctx, r->index);
    bool rose = alarms != r->alarms;

    r->alarms = alarms;
    return rose && rollout_is_judged(&r->engine.state);
}

/* A failure is looked at at once; what went well can wait for the rollout's turn, unless it is all
 * that the rollout waits for. The recorder keeps it meanwhile. */
static void tick(struct rollout *r)
{
    struct controller *c = r->controller;
    struct rollout_decision decision;
    bool alarm = has_alarm(r), due = c->now_ns >= r->due_ns;

    if (!alarm && !due && !rollout_awaits_requests(r->engine.policy, &r->engine.state))
        return;
    observe(r);
    if (!due && c->observation.count == 0 && c->observation.shift_count == 0)
        return;
    look(r, INPUT_TICK, NULL, &decision);
    sample_rate(r);
}

void controller_tick(struct controller *c)
{
    read_clock(c);
    if (c->last_tick_ns >= 0 && c->now_ns - c->last_tick_ns - TICK_NS > c->late_ns)
        c->late_ns = c->now_ns - c->last_tick_ns - TICK_NS;
    c->last_tick_ns = c->now_ns;
    for (size_t i = 0; i < c->count; i++)
        tick(&c->rollouts[i]);
}

/* --- life ------------------------------------------------------------------------------------- */

static int start_rollout(struct rollout *r, struct error *reterr)
{
    struct controller *c = r->controller;
    struct rollout_decision decision;
    struct rollout_state state;
    const char *name = r->engine.policy->name;
    int rc = c->store->ops->load(c->store, name, &state, reterr);

    if (rc == 0) {
        engine_adopt(&r->engine, &state);
        history_begin(r->history, &r->engine, true, c->now_ns, clock_wall(c->clock));
        observe(r);
        look(r, INPUT_RESTART, NULL, &decision);
        return 0;
    }
    if (rc != -ENOENT) {
        error_context(reterr, "loading the state of %s: ", name);
        return rc;
    }
    history_begin(r->history, &r->engine, false, c->now_ns, clock_wall(c->clock));
    /* Whatever the proxies had before: nothing goes to the canary until it is decided. */
    c->ports.set_weight(c->ports.ctx, r->index, r->engine.state.epoch, 0);
    r->unkept = !c->store->ops->durable;
    if (rollout_canary(r->engine.policy) != NULL)
        log_info("rollout.fresh", F("rollout", LOG_STR(name)),
                 F("store", LOG_STR(c->store->ops->kind)),
                 F("reason", LOG_STR("nothing is stored about it: begins at weight 0")));
    return 0;
}

int controller_new(struct policy_set *set, const struct controller_ports *ports,
                   struct store *store, const struct clock *clock, struct controller **ret,
                   struct error *reterr)
{
    struct controller *c = xcalloc(1, sizeof(*c));

    c->set = policy_set_ref(set);
    c->ports = *ports;
    c->store = store;
    c->clock = clock;
    c->events = events_new();
    c->journals = journals_new(JOURNALS_BYTES_MAX);
    c->last_tick_ns = -1;
    c->turn_ns = set->count > MANY_ROLLOUTS ? TURN_MANY_NS : TURN_NS;
    c->now_ns = clock_mono(clock);
    observation_init(&c->observation);
    c->rollouts = xcalloc(set->count == 0 ? 1 : set->count, sizeof(*c->rollouts));
    for (size_t i = 0; i < set->count; i++) {
        struct rollout *r = &c->rollouts[i];
        r->controller = c;
        r->index = (uint32_t)i;
        engine_init(&r->engine, set->policies[i], c->now_ns);
        r->reference = reference_new(set->policies[i]);
        r->history = history_new(c->journals, set->policies[i], &c->ports, r->index);
        c->count++;
        int rc = start_rollout(r, reterr);
        if (rc != 0) {
            controller_free(c);
            return rc;
        }
    }
    *ret = c;
    return 0;
}

void controller_free(struct controller *c)
{
    if (c == NULL)
        return;
    for (size_t i = 0; i < c->count; i++) {
        struct rollout *r = &c->rollouts[i];
        engine_deinit(&r->engine);
        reference_free(r->reference);
        history_free(r->history);
        json_decref(r->last_decision);
        step_traffic_deinit(&r->step);
    }
    free(c->rollouts);
    observation_deinit(&c->observation);
    events_free(c->events);
    journals_free(c->journals);
    policy_set_unref(c->set);
    free(c);
}

/* --- people ----------------------------------------------------------------------------------- */

static struct rollout *find(const struct controller *c, const char *name)
{
    for (size_t i = 0; i < c->count; i++)
        if (strcmp(c->rollouts[i].engine.policy->name, name) == 0)
            return &c->rollouts[i];
    return NULL;
}

int controller_command(struct controller *c, const char *rollout, const struct command *command,
                       struct command_result *ret)
{
    struct rollout *r = find(c, rollout);
    struct rollout_decision decision;

    if (r == NULL)
        return -ENOENT;
    read_clock(c);
    observe(r);
    look(r, INPUT_TICK, NULL, &decision);
    observe(r);
    look(r, INPUT_COMMAND, command, &decision);
    *ret = decision.result;
    if (!ret->ok)
        log_info("command.refused", F("rollout", LOG_STR(rollout)),
                 F("command", LOG_STR(command_names[command->kind])),
                 F("who", LOG_STR(command->who)), F("title", LOG_STR(ret->title)),
                 F("detail", LOG_STR(ret->detail)));
    return 0;
}

size_t controller_count(const struct controller *c)
{
    return c->count;
}

static json_t *document_of(const struct rollout *r)
{
    const struct controller *c = r->controller;
    struct histogram_view *views = xcalloc(TIME_VIEWS, sizeof(*views));
    struct document_source src = {
        .engine = &r->engine, .started_wall_ns = r->started_wall_ns, .decision = r->last_decision};

    step_traffic_totals(&r->step, &c->ports, r->index, &src.step);
    fill_latency(r, views, &src.latency);
    for (int v = 0; v < VARIANT_COUNT; v++)
        src.rate[v] = rate(r, (enum variant)v);
    json_t *document = document_new(&src);
    free(views);
    return document;
}

json_t *controller_document(const struct controller *c, const char *rollout)
{
    const struct rollout *r = find(c, rollout);

    return r == NULL ? NULL : document_of(r);
}

json_t *controller_document_at(const struct controller *c, size_t index)
{
    return index < c->count ? document_of(&c->rollouts[index]) : NULL;
}

json_t *controller_verdict(const struct controller *c, const char *rollout, bool *ret_ok)
{
    const struct rollout *r = find(c, rollout);

    return r == NULL ? NULL : verdict_json(&r->engine, r->last_decision, ret_ok);
}

bool controller_journal(const struct controller *c, const char *rollout, struct strbuf *out)
{
    const struct rollout *r = find(c, rollout);

    return r != NULL && journal_write(history_journal(r->history), clock_wall(c->clock), out);
}

json_t *controller_decisions(const struct controller *c, const char *rollout, size_t max)
{
    return events_list(c->events, rollout, max);
}

json_t *controller_decision(const struct controller *c, const char *id)
{
    return events_decision(c->events, id);
}

size_t controller_events(const struct controller *c, uint64_t after, struct controller_event *ret,
                         size_t max)
{
    return events_after(c->events, after, ret, max);
}

const struct rollout_state *controller_state(const struct controller *c, size_t index)
{
    CHECK(index < c->count);
    return &c->rollouts[index].engine.state;
}

void controller_gauges(const struct controller *c, size_t index, struct controller_gauges *ret)
{
    CHECK(index < c->count);
    const struct rollout *r = &c->rollouts[index];
    const struct policy *policy = r->engine.policy;
    const struct rollout_state *s = &r->engine.state;

    *ret = (struct controller_gauges){
        .rollout = policy->name,
        .stable = policy->versions[VARIANT_STABLE].version,
        .canary = policy->versions[VARIANT_CANARY].version,
        .phase = phase_names[s->phase],
        .weight_bp = s->weight_bp,
        .step = s->step,
        .steps = (uint32_t)policy->step_count,
        .rollbacks = r->rollbacks,
        .promotions = r->promotions,
        .decisions = r->decisions,
        .log_e = r->engine.report.log_e,
        .threshold = r->engine.report.threshold,
        .retreats = r->retreats,
        .clearances = r->clearances,
        .report = &r->engine.report,
    };
}

int64_t controller_tick_late_ns(const struct controller *c)
{
    return c->late_ns;
}
