/* Down before disk, disk before up; and what a store that fails can and cannot stop. */
#include "fixtures.h"

#include <errno.h>

#include "controller/effects.h"
#include "controller/engine.h"
#include "controller/store.h"

/* Ports that write down what was called. */
struct fake {
    char calls[512];
    size_t len;
    int commits_fail; /* how many from now on */
    uint32_t weight_bp;
};

static void note(struct fake *f, const char *what)
{
    f->len += (size_t)snprintf(f->calls + f->len, sizeof(f->calls) - f->len, "%s%s",
                               f->len == 0 ? "" : " ", what);
}

static void fake_reset(void *ctx)
{
    note(ctx, "reset");
}

static void fake_evidence(void *ctx, const struct rollout_action *action)
{
    (void)action;
    note(ctx, "evidence");
}

static void fake_weight(void *ctx, uint32_t epoch, uint32_t weight_bp)
{
    struct fake *f = ctx;
    char text[32];

    (void)epoch;
    f->weight_bp = weight_bp;
    snprintf(text, sizeof(text), "weight=%u", weight_bp);
    note(f, text);
}

static int fail_or_note(struct fake *f, const char *what)
{
    if (f->commits_fail > 0) {
        f->commits_fail--;
        note(f, "commit-fails");
        return -EIO;
    }
    note(f, what);
    return 0;
}

static int fake_commit(void *ctx, const struct rollout_decision *d)
{
    (void)d;
    return fail_or_note(ctx, "commit");
}

static int fake_commit_owed(void *ctx, const struct rollout_state *s)
{
    (void)s;
    return fail_or_note(ctx, "commit-owed");
}

static void fake_event(void *ctx, const struct rollout_decision *d)
{
    note(ctx, event_names[d->event]);
}

static enum effects_result run(struct fake *f, const struct rollout_decision *d)
{
    const struct effects_ports ports = {fake_reset,  fake_evidence, fake_weight,
                                        fake_commit, fake_event,    f};

    return effects_run(d, &ports);
}

static const struct {
    const char *name;
    bool up, fails;
    enum effects_result result;
    const char *calls;
} orders[] = {
    {"down", false, false, EFFECTS_DONE, "evidence weight=0 commit rollout.rolled_back"},
    {"up", true, false, EFFECTS_DONE, "commit evidence weight=5000 step.advanced"},
    {"down with a full disk", false, true, EFFECTS_OWED,
     "evidence weight=0 commit-fails rollout.rolled_back"},
    {"up with a full disk", true, true, EFFECTS_REFUSED, "commit-fails"},
};

static void test_order(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(orders) / sizeof(orders[0]); i++) {
        struct fixture f;
        struct fake fake = {.commits_fail = orders[i].fails};
        struct analysis_report good = report_good(), failing = report_failing();
        fixture_init(&f);
        struct rollout_state s = state_at(&f, 2, true);
        struct rollout_decision d = tick(&f, &s, orders[i].up ? &good : &failing);
        print_message("  %s\n", orders[i].name);
        assert_int_equal(run(&fake, &d), orders[i].result);
        assert_string_equal(fake.calls, orders[i].calls);
    }
}

/* --- through the engine ----------------------------------------------------------------------- */

static enum effects_result look(struct engine *e, struct fake *fake, const struct observation *o,
                                int64_t now_ns, struct rollout_decision *d)
{
    const struct engine_ports ports = {fake_weight, fake_commit, fake_commit_owed, fake_event,
                                       fake};

    return engine_look(e, INPUT_TICK, o, NULL, now_ns, &ports, d);
}

