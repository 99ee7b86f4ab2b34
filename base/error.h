/* base/error.h — what went wrong, where, and what to do about it.
 *
 * `struct error` is one failure with context added on the way up. `struct diagnostics` collects
 * all of a file's errors, so that `sluice check` reports every one and not only the first.
 * Not logging, no globals; any thread, one owner.
 */
#ifndef BASE_ERROR_H
#define BASE_ERROR_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

struct source_pos {
    const char *file;      /* borrowed: outlives the error */
    uint32_t line, column; /* 1-based, columns in characters; 0 = unknown */
};

struct error {
    int code; /* negative errno-class value; 0 = no error */
    struct source_pos at;
    char message[256];
    char hint[256]; /* what to do; "" = none */
};

/* All return `code`, so that a caller can write `return error_set(reterr, -EINVAL, ...)`.
 * reterr may be NULL (the detail is dropped). */
int error_set(struct error *reterr, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
int error_at(struct error *reterr, struct source_pos at, int code, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));

/* Prefixes the message: error_context(reterr, "loading %s: ", path). */
void error_context(struct error *reterr, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
void error_hint(struct error *reterr, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* --- several errors of one piece of text --- */

enum { DIAGNOSTICS_MAX = 100 }; /* further ones are counted, not kept */

struct diagnostics {
    struct error *items; /* heap, in order of discovery */
    size_t count;        /* kept */
    size_t dropped;      /* errors beyond DIAGNOSTICS_MAX */
    size_t warnings;     /* of `count`: those with code 0 do not make a load fail */
};

void diagnostics_init(struct diagnostics *);
void diagnostics_deinit(struct diagnostics *);
void diagnostics_add(struct diagnostics *, const struct error *);

/* Adds an error at a position. `hint` may be NULL. */
void diagnostics_addf(struct diagnostics *, struct source_pos at, const char *hint, const char *fmt,
                      ...) __attribute__((format(printf, 4, 5)));
/* Adds a warning (code 0). */
void diagnostics_warnf(struct diagnostics *, struct source_pos at, const char *hint,
                       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

/* True when nothing but warnings was found. */
bool diagnostics_ok(const struct diagnostics *);

/* Sorts by file, line, column (stable), as a reader wants them. */
void diagnostics_sort(struct diagnostics *);

struct strbuf;
/* Prints one as `file:line:column: message`, the line of `source` with a caret under the column
 * (when source.ptr is set and the line exists) and `hint: ...`. A warning says "warning: ". */
void diagnostics_print(const struct error *, struct str source, struct strbuf *out);

#endif
