/* controller/store.h — where rollout state outlives a tick: a table of functions.
 *
 * Order of effects: down before disk, disk before up (controller/effects.h). Control thread only.
 */
#ifndef CONTROLLER_STORE_H
#define CONTROLLER_STORE_H

#include <stdbool.h>

#include "base/error.h"

struct decision_record;
struct rollout_state;
struct store;

struct store_ops {
    const char *kind; /* "memory" */
    bool durable;     /* what was committed is there after a restart of the process */
    /* 0 and *ret; -ENOENT: this rollout is not known (no error is set); else an error. */
    int (*load)(struct store *, const char *rollout, struct rollout_state *ret,
                struct error *reterr);
    /* State and decision become visible together or not at all. `record` may be NULL: a state that
     * an earlier, failed commit still owes. */
    int (*commit)(struct store *, const char *rollout, const struct rollout_state *,
                  const struct decision_record *record, struct error *reterr);
    void (*free)(struct store *);
};

/* Embedded first in each implementation. */
struct store {
    const struct store_ops *ops;
};

/* Nothing survives the process. */
struct store *store_memory_new(void);
void store_free(struct store *); /* NULL is fine */

#endif
