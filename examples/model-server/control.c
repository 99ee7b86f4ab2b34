/* GET, PUT, POST and DELETE /control: the present faults and counters, and changing them. */
#include <jansson.h>
#include <uv.h>

#include "examples/model-server/service.h"

static json_t *report(const struct service *s, int64_t now_ns)
{
    json_t *all = faults_report(&s->faults, now_ns);

    json_object_set_new(all, "model", json_string(s->model));
    json_object_set_new(all, "version", json_string(s->version));
    json_object_set_new(all, "running", json_integer((json_int_t)s->metrics.running));
    json_object_set_new(all, "waiting", json_integer((json_int_t)s->metrics.waiting));
    return all;
}

void control_handle(struct service *s, struct serve_request *request)
{
    struct str method = serve_method(request), body = serve_body(request);
    int64_t now_ns = (int64_t)uv_hrtime();
    struct error error = {0};

    if (str_eq(method, STR("PUT")) || str_eq(method, STR("POST"))) {
        json_t *document = json_loadb(body.ptr, body.len, 0, NULL);
        int code = document == NULL ? error_set(&error, -1, "the body is not JSON")
                                    : faults_apply(&s->faults, document, now_ns, &error);

        json_decref(document);
        if (code != 0) {
            service_reply_json(s, request, 400, json_pack("{ss}", "error", error.message));
            return;
        }
    } else if (str_eq(method, STR("DELETE"))) {
        faults_clear(&s->faults, now_ns);
    } else if (!str_eq(method, STR("GET")) && !str_eq(method, STR("HEAD"))) {
        serve_add_header(request, STR("allow"), STR("GET, PUT, POST, DELETE"));
        service_reply_json(s, request, 405, json_pack("{ss}", "error", "method not allowed"));
        return;
    }
    service_reply_json(s, request, 200, report(s, now_ns));
}
