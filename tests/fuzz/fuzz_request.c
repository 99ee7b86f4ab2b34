/* The request path: bytes in, what would go to the upstream out. The oracle is a second parser that
 * shares nothing with ours (strict.h): what is forwarded of an accepted request is exactly one
 * request to it, with the same method, target and content and nothing behind it; what is forwarded
 * of a request that stops or breaks is no request at all; and where both read the input itself,
 * they end at the same byte. In whatever pieces the bytes come, the same goes out.
 */
#include <stdlib.h>

#include "base/check.h"
#include "net/body.h"
#include "proxy/forward.h"
#include "tests/fuzz/strict.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { OUT_MAX = 8 * 1024 * 1024, CUT_ALL_BYTES = 600 };

static const struct policy_header set[] = {{"x-team", "models"}, {"x-forwarded-for", "hidden"}};
static const char *const removed[] = {"authorization", "via", "accept"};
static const struct policy_upstream upstreams[] = {
    {.host = UPSTREAM_HOST_PRESERVE},
    {.host = UPSTREAM_HOST_ENDPOINT},
    {.host = UPSTREAM_HOST_NAME, .host_name = "model.internal"},
    {.set_headers = set,
     .set_header_count = 2,
     .remove_headers = removed,
     .remove_header_count = 3},
};

/* Wherever the bytes are cut, the same is read of them, and as soon as they are there. */
static int parse(struct str bytes, struct head *h, const char **ret_why)
{
    static struct head grown;
    const char *why;
    int status = head_parse_request(bytes, 0, HEAD_LIMITS_MOST, h, ret_why);

    if (bytes.len <= CUT_ALL_BYTES) {
        int again = HEAD_MORE;
        size_t n = 0;
        while (n < bytes.len && again == HEAD_MORE) {
            n++;
            again = head_parse_request((struct str){bytes.ptr, n}, n - 1, HEAD_LIMITS_MOST, &grown,
                                       &why);
        }
        CHECK(again == status && grown.bytes == h->bytes && grown.count == h->count);
        CHECK(status == HEAD_MORE || h->bytes == 0 || n == h->bytes);
    }
    return status;
}

/* Reads the body in pieces of `piece` bytes; what goes out to `out`. Returns how it ended and, in
 * *ret_used, where. */
static enum body_result pump(const struct head *h, struct str bytes, size_t piece, enum framing as,
                             struct strbuf *out, size_t *ret_used)
{
    struct body b;
    enum body_result r = BODY_MORE;
    size_t at = 0;
    uint64_t content = 0;

    body_init(&b, h->framing, h->length);
    b.drop_trailers = !forward_request_trailers(h);
    if (b.done)
        r = BODY_DONE;
    while (at < bytes.len && r != BODY_DONE && r != BODY_ERROR) {
        struct str now = {bytes.ptr + at, bytes.len - at < piece ? bytes.len - at : piece};
        size_t offered = now.len;
        do {
            struct body_out o = {.count = 0};
            r = body_read(&b, &now, as, &o);
            if (r == BODY_ERROR)
                break;
            for (unsigned i = 0; i < o.count; i++)
                strbuf_add(out, (struct str){o.bufs[i].base, o.bufs[i].len});
            for (unsigned i = 0; i < o.run_count; i++)
                content += o.runs[i].len;
        } while (r == BODY_AGAIN);
        at += offered - now.len;
        CHECK(r != BODY_MORE || now.len == 0);
    }
    CHECK(r == BODY_ERROR || content == b.bytes);
    CHECK(b.done == (r == BODY_DONE));
    body_deinit(&b);
    *ret_used = at;
    return r;
}

/* Fields that are said, or may be said, in our own name. */
static bool is_own(struct str name)
{
    static const char *const own[] = {"host",
                                      "content-length",
                                      "transfer-encoding",
                                      "te",
                                      "connection",
                                      "upgrade",
                                      "via",
                                      "max-forwards",
                                      "x-request-id",
                                      "x-forwarded-for",
                                      "x-forwarded-proto",
                                      "x-forwarded-host",
                                      "x-team"};

    for (size_t i = 0; i < ARRAY_LEN(own); i++)
        if (str_ieq(name, str_from(own[i])))
            return true;
    return false;
}

/* The second parser's reading of what goes out. */
static void check_sent(const struct head *h, struct str received, struct str sent,
                       enum body_result ended, struct str content)
{
    static struct strict m;
    const char *why = "";
    enum strict_result read = strict_request(sent, &m, &why);

    if (ended != BODY_DONE) {
        /* What stops or breaks is never completed on the way. */
        CHECK(read == STRICT_INCOMPLETE);
        strict_free(&m);
        return;
    }
    CHECK(read == STRICT_WHOLE);
    CHECK(m.used == sent.len);
    CHECK(str_eq(m.start[0], h->method));
    CHECK(m.start[1].len == h->path.len + h->query.len);
    CHECK(memcmp(m.start[1].ptr, h->path.ptr, h->path.len) == 0);
    CHECK(memcmp(m.start[1].ptr + h->path.len, h->query.ptr, h->query.len) == 0);
    CHECK(str_eq((struct str){m.content, m.content_len}, content));
    CHECK(m.chunked == (h->framing == FRAMING_CHUNKED));
    /* Every end-to-end field that nobody touches is there, in order. */
    size_t at = 0;
    for (size_t i = 0; i < h->count; i++) {
        const struct head_field *f = &h->fields[i];
        if (f->id != FIELD_OTHER || f->hop || str_ieq(f->name, STR("authorization")) ||
            str_ieq(f->name, STR("x-team")))
            continue;
        while (at < m.field_count &&
               !(str_eq(m.fields[at].name, f->name) && str_eq(m.fields[at].value, f->value)))
            at++;
        CHECK(at++ < m.field_count);
    }
    for (size_t i = 0; i < m.field_count; i++)
        CHECK(is_own(m.fields[i].name) || !strict_nominated(received, m.fields[i].name));
    strict_free(&m);
}

