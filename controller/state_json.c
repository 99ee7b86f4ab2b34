/* A field that is missing or does not fit refuses the whole state: half a state would be served as
 * if it were what somebody decided. What a version before retreats and bakes did not write was not
 * there: an upgrade must not begin such a rollout anew.
 */
#include "controller/state_json.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

enum { EPOCH_MAX = 0x7fff0000 }; /* room for the epochs to come: the word has 31 bits */

static json_t *seen_to_json(const struct retreat_seen *seen, uint32_t visits)
{
    json_t *all = json_array();

    for (uint32_t i = 0; i < visits; i++) {
        json_t *o = json_object();
        json_object_set_new(o, "requests", json_integer((json_int_t)seen[i].requests));
        json_object_set_new(o, "bad", json_integer((json_int_t)seen[i].bad));
        json_array_append_new(all, o);
    }
    return all;
}

static json_t *retreat_to_json(const struct rollout_retreat *r)
{
    if (r->visit == 0)
        return json_null();
    json_t *o = json_object();
    json_object_set_new(o, "visit", json_integer(r->visit));
    json_object_set_new(o, "probing", json_boolean(r->probing));
    json_object_set_new(o, "weight_bp", json_integer(r->weight_bp));
    json_object_set_new(o, "pause_ns", json_integer(r->pause_ns));
    json_object_set_new(o, "left_ns", json_integer(r->left_ns));
    json_object_set_new(o, "since_ns", json_integer(r->since_ns));
    json_object_set_new(o, "criterion", json_integer(r->probe.criterion));
    json_object_set_new(o, "p1", json_real(r->probe.p1));
    json_object_set_new(o, "z", json_real(r->probe.z));
    json_object_set_new(o, "seen", seen_to_json(r->seen, r->visit));
    return o;
}

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
    json_object_set_new(o, "no_data_ns", json_integer(s->no_data_ns));
    json_object_set_new(o, "phase_ns", json_integer(s->phase_ns));
    json_object_set_new(o, "retreat", retreat_to_json(&s->retreat));
    json_object_set_new(o, "retreats_in_step", json_integer(s->retreats_in_step));
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

/* What an earlier version did not have. */
static int64_t new_integer(struct reader *r, const char *key, int64_t min, int64_t max)
{
    return json_object_get(r->from, key) == NULL ? 0 : integer(r, key, min, max);
}

static double probability(struct reader *r, const char *key)
{
    const json_t *v = json_object_get(r->from, key);
    double value = json_number_value(v);

    if (!json_is_number(v) || !(value > 0 && value < 1))
        r->bad = r->bad != NULL ? r->bad : key;
    return value;
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
        if (p != PHASE_SMOKE_TESTING && strcmp(phase_names[p], name) == 0)
            return (enum rollout_phase)p;
    r->bad = r->bad != NULL ? r->bad : key;
    return PHASE_IDLE;
}

static void read_seen(struct reader *r, struct rollout_retreat *ret)
{
    const json_t *all = json_object_get(r->from, "seen");

    if (!json_is_array(all) || json_array_size(all) != ret->visit) {
        r->bad = r->bad != NULL ? r->bad : "seen";
        return;
    }
    for (uint32_t i = 0; i < ret->visit; i++) {
        struct reader row = {.from = json_array_get(all, i)};
        ret->seen[i].requests = (uint64_t)integer(&row, "requests", 0, INT64_MAX);
        ret->seen[i].bad = (uint64_t)integer(&row, "bad", 0, INT64_MAX);
        if (row.bad != NULL)
            r->bad = r->bad != NULL ? r->bad : "seen";
    }
}

static void read_retreat(struct reader *r, struct rollout_retreat *ret)
{
    struct reader inner = {.from = json_object_get(r->from, "retreat")};

    if (inner.from == NULL || json_is_null(inner.from))
        return;
    ret->visit = (uint32_t)integer(&inner, "visit", 1, CONFIRM_MAX);
    ret->probing = boolean(&inner, "probing");
    ret->weight_bp = (uint32_t)integer(&inner, "weight_bp", 1, WEIGHT_FULL_BP);
    ret->pause_ns = integer(&inner, "pause_ns", 0, INT64_MAX / 2);
    ret->left_ns = integer(&inner, "left_ns", 0, ret->pause_ns);
    ret->since_ns = integer(&inner, "since_ns", 0, INT64_MAX / 2);
    ret->probe.criterion = (uint32_t)integer(&inner, "criterion", 0, CRITERIA_MAX);
    ret->probe.p1 = probability(&inner, "p1");
    ret->probe.z = probability(&inner, "z");
    read_seen(&inner, ret);
    if (inner.bad != NULL || ret->probe.z >= ret->probe.p1)
        r->bad = r->bad != NULL ? r->bad : "retreat";
}

static bool may_be_paused_from(enum rollout_phase phase)
{
    return phase == PHASE_PROGRESSING || phase == PHASE_AWAITING_APPROVAL || phase == PHASE_BAKING;
}

/* What rollout_decide takes for granted of a retreat. */
static const char *retreat_contradiction(const struct rollout_state *s)
{
    const struct rollout_retreat *r = &s->retreat;

    if (r->visit == 0)
        return NULL;
    if (!rollout_is_judged(s) || s->step == 0)
        return "a retreat in a phase without one";
    if (!r->probing && s->weight_bp != 0)
        return "a weight in a retreat";
    if (r->probing && (s->zeroed || r->left_ns > 0 || s->weight_bp > r->weight_bp))
        return "a probe that is none";
    return NULL;
}

/* What rollout_decide takes for granted of a state. */
static const char *contradiction(const struct rollout_state *s)
{
    bool at_zero =
        s->phase == PHASE_IDLE || s->phase == PHASE_PENDING || s->phase == PHASE_ROLLED_BACK;

    if (at_zero && s->weight_bp != 0)
        return "a weight in a phase without one";
    if ((s->phase == PHASE_PROGRESSING || s->phase == PHASE_BAKING) && s->step == 0)
        return "progress without a step";
    if (s->phase == PHASE_PROMOTED && s->weight_bp != WEIGHT_FULL_BP)
        return "a promotion without all traffic";
    if (s->phase == PHASE_PAUSED && !may_be_paused_from(s->paused_from))
        return "a pause of nothing";
    if (s->weight_bp > 0 && s->step == 0)
        return "a weight without a step";
    return retreat_contradiction(s);
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
    s.no_data_ns = new_integer(&r, "no_data_ns", 0, INT64_MAX / 2);
    s.retreats_in_step = (uint32_t)new_integer(&r, "retreats_in_step", 0, UINT32_MAX);
    read_retreat(&r, &s.retreat);
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
