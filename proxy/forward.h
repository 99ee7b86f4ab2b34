/* proxy/forward.h — the heads that sluice sends: requests up, responses and own answers down.
 *
 * Header lines that pass are copied as they came, in runs; only what a proxy must touch is written
 * anew: Connection and what it names, Host, Via, X-Forwarded-*, X-Request-Id, traceparent, framing.
 * Pure: bytes in, bytes out.
 */
#ifndef PROXY_FORWARD_H
#define PROXY_FORWARD_H

#include <stdbool.h>
#include <stdint.h>

#include "base/rng.h"
#include "base/strbuf.h"
#include "net/head.h"

enum { REQUEST_ID_MAX = 128 };

/* The client's X-Request-Id where it is sane (1 to 128 visible ASCII bytes), else a fresh one: 32
 * hex digits. Returns true when it was the client's. */
bool forward_request_id(const struct head *, struct rng *, char to[static REQUEST_ID_MAX + 1]);

struct forward_request {
    const struct head *head;
    struct str peer;      /* the client's address */
    struct str authority; /* Host for clients that sent none */
    const char *request_id;
};
/* The head for the upstream, appended to `out`. A valid traceparent passes as it came (sluice adds
 * no span of its own); an invalid one is dropped together with tracestate, as W3C Trace Context
 * asks. */
void forward_request_head(const struct forward_request *, struct strbuf *out);

struct forward_response {
    const struct head *head;
    const char *version, *request_id;
    enum framing framing;      /* towards the client */
    bool close, keep_alive_10; /* Connection: close; Connection: keep-alive for HTTP/1.0 */
};
void forward_response_head(const struct forward_response *, struct strbuf *out);
/* A 1xx head without hop-by-hop fields. */
void forward_interim_head(const struct head *, struct strbuf *out);

struct forward_error {
    int status;
    const char *code, *message; /* for machines; for people */
    const char *request_id;     /* NULL: none known */
    const char *version;        /* the version that was tried, or NULL */
    bool close, to_head;        /* to_head: the answer to HEAD has no body */
    int retry_after_s;          /* 0: no Retry-After */
};
/* A whole answer of our own, head and JSON body. */
void forward_error(const struct forward_error *, struct strbuf *out);

#endif
