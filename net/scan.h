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

/* What the inline ones below leave: the last bytes of a slice, and short slices. */
size_t scan_plain_rest(struct str s, size_t from);
size_t scan_word_rest(struct str s, size_t from);
size_t scan_target_rest(struct str s, size_t from);

/* Without SSE2. */
size_t scan_plain_bytes(struct str s, size_t from);
size_t scan_word_bytes(struct str s, size_t from);
size_t scan_target_bytes(struct str s, size_t from);

#ifdef __SSE2__
#include <emmintrin.h>

enum { SCAN_BLOCK = 16 };

static inline __m128i scan_load(const char *at)
{
    return _mm_loadu_si128((const __m128i *)(const void *)at);
}

/* Each of these: a bit for every byte of the block that ends the run. A byte's highest bit is all
 * that counts; arithmetic that saturates sets it on one side of a bound and not on the other. */
static inline unsigned scan_plain_ends(__m128i v)
{
    /* As signed bytes and one more, DEL and those of 8 bits lie below '!', as controls do. */
    __m128i next = _mm_add_epi8(v, _mm_set1_epi8(1));

    return (unsigned)_mm_movemask_epi8(_mm_subs_epi8(next, _mm_set1_epi8('!')));
}

static inline __m128i scan_outside(__m128i v, char first, char last)
{
    __m128i offset = _mm_sub_epi8(v, _mm_set1_epi8(first));

    return _mm_adds_epu8(offset, _mm_set1_epi8((char)(0x7f - (last - first))));
}

static inline unsigned scan_word_ends(__m128i v)
{
    __m128i letter = scan_outside(_mm_or_si128(v, _mm_set1_epi8(0x20)), 'a', 'z');
    __m128i other = scan_outside(v, '-', '9'); /* within it lies the slash */
    __m128i slash = _mm_cmpeq_epi8(v, _mm_set1_epi8('/'));

    return (unsigned)_mm_movemask_epi8(_mm_and_si128(letter, _mm_or_si128(other, slash)));
}

static inline unsigned scan_target_ends(__m128i v)
{
    __m128i hidden = _mm_subs_epi8(_mm_add_epi8(v, _mm_set1_epi8(1)), _mm_set1_epi8('"'));
    __m128i question = _mm_cmpeq_epi8(v, _mm_set1_epi8('?'));
    __m128i hash = _mm_cmpeq_epi8(v, _mm_set1_epi8('#'));

    return (unsigned)_mm_movemask_epi8(_mm_or_si128(hidden, _mm_or_si128(question, hash)));
}

/* Of whole blocks. */
#define SCAN_BLOCKS(ends, s, from)                                                                 \
    for (; (ptrdiff_t)(from) <= (ptrdiff_t)(s).len - SCAN_BLOCK; (from) += SCAN_BLOCK) {           \
        unsigned mask = ends(scan_load((s).ptr + (from)));                                         \
        if (mask != 0)                                                                             \
            return (from) + (unsigned)__builtin_ctz(mask);                                         \
    }
#else
#define SCAN_BLOCKS(ends, s, from)
#endif

/* The first byte at or behind `from` that is not ASCII text: a control byte, DEL, or one of 8 bits;
 * s.len when there is none, also where `from` lies up to eight bytes behind the end. The other
 * two likewise. */
static inline size_t scan_plain(struct str s, size_t from)
{
    SCAN_BLOCKS(scan_plain_ends, s, from)
    return scan_plain_rest(s, from);
}

/* The first that is no letter, digit, '-' or '.': what most names and hosts are made of. */
static inline size_t scan_word(struct str s, size_t from)
{
#ifdef __SSE2__
    if ((ptrdiff_t)from <= (ptrdiff_t)s.len - SCAN_BLOCK) { /* few names go on */
        unsigned mask = scan_word_ends(scan_load(s.ptr + from));
        if (mask != 0)
            return from + (unsigned)__builtin_ctz(mask);
        from += SCAN_BLOCK;
    }
#endif
    return scan_word_rest(s, from);
}

/* The first that is '?' or '#', or not visible ASCII. */
static inline size_t scan_target(struct str s, size_t from)
{
    SCAN_BLOCKS(scan_target_ends, s, from)
    return scan_target_rest(s, from);
}

#endif
