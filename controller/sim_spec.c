/* Words to a world. A table of keys serves the command line, files and "did you mean"; the outcome
 * names of the policy language are keys too. Setting `latency` anew takes back nothing else: the
 * canary keeps what it has from stable, so that `shift=1.5x` alone describes a slower canary.
 */
#include "controller/sim_spec.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/clock.h"
#include "base/units.h"
#include "policies/yaml.h"

#define RPS_MAX      1e6
#define SIGMA_MAX    4
#define SHIFT_MAX    1000
#define NUMBER_BYTES 64

void sim_spec_init(struct sim_spec *s)
{
    memset(s, 0, sizeof(*s));
    s->rps = 100;
    for (int v = 0; v < VARIANT_COUNT; v++) {
        struct sim_variant *variant = &s->variants[v];
        variant->outcomes[OUTCOME_5XX] = 0.001;
        variant->latency = (struct sim_times){SIM_LOGNORMAL, (double)NS_PER_SEC, 0.5};
        variant->shift = 1;
        variant->failure_ns = 50 * NS_PER_MS;
    }
}

/* --- values ----------------------------------------------------------------------------------- */

static int bad_value(struct error *reterr, struct str key, struct str value, const char *form)
{
    error_set(reterr, -EINVAL, STR_FMT " takes %s, not \"%.*s\"", STR_ARG(key), form,
              (int)(value.len < 60 ? value.len : 60), value.ptr == NULL ? "" : value.ptr);
    return -EINVAL;
}

static bool number(struct str text, double min, double max, double *ret)
{
    char copy[NUMBER_BYTES], *end;

    if (text.len == 0 || !str_copy(copy, sizeof(copy), text) || copy[0] == ' ')
        return false;
    double value = strtod(copy, &end);
    if (*end != '\0' || !(value >= min && value <= max))
        return false;
    *ret = value;
    return true;
}

static bool positive_duration(struct str text, double *ret_ns)
{
    int64_t ns;

    if (!units_parse_duration(text, &ns) || ns <= 0)
        return false;
    *ret_ns = (double)ns;
    return true;
}

static const struct {
    struct str name;
    enum sim_shape shape;
} shapes[] = {
    {{"constant", 8}, SIM_CONSTANT},
    {{"lognormal", 9}, SIM_LOGNORMAL},
    {{"exponential", 11}, SIM_EXPONENTIAL},
    {{"uniform", 7}, SIM_UNIFORM},
};

/* "2s", "lognormal:2s:0.6", "exponential:1s", "uniform:1s:3s" */
static bool times(struct str text, struct sim_times *ret)
{
    struct sim_times t = {.shape = SIM_CONSTANT};
    struct str name, first;

    if (positive_duration(text, &t.ns)) {
        *ret = t;
        return true;
    }
    str_split(&text, ':', &name);
    t.shape = SIM_UNKNOWN;
    for (size_t i = 0; i < sizeof(shapes) / sizeof(shapes[0]); i++)
        if (str_eq(name, shapes[i].name))
            t.shape = shapes[i].shape;
    if (t.shape == SIM_UNKNOWN || text.ptr == NULL)
        return false;
    str_split(&text, ':', &first);
    if (!positive_duration(first, &t.ns))
        return false;
    if (t.shape == SIM_LOGNORMAL && !number(text, 0, SIGMA_MAX, &t.more))
        return false;
    if (t.shape == SIM_UNIFORM && (!positive_duration(text, &t.more) || t.more < t.ns))
        return false;
    if ((t.shape == SIM_CONSTANT || t.shape == SIM_EXPONENTIAL) && text.ptr != NULL)
        return false;
    *ret = t;
    return true;
}

/* "1.5x", "1.5" */
static bool factor(struct str text, double *ret)
{
    if (str_ends_with(text, STR("x")))
        text.len--;
    return number(text, 1.0 / SHIFT_MAX, SHIFT_MAX, ret);
}

/* "3s/300s:50%", "none"; without a share: half */
static bool bursts(struct str text, struct sim_bursts *ret)
{
    struct sim_bursts b = {.share = 0.5};
    struct str length, every;

    if (str_eq(text, STR("none"))) {
        *ret = (struct sim_bursts){0};
        return true;
    }
    if (!str_split(&text, '/', &length) || text.ptr == NULL)
        return false;
    str_split(&text, ':', &every);
    if (!positive_duration(length, &b.length_ns) || !positive_duration(every, &b.every_ns) ||
        (text.ptr != NULL && !units_parse_share(text, &b.share)))
        return false;
    *ret = b;
    return true;
}