/* A start that cannot be stored is not made, and is made as soon as it can. */
static void test_refused_rise_is_tried_again(void **state)
{
    struct fixture f;
    struct engine e;
    struct fake fake = {.commits_fail = 2};
    struct rollout_decision d;

    (void)state;
    fixture_init(&f);
    engine_init(&e, &f.policy, T0);
    assert_int_equal(look(&e, &fake, NULL, T0, &d), EFFECTS_REFUSED);
    assert_int_equal(e.state.phase, PHASE_IDLE);
    assert_int_equal(e.state.weight_bp, 0);
    assert_int_equal(look(&e, &fake, NULL, T0 + 1, &d), EFFECTS_REFUSED);
    assert_int_equal(look(&e, &fake, NULL, T0 + 2, &d), EFFECTS_DONE);
    assert_int_equal(e.state.weight_bp, 1000);
    assert_string_equal(fake.calls, "commit-fails commit-fails commit weight=1000 rollout.started");
    engine_deinit(&e);
}

/* The whole way with real evidence: every canary request fails, the disk is full; the canary comes
 * down all the same, and the state is stored when the disk works again. */
static void test_rollback_with_a_full_disk(void **state)
{
    struct fixture f;
    struct engine e;
    struct fake fake = {0};
    struct rollout_decision d;
    struct observation o;
    int64_t now_ns = T0;

    (void)state;
    fixture_init(&f);
    engine_init(&e, &f.policy, T0);
    observation_init(&o);
    look(&e, &fake, NULL, now_ns, &d);
    fake.commits_fail = 3;
    for (int i = 0; i < 200 && e.state.phase != PHASE_ROLLED_BACK; i++) {
        observation_clear(&o);
        struct slot_delta *delta = observation_at(&o, e.state.epoch, now_ns / NS_PER_SEC);
        struct slot_counts *canary = &delta->variants[VARIANT_CANARY];
        canary->dispatched = canary->settled = canary->errors = 2;
        canary->bad[0] = canary->bad[1] = 2;
        canary->excluded[2] = 2;
        delta->variants[VARIANT_STABLE].dispatched = delta->variants[VARIANT_STABLE].settled = 18;
        now_ns += 100 * NS_PER_MS;
        look(&e, &fake, &o, now_ns, &d);
    }
    assert_int_equal(e.state.phase, PHASE_ROLLED_BACK);
    assert_int_equal(d.cause, CAUSE_CRITERION);
    assert_int_equal(fake.weight_bp, 0);
    assert_true(e.owed);
    assert_true(now_ns - T0 < 5 * NS_PER_SEC);
    while (e.owed) {
        now_ns += 100 * NS_PER_MS;
        look(&e, &fake, NULL, now_ns, &d);
    }
    assert_string_equal(fake.calls, "commit weight=1000 rollout.started weight=0 commit-fails "
                                    "rollout.rolled_back commit-fails commit-fails commit-owed");
    observation_deinit(&o);
    engine_deinit(&e);
}

/* What every store promises; here of the one that forgets with its process. */
static void test_store_memory(void **state)
{
    struct fixture f;
    struct store *store = store_memory_new();
    struct rollout_state got;
    struct error error = {0};

    (void)state;
    fixture_init(&f);
    assert_int_equal(store->ops->load(store, "chat", &got, &error), -ENOENT);
    assert_int_equal(error.code, 0);
    struct rollout_state s = state_at(&f, 2, false);
    assert_int_equal(store->ops->commit(store, "chat", &s, NULL, &error), 0);
    struct rollout_state t = state_at(&f, 3, false);
    for (int i = 0; i < 100; i++) {
        char name[16];
        snprintf(name, sizeof(name), "r%d", i);
        assert_int_equal(store->ops->commit(store, name, &t, NULL, &error), 0);
    }
    assert_int_equal(store->ops->load(store, "chat", &got, &error), 0);
    assert_memory_equal(&got, &s, sizeof(s));
    assert_int_equal(store->ops->load(store, "r99", &got, &error), 0);
    assert_int_equal(got.step, 3);
    assert_false(store->ops->durable);
    store_free(store);
    store_free(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_refused_rise_is_tried_again),
        cmocka_unit_test(test_rollback_with_a_full_disk),
        cmocka_unit_test(test_store_memory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
