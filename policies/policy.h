/* policies/policy.h — one rollout's policy as plain data: everything const after policy_parse.
 *
 * The language is product documentation (docs/policy.md, generated from policies/schema.c). Shares
 * are doubles in [0, 1], weights basis points, durations nanoseconds. Lists are never NULL when
 * their count is > 0; absent lists have count 0 and mean "any".
 */
#ifndef POLICIES_POLICY_H
#define POLICIES_POLICY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "policies/outcome_kind.h"

enum variant { VARIANT_STABLE, VARIANT_CANARY, VARIANT_COUNT };
extern const char *const variant_names[VARIANT_COUNT]; /* "stable", "canary" */

enum {
    ROLLOUT_NAME_MAX = 63,
    VERSION_MAX = 128, /* bytes of a version label, without terminator */
    STEPS_MAX = 32,
    CRITERIA_MAX = 24,                 /* expanded: one per metric, test and quantile */
    WHERE_ITEMS_MAX = 16,              /* per list of a criterion's `where` */
    FIELD_BYTES_MAX = 256,             /* of a drift criterion's JSON pointer */
    FIELD_DEPTH_MAX = 16,              /* names in it */
    CONFIRM_MAX = 8,                   /* pauses after which a retreated canary is asked again */
    ENDPOINTS_MAX = 256,               /* per version */
    MATCH_ITEMS_MAX = 256,             /* per list of `match` */
    REQUEST_HEADERS_MAX = 64,          /* to set, and as many to remove */
    REQUEST_HEADERS_BYTES_MAX = 16384, /* of all names and values that are set */
    WEIGHT_FULL_BP = 10000,            /* 100 % */
};

struct policy_endpoint {
    const char *url;       /* as written: "http://127.0.0.1:9001" */
    const char *host;      /* "127.0.0.1", "::1" (no brackets), "model.internal" */
    const char *authority; /* "127.0.0.1:9001", for Host: endpoint and for labels */
    uint16_t port;
    bool tls;        /* https:// */
    uint32_t weight; /* >= 1 */
    struct source_pos at;
};

struct policy_version {
    const char *version; /* NULL: this variant is absent (only the canary may be) */
    const struct policy_endpoint *endpoints;
    size_t endpoint_count;
    struct source_pos at;
};

struct policy_header {
    const char *name, *value; /* name lower case */
};

struct policy_match {
    const char *const *hosts; /* lower case, no port; "*.models.example.com" is a wildcard */
    size_t host_count;
    const char *const *paths; /* prefixes that begin with '/' */
    size_t path_count;
    const char *const *methods;
    size_t method_count;
    const struct policy_header *headers;
    size_t header_count;
};

enum approval { APPROVAL_NONE, APPROVAL_BEFORE, APPROVAL_AFTER, APPROVAL_COUNT };

struct policy_step {
    uint32_t weight_bp; /* strictly rising, 1..10000 */
    int64_t hold_ns;
    uint64_t min_requests; /* canary requests dispatched in this step */
    enum approval approval;
    struct source_pos at;
};

enum criterion_metric {
    /* shares of requests */
    METRIC_ERROR_RATE,
    METRIC_OUTCOME,                /* outcomes named by `is` */
    METRIC_CLIENT_ABORT_RATE,      /* the client left before the first byte of the answer */
    METRIC_STREAM_TRUNCATION_RATE, /* these four: of event streams alone */
    METRIC_STREAM_STALL_RATE,
    METRIC_STREAM_EMPTY_RATE,
    METRIC_STREAM_ERROR_RATE,
    /* times */
    METRIC_LATENCY,
    METRIC_TIME_TO_FIRST_TOKEN,
    METRIC_INTER_TOKEN_GAP,       /* the longest within a stream */
    METRIC_TIME_PER_OUTPUT_TOKEN, /* the mean behind the first */
    /* values, compared as distributions */
    METRIC_RESPONSE_SIZE,
    METRIC_TOKEN_USAGE,
    METRIC_DRIFT, /* a member of the answers' JSON */
    METRIC_COUNT,
};
extern const char *const metric_names[METRIC_COUNT]; /* "error_rate", ... */

enum criterion_test {
    TEST_MAX,          /* absolute: statistics "ABS" */
    TEST_MAX_INCREASE, /* of a share against the concurrent stable: "REL", delta = limit */
    TEST_MAX_RATIO,    /* against the concurrent stable: "REL"; of a share r = ratio, of a time the
                          limit follows stable's own quantile and r = 1 */
    TEST_SHIFT,        /* values: is the canary's distribution another one */
    TEST_COUNT,
};

