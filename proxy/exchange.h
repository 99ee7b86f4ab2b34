/* proxy/exchange.h — the machine of one request and its response. Internal to proxy/.
 *
 *   ATTEMPTING ⇄ QUEUED            nothing was answered: another attempt is possible
 *   ATTEMPTING → RESPONDING → (gone)   the first byte of the final answer went to the client
 *   ATTEMPTING → TUNNEL → (gone)       an upgrade was accepted: bytes pass both ways as they are
 *
 * One exchange makes one attempt or more, each at one endpoint. The first is the evidence; it has
 * the recorder's ticket. Bodies flow both ways beneath the state, each with its own end, because
 * they overlap: an endpoint may answer while the request still flows.
 *
 * Every function may end the exchange; the pointer is dead after it returns unless it says so.
 */
#ifndef PROXY_EXCHANGE_H
#define PROXY_EXCHANGE_H

#include "base/list.h"
#include "net/body.h"
#include "proxy/asked.h"
#include "proxy/choice.h"
#include "proxy/client.h"
#include "proxy/fields.h"
#include "proxy/forward.h"
#include "proxy/observe.h"
#include "proxy/pool.h"
#include "proxy/replay.h"
#include "proxy/worker.h"

enum exchange_state { EX_ATTEMPTING, EX_QUEUED, EX_RESPONDING, EX_TUNNEL, EX_STATE_COUNT };

/* Texts of the request that outlive its head, cut: for the log, for the answer. */
enum exchange_memo {
    MEMO_REQUEST_ID,
    MEMO_METHOD,
    MEMO_PATH,
    MEMO_PEER,    /* the client's own address, when it is not the one that connected */
    MEMO_UPGRADE, /* the protocol that is asked for */
    MEMO_COUNT
};

enum { UPGRADE_MAX = 23 }; /* bytes of the name of a protocol that can be asked for */
enum { FRESH_MAX = 2 };    /* new connections in place of kept ones that broke, for one request */

struct exchange {
    struct worker *worker;
    struct client *client;
    struct upstream *up; /* NULL between attempts and while queued */
    const struct route *route;
    struct list link; /* worker.exchanges; or worker.spare */
    struct list wait; /* its queue, while queued */

    /* The request. */
    char *text; /* the head as it is sent upstream, and what the memo has beyond it */
    uint32_t text_cap;
    uint32_t head_len;            /* of `text`, what is sent */
    uint32_t host_at;             /* where the endpoint's own Host goes; 0: Host is in the head */
    uint32_t memo_at[MEMO_COUNT]; /* where in `text` each stands */
    uint8_t memo_len[MEMO_COUNT];
    bool idempotent, to_head, http10, te_trailers, wants_upgrade;
    bool client_keep_alive, half_closed;
    uint8_t asks;        /* enum outcome_stream: for what it says it wants */
    bool body_begun;     /* a byte of it came: nobody waits for a 100 any more */
    struct asked *asked; /* while its body may still say; or NULL */
    struct body request;
    struct replay replay;
    int64_t start_ns, request_done_ns;

    /* The attempts. */
    uint8_t state;   /* enum exchange_state */
    uint8_t variant; /* enum variant, of the attempt under way */
    uint8_t first_variant;
    uint8_t first_kind; /* enum outcome_kind, once there is a second attempt */
    bool has_slot;      /* counted as in flight at its endpoint */
    bool charged;       /* the attempt's outcome is recorded */
    bool touched;       /* a connection took bytes of this attempt */
    bool ever_touched;  /* or of one before */
    bool shielded;      /* stable answers for the canary */
    bool first_void;    /* the first attempt was charged to nobody */
    bool upload_broken; /* the endpoint stopped taking the request; its answer may still come */
    uint8_t attempts, retries, fresh;
    uint8_t interim;          /* 1xx heads seen in this attempt */
    uint32_t endpoint, avoid; /* or NO_ENDPOINT */
    uint32_t epoch;           /* of the weight it was routed with */
    uint32_t applies;         /* criteria whose `where` it fits */
    struct recorder_ticket ticket;
    int64_t queued_ns, queue_ns, queue_sum_ns; /* waits since; waited in this attempt; before */
    int64_t attempt_ns, sent_ns, connect_ns, progress_ns;
    char *why; /* the first attempt that failed did, or the request was refused; NULL: neither */

    /* The answer. */
    int status;          /* 0: none yet */
    uint8_t response_as; /* enum framing */
    bool upstream_keep_alive;
    bool keep_announced;               /* its head did not say `Connection: close` */
    bool client_ended, upstream_ended; /* of a tunnel; its bytes are counted as the bodies' */
    struct body response;
    uint8_t stream;          /* enum outcome_stream */
    struct observe *observe; /* of an event stream; or NULL */
    struct fields *fields;   /* of an answer with values that criteria compare; or NULL */
    int64_t first_byte_ns, first_token_ns;
    /* By the clock that stands while the client does not read. */
    int64_t first_piece_ns, last_piece_ns, longest_gap_ns;
    uint64_t tokens;              /* pieces of content */
    size_t backlog;               /* what both sides still had to take at the last sweep */
    int64_t paused_ns, unread_ns; /* the client is not reading since; and was not before, in sum */
};

/* What was kept of the request; empty: nothing. Lives as long as the exchange, or until
 * exchange_slim. */
