/* Runs of zeros are the only thing that is packed: counters that nobody used, and tables mostly
 * empty.
 */
#include "analysis/codec.h"

#include <math.h>
#include <string.h>

#include "base/leb128.h"

static uint8_t take(struct codec *x)
{
    if (x->from.len == 0) {
        x->bad = true;
        return 0;
    }
    uint8_t byte = (uint8_t)x->from.ptr[0];
    x->from.ptr++;
    x->from.len--;
    return byte;
}

static void put_number(struct codec *x, uint64_t n)
{
    char bytes[LEB128_BYTES_MAX];

    strbuf_add(x->to, (struct str){bytes, leb128_put(n, bytes)});
}

static uint64_t get_number(struct codec *x)
{
    uint64_t n;
    size_t len = leb128_get(x->from, &n);

    if (len == 0) {
        x->bad = true;
        return 0;
    }
    x->from.ptr += len;
    x->from.len -= len;
    return x->bad ? 0 : n;
}

void codec_u64(struct codec *x, uint64_t *n)
{
    if (codec_reads(x))
        *n = get_number(x);
    else
        put_number(x, *n);
}

static uint64_t limited(struct codec *x, uint64_t n, uint64_t max)
{
    codec_u64(x, &n);
    if (n <= max)
        return n;
    x->bad = true;
    return 0;
}

void codec_max(struct codec *x, uint32_t *n, uint32_t max)
{
    *n = (uint32_t)limited(x, *n, max);
}

void codec_u32(struct codec *x, uint32_t *n)
{
    codec_max(x, n, UINT32_MAX);
}

void codec_size(struct codec *x, size_t *n, size_t max)
{
    *n = (size_t)limited(x, *n, max);
}

/* Folded so that small numbers of either sign are small: 0, -1, 1, -2 are 0, 1, 2, 3. */
void codec_i64(struct codec *x, int64_t *n)
{
    uint64_t folded = *n < 0 ? ~((uint64_t)*n << 1) : (uint64_t)*n << 1;
    codec_u64(x, &folded);
    *n = (folded & 1) != 0 ? (int64_t) ~(folded >> 1) : (int64_t)(folded >> 1);
}

void codec_i32(struct codec *x, int32_t *n)
{
    int64_t wide = *n;
    codec_i64(x, &wide);
    if (wide < INT32_MIN || wide > INT32_MAX) {
        x->bad = true;
        wide = 0;
    }
    *n = (int32_t)wide;
}

void codec_bool(struct codec *x, bool *b)
{
    *b = limited(x, *b, 1) == 1;
}

void codec_double(struct codec *x, double *d, double low, double high)
{
    uint64_t bits = 0;
    if (!codec_reads(x)) {
        memcpy(&bits, d, sizeof bits);
        for (unsigned i = 0; i < 8; i++)
            strbuf_add_char(x->to, (char)(bits >> (8 * i)));
        return;
    }
    for (unsigned i = 0; i < 8; i++)
        bits |= (uint64_t)take(x) << (8 * i);
    memcpy(d, &bits, sizeof bits);
    if (!isnan(*d) && *d >= low && *d <= high)
        return;
    x->bad = true;
    *d = low;
}

static void put_bytes(struct codec *x, const uint8_t *at, size_t size)
{
    while (size > 0) {
        size_t zeros = 0, others = 0;
        while (zeros < size && at[zeros] == 0)
            zeros++;
        while (zeros + others < size && at[zeros + others] != 0)
            others++;
        put_number(x, zeros);
        put_number(x, others);
        strbuf_add(x->to, (struct str){(const char *)at + zeros, others});
        at += zeros + others;
        size -= zeros + others;
    }
}

static void get_bytes(struct codec *x, uint8_t *at, size_t size)
{
    memset(at, 0, size);
    while (size > 0 && !x->bad) {
        uint64_t zeros = get_number(x), others = get_number(x);
        if (zeros > size || others > size - zeros || zeros + others == 0 || others > x->from.len) {
            x->bad = true;
            return;
        }
        memcpy(at + zeros, x->from.ptr, others);
        x->from.ptr += others;
        x->from.len -= others;
        at += zeros + others;
        size -= zeros + others;
    }
}

void codec_bytes(struct codec *x, void *at, size_t size)
{
    if (codec_reads(x))
        get_bytes(x, at, size);
    else
        put_bytes(x, at, size);
}
