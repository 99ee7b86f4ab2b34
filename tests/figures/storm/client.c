/* Clients: a thread each, one request after the other over a kept connection, four at once now and
 * then. What could not be sent because an earlier answer ended the connection is sent again on a
 * new one, as RFC 9112 (9.3.2) has it. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/figures/storm/storm.h"
#include "tests/figures/storm/wire.h"

enum { BATCH = 4, PIPELINED_EVERY = 10, THREADS_MAX = 512, CHUNK = 64 };

struct client {
    struct storm *storm;
    struct wire wire; /* fd -1: not connected */
};

static void hang_up(struct client *c)
{
    if (c->wire.fd >= 0)
        close(c->wire.fd);
    c->wire.fd = -1;
}

static bool connected(struct client *c)
{
    if (c->wire.fd < 0) {
        int fd = wire_connect(c->storm->proxy_port);
        wire_init(&c->wire, fd);
    }
    return c->wire.fd >= 0;
}

static const char *method_of(enum send_kind kind)
{
    switch (kind) {
    case SEND_HEAD:
        return "HEAD";
    case SEND_PUT:
        return "PUT";
    case SEND_POST:
    case SEND_POST_CHUNKED:
    case SEND_POST_EXPECT:
    case SEND_POST_LARGE:
    case SEND_ABORT_POST:
    case SEND_ABORT_BODY:
    case SEND_ABORT_ANSWER:
        return "POST";
    default:
        return "GET";
    }
}

static size_t head_of(const struct script *s, uint64_t id, char *to, size_t max)
{
    const char *method = method_of(s->send);
    bool body = method[0] == 'P';
    char framing[96] = "";

    if (s->send == SEND_POST_CHUNKED)
        snprintf(framing, sizeof(framing), "Transfer-Encoding: chunked\r\n");
    else if (body)
        snprintf(framing, sizeof(framing), "Content-Length: %u\r\n%s", s->request_bytes,
                 s->send == SEND_POST_EXPECT ? "Expect: 100-continue\r\n" : "");
    return (size_t)snprintf(
        to, max, "%s /storm/%llu HTTP/1.%d\r\nHost: storm\r\nX-Id: %llu\r\n%s\r\n", method,
        (unsigned long long)id, s->send == SEND_GET_10 ? 0 : 1, (unsigned long long)id, framing);
}

static bool send_letters(int fd, char letter, size_t count)
{
    char letters[8192];

    memset(letters, letter, sizeof(letters));
    while (count > 0) {
        size_t n = count < sizeof(letters) ? count : sizeof(letters);
        if (!wire_send(fd, letters, n))
            return false;
        count -= n;
    }
    return true;
}

static bool send_chunks(int fd, const struct script *s)
{
    for (uint32_t left = s->request_bytes; left > 0;) {
        uint32_t size = left < CHUNK ? left : CHUNK;
        char chunk[CHUNK + 16];
        int n = snprintf(chunk, sizeof(chunk), "%x\r\n", size);
        memset(chunk + n, s->letter, size);
        memcpy(chunk + n + size, "\r\n", 2);
        if (!wire_send(fd, chunk, (size_t)n + size + 2))
            return false;
        left -= size;
    }
    return wire_send_text(fd, "0\r\n\r\n");
}

/* Waits for a word on the expectation. True: the body is asked for. *h is then not final. */
static bool asked_for_body(struct client *c, struct wire_head *h)
{
    do
        if (wire_read_head(&c->wire, h) != WIRE_WHOLE)
            return false;
    while (h->status < 200 && h->status != 100);
    return h->status == 100;
}

static enum fate judge(const struct script *s, uint64_t id, const struct wire_head *h,
                       enum wire_end end, uint64_t bytes, bool to_head)
{
    bool from_backend = h->version[0] != '\0';

    if (end == WIRE_CUT)
        return FATE_CUT;
    if (end == WIRE_WRONG || (from_backend && h->id != (int64_t)id))
        return FATE_WRONG;
    if (from_backend && strcmp(h->version, h->sluice_version) != 0)
        return FATE_VERSION;
    if (h->status >= 400)
        return FATE_ERROR;
    if (!from_backend ||
        (h->status != 204 && !to_head && !h->event_stream && bytes != s->answer_bytes))
        return FATE_WRONG;
    return FATE_OK;
}

/* The final answer; `h` may hold its head already. The connection is closed when it ends with it.
 */
