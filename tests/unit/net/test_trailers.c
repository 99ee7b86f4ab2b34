/* Trailer fields: which names may come late. How they are read is in test_chunked.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "net/trailers.h"

static void test_names(void **state)
{
    static const struct {
        const char *name;
        bool allowed;
    } rows[] = {
        {"x-checksum", true},
        {"ETag", true},
        {"Digest", true},
        {"Repr-Digest", true},
        {"Content-Digest", true},
        {"Server-Timing", true},
        {"grpc-status", true},
        {"Authentication-Info", true},
        {"Content-Length", false},
        {"content-type", false},
        {"CONTENT-ENCODING", false},
        {"content-digest-x", false},
        {"Transfer-Encoding", false},
        {"Trailer", false},
        {"TE", false},
        {"Connection", false},
        {"Keep-Alive", false},
        {"Upgrade", false},
        {"HTTP2-Settings", false},
        {"Host", false},
        {"Via", false},
        {"Forwarded", false},
        {"X-Forwarded-For", false},
        {"X-Forwarded-Anything", false},
        {"X-Request-Id", false},
        {"x-sluice-version", false},
        {"traceparent", false},
        {"Max-Forwards", false},
        {"Authorization", false},
        {"Proxy-Authorization", false},
        {"Proxy-Connection", false},
        {"WWW-Authenticate", false},
        {"Cookie", false},
        {"Set-Cookie", false},
        {"Sec-WebSocket-Key", false},
        {"Cache-Control", false},
        {"Pragma", false},
        {"Range", false},
        {"Expect", false},
        {"If-Match", false},
        {"Age", false},
        {"Date", false},
        {"Location", false},
        {"Retry-After", false},
        {"Vary", false},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        if (trailers_allowed(str_from(rows[i].name)) != rows[i].allowed)
            fail_msg("%s", rows[i].name);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
