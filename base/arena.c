/* Blocks of at least 4 KiB, newest first; the whole list goes at once. */
#include "base/arena.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"

enum { BLOCK_SIZE = 4096, ALIGN = 16 };

struct arena_block {
    struct arena_block *next;
    size_t used, size;
    _Alignas(ALIGN) char data[];
};

static void *or_die(void *ptr)
{
    if (ptr == NULL) {
        fputs("out of memory\n", stderr);
        abort();
    }
    return ptr;
}

void *xmalloc(size_t size)
{
    return or_die(malloc(size == 0 ? 1 : size));
}

void *xcalloc(size_t count, size_t size)
{
    return or_die(calloc(count == 0 ? 1 : count, size == 0 ? 1 : size));
}

void *xrealloc(void *ptr, size_t size)
{
    return or_die(realloc(ptr, size == 0 ? 1 : size));
}

char *xstrdup(const char *s)
{
    return or_die(strdup(s));
}

char *xstrndup(struct str s)
{
    char *copy = xmalloc(s.len + 1);

    str_copy(copy, s.len + 1, s);
    return copy;
}

void arena_init(struct arena *a)
{
    a->blocks = NULL;
}

void arena_deinit(struct arena *a)
{
    struct arena_block *next;

    for (struct arena_block *b = a->blocks; b != NULL; b = next) {
        next = b->next;
        free(b);
    }
    a->blocks = NULL;
}

void *arena_alloc(struct arena *a, size_t size)
{
    CHECK(size < SIZE_MAX / 2);
    size = (size + ALIGN - 1) & ~(size_t)(ALIGN - 1);
    struct arena_block *b = a->blocks;
    if (b == NULL || b->size - b->used < size) {
        size_t want = size > BLOCK_SIZE ? size : BLOCK_SIZE;
        b = xcalloc(1, sizeof(*b) + want);
        b->size = want;
        b->next = a->blocks;
        a->blocks = b;
    }
    void *at = b->data + b->used;
    b->used += size;
    return at;
}

char *arena_strdup(struct arena *a, struct str s)
{
    char *copy = arena_alloc(a, s.len + 1);

    str_copy(copy, s.len + 1, s);
    return copy;
}

char *arena_printf(struct arena *a, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    int n = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    CHECK(n >= 0);
    char *at = arena_alloc(a, (size_t)n + 1);
    va_start(args, fmt);
    vsnprintf(at, (size_t)n + 1, fmt, args);
    va_end(args);
    return at;
}
