/* base/str.h — a non-owning slice of bytes. Not NUL-terminated; the owner outlives it. */
#ifndef BASE_STR_H
#define BASE_STR_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct str {
    const char *ptr;
    size_t len;
};

#define STR(literal) ((struct str){(literal), sizeof(literal) - 1})
#define STR_FMT      "%.*s"
#define STR_ARG(s)   (int)(s).len, (s).ptr

static inline struct str str_from(const char *cstring)
{
    return (struct str){cstring, cstring == NULL ? 0 : strlen(cstring)};
}

static inline bool str_eq(struct str a, struct str b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.ptr, b.ptr, a.len) == 0);
}

/* Of as many bytes as a has; what str_ieq does once the lengths are the same. */
bool str_ieq_bytes(struct str a, const char *b);

/* ASCII case-insensitive, as field names, hosts and schemes compare. */
static inline bool str_ieq(struct str a, struct str b)
{
    return a.len == b.len && str_ieq_bytes(a, b.ptr);
}

bool str_starts_with(struct str s, struct str prefix);
bool str_ends_with(struct str s, struct str suffix);

/* Without leading and trailing spaces and tabs. */
static inline struct str str_trim(struct str s)
{
    while (s.len > 0 && (s.ptr[0] == ' ' || s.ptr[0] == '\t')) {
        s.ptr++;
        s.len--;
    }
    while (s.len > 0 && (s.ptr[s.len - 1] == ' ' || s.ptr[s.len - 1] == '\t'))
        s.len--;
    return s;
}

/* Splits off what stands before the first `sep` (or everything) and advances *rest past it.
 * Returns false when *rest was already exhausted (ptr == NULL). */
bool str_split(struct str *rest, char sep, struct str *ret_head);

/* Whole string as decimal digits only (no sign, no space). False on overflow or anything else. */
bool str_to_u64(struct str s, uint64_t *ret);

/* Copies into a fixed array, always terminated. False (and truncated) when it did not fit. */
bool str_copy(char *to, size_t size, struct str s);

/* Length in bytes of the UTF-8 character at the start of s, or 0 when there is none: overlong
 * forms, surrogates and values over U+10FFFF are invalid (RFC 3629), and so is an empty slice. */
size_t str_utf8_length(struct str s);

/* The character at the start of s as a terminal may get it: "?" in place of bytes that are no text,
 * of control characters (tabs too), and of those that are invisible or change the direction of what
 * follows. *ret_taken is how many bytes of s it stands for; s is not empty. */
struct str str_utf8_visible(struct str s, size_t *ret_taken);

/* Edit distance (insert, delete, replace, swap of neighbours), for "did you mean". Bounded: strings
 * over 64 bytes are far from everything (returns 65). */
unsigned str_distance(struct str a, struct str b);

#endif