/* Where the second parser takes the input too, it ends where we do. */
static void check_input(struct str bytes, const struct head *h, enum body_result ended, size_t used,
                        struct str content)
{
    static struct strict m;
    const char *why;

    if (strict_request(bytes, &m, &why) == STRICT_WHOLE && ended != BODY_ERROR) {
        CHECK(ended == BODY_DONE);
        CHECK(m.used == h->bytes + used);
        CHECK(str_eq((struct str){m.content, m.content_len}, content));
    }
    strict_free(&m);
}

static void check_again(const struct head *h, struct str sent)
{
    static struct head again;
    const char *why;
    int status = head_parse_request(sent, 0, HEAD_LIMITS_MOST, &again, &why);

    if (status == 431) { /* a head of just the most lines grows by ours */
        CHECK(h->count > HEAD_FIELDS_MAX - 10);
        return;
    }
    if (h->max_forwards == 1) { /* the next one is the last, as we would be */
        CHECK(status == 501);
        return;
    }
    CHECK(status == 0);
    CHECK(str_eq(again.method, h->method));
    CHECK(str_eq(again.path, h->path));
    CHECK(str_eq(again.query, h->query));
    CHECK(again.framing == h->framing);
    CHECK(again.length == h->length);
    CHECK(again.te_trailers == h->te_trailers);
    CHECK(again.expect_continue == h->expect_continue);
    CHECK(again.keep_alive);
    CHECK(!again.upgrade || h->upgrade);
}

static void forward(const struct head *h, size_t variant, struct strbuf *out)
{
    struct forward_places at;
    struct forward_request r = {.head = h,
                                .peer = STR("192.0.2.1"),
                                .authority = "up:1",
                                .request_id = STR("id"),
                                .upstream = variant % 5 == 4 ? NULL : &upstreams[variant % 5],
                                .secure = variant & 1,
                                .trusted = variant & 2,
                                .upgrade = variant & 4,
                                .unencoded = variant & 8};
    struct strbuf head;

    strbuf_init(&head, OUT_MAX);
    forward_request_head(&r, &head, &at);
    CHECK((at.host > 0) == (r.upstream == &upstreams[1]));
    struct str text = strbuf_str(&head);
    strbuf_add(out, (struct str){text.ptr, at.host});
    if (at.host > 0) {
        CHECK(str_ends_with((struct str){text.ptr, at.host}, STR("\r\nHost: ")));
        strbuf_add(out, STR("10.0.0.1:9001"));
    }
    strbuf_add(out, (struct str){text.ptr + at.host, text.len - at.host});
    CHECK(!out->overflow && !head.overflow);
    strbuf_deinit(&head);
}

static void check_accepted(struct str bytes, const struct head *h)
{
    struct str rest = {bytes.ptr + h->bytes, bytes.len - h->bytes};
    struct strbuf content, pieces, sent, framed;
    size_t used, used_pieces;

    CHECK(strict_one_framing((struct str){bytes.ptr, h->bytes}));

    strbuf_init(&content, OUT_MAX);
    strbuf_init(&pieces, OUT_MAX);
    strbuf_init(&sent, OUT_MAX);
    strbuf_init(&framed, OUT_MAX);
    enum body_result whole = pump(h, rest, SIZE_MAX, FRAMING_CLOSE, &content, &used);
    enum body_result cut = pump(h, rest, 1 + bytes.len % 7, FRAMING_CLOSE, &pieces, &used_pieces);
    CHECK(whole == cut);
    if (whole != BODY_ERROR) {
        CHECK(used == used_pieces);
        CHECK(str_eq(strbuf_str(&content), strbuf_str(&pieces)));
    }
    forward(h, bytes.len, &sent);
    check_again(h, strbuf_str(&sent));
    /* One small piece after the other, as a slow client makes it: the most framing of our own. */
    CHECK(pump(h, rest, 3, h->framing, &framed, &used_pieces) == whole);
    strbuf_add(&sent, strbuf_str(&framed));
    CHECK(!sent.overflow);
    check_sent(h, (struct str){bytes.ptr, h->bytes}, strbuf_str(&sent), whole,
               strbuf_str(&content));
    check_input(bytes, h, whole, used, strbuf_str(&content));
    strbuf_deinit(&content);
    strbuf_deinit(&pieces);
    strbuf_deinit(&sent);
    strbuf_deinit(&framed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head h;
    struct str bytes = {(const char *)data, size};
    const char *why = NULL;

    int status = parse(bytes, &h, &why);
    switch (status) {
    case 0:
        CHECK(h.bytes <= size);
        check_accepted(bytes, &h);
        break;
    case HEAD_MORE:
        break;
    case 400:
    case 414:
    case 417:
    case 431:
    case 501:
    case 505:
        CHECK(why != NULL && why[0] != '\0');
        break;
    default:
        UNREACHABLE();
    }
    return 0;
}
