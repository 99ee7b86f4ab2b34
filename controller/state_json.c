/* A field that is missing or does not fit refuses the whole state: half a state would be served as
 * if it were what somebody decided.
 */
#include "controller/state_json.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { EPOCH_MAX = 0x7fff0000 }; /* room for the epochs to come: the word has 31 bits */

json_t *state_to_json(const struct rollout_state *s)
{
    json_t *o = json_object();

    json_object_set_new(o, "phase", json_string(phase_names[s->phase]));
    json_object_set_new(o, "paused_from", json_string(phase_names[s->paused_from]));
    json_object_set_new(o, "epoch", json_integer(s->epoch));
    json_object_set_new(o, "step", json_integer(s->step));
    json_object_set_new(o, "weight_bp", json_integer(s->weight_bp));
    json_object_set_new(o, "reported", json_integer(s->reported));
    json_object_set_new(o, "zeroed", json_boolean(s->zeroed));
    json_object_set_new(o, "approved", json_boolean(s->approved));
    json_object_set_new(o, "undecided", json_boolean(s->undecided));
    json_object_set_new(o, "held_ns", json_integer(s->held_ns));
    json_object_set_new(o, "phase_ns", json_integer(s->phase_ns));
    json_object_set_new(o, "canary_version", json_string(s->canary_version));
    json_object_set_new(o, "rejected_version", json_string(s->rejected_version));
    return o;
}

struct reader {
    const json_t *from;
    const char *bad; /* the first key that does not fit */
};

static int64_t integer(struct reader *r, const char *key, int64_t min, int64_t max)
{
    const json_t *v = json_object_get(r->from, key);

    if (json_is_integer(v) && json_integer_value(v) >= min && json_integer_value(v) <= max)
        return json_integer_value(v);
    r->bad = r->bad != NULL ? r->bad : key;
    return min;
}

static bool boolean(struct reader *r, const char *key)
{
    const json_t *v = json_object_get(r->from, key);

    if (!json_is_boolean(v))
        r->bad = r->bad != NULL ? r->bad : key;
    return json_is_true(v);
}

static void text(struct reader *r, const char *key, char to[static VERSION_MAX + 1])
{
    const char *value = json_string_value(json_object_get(r->from, key));

    if (value == NULL || !str_copy(to, VERSION_MAX + 1, str_from(value)))
        r->bad = r->bad != NULL ? r->bad : key;
}

static enum rollout_phase phase(struct reader *r, const char *key)
{
    const char *name = json_string_value(json_object_get(r->from, key));

    for (int p = 0; name != NULL && p < PHASE_COUNT; p++)
        if (p != PHASE_SMOKE_TESTING && p != PHASE_BAKING && strcmp(phase_names[p], name) == 0)
            return (enum rollout_phase)p;
    r->bad = r->bad != NULL ? r->bad : key;
    return PHASE_IDLE;
}

/* What rollout_decide takes for granted of a state. */
static const char *contradiction(const struct rollout_state *s)
{
    bool at_zero =
        s->phase == PHASE_IDLE || s->phase == PHASE_PENDING || s->phase == PHASE_ROLLED_BACK;

    if (at_zero && s->weight_bp != 0)
        return "a weight in a phase without one";
    if (s->phase == PHASE_PROGRESSING && s->step == 0)
        return "progress without a step";
    if (s->weight_bp > 0 && s->step == 0)
        return "a weight without a step";
    return NULL;
}

int state_from_json(const json_t *from, struct rollout_state *ret, struct error *reterr)
{
    struct reader r = {.from = from};
    struct rollout_state s;

    memset(&s, 0, sizeof(s)); /* states are compared byte by byte */
    s.phase = phase(&r, "phase");
    s.paused_from = phase(&r, "paused_from");
    s.epoch = (uint32_t)integer(&r, "epoch", 1, EPOCH_MAX);
    s.step = (uint32_t)integer(&r, "step", 0, STEPS_MAX);
    s.weight_bp = (uint32_t)integer(&r, "weight_bp", 0, WEIGHT_FULL_BP);
    s.reported = (uint32_t)integer(&r, "reported", 0, UINT32_MAX);
    s.zeroed = boolean(&r, "zeroed");
    s.approved = boolean(&r, "approved");
    s.undecided = boolean(&r, "undecided");
    s.held_ns = integer(&r, "held_ns", 0, INT64_MAX / 2);
    s.phase_ns = integer(&r, "phase_ns", 0, INT64_MAX / 2);
    text(&r, "canary_version", s.canary_version);
    text(&r, "rejected_version", s.rejected_version);
    if (r.bad != NULL)
        return error_set(reterr, -EINVAL, "its \"%s\" is missing or of another kind", r.bad);
    const char *why = contradiction(&s);
    if (why != NULL)
        return error_set(reterr, -EINVAL, "it has %s", why);
    memcpy(ret, &s, sizeof(s));
    return 0;
}