/* "5m+120s:40%", "none"; without a share: everything */
static bool outage(struct str text, struct sim_outage *ret)
{
    struct sim_outage o = {.share = 1};
    struct str after, length;

    if (str_eq(text, STR("none"))) {
        *ret = (struct sim_outage){0};
        return true;
    }
    if (!str_split(&text, '+', &after) || text.ptr == NULL)
        return false;
    str_split(&text, ':', &length);
    if (!units_parse_duration(after, &o.after_ns) || !units_parse_duration(length, &o.length_ns) ||
        (text.ptr != NULL && !units_parse_share(text, &o.share)))
        return false;
    *ret = o;
    return true;
}

/* "50ms", "as-slow", "timeout:60s" */
static bool failures(struct str text, struct sim_variant *v)
{
    int64_t ns = -1;
    bool time_out = str_starts_with(text, STR("timeout:"));

    if (time_out)
        text = (struct str){text.ptr + 8, text.len - 8};
    if ((time_out || !str_eq(text, STR("as-slow"))) && !units_parse_duration(text, &ns))
        return false;
    v->failure_ns = ns;
    v->failures_time_out = time_out;
    return true;
}

/* "120s": after the first traffic; "50%": from that weight on */
static bool onset(struct str text, struct sim_variant *v)
{
    double share;

    if (units_parse_duration(text, &v->onset_ns))
        return true;
    if (!units_parse_share(text, &share))
        return false;
    v->onset_bp = (uint32_t)lround(share * WEIGHT_FULL_BP);
    return true;
}

static bool swing(struct str text, struct sim_shared *s)
{
    struct str share;
    int64_t ns;
    double value;

    if (!str_split(&text, '/', &share) || !units_parse_share(share, &value) || value >= 1 ||
        !units_parse_duration(text, &ns) || ns <= 0)
        return false;
    s->swing = value;
    s->swing_ns = ns;
    return true;
}

/* --- keys ------------------------------------------------------------------------------------- */

#define TIMES_FORM  "a duration, lognormal:MEDIAN:SIGMA, exponential:MEAN or uniform:FROM:TO"
#define BURSTS_FORM "LENGTH/EVERY[:SHARE], such as 3s/5m:50%, or none"
#define OUTAGE_FORM "AFTER+LENGTH[:SHARE], such as 5m+2m:40%, or none"

enum key {
    KEY_ERRORS,
    KEY_LATENCY,
    KEY_SHIFT,
    KEY_FAILURES,
    KEY_TTFT,
    KEY_GAP,
    KEY_PER_TOKEN,
    KEY_STREAMING,
    KEY_HANG,
    KEY_BURSTS,
    KEY_OUTAGE,
    KEY_ONSET,
    KEY_COUNT
};

static const char *const keys[KEY_COUNT] = {
    [KEY_ERRORS] = "errors",       [KEY_LATENCY] = "latency",     [KEY_SHIFT] = "shift",
    [KEY_FAILURES] = "failures",   [KEY_TTFT] = "ttft",           [KEY_GAP] = "gap",
    [KEY_PER_TOKEN] = "per-token", [KEY_STREAMING] = "streaming", [KEY_HANG] = "hang",
    [KEY_BURSTS] = "bursts",       [KEY_OUTAGE] = "outage",       [KEY_ONSET] = "onset",
};

static int unknown_key(struct error *reterr, struct str key, const char *const *names, size_t count)
{
    const char *best = NULL;
    unsigned best_distance = 3;

    for (size_t i = 0; i < count; i++) {
        unsigned distance = str_distance(key, str_from(names[i]));
        if (distance < best_distance) {
            best = names[i];
            best_distance = distance;
        }
    }
    error_set(reterr, -EINVAL, "unknown key \"%.*s\"", (int)(key.len < 60 ? key.len : 60), key.ptr);
    if (best != NULL)
        error_hint(reterr, "did you mean %s?", best);
    return -EINVAL;
}

/* Share of a key that may stand alone: all of them. */
static bool share_or_all(struct str value, double *ret)
{
    if (value.ptr != NULL)
        return units_parse_share(value, ret);
    *ret = 1;
    return true;
}

