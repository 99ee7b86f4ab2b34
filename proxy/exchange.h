/* proxy/exchange.h — the machine of one request and its response. Internal to proxy/.
 *
 *   ATTEMPTING → RESPONDING → (gone)
 *
 * ATTEMPTING: the request is with (or on its way to) an endpoint, nothing was answered.
 * RESPONDING: the first byte of the final answer went to the client; nothing can be tried again.
 * Bodies flow both ways beneath the phase, each with its own end, because they overlap: an endpoint
 * may answer while the request still flows.
 *
 * Every function may end the exchange; the pointer is dead after it returns unless it says so.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "base/list.h"
#include "net/body.h"
#include "proxy/client.h"
#include "proxy/forward.h"
#include "proxy/pool.h"
#include "proxy/worker.h"

enum exchange_state { EX_ATTEMPTING, EX_RESPONDING };

struct exchange {
    struct worker *worker;
    struct client *client;
    struct upstream *up; /* NULL between attempts */
    const struct route *route;
    struct list link; /* worker.exchanges; or `next` in the free list */
    struct exchange *next;
    enum exchange_state state;
    enum variant variant;
    uint32_t endpoint;
    int status;      /* of the answer; 0: none yet */
    uint8_t interim; /* 1xx heads seen */
    bool bare;       /* idempotent and without a body: may be sent again on a stale connection */
    bool to_head, http10, client_keep_alive;
    bool te_trailers; /* the client said that it takes trailer fields */
    bool keep_announced; /* the answer's head did not say `Connection: close` */
    bool upload_broken;  /* the endpoint stopped taking the request; its answer may still come */
    bool upstream_keep_alive, half_closed;
    struct body request, response;
    enum framing request_as, response_as;
    struct strbuf head; /* what was sent upstream, for a second try */
    struct recorder_ticket ticket;
    uint32_t epoch; /* of the weight it was routed with */
    int64_t request_done_ns;
    int64_t start_ns, attempt_ns, sent_ns, first_byte_ns, progress_ns, connect_ns;
    int64_t paused_ns, unread_ns; /* the client is not reading since; and was not before, in sum */
    char request_id[REQUEST_ID_MAX + 1];
    char method[16];
    char path[256]; /* for the access log, cut */
};

/* A request head was read; *rest is what came after it. Takes the body bytes from *rest. Ends in an
 * exchange under way (client->exchange) or in an answer of our own. */
void exchange_start(struct client *, const struct head *, struct str *rest);

/* From the client. */
void exchange_body(struct exchange *, struct str *bytes); /* takes its body's bytes */
void exchange_client_drained(struct exchange *);
void exchange_client_end(struct exchange *, int status); /* 0: FIN; else broken */

/* From the upstream connection. */
void exchange_connected(struct exchange *, int status);
void exchange_response(struct exchange *, struct str bytes);
void exchange_upstream_end(struct exchange *, int status);
void exchange_upstream_drained(struct exchange *);

/* Timeouts, each 100 ms. */
void exchange_sweep(struct exchange *, int64_t now_ns);

/* --- between the files of the machine: exchange.c, attempt.c, response.c --- */

/* Whether it is the client (and not the endpoint) that everybody waits for. */
bool exchange_awaits_client(const struct exchange *);
/* The only function that changes the state. */
void exchange_enter(struct exchange *, enum exchange_state next);
/* Chooses an endpoint and sends the head and what is there of the body. Ends the exchange with 502
 * when no connection can even be begun. */
void attempt_start(struct exchange *, struct str *body);
/* The connection failed before any byte of an answer: sends the request again where that is safe.
 * False: it is not. */
bool attempt_again(struct exchange *);
/* Settles the attempt (once) with its outcome and lets go of the connection: back to the pool when
 * `reuse`. */
void attempt_settle(struct exchange *, enum outcome_kind, bool reuse);
/* Before the first byte: settles, answers with an error of our own, ends the exchange. */
void exchange_fail(struct exchange *, enum outcome_kind, int status, const char *code,
                   const char *message);
/* After the first byte: settles, cuts the client so that it can tell, ends the exchange. */
void exchange_break(struct exchange *, enum outcome_kind);
/* The client is gone, or the process ends: settles as client_abort, ends the exchange. */
void exchange_abort(struct exchange *);
/* The response is complete but for its `last` bytes, which are sent here. `surplus`: bytes followed
 * it on the upstream connection. */
void exchange_complete(struct exchange *, bool surplus, const struct body_out *last);

#endif
