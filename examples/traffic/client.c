/* One connection. llhttp reads the answer; what counts is kept in fixed fields. A read that ends
 * with bytes nobody asked for is counted and the connection is closed: its next answer could not be
 * trusted.
 */
#include "examples/traffic/client.h"

#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "base/check.h"
#include "examples/traffic/load.h"

static char read_buffer[64 * 1024]; /* one thread; consumed before the next read */

/* --- the answer's pieces --- */

static void add(char *to, size_t size, size_t *len, const char *at, size_t n)
{
    if (n > size - *len)
        n = size - *len;
    memcpy(to + *len, at, n);
    *len += n;
}

static int on_name(llhttp_t *p, const char *at, size_t len)
{
    struct client_answer *a = &((struct client *)p->data)->answer;

    if (a->in_value) {
        a->in_value = false;
        a->name_len = 0;
    }
    size_t from = a->name_len;
    add(a->name, sizeof(a->name), &a->name_len, at, len);
    for (size_t i = from; i < a->name_len; i++)
        if (a->name[i] >= 'A' && a->name[i] <= 'Z')
            a->name[i] = (char)(a->name[i] - 'A' + 'a');
    return 0;
}

static int on_value(llhttp_t *p, const char *at, size_t len)
{
    struct client_answer *a = &((struct client *)p->data)->answer;
    struct str name = {a->name, a->name_len};

    a->in_value = true;
    if (str_eq(name, STR("x-request-id")))
        add(a->id, sizeof(a->id), &a->id_len, at, len);
    else if (str_eq(name, STR("x-sluice-version")))
        add(a->version, sizeof(a->version), &a->version_len, at, len);
    else if (str_eq(name, STR("x-model-version")))
        add(a->model_version, sizeof(a->model_version), &a->model_version_len, at, len);
    else if (str_eq(name, STR("content-type")))
        add(a->content_type, sizeof(a->content_type), &a->content_type_len, at, len);
    return 0;
}

static int on_head_complete(llhttp_t *p)
{
    struct client *c = p->data;
    struct client_answer *a = &c->answer;
    struct str type = {a->content_type, a->content_type_len};

    a->status = p->status_code;
    a->event_stream =
        str_starts_with(type, STR("text/event-stream")) || (c->kind->stream && a->status == 200);
    return 0;
}

static void read_line(struct client *c)
{
    struct client_answer *a = &c->answer;
    struct str line = {a->line, a->line_len};
    static const char content[] = "\"content\":\"";

    a->line_len = 0;
    if (!str_starts_with(line, STR("data:")))
        return;
    struct str data = str_trim((struct str){line.ptr + 5, line.len - 5});
    if (str_starts_with(data, STR("[DONE]")))
        a->done_seen = true;
    else if (str_starts_with(data, STR("{\"error\"")))
        a->error_seen = true;
    if (a->first_token_ns != 0)
        return;
    const char *at = memmem(data.ptr, data.len, content, sizeof(content) - 1);
    if (at != NULL && at + sizeof(content) - 1 < data.ptr + data.len &&
        at[sizeof(content) - 1] != '"')
        a->first_token_ns = load_now_ns();
}

static int on_body(llhttp_t *p, const char *at, size_t len)
{
    struct client *c = p->data;
    struct client_answer *a = &c->answer;
    const char *end = at + len;

    if (!a->event_stream)
        return 0;
    while (at < end) {
        const char *newline = memchr(at, '\n', (size_t)(end - at));
        const char *to = newline != NULL ? newline : end;

        add(a->line, sizeof(a->line), &a->line_len, at, (size_t)(to - at));
        if (newline != NULL)
            read_line(c);
        at = newline != NULL ? newline + 1 : end;
    }
    return 0;
}

static int on_complete(llhttp_t *p)
{
    struct client *c = p->data;

    if (c->answer.status < 200 && c->answer.status != 101) {
        c->answer = (struct client_answer){0}; /* interim: the answer is still to come */
        return 0;
    }
    c->answer.complete = true;
    return HPE_PAUSED;
}

