/* analysis/codec.h — one walk over a state that either writes it or reads it, so that the two
 * cannot differ. Little endian; whole numbers take a byte per seven bits, so that small ones are
 * short.
 *
 * A reader never goes past its end and never yields more than the maximum it is asked for: what is
 * not there, or too large, reads as 0 and sets `bad`, which callers check in the end and before
 * they use a number as a size.
 */
#ifndef ANALYSIS_CODEC_H
#define ANALYSIS_CODEC_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/strbuf.h"

struct codec {
    struct strbuf *to; /* NULL: reading */
    struct str from;   /* what is left */
    bool bad;
};

static inline bool codec_reads(const struct codec *x)
{
    return x->to == NULL;
}

void codec_u64(struct codec *, uint64_t *);
void codec_u32(struct codec *, uint32_t *);
void codec_max(struct codec *, uint32_t *, uint32_t max);
void codec_size(struct codec *, size_t *, size_t max);
void codec_i64(struct codec *, int64_t *);
void codec_i32(struct codec *, int32_t *);
void codec_bool(struct codec *, bool *);
/* Finite, and within [low, high]; bit for bit. */
void codec_double(struct codec *, double *, double low, double high);
/* Plain data that is mostly zeros. */
void codec_bytes(struct codec *, void *, size_t size);

#endif
