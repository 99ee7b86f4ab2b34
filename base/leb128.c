/* The tenth byte has one bit left to give. */
#include "base/leb128.h"

size_t leb128_put(uint64_t n, char to[static LEB128_BYTES_MAX])
{
    size_t len = 0;

    for (; n >= 0x80; n >>= 7)
        to[len++] = (char)(unsigned char)(n | 0x80);
    to[len++] = (char)(unsigned char)n;
    return len;
}

size_t leb128_get(struct str from, uint64_t *ret)
{
    uint64_t n = 0;

    for (size_t i = 0; i < from.len && i < LEB128_BYTES_MAX; i++) {
        unsigned char byte = (unsigned char)from.ptr[i];
        if (i == LEB128_BYTES_MAX - 1 && byte > 1)
            break;
        n |= (uint64_t)(byte & 0x7f) << (7 * i);
        if (byte < 0x80) {
            *ret = n;
            return i + 1;
        }
    }
    return 0;
}
