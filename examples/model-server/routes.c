/* Which page answers what. Only the inference pages go through jobs, and so only they meet faults.
 */
#include <stdlib.h>

#include <jansson.h>

#include "base/check.h"
#include "examples/model-server/job.h"

enum { METRICS_BYTES_MAX = 64 * 1024 };

void service_add_headers(const struct service *s, struct serve_request *request)
{
    struct str id = serve_header(request, STR("x-request-id"));

    serve_add_header(request, STR("x-model-version"), str_from(s->version));
    if (id.ptr != NULL)
        serve_add_header(request, STR("x-request-id"), id);
}

void service_reply_json(const struct service *s, struct serve_request *request, int status,
                        json_t *stolen)
{
    CHECK(stolen != NULL);
    char *text = json_dumps(stolen, JSON_COMPACT | JSON_REAL_PRECISION(12));

    service_add_headers(s, request);
    serve_reply(request, status, STR("application/json"), str_from(text));
    free(text);
    json_decref(stolen);
}

bool service_has_model(const struct service *s, struct str model)
{
    return !s->strict_model || model.ptr == NULL || str_eq(model, str_from(s->model));
}

static void reply_health(struct service *s, struct serve_request *request)
{
    bool loading = faults_loading(&s->faults, (int64_t)uv_hrtime());

    service_reply_json(
        s, request, loading ? 503 : 200,
        json_pack("{ss ss}", "status", loading ? "loading" : "ok", "version", s->version));
}

static void reply_metrics(struct service *s, struct serve_request *request)
{
    struct strbuf out;

    strbuf_init(&out, METRICS_BYTES_MAX);
    metrics_print(&s->metrics, &s->faults.counters, s->model, s->version, &out);
    service_add_headers(s, request);
    serve_reply(request, 200, STR("text/plain; version=0.0.4; charset=utf-8"), strbuf_str(&out));
    strbuf_deinit(&out);
}

static bool handle_post(struct service *s, struct serve_request *request, struct str path)
{
    struct str model = STR("");

    if (str_eq(path, STR("/predict")))
        job_start(s, request, &predict_route, model);
    else if (str_eq(path, STR("/v1/chat/completions")))
        job_start(s, request, &openai_chat_route, model);
    else if (kserve_is_infer(path, &model))
        job_start(s, request, &kserve_infer_route, model);
    else
        return false;
    return true;
}

static bool handle_get(struct service *s, struct serve_request *request, struct str path)
{
    if (str_eq(path, STR("/health")))
        reply_health(s, request);
    else if (str_eq(path, STR("/metrics")))
        reply_metrics(s, request);
    else if (str_eq(path, STR("/v1/models")))
        openai_models(s, request);
    else
        return kserve_handle(s, request, path);
    return true;
}

static bool is_inference(struct str path)
{
    struct str model;

    return str_eq(path, STR("/predict")) || str_eq(path, STR("/v1/chat/completions")) ||
           kserve_is_infer(path, &model);
}

void routes_handle(struct serve_request *request, void *arg)
{
    struct service *s = arg;
    struct str method = serve_method(request), path = serve_path(request);

    if (str_eq(path, STR("/control"))) {
        control_handle(s, request);
        return;
    }
    if (str_eq(method, STR("POST")) && handle_post(s, request, path))
        return;
    if ((str_eq(method, STR("GET")) || str_eq(method, STR("HEAD"))) && handle_get(s, request, path))
        return;
    if (is_inference(path)) {
        serve_add_header(request, STR("allow"), STR("POST"));
        service_reply_json(s, request, 405, json_pack("{ss}", "error", "use POST"));
    } else {
        service_reply_json(s, request, 404, json_pack("{ss}", "error", "there is no such page"));
    }
}
