#include "tests/bench/connection.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/err.h>

enum { HEAD_BYTES_MAX = 1024 };

static struct connection_plan *session_owner;

void connection_plan_request(struct connection_plan *plan, const char *host, size_t body,
                             bool closes)
{
    static char request[CONNECTION_REQUEST_BYTES_MAX + HEAD_BYTES_MAX];
    static const char begins[] = "{\"model\":\"bench\",\"prompt\":\"", ends[] = "\"}";
    size_t fixed = sizeof(begins) - 1 + sizeof(ends) - 1;

    if (body < fixed)
        body = fixed;
    size_t head = (size_t)snprintf(request, sizeof(request),
                                   "POST /v1/chat/completions HTTP/1.1\r\n"
                                   "Host: %s\r\n"
                                   "Accept: %s\r\n"
                                   "Accept-Encoding: gzip, deflate\r\n"
                                   "User-Agent: bench-load/1.0\r\n"
                                   "%s"
                                   "Content-Type: application/json\r\n"
                                   "Authorization: Bearer sk-0123456789abcdefghijklmnopqrstuv\r\n"
                                   "Content-Length: %zu\r\n\r\n",
                                   host, plan->stream ? "text/event-stream" : "application/json",
                                   closes ? "Connection: close\r\n" : "", body);
    if (head >= HEAD_BYTES_MAX)
        common_die("the host's name is too long");
    char *end = mempcpy(request + head, begins, sizeof(begins) - 1);
    end = (char *)memset(end, 'x', body - fixed) + body - fixed;
    memcpy(end, ends, sizeof(ends) - 1);
    plan->request = request;
    plan->request_len = head + body;
}

/* The first session serves all: it is a ticket, and a ticket may be shown again and again. OpenSSL
 * takes one that was used out of circulation, so that every use is that of a copy. */
static int keep_session(SSL *ssl, SSL_SESSION *session)
{
    (void)ssl;
    if (session_owner->session == NULL)
        session_owner->session = SSL_SESSION_dup(session);
    return 0;
}

void connection_plan_tls(struct connection_plan *plan)
{
    plan->tls = SSL_CTX_new(TLS_client_method());
    if (plan->tls == NULL || SSL_CTX_set_min_proto_version(plan->tls, TLS1_3_VERSION) != 1 ||
        SSL_CTX_set_ciphersuites(plan->tls, "TLS_AES_128_GCM_SHA256") != 1 ||
        SSL_CTX_set1_groups_list(plan->tls, "X25519") != 1)
        common_die("TLS");
    /* What is measured is the peer: checking its certificate would be this program's cost. */
    SSL_CTX_set_verify(plan->tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(plan->tls, SSL_MODE_RELEASE_BUFFERS);
    SSL_CTX_set_read_ahead(plan->tls, 1);
    session_owner = plan;
    SSL_CTX_set_session_cache_mode(plan->tls,
                                   SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL_STORE);
    SSL_CTX_sess_set_new_cb(plan->tls, keep_session);
}

static enum connection_result fail(struct connection *c, enum connection_failure failure)
{
    c->failure = failure;
    return CONNECTION_FAILED;
}

static enum connection_result shake_hands(struct connection *c)
{
    int result = SSL_connect(c->ssl);

    if (result != 1)
        return SSL_get_error(c->ssl, result) == SSL_ERROR_WANT_READ ? CONNECTION_NOTHING
                                                                    : fail(c, FAILURE_CONNECT);
    if (c->resumes && !SSL_session_reused(c->ssl))
        return fail(c, FAILURE_RESUMPTION);
    c->state = CONNECTION_IDLE;
    return CONNECTION_OPEN;
}

enum connection_result connection_open(struct connection *c, struct connection_plan *plan)
{
    c->head_len = 0;
    c->fd = common_connect(plan->address);
    if (c->fd < 0)
        return fail(c, FAILURE_CONNECT);
    common_watch(plan->epoll, EPOLL_CTL_ADD, c->fd, EPOLLIN, c);
    if (plan->tls == NULL) {
        c->state = CONNECTION_IDLE;
        return CONNECTION_OPEN;
    }
    c->state = CONNECTION_SHAKES;
    c->ssl = SSL_new(plan->tls);
    if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1 ||
        SSL_set_tlsext_host_name(c->ssl, "api.example.com") != 1)
        common_die("TLS");
    if (plan->resume && plan->session != NULL) {
        SSL_SESSION *copy = SSL_SESSION_dup(plan->session);
        SSL_set_session(c->ssl, copy);
        SSL_SESSION_free(copy);
        c->resumes = true;
    }
    return shake_hands(c);
}

bool connection_send(struct connection *c, const struct connection_plan *plan)
{
    ssize_t n = c->ssl != NULL ? SSL_write(c->ssl, plan->request, (int)plan->request_len)
                               : send(c->fd, plan->request, plan->request_len, 0);

    c->state = CONNECTION_HEAD;
    /* An empty socket takes a request whole; what it does not take has no reader. */
    if (n != (ssize_t)plan->request_len) {
        fail(c, FAILURE_SEND);
        return false;
    }
    return true;
}

