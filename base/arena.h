/* base/arena.h — memory that is freed at once, and the malloc family that dies on OOM.
 *
 * Anything whose size a peer or a file chooses must be bounded by its caller before it gets here.
 */
#ifndef BASE_ARENA_H
#define BASE_ARENA_H

#include <stddef.h>

#include "base/str.h"

void *xmalloc(size_t size);
void *xcalloc(size_t count, size_t size);
void *xrealloc(void *ptr, size_t size);
char *xstrdup(const char *);
char *xstrndup(struct str);

struct arena_block;

/* A bump allocator: zeroed memory, 16-byte aligned, no single free. One owner, any thread. */
struct arena {
    struct arena_block *blocks;
};

void arena_init(struct arena *);
void arena_deinit(struct arena *);
void *arena_alloc(struct arena *, size_t size);
/* A terminated copy of s. */
char *arena_strdup(struct arena *, struct str s);
char *arena_printf(struct arena *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
