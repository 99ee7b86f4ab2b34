/* The surprising part is feed(): an answer of our own ends the request while feed() is on the
 * stack, so client_done only changes the state then and the loop goes on with the next head.
 */
#include "proxy/client.h"

#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

#include "base/arena.h"
#include "base/log.h"
#include "proxy/access_entry.h"
#include "proxy/exchange.h"
#include "proxy/trust.h"

enum { LINGER_S = 2 };

static const struct stream_events events;
static void linger(struct client *c);
static void next_request(struct client *c);

static struct client *client_of(struct stream *s)
{
    return CONTAINER_OF(s, struct client, stream);
}

static void enlist(struct client *c, struct list *list)
{
    list_remove(&c->link);
    list_push(list, &c->link);
    c->since_ns = c->worker->loop.now_ns;
}

static void close_client(struct client *c)
{
    CHECK(c->exchange == NULL);
    list_remove(&c->link);
    stream_close(&c->stream);
}

/* The one place that decides: while a request is under way bytes of the next are held, one read of
 * them at most; a body is read while the endpoint takes it. */
void client_update_reading(struct client *c)
{
    bool busy = c->state == CLIENT_EXCHANGE || c->state == CLIENT_FLUSHING;
    bool want = !busy || (c->held.len == 0 && !(c->state == CLIENT_EXCHANGE && c->upload_paused));

    if (c->stream.closing)
        return;
    if (want)
        stream_read(&c->stream);
    else
        stream_pause(&c->stream);
}

/* Who is at the other end. It takes just the room that its address needs: most are short, and there
 * may be ten thousand. */
static struct client *new_client(struct worker *w, int fd)
{
    struct sockaddr_storage address;
    socklen_t len = sizeof(address);
    char peer[INET6_ADDRSTRLEN] = "";
    bool known = getpeername(fd, (struct sockaddr *)&address, &len) == 0;

    if (known)
        (void)uv_ip_name((const struct sockaddr *)&address, peer, sizeof(peer));
    struct client *c = xcalloc(1, sizeof(*c) + strlen(peer) + 1);
    memcpy(c->peer, peer, strlen(peer) + 1);
    c->peer_len = (uint8_t)strlen(peer);
    c->trusted = known && trust_peer(w->shared->config, (const struct sockaddr *)&address);
    c->worker = w;
    list_init(&c->link);
    return c;
}

void client_accept(struct worker *w, size_t listener, int fd)
{
    struct tls_server *tls = certificates_server(w->certificates, listener);
    struct client *c = new_client(w, fd);

    stream_init(&c->stream, &w->loop, &events);
    w->clients++;
    stat_add(&w->stats.connections, 1);
    stat_add(&w->stats.connections_active, 1);
    uint64_t active = atomic_fetch_add(&w->shared->connections_active, 1) + 1;
    uint64_t sockets = atomic_fetch_add(&w->shared->sockets, 1) + 1;
    uint64_t sockets_max = w->shared->sockets_max;
    if (stream_adopt(&c->stream, fd) != 0 || w->draining) {
        stream_close(&c->stream);
        return;
    }
    /* An eighth is kept for the endpoints' side: a client without one is of no use. */
    if (active > w->shared->config->limits.connections || sockets > sockets_max - sockets_max / 8) {
        stat_add(&w->stats.refused_connections, 1);
        stream_close(&c->stream);
        return;
    }
    if (tls != NULL && stream_secure_server(&c->stream, tls) != 0) {
        stream_close(&c->stream);
        return;
    }
    enlist(c, tls != NULL ? &w->handshakes : &w->waiting);
    stream_read(&c->stream);
}

