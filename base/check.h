/* base/check.h — what we guarantee to ourselves.
 *
 * CHECK is always on and cheap; it states what *our* code promises, never what a peer, a file, a
 * disk or an operator did: those are errors or outcomes. A failed CHECK aborts the process.
 */
#ifndef BASE_CHECK_H
#define BASE_CHECK_H

#include <stddef.h>

void check_failed(const char *file, int line, const char *function, const char *condition)
    __attribute__((noreturn, cold));

#define CHECK(cond)                                                                                \
    (__builtin_expect(!(cond), 0) ? check_failed(__FILE__, __LINE__, __func__, #cond) : (void)0)

#define UNREACHABLE() check_failed(__FILE__, __LINE__, __func__, "unreachable")

/* The object that embeds `member` at the address `ptr`. */
#define CONTAINER_OF(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))

#define ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

#endif
