/* Backends that fail as they are told: a thread for each connection. A request that comes a second
 * time (a retry, or stable in the canary's place) is answered well, so that it shows in the
 * client's answer whether it was saved. */
#include <arpa/inet.h>
#include <netinet/tcp.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/figures/storm/storm.h"
#include "tests/figures/storm/wire.h"

enum { STACK_BYTES = 256 * 1024, OPEN_MAX = 65536, WHOLE_MAX = 4096, STALL_S = 4 };

const char *const backend_versions[BACKENDS] = {"1.0.0", "1.0.0", "2.0.0", "2.0.0"};

struct listener {
    struct storm *storm;
    uint8_t index;
    int fd;
};

struct job {
    const struct listener *listener;
    int fd;
};

static _Atomic bool open_fds[OPEN_MAX];

struct answer {
    int fd;
    const char *version;
    struct script script;
    int64_t id;
    bool to_head;
};

static bool send_head(const struct answer *a, const char *start, const char *framing)
{
    char head[512];
    int n =
        snprintf(head, sizeof(head), "HTTP/1.1 %s\r\nX-Id: %lld\r\nX-Model-Version: %s\r\n%s\r\n",
                 start, (long long)a->id, a->version, framing);

    return wire_send(a->fd, head, (size_t)n);
}

static bool send_letters(const struct answer *a, size_t count)
{
    char letters[16 * 1024];

    memset(letters, a->script.letter, sizeof(letters));
    while (count > 0) {
        size_t n = count < sizeof(letters) ? count : sizeof(letters);
        if (!wire_send(a->fd, letters, n))
            return false;
        count -= n;
    }
    return true;
}

static bool send_length(const struct answer *a, const char *start, size_t announced, size_t sent)
{
    char framing[64];

    snprintf(framing, sizeof(framing), "Content-Length: %zu\r\n", announced);
    return send_head(a, start, framing) && (a->to_head || send_letters(a, sent));
}

static bool send_chunk(const struct answer *a, size_t size)
{
    char line[32];
    int n = snprintf(line, sizeof(line), "%zx\r\n", size);

    return wire_send(a->fd, line, (size_t)n) && send_letters(a, size) &&
           wire_send_text(a->fd, "\r\n");
}

static bool send_chunked(const struct answer *a, const char *end)
{
    size_t half = a->script.answer_bytes / 2;

    if (!send_head(a, "200 OK", "Transfer-Encoding: chunked\r\n"))
        return false;
    return a->to_head || (send_chunk(a, half) && send_chunk(a, a->script.answer_bytes - half) &&
                          wire_send_text(a->fd, end));
}

static bool send_stream(const struct answer *a)
{
    static const char event[] = "data: {\"choices\":[{\"delta\":{\"content\":\"x\"}}]}\n\n";
    static const char done[] = "data: [DONE]\n\n";
    char chunk[128];

    if (!send_head(a, "200 OK",
                   "Content-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n"))
        return false;
    for (int i = 0; i < 4 && !a->to_head; i++) {
        const char *text = i < 3 ? event : done;
        int n = snprintf(chunk, sizeof(chunk), "%zx\r\n%s\r\n%s", strlen(text), text,
                         i < 3 ? "" : "0\r\n\r\n");
        if (!wire_send(a->fd, chunk, (size_t)n))
            return false;
    }
    return true;
}

/* The whole answer with Content-Length in `to`; returns its length. */
static size_t whole_answer(const struct answer *a, char *to, size_t max)
{
    size_t n = (size_t)snprintf(
        to, max,
        "HTTP/1.1 200 OK\r\nX-Id: %lld\r\nX-Model-Version: %s\r\nContent-Length: %u\r\n\r\n",
        (long long)a->id, a->version, a->script.answer_bytes);
    size_t body = a->to_head ? 0 : a->script.answer_bytes;

    memset(to + n, a->script.letter, body);
    return n + body;
}

static bool send_pieces(const struct answer *a)
{
    char whole[WHOLE_MAX];
    size_t n = whole_answer(a, whole, sizeof(whole)), piece = 17;

    for (size_t at = 0; at < n; at += piece) {
        piece = at < 300 ? 17 : 600;
        if (!wire_send(a->fd, whole + at, n - at < piece ? n - at : piece))
            return false;
    }
    return true;
}