/* What ends all requests leaves none for the others. */
static int set_share(struct sim_variant *v, enum outcome_kind kind, struct str key,
                     struct str value, struct error *reterr)
{
    double share;

    if (!units_parse_share(value, &share))
        return bad_value(reterr, key, value, "a share, such as 5%");
    for (int k = 0; share >= 1 && k < OUTCOME_KIND_COUNT; k++)
        v->outcomes[k] = 0;
    v->outcomes[kind] = share;
    return 0;
}

static int set_outcome(struct sim_variant *v, struct str key, struct str value,
                       struct error *reterr)
{
    const char *names[KEY_COUNT + OUTCOME_KIND_COUNT];

    for (int k = OUTCOME_OK + 1; k < OUTCOME_KIND_COUNT; k++)
        if (str_eq(key, str_from(outcome_names[k])))
            return set_share(v, (enum outcome_kind)k, key, value, reterr);
    memcpy(names, keys, sizeof(keys));
    memcpy(names + KEY_COUNT, outcome_names + 1,
           (OUTCOME_KIND_COUNT - 1) * sizeof(outcome_names[0]));
    return unknown_key(reterr, key, names, KEY_COUNT + OUTCOME_KIND_COUNT - 1);
}

int sim_variant_set(struct sim_variant *v, struct str key, struct str value, struct error *reterr)
{
    enum key which = 0;

    while (which < KEY_COUNT && !str_eq(key, str_from(keys[which])))
        which++;
    switch (which) {
    case KEY_ERRORS:
        return set_share(v, OUTCOME_5XX, key, value, reterr);
    case KEY_HANG:
        if (value.ptr == NULL)
            value = STR("100%");
        return set_share(v, OUTCOME_TIMEOUT, key, value, reterr);
    case KEY_STREAMING:
        return share_or_all(value, &v->streams)
                   ? 0
                   : bad_value(reterr, key, value, "a share, such as 50%, or nothing for all");
    case KEY_LATENCY:
        return times(value, &v->latency) ? 0 : bad_value(reterr, key, value, TIMES_FORM);
    case KEY_TTFT:
        return times(value, &v->first_token) ? 0 : bad_value(reterr, key, value, TIMES_FORM);
    case KEY_GAP:
        return times(value, &v->gap) ? 0 : bad_value(reterr, key, value, TIMES_FORM);
    case KEY_PER_TOKEN:
        return times(value, &v->per_token) ? 0 : bad_value(reterr, key, value, TIMES_FORM);
    case KEY_SHIFT:
        return factor(value, &v->shift) ? 0 : bad_value(reterr, key, value, "a factor, as in 1.5x");
    case KEY_FAILURES:
        return failures(value, v)
                   ? 0
                   : bad_value(reterr, key, value, "a duration, as-slow or timeout:DURATION");
    case KEY_BURSTS:
        return bursts(value, &v->bursts) ? 0 : bad_value(reterr, key, value, BURSTS_FORM);
    case KEY_OUTAGE:
        return outage(value, &v->outage) ? 0 : bad_value(reterr, key, value, OUTAGE_FORM);
    case KEY_ONSET:
        return onset(value, v) ? 0
                               : bad_value(reterr, key, value, "a duration or a weight, as in 50%");
    case KEY_COUNT:
        break;
    }
    return set_outcome(v, key, value, reterr);
}

int sim_shared_set(struct sim_shared *s, struct str key, struct str value, struct error *reterr)
{
    static const char *const names[] = {"bursts", "outage", "swing"};

    if (str_eq(key, STR("bursts")))
        return bursts(value, &s->bursts) ? 0 : bad_value(reterr, key, value, BURSTS_FORM);
    if (str_eq(key, STR("outage")))
        return outage(value, &s->outage) ? 0 : bad_value(reterr, key, value, OUTAGE_FORM);
    if (str_eq(key, STR("swing")))
        return swing(value, s) ? 0 : bad_value(reterr, key, value, "SHARE/PERIOD, as in 50%/20m");
    return unknown_key(reterr, key, names, 3);
}

/* Takes the next `key=value` off the text. */
static bool next_pair(struct str *text, struct str *ret_key, struct str *ret_value)
{
    struct str pair;

    do {
        if (!str_split(text, ',', &pair))
            return false;
        pair = str_trim(pair);
    } while (pair.len == 0);
    *ret_value = pair;
    str_split(ret_value, '=', ret_key);
    return true;
}