/* Only a client within TLS comes here. */
static void on_connect(struct stream *s, int status)
{
    struct client *c = client_of(s);

    if (status == 0) {
        stat_add(&c->worker->stats.handshakes, 1);
        enlist(c, &c->worker->waiting);
        return;
    }
    if (status != UV_EOF) { /* which is somebody who only looks whether the port is open */
        stat_add(&c->worker->stats.handshake_failures, 1);
        log_debug("tls.handshake_failed", F("client", LOG_STR(c->peer)),
                  F("error", LOG_STR(stream_tls_error(s))));
    }
    if (status == UV_EPROTO)
        linger(c); /* so that it reads the alert, whatever it still sends */
    else
        close_client(c);
}

static void refuse(struct client *c, int status, const char *why)
{
    static const struct {
        int status;
        const char *code;
    } codes[] = {{408, "request_timeout"},    {414, "target_too_long"},
                 {417, "expectation_failed"}, {431, "head_too_large"},
                 {501, "not_implemented"},    {505, "version_not_supported"}};
    static const struct head none; /* what came cannot be trusted to name the request */
    char request_id[REQUEST_ID_MAX + 1];
    struct forward_error e = {.status = status,
                              .code = "bad_request",
                              .message = why,
                              .request_id = request_id,
                              .close = true};

    forward_request_id(&none, &c->worker->rng, request_id);
    for (size_t i = 0; i < ARRAY_LEN(codes); i++)
        if (codes[i].status == status)
            e.code = codes[i].code;
    stat_add(&c->worker->stats.rejected, 1);
    client_log_refusal(c, NULL, &e);
    list_remove(&c->link);
    client_answer(c, &e, false, true);
}

/* Empty lines before a request line are skipped (RFC 9112, 2.2). */
static struct str skip_empty_lines(struct str bytes)
{
    while (bytes.len >= 2 && bytes.ptr[0] == '\r' && bytes.ptr[1] == '\n')
        bytes = (struct str){bytes.ptr + 2, bytes.len - 2};
    return bytes;
}

/* One head from the front of *bytes, if it is all there. False: it is not, or was refused. */
static bool feed_head(struct client *c, struct str *bytes, size_t scanned)
{
    struct worker *w = c->worker;
    struct head *h = &w->request_head;
    struct head_limits limits = {w->shared->config->limits.head_bytes,
                                 w->shared->config->limits.headers};
    const char *why;

    int status = head_parse_request(*bytes, scanned, limits, h, &why);
    if (status == HEAD_MORE)
        return false;
    if (status != 0) {
        refuse(c, status, why);
        return false;
    }
    *bytes = (struct str){bytes->ptr + h->bytes, bytes->len - h->bytes};
    c->in_head = false;
    list_remove(&c->link);
    c->state = CLIENT_EXCHANGE;
    exchange_start(c, h, bytes);
    if (c->exchange != NULL && bytes->len > 0) /* what a first attempt left of it */
        exchange_body(c->exchange, bytes);
    return true;
}

/* Heads (and the bodies that follow them) from `bytes`; the first `scanned` are known to hold no
 * end of a head. What is left over is held. */
static void feed(struct client *c, struct str bytes, size_t scanned)
{
    c->feeding = true;
    while (c->state == CLIENT_WAITING && !c->stream.closing) {
        if (!c->in_head) {
            bytes = skip_empty_lines(bytes);
            if (bytes.len == 0 || (bytes.len == 1 && bytes.ptr[0] == '\r'))
                break; /* a CR alone may be half an empty line */
            c->in_head = true;
            enlist(c, &c->worker->in_heads);
        }
        if (!feed_head(c, &bytes, scanned))
            break;
        scanned = 0;
    }
    c->feeding = false;
    if (c->stream.closing)
        return;
    if (bytes.len == 0 || c->state == CLIENT_LINGERING)
        held_drop(&c->held);
    else
        held_keep(&c->held, bytes);
    client_update_reading(c);
}

