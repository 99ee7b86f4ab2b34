/* Who is to blame when time is up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/timeouts.h"

static void test_whom_we_wait_for(void **state)
{
    static const struct {
        const char *when;
        struct waiting waiting;
        enum awaited want;
    } rows[] = {
        {"the whole request is with the endpoint", {true, false, false}, AWAITED_ENDPOINT},
        {"the rest of the body has not come", {false, false, false}, AWAITED_CLIENT},
        {"the endpoint does not take the body", {false, true, false}, AWAITED_ENDPOINT},
        {"the client does not read the answer", {true, false, true}, AWAITED_CLIENT},
        {"nor does the endpoint take the body", {false, true, true}, AWAITED_CLIENT},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (timeouts_awaited(&rows[i].waiting) != rows[i].want)
            fail_msg("%s", rows[i].when);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_whom_we_wait_for)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
