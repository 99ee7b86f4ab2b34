/* The response path: an upstream's bytes in, what its client would get out, for a client of
 * HTTP/1.1 and 1.0, of HEAD, and one that takes trailers. The oracle is the second parser
 * (strict.h): the same interim answers, then exactly one final one with the same status and
 * content, nothing behind it; one that stops or breaks cannot be taken for whole; and a forged
 * x-sluice-version never passes.
 */
#include <stdlib.h>

#include "base/check.h"
#include "net/body.h"
#include "proxy/forward.h"
#include "tests/fuzz/strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 8 * 1024 * 1024, INTERIM_MAX = 16 };

struct client {
    bool to_head, http10, trailers;
};

/* How the client gets the body. */
static enum framing frame_for(const struct client *c, enum framing framing)
{
    if (framing == FRAMING_NONE || framing == FRAMING_LENGTH)
        return framing;
    return c->http10 ? FRAMING_CLOSE : FRAMING_CHUNKED;
}

/* The body in pieces; what goes down to `out`. `as` CLOSE: bare content. */
static enum body_result pump(const struct head *h, struct str bytes, size_t piece, enum framing as,
                             bool trailers, struct strbuf *out)
{
    struct body b;
    enum body_result r = BODY_MORE;

    body_init(&b, h->framing, h->length);
    b.drop_trailers = !trailers;
    if (b.done)
        r = BODY_DONE;
    while (bytes.len > 0 && r != BODY_DONE && r != BODY_ERROR) {
        struct str now = {bytes.ptr, bytes.len < piece ? bytes.len : piece};
        size_t offered = now.len;
        do {
            struct body_out o = {.count = 0};
            r = body_read(&b, &now, as, &o);
            for (unsigned i = 0; i < o.count && r != BODY_ERROR; i++)
                strbuf_add(out, (struct str){o.bufs[i].base, o.bufs[i].len});
        } while (r == BODY_AGAIN);
        bytes = (struct str){bytes.ptr + offered - now.len, bytes.len - (offered - now.len)};
    }
    if (r == BODY_MORE && h->framing == FRAMING_CLOSE) { /* the upstream closed: that is the end */
        struct body_out o = {.count = 0};
        body_close(&b, as, &o);
        for (unsigned i = 0; i < o.count; i++)
            strbuf_add(out, (struct str){o.bufs[i].base, o.bufs[i].len});
        r = BODY_DONE;
    }
    body_deinit(&b);
    return r;
}

static void check_head(const struct head *h, const struct strict *m)
{
    CHECK(m->status == h->status);
    CHECK(str_eq(m->start[2], h->reason));
    size_t at = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct head_field *f = &h->fields[i];
        if (f->id != FIELD_OTHER || f->hop)
            continue;
        while (at < m->field_count &&
               !(str_eq(m->fields[at].name, f->name) && str_eq(m->fields[at].value, f->value)))
            at++;
        CHECK(at++ < m->field_count);
    }
}

static void check_final(const struct client *c, const struct head *h, struct str rest)
{
    static struct strict m;
    struct strbuf content, sent;
    const char *why;
    bool trailers = forward_response_trailers(h, c->trailers && !c->http10);
    enum framing as = frame_for(c, h->framing);

    strbuf_init(&content, OUT_MAX);
    strbuf_init(&sent, OUT_MAX);
    struct forward_response r = {.head = h,
                                 .version = STR("2.1.0"),
                                 .request_id = STR("id"),
                                 .framing = as,
                                 .close = as == FRAMING_CLOSE || rest.len % 2 == 0,
                                 .keep_alive_10 = c->http10,
                                 .trailers = trailers,
                                 .date = STR("Sun, 06 Nov 1994 08:49:37 GMT")};
    forward_response_head(&r, &sent);
    enum body_result whole = pump(h, rest, SIZE_MAX, FRAMING_CLOSE, false, &content);
    CHECK(pump(h, rest, 1 + rest.len % 7, as, trailers, &sent) == whole);
    CHECK(!sent.overflow && !content.overflow);
    enum strict_result read =
        strict_answer(strbuf_str(&sent), c->to_head, whole == BODY_DONE, &m, &why);
    if (whole != BODY_DONE) {
        CHECK(read == STRICT_INCOMPLETE);
    } else {
        CHECK(read == STRICT_WHOLE);
        CHECK(m.used == sent.len);
        check_head(h, &m);
        CHECK(str_eq((struct str){m.content, m.content_len}, strbuf_str(&content)));
        CHECK(trailers || m.trailer_count == 0);
        CHECK(!c->http10 || !m.chunked);
        CHECK(strict_count(&m, "x-sluice-version") == 1);
        CHECK(str_eq(strict_get(&m, "x-sluice-version"), STR("2.1.0")));
        CHECK(strict_count(&m, "date") >= 1 && strict_count(&m, "x-request-id") >= 1);
    }
    strict_free(&m);
    strbuf_deinit(&content);
    strbuf_deinit(&sent);
}

static void check_interim(const struct head *h)
{
    static struct strict m;
    struct strbuf sent;
    const char *why;

    strbuf_init(&sent, OUT_MAX);
    forward_interim_head(h, &sent);
    CHECK(strict_answer(strbuf_str(&sent), false, false, &m, &why) == STRICT_WHOLE);
    CHECK(m.used == sent.len);
    check_head(h, &m);
    strict_free(&m);
    strbuf_deinit(&sent);
}

static void check_switch(const struct head *h)
{
    static struct strict m;
    struct strbuf sent;
    const char *why;
    struct forward_response r = {
        .head = h, .version = STR("2.1.0"), .request_id = STR("id"), .upgrade = true};

    strbuf_init(&sent, OUT_MAX);
    forward_response_head(&r, &sent);
    CHECK(strict_answer(strbuf_str(&sent), false, false, &m, &why) == STRICT_WHOLE);
    CHECK(m.used == sent.len && m.status == 101);
    CHECK(strict_count(&m, "upgrade") == 1);
    CHECK(str_eq(strict_get(&m, "upgrade"), h->upgrade_protocol));
    strict_free(&m);
    strbuf_deinit(&sent);
}

static void run(const struct client *c, struct str bytes)
{
    static struct head h;
    const char *why;

    for (int interim = 0; interim <= INTERIM_MAX; interim++) {
        int status = head_parse_response(bytes, 0, HEAD_LIMITS_MOST, c->to_head, &h, &why);
        CHECK(status == 0 || status == 502 || status == HEAD_MORE);
        if (status != 0)
            return;
        CHECK(strict_one_framing((struct str){bytes.ptr, h.bytes}));
        bytes = (struct str){bytes.ptr + h.bytes, bytes.len - h.bytes};
        if (h.status >= 200) {
            check_final(c, &h, bytes);
            return;
        }
        if (h.status == 101) {
            if (h.upgrade)
                check_switch(&h);
            return;
        }
        check_interim(&h);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct client clients[] = {
        {.trailers = true}, {.to_head = true}, {.http10 = true}, {.trailers = false}};

    for (size_t i = 0; i < ARRAY_LEN(clients); i++)
        run(&clients[i], (struct str){(const char *)data, size});
    return 0;
}
