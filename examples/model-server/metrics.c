/* The metrics page. */
#include "examples/model-server/metrics.h"

#include <stddef.h>

#include "base/check.h"
#include "base/clock.h"

static const double bounds_s[METRICS_BUCKETS] = {0.0001, 0.0003, 0.001, 0.002, 0.005, 0.01,
                                                 0.02,   0.04,   0.08,  0.1,   0.25,  0.5,
                                                 1,      2.5,    5,     10,    30,    60};

static const char *const histogram_names[METRICS_HISTOGRAM_COUNT][2] = {
    [METRICS_TTFT] = {"vllm:time_to_first_token_seconds", "Time to the first token of an answer."},
    [METRICS_E2E] = {"vllm:e2e_request_latency_seconds", "Time to the whole of a chat answer."},
    [METRICS_PREDICT] = {"model_server_predict_seconds", "Time to the answer of a prediction."},
};

static const char *const finish_names[METRICS_FINISH_COUNT] = {
    [METRICS_STOP] = "stop", [METRICS_LENGTH] = "length", [METRICS_ABORT] = "abort"};

void metrics_observe(struct metrics *m, enum metrics_histogram which, int64_t ns)
{
    double s = (double)ns / (double)NS_PER_SEC;
    size_t i = 0;

    while (i < METRICS_BUCKETS && s > bounds_s[i])
        i++;
    m->histograms[which].buckets[i]++;
    m->histograms[which].count++;
    m->histograms[which].sum_s += s;
}

struct page {
    struct strbuf *out;
    const char *labels; /* model_name="..." */
};

static void head(struct page *p, const char *name, const char *type, const char *help)
{
    strbuf_addf(p->out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void one(struct page *p, const char *name, const char *type, const char *help,
                uint64_t value)
{
    head(p, name, type, help);
    strbuf_addf(p->out, "%s{%s} %llu\n", name, p->labels, (unsigned long long)value);
}

static void labelled(struct page *p, const char *name, const char *label, const char *value,
                     uint64_t count)
{
    strbuf_addf(p->out, "%s{%s,%s=\"%s\"} %llu\n", name, p->labels, label, value,
                (unsigned long long)count);
}

static void histogram(struct page *p, const struct metrics *m, enum metrics_histogram which)
{
    const char *name = histogram_names[which][0];
    uint64_t sum = 0;

    head(p, name, "histogram", histogram_names[which][1]);
    for (size_t i = 0; i < METRICS_BUCKETS; i++) {
        sum += m->histograms[which].buckets[i];
        strbuf_addf(p->out, "%s_bucket{%s,le=\"%g\"} %llu\n", name, p->labels, bounds_s[i],
                    (unsigned long long)sum);
    }
    strbuf_addf(p->out, "%s_bucket{%s,le=\"+Inf\"} %llu\n%s_sum{%s} %.6f\n%s_count{%s} %llu\n",
                name, p->labels, (unsigned long long)m->histograms[which].count, name, p->labels,
                m->histograms[which].sum_s, name, p->labels,
                (unsigned long long)m->histograms[which].count);
}

static void print_faults(struct page *p, const struct fault_counters *c)
{
    const char *name = "model_server_faults_total";

    one(p, "model_server_requests_total", "counter", "Inference requests seen.", c->requests);
    one(p, "model_server_answered_total", "counter", "Answered as asked.", c->answered);
    one(p, "model_server_client_gone_total", "counter", "Clients that did not wait.",
        c->client_gone);
    head(p, name, "counter", "Faults that /control asked for.");
    labelled(p, name, "kind", "error", c->errors);
    labelled(p, name, "kind", "loading", c->loading);
    labelled(p, name, "kind", "hang", c->hangs);
    labelled(p, name, "kind", "reset", c->resets);
    labelled(p, name, "kind", "truncation", c->truncations);
    labelled(p, name, "kind", "stream_error", c->stream_errors);
}

void metrics_print(const struct metrics *m, const struct fault_counters *c, const char *model,
                   const char *version, struct strbuf *out)
{
    static const char *const classes[] = {"none", "1xx", "2xx", "3xx", "4xx", "5xx"};
    struct strbuf labels;

    strbuf_init(&labels, 1024);
    strbuf_add(&labels, STR("engine=\"0\",model_name="));
    strbuf_add_json(&labels, str_from(model));
    struct page p = {out, strbuf_cstr(&labels)};
    one(&p, "vllm:num_requests_running", "gauge", "Requests being answered.", m->running);
    one(&p, "vllm:num_requests_waiting", "gauge", "Requests waiting to be answered.", m->waiting);
    one(&p, "vllm:prompt_tokens_total", "counter", "Tokens of prompts.", m->prompt_tokens);
    one(&p, "vllm:generation_tokens_total", "counter", "Tokens generated.", m->generation_tokens);
    head(&p, "vllm:request_success_total", "counter", "Chat answers by how they ended.");
    for (int i = 0; i < METRICS_FINISH_COUNT; i++)
        labelled(&p, "vllm:request_success_total", "finished_reason", finish_names[i],
                 m->finished[i]);
    for (int i = 0; i < METRICS_HISTOGRAM_COUNT; i++)
        histogram(&p, m, (enum metrics_histogram)i);
    one(&p, "model_server_predictions_total", "counter", "Texts classified.", m->predictions);
    head(&p, "model_server_answers_total", "counter", "Inference answers by status class.");
    for (size_t i = 0; i < ARRAY_LEN(classes); i++)
        labelled(&p, "model_server_answers_total", "status", classes[i], m->statuses[i]);
    print_faults(&p, c);
    head(&p, "model_server_info", "gauge", "Always 1; carries the version.");
    labelled(&p, "model_server_info", "version", version, 1);
    strbuf_deinit(&labels);
}
