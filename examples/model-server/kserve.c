/* The KServe v2 (Open Inference) protocol in front of the classifier: health, metadata, and infer
 * with one BYTES input of texts and two outputs, label (BYTES) and score (FP32).
 */
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "examples/model-server/job.h"

enum { TEXTS_MAX = 256 };

static const struct str models_prefix = {"/v2/models/", sizeof("/v2/models/") - 1};

/* --- paths --- */

/* /v2/models/NAME[/versions/V][REST] → NAME and REST ("" or "/..."). */
static bool split_model(struct str path, struct str *ret_name, struct str *ret_rest)
{
    if (!str_starts_with(path, models_prefix))
        return false;
    struct str tail = {path.ptr + models_prefix.len, path.len - models_prefix.len};
    const char *slash = memchr(tail.ptr, '/', tail.len);
    size_t len = slash != NULL ? (size_t)(slash - tail.ptr) : tail.len;
    struct str rest = {tail.ptr + len, tail.len - len}, versions = STR("/versions/");

    if (len == 0)
        return false;
    if (str_starts_with(rest, versions)) {
        const char *begin = rest.ptr + versions.len, *end = rest.ptr + rest.len;
        const char *next = memchr(begin, '/', (size_t)(end - begin));

        rest.ptr = next != NULL ? next : end;
        rest.len = (size_t)(end - rest.ptr);
    }
    *ret_name = (struct str){tail.ptr, len};
    *ret_rest = rest;
    return true;
}

bool kserve_is_infer(struct str path, struct str *ret_model)
{
    struct str rest;

    return split_model(path, ret_model, &rest) && str_eq(rest, STR("/infer"));
}

/* --- infer --- */

static void add_error(struct strbuf *out, int status, struct str message, const char *param)
{
    (void)status;
    (void)param;
    strbuf_add(out, STR("{\"error\":"));
    strbuf_add_json(out, message);
    strbuf_add_char(out, '}');
}

/* The texts of the first BYTES input; NULL when there are none. */
static const json_t *find_texts(const json_t *document)
{
    const json_t *inputs = json_object_get(document, "inputs"), *data;
    size_t i;
    json_t *input, *text;

    json_array_foreach(inputs, i, input)
    {
        const char *type = json_string_value(json_object_get(input, "datatype"));

        if (type == NULL || strcmp(type, "BYTES") != 0)
            continue;
        data = json_object_get(input, "data");
        if (!json_is_array(data) || json_array_size(data) == 0 || json_array_size(data) > TEXTS_MAX)
            return NULL;
        json_array_foreach(data, i, text) if (!json_is_string(text)) return NULL;
        return data;
    }
    return NULL;
}

static json_t *judge(struct job *j, const json_t *document, const json_t *texts)
{
    json_t *labels = json_array(), *scores = json_array(), *text;
    json_int_t count = (json_int_t)json_array_size(texts);
    json_t *id = json_object_get(document, "id");
    size_t i;

    json_array_foreach(texts, i, text)
    {
        struct classifier_answer a =
            classifier_judge(j->service->classifier,
                             (struct str){json_string_value(text), json_string_length(text)});

        json_array_append_new(labels, json_string(corpus_topic_names[a.label]));
        json_array_append_new(scores, json_real(a.score[a.label]));
    }
    json_t *answer =
        json_pack("{ss% ss s[{ss s[I] ss so} {ss s[I] ss so}]}", "model_name", j->model.ptr,
                  j->model.len, "model_version", j->service->version, "outputs", "name", "label",
                  "shape", count, "datatype", "BYTES", "data", labels, "name", "score", "shape",
                  count, "datatype", "FP32", "data", scores);
    if (json_is_string(id))
        json_object_set(answer, "id", id);
    j->service->metrics.predictions += (uint64_t)count;
    return answer;
}

static void run_infer(struct job *j)
{
    struct str body = serve_body(j->request);
    json_t *document = json_loadb(body.ptr, body.len, 0, NULL);
    const json_t *texts = find_texts(document);

    if (!service_has_model(j->service, j->model)) {
        job_fail(j, 404, STR("the model does not exist"), NULL);
    } else if (texts == NULL) {
        job_fail(j, 400,
                 document == NULL
                     ? STR("the body is not JSON")
                     : STR("\"inputs\" needs an input of datatype BYTES with 1 to 256 strings"),
                 NULL);
    } else {
        json_t *answer = judge(j, document, texts);
        char *text = json_dumps(answer, JSON_COMPACT | JSON_REAL_PRECISION(7));

        metrics_observe(&j->service->metrics, METRICS_PREDICT, job_elapsed_ns(j));
        job_reply(j, str_from(text));
        free(text);
        json_decref(answer);
    }
    json_decref(document);
}

const struct job_route kserve_infer_route = {run_infer, add_error};

/* --- health and metadata --- */

static json_t *describe_model(const struct service *s, struct str name)
{
    return json_pack("{ss% s[s] ss s[{ss ss s[i]}] s[{ss ss s[i]} {ss ss s[i]}]}", "name", name.ptr,
                     name.len, "versions", s->version, "platform", "naive-bayes", "inputs", "name",
                     "text", "datatype", "BYTES", "shape", -1, "outputs", "name", "label",
                     "datatype", "BYTES", "shape", -1, "name", "score", "datatype", "FP32", "shape",
                     -1);
}

bool kserve_handle(struct service *s, struct serve_request *request, struct str path)
{
    bool loading = faults_loading(&s->faults, (int64_t)uv_hrtime());
    struct str name, rest;

    if (str_eq(path, STR("/v2"))) {
        service_reply_json(
            s, request, 200,
            json_pack("{ss ss s[]}", "name", "model-server", "version", s->version, "extensions"));
    } else if (str_eq(path, STR("/v2/health/live"))) {
        service_reply_json(s, request, 200, json_pack("{sb}", "live", 1));
    } else if (str_eq(path, STR("/v2/health/ready"))) {
        service_reply_json(s, request, loading ? 503 : 200, json_pack("{sb}", "ready", !loading));
    } else if (split_model(path, &name, &rest) && !service_has_model(s, name)) {
        service_reply_json(s, request, 404, json_pack("{ss}", "error", "the model does not exist"));
    } else if (split_model(path, &name, &rest) && rest.len == 0) {
        service_reply_json(s, request, 200, describe_model(s, name));
    } else if (split_model(path, &name, &rest) && str_eq(rest, STR("/ready"))) {
        service_reply_json(s, request, loading ? 503 : 200,
                           json_pack("{ss% sb}", "name", name.ptr, name.len, "ready", !loading));
    } else {
        return false;
    }
    return true;
}
