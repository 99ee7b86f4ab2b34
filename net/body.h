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
    enum framing framing;
    bool done;
    bool drop_trailers; /* set after body_init: trailer fields are checked, and not passed on */
    uint64_t left;      /* FRAMING_LENGTH */
    uint64_t bytes;     /* of content seen so far */
    struct chunked chunked;
};

/* `length` counts for FRAMING_LENGTH only. FRAMING_NONE is done at once. */
void body_init(struct body *, enum framing, uint64_t length);
/* Frees the trailers: only once what body_read gave has been written. Harmless at any time, and on
 * a body that is all zeros. */
void body_deinit(struct body *);

enum { BODY_RUNS_MAX = 32 };

/* What one call to body_read found, ready to be written. */
struct body_out {
    uv_buf_t bufs[BODY_RUNS_MAX + 8]; /* room for a head, what is held, framing */
    unsigned count;
    unsigned run_first, run_count; /* which of bufs are bare content */
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
