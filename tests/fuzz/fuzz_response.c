/* The response head: what an upstream says, and what the client would be told. The oracle: an
 * accepted head is forwarded as exactly one head with the same status, and a forged
 * x-sluice-version never passes.
 */
#include "base/check.h"
#include "proxy/forward.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct head h, forwarded;
    struct str bytes = {(const char *)data, size};
    struct strbuf out;
    const char *why;

    ptrdiff_t end = head_end(bytes, 0);
    if (end <= 0)
        return 0;
    if (head_parse_response((struct str){bytes.ptr, (size_t)end}, false, &h, &why) != 0)
        return 0;
    strbuf_init(&out, 4 * 1024 * 1024);
    struct forward_response r = {
        .head = &h, .version = "2.1.0", .request_id = "id", .framing = h.framing, .close = true};
    forward_response_head(&r, &out);
    struct str sent = strbuf_str(&out);
    CHECK(!out.overflow);
    CHECK(head_end(sent, 0) == (ptrdiff_t)sent.len);
    int status = head_parse_response(sent, false, &forwarded, &why);
    if (status == 0) {
        CHECK(forwarded.status == h.status);
        CHECK(forwarded.framing == h.framing);
        CHECK(str_eq(head_find(&forwarded, STR("x-sluice-version")), STR("2.1.0")));
    } else {
        CHECK(h.count > HEAD_FIELDS_MAX - 8);
    }
    strbuf_deinit(&out);
    return 0;
}