static inline struct str exchange_memo(const struct exchange *ex, enum exchange_memo which)
{
    return (struct str){ex->text + ex->memo_at[which], ex->memo_len[which]};
}

/* A request head was read; *rest is what came after it. May take body bytes from *rest; what it
 * leaves is for exchange_body or the next head. Ends in an exchange under way (client->exchange) or
 * in an answer of our own. */
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

/* --- between the files of the machine --- */

/* An answer of our own. `message` is for people. */
struct failure {
    int status;
    const char *code, *message;
};

/* exchange.c */
/* The only function that changes the state. */
void exchange_enter(struct exchange *, enum exchange_state next);
struct exchange *exchange_take(struct worker *);
/* As much of it as the memo keeps. */
struct str exchange_cut(enum exchange_memo, struct str);
/* Keeps the text that ex->head_len and the memo's places are about. */
void exchange_keep(struct exchange *, struct str text);
/* Gives back what only sending needed, once nothing more can be sent: a stream may go on for hours.
 * The exchange lives on. */
void exchange_slim(struct exchange *);
/* Frees those that are kept for reuse. */
void exchange_free_spare(struct worker *);
/* One that never began. */
void exchange_discard(struct exchange *);
/* Remembers what went wrong, unless something did before. */
void exchange_note(struct exchange *, const char *code, const char *message);
/* What the client got, when the attempt that answers it ended so. */
unsigned exchange_result(const struct exchange *, enum outcome_kind);
/* The attempt is over; answers with an error of our own and ends the exchange. */
void exchange_answer(struct exchange *, unsigned result, const struct failure *);
/* The client is at fault before the first byte: settled as its abort, which counts against nobody.
 */
void exchange_reject(struct exchange *, const struct failure *);
/* We are at fault, or policy: charged to nobody. RESULT_OVERLOADED or RESULT_CUT. Before the first
 * byte answers with *f, after it cuts the client. */
void exchange_void(struct exchange *, unsigned result, const struct failure *f);
/* After the first byte: settles, cuts the client so that it can tell, ends the exchange. */
void exchange_break(struct exchange *, enum outcome_kind);
/* The client is gone, or the process ends: settles as client_abort, ends the exchange. */
void exchange_abort(struct exchange *);
/* The response is complete but for its `last` bytes, which are sent here. `surplus`: bytes followed
 * it on the upstream connection. */
void exchange_complete(struct exchange *, bool surplus, const struct body_out *last);
/* A tunnel's end: both connections are closed, with RST when `broken`. */
void exchange_end_tunnel(struct exchange *, unsigned result, bool broken);

/* send.c */
/* The endpoint has a slot: takes a connection (a new one when `fresh`), sends the head, what is
 * held, and what *body has. */
void send_begin(struct exchange *, bool fresh, struct str *body);
/* While there is no connection: reads the body's bytes and holds them, one read of them at most. */
void send_later(struct exchange *, struct str *bytes);

/* attempt.c */
size_t attempt_pool(const struct exchange *); /* its endpoint's */
/* Whether the request may go out again, as far as its method and what was sent of it say. */
bool attempt_may_repeat(const struct exchange *);
/* The variant is chosen: finds an endpoint (or a place in the queue) and sends what is there. */
void attempt_first(struct exchange *, struct str *body);
/* It is known what the request asks for: so is the recorder told. */
void attempt_asks(struct exchange *);
/* Takes a slot at one of the version's endpoints. False: all are full. */
bool attempt_choose(struct exchange *);
/* Before the first byte of an answer: charges the attempt and makes another, or answers with *f. */
void attempt_failed(struct exchange *, enum outcome_kind, const struct failure *f);
/* Whether stable should answer instead of passing on the canary's 5xx. */
bool attempt_shields_answer(struct exchange *);
/* The canary's answer was not passed on; `reuse`: its connection is fit for another request. */
void attempt_shield(struct exchange *, enum outcome_kind, bool reuse);
/* Sends a queued request to stable, charged to the canary as unavailable; or answers with *f. */
void attempt_unavailable(struct exchange *, const struct failure *f);
/* Takes a request that waits or is under way away from the canary, uncharged. False: it cannot be
 * sent again. */
bool attempt_withdraw(struct exchange *);
/* Records the outcome, once. */
void attempt_charge(struct exchange *, enum outcome_kind);
/* The attempt speaks for or against nobody. Instead of attempt_charge. */
void attempt_void(struct exchange *);
/* Lets go of slot and connection: back to the pool when `reuse`. */
void attempt_release(struct exchange *, bool reuse);

/* queue.c */
void queue_enter(struct exchange *); /* or unavailable, when it is full */
void queue_leave(struct exchange *); /* its wait is over: ATTEMPTING again */
bool queue_has_room(const struct exchange *, enum variant);
/* A slot of that version became free. */
void queue_notify(struct worker *, uint32_t rollout, enum variant);
/* Begins what can begin. */
void queue_serve(struct worker *);

/* response.c */
bool exchange_awaits_client(const struct exchange *);

/* tunnel.c */
void tunnel_begin(struct exchange *, const struct head *, struct str rest);
void tunnel_client_bytes(struct exchange *, struct str *bytes);
void tunnel_upstream_bytes(struct exchange *, struct str bytes);
void tunnel_drained(struct exchange *);
void tunnel_client_end(struct exchange *, int status);
void tunnel_upstream_end(struct exchange *, int status);

#endif