enum on_fail { ON_FAIL_ROLLBACK, ON_FAIL_PAUSE, ON_FAIL_REPORT };

/* Which requests a criterion looks at. What an attempt that never answered would have been is not
 * known: it counts either way. */
struct policy_where {
    const char *const *paths; /* prefixes, as in match; count 0: any */
    size_t path_count;
    const char *const *methods;
    size_t method_count;
    enum where_stream { WHERE_ANY, WHERE_STREAM, WHERE_NO_STREAM } stream;
};

enum shift_test { SHIFT_PSI, SHIFT_KS };
enum criterion_method { METHOD_SEQUENTIAL, METHOD_WINDOW };

struct policy_criterion {
    const char
        *name; /* "error_rate max 1%", "latency p99 max 500ms": unique, for people and labels */
    enum criterion_metric metric;
    enum criterion_test test;
    /* The item of the file, from 0, that it is a part of (one of several quantiles, or of limits
     * that stand together): consecutive. `weight` is its share of the evidence: items of one kind
     * of on_fail (report, or not) count alike, the quantiles of one limit share. */
    uint32_t group;
    double weight;
    enum on_fail on_fail;
    enum on_fail frozen_on_fail; /* once stable is gone and the limit frozen (at 100 %) */
    bool require_no_harm; /* TEST_MAX: shown to hold before 100 %; require: no_breach: false */
    struct policy_where where;
    uint32_t kinds;  /* shares: the outcomes that are bad, bits (outcome_bit) */
    double quantile; /* times: 0.99; else 0 */
    double limit; /* shares: the share; times: seconds; ratios: the ratio; shifts: the distance */
    int64_t slack_ns;    /* times with TEST_MAX_RATIO: so far above stable's nothing is too slow */
    int64_t limit_ns;    /* times with TEST_MAX: strict, bad iff above; else 0 */
    double p0;           /* TEST_MAX: the null's probability of "bad": limit, or 1 - quantile */
    double ratio, delta; /* TEST_MAX_INCREASE, TEST_MAX_RATIO: r and delta of statistics REL */
    enum shift_test shift;
    const char *field; /* METRIC_DRIFT: JSON pointer */
    enum criterion_method method;
    int64_t window_ns; /* these three: METHOD_WINDOW */
    uint64_t window_min_requests;
    uint32_t window_consecutive;
    struct source_pos at;
};

static inline bool criterion_is_time(const struct policy_criterion *c)
{
    return c->metric >= METRIC_LATENCY && c->metric <= METRIC_TIME_PER_OUTPUT_TOKEN;
}
static inline bool criterion_is_relative(const struct policy_criterion *c)
{
    return c->test == TEST_MAX_INCREASE || c->test == TEST_MAX_RATIO;
}
/* Its limit is a multiple of what stable's quantile lately was (analysis/reference.h). */
static inline bool criterion_follows_stable(const struct policy_criterion *c)
{
    return criterion_is_time(c) && c->test == TEST_MAX_RATIO;
}

enum analysis_mode { MODE_ENFORCE, MODE_OBSERVE };
enum on_undecided { UNDECIDED_HOLD, UNDECIDED_PROMOTE, UNDECIDED_ROLLBACK, UNDECIDED_PAUSE };
enum evidence_before { EVIDENCE_BEFORE_FULL, EVIDENCE_BEFORE_EACH };
enum no_data_do { NO_DATA_HOLD, NO_DATA_PAUSE, NO_DATA_ROLLBACK };
enum stable_degraded { DEGRADED_HOLD, DEGRADED_JUDGE };

struct policy_analysis {
    enum analysis_mode mode;
    double max_false_revert;  /* alpha, for the whole rollout */
    double max_bad_promotion; /* beta, per absolute criterion */
    int64_t slot_ns;          /* burst_guard.slot (tau) */
    uint32_t min_bad_slots;   /* burst_guard.min_bad_slots (m); 0 = no guard */
    int64_t confirm_ns[CONFIRM_MAX];
    size_t confirm_count;        /* 0: the first crossing condemns */
    uint32_t hard_down_failures; /* 0 = off */
    int64_t hard_down_over_ns;
    enum evidence_before evidence;
    enum on_undecided on_undecided;
    int64_t max_hold_ns;
    enum no_data_do on_no_data;
    int64_t no_data_after_ns;
    enum stable_degraded on_stable_degraded;
    uint32_t warm_up_requests; /* of an endpoint, left out of times, until so many or so long */
    int64_t warm_up_ns;
    uint32_t error_kinds; /* count_as_error, bits */
    const struct policy_criterion *criteria;
    size_t criteria_count; /* 1..CRITERIA_MAX */
};

