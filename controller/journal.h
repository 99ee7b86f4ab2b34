/* controller/journal.h — what a rollout's decisions rested on, look by look, kept to be looked at
 * and taken again.
 *
 * In memory, one per rollout, in segments: each begins with a checkpoint (the state and the
 * evidence), so that the oldest can be dropped. Bounded per rollout and in total (docs/journal.md
 * has the numbers and the format). Control thread only; never blocks.
 */
#ifndef CONTROLLER_JOURNAL_H
#define CONTROLLER_JOURNAL_H

#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"
#include "controller/engine.h"

enum {
    JOURNALS_BYTES_MAX = 64 * 1024 * 1024,  /* of all rollouts together */
    JOURNAL_BYTES_MAX = 8 * 1024 * 1024,    /* of one */
    JOURNAL_SEGMENT_BYTES = 32 * 1024,      /* from here on another segment is begun */
    JOURNAL_QUIET_SEGMENT_BYTES = 8 * 1024, /* the same while no canary is under way */
};

struct journal;
struct journals;

/* The share that all journals have; outlives them. `bytes_max`: JOURNALS_BYTES_MAX but in tests. */
struct journals *journals_new(size_t bytes_max);
void journals_free(struct journals *);
size_t journals_bytes(const struct journals *);

/* Of one rollout, empty. The policy outlives it. */
struct journal *journal_new(struct journals *, const struct policy *);
void journal_free(struct journal *);

/* The engine was made at now_ns, and, `adopted`, took up a stored state. Before its first look. */
void journal_begin(struct journal *, const struct engine *, bool adopted, int64_t now_ns,
                   int64_t wall_ns);

/* One look, with exactly what engine_look got and gave. After it. */
struct journal_look {
    enum rollout_input_kind kind;
    const struct observation *observation; /* NULL: nothing */
    const struct command *command;         /* NULL: none */
    int64_t now_ns, wall_ns;
    enum effects_result result;
    const struct rollout_decision *decision;
    uint64_t number; /* of the decision taken, within the rollout; 0: none was */
};
void journal_look(struct journal *, const struct engine *, const struct journal_look *);

/* The whole as a file. False: it would be larger than `out` may be. */
bool journal_write(const struct journal *, int64_t wall_ns, struct strbuf *out);

/* Calls `look` for what is kept of the time from since_ns on, oldest first, at most the last
 * `bytes_max` bytes. The observation is borrowed for the call. */
void journal_each(const struct journal *, int64_t since_ns, size_t bytes_max,
                  void (*look)(void *ctx, int64_t now_ns, const struct observation *), void *ctx);

size_t journal_bytes(const struct journal *);

#endif
