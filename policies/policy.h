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

enum variant { VARIANT_STABLE, VARIANT_CANARY, VARIANT_COUNT };
extern const char *const variant_names[VARIANT_COUNT]; /* "stable", "canary" */

enum {
    ROLLOUT_NAME_MAX = 63,
    VERSION_MAX = 128, /* bytes of a version label, without terminator */
    STEPS_MAX = 32,
    CRITERIA_MAX = 16,                 /* expanded: one per metric, test and quantile */
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
};

enum criterion_metric { METRIC_ERROR_RATE, METRIC_LATENCY, METRIC_COUNT };
enum criterion_test {
    TEST_MAX,          /* absolute: statistics "ABS" */
    TEST_MAX_INCREASE, /* against the concurrent stable: "REL", r = 1, delta = limit */
    TEST_COUNT,
};

struct policy_criterion {
    const char
        *name; /* "error_rate max 1%", "latency p99 max 500ms": unique, for people and labels */
    enum criterion_metric metric;
    enum criterion_test test;
    double quantile;     /* latency: 0.99; else 0 */
    double limit;        /* rate: the share; latency: seconds */
    int64_t limit_ns;    /* latency: strict, bad iff latency > limit; else 0 */
    double p0;           /* TEST_MAX: the null's probability of "bad": limit, or 1 - quantile */
    double ratio, delta; /* TEST_MAX_INCREASE: r and delta of statistics REL */
    struct source_pos at;
};

enum analysis_mode { MODE_ENFORCE, MODE_OBSERVE };
enum on_undecided { UNDECIDED_HOLD, UNDECIDED_PROMOTE, UNDECIDED_ROLLBACK, UNDECIDED_PAUSE };

struct policy_analysis {
    enum analysis_mode mode;
    double max_false_revert;     /* alpha, for the whole rollout */
    double max_bad_promotion;    /* beta, per absolute criterion */
    int64_t slot_ns;             /* burst_guard.slot (tau) */
    uint32_t min_bad_slots;      /* burst_guard.min_bad_slots (m); 0 = no guard */
    uint32_t hard_down_failures; /* 0 = off */
    int64_t hard_down_over_ns;
    enum on_undecided on_undecided;
    int64_t max_hold_ns;
    const struct policy_criterion *criteria;
    size_t criteria_count; /* 1..CRITERIA_MAX */
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
    struct policy_analysis analysis;
    struct policy_upstream upstream;
    const char *file; /* the path it came from */
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