struct policy_bake {
    int64_t for_ns; /* at 100 % after the last step; 0: promoted at once */
    uint32_t
        control_bp; /* of the traffic that stays on stable at the steps of 100 % and in the bake */
};

/* How a stream ends well, and where its content is. */
enum stream_protocol {
    PROTOCOL_AUTO, /* recognised by its events */
    PROTOCOL_OPENAI,
    PROTOCOL_ANTHROPIC,
    PROTOCOL_KSERVE,
    PROTOCOL_PLAIN, /* no end mark is known: whole HTTP framing is all that is asked */
    PROTOCOL_COUNT,
};

/* When stable answers in place of a canary that failed before its first byte. */
enum shield { SHIELD_OFF, SHIELD_SAFE, SHIELD_ALL };

enum upstream_host { UPSTREAM_HOST_PRESERVE, UPSTREAM_HOST_ENDPOINT, UPSTREAM_HOST_NAME };

/* Paths are relative to the policy's own folder and were made usable from here. */
struct policy_upstream_tls {
    const char *ca;                /* PEM; NULL: the system's */
    const char *certificate, *key; /* ours, for endpoints that ask; NULL: none */
    const char *server_name;       /* for SNI and the check; NULL: the endpoint's host */
    bool verify;                   /* default true */
    struct source_pos at;
};

struct policy_upstream {
    enum upstream_host host;
    const char *host_name; /* UPSTREAM_HOST_NAME */
    struct policy_upstream_tls tls;
    const struct policy_header *set_headers; /* name lower case */
    size_t set_header_count;
    const char *const *remove_headers; /* lower case */
    size_t remove_header_count;
    int64_t connect_timeout_ns; /* TCP, and TLS where there is any */
    int64_t first_byte_timeout_ns;
    int64_t idle_timeout_ns;
    int64_t total_timeout_ns;
    uint32_t retries_max;  /* further attempts for one request, 0..5; default 1 */
    double retries_budget; /* of the requests lately sent, 0..1; default 0.1 */
    uint32_t max_requests; /* in flight to one endpoint, process-wide; default 1024 */
    uint32_t queue_max;    /* requests that wait for one of a version's endpoints, per worker */
    int64_t queue_timeout_ns;
    int64_t tunnel_timeout_ns; /* silence in both directions after an upgrade; default 1 h */
};

struct named_file;

struct policy {
    const char *name;
    bool start_auto; /* start: auto; false: manual */
    struct policy_match match;
    struct policy_version versions[VARIANT_COUNT];
    enum stream_protocol protocol;
    enum shield shield;
    int64_t rollback_drain_ns; /* in-flight canary requests once it is taken to 0; 0: cut */
    const struct policy_step *steps;
    size_t step_count; /* 1..STEPS_MAX */
    struct policy_bake bake;
    struct policy_analysis analysis;
    struct policy_upstream upstream;
    const char *file; /* the path it came from */
    const char *text; /* what it decides by, as a document of its own (policies/policy_text.h) */
    struct source_pos at;
    const struct named_file *files; /* that it names; policies/named_file.h */
    struct arena *arena;            /* owns all of it; internal */
};

/* How many conditions there are beside host and path: the last tie-break between rollouts. */
static inline size_t policy_match_conditions(const struct policy_match *m)
{
    return (m->method_count > 0 ? 1 : 0) + m->header_count;
}

/* True when the policy names a canary. */
static inline bool policy_has_canary(const struct policy *p)
{
    return p->versions[VARIANT_CANARY].version != NULL;
}

/* Whether stable and the canary have traffic at the same time in any step: not in one that begins
 * with everything on the canary (blue/green), unless a share stays on stable as a control. */
static inline bool policy_compares(const struct policy *p)
{
    return p->step_count == 0 || p->steps[0].weight_bp < WEIGHT_FULL_BP || p->bake.control_bp > 0;
}

/* Parses and checks one policy document. All errors of the text land in `reterr`, sorted (their
 * positions borrow `path`, which must outlive them and be NUL-terminated). Returns 0 and *ret (free
 * with policy_free; warnings may be in reterr), or -EINVAL with *ret untouched. Expands ${ENV}.
 * Never logs. */
int policy_parse(struct str path, struct str text, struct policy **ret, struct diagnostics *reterr);

struct yaml_node;
/* The same from a document that was read already (not sorted). `root` is changed on the way: bad
 * nodes are marked, shorthands written out. Its text is copied. */
int policy_from_yaml(const char *path, struct yaml_node *root, struct policy **ret,
                     struct diagnostics *reterr);
void policy_free(struct policy *);

#endif
