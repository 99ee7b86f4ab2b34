/* examples/model-server/job.h — one inference request, from its fate being drawn to its end.
 *
 * A job waits out its delay, then its route's `run` answers it through the functions here, which
 * apply the body faults and count. Every path ends in exactly one job_reply, job_fail, or
 * job_stream_*'s last step; after it the job is gone.
 */
#ifndef MODEL_SERVER_JOB_H
#define MODEL_SERVER_JOB_H

#include "examples/model-server/service.h"

struct job;

/* How a kind of endpoint answers. */
struct job_route {
    void (*run)(struct job *);
    /* Writes the error document of this protocol. */
    void (*error)(struct strbuf *out, int status, struct str message, const char *param);
};

/* A prepared stream. */
struct job_events {
    struct strbuf bytes;
    uint32_t *ends;                      /* heap: offsets into `bytes` */
    uint32_t count;                      /* the last is the protocol's end mark */
    uint32_t content_begin, content_end; /* those that carry tokens */
};

struct job {
    struct service *service;
    struct serve_request *request;
    const struct job_route *route;
    struct fault fault;
    int64_t started_ns;
    uv_timer_t timer;
    bool timed;       /* the timer was initialised */
    bool running;     /* else waiting */
    struct str model; /* from the path (KServe), or empty */

    /* a stream */
    bool streaming;
    struct job_events events;
    uint32_t event_next;
    uint32_t event_cut; /* the stream fails before this one; events.count: it does not */
    int64_t first_token_ns;
    enum metrics_finish finish;
};

void job_start(struct service *, struct serve_request *, const struct job_route *,
               struct str model);
int64_t job_elapsed_ns(const struct job *);
/* A whole answer with status 200, perhaps cut short by a fault. */
void job_reply(struct job *, struct str json);
/* The client's fault (or ours). `param` names the offending member or is NULL. */
void job_fail(struct job *, int status, struct str message, const char *param);
/* Sends the prepared events, at once or one per token delay. */
void job_stream(struct job *, struct job_events stolen);

extern const struct job_route openai_chat_route, predict_route, kserve_infer_route;

#endif