static void on_bytes(struct stream *s, struct str bytes)
{
    struct client *c = client_of(s);

    if (c->state == CLIENT_LINGERING)
        return;
    if (c->state == CLIENT_EXCHANGE && c->held.len == 0) {
        exchange_body(c->exchange, &bytes);
        if (bytes.len == 0 || c->stream.closing || c->state == CLIENT_LINGERING)
            return;
    }
    if (c->state != CLIENT_WAITING) {
        held_keep(&c->held, bytes);
        client_update_reading(c);
        return;
    }
    size_t scanned = c->held.len;
    if (scanned > 0) {
        held_keep(&c->held, bytes);
        bytes = held_str(&c->held);
    }
    feed(c, bytes, scanned);
}

bool client_may_go_on(const struct client *c, const struct head *h)
{
    uint32_t most = c->worker->shared->config->limits.requests;

    return h->keep_alive && !c->worker->draining && (most == 0 || c->requests < most);
}

void client_resume(struct client *c)
{
    if (c->stream.closing || c->state != CLIENT_EXCHANGE)
        return;
    if (c->held.len > 0 && !c->feeding) {
        struct held held = c->held;
        struct str bytes = held_str(&held);
        c->held = (struct held){0};
        c->feeding = true; /* an answer in here changes the state only */
        exchange_body(c->exchange, &bytes);
        c->feeding = false;
        if (!c->stream.closing && c->state != CLIENT_LINGERING)
            held_keep(&c->held, bytes);
        held_drop(&held);
        if (c->state == CLIENT_WAITING && !c->stream.closing)
            next_request(c);
    }
    if (!c->stream.closing)
        client_update_reading(c);
}

static void next_request(struct client *c)
{
    c->state = CLIENT_WAITING;
    enlist(c, &c->worker->waiting);
    if (c->feeding)
        return;
    if (c->held.len > 0)
        feed(c, held_str(&c->held), 0);
    if (c->stream.closing)
        return;
    if (c->state == CLIENT_WAITING && c->ended)
        close_client(c);
    else
        client_update_reading(c);
}

static void linger(struct client *c)
{
    c->state = CLIENT_LINGERING;
    if (c->ended && stream_pending(&c->stream) == 0) {
        close_client(c);
        return;
    }
    stream_shutdown(&c->stream);
    enlist(c, &c->worker->lingering);
    if (!c->feeding)
        held_drop(&c->held);
    client_update_reading(c);
}

void client_done(struct client *c, bool keep_alive, bool body_coming)
{
    c->exchange = NULL;
    c->upload_paused = false;
    if (!keep_alive || body_coming) {
        /* Never close at once: unread bytes would make the kernel reset the answer away. */
        linger(c);
        return;
    }
    if (stream_pending(&c->stream) > 0) {
        c->state = CLIENT_FLUSHING;
        enlist(c, &c->worker->lingering);
        client_update_reading(c);
        return;
    }
    next_request(c);
}

void client_cut(struct client *c)
{
    c->exchange = NULL;
    list_remove(&c->link);
    stream_reset(&c->stream);
}

void client_send(struct client *c, struct str answer, bool keep_alive, bool body_coming)
{
    uv_buf_t buf = uv_buf_init((char *)(uintptr_t)answer.ptr, (unsigned)answer.len);

    c->exchange = NULL;
    if (stream_write(&c->stream, &buf, 1) < 0)
        close_client(c);
    else
        client_done(c, keep_alive, body_coming);
}

void client_answer(struct client *c, const struct forward_error *e, bool keep_alive,
                   bool body_coming)
{
    struct strbuf *out = &c->worker->scratch;
    struct forward_error dated = *e;

    dated.date = worker_date(c->worker);
    strbuf_reset(out);
    forward_error(&dated, out);
    client_send(c, strbuf_str(out), keep_alive, body_coming);
}

