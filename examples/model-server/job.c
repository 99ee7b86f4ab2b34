/* The life of an inference request. A job that answers within the handler needs no timer and leaves
 * no trace in the loop; one that waits, hangs or streams slowly asks to be told when its client
 * goes.
 */
#include "examples/model-server/job.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/arena.h"
#include "base/check.h"
#include "base/clock.h"

int64_t job_elapsed_ns(const struct job *j)
{
    return (int64_t)uv_hrtime() - j->started_ns;
}

/* --- the end --- */

static void on_timer_closed(uv_handle_t *handle)
{
    free(handle->data);
}

static void job_free(struct job *j)
{
    struct metrics *m = &j->service->metrics;

    if (j->running)
        m->running--;
    else
        m->waiting--;
    strbuf_deinit(&j->events.bytes);
    free(j->events.ends);
    if (j->timed)
        uv_close((uv_handle_t *)&j->timer, on_timer_closed);
    else
        free(j);
}

static void on_gone(struct serve_request *request, void *arg)
{
    struct job *j = arg;

    (void)request;
    j->service->faults.counters.client_gone++;
    j->service->metrics.statuses[0]++;
    if (j->streaming)
        j->service->metrics.finished[METRICS_ABORT]++;
    job_free(j);
}

static void set_running(struct job *j)
{
    if (j->running)
        return;
    j->running = true;
    j->service->metrics.waiting--;
    j->service->metrics.running++;
}

static void set_timer(struct job *j, uv_timer_cb on_timer, int64_t delay_ns, int64_t repeat_ns)
{
    if (!j->timed) {
        uv_timer_init(j->service->loop, &j->timer);
        j->timer.data = j;
        j->timed = true;
        serve_on_gone(j->request, on_gone, j);
    }
    uv_timer_start(&j->timer, on_timer, (uint64_t)((delay_ns + NS_PER_MS - 1) / NS_PER_MS),
                   (uint64_t)((repeat_ns + NS_PER_MS - 1) / NS_PER_MS));
}

/* --- whole answers --- */

static void reply_error(struct job *j, int status, struct str message, const char *param)
{
    struct strbuf body;

    strbuf_init(&body, 4096);
    j->route->error(&body, status, message, param);
    if (status == 429 || status == 503)
        serve_add_header(j->request, STR("retry-after"), STR("1"));
    service_add_headers(j->service, j->request);
    j->service->metrics.statuses[status / 100]++;
    serve_reply(j->request, status, STR("application/json"), strbuf_str(&body));
    strbuf_deinit(&body);
    job_free(j);
}

void job_fail(struct job *j, int status, struct str message, const char *param)
{
    if (status < 500)
        j->service->faults.counters.bad_requests++;
    reply_error(j, status, message, param);
}

/* Announces the whole and sends a part of it. */
static void reply_short(struct job *j, struct str json)
{
    char length[24];
    struct str part = {json.ptr, (size_t)(j->fault.cut * (double)json.len)};

    snprintf(length, sizeof(length), "%zu", json.len);
    serve_add_header(j->request, STR("content-length"), str_from(length));
    serve_stream_start(j->request, 200, STR("application/json"));
    serve_stream_send(j->request, part);
    serve_stream_end(j->request);
}

void job_reply(struct job *j, struct str json)
{
    struct fault_counters *c = &j->service->faults.counters;

    service_add_headers(j->service, j->request);
    j->service->metrics.statuses[2]++;
    if (j->fault.truncate) {
        c->truncations++;
        reply_short(j, json);
    } else {
        c->answered++;
        serve_reply(j->request, 200, STR("application/json"), json);
    }
    job_free(j);
}

/* --- streams --- */

static struct str events_between(const struct job *j, uint32_t from, uint32_t to)
{
    size_t begin = from == 0 ? 0 : j->events.ends[from - 1];
    size_t end = to == 0 ? 0 : j->events.ends[to - 1];

    return (struct str){j->events.bytes.ptr + begin, end - begin};
}

static void note_first_token(struct job *j)
{
    if (j->event_next > j->events.content_begin && j->first_token_ns == 0) {
        j->first_token_ns = job_elapsed_ns(j);
        metrics_observe(&j->service->metrics, METRICS_TTFT, j->first_token_ns);
    }
}

