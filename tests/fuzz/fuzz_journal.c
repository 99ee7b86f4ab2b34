/* Any bytes as a journal. The oracle: what is read is within the ranges that the engine takes, and
 * a place that is damaged lies in the file. Payloads are also read by themselves, since a checksum
 * keeps a fuzzer out of them; the first byte says which.
 */
#include <stdint.h>
#include <stdlib.h>

#include "base/check.h"
#include "controller/journal_format.h"
#include "controller/replay.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define LAST_NS (INT64_C(1000) * 1000000000)

static const char text[] = "rollout: chat\n"
                           "stable: {version: \"1\", endpoints: [http://127.0.0.1:9001]}\n"
                           "canary: {version: \"2\", endpoints: [http://127.0.0.1:9002]}\n"
                           "analysis:\n"
                           "  criteria:\n"
                           "    - {metric: error_rate, max: 1%}\n"
                           "    - {metric: error_rate, max_increase: 0.5%}\n"
                           "    - {metric: response_size, max: 0.2}\n";

static const struct policy *policy(void)
{
    static struct policy *parsed;
    struct diagnostics errors;

    if (parsed != NULL)
        return parsed;
    diagnostics_init(&errors);
    CHECK(policy_parse(STR("fuzz"), str_from(text), &parsed, &errors) == 0);
    diagnostics_deinit(&errors);
    return parsed;
}

static void check_observation(const struct observation *o, int64_t now_ns)
{
    int64_t now_slot = now_ns / policy()->analysis.slot_ns;

    for (size_t i = 0; i < o->count; i++) {
        const struct slot_delta *d = &o->deltas[i];
        CHECK(d->slot >= 0 && d->slot <= now_slot + 1);
        CHECK(i == 0 || d[-1].epoch < d->epoch ||
              (d[-1].epoch == d->epoch && d[-1].slot < d->slot));
    }
    for (size_t i = 0; i < o->shift_count; i++)
        CHECK(policy()->analysis.criteria[o->shifts[i].criterion].test == TEST_SHIFT);
}

static void look(struct str payload)
{
    struct journal_look_record record;
    struct observation o;

    observation_init(&o);
    if (journal_get_look(payload, policy(), LAST_NS, &record, &o)) {
        CHECK(record.now_ns >= LAST_NS);
        CHECK(!record.has_command || record.command.kind < COMMAND_KIND_COUNT);
        check_observation(&o, record.now_ns);
    }
    observation_deinit(&o);
}

static void state(struct str payload)
{
    struct rollout_state s, again;
    struct error error = {0};
    struct strbuf out;

    if (state_from_text(payload, &s, &error) != 0) {
        CHECK(error.message[0] != '\0');
        return;
    }
    strbuf_init(&out, 65536);
    state_add_text(&s, &out);
    CHECK(state_from_text(strbuf_str(&out), &again, &error) == 0);
    CHECK(memcmp(&s, &again, sizeof(s)) == 0);
    strbuf_deinit(&out);
}

static void payload(uint8_t kind, struct str bytes)
{
    struct journal_head head;
    struct journal_segment segment;
    struct journal_decision decision;
    struct journal_end end;

    switch (kind) {
    case JOURNAL_HEAD:
        journal_get_head(bytes, &head);
        return;
    case JOURNAL_SEGMENT:
        CHECK(!journal_get_segment(bytes, &segment) || segment.now_ns >= 0);
        return;
    case JOURNAL_LOOK:
        look(bytes);
        return;
    case JOURNAL_DECISION:
        journal_get_decision(bytes, &decision);
        return;
    case JOURNAL_END:
        journal_get_end(bytes, &end);
        return;
    default:
        state(bytes);
    }
}

static void on_damage(void *ctx, size_t at, const char *what)
{
    CHECK(at <= *(const size_t *)ctx && what[0] != '\0');
}

static void file(struct str bytes)
{
    const struct replay_listener listener = {NULL, on_damage, &bytes.len};
    struct replay_result *result = malloc(sizeof(*result));
    struct error error = {0};

    CHECK(result != NULL);
    if (replay_run(bytes, &listener, result, &error) != 0)
        CHECK(error.message[0] != '\0');
    free(result);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *bytes = (const char *)data;

    if (size > 0 && data[0] < 16)
        payload(data[0], (struct str){bytes + 1, size - 1});
    else
        file((struct str){bytes, size});
    return 0;
}
