/* The table, and the three things that walk it. What surprises: numbers that are not whole are
 * written with 17 digits, which is what it takes to get the same double back.
 */
#include "controller/decision_fields.h"

#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/hash.h"
#include "controller/state_json.h"

enum field_kind {
    FIELD_BOOL,
    FIELD_U32,
    FIELD_PHASE,
    FIELD_U64,
    FIELD_I64,
    FIELD_REAL,
    FIELD_TEXT
};

/* A member, or an array of as many as fit. */
struct field {
    const char *name;
    enum field_kind kind;
    size_t offset, size;
};

#define STATE(kind_, member_)                                                                      \
    {                                                                                              \
#member_, FIELD_##kind_, offsetof(struct rollout_state, member_),                          \
            sizeof(((struct rollout_state *)0)->member_)                                           \
    }
#define ACTION(kind_, member_)                                                                     \
    {                                                                                              \
#member_, FIELD_##kind_, offsetof(struct rollout_action, member_),                         \
            sizeof(((struct rollout_action *)0)->member_)                                          \
    }
#define REPORT(kind_, member_)                                                                     \
    {                                                                                              \
#member_, FIELD_##kind_, offsetof(struct analysis_report, member_),                        \
            sizeof(((struct analysis_report *)0)->member_)                                         \
    }
#define CRITERION(kind_, member_)                                                                  \
    {                                                                                              \
#member_, FIELD_##kind_, offsetof(struct criterion_report, member_),                       \
            sizeof(((struct criterion_report *)0)->member_)                                        \
    }

static const struct field state_fields[] = {
    STATE(PHASE, phase),
    STATE(PHASE, paused_from),
    STATE(U32, epoch),
    STATE(U32, step),
    STATE(U32, weight_bp),
    STATE(U32, reported),
    STATE(BOOL, zeroed),
    STATE(BOOL, approved),
    STATE(BOOL, undecided),
    STATE(I64, held_ns),
    STATE(I64, no_data_ns),
    STATE(I64, phase_ns),
    STATE(I64, last_ns),
    STATE(U32, retreat.visit),
    STATE(BOOL, retreat.probing),
    STATE(U32, retreat.weight_bp),
    STATE(I64, retreat.pause_ns),
    STATE(I64, retreat.left_ns),
    STATE(I64, retreat.since_ns),
    STATE(U32, retreat.probe.criterion),
    STATE(REAL, retreat.probe.p1),
    STATE(REAL, retreat.probe.z),
    STATE(U64, retreat.seen), /* pairs */
    STATE(U32, retreats_in_step),
    STATE(U64, placebo_before_step),
    STATE(TEXT, canary_version),
    STATE(TEXT, rejected_version),
};

static const struct field action_fields[] = {
    ACTION(U32, kind),     ACTION(U32, epoch),           ACTION(U32, weight_bp),
    ACTION(U32, why),      ACTION(U32, probe.criterion), ACTION(REAL, probe.p1),
    ACTION(REAL, probe.z),
};

static const struct field report_fields[] = {
    REPORT(REAL, log_e),
    REPORT(REAL, threshold),
    REPORT(BOOL, crossed),
    REPORT(BOOL, revert),
    REPORT(BOOL, retreat),
    REPORT(BOOL, alarm),
    REPORT(BOOL, no_harm),
    REPORT(BOOL, stable_degraded),
    REPORT(U32, worst),
    REPORT(REAL, pause_log_e),
    REPORT(REAL, wide.log_e),
    REPORT(REAL, wide.threshold),
    REPORT(BOOL, wide.crossed),
    REPORT(U32, wide.worst),
    REPORT(U32, failed_rollback),
    REPORT(U32, failed_pause),
    REPORT(U32, failed_report),
    REPORT(U32, probe_next.criterion),
    REPORT(REAL, probe_next.p1),
    REPORT(REAL, probe_next.z),
    REPORT(U64, trip.requests),
    REPORT(U64, trip.bad),
    REPORT(BOOL, probe.active),
    REPORT(REAL, probe.log_ratio),
    REPORT(REAL, probe.least),
    REPORT(U64, probe.slots),
    REPORT(U64, probe.requests),
    REPORT(U64, probe.bad),
    REPORT(BOOL, probe.cleared),
    REPORT(U64, placebo.sent_back),
    REPORT(U64, placebo.sent_back_last_hour),
    REPORT(U64, placebo.bursts),
    REPORT(I64, placebo.longest_burst_ns),
    REPORT(REAL, placebo.log_e),
    REPORT(BOOL, hard_down),
    REPORT(U64, run_failures),
    REPORT(I64, run_ns),
    REPORT(U64, step_requests),
    REPORT(I64, first_bad_slot),
    REPORT(U64, count),
};

