#ifndef TESTS_BENCH_CONNECTION_H
#define TESTS_BENCH_CONNECTION_H

#include <openssl/ssl.h>

#include "tests/bench/common.h"

/* One connection of the generator: it sends the prepared request and checks the answer. */

enum { CONNECTION_HEAD_BYTES = 4096, CONNECTION_REQUEST_BYTES_MAX = 1 << 20 };

enum connection_result {
    CONNECTION_NOTHING,  /* not yet */
    CONNECTION_OPEN,     /* the handshake is done: it may send */
    CONNECTION_ANSWERED, /* the whole answer came, as it should be */
    CONNECTION_EVENTS,   /* so many events of a stream came: connection.events */
    CONNECTION_ENDED,    /* the peer closed it while nothing was owed */
    CONNECTION_FAILED,   /* connection.failure says how */
};

enum connection_failure {
    FAILURE_CONNECT, /* refused, or the handshake failed */
    FAILURE_SEND,
    FAILURE_STATUS,    /* not 200 */
    FAILURE_LENGTH,    /* not the length that is expected, or not to be told */
    FAILURE_CUT,       /* closed before the end of the answer */
    FAILURE_RESUMPTION /* a full handshake where a resumed one was due */
};

enum connection_state {
    CONNECTION_CLOSED,
    CONNECTION_SHAKES, /* hands */
    CONNECTION_IDLE,
    CONNECTION_HEAD,
    CONNECTION_BODY,
    CONNECTION_STREAM,
};

struct connection {
    int fd;
    enum connection_state state;
    enum connection_failure failure;
    SSL *ssl; /* NULL: plain */
    bool resumes;
    uint64_t body_left;
    uint64_t events;
    uint64_t start_ns; /* the caller's: when the request was due */
    struct connection *next;
    char *head; /* of an answer whose head came in pieces */
    size_t head_len;
};

/* What all connections do. */
struct connection_plan {
    struct sockaddr_in address;
    const char *request;
    size_t request_len;
    uint64_t answer_len; /* of a body; with stream unused */
    bool stream;
    SSL_CTX *tls; /* NULL: plain */
    bool resume;  /* handshakes take up the first one's session, and fail when they cannot */
    SSL_SESSION *session;
    int epoll;
};

/* The request, as an SDK sends it, with a body of JSON of that size; closes: with `Connection:
 * close`. plan->stream decides what it accepts. */
void connection_plan_request(struct connection_plan *plan, const char *host, size_t body,
                             bool closes);

/* A context that speaks TLS 1.3 with one cipher suite, so that every peer computes the same, and
 * keeps its first session in plan->session. */
void connection_plan_tls(struct connection_plan *plan);

/* Connects: CONNECTION_OPEN, CONNECTION_NOTHING when a handshake is under way, or _FAILED. */
enum connection_result connection_open(struct connection *c, struct connection_plan *plan);

/* Sends the request over an idle connection; false: CONNECTION_FAILED. */
bool connection_send(struct connection *c, const struct connection_plan *plan);

/* What its socket's being readable brings. */
enum connection_result connection_read(struct connection *c, const struct connection_plan *plan);

void connection_close(struct connection *c);

#endif
