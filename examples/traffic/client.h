/* examples/traffic/client.h — one keep-alive connection: a request out, its answer in, again. */
#ifndef TRAFFIC_CLIENT_H
#define TRAFFIC_CLIENT_H

#include <llhttp.h>
#include <uv.h>

#include "base/list.h"
#include "examples/traffic/stats.h"

enum { CLIENT_LINE_MAX = 512 };

struct load;

enum client_state { CLIENT_CONNECTING, CLIENT_IDLE, CLIENT_BUSY, CLIENT_CLOSED };

/* What is kept of an answer's fields; cut to size. */
struct client_answer {
    int status;
    char id[64], version[STATS_VERSION_BYTES], model_version[STATS_VERSION_BYTES];
    size_t id_len, version_len, model_version_len;
    char name[32]; /* of the field being read, lower case; empty: not of interest */
    size_t name_len;
    bool in_value, event_stream, complete, done_seen, error_seen;
    char content_type[24];
    size_t content_type_len;
    char line[CLIENT_LINE_MAX]; /* of an event stream; what is longer is cut */
    size_t line_len;
    int64_t first_token_ns; /* absolute */
};

struct client {
    uv_tcp_t tcp;
    uv_connect_t connect;
    uv_write_t write;
    struct load *load;
    struct list node; /* of all */
    struct list idle; /* of the idle ones */
    enum client_state state;
    uint64_t requests; /* sent on this connection */
    llhttp_t parser;
    struct client_answer answer;
    bool any_bytes; /* of the present answer */

    /* the request in hand */
    const struct mix_kind *kind;
    char *out;
    size_t out_cap;
    char id[MIX_ID_LEN + 1], previous_id[MIX_ID_LEN + 1];
    int64_t scheduled_ns, sent_ns;
};

/* Connects; load_client_ready or load_client_refused follows. */
void client_open(struct load *);
/* An idle client sends one request; load_client_ended follows exactly once. */
void client_send(struct client *, const struct mix_kind *, size_t template_index,
                 int64_t scheduled_ns, int64_t now_ns);
/* Gives up the request in hand as unanswered, and closes. */
void client_give_up(struct client *);
void client_close(struct client *);

#endif
