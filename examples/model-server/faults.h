/* examples/model-server/faults.h — failures on demand: what /control sets, and what each request
 * gets.
 *
 * Pure but for its own generator: time is passed in. Counters are what tests compare with what a
 * proxy reported.
 */
#ifndef MODEL_SERVER_FAULTS_H
#define MODEL_SERVER_FAULTS_H

#include <jansson.h>

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/rng.h"

struct fault_settings {
    double error_rate, hang_rate, reset_rate, truncate_rate, stream_error_rate; /* [0, 1] */
    int error_status;
    int64_t latency_ns, latency_spread_ns; /* uniform in latency +- spread */
    int64_t token_delay_ns;                /* between two chunks of a stream */
    int64_t slow_start_ns;                 /* 503 "loading" for so long after it was set */
    uint64_t after_requests;               /* the rates begin after so many further requests */
};

enum fault_kind { FAULT_NONE, FAULT_LOADING, FAULT_HANG, FAULT_RESET, FAULT_ERROR };

/* What happens to one request. */
struct fault {
    enum fault_kind kind;
    int status; /* of FAULT_ERROR */
    bool truncate, stream_error;
    double cut; /* where in the answer, [0, 1) */
    int64_t delay_ns, token_delay_ns;
};

struct fault_counters {
    uint64_t requests; /* inference requests seen */
    uint64_t answered; /* answered as asked */
    uint64_t errors, loading, hangs, resets, truncations, stream_errors;
    uint64_t bad_requests; /* the client's fault: 4xx of ours */
    uint64_t client_gone;  /* went before the answer was complete */
    uint64_t streams;      /* streamed answers begun */
};

struct faults {
    struct fault_settings settings;
    struct fault_counters counters;
    int64_t ready_ns;   /* not loading any more from here on */
    uint64_t begin;     /* of the rates, in counters.requests */
    uint32_t cold_left; /* requests that are still slow after loading */
    struct rng rng;
};

void faults_init(struct faults *, int64_t now_ns);
bool faults_loading(const struct faults *, int64_t now_ns);
/* Counts the request and decides its fate. */
struct fault faults_draw(struct faults *, int64_t now_ns);
/* Applies a /control document; all of it or nothing. Errors: -EINVAL with what was wrong. */
int faults_apply(struct faults *, const json_t *document, int64_t now_ns, struct error *reterr);
void faults_clear(struct faults *, int64_t now_ns);
/* The present settings and counters, a new reference. */
json_t *faults_report(const struct faults *, int64_t now_ns);

#endif
