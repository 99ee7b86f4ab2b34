/* controller/sim_rival.h — what other rollout controllers would have done on the same stream.
 *
 * Both look at the canary's share of errors among the requests that ended in the last interval, and
 * go through the policy's steps and holds. Read in their source (2024):
 *
 *   argo     Argo Rollouts, a background analysis: each measurement above the limit is a failure;
 *            more than `limit` of them abort, at once. A failure that is not one too many holds
 *            nothing up. No requests: no measurement.
 *   flagger  Flagger: a check that fails (above the limit, or no requests) is counted, never taken
 *            back, and keeps the weight where it is; with `limit` of them the next check rolls
 * back.
 *
 * Pure; plain data.
 */
#ifndef CONTROLLER_SIM_RIVAL_H
#define CONTROLLER_SIM_RIVAL_H

#include <stdbool.h>
#include <stdint.h>

#include "base/error.h"
#include "base/str.h"
#include "policies/policy.h"

struct sim_rival_rules {
    enum sim_rival_kind { SIM_ARGO, SIM_FLAGGER } kind;
    int64_t interval_ns;
    uint32_t limit;    /* failureLimit; threshold */
    double max_errors; /* share; above it a measurement fails */
};

enum { SIM_RIVAL_NAME_MAX = 64 };

/* "argo", "flagger", "argo:60s:0", "flagger:1m:5:2%". Not given: each minute; 3 failures and 5, as
 * in their examples; the policy's own limit on the error rate, or 1 %. */
int sim_rival_parse(struct str text, const struct policy *, struct sim_rival_rules *ret,
                    struct error *reterr);
/* "argo, each 1m, 3 allowed"; returns `to`. */
char *sim_rival_name(const struct sim_rival_rules *, char to[static SIM_RIVAL_NAME_MAX]);

struct sim_rival {
    struct sim_rival_rules rules;
    const struct policy *policy;
    uint32_t step; /* 1-based */
    int64_t step_ns, checked_ns;
    uint32_t failures;
    uint64_t settled, errors; /* at the last measurement */
};

enum sim_rival_move { SIM_RIVAL_STAYS, SIM_RIVAL_STEPS, SIM_RIVAL_PROMOTES, SIM_RIVAL_REVERTS };

/* At time 0, in the first step. */
void sim_rival_begin(struct sim_rival *, const struct sim_rival_rules *, const struct policy *);
/* `settled` and `errors` of the canary since the start. */
enum sim_rival_move sim_rival_look(struct sim_rival *, int64_t since_ns, uint64_t settled,
                                   uint64_t errors);

#endif