static void take_answer(struct client *c, const struct script *s, uint64_t id, struct wire_head *h)
{
    struct record *r = &c->storm->records[id];
    bool to_head = s->send == SEND_HEAD;
    uint64_t bytes = 0;
    enum wire_end end = WIRE_WHOLE;

    while (h->status < 200 && end == WIRE_WHOLE)
        end = wire_read_head(&c->wire, h);
    if (end != WIRE_WHOLE) {
        r->fate = end == WIRE_WRONG ? FATE_WRONG : FATE_LOST;
        hang_up(c);
        return;
    }
    if (!to_head) {
        char letter = h->version[0] == '\0' || h->event_stream ? 0 : s->letter;
        end = wire_read_body(&c->wire, h, letter, &bytes);
    }
    r->status = (uint16_t)h->status;
    r->fate = (uint8_t)judge(s, id, h, end, bytes, to_head);
    if (end != WIRE_WHOLE || h->close || h->http10 || s->send == SEND_GET_10 ||
        s->send == SEND_GET_HALF_CLOSE)
        hang_up(c);
}

/* Clients that go away. Nothing is asked of their requests but that they arrive at most once. */
static void abort_one(struct client *c, const struct script *s, const char *head, size_t len)
{
    char some[64];

    wire_send(c->wire.fd, head, len);
    if (s->send == SEND_ABORT_BODY) {
        send_letters(c->wire.fd, s->letter, s->request_bytes / 2);
    } else if (s->send != SEND_ABORT_GET) {
        send_letters(c->wire.fd, s->letter, s->request_bytes);
        if (s->send == SEND_ABORT_ANSWER)
            (void)recv(c->wire.fd, some, sizeof(some), 0);
    }
    if (s->send == SEND_ABORT_POST) {
        wire_reset(c->wire.fd);
        c->wire.fd = -1;
    }
    hang_up(c);
}

static void send_one(struct client *c, uint64_t id)
{
    struct script s = script_of(id);
    struct wire_head h = {.status = 0};
    char head[512];
    size_t len = head_of(&s, id, head, sizeof(head));

    c->storm->records[id].fate = FATE_LOST;
    if (!connected(c))
        return;
    if (s.aborts) {
        c->storm->records[id].fate = FATE_NONE;
        abort_one(c, &s, head, len);
        return;
    }
    /* A write that fails says nothing yet: the answer may have come early. */
    bool sent = wire_send(c->wire.fd, head, len);
    if (s.send == SEND_POST_EXPECT && sent && !asked_for_body(c, &h)) {
        if (h.status == 0) {
            hang_up(c);
            return;
        }
        take_answer(c, &s, id, &h);
        hang_up(c); /* the body that was announced never comes */
        return;
    }
    h.status = 0;
    if (sent && s.send == SEND_POST_CHUNKED)
        send_chunks(c->wire.fd, &s);
    else if (sent && method_of(s.send)[0] == 'P')
        send_letters(c->wire.fd, s.letter, s.request_bytes);
    if (s.send == SEND_GET_HALF_CLOSE)
        shutdown(c->wire.fd, SHUT_WR);
    take_answer(c, &s, id, &h);
}

/* Four requests in one write, where all four are plain GETs; what follows an end of the connection
 * is left for send_one. Returns how many were answered. */
static uint64_t send_pipelined(struct client *c, uint64_t first)
{
    char heads[BATCH * 256];
    size_t len = 0;

    for (uint64_t i = 0; i < BATCH; i++) {
        struct script s = script_of(first + i);
        if (s.send != SEND_GET)
            return 0;
        len += head_of(&s, first + i, heads + len, sizeof(heads) - len);
    }
    hang_up(c);
    if (!connected(c) || !wire_send(c->wire.fd, heads, len))
        return 0;
    for (uint64_t i = 0; i < BATCH; i++) {
        struct script s = script_of(first + i);
        struct wire_head h = {.status = 0};
        take_answer(c, &s, first + i, &h);
        if (c->wire.fd < 0)
            return i + 1;
    }
    return BATCH;
}

static void *run(void *arg)
{
    struct client *c = arg;
    struct storm *storm = c->storm;

    for (;;) {
        uint64_t at = atomic_fetch_add(&storm->next, BATCH), end = storm->first + storm->count;
        if (at >= end)
            break;
        uint64_t done = 0;
        if (at + BATCH <= end && at / BATCH % PIPELINED_EVERY == 0)
            done = send_pipelined(c, at);
        for (uint64_t id = at + done; id < at + BATCH && id < end; id++)
            send_one(c, id);
    }
    hang_up(c);
    return NULL;
}

void clients_run(struct storm *storm, int connections)
{
    static struct client clients[THREADS_MAX];
    pthread_t threads[THREADS_MAX];

    atomic_store(&storm->next, storm->first);
    for (int i = 0; i < connections; i++) {
        clients[i].storm = storm;
        clients[i].wire.fd = -1;
        if (pthread_create(&threads[i], NULL, run, &clients[i]) != 0) {
            fprintf(stderr, "storm: no thread\n");
            exit(1);
        }
    }
    for (int i = 0; i < connections; i++)
        pthread_join(threads[i], NULL);
}
