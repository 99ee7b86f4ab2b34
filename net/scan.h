/* net/scan.h — how far the bytes of a slice are of one kind, sixteen at a time.
 *
 * What heads are cut with. Never reads beyond the slice; fastest on one that goes on for sixteen
 * bytes or more, so callers hand over all there is rather than the part they mean. SSE2 where there
 * is (all of amd64), else eight bytes at a time or one by one. Pure.
 */
#ifndef NET_SCAN_H
#define NET_SCAN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/str.h"

/* What the inline ones below do without SSE2, and for slices of less than sixteen bytes. */
size_t scan_plain_short(struct str s, size_t from);
size_t scan_word_short(struct str s, size_t from);
size_t scan_target_short(struct str s, size_t from);

#ifdef __SSE2__
#include <emmintrin.h>

enum { SCAN_BLOCK = 16 };

/* Each of these: a bit for every byte of the block that ends the run. */
static inline unsigned scan_plain_ends(__m128i v)
{
    /* As signed bytes and one more, DEL and those of 8 bits lie below '!', as controls do. */
    return (unsigned)_mm_movemask_epi8(
        _mm_cmplt_epi8(_mm_add_epi8(v, _mm_set1_epi8(1)), _mm_set1_epi8('!')));
}

static inline __m128i scan_within(__m128i v, char first, char last)
{
    __m128i offset = _mm_sub_epi8(v, _mm_set1_epi8(first));

    return _mm_cmpeq_epi8(_mm_min_epu8(offset, _mm_set1_epi8((char)(last - first))), offset);
}

static inline unsigned scan_word_ends(__m128i v)
{
    __m128i letter = scan_within(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i other = scan_within(v, '-', '9'); /* and a slash */
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(letter, _mm_andnot_si128(slash, other))) ^
           0xffffU;
}

static inline unsigned scan_target_ends(__m128i v)
{
    __m128i hidden = _mm_cmplt_epi8(_mm_add_epi8(v, _mm_set1_epi8(1)), _mm_set1_epi8('"'));
    __m128i question = _mm_cmpeq_epi8(v, _mm_set1_epi8('?'));
    __m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(hidden, _mm_or_si128(question, hash)));
}

/* The last block of a slice holds bytes from before `from`: they are shifted out. */
#define SCAN_BODY(ends, in_short)                                                                  \
    while (s.len - from >= SCAN_BLOCK) {                                                           \
        unsigned mask = ends(_mm_loadu_si128((const __m128i *)(const void *)(s.ptr + from)));      \
        if (mask != 0)                                                                             \
            return from + (size_t)__builtin_ctz(mask);                                             \
        from += SCAN_BLOCK;                                                                        \
    }                                                                                              \
    if (s.len < SCAN_BLOCK)                                                                        \
        return in_short(s, from);                                                                  \
    unsigned mask =                                                                                \
        ends(_mm_loadu_si128((const __m128i *)(const void *)(s.ptr + s.len - SCAN_BLOCK))) >>      \
        (SCAN_BLOCK - (s.len - from));                                                             \
    return mask == 0 ? s.len : from + (size_t)__builtin_ctz(mask)
#else
#define SCAN_BODY(ends, in_short) return in_short(s, from)
#endif

/* The first byte at or behind `from` (at most s.len) that is not ASCII text: a control byte, DEL,
 * or one of 8 bits; s.len when there is none. The other two likewise. */
static inline size_t scan_plain(struct str s, size_t from)
{
    SCAN_BODY(scan_plain_ends, scan_plain_short);
}

/* The first that is no letter, digit, '-' or '.': what most names and hosts are made of. */
static inline size_t scan_word(struct str s, size_t from)
{
    SCAN_BODY(scan_word_ends, scan_word_short);
}

/* The first that is '?' or '#', or not visible ASCII. */
static inline size_t scan_target(struct str s, size_t from)
{
    SCAN_BODY(scan_target_ends, scan_target_short);
}

#endif
