/* examples/traffic/load.h — when requests are sent and over which connections, and when it ends.
 *
 * Open loop (a rate): request n is due at n / rate; its latency runs from then, also when no
 * connection was free, so that a stalled server is not flattered. Closed loop: every connection
 * sends its next request when it has its answer.
 */
#ifndef TRAFFIC_LOAD_H
#define TRAFFIC_LOAD_H

#include <uv.h>

#include <stdio.h>

#include "examples/traffic/client.h"
#include "examples/traffic/report.h"

struct load_options {
    struct sockaddr_storage address;
    double rate;           /* per second; 0 = closed loop */
    size_t connections;    /* at most */
    int64_t duration_ns;   /* 0 = no end */
    uint64_t requests;     /* 0 = no end */
    int64_t timeout_ns;    /* of one request; also how long the end waits for answers */
    int64_t report_ns;     /* 0 = no progress lines */
    const char *stop_file; /* NULL = none */
    uint64_t seed;         /* 0 = from the system */
    FILE *progress, *log;  /* log may be NULL */
};

struct load *load_new(uv_loop_t *, const struct load_options *, const struct mix *);
/* Runs the loop until everything is answered or given up. */
void load_run(struct load *);
/* Sends nothing more; a second call does not wait for answers either. */
void load_stop(struct load *);
void load_free(struct load *);

/* --- for clients --- */
int64_t load_now_ns(void);
struct stats *load_stats(struct load *);
uv_loop_t *load_loop(struct load *);
const struct sockaddr *load_address(const struct load *);
void load_next_id(struct load *, char to[static MIX_ID_LEN + 1]);
void load_client_opened(struct load *, struct client *);
void load_client_connected(struct load *);
void load_client_refused(struct load *);
void load_client_ready(struct load *, struct client *);
void load_client_ended(struct load *, struct client *, struct stats_result *, int64_t now_ns);
void load_client_closed(struct load *);
/* Sends what is due with what is idle. */
void load_pump(struct load *);

#endif
