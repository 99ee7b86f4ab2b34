/* Failures on demand. The order of the draws is fixed (reset, hang, error, then what may happen to
 * a body), each from the same generator, so that a seed and a sequence of requests repeat exactly.
 */
#include "examples/model-server/faults.h"

#include <errno.h>
#include <stddef.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

enum { COLD_REQUESTS = 8, COLD_PART = 10, LATENCY_MS_MAX = 600000 };

/* --- settings by name --- */

enum kind { KIND_RATE, KIND_MS, KIND_STATUS, KIND_COUNT };

static const struct setting {
    const char *name;
    enum kind kind;
    size_t offset;
} settings[] = {
    {"error_rate", KIND_RATE, offsetof(struct fault_settings, error_rate)},
    {"error_status", KIND_STATUS, offsetof(struct fault_settings, error_status)},
    {"hang_rate", KIND_RATE, offsetof(struct fault_settings, hang_rate)},
    {"reset_rate", KIND_RATE, offsetof(struct fault_settings, reset_rate)},
    {"truncate_rate", KIND_RATE, offsetof(struct fault_settings, truncate_rate)},
    {"stream_error_rate", KIND_RATE, offsetof(struct fault_settings, stream_error_rate)},
    {"latency_ms", KIND_MS, offsetof(struct fault_settings, latency_ns)},
    {"latency_spread_ms", KIND_MS, offsetof(struct fault_settings, latency_spread_ns)},
    {"token_delay_ms", KIND_MS, offsetof(struct fault_settings, token_delay_ns)},
    {"slow_start_ms", KIND_MS, offsetof(struct fault_settings, slow_start_ns)},
    {"after_requests", KIND_COUNT, offsetof(struct fault_settings, after_requests)},
};

static const struct setting *find_setting(const char *name)
{
    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        if (strcmp(settings[i].name, name) == 0)
            return &settings[i];
    return NULL;
}

static int set_value(struct fault_settings *s, const struct setting *setting, const json_t *value,
                     struct error *reterr)
{
    char *at = (char *)s + setting->offset;
    double number = json_number_value(value);
    const char *wanted = NULL;

    switch (setting->kind) {
    case KIND_RATE:
        if (json_is_number(value) && number >= 0 && number <= 1)
            memcpy(at, &number, sizeof(number));
        else
            wanted = "a number from 0 to 1";
        break;
    case KIND_MS: {
        int64_t ns = (int64_t)(number * (double)NS_PER_MS);

        if (json_is_number(value) && number >= 0 && number <= LATENCY_MS_MAX)
            memcpy(at, &ns, sizeof(ns));
        else
            wanted = "milliseconds from 0 to 600000";
        break;
    }
    case KIND_STATUS: {
        int status = (int)json_integer_value(value);

        if (json_is_integer(value) && status >= 400 && status <= 599)
            memcpy(at, &status, sizeof(status));
        else
            wanted = "a status from 400 to 599";
        break;
    }
    case KIND_COUNT: {
        uint64_t count = (uint64_t)json_integer_value(value);

        if (json_is_integer(value) && json_integer_value(value) >= 0)
            memcpy(at, &count, sizeof(count));
        else
            wanted = "a count";
        break;
    }
    }
    if (wanted != NULL)
        return error_set(reterr, -EINVAL, "\"%s\" must be %s", setting->name, wanted);
    return 0;
}

static json_t *get_value(const struct fault_settings *s, const struct setting *setting)
{
    const char *at = (const char *)s + setting->offset;
    double number;
    int64_t ns;
    int status;
    uint64_t count;

    switch (setting->kind) {
    case KIND_RATE:
        memcpy(&number, at, sizeof(number));
        return json_real(number);
    case KIND_MS:
        memcpy(&ns, at, sizeof(ns));
        return ns % NS_PER_MS == 0 ? json_integer(ns / NS_PER_MS)
                                   : json_real((double)ns / (double)NS_PER_MS);
    case KIND_STATUS:
        memcpy(&status, at, sizeof(status));
        return json_integer(status);
    case KIND_COUNT:
        memcpy(&count, at, sizeof(count));
        return json_integer((json_int_t)count);
    }
    UNREACHABLE();
}

/* --- life --- */

void faults_clear(struct faults *f, int64_t now_ns)
{
    f->settings = (struct fault_settings){.error_status = 503};
    f->ready_ns = now_ns;
    f->begin = 0;
    f->cold_left = 0;
}

void faults_init(struct faults *f, int64_t now_ns)
{
    *f = (struct faults){0};
    rng_seed_system(&f->rng);
    faults_clear(f, now_ns);
}

