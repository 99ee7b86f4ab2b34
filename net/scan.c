/* With SSE2 the last bytes of a slice are looked at in a block that begins before them, and slices
 * of 8 to 15 bytes in two halves that overlap. Without: eight bytes in a word, of which a byte's
 * highest bit is made to say that it ends the run. A borrow makes false ones only above a true one,
 * so the lowest is right; which is the first on little-endian machines, and others go byte by byte.
 */
#include "net/scan.h"

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

#ifdef __SSE2__
/* Of the block that ends with the slice, the bytes before `from` are shifted out. */
#define SCAN_LAST(ends, s, from)                                                                   \
    if ((s).len >= SCAN_BLOCK / 2) {                                                               \
        SCAN_BLOCKS(ends, s, from)                                                                 \
        unsigned mask = (s).len >= SCAN_BLOCK ? ends(scan_load((s).ptr + (s).len - SCAN_BLOCK))    \
                                              : in_order(ends(load_halves(s)), (s).len);           \
        mask >>= (s).len >= SCAN_BLOCK ? (from) - ((s).len - SCAN_BLOCK) : (from);                 \
        return mask == 0 ? (s).len : (from) + (unsigned)__builtin_ctz(mask);                       \
    }

static __m128i load_halves(struct str s)
{
    return _mm_unpacklo_epi64(
        _mm_loadl_epi64((const __m128i *)(const void *)s.ptr),
        _mm_loadl_epi64((const __m128i *)(const void *)(s.ptr + s.len - SCAN_BLOCK / 2)));
}

/* The second half's bits, to where its bytes are in the slice. */
static unsigned in_order(unsigned mask, size_t len)
{
    return (mask & 0xff) | mask >> 8 << (len - SCAN_BLOCK / 2);
}
#else
#define SCAN_LAST(ends, s, from)
#endif

/* Behind the end there is nothing to look at. */
static size_t within(struct str s, size_t at)
{
    return at < s.len ? at : s.len;
}

static uint64_t load_word(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

size_t scan_plain_bytes(struct str s, size_t from)
{
    enum { LITTLE = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ };

    while (LITTLE && from + sizeof(uint64_t) <= s.len) {
        uint64_t word = load_word(s.ptr + from), del = word ^ EACH(0x7f);
        uint64_t ends = ((word - EACH(0x20)) | (del - EACH(1)) | word) & EACH(0x80);
        if (ends != 0)
            return from + (size_t)__builtin_ctzll(ends) / 8;
        from += sizeof(word);
    }
    while (from < s.len && (unsigned char)s.ptr[from] >= 0x20 && (unsigned char)s.ptr[from] < 0x7f)
        from++;
    return within(s, from);
}

size_t scan_word_bytes(struct str s, size_t from)
{
    static const bool word[256] = {['-'] = true,
                                   ['.'] = true,
                                   ['0' ... '9'] = true,
                                   ['A' ... 'Z'] = true,
                                   ['a' ... 'z'] = true};

    while (from < s.len && word[(unsigned char)s.ptr[from]])
        from++;
    return within(s, from);
}

size_t scan_target_bytes(struct str s, size_t from)
{
    while (from < s.len && (unsigned char)s.ptr[from] > ' ' && (unsigned char)s.ptr[from] < 0x7f &&
           s.ptr[from] != '?' && s.ptr[from] != '#')
        from++;
    return within(s, from);
}

size_t scan_plain_rest(struct str s, size_t from)
{
    SCAN_LAST(scan_plain_ends, s, from)
    return scan_plain_bytes(s, from);
}

size_t scan_word_rest(struct str s, size_t from)
{
    SCAN_LAST(scan_word_ends, s, from)
    return scan_word_bytes(s, from);
}

size_t scan_target_rest(struct str s, size_t from)
{
    SCAN_LAST(scan_target_ends, s, from)
    return scan_target_bytes(s, from);
}
