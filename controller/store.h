/* controller/store.h — where rollout state outlives a tick: a table of functions.
 *
 * Order of effects: down before disk, disk before up (controller/effects.h).
 */
#ifndef CONTROLLER_STORE_H
#define CONTROLLER_STORE_H

struct store;

/* Nothing survives the process. */
struct store *store_memory_new(void);
void store_free(struct store *);

#endif
