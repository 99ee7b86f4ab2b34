/* proxy/observe_scan.h — how far a line, a string or a number goes on. Internal to observe. Pure.
 *
 * Strings are passed sixteen bytes at a time where there is SSE2 (all of amd64), else eight.
 */
#ifndef PROXY_OBSERVE_SCAN_H
#define PROXY_OBSERVE_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* The first CR or LF, or end. */
const char *observe_line_end(const char *p, const char *end);

/* observe_text_end for few bytes. */
const char *observe_text_end_short(const char *p, const char *end);

/* The first quote, backslash or control byte, or end. */
static inline const char *observe_text_end(const char *p, const char *end)
{
#ifdef __SSE2__
    for (; end - p >= 16; p += 16) {
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        /* With this bit turned, a quote is 0x20, controls stay below it and all else above. */
        __m128i turned = _mm_xor_si128(v, _mm_set1_epi8('"' ^ ' '));
        __m128i low = _mm_cmpeq_epi8(_mm_min_epu8(turned, _mm_set1_epi8(' ')), turned);
        __m128i hit = _mm_or_si128(low, _mm_cmpeq_epi8(v, _mm_set1_epi8('\\')));
        unsigned mask = (unsigned)_mm_movemask_epi8(hit);
        if (mask != 0)
            return p + __builtin_ctz(mask);
    }
#endif
    return observe_text_end_short(p, end);
}

/* The quote that closes the string whose first byte is at p. NULL: it is not here, or a control
 * byte is. */
static inline const char *observe_string_end(const char *p, const char *end, bool *ret_escapes)
{
    *ret_escapes = false;
    for (;;) {
        p = observe_text_end(p, end);
        if (p == end || (uint8_t)*p < ' ')
            return NULL;
        if (*p == '"')
            return p;
        if (end - p < 2 || (uint8_t)p[1] < ' ')
            return NULL;
        *ret_escapes = true;
        p += 2;
    }
}

extern const bool observe_scalar_bytes[256];

/* A byte of a number or literal. */
static inline bool observe_is_scalar(char c)
{
    return observe_scalar_bytes[(uint8_t)c];
}

static inline const char *observe_digits_end(const char *p, const char *end)
{
#ifdef __SSE2__
    if (end - p >= 16) { /* longer numbers are not common */
        __m128i v = _mm_loadu_si128((const __m128i *)(const void *)p);
        __m128i value = _mm_sub_epi8(v, _mm_set1_epi8('0'));
        __m128i digit = _mm_cmpeq_epi8(_mm_min_epu8(value, _mm_set1_epi8(9)), value);
        unsigned mask = (unsigned)_mm_movemask_epi8(digit) ^ 0xffffu;
        if (mask != 0)
            return p + __builtin_ctz(mask);
        p += 16;
    }
#endif
    while (p < end && *p >= '0' && *p <= '9')
        p++;
    return p;
}

static inline const char *observe_scalar_end(const char *p, const char *end)
{
    while (p < end && observe_is_scalar(*p))
        p++;
    return p;
}

#endif
