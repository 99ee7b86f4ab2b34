/* proxy/client.h — a downstream connection: heads in, keep-alive, pipelined requests in order.
 * Internal to proxy/.
 */
#ifndef PROXY_CLIENT_H
#define PROXY_CLIENT_H

#include "net/held.h"
#include "net/stream.h"
#include "proxy/forward.h"
#include "proxy/worker.h"

enum client_state {
    CLIENT_WAITING,   /* for a head, or within one */
    CLIENT_EXCHANGE,  /* a request is under way */
    CLIENT_FLUSHING,  /* answered; waits until the answer is written, then the next head */
    CLIENT_LINGERING, /* answered early: reads and drops what still comes, then closes */
};

struct client {
    struct stream stream;
    struct worker *worker;
    struct exchange *exchange;
    struct list link; /* worker.handshakes, .waiting, .in_heads or .lingering */
    int64_t since_ns; /* in that list; of the first byte of a head, when one began */
    enum client_state state;
    bool in_head;       /* a byte of the next head came */
    bool feeding;       /* on the stack: do not recurse */
    bool ended;         /* its FIN came */
    bool upload_paused; /* the endpoint does not take its body as fast as it comes */
    bool trusted;       /* one of proxy.trusted_proxies: its X-Forwarded-* are believed */
    uint32_t requests;  /* on this connection */
    struct held held;   /* a head that began, or pipelined bytes */
    uint8_t peer_len;
    char peer[]; /* its address as text */
};

static inline struct str client_peer(const struct client *c)
{
    return (struct str){c->peer, c->peer_len};
}

/* Takes over a descriptor that this listener accepted. */
void client_accept(struct worker *, size_t listener, int fd);
/* Reads from the client or not, as its state asks. After every change of it. */
void client_update_reading(struct client *);

/* Whether the connection may have another request behind this one. */
bool client_may_go_on(const struct client *, const struct head *);
/* Bytes that were held while the exchange could not take them go to it now. The client may have no
 * exchange any more, or another one. */
void client_resume(struct client *);
/* A line in the access log for a request that became no exchange. `head` is NULL when it was not
 * even read. */
void client_log_refusal(struct client *, const struct head *, const struct forward_error *);

/* The answer is complete (as far as writing goes). Closes when !keep_alive; lingers first when the
 * request's body may still be coming. */
void client_done(struct client *, bool keep_alive, bool body_coming);
/* The answer cannot be completed: the client must be able to tell. */
void client_cut(struct client *);
/* An answer of our own, before or instead of an exchange; then client_done. `rejected` counts it.
 */
void client_answer(struct client *, const struct forward_error *, bool keep_alive,
                   bool body_coming);

/* A whole answer that is ready; then client_done. */
void client_send(struct client *, struct str answer, bool keep_alive, bool body_coming);

/* Timeouts of clients within handshakes and heads and of lingering ones, each 100 ms. */
void client_sweep(struct worker *, int64_t now_ns);
/* Closes clients that have been between requests since then or longer. True: not yet all of them
 * (WORKER_CLOSES_MAX). */
bool client_close_idle(struct worker *, int64_t since_ns);
/* Closes every client that has no request under way. */
void client_close_all(struct worker *);

#endif