static const struct field criterion_fields[] = {
    CRITERION(U32, verdict),
    CRITERION(BOOL, suspect),
    CRITERION(BOOL, failed),
    CRITERION(BOOL, frozen),
    CRITERION(BOOL, reference_missing),
    CRITERION(REAL, log_e),
    CRITERION(REAL, threshold),
    CRITERION(REAL, wide_log_e),
    CRITERION(REAL, wide_threshold),
    CRITERION(REAL, frozen_p0),
    CRITERION(REAL, no_harm),
    CRITERION(REAL, no_harm_threshold),
    CRITERION(U64, requests),
    CRITERION(U64, bad),
    CRITERION(U64, pending),
    CRITERION(REAL, value),
    CRITERION(REAL, shift.psi),
    CRITERION(REAL, shift.psi_debiased),
    CRITERION(REAL, shift.ks),
    CRITERION(REAL, shift.w1),
    CRITERION(REAL, shift.ks_least),
    CRITERION(REAL, shift.log_e),
    CRITERION(REAL, shift.threshold),
    CRITERION(U64, shift.looked),
    CRITERION(U64, shift.found),
    CRITERION(U64, shift.values),
    CRITERION(BOOL, shift.judged),
    CRITERION(BOOL, shift.kept),
    CRITERION(BOOL, shift.failed),
    CRITERION(U64, window.values),
    CRITERION(U32, window.fails_in_a_row),
};

_Static_assert(sizeof(size_t) == sizeof(uint64_t) && sizeof(enum verdict) == sizeof(uint32_t) &&
                   sizeof(bool) == 1,
               "fields are read by their size");
_Static_assert(sizeof(struct retreat_seen) == 2 * sizeof(uint64_t), "it is a pair");

static size_t element_size(enum field_kind kind, size_t size)
{
    switch (kind) {
    case FIELD_BOOL:
        return 1;
    case FIELD_U32:
    case FIELD_PHASE:
        return sizeof(uint32_t);
    case FIELD_U64:
    case FIELD_I64:
    case FIELD_REAL:
        return sizeof(uint64_t);
    case FIELD_TEXT:
        return size;
    }
    UNREACHABLE();
}

/* --- the sum ---------------------------------------------------------------------------------- */

/* A multiplication per word (the finisher of SplitMix64's family): each bit of the input changes
 * half of the output's by the end. */
