/* The store that forgets: states by name, in a growing array. It exists so that the controller has
 * one path only, and so that a controller made anew in the same process finds what it left.
 */
#include "controller/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/arena.h"
#include "controller/rollout.h"
#include "policies/policy_set.h"

struct entry {
    char name[ROLLOUT_NAME_MAX + 1];
    struct rollout_state state;
};

struct store_memory {
    struct store base;
    struct entry *entries;
    size_t count, capacity;
};

static struct entry *find(const struct store_memory *m, const char *rollout)
{
    for (size_t i = 0; i < m->count; i++)
        if (strcmp(m->entries[i].name, rollout) == 0)
            return &m->entries[i];
    return NULL;
}

static int memory_load(struct store *store, const char *rollout, struct rollout_state *ret,
                       struct error *reterr)
{
    const struct entry *e = find((const struct store_memory *)store, rollout);

    (void)reterr;
    if (e == NULL)
        return -ENOENT;
    memcpy(ret, &e->state, sizeof(*ret));
    return 0;
}

static int memory_commit(struct store *store, const char *rollout,
                         const struct rollout_state *state, const struct decision_record *record,
                         struct error *reterr)
{
    struct store_memory *m = (struct store_memory *)store;
    struct entry *e = find(m, rollout);

    (void)record;
    if (e == NULL) {
        if (m->count >= ROLLOUTS_MAX)
            return error_set(reterr, -ENOSPC, "more than %d rollouts", ROLLOUTS_MAX);
        if (m->count == m->capacity) {
            m->capacity = m->capacity == 0 ? 8 : m->capacity * 2;
            m->entries = xrealloc(m->entries, m->capacity * sizeof(*m->entries));
        }
        e = &m->entries[m->count];
        if (!str_copy(e->name, sizeof(e->name), str_from(rollout)))
            return error_set(reterr, -EINVAL, "the name %s is too long", rollout);
        m->count++;
    }
    memcpy(&e->state, state, sizeof(e->state));
    return 0;
}

static void memory_free(struct store *store)
{
    struct store_memory *m = (struct store_memory *)store;

    free(m->entries);
    free(m);
}

static const struct store_ops memory_ops = {
    .kind = "memory",
    .durable = false,
    .load = memory_load,
    .commit = memory_commit,
    .free = memory_free,
};

struct store *store_memory_new(void)
{
    struct store_memory *m = xcalloc(1, sizeof(*m));

    m->base.ops = &memory_ops;
    return &m->base;
}

void store_free(struct store *store)
{
    if (store != NULL)
        store->ops->free(store);
}