int faults_apply(struct faults *f, const json_t *document, int64_t now_ns, struct error *reterr)
{
    struct faults next = *f;
    const char *name;
    json_t *value;

    if (!json_is_object(document))
        return error_set(reterr, -EINVAL, "the document must be a JSON object");
    if (json_is_true(json_object_get(document, "reset")))
        faults_clear(&next, now_ns);
    if (json_is_true(json_object_get(document, "reset_counters"))) {
        next.counters = (struct fault_counters){0};
        next.begin = 0;
    }
    json_object_foreach((json_t *)(uintptr_t)document, name, value)
    {
        const struct setting *setting = find_setting(name);

        if (strcmp(name, "reset") == 0 || strcmp(name, "reset_counters") == 0)
            continue;
        if (strcmp(name, "seed") == 0 && json_is_integer(value)) {
            rng_seed(&next.rng, (uint64_t)json_integer_value(value));
            continue;
        }
        if (setting == NULL)
            return error_set(reterr, -EINVAL, "unknown setting \"%s\"", name);
        int code = set_value(&next.settings, setting, value, reterr);
        if (code != 0)
            return code;
    }
    if (json_object_get(document, "after_requests") != NULL)
        next.begin = next.counters.requests + next.settings.after_requests;
    if (json_object_get(document, "slow_start_ms") != NULL) {
        next.ready_ns = now_ns + next.settings.slow_start_ns;
        next.cold_left = next.settings.slow_start_ns > 0 ? COLD_REQUESTS : 0;
    }
    *f = next;
    return 0;
}

json_t *faults_report(const struct faults *f, int64_t now_ns)
{
    const struct fault_counters *c = &f->counters;
    json_t *report = json_object(), *now = json_object();

    for (size_t i = 0; i < ARRAY_LEN(settings); i++)
        json_object_set_new(now, settings[i].name, get_value(&f->settings, &settings[i]));
    json_object_set_new(report, "settings", now);
    json_object_set_new(report, "loading", json_boolean(faults_loading(f, now_ns)));
    json_object_set_new(
        report, "counters",
        json_pack("{sI sI sI sI sI sI sI sI sI sI sI}", "requests", (json_int_t)c->requests,
                  "answered", (json_int_t)c->answered, "errors", (json_int_t)c->errors, "loading",
                  (json_int_t)c->loading, "hangs", (json_int_t)c->hangs, "resets",
                  (json_int_t)c->resets, "truncations", (json_int_t)c->truncations, "stream_errors",
                  (json_int_t)c->stream_errors, "bad_requests", (json_int_t)c->bad_requests,
                  "client_gone", (json_int_t)c->client_gone, "streams", (json_int_t)c->streams));
    return report;
}

/* --- one request --- */

bool faults_loading(const struct faults *f, int64_t now_ns)
{
    return now_ns < f->ready_ns;
}

static bool hit(struct faults *f, double rate)
{
    return rate > 0 && rng_unit(&f->rng) < rate;
}

static int64_t draw_delay(struct faults *f)
{
    const struct fault_settings *s = &f->settings;
    int64_t delay_ns = s->latency_ns;

    if (s->latency_spread_ns > 0)
        delay_ns += (int64_t)((2 * rng_unit(&f->rng) - 1) * (double)s->latency_spread_ns);
    if (f->cold_left > 0) {
        f->cold_left--;
        delay_ns += s->slow_start_ns / COLD_PART;
    }
    return delay_ns > 0 ? delay_ns : 0;
}

struct fault faults_draw(struct faults *f, int64_t now_ns)
{
    const struct fault_settings *s = &f->settings;
    struct fault fault = {.kind = FAULT_NONE, .token_delay_ns = s->token_delay_ns};
    bool begun = f->counters.requests++ >= f->begin;

    if (faults_loading(f, now_ns)) {
        fault.kind = FAULT_LOADING;
        return fault;
    }
    if (!begun)
        return fault;
    fault.delay_ns = draw_delay(f);
    if (hit(f, s->reset_rate)) {
        fault.kind = FAULT_RESET;
    } else if (hit(f, s->hang_rate)) {
        fault.kind = FAULT_HANG;
    } else if (hit(f, s->error_rate)) {
        fault.kind = FAULT_ERROR;
        fault.status = s->error_status;
    } else {
        fault.truncate = hit(f, s->truncate_rate);
        fault.stream_error = !fault.truncate && hit(f, s->stream_error_rate);
        fault.cut = fault.truncate || fault.stream_error ? rng_unit(&f->rng) : 0;
    }
    return fault;
}