void client_log_refusal(struct client *c, const struct head *h, const struct forward_error *e)
{
    const struct shared *s = c->worker->shared;
    const struct str none = {NULL, 0};
    char why[192];

    if (s->access_log == NULL || s->config->access_log.errors != ACCESS_LOG_ERRORS_ALL)
        return;
    snprintf(why, sizeof(why), "%s: %s", e->code, e->message);
    const struct access_entry entry = {
        .request_id = str_from(e->request_id),
        .client = client_peer(c),
        .method = h == NULL ? none : exchange_cut(MEMO_METHOD, h->method),
        .path = h == NULL ? none : exchange_cut(MEMO_PATH, h->path),
        .status = e->status,
        .result = result_names[RESULT_REJECTED],
        .error = why,
        .connect_ns = -1,
        .first_byte_ns = -1,
        .first_token_ns = -1,
        .total_ns = c->worker->loop.now_ns - c->since_ns,
    };
    access_entry_write(&entry, c->worker);
}

static void on_end(struct stream *s, int status)
{
    struct client *c = client_of(s);

    c->ended = true;
    if (c->state == CLIENT_EXCHANGE) {
        exchange_client_end(c->exchange, status);
        return;
    }
    if (c->state == CLIENT_FLUSHING && status == 0)
        return; /* a half-close: what it asked for is still written */
    if (c->state == CLIENT_LINGERING && status == 0 && stream_pending(s) > 0)
        return;
    close_client(c);
}

static void on_drain(struct stream *s)
{
    struct client *c = client_of(s);

    if (c->state == CLIENT_EXCHANGE)
        exchange_client_drained(c->exchange);
    else if (c->state == CLIENT_FLUSHING)
        next_request(c);
    else if (c->state == CLIENT_LINGERING && c->ended)
        close_client(c);
}

static void on_closed(struct stream *s)
{
    struct client *c = client_of(s);

    c->worker->clients--;
    stat_add(&c->worker->stats.connections_active, -1);
    atomic_fetch_sub(&c->worker->shared->connections_active, 1);
    atomic_fetch_sub(&c->worker->shared->sockets, 1);
    held_drop(&c->held);
    free(c);
}

static const struct stream_events events = {
    .on_connect = on_connect,
    .on_bytes = on_bytes,
    .on_end = on_end,
    .on_drain = on_drain,
    .on_closed = on_closed,
};

static struct client *oldest(struct list *list, int64_t before_ns)
{
    if (list_empty(list))
        return NULL;
    struct client *c = CONTAINER_OF(list->next, struct client, link);
    return c->since_ns <= before_ns ? c : NULL;
}

void client_sweep(struct worker *w, int64_t now_ns)
{
    struct client *c;

    while ((c = oldest(&w->handshakes, now_ns - w->shared->config->limits.handshake_timeout_ns)) !=
           NULL) {
        stat_add(&w->stats.handshake_failures, 1);
        close_client(c);
    }
    while ((c = oldest(&w->in_heads, now_ns - w->shared->config->limits.header_timeout_ns)) != NULL)
        refuse(c, 408, "the head did not arrive within limits.header_timeout");
    struct list *next;
    for (struct list *at = w->lingering.next; at != &w->lingering; at = next) {
        next = at->next;
        c = CONTAINER_OF(at, struct client, link);
        bool reads = stream_pending(&c->stream) > 0; /* still taking its answer, perhaps */
        if (now_ns - c->since_ns >
            (reads ? w->shared->config->limits.idle_timeout_ns : LINGER_S * NS_PER_SEC))
            close_client(c);
    }
}

bool client_close_idle(struct worker *w, int64_t since_ns)
{
    for (int i = 0; i < WORKER_CLOSES_MAX; i++) {
        struct client *c = oldest(&w->waiting, since_ns);
        if (c == NULL)
            return false;
        close_client(c);
    }
    return true;
}

void client_close_all(struct worker *w)
{
    struct list *lists[] = {&w->handshakes, &w->waiting, &w->in_heads, &w->lingering};

    for (size_t i = 0; i < ARRAY_LEN(lists); i++)
        while (!list_empty(lists[i]))
            close_client(CONTAINER_OF(lists[i]->next, struct client, link));
}
