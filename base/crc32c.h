/* base/crc32c.h — CRC-32C (Castagnoli; RFC 3720, appendix B.4): whether bytes are those that were
 * written. Not against anyone who wants to deceive.
 */
#ifndef BASE_CRC32C_H
#define BASE_CRC32C_H

#include <stdint.h>

#include "base/str.h"

/* Of all bytes so far: begin with 0, go on with what came back. Any thread. */
uint32_t crc32c(uint32_t crc, struct str bytes);

#endif
