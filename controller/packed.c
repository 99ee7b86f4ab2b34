/* Both directions next to each other. A number that takes more bytes than it needs is read all the
 * same; one of more than 64 bits is not.
 */
#include "controller/packed.h"

#include "base/leb128.h"

void packed_add(struct strbuf *b, uint64_t n)
{
    char bytes[LEB128_BYTES_MAX];

    strbuf_add(b, (struct str){bytes, leb128_put(n, bytes)});
}

void packed_add_signed(struct strbuf *b, int64_t n)
{
    packed_add(b, ((uint64_t)n << 1) ^ (n < 0 ? UINT64_MAX : 0));
}

void packed_add_fixed32(struct strbuf *b, uint32_t n)
{
    char bytes[4];

    for (int i = 0; i < 4; i++)
        bytes[i] = (char)(unsigned char)(n >> (8 * i));
    strbuf_add(b, (struct str){bytes, sizeof(bytes)});
}

void packed_add_text(struct strbuf *b, struct str s)
{
    packed_add(b, s.len);
    strbuf_add(b, s);
}

static uint64_t fail(struct packed *p)
{
    p->bad = true;
    p->rest.len = 0;
    return 0;
}

uint64_t packed_get(struct packed *p)
{
    uint64_t n;
    size_t len = leb128_get(p->rest, &n);

    if (len == 0)
        return fail(p);
    p->rest.ptr += len;
    p->rest.len -= len;
    return n;
}

uint64_t packed_get_max(struct packed *p, uint64_t max)
{
    uint64_t n = packed_get(p);

    return n > max ? fail(p) : n;
}

int64_t packed_get_signed(struct packed *p)
{
    uint64_t n = packed_get(p);

    return (int64_t)((n >> 1) ^ (n & 1 ? UINT64_MAX : 0));
}

uint32_t packed_get_fixed32(struct packed *p)
{
    uint32_t n = 0;

    if (p->rest.len < 4)
        return (uint32_t)fail(p);
    for (int i = 0; i < 4; i++)
        n |= (uint32_t)(unsigned char)p->rest.ptr[i] << (8 * i);
    p->rest.ptr += 4;
    p->rest.len -= 4;
    return n;
}

struct str packed_get_text(struct packed *p)
{
    uint64_t len = packed_get(p);

    if (len > p->rest.len) {
        fail(p);
        return (struct str){"", 0};
    }
    struct str s = {p->rest.ptr, (size_t)len};
    p->rest.ptr += len;
    p->rest.len -= (size_t)len;
    return s;
}
