/* tests/figures/storm/storm.h — clients and backends of one process, and what each saw of a
 * request.
 *
 * A request's number decides how it is sent and how a backend that gets it first treats it, so both
 * sides know what should become of it without a word between them.
 */
#ifndef STORM_STORM_H
#define STORM_STORM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

enum send_kind {
    SEND_GET,
    SEND_HEAD,
    SEND_PUT,
    SEND_POST,
    SEND_POST_CHUNKED,
    SEND_POST_EXPECT,
    SEND_POST_LARGE,
    SEND_GET_10,
    SEND_GET_HALF_CLOSE,
    SEND_ABORT_GET,    /* closes when the request is out */
    SEND_ABORT_POST,   /* the same with a reset */
    SEND_ABORT_BODY,   /* in the middle of its body */
    SEND_ABORT_ANSWER, /* in the middle of the answer */
    SEND_COUNT,
};

enum answer_kind {
    ANSWER_LENGTH,
    ANSWER_CHUNKED,
    ANSWER_STREAM,   /* server-sent events, ended well */
    ANSWER_TO_CLOSE, /* ends with the connection */
    ANSWER_LARGE,
    ANSWER_PIECES,  /* a head and a body in many small writes */
    ANSWER_INTERIM, /* 103 before it */
    ANSWER_NOTHING, /* 204 */
    ANSWER_LAST,    /* closes behind it without having said so */
    ANSWER_SURPLUS, /* more bytes than announced, then closes */
    ANSWER_EARLY,   /* before the request's body was read */
    ANSWER_500,
    ANSWER_429,
    ANSWER_RESET,  /* nothing but a reset */
    ANSWER_CLOSED, /* nothing but a FIN */
    ANSWER_GARBAGE,
    ANSWER_SILENT,    /* until the proxy gives up */
    ANSWER_SHORT,     /* fewer bytes than announced, then a FIN */
    ANSWER_CUT_CHUNK, /* a FIN inside a chunk */
    ANSWER_BAD_CHUNK,
    ANSWER_CUT_RESET, /* a reset inside the body */
    ANSWER_STALLED,   /* silence inside the body until the proxy gives up */
    ANSWER_COUNT,
};
extern const char *const answer_names[ANSWER_COUNT];

struct script {
    enum send_kind send;
    enum answer_kind answer;
    bool repeatable, aborts; /* an idempotent method; a client that goes away */
    char letter;             /* every byte of its bodies */
    uint32_t request_bytes, answer_bytes;
};
struct script script_of(uint64_t id);

/* What became of a request, as its client saw it. */
enum fate {
    FATE_NONE, /* not sent, or its client went away on purpose */
    FATE_OK,   /* 2xx with the right bytes of the backend that the proxy names */
    FATE_ERROR,
    FATE_CUT,
    FATE_LOST,    /* no answer at all */
    FATE_WRONG,   /* another's answer, or wrong bytes */
    FATE_VERSION, /* the proxy names another version than the one that answered */
    FATE_COUNT,
};

struct record {
    _Atomic uint8_t seen; /* times that a backend read its head */
    uint8_t first;        /* which of the backends did first */
    uint8_t fate;
    uint16_t status;
};

struct storm {
    uint16_t proxy_port;
    struct record *records;
    uint64_t first, count;      /* this phase's requests */
    _Atomic uint64_t next;      /* to be sent */
    _Atomic uint64_t corrupted; /* request bodies with wrong bytes at a backend */
    _Atomic uint64_t not_http;  /* at a backend */
    _Atomic int backend_connections;
};

/* Two endpoints of each version; prints nothing, never ends. 0 or -1. */
enum { BACKENDS = 4 };
extern const char *const backend_versions[BACKENDS];
int backend_start(struct storm *, uint16_t ports[static BACKENDS]);
/* Closes every connection they have and waits for it. */
void backend_drop_all(struct storm *);
/* Sends storm->count requests over that many connections at a time. */
void clients_run(struct storm *, int connections);

#endif
