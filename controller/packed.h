/* controller/packed.h — numbers and texts as few bytes, and back from bytes nobody vouches for.
 *
 * Whole numbers take a byte per seven bits, low ones first (LEB128); signed ones are folded so that
 * small ones of either sign are short (zigzag). A reader never goes past its end: what is not there
 * reads as 0 and sets `bad`, which callers check once.
 */
#ifndef CONTROLLER_PACKED_H
#define CONTROLLER_PACKED_H

#include <stdbool.h>
#include <stdint.h>

#include "base/str.h"
#include "base/strbuf.h"

void packed_add(struct strbuf *, uint64_t);
void packed_add_signed(struct strbuf *, int64_t);
void packed_add_fixed32(struct strbuf *, uint32_t); /* four bytes, the lowest first */
void packed_add_text(struct strbuf *, struct str);  /* its length, then it */

struct packed {
    struct str rest;
    bool bad; /* something was missing, or was no number */
};

uint64_t packed_get(struct packed *);
/* At most `max`, else `bad` and 0. */
uint64_t packed_get_max(struct packed *, uint64_t max);
int64_t packed_get_signed(struct packed *);
uint32_t packed_get_fixed32(struct packed *);
struct str packed_get_text(struct packed *); /* borrows what is read */

#endif