/* With another answer right behind it, in one write: what comes later, when the connection may be
 * in use again, no proxy could tell from an answer. */
static void send_surplus(const struct answer *a)
{
    static const char evil[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    char whole[WHOLE_MAX];
    size_t n = whole_answer(a, whole, sizeof(whole));

    memcpy(whole + n, evil, sizeof(evil) - 1);
    wire_send(a->fd, whole, n + sizeof(evil) - 1);
}

/* Answers that go well. True: the connection may be used again. */
static bool answer_well(const struct answer *a)
{
    size_t bytes = a->script.answer_bytes;

    switch (a->script.answer) {
    case ANSWER_CHUNKED:
        return send_chunked(a, "0\r\n\r\n");
    case ANSWER_STREAM:
        return send_stream(a);
    case ANSWER_TO_CLOSE:
        if (send_head(a, "200 OK", "") && !a->to_head)
            send_letters(a, bytes);
        return false;
    case ANSWER_PIECES:
        return send_pieces(a);
    case ANSWER_INTERIM:
        return wire_send_text(a->fd, "HTTP/1.1 103 Early\r\nLink: </x>\r\n\r\n") &&
               send_length(a, "200 OK", bytes, bytes);
    case ANSWER_NOTHING:
        return send_head(a, "204 No Content", "");
    case ANSWER_LAST:
        send_length(a, "200 OK", bytes, bytes);
        return false;
    case ANSWER_SURPLUS:
        send_surplus(a);
        return false;
    case ANSWER_EARLY:
        send_length(a, "200 OK", bytes, bytes);
        return false;
    default:
        return send_length(a, "200 OK", bytes, bytes);
    }
}

/* Waits until the proxy gives up. */
static void stall(int fd)
{
    char byte;

    for (int i = 0; i < STALL_S && recv(fd, &byte, 1, 0) > 0; i++)
        ;
}

/* Answers that do not. Never true; *ret_reset asks for a reset instead of a FIN. */
static bool answer_badly(const struct answer *a, bool *ret_reset)
{
    size_t bytes = a->script.answer_bytes;

    switch (a->script.answer) {
    case ANSWER_RESET:
        *ret_reset = true;
        break;
    case ANSWER_GARBAGE:
        wire_send_text(a->fd, "220 mail.example.com ESMTP\r\n\r\n");
        break;
    case ANSWER_SILENT:
        stall(a->fd);
        break;
    case ANSWER_SHORT:
        send_length(a, "200 OK", bytes, bytes / 2);
        break;
    case ANSWER_CUT_CHUNK:
        send_chunked(a, "10\r\n");
        break;
    case ANSWER_BAD_CHUNK:
        send_chunked(a, "0x10\r\n");
        break;
    case ANSWER_CUT_RESET:
        send_length(a, "200 OK", bytes, bytes / 2);
        usleep(2000); /* the reset must not overtake the head */
        *ret_reset = true;
        break;
    case ANSWER_STALLED:
        if (send_length(a, "200 OK", bytes, bytes / 2))
            stall(a->fd);
        break;
    default:
        break;
    }
    return false;
}

static bool answer(const struct answer *a, bool first, bool *ret_reset)
{
    if (!first || a->script.answer < ANSWER_500) {
        struct answer well = *a;
        if (!first)
            well.script.answer = ANSWER_LENGTH;
        return answer_well(&well);
    }
    if (a->script.answer == ANSWER_500)
        return send_length(a, "500 Failed", a->script.answer_bytes, a->script.answer_bytes);
    if (a->script.answer == ANSWER_429)
        return send_length(a, "429 Slow down", a->script.answer_bytes, a->script.answer_bytes);
    return answer_badly(a, ret_reset);
}

/* One request; false: the connection ends. */
static bool serve_one(struct wire *w, const struct listener *l, bool *ret_reset)
{
    struct wire_head h;
    uint64_t bytes;
    enum wire_end end = wire_read_head(w, &h);

    if (end != WIRE_WHOLE || !h.request || h.id < 0 ||
        (uint64_t)h.id >= l->storm->first + l->storm->count) {
        if (end == WIRE_WRONG || (end == WIRE_WHOLE && h.id < 0))
            atomic_fetch_add(&l->storm->not_http, 1);
        return false;
    }
    bool first = atomic_fetch_add(&l->storm->records[h.id].seen, 1) == 0;
    if (first)
        l->storm->records[h.id].first = l->index;
    struct answer a = {w->fd, backend_versions[l->index], script_of((uint64_t)h.id), h.id,
                       strcmp(h.method, "HEAD") == 0};
    if (!(first && a.script.answer == ANSWER_EARLY)) {
        if (h.expect && !wire_send_text(w->fd, "HTTP/1.1 100 Continue\r\n\r\n"))
            return false;
        end = wire_read_body(w, &h, a.script.letter, &bytes);
        bool has_body = h.chunked || h.length > 0;
        if (end == WIRE_WHOLE && has_body && bytes != a.script.request_bytes)
            end = WIRE_WRONG;
        if (end == WIRE_WRONG)
            atomic_fetch_add(&l->storm->corrupted, 1);
        if (end != WIRE_WHOLE)
            return false;
    }
    return answer(&a, first, ret_reset);
}

/* A FIN that the peer is sure to see: what it still sends is read, so that no reset overtakes what
 * was written. */
static void close_gently(int fd)
{
    struct timeval wait = {.tv_sec = 1};
    char rest[4096];

    shutdown(fd, SHUT_WR);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
    while (recv(fd, rest, sizeof(rest), 0) > 0)
        ;
    close(fd);
}

static void *serve(void *arg)
{
    struct job job = *(struct job *)arg;
    struct wire w;
    bool reset = false;

    free(arg);
    wire_init(&w, job.fd);
    while (serve_one(&w, job.listener, &reset))
        ;
    atomic_store(&open_fds[job.fd], false);
    if (reset)
        wire_reset(job.fd);
    else
        close_gently(job.fd);
    atomic_fetch_sub(&job.listener->storm->backend_connections, 1);
    return NULL;
}

static void start_thread(void *(*run)(void *), void *arg)
{
    pthread_attr_t attributes;
    pthread_t thread;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, STACK_BYTES);
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    if (pthread_create(&thread, &attributes, run, arg) != 0) {
        fprintf(stderr, "storm: no thread\n");
        exit(1);
    }
    pthread_attr_destroy(&attributes);
}

