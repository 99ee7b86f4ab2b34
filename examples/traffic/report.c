/* Reports. The JSON document's names are stable: tests and figures read them. */
#include "examples/traffic/report.h"

#include <jansson.h>
#include <string.h>

#include "base/check.h"
#include "base/clock.h"

static const char *const class_names[STATS_CLASSES] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};

static double ms(int64_t ns)
{
    return (double)ns / (double)NS_PER_MS;
}

static double seconds_of(int64_t ns)
{
    return (double)ns / (double)NS_PER_SEC;
}

static uint64_t version_total(const struct stats_version *v)
{
    uint64_t sum = 0;

    for (size_t i = 0; i < STATS_CLASSES; i++)
        sum += v->classes[i];
    return sum;
}

static uint64_t failed_total(const struct stats *s)
{
    uint64_t sum = 0;

    for (size_t i = 500; i < 600; i++)
        sum += s->statuses[i];
    return sum;
}

void report_progress(const struct stats *s, struct report_line *last, int64_t now_ns, FILE *to)
{
    struct report_line now = {s->answered,         s->lost, failed_total(s), s->cut,
                              s->connect_failures, {0},     now_ns};
    double span_s = seconds_of(now_ns - (last->at_ns != 0 ? last->at_ns : s->begin_ns));

    fprintf(to, "%7.1fs %8.0f/s  p50 %.2f ms  p99 %.2f ms (so far)  5xx %llu  cut %llu  lost %llu",
            seconds_of(now_ns - s->begin_ns),
            span_s > 0 ? (double)(now.answered - last->answered) / span_s : 0,
            ms(stats_quantile(&s->latency, 0.5)), ms(stats_quantile(&s->latency, 0.99)),
            (unsigned long long)(now.failed - last->failed),
            (unsigned long long)(now.cut - last->cut), (unsigned long long)(now.lost - last->lost));
    if (now.connect_failures > last->connect_failures)
        fprintf(to, "  no connection %llu",
                (unsigned long long)(now.connect_failures - last->connect_failures));
    for (size_t i = 0; i < s->version_count; i++) {
        now.versions[i] = version_total(&s->versions[i]);
        fprintf(to, "  %s %llu", s->versions[i].name,
                (unsigned long long)(now.versions[i] - last->versions[i]));
    }
    fputc('\n', to);
    fflush(to);
    *last = now;
}

static void print_latency(const char *name, const struct stats_histogram *h, FILE *to)
{
    if (h->count == 0)
        return;
    fprintf(to, "  %-22s p50 %.2f  p90 %.2f  p99 %.2f  max %.2f ms  (%llu)\n", name,
            ms(stats_quantile(h, 0.5)), ms(stats_quantile(h, 0.9)), ms(stats_quantile(h, 0.99)),
            ms(h->max_ns), (unsigned long long)h->count);
}

void report_summary(const struct stats *s, const struct mix *m, int64_t now_ns, FILE *to)
{
    double span_s = seconds_of(now_ns - s->begin_ns);

    fprintf(to,
            "sent %llu, answered %llu, cut %llu, lost %llu (%llu timed out, %llu on a reused "
            "connection), %.0f/s over %.1f s\n",
            (unsigned long long)s->sent, (unsigned long long)s->answered,
            (unsigned long long)s->cut, (unsigned long long)s->lost,
            (unsigned long long)s->timed_out, (unsigned long long)s->lost_reused,
            span_s > 0 ? (double)s->answered / span_s : 0, span_s);
    fprintf(to,
            "connections refused or failed %llu; answers with another request's id %llu, repeated "
            "%llu, without id %llu; unasked bytes on %llu connections\n",
            (unsigned long long)s->connect_failures, (unsigned long long)s->mismatched,
            (unsigned long long)s->duplicated, (unsigned long long)s->without_id,
            (unsigned long long)s->surplus);
    fprintf(to, "streams: %llu complete, %llu cut, %llu with an error event\nstatus:",
            (unsigned long long)s->streams_done, (unsigned long long)s->streams_cut,
            (unsigned long long)s->streams_error);
    for (size_t i = 0; i < ARRAY_LEN(s->statuses); i++)
        if (s->statuses[i] > 0)
            fprintf(to, "  %zu: %llu", i, (unsigned long long)s->statuses[i]);
    fputs("\nlatency:\n", to);
    print_latency("all", &s->latency, to);
    for (size_t i = 0; i < m->count; i++)
        if (m->count > 1)
            print_latency(m->kinds[i].name, &s->by_kind[i], to);
    for (size_t i = 0; i < s->version_count; i++) {
        char name[STATS_VERSION_BYTES + 16];

        snprintf(name, sizeof(name), "version %s", s->versions[i].name);
        print_latency(name, &s->versions[i].latency, to);
    }
    print_latency("time to first token", &s->first_token, to);
    fflush(to);
}

/* --- JSON --- */

