/* net/chunked.h — the chunked coding of RFC 9112, section 7.1, strictly read.
 *
 * The decoder finds the data in bytes as they come and checks the framing: sizes are bare hex
 * digits, every line ends in CRLF. Extensions are read, bounded and dropped (an intermediary may),
 * so that nothing two parsers could read differently is passed on; trailer fields are collected.
 */
#ifndef NET_CHUNKED_H
#define NET_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"
#include "net/trailers.h"

/* Of one extension; and of all in a body: so much, and a byte more for each 16 bytes of data, which
 * leaves room for a signature on every chunk and none for a body made of extensions. */
enum {
    CHUNKED_EXTENSION_MAX = 4096,
    CHUNKED_EXTENSIONS_MAX = 16 * 1024,
    CHUNKED_DATA_PER_EXTRA = 16
};

struct chunked {
    uint64_t left;             /* data bytes of the open chunk still to come */
    struct trailers *trailers; /* NULL until there is one */
    uint16_t line, extensions; /* extension bytes: of this line; of all, less what data earned */
    uint8_t state, digits;
};

_Static_assert(CHUNKED_EXTENSIONS_MAX < UINT16_MAX, "the count of what is too much must fit");

enum chunked_result { CHUNKED_MORE, CHUNKED_DATA, CHUNKED_END, CHUNKED_ERROR };

void chunked_init(struct chunked *);
void chunked_deinit(struct chunked *); /* frees the trailers */
/* Takes from the front of *bytes. CHUNKED_DATA: *ret_data is a run of data inside it, call again.
 * CHUNKED_MORE: all was taken. CHUNKED_END: the body is over, *bytes is what follows it.
 * CHUNKED_ERROR: not chunked coding; the connection must be closed. */
enum chunked_result chunked_next(struct chunked *, struct str *bytes, struct str *ret_data);

/* For bytes that are exactly one whole chunk, and the same that framing its data anew would give
 * (the size in its shortest spelling, no extension), where a chunk begins: takes them. Else false,
 * and nothing was taken. */
bool chunked_same(struct chunked *, struct str bytes, struct str *ret_data);

enum { CHUNKED_LINE_MAX = 20 };
/* The size line of a chunk of `size` > 0 data bytes. Returns its length. */
size_t chunked_line(char to[static CHUNKED_LINE_MAX], uint64_t size);

#endif
