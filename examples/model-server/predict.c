/* POST /predict: {"text": "..."} or {"instances": ["...", ...]} in, the topic of each with its
 * score out, in the same order: {"model", "version", "predictions": [{"label", "score"}]}.
 */
#include <stdlib.h>

#include <jansson.h>

#include "examples/model-server/job.h"

enum { INSTANCES_MAX = 256, ANSWER_BYTES_MAX = 64 * 1024 };

static void add_error(struct strbuf *out, int status, struct str message, const char *param)
{
    (void)param;
    strbuf_addf(out, "{\"status\":%d,\"error\":", status);
    strbuf_add_json(out, message);
    strbuf_add_char(out, '}');
}

static bool add_prediction(struct strbuf *out, const struct service *s, const json_t *text)
{
    if (!json_is_string(text))
        return false;
    struct classifier_answer a = classifier_judge(
        s->classifier, (struct str){json_string_value(text), json_string_length(text)});
    strbuf_addf(out, "{\"label\":\"%s\",\"score\":%.6f}", corpus_topic_names[a.label],
                a.score[a.label]);
    return true;
}

/* Returns how many were judged; 0 when the document is not as it should be. */
static size_t add_predictions(struct strbuf *out, const struct service *s, const json_t *document)
{
    const json_t *text = json_object_get(document, "text");
    const json_t *instances = json_object_get(document, "instances");
    size_t i;
    json_t *one;

    if (text != NULL)
        return add_prediction(out, s, text) ? 1 : 0;
    if (!json_is_array(instances) || json_array_size(instances) > INSTANCES_MAX)
        return 0;
    json_array_foreach(instances, i, one)
    {
        if (i > 0)
            strbuf_add_char(out, ',');
        if (!add_prediction(out, s, json_is_object(one) ? json_object_get(one, "text") : one))
            return 0;
    }
    return json_array_size(instances);
}

static void run_predict(struct job *j)
{
    struct service *s = j->service;
    struct str body = serve_body(j->request);
    json_t *document = json_loadb(body.ptr, body.len, 0, NULL);
    struct strbuf out;

    strbuf_init(&out, ANSWER_BYTES_MAX);
    strbuf_add(&out, STR("{\"model\":"));
    strbuf_add_json(&out, str_from(s->model));
    strbuf_add(&out, STR(",\"version\":"));
    strbuf_add_json(&out, str_from(s->version));
    strbuf_add(&out, STR(",\"predictions\":["));
    size_t count = add_predictions(&out, s, document);
    strbuf_add(&out, STR("]}"));
    if (count == 0) {
        job_fail(j, 400,
                 document == NULL ? STR("the body is not JSON")
                                  : STR("\"text\" must be a string, or \"instances\" a list of 1 "
                                        "to 256 strings"),
                 NULL);
    } else {
        s->metrics.predictions += count;
        metrics_observe(&s->metrics, METRICS_PREDICT, job_elapsed_ns(j));
        job_reply(j, strbuf_str(&out));
    }
    strbuf_deinit(&out);
    json_decref(document);
}

const struct job_route predict_route = {run_predict, add_error};