static json_t *latency_json(const struct stats_histogram *h)
{
    double mean_ns = h->count > 0 ? h->sum_ns / (double)h->count : 0;

    return json_pack("{sI sf sf sf sf sf sf}", "count", (json_int_t)h->count, "mean",
                     mean_ns / (double)NS_PER_MS, "p50", ms(stats_quantile(h, 0.5)), "p90",
                     ms(stats_quantile(h, 0.9)), "p99", ms(stats_quantile(h, 0.99)), "p999",
                     ms(stats_quantile(h, 0.999)), "max", ms(h->max_ns));
}

static void set_count(json_t *to, const char *name, uint64_t value)
{
    json_object_set_new(to, name, json_integer((json_int_t)value));
}

static json_t *versions_json(const struct stats *s)
{
    json_t *all = json_object();

    for (size_t i = 0; i < s->version_count; i++) {
        const struct stats_version *v = &s->versions[i];
        json_t *one = json_object();

        set_count(one, "answers", version_total(v));
        set_count(one, "cut", v->cut);
        for (size_t c = 1; c < STATS_CLASSES; c++)
            if (v->classes[c] > 0)
                set_count(one, class_names[c], v->classes[c]);
        json_object_set_new(one, "latency_ms", latency_json(&v->latency));
        json_object_set_new(all, v->name, one);
    }
    return all;
}

static json_t *series_json(const struct stats *s)
{
    json_t *all = json_array();

    for (size_t i = 0; i < s->second_count; i++) {
        const struct stats_second *second = &s->seconds[i];
        json_t *row = json_object(), *versions = json_object();

        set_count(row, "second", i);
        set_count(row, "lost", second->classes[0]);
        for (size_t c = 2; c < STATS_CLASSES; c++)
            set_count(row, class_names[c], second->classes[c]);
        set_count(row, "connect_failures", second->connect_failures);
        json_object_set_new(row, "max_ms", json_real(ms(second->max_ns)));
        for (size_t v = 0; v < s->version_count; v++)
            if (second->versions[v] > 0)
                set_count(versions, s->versions[v].name, second->versions[v]);
        json_object_set_new(row, "versions", versions);
        json_array_append_new(all, row);
    }
    return all;
}

static json_t *counters_json(const struct stats *s)
{
    json_t *d = json_object(), *statuses = json_object();

    set_count(d, "sent", s->sent);
    set_count(d, "answered", s->answered);
    set_count(d, "cut", s->cut);
    set_count(d, "lost", s->lost);
    set_count(d, "lost_reused", s->lost_reused);
    set_count(d, "timed_out", s->timed_out);
    set_count(d, "connect_failures", s->connect_failures);
    set_count(d, "unsent", s->unsent);
    set_count(d, "mismatched", s->mismatched);
    set_count(d, "duplicated", s->duplicated);
    set_count(d, "without_id", s->without_id);
    set_count(d, "surplus", s->surplus);
    for (size_t i = 0; i < ARRAY_LEN(s->statuses); i++) {
        char name[8];

        snprintf(name, sizeof(name), "%zu", i);
        if (s->statuses[i] > 0)
            set_count(statuses, name, s->statuses[i]);
    }
    json_object_set_new(d, "statuses", statuses);
    return d;
}

void report_json(const struct stats *s, const struct mix *m, const char *url, int64_t now_ns,
                 FILE *to)
{
    json_t *d = counters_json(s), *kinds = json_object();
    double span_s = seconds_of(now_ns - s->begin_ns);

    json_object_set_new(d, "url", json_string(url));
    json_object_set_new(d, "begin_ms", json_integer(s->begin_wall_ns / NS_PER_MS));
    json_object_set_new(d, "seconds", json_real(span_s));
    json_object_set_new(d, "rate", json_real(span_s > 0 ? (double)s->answered / span_s : 0));
    json_object_set_new(d, "versions", versions_json(s));
    json_object_set_new(d, "streams",
                        json_pack("{sI sI sI}", "complete", (json_int_t)s->streams_done,
                                  "truncated", (json_int_t)s->streams_cut, "errors",
                                  (json_int_t)s->streams_error));
    json_object_set_new(d, "bytes",
                        json_pack("{sI sI}", "sent", (json_int_t)s->bytes_sent, "received",
                                  (json_int_t)s->bytes_received));
    json_object_set_new(d, "latency_ms", latency_json(&s->latency));
    json_object_set_new(d, "first_token_ms", latency_json(&s->first_token));
    for (size_t i = 0; i < m->count; i++)
        json_object_set_new(kinds, m->kinds[i].name, latency_json(&s->by_kind[i]));
    json_object_set_new(d, "kinds", kinds);
    json_object_set_new(d, "series", series_json(s));
    json_dumpf(d, to, JSON_INDENT(1) | JSON_REAL_PRECISION(9));
    fputc('\n', to);
    fflush(to);
    json_decref(d);
}
