/* analysis/judge.h — what an outcome means for each criterion of a policy.
 *
 * Pure. The rules are told at the top of analysis/recorder.h; here they are laid out as tables when
 * a policy is read, so that a request of which nothing bad is to be said costs two look-ups. Sets
 * of criteria are bit masks by index.
 */
#ifndef ANALYSIS_JUDGE_H
#define ANALYSIS_JUDGE_H

#include <stddef.h>
#include <stdint.h>

#include "analysis/outcome.h"
#include "policies/policy.h"

enum {
    JUDGE_LATE_ABORT = OUTCOME_KIND_COUNT, /* a client_abort after the answer's first byte */
    JUDGE_KINDS,
    JUDGE_STREAMS = STREAM_YES + 1,
};

/* A limit that no time is above. */
#define JUDGE_NO_LIMIT INT64_MAX

/* The limits that requests of one slot and variant are held against. */
struct judge_step {
    int64_t limit_ns;
    uint32_t criteria; /* that a time above it is bad for */
};

struct judge_time {
    uint8_t criterion;
    uint8_t metric;   /* enum criterion_metric */
    int64_t limit_ns; /* as the policy says; JUDGE_NO_LIMIT: it follows stable */
};

struct judge {
    uint32_t counted;   /* that are about a share of requests: all but those of shifts */
    uint32_t times;     /* of these: about a time */
    uint32_t moving;    /* of these: whose limit follows stable */
    uint32_t in_flight; /* of times: that an attempt can break before it ends */
    uint32_t by_answer; /* of in_flight: not before it is known what kind of answer it is */
    uint32_t plain;     /* of in_flight: of latency, whatever the answer. What a good request is
                           held against */
    uint32_t first_token;
    uint32_t rare;   /* that at most one request in twenty may be bad for, as the policy says */
    uint32_t shifts; /* TEST_SHIFT; the next two are parts of it */
    uint32_t sizes, tokens;
    uint32_t error_kinds; /* outcomes */
    /* By kind and enum outcome_stream: shares that it is bad for, criteria that it is no sample
     * of. Times that are samples are compared besides. */
    uint32_t bad[JUDGE_KINDS][JUDGE_STREAMS], excluded[JUDGE_KINDS][JUDGE_STREAMS];
    uint32_t other_kind[JUDGE_STREAMS]; /* criteria that do not look at such an answer */
    size_t time_count, plain_count;
    struct judge_time time[CRITERIA_MAX]; /* those in `plain` first */
};

void judge_init(struct judge *, const struct policy_analysis *);
/* `limits`, here and below: one per entry of `time`. `ret`: those of `plain` from the lowest up,
 * and JUDGE_NO_LIMIT at the end: plain_count + 1 of them. */
void judge_steps(const struct judge *, const int64_t *limits, struct judge_step *ret);
/* The lowest limit of these criteria; JUDGE_NO_LIMIT: they have none. */
int64_t judge_lowest(const struct judge *, const int64_t *limits, uint32_t criteria);
/* What an attempt that ended is for the criteria in `open`. `elapsed_ns`: since it was sent, -1: it
 * was not. The masks have no bit in common; what is in neither is ok. */
void judge_end(const struct judge *, const struct outcome *, int64_t elapsed_ns,
               const int64_t *limits, const struct judge_step *, uint32_t open, uint32_t *ret_bad,
               uint32_t *ret_excluded);
/* The criteria among `open` that an attempt breaks now, still in flight. */
uint32_t judge_in_flight(const struct judge *, enum outcome_stream, bool first_token,
                         int64_t elapsed_ns, const int64_t *limits, uint32_t open);
/* Those among `open` that it could still break in flight, as far as is known of its answer. */
uint32_t judge_may_break(const struct judge *, enum outcome_stream, bool first_token,
                         uint32_t open);
/* The time of an attempt that ended for a metric of time; -1: it has none. */
int64_t judge_time_of(enum criterion_metric, const struct outcome *);

#endif
