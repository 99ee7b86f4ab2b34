/* net/chunked.h — the chunked coding of RFC 9112, section 7.1, strictly read.
 *
 * The decoder finds the data in bytes as they come and checks the framing: sizes are bare hex
 * digits, every line ends in CRLF. Extensions and trailer fields are read, bounded and dropped (an
 * intermediary may), so that nothing two parsers could read differently is passed on.
 */
#ifndef NET_CHUNKED_H
#define NET_CHUNKED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { CHUNKED_EXTENSION_MAX = 4096, CHUNKED_TRAILER_MAX = 16 * 1024 };

struct chunked {
    uint64_t left;     /* data bytes of the open chunk still to come */
    uint32_t overhead; /* bytes of this line's extension, or of the trailer section, so far */
    uint8_t state, digits;
};

enum chunked_result { CHUNKED_MORE, CHUNKED_DATA, CHUNKED_END, CHUNKED_ERROR };

void chunked_init(struct chunked *);
/* Takes from the front of *bytes. CHUNKED_DATA: *ret_data is a run of data inside it, call again.
 * CHUNKED_MORE: all was taken. CHUNKED_END: the body is over, *bytes is what follows it.
 * CHUNKED_ERROR: not chunked coding; the connection must be closed. */
enum chunked_result chunked_next(struct chunked *, struct str *bytes, struct str *ret_data);

enum { CHUNKED_LINE_MAX = 20 };
/* The size line of a chunk of `size` > 0 data bytes. Returns its length. */
size_t chunked_line(char to[static CHUNKED_LINE_MAX], uint64_t size);

#endif
