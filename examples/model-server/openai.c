/* The OpenAI protocol: POST /v1/chat/completions, whole or streamed, and GET /v1/models.
 *
 * The whole text is generated before its first chunk leaves: the model is much faster than any
 * network, and the pace of a stream is a setting (token_delay_ms), not a by-product.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <jansson.h>

#include "base/arena.h"
#include "examples/model-server/job.h"

enum {
    MAX_TOKENS_DEFAULT = 64,
    PROMPT_BYTES_MAX = 1024 * 1024,
    EVENTS_BYTES_MAX = 8 * 1024 * 1024
};

struct chat {
    json_t *document;
    struct str model; /* as the client named it; ptr NULL: not */
    struct strbuf prompt;
    struct ngram_params params;
    bool stream, include_usage;
};

/* What is wrong with a request. */
struct complaint {
    int status;
    const char *message, *param;
};

/* --- reading --- */

/* A message's content: a string, or a list of {"type":"text","text":...}. */
static bool add_content(struct chat *c, const json_t *content)
{
    size_t i;
    json_t *part;

    if (json_is_string(content)) {
        strbuf_add(&c->prompt,
                   (struct str){json_string_value(content), json_string_length(content)});
        return strbuf_add_char(&c->prompt, '\n');
    }
    if (!json_is_array(content))
        return json_is_null(content);
    json_array_foreach(content, i, part)
    {
        const json_t *text = json_object_get(part, "text");

        if (!json_is_string(text))
            return false;
        strbuf_add(&c->prompt, (struct str){json_string_value(text), json_string_length(text)});
        strbuf_add_char(&c->prompt, '\n');
    }
    return true;
}

static struct complaint read_messages(struct chat *c)
{
    const json_t *messages = json_object_get(c->document, "messages");
    size_t i;
    json_t *message;

    if (!json_is_array(messages) || json_array_size(messages) == 0)
        return (struct complaint){400, "\"messages\" must be a list of at least one message",
                                  "messages"};
    json_array_foreach(messages, i, message)
    {
        if (!json_is_string(json_object_get(message, "role")))
            return (struct complaint){400, "every message needs a \"role\"", "messages"};
        const json_t *content = json_object_get(message, "content");
        if (content != NULL && !add_content(c, content))
            return (struct complaint){400, "a message's \"content\" must be text", "messages"};
    }
    return (struct complaint){0};
}

/* False when the member is there and not a number within [low, high]. */
static bool read_number(const json_t *document, const char *name, double low, double high,
                        double *ret)
{
    const json_t *value = json_object_get(document, name);

    if (value == NULL || json_is_null(value))
        return true;
    if (!json_is_number(value) || json_number_value(value) < low || json_number_value(value) > high)
        return false;
    *ret = json_number_value(value);
    return true;
}

static struct complaint read_stops(struct chat *c)
{
    const json_t *stop = json_object_get(c->document, "stop");
    size_t count = json_is_array(stop) ? json_array_size(stop) : 1;

    if (stop == NULL || json_is_null(stop))
        return (struct complaint){0};
    for (size_t i = 0; i < count; i++) {
        const json_t *one = json_is_array(stop) ? json_array_get(stop, i) : stop;

        if (!json_is_string(one) || json_string_length(one) == 0 || i == NGRAM_STOPS_MAX)
            return (struct complaint){400, "\"stop\" must be a string or up to 4 strings", "stop"};
        c->params.stops[c->params.stop_count++] =
            (struct str){json_string_value(one), json_string_length(one)};
    }
    return (struct complaint){0};
}

static struct complaint read_params(struct chat *c, struct rng *rng)
{
    const json_t *d = c->document, *seed = json_object_get(d, "seed");
    struct ngram_params *p = &c->params;
    double max_tokens = MAX_TOKENS_DEFAULT, n = 1;

    *p = (struct ngram_params){.temperature = 1, .top_p = 1};
    if (!read_number(d, "temperature", 0, 2, &p->temperature))
        return (struct complaint){400, "\"temperature\" must be from 0 to 2", "temperature"};
    if (!read_number(d, "top_p", 1e-6, 1, &p->top_p))
        return (struct complaint){400, "\"top_p\" must be above 0 and at most 1", "top_p"};
    if (!read_number(d, "max_tokens", 1, NGRAM_TOKENS_MAX, &max_tokens) ||
        !read_number(d, "max_completion_tokens", 1, NGRAM_TOKENS_MAX, &max_tokens))
        return (struct complaint){400, "\"max_tokens\" must be from 1 to 4096", "max_tokens"};
    if (!read_number(d, "n", 1, 1, &n))
        return (struct complaint){400, "\"n\" must be 1", "n"};
    if (seed != NULL && !json_is_null(seed) && !json_is_integer(seed))
        return (struct complaint){400, "\"seed\" must be an integer", "seed"};
    p->seed = json_is_integer(seed) ? (uint64_t)json_integer_value(seed) : rng_u64(rng);
    p->max_tokens = (uint32_t)max_tokens;
    return read_stops(c);
}