static uint64_t mix(uint64_t sum, uint64_t word)
{
    sum = (sum ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return sum ^ (sum >> 29);
}

static uint64_t mix_field(uint64_t sum, const struct field *f, const char *base)
{
    size_t size = element_size(f->kind, f->size);

    if (f->kind == FIELD_TEXT)
        return mix(sum, hash_fnv1a(str_from(base + f->offset)));
    for (size_t at = f->offset; at < f->offset + f->size; at += size) {
        uint64_t word = 0;
        uint32_t half;
        if (size == sizeof(word)) {
            memcpy(&word, base + at, sizeof(word));
        } else if (size == sizeof(half)) {
            memcpy(&half, base + at, sizeof(half));
            word = half;
        } else {
            word = (unsigned char)base[at];
        }
        sum = mix(sum, word);
    }
    return sum;
}

static uint64_t mix_all(uint64_t sum, const struct field *fields, size_t count, const void *base)
{
    for (size_t i = 0; i < count; i++)
        sum = mix_field(sum, &fields[i], base);
    return sum;
}

uint32_t decision_sum(const struct rollout_decision *d)
{
    uint64_t sum = mix(1, (uint64_t)d->event << 32 | (uint64_t)d->cause);

    sum = mix(sum, (uint64_t)d->failed << 32 | d->action_count);
    sum = mix(sum, d->criterion);
    sum = mix_all(sum, state_fields, ARRAY_LEN(state_fields), &d->before);
    sum = mix_all(sum, state_fields, ARRAY_LEN(state_fields), &d->state);
    for (size_t i = 0; i < d->action_count; i++)
        sum = mix_all(sum, action_fields, ARRAY_LEN(action_fields), &d->actions[i]);
    sum = mix(sum, d->result.ok);
    sum = mix_all(sum, report_fields, ARRAY_LEN(report_fields), &d->report);
    for (size_t i = 0; i < d->report.count; i++)
        sum = mix_all(sum, criterion_fields, ARRAY_LEN(criterion_fields), &d->report.criteria[i]);
    return (uint32_t)(sum ^ (sum >> 32));
}

static uint64_t mix_names(uint64_t sum, const struct field *fields, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        sum = mix(sum, hash_fnv1a(str_from(fields[i].name)));
        sum = mix(sum, (uint64_t)fields[i].kind << 32 | fields[i].size);
    }
    return sum;
}

uint32_t decision_fields_version(void)
{
    uint64_t sum = mix_names(1, state_fields, ARRAY_LEN(state_fields));

    sum = mix_names(sum, action_fields, ARRAY_LEN(action_fields));
    sum = mix_names(sum, report_fields, ARRAY_LEN(report_fields));
    sum = mix_names(sum, criterion_fields, ARRAY_LEN(criterion_fields));
    return (uint32_t)(sum ^ (sum >> 32));
}

/* --- text ------------------------------------------------------------------------------------- */

static void add_real(struct strbuf *out, double x)
{
    if (isfinite(x))
        strbuf_addf(out, "%.17g", x);
    else
        strbuf_addf(out, "\"%s\"", isnan(x) ? "nan" : x < 0 ? "-inf" : "inf");
}

static void add_element(struct strbuf *out, enum field_kind kind, const char *at)
{
    uint32_t half;
    uint64_t word;
    int64_t number;
    double real;

    switch (kind) {
    case FIELD_BOOL:
        strbuf_add(out, *at != 0 ? STR("true") : STR("false"));
        return;
    case FIELD_U32:
        memcpy(&half, at, sizeof(half));
        strbuf_addf(out, "%" PRIu32, half);
        return;
    case FIELD_PHASE:
        memcpy(&half, at, sizeof(half));
        CHECK(half < PHASE_COUNT);
        strbuf_addf(out, "\"%s\"", phase_names[half]);
        return;
    case FIELD_U64:
        memcpy(&word, at, sizeof(word));
        strbuf_addf(out, "%" PRIu64, word);
        return;
    case FIELD_I64:
        memcpy(&number, at, sizeof(number));
        strbuf_addf(out, "%" PRId64, number);
        return;
    case FIELD_REAL:
        memcpy(&real, at, sizeof(real));
        add_real(out, real);
        return;
    case FIELD_TEXT:
        strbuf_add_json(out, str_from(at));
        return;
    }
    UNREACHABLE();
}

static void add_fields(struct strbuf *out, const struct field *fields, size_t count,
                       const void *from)
{
    const char *base = from;

    strbuf_add_char(out, '{');
    for (size_t i = 0; i < count; i++) {
        const struct field *f = &fields[i];
        size_t size = element_size(f->kind, f->size);
        bool many = size < f->size;
        strbuf_addf(out, "%s\"%s\":%s", i == 0 ? "" : ",", f->name, many ? "[" : "");
        for (size_t at = 0; at < f->size; at += size) {
            if (at > 0)
                strbuf_add_char(out, ',');
            add_element(out, f->kind, base + f->offset + at);
        }
        if (many)
            strbuf_add_char(out, ']');
    }
    strbuf_add_char(out, '}');
}