static void *accept_all(void *arg)
{
    const struct listener *l = arg;
    int one = 1, fd;

    while ((fd = accept4(l->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        struct job *job = malloc(sizeof(*job));
        if (job == NULL || fd >= OPEN_MAX) {
            fprintf(stderr, "storm: out of memory or descriptors\n");
            exit(1);
        }
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
        *job = (struct job){l, fd};
        atomic_fetch_add(&l->storm->backend_connections, 1);
        atomic_store(&open_fds[fd], true);
        start_thread(serve, job);
    }
    perror("storm: accept");
    exit(1);
}

int backend_start(struct storm *storm, uint16_t ports[static BACKENDS])
{
    static struct listener listeners[BACKENDS];

    for (int i = 0; i < BACKENDS; i++) {
        struct sockaddr_in address = {.sin_family = AF_INET};
        socklen_t len = sizeof(address);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (fd < 0 || bind(fd, (struct sockaddr *)&address, len) != 0 || listen(fd, 1024) != 0 ||
            getsockname(fd, (struct sockaddr *)&address, &len) != 0)
            return -1;
        ports[i] = ntohs(address.sin_port);
        listeners[i] = (struct listener){storm, (uint8_t)i, fd};
        start_thread(accept_all, &listeners[i]);
    }
    return 0;
}

void backend_drop_all(struct storm *storm)
{
    for (int round = 0; round < 100 && atomic_load(&storm->backend_connections) > 0; round++) {
        for (int fd = 0; fd < OPEN_MAX; fd++)
            if (atomic_load(&open_fds[fd]))
                shutdown(fd, SHUT_RDWR);
        usleep(50 * 1000);
    }
}
