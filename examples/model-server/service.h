/* examples/model-server/service.h — what the parts of the server share: models, faults, counters.
 */
#ifndef MODEL_SERVER_SERVICE_H
#define MODEL_SERVER_SERVICE_H

#include <uv.h>

#include <stdbool.h>

#include "base/rng.h"
#include "examples/model-server/classifier.h"
#include "examples/model-server/faults.h"
#include "examples/model-server/metrics.h"
#include "examples/model-server/ngram.h"
#include "net/serve.h"

struct service {
    uv_loop_t *loop;
    struct serve *serve;
    const char *model, *version;
    bool strict_model; /* a request that names another model gets 404 */
    struct ngram *ngram;
    struct classifier *classifier;
    struct faults faults;
    struct metrics metrics;
    struct rng rng; /* ids, and seeds of requests that bring none */
    int64_t started_wall_s;
};

/* Answers every request: routes.c. `arg` is the service. */
void routes_handle(struct serve_request *, void *arg);

/* Adds x-model-version and, when the client sent one, its x-request-id. */
void service_add_headers(const struct service *, struct serve_request *);
void service_reply_json(const struct service *, struct serve_request *, int status, json_t *stolen);
/* True when `model` (ptr NULL: none was named) is served here. */
bool service_has_model(const struct service *, struct str model);

/* Control plane, answered at once: control.c, openai.c, kserve.c. */
void control_handle(struct service *, struct serve_request *);
void openai_models(struct service *, struct serve_request *);
/* Everything under /v2 but infer. False when there is no such page. */
bool kserve_handle(struct service *, struct serve_request *, struct str path);
/* The model's name in /v2/models/NAME/infer or /v2/models/NAME/versions/V/infer. */
bool kserve_is_infer(struct str path, struct str *ret_model);

#endif