static const llhttp_settings_t settings = {
    .on_header_field = on_name,
    .on_header_value = on_value,
    .on_headers_complete = on_head_complete,
    .on_body = on_body,
    .on_message_complete = on_complete,
};

/* --- ends --- */

static void on_closed(uv_handle_t *handle)
{
    struct client *c = handle->data;
    struct load *l = c->load;

    list_remove(&c->node);
    free(c->out);
    free(c);
    load_client_closed(l);
}

void client_close(struct client *c)
{
    if (c->state == CLIENT_CLOSED)
        return;
    list_remove(&c->idle);
    c->state = CLIENT_CLOSED;
    uv_close((uv_handle_t *)&c->tcp, on_closed);
}

static void count_id(struct client *c)
{
    struct stats *s = load_stats(c->load);
    struct str id = str_trim((struct str){c->answer.id, c->answer.id_len});

    if (id.len == 0)
        s->without_id++;
    else if (str_eq(id, str_from(c->id)))
        return;
    else if (c->previous_id[0] != '\0' && str_eq(id, str_from(c->previous_id)))
        s->duplicated++;
    else
        s->mismatched++;
}

static enum stats_stream stream_end(const struct client_answer *a)
{
    if (!a->event_stream)
        return STATS_NO_STREAM;
    if (a->error_seen)
        return STATS_STREAM_ERROR;
    return a->complete && a->done_seen ? STATS_STREAM_DONE : STATS_STREAM_CUT;
}

/* Reports the request in hand as ended; the client is idle afterwards. */
static void end_request(struct client *c, bool timed_out)
{
    const struct client_answer *a = &c->answer;
    int64_t now_ns = load_now_ns();
    struct stats_result r = {.kind = c->kind,
                             .status = a->status,
                             .cut = a->status != 0 && !a->complete,
                             .timed_out = timed_out,
                             .reused = c->requests > 1,
                             .latency_ns = now_ns - c->scheduled_ns,
                             .stream = a->status != 0 ? stream_end(a) : STATS_NO_STREAM};

    if (a->version_len > 0)
        r.version = str_trim((struct str){a->version, a->version_len});
    else if (a->model_version_len > 0)
        r.version = str_trim((struct str){a->model_version, a->model_version_len});
    if (a->first_token_ns != 0)
        r.first_token_ns = a->first_token_ns - c->scheduled_ns;
    if (a->status != 0)
        count_id(c);
    memcpy(c->previous_id, c->id, sizeof(c->previous_id));
    c->state = CLIENT_IDLE;
    load_client_ended(c->load, c, &r, now_ns);
}

void client_give_up(struct client *c)
{
    if (c->state == CLIENT_BUSY)
        end_request(c, true);
    client_close(c);
}

/* The connection ended or cannot be understood any more. */
static void broken(struct client *c)
{
    if (c->state == CLIENT_BUSY) {
        if (c->answer.status != 0 && llhttp_get_errno(&c->parser) == HPE_OK)
            llhttp_finish(&c->parser); /* an answer may end with its connection */
        end_request(c, false);
    }
    client_close(c);
    load_pump(c->load);
}

/* --- input --- */

static void answered(struct client *c, size_t surplus)
{
    bool keep = llhttp_should_keep_alive(&c->parser) != 0 && c->answer.status != 101;

    end_request(c, false);
    if (surplus > 0) {
        load_stats(c->load)->surplus++;
        keep = false;
    }
    if (keep)
        load_client_ready(c->load, c);
    else
        client_close(c);
    load_pump(c->load);
}

static void on_alloc(uv_handle_t *handle, size_t suggested, uv_buf_t *buf)
{
    (void)handle;
    (void)suggested;
    *buf = uv_buf_init(read_buffer, sizeof(read_buffer));
}

