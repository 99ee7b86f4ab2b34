/* net/serve_internal.h — what the files of net/serve share; nobody else includes it.
 *
 * serve.c owns the listener and the sweep, serve_conn.c the bytes of one connection,
 * serve_request.c the parsed request, serve_answer.c what is sent back. A request is detached from
 * its connection (conn == NULL) when the client went before it was ended.
 */
#ifndef NET_SERVE_INTERNAL_H
#define NET_SERVE_INTERNAL_H

#include <netinet/in.h>

#include <llhttp.h>
#include <uv.h>

#include "base/list.h"
#include "base/strbuf.h"
#include "net/acceptor.h"
#include "net/serve.h"

enum {
    SERVE_FIELDS_MAX = 128,
    SERVE_PARAMS_MAX = 32,
    SERVE_READ_BYTES = 64 * 1024, /* one buffer for all connections */
    SERVE_HELD_MAX = 64 * 1024,   /* pipelined bytes kept while a request is handled */
    SERVE_EXTRA_MAX = 16 * 1024,  /* header fields a handler adds */
    SERVE_STREAM_QUEUE_MAX = 1024 * 1024,
    SERVE_REPLY_QUEUE_MAX = 256 * 1024 * 1024,
    SERVE_POOL_MAX = 64,              /* idle request objects kept */
    SERVE_POOL_BYTES_MAX = 16 * 1024, /* larger ones give their buffer back */
    SERVE_DATE_BYTES = 32,
};

struct serve_span {
    size_t at, len;
};

struct serve_field {
    struct serve_span name, value;
};

struct serve_param {
    struct str name, value; /* percent-decoded */
};

struct serve_conn;

struct serve_request {
    struct serve_conn *conn; /* NULL: the client is gone */
    uv_loop_t *loop;
    struct serve_request *next_free;

    /* what was asked */
    llhttp_t parser;
    size_t head_max, body_max;
    char *data; /* target, fields, decoded path, body; moves while the request is read */
    size_t len, cap;
    size_t mark;     /* where the present element began */
    size_t head_raw; /* bytes fed before the head was complete */
    size_t idle_raw; /* bytes fed since the body last grew: chunk extensions and trailers */
    struct serve_span target, path, query, body, name;
    struct serve_field fields[SERVE_FIELDS_MAX];
    size_t field_count;
    struct serve_param *params; /* on first use */
    size_t param_count;
    char *params_text;
    char peer[INET6_ADDRSTRLEN];
    const char *method; /* static */
    bool begun, head_complete, complete, keep_alive, http10, is_head, wants_continue;
    int error_status; /* set when the parser stopped for a reason of ours */
    const char *error_detail;

    /* the answer */
    struct strbuf extra; /* added header fields, serialised */
    bool has_length;     /* a content-length was added: the stream is not chunked */
    bool streaming, chunked, silent;
    uint64_t length_left;
    bool in_gone;
    serve_gone_fn *gone;
    void *gone_arg;
};

enum serve_conn_state {
    CONN_READING,   /* idle or in the middle of a request */
    CONN_HANDLING,  /* the handler has it */
    CONN_FINISHING, /* answered for the last time; input is thrown away until the peer closes */
    CONN_CLOSED,    /* uv_close was called */
};

struct serve_conn {
    uv_tcp_t tcp;
    struct serve *server;
    struct list node;
    enum serve_conn_state state;
    bool advancing;   /* the input loop is on the stack */
    bool half_closed; /* the peer sent FIN */
    bool paused;      /* uv_read_stop was called for back-pressure */
    struct serve_request *request;
    struct strbuf held; /* input that came before its turn */
    size_t held_at;
    struct strbuf queue, flight; /* output: waiting, and inside uv_write */
    uv_write_t write;
    uv_shutdown_t shutdown;
    int64_t deadline_ns;       /* of the state; 0 = none */
    int64_t write_deadline_ns; /* of progress on `flight` */
    size_t write_left;
    char peer[INET6_ADDRSTRLEN];
};

struct serve {
    uv_loop_t *loop;
    struct acceptor acceptor;
    uv_timer_t sweep;
    struct serve_options options;
    uint16_t port;
    struct list conns;
    size_t conn_count;
    size_t handles; /* not yet closed */
    bool closing, draining;
    struct serve_request *pool;
    size_t pool_count;
    struct strbuf head; /* scratch for answer heads */
    char date[SERVE_DATE_BYTES];
    char buffer[SERVE_READ_BYTES];
};

/* serve.c */
int64_t serve_now_ns(const struct serve *);
void serve_handle_closed(struct serve *);

/* serve_conn.c */
void serve_conn_accept(struct serve *, int fd);
void serve_conn_write(struct serve_conn *, const uv_buf_t *bufs, unsigned count);
size_t serve_conn_queued(const struct serve_conn *);
/* The request in hand was ended and freed: the next one, or the end of the connection. */
void serve_conn_next(struct serve_conn *, bool keep_alive);
void serve_conn_finish(struct serve_conn *);
void serve_conn_drop(struct serve_conn *, bool reset);
void serve_conn_sweep(struct serve_conn *, int64_t now_ns);

/* serve_request.c */
enum serve_parse { SERVE_PARSE_MORE, SERVE_PARSE_DONE, SERVE_PARSE_BAD };
struct serve_request *serve_request_take(struct serve_conn *);
void serve_request_give(struct serve *, struct serve_request *); /* server may be NULL */
enum serve_parse serve_request_feed(struct serve_request *, const char *data, size_t len,
                                    size_t *ret_used);

/* serve_answer.c */
/* Answers a request that could not be read and finishes the connection. */
void serve_answer_error(struct serve_conn *, int status, const char *detail);

#endif
