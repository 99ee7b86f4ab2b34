/* net/body.h — where a message body ends, and the same body framed for the next hop.
 *
 * Counted bodies are counted and not parsed; chunked ones are decoded strictly and framed anew, one
 * chunk per read, so that no framing passes that two parsers could read differently. Trailer fields
 * are collected (net/trailers.h) and go out behind the last chunk. A body owns memory only if it
 * has trailers; a copy made before they came may be put back, once body_deinit was called on what
 * it replaces.
 */
#ifndef NET_BODY_H
#define NET_BODY_H

#include <uv.h>

#include <stdbool.h>
#include <stdint.h>

#include "net/chunked.h"
#include "net/head.h"

struct body {
    uint8_t framing; /* enum framing */
    bool done;
    bool drop_trailers; /* set after body_init: trailer fields are checked, and not passed on */
    uint64_t bytes;     /* of content seen so far */
    union {
        uint64_t left;          /* FRAMING_LENGTH */
        struct chunked chunked; /* FRAMING_CHUNKED; else never touched */
    };
};

/* `length` counts for FRAMING_LENGTH only. FRAMING_NONE is done at once. */
static inline void body_init(struct body *b, enum framing framing, uint64_t length)
{
    b->framing = (uint8_t)framing;
    b->done = framing == FRAMING_NONE;
    b->drop_trailers = false;
    b->bytes = 0;
    if (framing == FRAMING_CHUNKED)
        chunked_init(&b->chunked);
    else
        b->left = length;
}

/* Frees the trailers: only once what body_read gave has been written. Harmless at any time, and on
 * a body that is all zeros. */
static inline void body_deinit(struct body *b)
{
    if (b->framing == FRAMING_CHUNKED)
        chunked_deinit(&b->chunked);
}

enum { BODY_RUNS_MAX = 32 };

/* What one call to body_read found, ready to be written. Large: set `count`, not all of it. */
struct body_out {
    unsigned count;
    unsigned run_count;
    const uv_buf_t *runs; /* the bare content: some of bufs, or what lies within the only one */
    uv_buf_t whole;
    uv_buf_t bufs[BODY_RUNS_MAX + 8]; /* room for a head, what is held, framing */
    char line[CHUNKED_LINE_MAX];
};

enum body_result {
    BODY_MORE,  /* all bytes were taken, the body goes on */
    BODY_AGAIN, /* the output is full: write it, call again */
    BODY_DONE,  /* the body ended; *bytes is what follows */
    BODY_ERROR, /* not a body of that framing */
};

/* Takes from the front of *bytes, appends to *out (caller sets out->count; a head may stand before)
 * the content framed as `as`: CHUNKED, or anything else for bare bytes. The buffers point into
 * *bytes, *out and the body. */
enum body_result body_read(struct body *, struct str *bytes, enum framing as, struct body_out *out);
/* The source ended by closing (FRAMING_CLOSE): what is still to be said, into *out. */
void body_close(struct body *, enum framing as, struct body_out *out);

#endif
