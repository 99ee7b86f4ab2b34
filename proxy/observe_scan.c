/* Eight bytes in a word: a byte's highest bit is made to say that it is what is looked for. */
#include "proxy/observe_scan.h"

#include <endian.h>
#include <string.h>

#define ONES  UINT64_C(0x0101010101010101)
#define HIGHS UINT64_C(0x8080808080808080)

/* A high bit in each byte of x that is below ' ', or that equals c. Bytes above the lowest hit may
 * be hit wrongly; only the lowest counts. */
static inline uint64_t controls(uint64_t x)
{
    return (x - ONES * ' ') & ~x & HIGHS;
}

static inline uint64_t equals(uint64_t x, uint8_t c)
{
    x ^= ONES * c;
    return (x - ONES) & ~x & HIGHS;
}

static inline uint64_t load(const char *p)
{
    uint64_t x;

    memcpy(&x, p, sizeof(x));
    return le64toh(x);
}

const char *observe_text_end_short(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t x = load(p);
        uint64_t hit = controls(x) | equals(x, '"') | equals(x, '\\');
        if (hit != 0)
            return p + (__builtin_ctzll(hit) >> 3);
    }
    while (p < end && *p != '"' && *p != '\\' && (uint8_t)*p >= ' ')
        p++;
    return p;
}

const char *observe_line_end(const char *p, const char *end)
{
    for (; end - p >= 8; p += 8) {
        uint64_t x = load(p);
        uint64_t hit = equals(x, '\n') | equals(x, '\r');
        if (hit != 0)
            return p + (__builtin_ctzll(hit) >> 3);
    }
    while (p < end && *p != '\n' && *p != '\r')
        p++;
    return p;
}

const bool observe_scalar_bytes[256] = {
    ['0' ... '9'] = true, ['a' ... 'z'] = true, ['A' ... 'Z'] = true,
    ['-'] = true,         ['+'] = true,         ['.'] = true,
};
