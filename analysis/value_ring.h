/* analysis/value_ring.h — values from one writer to one reader, in order, bounded.
 *
 * Memory follows the load: blocks of 4 KiB, as many as lie between two looks of the reader. When
 * VALUES_MAX are waiting (or up to a block fewer), further ones are lost and counted; of both
 * variants alike.
 */
#ifndef ANALYSIS_VALUE_RING_H
#define ANALYSIS_VALUE_RING_H

#include <stddef.h>
#include <stdint.h>

#include "analysis/reference.h"

enum {
    VALUE_BLOCK = 168,
    VALUES_MAX = 128 * VALUE_BLOCK, /* 21,504, in 512 KiB: two seconds of 10,000 a second */
};

struct value_ring;

struct value_ring *value_ring_new(void);
void value_ring_free(struct value_ring *);
/* The writer. Allocates when there are more values on the way than ever before. */
void value_ring_push(struct value_ring *, const struct shift_value *);
/* The reader. */
void value_ring_take(struct value_ring *, void (*take)(void *ctx, const struct shift_value *),
                     void *ctx);
uint64_t value_ring_lost(const struct value_ring *); /* any thread */

#endif
