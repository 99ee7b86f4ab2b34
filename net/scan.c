/* Eight bytes in a word: a byte's highest bit is made to say that it ends the run. A borrow makes
 * false ones only above a true one, so the lowest is right; which is the first on little-endian
 * machines, and others go byte by byte.
 */
#include "net/scan.h"

#define EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

static uint64_t load(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return word;
}

size_t scan_plain_short(struct str s, size_t from)
{
    enum { LITTLE = __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ };

    while (LITTLE && s.len - from >= sizeof(uint64_t)) {
        uint64_t word = load(s.ptr + from), del = word ^ EACH(0x7f);
        uint64_t ends = ((word - EACH(0x20)) | (del - EACH(1)) | word) & EACH(0x80);
        if (ends != 0)
            return from + (size_t)__builtin_ctzll(ends) / 8;
        from += sizeof(word);
    }
    while (from < s.len && (unsigned char)s.ptr[from] >= 0x20 && (unsigned char)s.ptr[from] < 0x7f)
        from++;
    return from;
}

size_t scan_word_short(struct str s, size_t from)
{
    static const bool word[256] = {['-'] = true,
                                   ['.'] = true,
                                   ['0' ... '9'] = true,
                                   ['A' ... 'Z'] = true,
                                   ['a' ... 'z'] = true};

    while (from < s.len && word[(unsigned char)s.ptr[from]])
        from++;
    return from;
}

size_t scan_target_short(struct str s, size_t from)
{
    while (from < s.len && (unsigned char)s.ptr[from] > ' ' && (unsigned char)s.ptr[from] < 0x7f &&
           s.ptr[from] != '?' && s.ptr[from] != '#')
        from++;
    return from;
}
