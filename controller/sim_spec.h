/* controller/sim_spec.h — the world of a simulation in words: how much traffic there is, and how
 * stable and the canary answer it.
 *
 * A variant is described by `KEY=VALUE,KEY=VALUE`, on a command line or as the members of a YAML
 * mapping (docs/simulate.md has the keys). The canary is like stable but for what is said of it.
 * Plain data, no pointers: equal descriptions are equal bytes.
 */
#ifndef CONTROLLER_SIM_SPEC_H
#define CONTROLLER_SIM_SPEC_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "base/strbuf.h"
#include "policies/policy.h"

/* How long something takes. */
struct sim_times {
    enum sim_shape { SIM_UNKNOWN, SIM_CONSTANT, SIM_LOGNORMAL, SIM_EXPONENTIAL, SIM_UNIFORM } shape;
    double ns;   /* constant; median; mean; lower end */
    double more; /* sigma of the logarithm; upper end in ns */
};

/* Times in which a share of requests fails, at random: lengths and pauses are exponential. */
struct sim_bursts {
    double length_ns, every_ns; /* means; 0: none */
    double share;               /* that fails inside */
};

struct sim_outage {
    int64_t after_ns, length_ns; /* from the start of the rollout; length 0: none */
    double share;
};

struct sim_variant {
    double outcomes[OUTCOME_KIND_COUNT]; /* share of requests that end so; [OUTCOME_OK] is unused */
    struct sim_times latency;
    struct sim_times first_token, gap, per_token; /* of streams; SIM_UNKNOWN: not known */
    double shift;                                 /* all of these times it */
    double streams;                               /* share of requests answered as a stream */
    int64_t failure_ns;                           /* how long an error takes; < 0: as long as
                                                     an answer. A timeout takes first_byte_timeout */
    bool failures_time_out;                       /* errors are timeouts after failure_ns */
    struct sim_bursts bursts;
    struct sim_outage outage;
    int64_t onset_ns;  /* canary: after its first traffic; like stable before */
    uint32_t onset_bp; /* canary: and not below this weight */
};

struct sim_shared {
    struct sim_bursts bursts;
    struct sim_outage outage;
    double swing; /* times go up and down by this share, both variants alike */
    int64_t swing_ns;
};

struct sim_spec {
    double rps; /* both variants together */
    struct sim_variant variants[VARIANT_COUNT];
    struct sim_shared shared;
};

/* 100 requests/s; answers take 1 s (median, lognormal), one in a thousand fails. */
void sim_spec_init(struct sim_spec *);

/* Adds what `text` says ("errors=5%,shift=1.5x"). -EINVAL: reterr has message and hint. */
int sim_variant_parse(struct sim_variant *, struct str text, struct error *reterr);
int sim_shared_parse(struct sim_shared *, struct str text, struct error *reterr);
/* One of them; value.ptr NULL: none was given. */
int sim_variant_set(struct sim_variant *, struct str key, struct str value, struct error *reterr);
int sim_shared_set(struct sim_shared *, struct str key, struct str value, struct error *reterr);
/* Requests per second: above 0, at most a million. */
int sim_rps_parse(struct str text, double *ret, struct error *reterr);

/* A mapping of `rps`, `stable`, `canary` and `shared`, in YAML or JSON. The canary is like stable
 * as the file leaves it. Errors borrow `path`. Returns 0 or -EINVAL. */
int sim_spec_read(struct sim_spec *, const char *path, struct str text, struct diagnostics *reterr);

/* Shares that add up to more than 1, times that no stream has. */
int sim_spec_check(const struct sim_spec *, struct error *reterr);

/* The variant as one would write it. */
void sim_variant_text(const struct sim_variant *, struct strbuf *out);

#endif
