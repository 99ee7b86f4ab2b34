/* base/strbuf.h — a growing string that cannot be created without its maximum.
 *
 * An append that would pass the maximum is dropped whole, as is
 * everything after it, and sets `overflow`, which callers check once at the end. One owner, any
 * thread.
 */
#ifndef BASE_STRBUF_H
#define BASE_STRBUF_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "base/str.h"

struct strbuf {
    char *ptr; /* heap, or NULL; strbuf_cstr ends it with a NUL */
    size_t len, cap, max;
    bool overflow;
};

void strbuf_init(struct strbuf *, size_t max);
void strbuf_deinit(struct strbuf *);
void strbuf_reset(struct strbuf *); /* keeps the memory */
/* Makes room for that many bytes more. False, and `overflow`: there will be none. */
bool strbuf_reserve(struct strbuf *, size_t more);
/* Appends `more` bytes for the caller to fill at once. NULL: there is no room. */
static inline char *strbuf_grow(struct strbuf *b, size_t more)
{
    if ((b->overflow || more >= b->cap - b->len) && !strbuf_reserve(b, more))
        return NULL;
    b->len += more;
    return b->ptr + b->len - more;
}
static inline bool strbuf_add(struct strbuf *b, struct str s)
{
    char *to = strbuf_grow(b, s.len);

    if (to != NULL && s.len > 0)
        memcpy(to, s.ptr, s.len);
    return to != NULL;
}
static inline bool strbuf_add_char(struct strbuf *b, char c)
{
    return strbuf_add(b, (struct str){&c, 1});
}
/* Decimal, with zeros in front up to that many digits (at most 20). */
bool strbuf_add_u64(struct strbuf *, uint64_t, unsigned digits);
bool strbuf_addf(struct strbuf *, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
bool strbuf_vaddf(struct strbuf *, const char *fmt, va_list) __attribute__((format(printf, 2, 0)));
const char *strbuf_cstr(const struct strbuf *);
struct str strbuf_str(const struct strbuf *);
/* Hands the heap string over (caller frees with free()); the buffer is empty afterwards. */
char *strbuf_steal(struct strbuf *);

/* Appends s as a JSON string with its quotes: control bytes, quotes, backslashes escaped; invalid
 * UTF-8 bytes become U+FFFD, so that the output is always valid JSON. */
bool strbuf_add_json(struct strbuf *, struct str);

#endif