static void end_stream(struct job *j)
{
    struct service *s = j->service;

    s->metrics.statuses[2]++;
    metrics_observe(&s->metrics, METRICS_E2E, job_elapsed_ns(j));
    if (j->event_next == j->events.count) {
        s->faults.counters.answered++;
        s->metrics.finished[j->finish]++;
        serve_stream_end(j->request);
    } else if (j->fault.truncate) {
        s->faults.counters.truncations++;
        s->metrics.finished[METRICS_ABORT]++;
        serve_abort(j->request, false);
    } else {
        s->faults.counters.stream_errors++;
        s->metrics.finished[METRICS_ABORT]++;
        serve_stream_send(j->request,
                          STR("data: {\"error\":{\"message\":\"the engine failed while it was "
                              "answering\",\"type\":\"internal_server_error\",\"param\":null,"
                              "\"code\":500}}\n\ndata: [DONE]\n\n"));
        serve_stream_end(j->request);
    }
    job_free(j);
}

/* Sends events up to (not including) `to`; false when the client is gone: on_gone ends the job. */
static bool send_until(struct job *j, uint32_t to)
{
    struct str bytes = events_between(j, j->event_next, to);

    j->event_next = to;
    bool alive = serve_stream_send(j->request, bytes);
    if (!alive && j->timed)
        uv_timer_stop(&j->timer);
    note_first_token(j);
    return alive;
}

static void on_token(uv_timer_t *timer)
{
    struct job *j = timer->data;
    /* What follows the last token (its finish_reason, usage, [DONE]) comes with it. */
    uint32_t to = j->event_next + 1 >= j->events.content_end ? j->events.count : j->event_next + 1;

    if (to > j->event_cut)
        to = j->event_cut;
    if (send_until(j, to) && j->event_next >= j->event_cut) {
        uv_timer_stop(timer);
        end_stream(j);
    }
}

void job_stream(struct job *j, struct job_events stolen)
{
    j->events = stolen;
    j->streaming = true;
    j->event_cut = stolen.count;
    if (j->fault.truncate || j->fault.stream_error) /* always before the end mark */
        j->event_cut = 1 + (uint32_t)(j->fault.cut * (double)(stolen.count - 1));
    j->service->faults.counters.streams++;
    service_add_headers(j->service, j->request);
    serve_add_header(j->request, STR("cache-control"), STR("no-cache"));
    serve_stream_start(j->request, 200, STR("text/event-stream; charset=utf-8"));
    if (j->fault.token_delay_ns > 0) {
        set_timer(j, on_token, j->fault.token_delay_ns, j->fault.token_delay_ns);
        send_until(j, 1);
    } else {
        /* Ends the request also when the client is gone: no one asked to be told. */
        send_until(j, j->event_cut);
        end_stream(j);
    }
}

/* --- the beginning --- */

static void run(struct job *j)
{
    struct fault_counters *c = &j->service->faults.counters;

    switch (j->fault.kind) {
    case FAULT_NONE:
        set_running(j);
        j->route->run(j);
        return;
    case FAULT_ERROR:
        c->errors++;
        reply_error(j, j->fault.status, STR("an error that /control asked for"), NULL);
        return;
    case FAULT_LOADING:
        c->loading++;
        reply_error(j, 503, STR("Loading model"), NULL);
        return;
    case FAULT_RESET:
        c->resets++;
        j->service->metrics.statuses[0]++;
        serve_abort(j->request, true);
        job_free(j);
        return;
    case FAULT_HANG:
        c->hangs++;
        serve_on_gone(j->request, on_gone, j); /* until the client or the server goes */
        return;
    }
}

static void on_delay_over(uv_timer_t *timer)
{
    run(timer->data);
}

void job_start(struct service *s, struct serve_request *request, const struct job_route *route,
               struct str model)
{
    struct job *j = xcalloc(1, sizeof(*j));

    j->service = s;
    j->request = request;
    j->route = route;
    j->model = model;
    j->started_ns = (int64_t)uv_hrtime();
    j->fault = faults_draw(&s->faults, j->started_ns);
    s->metrics.waiting++;
    if (j->fault.delay_ns > 0)
        set_timer(j, on_delay_over, j->fault.delay_ns, 0);
    else
        run(j);
}