static void on_read(uv_stream_t *stream, ssize_t nread, const uv_buf_t *buf)
{
    struct client *c = stream->data;

    if (nread == 0 || c->state == CLIENT_CLOSED)
        return;
    if (nread < 0) {
        broken(c);
        return;
    }
    load_stats(c->load)->bytes_received += (uint64_t)nread;
    if (c->state != CLIENT_BUSY) {
        load_stats(c->load)->surplus++;
        client_close(c);
        load_pump(c->load);
        return;
    }
    enum llhttp_errno e = llhttp_execute(&c->parser, buf->base, (size_t)nread);
    if (c->answer.complete) {
        const char *end = buf->base + nread, *at = end;

        if (e == HPE_PAUSED)
            at = llhttp_get_error_pos(&c->parser);
        answered(c, (size_t)(end - at));
    } else if (e != HPE_OK) {
        broken(c);
    }
}

/* --- output --- */

static void on_written(uv_write_t *write, int status)
{
    struct client *c = write->data;

    if (status != 0 && status != UV_ECANCELED && c->state != CLIENT_CLOSED)
        broken(c);
}

static void write_out(struct client *c, size_t len)
{
    uv_buf_t buf = uv_buf_init(c->out, (unsigned)len);
    int n = uv_try_write((uv_stream_t *)&c->tcp, &buf, 1);

    if (n == (int)len)
        return;
    if (n < 0 && n != UV_EAGAIN)
        return; /* the read side reports the broken connection */
    size_t done = n > 0 ? (size_t)n : 0;
    c->write.data = c;
    buf = uv_buf_init(c->out + done, (unsigned)(len - done));
    uv_write(&c->write, (uv_stream_t *)&c->tcp, &buf, 1, on_written);
}

void client_send(struct client *c, const struct mix_kind *kind, size_t i, int64_t scheduled_ns,
                 int64_t now_ns)
{
    size_t len = kind->lengths[i];

    CHECK(c->state == CLIENT_IDLE);
    list_remove(&c->idle);
    c->state = CLIENT_BUSY;
    c->kind = kind;
    c->scheduled_ns = scheduled_ns;
    c->sent_ns = now_ns;
    c->requests++;
    c->answer.status = 0; /* the rest by the lengths, without clearing the line */
    c->answer.id_len = c->answer.version_len = c->answer.model_version_len = 0;
    c->answer.name_len = c->answer.content_type_len = c->answer.line_len = 0;
    c->answer.in_value = c->answer.event_stream = c->answer.complete = false;
    c->answer.done_seen = c->answer.error_seen = false;
    c->answer.first_token_ns = 0;
    llhttp_init(&c->parser, HTTP_RESPONSE, &settings);
    c->parser.data = c;
    if (c->out_cap < len) {
        c->out = xrealloc(c->out, len);
        c->out_cap = len;
    }
    load_next_id(c->load, c->id);
    memcpy(c->out, kind->templates[i], len);
    memcpy(c->out + kind->id_at[i], c->id, MIX_ID_LEN);
    load_stats(c->load)->sent++;
    load_stats(c->load)->bytes_sent += len;
    write_out(c, len);
}

/* --- birth --- */

static void on_connected(uv_connect_t *connect, int status)
{
    struct client *c = connect->data;

    if (c->state == CLIENT_CLOSED)
        return;
    if (status == 0) {
        uv_tcp_nodelay(&c->tcp, 1);
        status = uv_read_start((uv_stream_t *)&c->tcp, on_alloc, on_read);
    }
    c->state = CLIENT_IDLE;
    if (status != 0) {
        client_close(c);
        load_client_refused(c->load);
        return;
    }
    load_client_connected(c->load);
    load_client_ready(c->load, c);
    load_pump(c->load);
}

void client_open(struct load *l)
{
    struct client *c = xcalloc(1, sizeof(*c));

    c->load = l;
    c->tcp.data = c->connect.data = c;
    c->state = CLIENT_CONNECTING;
    list_init(&c->idle);
    uv_tcp_init(load_loop(l), &c->tcp);
    load_client_opened(l, c);
    int code = uv_tcp_connect(&c->connect, &c->tcp, load_address(l), on_connected);
    if (code != 0) {
        client_close(c);
        load_client_refused(l);
    }
}
