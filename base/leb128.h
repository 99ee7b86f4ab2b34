/* base/leb128.h — numbers in as many bytes as they need, seven bits in each, the lowest first. */
#ifndef BASE_LEB128_H
#define BASE_LEB128_H

#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

enum { LEB128_BYTES_MAX = 10 };

/* How many bytes it took. */
size_t leb128_put(uint64_t n, char to[static LEB128_BYTES_MAX]);
/* How many bytes of `from` it took; 0: it ends within the number, or that has more than 64 bits.
 * More bytes than it needs are taken all the same. */
size_t leb128_get(struct str from, uint64_t *ret);

#endif
