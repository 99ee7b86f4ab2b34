/* tests/fuzz/strict.h — a second reader of HTTP/1.1 messages, for the fuzzers' oracles.
 *
 * It shares no code with net/ and takes less: only what RFC 9110 and 9112 let a sender write, in
 * one form. Where it reads a message that sluice wrote otherwise than sluice meant it, or reads
 * more than one, two parsers on one wire disagree.
 */
#ifndef TESTS_FUZZ_STRICT_H
#define TESTS_FUZZ_STRICT_H

#include <stdbool.h>
#include <stddef.h>

#include "base/str.h"

enum { STRICT_FIELDS_MAX = 512 };

struct strict_field {
    struct str name, value;
};

struct strict {
    struct str start[3]; /* method, target, version; or version, status, reason */
    int status;          /* of an answer */
    struct strict_field fields[STRICT_FIELDS_MAX], trailers[STRICT_FIELDS_MAX];
    size_t field_count, trailer_count;
    bool chunked, counted, by_close;
    char *content; /* heap */
    size_t content_len;
    size_t used; /* of the bytes */
};

enum strict_result {
    STRICT_WHOLE,      /* exactly one message at the front */
    STRICT_INCOMPLETE, /* a good beginning */
    STRICT_WRONG,      /* no message that we may send: *ret_why says why */
};

enum strict_result strict_request(struct str bytes, struct strict *ret, const char **ret_why);
/* `ended`: the peer closed behind the bytes. `to_head`: answers HEAD. */
enum strict_result strict_answer(struct str bytes, bool to_head, bool ended, struct strict *ret,
                                 const char **ret_why);
/* The chunked coding alone. `received`: takes what a sender may write and we would not: extensions,
 * and any field as a trailer. */
enum strict_result strict_chunks(struct str bytes, bool received, struct strict *ret,
                                 const char **ret_why);
void strict_free(struct strict *);

/* Whether a head that was accepted says one thing about its framing, however one looks at its
 * lines: at most one Content-Length, of digits, or one Transfer-Encoding, of "chunked", and no
 * control bytes that could hide another. */
bool strict_one_framing(struct str head);
/* Whether a Connection line of that head lists `name`. */
bool strict_nominated(struct str head, struct str name);

/* How many fields of that name (lower case) there are; the first one's value. */
size_t strict_count(const struct strict *, const char *name);
struct str strict_get(const struct strict *, const char *name);

#endif
