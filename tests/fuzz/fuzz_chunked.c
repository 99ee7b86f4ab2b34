/* The chunked coding by itself. The oracle: the same bytes cut anywhere decode to the same; what
 * was decoded and framed anew decodes to the same again, and is one body to the second parser
 * (strict.h); and that one reads the input as we do.
 */
#include <stdlib.h>

#include "base/check.h"
#include "base/strbuf.h"
#include "net/body.h"
#include "tests/fuzz/strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 8 * 1024 * 1024, CUT_ALL_BYTES = 150 };

struct decoded {
    enum chunked_result end;
    size_t used;
    struct strbuf data, trailers;
};

static void init(struct decoded *d)
{
    strbuf_init(&d->data, OUT_MAX);
    strbuf_init(&d->trailers, OUT_MAX);
}

static void deinit(struct decoded *d)
{
    strbuf_deinit(&d->data);
    strbuf_deinit(&d->trailers);
}

/* The first piece is `first` bytes long, all others `piece`. */
static void decode(struct str bytes, size_t first, size_t piece, struct decoded *d)
{
    struct chunked c;

    strbuf_reset(&d->data);
    strbuf_reset(&d->trailers);
    chunked_init(&c);
    d->used = 0;
    d->end = CHUNKED_MORE;
    while (d->used < bytes.len && d->end == CHUNKED_MORE) {
        size_t want = d->used == 0 ? first : piece, left = bytes.len - d->used;
        struct str now = {bytes.ptr + d->used, left < want ? left : want}, run;
        size_t offered = now.len;
        while ((d->end = chunked_next(&c, &now, &run)) == CHUNKED_DATA) {
            CHECK(run.len > 0);
            strbuf_add(&d->data, run);
        }
        CHECK(d->end != CHUNKED_MORE || now.len == 0);
        d->used += offered - now.len;
    }
    if (c.trailers != NULL && d->end == CHUNKED_END)
        strbuf_add(&d->trailers, trailers_kept(c.trailers));
    chunked_deinit(&c);
}

static void check_same(const struct decoded *a, const struct decoded *b)
{
    CHECK(a->end == b->end);
    CHECK(a->used == b->used);
    CHECK(str_eq(strbuf_str(&a->data), strbuf_str(&b->data)));
    CHECK(str_eq(strbuf_str(&a->trailers), strbuf_str(&b->trailers)));
}

/* How much of what is left comes in the next read: so many bytes; 0: two lines, which often are one
 * chunk. */
static size_t next_read(struct str left, size_t piece)
{
    size_t n = 0, lines = 0;

    while (n < left.len && (piece == 0 ? lines < 2 : n < piece))
        lines += left.ptr[n++] == '\n';
    return n;
}

static void check_anew(struct str bytes, size_t piece, const struct decoded *want)
{
    static struct strict m;
    struct body b;
    struct strbuf framed, content;
    struct decoded again;
    struct str left = bytes;
    const char *why;
    enum body_result r;

    strbuf_init(&framed, OUT_MAX);
    strbuf_init(&content, OUT_MAX);
    body_init(&b, FRAMING_CHUNKED, 0);
    do {
        struct str now = {left.ptr, next_read(left, piece)};
        struct body_out o = {.count = 0};
        r = body_read(&b, &now, FRAMING_CHUNKED, &o);
        for (unsigned i = 0; i < o.count; i++)
            strbuf_add(&framed, (struct str){o.bufs[i].base, o.bufs[i].len});
        for (unsigned i = 0; i < o.run_count; i++)
            strbuf_add(&content, (struct str){o.runs[i].base, o.runs[i].len});
        left = (struct str){now.ptr, left.len - (size_t)(now.ptr - left.ptr)};
    } while (r == BODY_MORE || r == BODY_AGAIN);
    CHECK(r == BODY_DONE && b.bytes == want->data.len);
    CHECK(str_eq(strbuf_str(&content), strbuf_str(&want->data)));
    init(&again);
    decode(strbuf_str(&framed), SIZE_MAX, SIZE_MAX, &again);
    CHECK(again.used == framed.len);
    again.used = want->used;
    check_same(&again, want);
    CHECK(strict_chunks(strbuf_str(&framed), false, &m, &why) == STRICT_WHOLE);
    CHECK(m.used == framed.len);
    CHECK(str_eq((struct str){m.content, m.content_len}, strbuf_str(&want->data)));
    strict_free(&m);
    deinit(&again);
    body_deinit(&b);
    strbuf_deinit(&framed);
    strbuf_deinit(&content);
}

static void check_second_opinion(struct str bytes, const struct decoded *ours)
{
    static struct strict m;
    const char *why;

    enum strict_result theirs = strict_chunks(bytes, true, &m, &why);
    CHECK(theirs == STRICT_WHOLE || ours->end != CHUNKED_END);
    if (theirs == STRICT_WHOLE && ours->end != CHUNKED_ERROR) { /* we have bounds */
        CHECK(ours->end == CHUNKED_END);
        CHECK(m.used == ours->used);
        CHECK(str_eq((struct str){m.content, m.content_len}, strbuf_str(&ours->data)));
    }
    strict_free(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct str bytes = {(const char *)data, size};
    struct decoded whole, cut;

    init(&whole);
    init(&cut);
    decode(bytes, SIZE_MAX, SIZE_MAX, &whole);
    decode(bytes, 1, 1, &cut);
    check_same(&whole, &cut);
    for (size_t at = 1; at < size && size <= CUT_ALL_BYTES; at++) {
        decode(bytes, at, SIZE_MAX, &cut);
        check_same(&whole, &cut);
    }
    if (whole.end == CHUNKED_END) {
        check_anew(bytes, 11, &whole);
        check_anew(bytes, 0, &whole);
    }
    check_second_opinion(bytes, &whole);
    deinit(&whole);
    deinit(&cut);
    return 0;
}
