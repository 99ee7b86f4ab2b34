/* A journal holds what happened, within its bounds, and a replay takes the same decisions from it,
 * or says where it is damaged or differs. */
#include "journal_fixture.h"

#include <errno.h>

#include "analysis/reference.h"
#include "base/check.h"
#include "base/crc32c.h"
#include "controller/packed.h"
#include "controller/replay.h"

struct told {
    uint64_t decisions, different, damages;
    size_t damage_at;
    char damage[200];
    enum rollout_event last;
};

static void on_decision(void *ctx, const struct replay_decision *d)
{
    struct told *t = ctx;

    t->decisions++;
    t->different += !d->same;
    t->last = d->now->event;
}

static void on_damage(void *ctx, size_t at, const char *what)
{
    struct told *t = ctx;

    if (t->damages++ == 0) {
        t->damage_at = at;
        snprintf(t->damage, sizeof(t->damage), "%s", what);
    }
}

static int replay(struct str file, struct replay_result *ret, struct told *t)
{
    const struct replay_listener listener = {on_decision, on_damage, t};
    struct error error = {0};

    memset(t, 0, sizeof(*t));
    int rc = replay_run(file, &listener, ret, &error);
    if (rc != 0)
        snprintf(t->damage, sizeof(t->damage), "%s", error.message);
    return rc;
}

static void expect_same(const struct recorded *r)
{
    struct replay_result result;
    struct told t;
    struct strbuf file;

    assert_int_equal(replay(recorded_file(r, &file), &result, &t), 0);
    if (t.damages > 0)
        fail_msg("at byte %zu: %s", t.damage_at, t.damage);
    if (result.differs)
        fail_msg("%s: %s, now %s", result.difference.path, result.difference.recorded,
                 result.difference.now);
    assert_true(result.ended && result.sums);
    assert_int_equal(result.differs_at_look, 0);
    assert_int_equal(result.looks, r->looks);
    assert_int_equal(result.decisions, r->decisions);
    assert_int_equal(t.decisions, r->decisions);
    strbuf_deinit(&file);
}

static void test_promotion_is_replayed(void **state)
{
    struct recorded r;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 120 * NS_PER_SEC, 100 * NS_PER_MS);
    assert_int_equal(r.engine.state.phase, PHASE_PROMOTED);
    expect_same(&r);
    recorded_deinit(&r);
}

static void test_rollback_is_replayed(void **state)
{
    struct recorded r;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 5 * NS_PER_SEC, 100 * NS_PER_MS);
    r.errors[VARIANT_CANARY] = 0.3;
    /* Not for longer: of the quiet time after it not everything is kept. */
    for (int i = 0; i < 90 && r.engine.state.phase != PHASE_ROLLED_BACK; i++)
        recorded_pass(&r, 10 * NS_PER_SEC, 100 * NS_PER_MS);
    assert_int_equal(r.engine.state.phase, PHASE_ROLLED_BACK);
    expect_same(&r);
    recorded_deinit(&r);
}

/* What values were, and the buckets they were counted in: the decision rests on both. */
static void test_a_shift_of_values_is_replayed(void **state)
{
    struct recorded r;

    (void)state;
    recorded_init_with(&r, JOURNAL_POLICY "    - {metric: drift, field: /score, max: 0.2}\n",
                       JOURNALS_BYTES_MAX);
    struct reference *reference = reference_new(r.policy);
    for (int look = 0; look < 300 && r.engine.state.phase != PHASE_ROLLED_BACK; look++) {
        for (int i = 0; i < 20; i++) {
            struct shift_value v = {.epoch = r.epoch, .criterion = 2};
            v.variant =
                rng_unit(&r.rng) * WEIGHT_FULL_BP < r.weight_bp ? VARIANT_CANARY : VARIANT_STABLE;
            v.number = rng_normal(&r.rng) + (v.variant == VARIANT_CANARY ? 0.7 : 0);
            reference_value(reference, &v, &r.news);
        }
        recorded_pass(&r, 100 * NS_PER_MS, 100 * NS_PER_MS);
    }
    assert_int_equal(r.engine.state.phase, PHASE_ROLLED_BACK);
    assert_int_equal(r.engine.report.failed_rollback, 4);
    assert_true(r.engine.report.criteria[2].shift.w1 > 0);
    expect_same(&r);
    reference_free(reference);
    recorded_deinit(&r);
}