void state_add_text(const struct rollout_state *s, struct strbuf *out)
{
    add_fields(out, state_fields, ARRAY_LEN(state_fields), s);
}

static void add_report(struct strbuf *out, const struct analysis_report *report)
{
    strbuf_add(out, STR(",\"report\":"));
    add_fields(out, report_fields, ARRAY_LEN(report_fields), report);
    strbuf_add(out, STR(",\"criteria\":["));
    for (size_t i = 0; i < report->count; i++) {
        if (i > 0)
            strbuf_add_char(out, ',');
        add_fields(out, criterion_fields, ARRAY_LEN(criterion_fields), &report->criteria[i]);
    }
    strbuf_add_char(out, ']');
}

void decision_add_text(const struct rollout_decision *d, struct strbuf *out)
{
    strbuf_addf(out, "{\"event\":\"%s\",\"cause\":\"%s\",\"after\":", event_names[d->event],
                cause_names[d->cause]);
    state_add_text(&d->state, out);
    strbuf_add(out, STR(",\"before\":"));
    state_add_text(&d->before, out);
    strbuf_addf(out, ",\"criterion\":%" PRIu32 ",\"failed\":%" PRIu32 ",\"actions\":[",
                d->criterion, d->failed);
    for (size_t i = 0; i < d->action_count; i++) {
        if (i > 0)
            strbuf_add_char(out, ',');
        add_fields(out, action_fields, ARRAY_LEN(action_fields), &d->actions[i]);
    }
    strbuf_add_char(out, ']');
    add_report(out, &d->report);
    strbuf_add_char(out, '}');
}

/* --- and back --------------------------------------------------------------------------------- */

static bool set_phase(char *at, const char *name)
{
    for (uint32_t p = 0; name != NULL && p < PHASE_COUNT; p++)
        if (strcmp(phase_names[p], name) == 0) {
            memcpy(at, &p, sizeof(p));
            return true;
        }
    return false;
}

static bool set_integer(char *at, enum field_kind kind, const json_t *value)
{
    json_int_t n = json_integer_value(value);
    uint32_t half = (uint32_t)n;

    if (!json_is_integer(value) || (kind != FIELD_I64 && n < 0) ||
        (kind == FIELD_U32 && n > UINT32_MAX))
        return false;
    if (kind == FIELD_U32)
        memcpy(at, &half, sizeof(half));
    else
        memcpy(at, &n, sizeof(n));
    return true;
}

static bool set_element(char *at, const struct field *f, const json_t *value)
{
    double real = json_number_value(value);
    const char *text = json_string_value(value);

    switch (f->kind) {
    case FIELD_BOOL:
        *(bool *)(void *)at = json_is_true(value);
        return json_is_boolean(value);
    case FIELD_PHASE:
        return set_phase(at, text);
    case FIELD_U32:
    case FIELD_U64:
    case FIELD_I64:
        return set_integer(at, f->kind, value);
    case FIELD_REAL:
        memcpy(at, &real, sizeof(real));
        return json_is_number(value) && isfinite(real);
    case FIELD_TEXT:
        return text != NULL && str_copy(at, f->size, str_from(text));
    }
    UNREACHABLE();
}

static bool set_field(char *base, const struct field *f, const json_t *value)
{
    size_t size = element_size(f->kind, f->size), count = f->size / size;

    if (count == 1)
        return set_element(base + f->offset, f, value);
    if (json_array_size(value) != count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!set_element(base + f->offset + i * size, f, json_array_get(value, i)))
            return false;
    return true;
}

/* What the states of other processes must keep to as well (controller/state_json.h), and a time
 * that can be counted on from. */
static int check_state(const struct rollout_state *s, struct error *reterr)
{
    struct rollout_state checked;
    json_t *json = state_to_json(s);
    int rc = state_from_json(json, &checked, reterr);

    json_decref(json);
    if (rc == 0 && (s->last_ns < 0 || s->last_ns > INT64_MAX / 4))
        rc = error_set(reterr, -EINVAL, "its \"last_ns\" is out of range");
    return rc;
}

