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
#include "policies/policy.h"

enum { REQUEST_ID_MAX = 128, REQUEST_ID_BYTES = 32 /* of one made here */ };

/* The client's X-Request-Id where it is sane (1 to 128 visible ASCII bytes), else a fresh one: 32
 * hex digits. Returns true when it was the client's. */
bool forward_request_id(const struct head *, struct rng *, char to[static REQUEST_ID_MAX + 1]);

struct forward_request {
    const struct head *head;
    struct str peer;       /* the address that connected */
    const char *authority; /* Host for clients that sent none */
    struct str request_id;
    const struct policy_upstream *upstream; /* host mode, headers to set and remove; NULL: as is */
    bool secure;                            /* the client's side is TLS */
    bool trusted;   /* the peer is a trusted proxy: what it says of the outside is kept */
    bool upgrade;   /* passes Connection: Upgrade and Upgrade on (only where head->upgrade) */
    bool unencoded; /* Accept-Encoding is left out, so that the answer can be looked at */
};
/* Where in the head these begin. 0: it does not have them. */
struct forward_places {
    size_t path;
    size_t host; /* where the value of Host belongs, which upstream.host = endpoint leaves out */
    size_t request_id;
};
/* The head for the upstream, appended to `out`, which is empty. A valid traceparent passes as it
 * came (sluice adds no span of its own); an invalid one is dropped together with tracestate, as W3C
 * Trace Context asks. */
void forward_request_head(const struct forward_request *, struct strbuf *out,
                          struct forward_places *ret);

/* Whether a chunked request's trailer fields pass (else body.drop_trailers). */
bool forward_request_trailers(const struct head *request);
/* Whether a response's do: `wanted` is the request's te_trailers. */
bool forward_response_trailers(const struct head *response, bool wanted);

struct forward_response {
    const struct head *head;
    struct str version, request_id;
    enum framing framing;      /* towards the client */
    bool close, keep_alive_10; /* Connection: close; Connection: keep-alive for HTTP/1.0 */
    bool trailers;             /* the body's trailer fields pass, and with them Trailer */
    bool upgrade;              /* 101: Connection: Upgrade and Upgrade pass (426: always) */
    struct str date;           /* for a response without Date (RFC 9110, 6.6.1); empty: none */
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
    struct str date;            /* empty: none */
};
/* A whole answer of our own, head and JSON body. */
void forward_error(const struct forward_error *, struct strbuf *out);

enum { FORWARD_DATE_MAX = 30 };
/* "Fri, 20 Nov 2026 21:46:27 GMT" (RFC 9110, 5.6.7). Returns `to` as a slice. */
struct str forward_date(int64_t unix_s, char to[static FORWARD_DATE_MAX]);

#endif
