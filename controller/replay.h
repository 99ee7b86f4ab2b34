/* controller/replay.h — takes the decisions of a journal again, through the engine, and compares.
 *
 * Pure but for memory: no clock, no I/O.
 */
#ifndef CONTROLLER_REPLAY_H
#define CONTROLLER_REPLAY_H

#include "base/error.h"
#include "controller/decision_fields.h"
#include "controller/journal_format.h"

enum { REPLAY_DAMAGES_MAX = 100 };

/* A decision that was taken again. */
struct replay_decision {
    uint64_t number;
    int64_t wall_ns;
    size_t at; /* byte of the file */
    const struct rollout_decision *now;
    bool same;
};

struct replay_result {
    uint64_t segments, looks, decisions;
    uint64_t gaps; /* of segments: dropped as too old, or damaged; the next checkpoint was taken */
    uint64_t damages; /* of the file; the first REPLAY_DAMAGES_MAX are told */
    bool ended;       /* the journal has its end */
    bool sums; /* the looks could be compared: the same fields, see decision_fields_version */
    /* the first look that is not as recorded; 0: none. */
    uint64_t differs_at_look;
    int64_t differs_wall_ns;
    size_t differs_at; /* byte of the file */
    /* the first decision that is not as recorded */
    bool differs;
    uint64_t differs_number; /* 0: none was recorded, or none is taken now */
    struct decision_difference difference;
};

struct replay_listener {
    void (*decision)(void *ctx, const struct replay_decision *);
    /* What is wrong, at which byte. */
    void (*damage)(void *ctx, size_t at, const char *what);
    void *ctx;
};

/* Replays all that is whole; ends at the first decision that differs. 0, or -EINVAL when there is
 * nothing to replay (no journal, no head, a policy that cannot be read). */
int replay_run(struct str file, const struct replay_listener *, struct replay_result *ret,
               struct error *reterr);

/* The policy in a journal's head. -EINVAL with the reason. The caller frees it. */
int replay_policy(struct str file, struct policy **ret, struct error *reterr);

#endif