int state_from_text(struct str text, struct rollout_state *ret, struct error *reterr)
{
    json_t *o = json_loadb(text.ptr, text.len, JSON_REJECT_DUPLICATES, NULL);
    struct rollout_state s;
    int rc = 0;

    memset(&s, 0, sizeof(s)); /* states are compared byte by byte */
    if (!json_is_object(o))
        rc = error_set(reterr, -EINVAL, "it is no JSON object");
    for (size_t i = 0; rc == 0 && i < ARRAY_LEN(state_fields); i++) {
        const struct field *f = &state_fields[i];
        if (!set_field((char *)&s, f, json_object_get(o, f->name)))
            rc = error_set(reterr, -EINVAL, "its \"%s\" is missing or does not fit", f->name);
    }
    if (rc == 0 && json_object_size(o) != ARRAY_LEN(state_fields))
        rc = error_set(reterr, -EINVAL, "it has fields that are not known here");
    json_decref(o);
    if (rc == 0)
        rc = check_state(&s, reterr);
    if (rc == 0)
        memcpy(ret, &s, sizeof(s));
    return rc;
}

/* --- differences ------------------------------------------------------------------------------ */

static void show(const json_t *value, char to[static DIFFERENCE_VALUE_MAX])
{
    char *text = value == NULL
                     ? NULL
                     : json_dumps(value, JSON_COMPACT | JSON_ENCODE_ANY | JSON_REAL_PRECISION(17));

    str_copy(to, DIFFERENCE_VALUE_MAX, str_from(text == NULL ? "" : text));
    free(text);
}

static bool differ(const json_t *a, const json_t *b, struct decision_difference *ret);

static bool differ_below(const json_t *a, const json_t *b, size_t len, const char *name,
                         size_t index, struct decision_difference *ret)
{
    if (name == NULL)
        snprintf(ret->path + len, sizeof(ret->path) - len, "[%zu]", index);
    else
        snprintf(ret->path + len, sizeof(ret->path) - len, "%s%s", len > 0 ? "." : "", name);
    if (differ(a, b, ret))
        return true;
    ret->path[len] = '\0';
    return false;
}

static bool differ(const json_t *a, const json_t *b, struct decision_difference *ret)
{
    size_t len = strlen(ret->path);

    if (json_is_object(a) && json_is_object(b)) {
        const char *key;
        json_t *value;
        json_object_foreach((json_t *)(uintptr_t)a, key, value)
        {
            if (differ_below(value, json_object_get(b, key), len, key, 0, ret))
                return true;
        }
        json_object_foreach((json_t *)(uintptr_t)b, key, value)
        {
            if (json_object_get(a, key) == NULL && differ_below(NULL, value, len, key, 0, ret))
                return true;
        }
        return false;
    }
    if (json_is_array(a) && json_is_array(b)) {
        size_t n = json_array_size(a), m = json_array_size(b);
        for (size_t i = 0; i < n || i < m; i++)
            if (differ_below(json_array_get(a, i), json_array_get(b, i), len, NULL, i, ret))
                return true;
        return false;
    }
    if (a != NULL && b != NULL && json_equal(a, b))
        return false;
    show(a, ret->recorded);
    show(b, ret->now);
    return true;
}

bool decision_text_difference(struct str recorded, struct str now, struct decision_difference *ret)
{
    memset(ret, 0, sizeof(*ret));
    if (str_eq(recorded, now))
        return false;
    json_t *a = json_loadb(recorded.ptr, recorded.len, 0, NULL);
    json_t *b = json_loadb(now.ptr, now.len, 0, NULL);
    if (!json_is_object(a) || !json_is_object(b) || !differ(a, b, ret)) {
        /* Other bytes of the same meaning are another record all the same. */
        snprintf(ret->path, sizeof(ret->path), "the text");
        str_copy(ret->recorded, sizeof(ret->recorded), recorded);
        str_copy(ret->now, sizeof(ret->now), now);
    }
    json_decref(a);
    json_decref(b);
    return true;
}
