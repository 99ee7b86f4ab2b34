/* The request path: bytes in, what would go to the upstream out. The oracle: a head that was
 * accepted is forwarded as exactly one head that reads the same (method, path, framing, length),
 * and a body that was taken is forwarded as one body with the same content, in whatever pieces it
 * came.
 */
#include <stdlib.h>

#include "base/check.h"
#include "net/body.h"
#include "proxy/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads a body in pieces of `piece` bytes; content to `content`, framed as `as` to `framed`. */
static enum body_result pump(enum framing framing, uint64_t length, struct str bytes, size_t piece,
                             enum framing as, struct strbuf *framed)
{
    struct body b;
    enum body_result r = BODY_MORE;

    body_init(&b, framing, length);
    while (bytes.len > 0 && r != BODY_DONE && r != BODY_ERROR) {
        struct str now = {bytes.ptr, bytes.len < piece ? bytes.len : piece};
        size_t offered = now.len;
        do {
            struct body_out out = {.count = 0};
            r = body_read(&b, &now, as, &out);
            for (unsigned i = 0; i < out.count && r != BODY_ERROR; i++)
                strbuf_add(framed, (struct str){out.bufs[i].base, out.bufs[i].len});
        } while (r == BODY_AGAIN);
        size_t taken = offered - now.len;
        bytes = (struct str){bytes.ptr + taken, bytes.len - taken};
    }
    return r;
}

static void check_body(const struct head *h, struct str bytes)
{
    struct strbuf whole, pieces, again;

    strbuf_init(&whole, 4 * 1024 * 1024);
    strbuf_init(&pieces, 4 * 1024 * 1024);
    strbuf_init(&again, 4 * 1024 * 1024);
    enum body_result a = pump(h->framing, h->length, bytes, SIZE_MAX, FRAMING_CLOSE, &whole);
    enum body_result b = pump(h->framing, h->length, bytes, 1, FRAMING_CLOSE, &pieces);
    CHECK(a == b);
    if (a != BODY_ERROR)
        CHECK(str_eq(strbuf_str(&whole), strbuf_str(&pieces)));
    if (a == BODY_DONE && h->framing == FRAMING_CHUNKED) {
        /* What we send on decodes to the same content and ends where we end. */
        strbuf_reset(&pieces);
        CHECK(pump(h->framing, 0, bytes, 7, FRAMING_CHUNKED, &pieces) == BODY_DONE);
        CHECK(pump(FRAMING_CHUNKED, 0, strbuf_str(&pieces), SIZE_MAX, FRAMING_CLOSE, &again) ==
              BODY_DONE);
        CHECK(str_eq(strbuf_str(&again), strbuf_str(&whole)));
    }
    strbuf_deinit(&whole);
    strbuf_deinit(&pieces);
    strbuf_deinit(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head h, forwarded;
    struct str bytes = {(const char *)data, size};
    struct strbuf out;
    const char *why;

    ptrdiff_t end = head_end(bytes, 0);
    if (end <= 0)
        return 0;
    struct str head = {bytes.ptr, (size_t)end};
    int status = head_parse_request(head, HEAD_FIELDS_MAX, &h, &why);
    CHECK(status == 0 || (status >= 400 && status <= 505));
    if (status != 0)
        return 0;
    strbuf_init(&out, 4 * 1024 * 1024);
    struct forward_request r = {
        .head = &h, .peer = STR("192.0.2.1"), .authority = STR("up:1"), .request_id = "id"};
    size_t host_at;
    forward_request_head(&r, &out, &host_at);
    struct str sent = strbuf_str(&out);
    CHECK(!out.overflow);
    CHECK(head_end(sent, 0) == (ptrdiff_t)sent.len); /* one head, nothing behind it */
    status = head_parse_request(sent, HEAD_FIELDS_MAX, &forwarded, &why);
    CHECK(status == 0 || status == 431); /* a head of just the most lines grows by ours */
    if (status == 0) {
        CHECK(str_eq(forwarded.method, h.method));
        CHECK(str_eq(forwarded.path, h.path));
        CHECK(str_eq(forwarded.query, h.query));
        CHECK(forwarded.framing == h.framing);
        CHECK(forwarded.length == h.length);
    }
    strbuf_deinit(&out);
    check_body(&h, (struct str){bytes.ptr + end, bytes.len - (size_t)end});
    return 0;
}