static struct complaint read_chat(struct chat *c, struct service *s, struct str body)
{
    c->document = json_loadb(body.ptr, body.len, 0, NULL);
    if (!json_is_object(c->document))
        return (struct complaint){400, "the body is not a JSON object", NULL};
    const json_t *model = json_object_get(c->document, "model");
    const json_t *stream = json_object_get(c->document, "stream");
    if (model != NULL && !json_is_string(model))
        return (struct complaint){400, "\"model\" must be a string", "model"};
    if (model != NULL)
        c->model = (struct str){json_string_value(model), json_string_length(model)};
    if (!service_has_model(s, c->model))
        return (struct complaint){404, "the model does not exist", "model"};
    if (stream != NULL && !json_is_boolean(stream) && !json_is_null(stream))
        return (struct complaint){400, "\"stream\" must be true or false", "stream"};
    c->stream = json_is_true(stream);
    c->include_usage = json_is_true(
        json_object_get(json_object_get(c->document, "stream_options"), "include_usage"));
    struct complaint complaint = read_messages(c);
    return complaint.status != 0 ? complaint : read_params(c, &s->rng);
}

/* --- writing --- */

static void add_error(struct strbuf *out, int status, struct str message, const char *param)
{
    const char *type = status >= 500 ? "internal_server_error" : "invalid_request_error";

    if (status == 429)
        type = "rate_limit_error";
    strbuf_add(out, STR("{\"error\":{\"message\":"));
    strbuf_add_json(out, message);
    strbuf_addf(out, ",\"type\":\"%s\",\"param\":", type);
    if (param != NULL)
        strbuf_add_json(out, str_from(param));
    else
        strbuf_add(out, STR("null"));
    if (status == 404)
        strbuf_add(out, STR(",\"code\":\"model_not_found\"}}"));
    else
        strbuf_addf(out, ",\"code\":%d}}", status);
}

/* {"id":…,"object":…,"created":…,"model":…,"system_fingerprint":… and what every document begins
 * with; left open. */
static void add_beginning(struct strbuf *out, const struct service *s, const struct chat *c,
                          uint64_t id, const char *object)
{
    strbuf_addf(out, "{\"id\":\"chatcmpl-%016llx\",\"object\":\"%s\",\"created\":%lld,\"model\":",
                (unsigned long long)id, object, (long long)time(NULL));
    strbuf_add_json(out, c->model.ptr != NULL ? c->model : str_from(s->model));
    strbuf_add(out, STR(",\"system_fingerprint\":"));
    strbuf_add_json(out, str_from(s->version));
}

static void add_usage(struct strbuf *out, uint32_t prompt, uint32_t completion)
{
    strbuf_addf(out,
                "\"usage\":{\"prompt_tokens\":%u,\"completion_tokens\":%u,\"total_tokens\":%u}",
                prompt, completion, prompt + completion);
}

static const char *finish_text(enum ngram_finish finish)
{
    return finish == NGRAM_LENGTH ? "length" : "stop";
}

static void reply_whole(struct job *j, const struct chat *c, const struct ngram_text *t,
                        uint32_t prompt_tokens)
{
    struct service *s = j->service;
    struct strbuf out;

    strbuf_init(&out, EVENTS_BYTES_MAX);
    add_beginning(&out, s, c, rng_u64(&s->rng), "chat.completion");
    strbuf_add(&out, STR(",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\","
                         "\"content\":"));
    strbuf_add_json(&out, strbuf_str(&t->text));
    strbuf_addf(&out, "},\"logprobs\":null,\"finish_reason\":\"%s\"}],", finish_text(t->finish));
    add_usage(&out, prompt_tokens, t->count);
    strbuf_add_char(&out, '}');
    metrics_observe(&s->metrics, METRICS_TTFT, job_elapsed_ns(j));
    metrics_observe(&s->metrics, METRICS_E2E, job_elapsed_ns(j));
    s->metrics.finished[j->fault.truncate ? METRICS_ABORT : j->finish]++;
    job_reply(j, strbuf_str(&out));
    strbuf_deinit(&out);
}