/* recv() over either: 0 at the end, -1 when nothing is there or it broke; errno EAGAIN tells. */
static ssize_t receive(struct connection *c, char *room, size_t size)
{
    if (c->ssl == NULL)
        return recv(c->fd, room, size, 0);
    int n = SSL_read(c->ssl, room, (int)size);
    if (n > 0)
        return n;
    int error = SSL_get_error(c->ssl, n);
    if (error == SSL_ERROR_ZERO_RETURN)
        return 0;
    errno = error == SSL_ERROR_WANT_READ ? EAGAIN : EPROTO;
    return -1;
}

static uint64_t count_marks(const char *bytes, size_t len)
{
    const char *end = bytes + len;
    uint64_t marks = 0;

    while (bytes < end && (bytes = memchr(bytes, COMMON_EVENT_MARK, (size_t)(end - bytes))) != NULL)
        marks++, bytes++;
    return marks;
}

/* Fields of a whole head; false, with a failure, when it is not the answer that was expected. */
static bool read_head(struct connection *c, const struct connection_plan *plan, const char *head,
                      const char *end)
{
    const char *line = head;
    bool has_length = false;

    if (end - head < 12 || memcmp(head, "HTTP/1.1 200", 12) != 0) {
        fail(c, FAILURE_STATUS);
        return false;
    }
    if (plan->stream) {
        c->state = CONNECTION_STREAM;
        return true;
    }
    while ((line = memchr(line, '\n', (size_t)(end - line))) != NULL && ++line < end) {
        if ((*line | 0x20) == 'c' && strncasecmp(line, "content-length:", 15) == 0) {
            c->body_left = strtoull(line + 15, NULL, 10);
            has_length = true;
        }
    }
    c->state = CONNECTION_BODY;
    if (!has_length || c->body_left != plan->answer_len)
        fail(c, FAILURE_LENGTH);
    return has_length && c->body_left == plan->answer_len;
}

static enum connection_result take(struct connection *c, const struct connection_plan *plan,
                                   const char *bytes, size_t len)
{
    if (c->state == CONNECTION_HEAD) {
        const char *end = memmem(bytes, len, "\r\n\r\n", 4);
        if (end == NULL) {
            if (len > CONNECTION_HEAD_BYTES)
                return fail(c, FAILURE_STATUS);
            if (c->head == NULL)
                c->head = common_allocate(CONNECTION_HEAD_BYTES);
            memcpy(c->head, bytes, len);
            c->head_len = len;
            return CONNECTION_NOTHING;
        }
        c->head_len = 0;
        if (!read_head(c, plan, bytes, end + 2))
            return CONNECTION_FAILED;
        len -= (size_t)(end + 4 - bytes);
        bytes = end + 4;
    }
    if (c->state == CONNECTION_STREAM) {
        c->events = count_marks(bytes, len);
        return c->events > 0 ? CONNECTION_EVENTS : CONNECTION_NOTHING;
    }
    if (len > c->body_left)
        return fail(c, FAILURE_LENGTH);
    c->body_left -= len;
    if (c->body_left > 0)
        return CONNECTION_NOTHING;
    c->state = CONNECTION_IDLE;
    return CONNECTION_ANSWERED;
}

enum connection_result connection_read(struct connection *c, const struct connection_plan *plan)
{
    enum connection_result result;

    if (c->state == CONNECTION_SHAKES)
        return shake_hands(c);
    do {
        char *room = common_buffer;
        if (c->head_len > 0) {
            memcpy(room, c->head, c->head_len);
            room += c->head_len;
        }
        ssize_t n = receive(c, room, COMMON_READ_BYTES - c->head_len);
        if (n < 0 && errno == EAGAIN)
            return CONNECTION_NOTHING;
        if (c->state == CONNECTION_IDLE) /* no answer is owed */
            return n == 0 ? CONNECTION_ENDED : fail(c, n < 0 ? FAILURE_CUT : FAILURE_LENGTH);
        if (n <= 0)
            return fail(c, FAILURE_CUT);
        result = take(c, plan, common_buffer, c->head_len + (size_t)n);
        /* TLS gives a record at a time, and what it has read already wakes nobody up. */
    } while (c->ssl != NULL && result == CONNECTION_NOTHING);
    return result;
}

void connection_close(struct connection *c)
{
    if (c->ssl != NULL) {
        SSL_set_quiet_shutdown(c->ssl, 1);
        SSL_shutdown(c->ssl);
        SSL_free(c->ssl);
        ERR_clear_error(); /* of this connection: the queue is everybody's */
    }
    if (c->state != CONNECTION_CLOSED)
        close(c->fd);
    free(c->head);
    *c = (struct connection){.fd = -1};
}