/* Who commanded what and why is in it, and what was refused as well. */
static void test_commands_are_replayed(void **state)
{
    struct recorded r;
    struct strbuf file;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    recorded_command(&r, COMMAND_PAUSE, "lunch");
    recorded_pass(&r, 3 * NS_PER_SEC, 1 * NS_PER_SEC);
    recorded_command(&r, COMMAND_APPROVE, "nothing asks for it");
    recorded_command(&r, COMMAND_RESUME, "back");
    recorded_pass(&r, 2 * NS_PER_SEC, 100 * NS_PER_MS);
    recorded_command(&r, COMMAND_ROLLBACK, "wrong tokenizer");
    expect_same(&r);
    struct str text = recorded_file(&r, &file);
    assert_non_null(memmem(text.ptr, text.len, "wrong tokenizer", 15));
    assert_non_null(memmem(text.ptr, text.len, "ann", 3));
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

/* A store that fails holds a rise up: so it does when it is replayed. */
static void test_failing_store_is_replayed(void **state)
{
    struct recorded r;

    (void)state;
    recorded_init(&r);
    r.store_fails = true;
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    assert_int_equal(r.weight_bp, 0);
    r.store_fails = false;
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    assert_true(r.weight_bp > 0);
    r.store_fails = true;
    recorded_command(&r, COMMAND_ROLLBACK, "");
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    expect_same(&r);
    recorded_deinit(&r);
}

static void test_taken_up_state_is_replayed(void **state)
{
    struct recorded r;
    struct rollout_state stored;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    stored = r.engine.state;
    recorded_deinit(&r);
    recorded_init(&r);
    journal_free(r.journal);
    r.journal = journal_new(r.all, r.policy);
    engine_adopt(&r.engine, &stored);
    journal_begin(r.journal, &r.engine, true, r.now_ns, recorded_wall_ns(&r));
    recorded_look(&r, INPUT_RESTART, NULL);
    assert_int_equal(r.engine.state.phase, PHASE_PROGRESSING);
    recorded_pass(&r, 60 * NS_PER_SEC, 100 * NS_PER_MS);
    expect_same(&r);
    recorded_deinit(&r);
}

/* --- damage ----------------------------------------------------------------------------------- */

static void test_every_flipped_byte_is_said(void **state)
{
    struct recorded r;
    struct strbuf file;
    struct replay_result result;
    struct told t;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    struct str all = recorded_file(&r, &file);
    for (size_t at = 0; at < all.len; at += 1 + at / 40) {
        file.ptr[at] = (char)(file.ptr[at] ^ 0x20);
        int rc = replay(all, &result, &t);
        if (rc == 0 && t.damages == 0)
            fail_msg("nobody saw byte %zu", at);
        if (rc == 0)
            assert_true(t.damage_at <= at);
        file.ptr[at] = (char)(file.ptr[at] ^ 0x20);
    }
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

static void test_every_cut_is_said_and_the_rest_replayed(void **state)
{
    struct recorded r;
    struct strbuf file;
    struct replay_result result;
    struct told t;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 3 * NS_PER_SEC, 100 * NS_PER_MS);
    struct str all = recorded_file(&r, &file);
    uint64_t last = 0;
    for (size_t len = 0; len < all.len; len += 1 + len / 40) {
        int rc = replay((struct str){all.ptr, len}, &result, &t);
        if (rc == 0) {
            assert_true(t.damages > 0);
            assert_false(result.ended || result.differs);
            assert_true(result.looks >= last);
            last = result.looks;
        } else {
            assert_true(t.damage[0] != '\0');
        }
    }
    assert_true(last > 20);
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

static void test_what_is_no_journal_is_said(void **state)
{
    static const struct {
        const char *text, *says;
    } rows[] = {
        {"", "it ends after 0 bytes"},
        {"sluice jour", "it ends after 11 bytes"},
        {"sluice journal 9\n", "a version that is not known"},
        {"rollout: chat\n", "this is no journal"},
        {"sluice journal 1\n", "nothing behind its first line"},
        {"sluice journal 1\n\x77zzz", "no record begins with a byte of 119"},
    };
    struct replay_result result;
    struct told t;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_int_equal(replay(str_from(rows[i].text), &result, &t), -EINVAL);
        if (strstr(t.damage, rows[i].says) == NULL)
            fail_msg("\"%s\" is not in: %s", rows[i].says, t.damage);
    }
}

/* --- differences ------------------------------------------------------------------------------ */

/* Where a record of the kind begins, and its whole length. */
static size_t find_record(struct str all, enum journal_kind kind, size_t skip, size_t *ret_len)
{
    struct journal_reader reader;
    struct error error = {0};

    assert_int_equal(journal_open(all, &reader, &error), 0);
    while (journal_next(&reader, &error) == 1)
        if (reader.kind == kind && skip-- == 0) {
            *ret_len = reader.at - reader.record_at;
            return reader.record_at;
        }
    fail_msg("there is no such record");
    return 0;
}

static void mend(struct strbuf *file, size_t at, size_t len)
{
    uint32_t crc = crc32c(0, (struct str){file->ptr + at, len - 4});

    for (int i = 0; i < 4; i++)
        file->ptr[at + len - 4 + (size_t)i] = (char)(unsigned char)(crc >> (8 * i));
}

/* A record of another outcome, with a checksum that fits: the first difference, with both sides. */
static void test_another_decision_is_shown(void **state)
{
    struct recorded r;
    struct strbuf file;
    struct replay_result result;
    struct told t;
    size_t len;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 30 * NS_PER_SEC, 100 * NS_PER_MS);
    struct str all = recorded_file(&r, &file);
    size_t at = find_record(all, JOURNAL_DECISION, 0, &len);
    char *weight = memmem(file.ptr + at, len, "\"weight_bp\":5000", 16);
    assert_non_null(weight);
    memcpy(weight, "\"weight_bp\":2500", 16);
    mend(&file, at, len);
    assert_int_equal(replay(all, &result, &t), 0);
    assert_true(result.differs);
    assert_int_equal(result.differs_number, 1);
    assert_int_equal(result.differs_at, at);
    assert_string_equal(result.difference.path, "after.weight_bp");
    assert_string_equal(result.difference.recorded, "2500");
    assert_string_equal(result.difference.now, "5000");
    assert_int_equal(t.different, 1);
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

/* Another input: the first look whose evidence is another is named although it decides nothing. */
static void test_another_look_is_noticed(void **state)
{
    struct recorded r;
    struct strbuf file;
    struct replay_result result;
    struct told t;
    size_t len;

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 4 * NS_PER_SEC, 100 * NS_PER_MS);
    struct str all = recorded_file(&r, &file);
    size_t at = find_record(all, JOURNAL_LOOK, 30, &len);
    file.ptr[at + len - 5] = (char)(file.ptr[at + len - 5] ^ 1); /* the recorded sum */
    mend(&file, at, len);
    assert_int_equal(replay(all, &result, &t), 0);
    assert_false(result.differs);
    assert_int_equal(result.differs_at_look, 31);
    assert_int_equal(result.differs_at, at);
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

/* --- bounds ----------------------------------------------------------------------------------- */

struct seen {
    uint64_t looks, requests;
    int64_t first_ns, last_ns;
};

static void on_look(void *ctx, int64_t now_ns, const struct observation *o)
{
    struct seen *s = ctx;

    if (s->looks++ == 0)
        s->first_ns = now_ns;
    s->last_ns = now_ns;
    for (size_t i = 0; i < o->count; i++)
        for (int v = 0; v < VARIANT_COUNT; v++)
            s->requests += o->deltas[i].variants[v].dispatched;
}

static void test_recent_looks_can_be_read(void **state)
{
    struct recorded r;
    struct seen s = {0};

    (void)state;
    recorded_init(&r);
    recorded_pass(&r, 10 * NS_PER_SEC, 100 * NS_PER_MS);
    journal_each(r.journal, r.now_ns - NS_PER_SEC, SIZE_MAX, on_look, &s);
    assert_int_equal(s.looks, 11);
    assert_int_equal(s.requests, 11 * r.rate);
    assert_int_equal(s.first_ns, r.now_ns - NS_PER_SEC);
    assert_int_equal(s.last_ns, r.now_ns);
    recorded_deinit(&r);
}

/* A step that never ends, so that the canary stays under way. */
#define LONG_POLICY                                                                                \
    "rollout: chat\n"                                                                              \
    "stable: {version: \"2.0.0\", endpoints: [http://127.0.0.1:9001]}\n"                           \
    "canary: {version: \"2.1.0\", endpoints: [http://127.0.0.1:9002]}\n"                           \
    "steps: [{weight: 50, hold: 5h}]\n"                                                            \
    "analysis: {criteria: [{metric: error_rate, max: 1%}]}\n"

/* Over many segments each checkpoint is compared with what was replayed up to it. */
static void test_checkpoints_are_what_was_replayed(void **state)
{
    struct recorded r;
    struct replay_result result;
    struct told t;
    struct strbuf file;

    (void)state;
    recorded_init_with(&r, LONG_POLICY, JOURNALS_BYTES_MAX);
    r.errors[VARIANT_STABLE] = r.errors[VARIANT_CANARY] = 0.002;
    recorded_pass(&r, 400 * NS_PER_SEC, 100 * NS_PER_MS);
    assert_int_equal(replay(recorded_file(&r, &file), &result, &t), 0);
    assert_false(result.differs);
    assert_int_equal(t.damages, 0);
    assert_int_equal(result.gaps, 0);
    assert_int_equal(result.looks, r.looks);
    assert_true(result.segments >= 3);
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

/* The oldest goes first, and what is left begins at its own checkpoint. */
static void test_the_oldest_goes_when_all_is_full(void **state)
{
    const size_t most = 150 * 1024;
    struct recorded r;
    struct replay_result result;
    struct told t;
    struct strbuf file;

    (void)state;
    recorded_init_with(&r, LONG_POLICY, most);
    r.errors[VARIANT_STABLE] = r.errors[VARIANT_CANARY] = 0.002;
    for (int i = 0; i < 150; i++) {
        recorded_pass(&r, 10 * NS_PER_SEC, 100 * NS_PER_MS);
        assert_true(journals_bytes(r.all) <= most);
        assert_int_equal(journals_bytes(r.all), journal_bytes(r.journal));
    }
    assert_int_equal(replay(recorded_file(&r, &file), &result, &t), 0);
    assert_false(result.differs);
    assert_int_equal(t.damages, 0);
    assert_true(result.segments >= 2 && result.looks > 500 && result.looks < r.looks);
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

/* A segment is lost to one wrong byte, and no more. */
static void test_behind_damage_the_next_checkpoint_is_taken(void **state)
{
    struct recorded r;
    struct replay_result result;
    struct told t;
    struct strbuf file;
    size_t len;

    (void)state;
    recorded_init_with(&r, LONG_POLICY, JOURNALS_BYTES_MAX);
    r.errors[VARIANT_STABLE] = r.errors[VARIANT_CANARY] = 0.002;
    recorded_pass(&r, 400 * NS_PER_SEC, 100 * NS_PER_MS);
    struct str all = recorded_file(&r, &file);
    size_t second = find_record(all, JOURNAL_SEGMENT, 1, &len);
    size_t hit = second + len + 200;
    file.ptr[hit] = (char)(file.ptr[hit] ^ 4);
    assert_int_equal(replay(all, &result, &t), 0);
    assert_int_equal(t.damages, 1);
    assert_true(t.damage_at <= hit && hit - t.damage_at < 200);
    assert_false(result.differs);
    assert_true(result.ended);
    assert_int_equal(result.gaps, 1);
    assert_true(result.looks < r.looks && result.looks > 100);
    strbuf_deinit(&file);
    recorded_deinit(&r);
}

/* A file made to keep a reader busy: behind its head nothing but beginnings of checkpoints, each of
 * which claims megabytes that would have to be summed. Ten thousand of them are twenty gigabytes.
 */
static void test_a_file_of_false_checkpoints_ends_soon(void **state)
{
    static const char fake[] = "\x02\xff\xff\x7f\xf0SEGMENT";
    const struct journal_head head = {.program = STR("x"), .rollout = STR("chat")};
    struct journal_reader r;
    struct error error = {0};
    struct strbuf file;
    int damages = 0, rc;

    (void)state;
    strbuf_init(&file, JOURNAL_FILE_MAX);
    strbuf_add(&file, STR(JOURNAL_MAGIC));
    journal_add_head(&file, &head);
    for (int i = 0; i < 10000; i++)
        strbuf_add(&file, STR(fake));
    size_t behind = 2 * 1024 * 1024;
    memset(strbuf_grow(&file, behind), 0, behind);
    assert_int_equal(journal_open(strbuf_str(&file), &r, &error), 0);
    assert_int_equal(journal_next(&r, &error), 1);
    while ((rc = journal_next(&r, &error)) != 0) {
        assert_int_equal(rc, -EINVAL);
        damages++;
    }
    assert_in_range(damages, 2, 20);
    strbuf_deinit(&file);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_promotion_is_replayed),
        cmocka_unit_test(test_rollback_is_replayed),
        cmocka_unit_test(test_a_shift_of_values_is_replayed),
        cmocka_unit_test(test_commands_are_replayed),
        cmocka_unit_test(test_failing_store_is_replayed),
        cmocka_unit_test(test_taken_up_state_is_replayed),
        cmocka_unit_test(test_every_flipped_byte_is_said),
        cmocka_unit_test(test_every_cut_is_said_and_the_rest_replayed),
        cmocka_unit_test(test_what_is_no_journal_is_said),
        cmocka_unit_test(test_another_decision_is_shown),
        cmocka_unit_test(test_another_look_is_noticed),
        cmocka_unit_test(test_recent_looks_can_be_read),
        cmocka_unit_test(test_checkpoints_are_what_was_replayed),
        cmocka_unit_test(test_the_oldest_goes_when_all_is_full),
        cmocka_unit_test(test_behind_damage_the_next_checkpoint_is_taken),
        cmocka_unit_test(test_a_file_of_false_checkpoints_ends_soon),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