/* Of two values of one key nobody knows which was meant. */
static int check_once(struct str words, struct error *reterr)
{
    struct str rest = words, key, value, before, other, unused;

    while (next_pair(&rest, &key, &value)) {
        before = (struct str){words.ptr, (size_t)(key.ptr - words.ptr)};
        while (next_pair(&before, &other, &unused))
            if (str_eq(other, key))
                return error_set(reterr, -EINVAL, STR_FMT " is there twice", STR_ARG(key));
    }
    return 0;
}

int sim_variant_parse(struct sim_variant *v, struct str text, struct error *reterr)
{
    struct str key, value;
    int rc = check_once(text, reterr);

    while (rc == 0 && next_pair(&text, &key, &value))
        rc = sim_variant_set(v, key, value, reterr);
    return rc;
}

int sim_shared_parse(struct sim_shared *s, struct str text, struct error *reterr)
{
    struct str key, value;
    int rc = check_once(text, reterr);

    while (rc == 0 && next_pair(&text, &key, &value))
        rc = sim_shared_set(s, key, value, reterr);
    return rc;
}

int sim_rps_parse(struct str text, double *ret, struct error *reterr)
{
    if (number(text, 1e-6, RPS_MAX, ret))
        return 0;
    return bad_value(reterr, STR("rps"), text, "requests per second, such as 100");
}

/* --- files ------------------------------------------------------------------------------------ */

static void report(struct diagnostics *d, struct source_pos at, const struct error *error)
{
    diagnostics_addf(d, at, error->hint[0] == '\0' ? NULL : error->hint, "%s", error->message);
}

static void read_members(struct yaml_node *map, struct sim_variant *v, struct sim_shared *s,
                         struct diagnostics *d)
{
    if (map == NULL || map->bad)
        return;
    if (map->kind != YAML_MAP) {
        diagnostics_addf(d, map->at, NULL, STR_FMT " is a mapping", STR_ARG(map->key));
        return;
    }
    for (const struct yaml_node *n = map->first; n != NULL; n = n->next) {
        struct error error = {.code = 0};
        struct str value = yaml_is_null(n) ? (struct str){NULL, 0} : n->text;
        if (n->bad)
            continue;
        if (n->kind != YAML_TEXT)
            diagnostics_addf(d, n->at, NULL, STR_FMT " is one value", STR_ARG(n->key));
        else if (v != NULL && sim_variant_set(v, n->key, value, &error) != 0)
            report(d, n->key_at, &error);
        else if (s != NULL && sim_shared_set(s, n->key, value, &error) != 0)
            report(d, n->key_at, &error);
    }
}

static void read_root(struct sim_spec *s, struct yaml_node *root, struct diagnostics *d)
{
    static const char *const names[] = {"rps", "stable", "canary", "shared"};
    struct error error = {.code = 0};

    if (root == NULL || root->kind != YAML_MAP) {
        struct source_pos nowhere = {.file = NULL};
        diagnostics_addf(d, root == NULL ? nowhere : root->at, NULL,
                         "a world is a mapping of rps, stable, canary and shared");
        return;
    }
    for (struct yaml_node *n = root->first; n != NULL; n = n->next) {
        bool known = false;
        for (size_t i = 0; i < 4; i++)
            known = known || str_eq(n->key, str_from(names[i]));
        if (!known && unknown_key(&error, n->key, names, 4) != 0)
            report(d, n->key_at, &error);
    }
    struct yaml_node *rps = yaml_get(root, STR("rps"));
    if (rps != NULL && !rps->bad && sim_rps_parse(rps->text, &s->rps, &error) != 0)
        report(d, rps->at, &error);
    read_members(yaml_get(root, STR("stable")), &s->variants[VARIANT_STABLE], NULL, d);
    s->variants[VARIANT_CANARY] = s->variants[VARIANT_STABLE];
    read_members(yaml_get(root, STR("canary")), &s->variants[VARIANT_CANARY], NULL, d);
    read_members(yaml_get(root, STR("shared")), NULL, &s->shared, d);
}

int sim_spec_read(struct sim_spec *s, const char *path, struct str text, struct diagnostics *reterr)
{
    struct arena arena;
    struct yaml_node *root = NULL;

    arena_init(&arena);
    int rc = yaml_parse(path, text, &arena, &root, reterr);
    if (rc == 0 && diagnostics_ok(reterr))
        read_root(s, root, reterr);
    arena_deinit(&arena);
    return rc == 0 && diagnostics_ok(reterr) ? 0 : -EINVAL;
}

