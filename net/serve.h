/* net/serve.h — a small HTTP/1.1 server on a libuv loop, for the admin API and the example server.
 *
 * Reads a whole request (bounded), hands it to one handler, which answers at once or later, whole
 * or as a stream. Keep-alive and pipelined requests in order. Not the proxy's path. One loop, one
 * thread. A handler must end every request exactly once: serve_reply, serve_stream_end or
 * serve_abort; after that the request is gone.
 */
#ifndef NET_SERVE_H
#define NET_SERVE_H

#include <uv.h>

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"

struct serve;
struct serve_request;

typedef void serve_handler_fn(struct serve_request *, void *arg);
typedef void serve_gone_fn(struct serve_request *, void *arg);

struct serve_options {
    const char *host;           /* numeric */
    uint16_t port;              /* 0 = any */
    size_t head_max, body_max;  /* 431, 413 beyond; 0 = 64 KiB, 1 MiB */
    size_t connections_max;     /* 0 = 1024; further ones are closed at once */
    int64_t request_timeout_ns; /* from the first byte to the whole request; 0 = 30 s */
    int64_t idle_timeout_ns;    /* keep-alive; 0 = 75 s */
    bool reuseport;
    int listener; /* a socket that listens already, in place of host and port; 0: none */
    serve_handler_fn *handler;
    void *arg;
};

/* Listens. Takes over `listener` when it succeeds. Errors: -EADDRINUSE and others with a message
 * that names the address. */
int serve_start(uv_loop_t *, const struct serve_options *, struct serve **ret,
                struct error *reterr);
uint16_t serve_port(const struct serve *);
/* The listening descriptor; the server's. -1 once it drains. */
int serve_descriptor(const struct serve *);
/* Stops listening, without haste: every connection may have one more answer, which says `close`,
 * and those with nothing to say are closed after a second. serve_close ends it. */
void serve_drain(struct serve *);
size_t serve_connections(const struct serve *);
/* Stops listening and closes every connection; frees itself when the last handle is closed.
 * Handlers' gone callbacks run for requests still open. */
void serve_close(struct serve *);

/* --- the request: valid until it is ended --- */
struct str serve_method(const struct serve_request *);
struct str serve_path(const struct serve_request *);  /* without the query; percent-decoded */
struct str serve_query(const struct serve_request *); /* raw, without '?' */
bool serve_query_get(const struct serve_request *, struct str name, struct str *ret); /* decoded */
struct str serve_header(const struct serve_request *, struct str name); /* ptr NULL: absent */
struct str serve_body(const struct serve_request *);
struct str serve_peer(const struct serve_request *); /* "127.0.0.1" */
uv_loop_t *serve_loop(const struct serve_request *);

/* Called from the loop, never from within another call here, when the client goes away before the
 * request was ended (the request is gone after it returns). Without it, late answers are dropped
 * silently and the request must still be ended. A client's FIN means "gone" to a handler that asks
 * to be told, and else a half-close: the answer is still sent. */
void serve_on_gone(struct serve_request *, serve_gone_fn *, void *);

/* --- the answer --- */
/* Before it starts. Fields that could split the answer (control bytes) and what goes beyond 16 KiB
 * are left out. With a content-length of the handler's, a stream is sent as it is instead of in
 * chunks, and one that ends short of it ends its connection. */
void serve_add_header(struct serve_request *, struct str name, struct str value);
void serve_reply(struct serve_request *, int status, struct str content_type, struct str body);
void serve_stream_start(struct serve_request *, int status, struct str content_type); /* chunked */
/* One chunk. False when nobody reads any more: the client is gone, or too slow (over 1 MiB is
 * queued and it is dropped). The request must still be ended, unless serve_on_gone is called first.
 */
bool serve_stream_send(struct serve_request *, struct str bytes);
void serve_stream_end(struct serve_request *);
/* Ends the connection without a proper end: FIN, or RST when `reset`. */
void serve_abort(struct serve_request *, bool reset);

const char *serve_reason(int status); /* "Not Found" */

#endif
