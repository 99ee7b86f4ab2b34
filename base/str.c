/* Slices of bytes: compare, cut, copy. */
#include "base/str.h"

static unsigned char lower(char c)
{
    return (unsigned char)(c >= 'A' && c <= 'Z' ? c + ('a' - 'A') : c);
}

bool str_ieq_bytes(struct str a, const char *b)
{
    for (size_t i = 0; i < a.len; i++) /* strncasecmp would stop at a NUL and follow the locale */
        if (a.ptr[i] != b[i] && lower(a.ptr[i]) != lower(b[i]))
            return false;
    return true;
}

bool str_starts_with(struct str s, struct str prefix)
{
    return s.len >= prefix.len && (prefix.len == 0 || memcmp(s.ptr, prefix.ptr, prefix.len) == 0);
}

bool str_ends_with(struct str s, struct str suffix)
{
    return s.len >= suffix.len &&
           (suffix.len == 0 || memcmp(s.ptr + s.len - suffix.len, suffix.ptr, suffix.len) == 0);
}

bool str_split(struct str *rest, char sep, struct str *ret_head)
{
    if (rest->ptr == NULL)
        return false;

    const char *at = rest->len == 0 ? NULL : memchr(rest->ptr, sep, rest->len);
    if (at == NULL) {
        *ret_head = *rest;
        *rest = (struct str){NULL, 0};
        return true;
    }
    size_t before = (size_t)(at - rest->ptr);
    *ret_head = (struct str){rest->ptr, before};
    *rest = (struct str){at + 1, rest->len - before - 1};
    return true;
}

bool str_to_u64(struct str s, uint64_t *ret)
{
    uint64_t value = 0;

    if (s.len == 0)
        return false;
    for (size_t i = 0; i < s.len; i++) {
        if (s.ptr[i] < '0' || s.ptr[i] > '9')
            return false;
        uint64_t digit = (uint64_t)(s.ptr[i] - '0');
        if (value > (UINT64_MAX - digit) / 10)
            return false;
        value = value * 10 + digit;
    }
    *ret = value;
    return true;
}

bool str_copy(char *to, size_t size, struct str s)
{
    size_t n = s.len < size ? s.len : size - 1;

    if (n > 0)
        memcpy(to, s.ptr, n);
    to[n] = '\0';
    return n == s.len;
}

size_t str_utf8_length(struct str s)
{
    const unsigned char *p = (const unsigned char *)s.ptr;

    if (s.len == 0)
        return 0;
    if (p[0] < 0x80)
        return 1;
    size_t len = p[0] >= 0xc2 && p[0] <= 0xdf   ? 2
                 : p[0] >= 0xe0 && p[0] <= 0xef ? 3
                 : p[0] >= 0xf0 && p[0] <= 0xf4 ? 4
                                                : 0;
    if (len == 0 || len > s.len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f) ||
        (p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
        return 0;
    return len;
}

/* Controls, line separators, and what Unicode calls default-ignorable or bidirectional controls.
 * The joiners U+200C and U+200D are among them: no key or label needs them. */
static bool is_hidden(uint32_t c)
{
    static const struct {
        uint32_t first, last;
    } ranges[] = {
        {0x00, 0x1f},     {0x7f, 0x9f},     {0xad, 0xad},       {0x061c, 0x061c},
        {0x180e, 0x180e}, {0x200b, 0x200f}, {0x2028, 0x202e},   {0x2060, 0x206f},
        {0xfeff, 0xfeff}, {0xfff9, 0xfffb}, {0xe0000, 0xe007f},
    };

    for (size_t i = 0; i < sizeof(ranges) / sizeof(ranges[0]); i++)
        if (c >= ranges[i].first && c <= ranges[i].last)
            return true;
    return false;
}

struct str str_utf8_visible(struct str s, size_t *ret_taken)
{
    static const unsigned char masks[] = {0, 0x7f, 0x1f, 0x0f, 0x07};
    size_t len = str_utf8_length(s);

    *ret_taken = len > 0 ? len : 1;
    if (len == 0)
        return STR("?");
    uint32_t c = (unsigned char)s.ptr[0] & masks[len];
    for (size_t i = 1; i < len; i++)
        c = c << 6 | ((unsigned char)s.ptr[i] & 0x3f);
    return is_hidden(c) ? STR("?") : (struct str){s.ptr, len};
}

static unsigned min3(unsigned a, unsigned b, unsigned c)
{
    unsigned m = a < b ? a : b;
    return m < c ? m : c;
}

unsigned str_distance(struct str a, struct str b)
{
    enum { MAX = 64 };
    unsigned row[3][MAX + 1];

    if (a.len > MAX || b.len > MAX)
        return MAX + 1;
    for (unsigned j = 0; j <= b.len; j++)
        row[1][j] = j;
    for (unsigned i = 1; i <= a.len; i++) {
        unsigned *now = row[(i + 1) % 3], *last = row[i % 3], *before = row[(i + 2) % 3];
        now[0] = i;
        for (unsigned j = 1; j <= b.len; j++) {
            unsigned cost = a.ptr[i - 1] != b.ptr[j - 1];
            now[j] = min3(last[j] + 1, now[j - 1] + 1, last[j - 1] + cost);
            if (i > 1 && j > 1 && a.ptr[i - 1] == b.ptr[j - 2] && a.ptr[i - 2] == b.ptr[j - 1] &&
                before[j - 2] + 1 < now[j])
                now[j] = before[j - 2] + 1;
        }
    }
    return row[(a.len + 1) % 3][b.len];
}