/* --- the whole -------------------------------------------------------------------------------- */

int sim_spec_check(const struct sim_spec *s, struct error *reterr)
{
    for (int i = 0; i < VARIANT_COUNT; i++) {
        const struct sim_variant *v = &s->variants[i];
        double sum = 0;
        for (int k = OUTCOME_OK + 1; k < OUTCOME_KIND_COUNT; k++)
            sum += v->outcomes[k];
        if (sum > 1 + 1e-9)
            return error_set(reterr, -EINVAL, "%s: %g%% of all requests end badly: at most 100%%",
                             variant_names[i], 100 * sum);
        bool stream_times = v->first_token.shape != SIM_UNKNOWN || v->gap.shape != SIM_UNKNOWN ||
                            v->per_token.shape != SIM_UNKNOWN;
        if (stream_times && v->streams <= 0) {
            error_set(reterr, -EINVAL, "%s: ttft, gap and per-token are times of streams",
                      variant_names[i]);
            error_hint(reterr, "add streaming, or streaming=50%%");
            return -EINVAL;
        }
    }
    return 0;
}

static void times_text(const struct sim_times *t, struct strbuf *out)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX];

    units_duration_text((int64_t)t->ns, a);
    switch (t->shape) {
    case SIM_UNKNOWN:
        break;
    case SIM_CONSTANT:
        strbuf_addf(out, "%s", a);
        break;
    case SIM_LOGNORMAL:
        strbuf_addf(out, "lognormal:%s:%g", a, t->more);
        break;
    case SIM_EXPONENTIAL:
        strbuf_addf(out, "exponential:%s", a);
        break;
    case SIM_UNIFORM:
        strbuf_addf(out, "uniform:%s:%s", a, units_duration_text((int64_t)t->more, b));
        break;
    }
}

static void times_member(const char *key, const struct sim_times *t, struct strbuf *out)
{
    if (t->shape == SIM_UNKNOWN)
        return;
    strbuf_addf(out, ",%s=", key);
    times_text(t, out);
}

static void trouble_text(const struct sim_variant *v, struct strbuf *out)
{
    char a[UNITS_TEXT_MAX], b[UNITS_TEXT_MAX], c[UNITS_TEXT_MAX];

    if (v->bursts.length_ns > 0)
        strbuf_addf(out, ",bursts=%s/%s:%s", units_duration_text((int64_t)v->bursts.length_ns, a),
                    units_duration_text((int64_t)v->bursts.every_ns, b),
                    units_share_text(v->bursts.share, c));
    if (v->outage.length_ns > 0)
        strbuf_addf(out, ",outage=%s+%s:%s", units_duration_text(v->outage.after_ns, a),
                    units_duration_text(v->outage.length_ns, b),
                    units_share_text(v->outage.share, c));
    if (v->onset_ns > 0)
        strbuf_addf(out, ",onset=%s", units_duration_text(v->onset_ns, a));
    if (v->onset_bp > 0)
        strbuf_addf(out, ",onset=%s", units_share_text(v->onset_bp / (double)WEIGHT_FULL_BP, a));
}

void sim_variant_text(const struct sim_variant *v, struct strbuf *out)
{
    char a[UNITS_TEXT_MAX];

    strbuf_addf(out, "errors=%s", units_share_text(v->outcomes[OUTCOME_5XX], a));
    for (int k = OUTCOME_OK + 1; k < OUTCOME_KIND_COUNT; k++)
        if (k != OUTCOME_5XX && v->outcomes[k] > 0)
            strbuf_addf(out, ",%s=%s", outcome_names[k], units_share_text(v->outcomes[k], a));
    times_member("latency", &v->latency, out);
    if (v->shift < 1 || v->shift > 1)
        strbuf_addf(out, ",shift=%gx", v->shift);
    if (v->failure_ns < 0)
        strbuf_add(out, STR(",failures=as-slow"));
    else
        strbuf_addf(out, ",failures=%s%s", v->failures_time_out ? "timeout:" : "",
                    units_duration_text(v->failure_ns, a));
    if (v->streams > 0)
        strbuf_addf(out, ",streaming=%s", units_share_text(v->streams, a));
    times_member("ttft", &v->first_token, out);
    times_member("gap", &v->gap, out);
    times_member("per-token", &v->per_token, out);
    trouble_text(v, out);
}