static void end_event(struct job_events *e)
{
    strbuf_add(&e->bytes, STR("\n\n"));
    e->ends[e->count++] = (uint32_t)e->bytes.len;
}

static void add_chunk(struct job_events *e, struct str beginning, struct str delta,
                      struct str finish)
{
    strbuf_add(&e->bytes, STR("data: "));
    strbuf_add(&e->bytes, beginning);
    strbuf_add(&e->bytes, STR(",\"choices\":[{\"index\":0,\"delta\":{"));
    strbuf_add(&e->bytes, delta);
    strbuf_add(&e->bytes, STR("},\"logprobs\":null,\"finish_reason\":"));
    strbuf_add(&e->bytes, finish);
    strbuf_add(&e->bytes, STR("}]}"));
    end_event(e);
}

static void add_tokens(struct job_events *e, struct str beginning, const struct ngram_text *t)
{
    struct strbuf delta;

    strbuf_init(&delta, 4096);
    for (uint32_t i = 0; i < t->count; i++) {
        size_t from = i == 0 ? 0 : t->ends[i - 1];

        strbuf_reset(&delta);
        strbuf_add(&delta, STR("\"content\":"));
        strbuf_add_json(&delta, (struct str){t->text.ptr + from, t->ends[i] - from});
        add_chunk(e, beginning, strbuf_str(&delta), STR("null"));
    }
    strbuf_deinit(&delta);
}

static void reply_stream(struct job *j, const struct chat *c, const struct ngram_text *t,
                         uint32_t prompt_tokens)
{
    struct service *s = j->service;
    struct job_events e = {.ends = xmalloc((t->count + 4) * sizeof(*e.ends))};
    struct strbuf beginning;

    strbuf_init(&e.bytes, EVENTS_BYTES_MAX);
    strbuf_init(&beginning, PROMPT_BYTES_MAX * 2);
    add_beginning(&beginning, s, c, rng_u64(&s->rng), "chat.completion.chunk");
    add_chunk(&e, strbuf_str(&beginning), STR("\"role\":\"assistant\",\"content\":\"\""),
              STR("null"));
    e.content_begin = e.count;
    add_tokens(&e, strbuf_str(&beginning), t);
    e.content_end = e.count;
    add_chunk(&e, strbuf_str(&beginning), STR(""),
              t->finish == NGRAM_LENGTH ? STR("\"length\"") : STR("\"stop\""));
    if (c->include_usage) {
        strbuf_add(&e.bytes, STR("data: "));
        strbuf_add(&e.bytes, strbuf_str(&beginning));
        strbuf_add(&e.bytes, STR(",\"choices\":[],"));
        add_usage(&e.bytes, prompt_tokens, t->count);
        strbuf_add_char(&e.bytes, '}');
        end_event(&e);
    }
    strbuf_add(&e.bytes, STR("data: [DONE]"));
    end_event(&e);
    strbuf_deinit(&beginning);
    job_stream(j, e);
}

static void run_chat(struct job *j)
{
    struct service *s = j->service;
    struct chat c = {0};
    struct ngram_text text;

    strbuf_init(&c.prompt, PROMPT_BYTES_MAX);
    struct complaint complaint = read_chat(&c, s, serve_body(j->request));
    if (complaint.status != 0) {
        job_fail(j, complaint.status, str_from(complaint.message), complaint.param);
    } else {
        uint32_t prompt_tokens = ngram_count_tokens(strbuf_str(&c.prompt));

        ngram_generate(s->ngram, strbuf_str(&c.prompt), &c.params, &text);
        s->metrics.prompt_tokens += prompt_tokens;
        s->metrics.generation_tokens += text.count;
        j->finish = text.finish == NGRAM_LENGTH ? METRICS_LENGTH : METRICS_STOP;
        if (c.stream)
            reply_stream(j, &c, &text, prompt_tokens);
        else
            reply_whole(j, &c, &text, prompt_tokens);
        ngram_text_deinit(&text);
    }
    strbuf_deinit(&c.prompt);
    json_decref(c.document);
}

const struct job_route openai_chat_route = {run_chat, add_error};

void openai_models(struct service *s, struct serve_request *request)
{
    service_reply_json(s, request, 200,
                       json_pack("{ss s[{ss ss sI ss ss}]}", "object", "list", "data", "id",
                                 s->model, "object", "model", "created",
                                 (json_int_t)s->started_wall_s, "owned_by", "model-server",
                                 "version", s->version));
}
