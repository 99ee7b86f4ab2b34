/* Who may talk to the admin API: this machine's users, and no web page. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "admin/access.h"
#include "base/check.h"

static const struct {
    const char *host, *origin, *site;
    enum access want;
} rows[] = {
    {"localhost", NULL, NULL, ACCESS_OK},
    {"LocalHost:9900", NULL, NULL, ACCESS_OK},
    {"127.0.0.1", NULL, NULL, ACCESS_OK},
    {"127.0.0.1:9900", NULL, NULL, ACCESS_OK},
    {"127.9.8.7:1", NULL, NULL, ACCESS_OK},
    {"[::1]", NULL, NULL, ACCESS_OK},
    {"[::1]:19900", NULL, NULL, ACCESS_OK},
    {NULL, NULL, NULL, ACCESS_NO_HOST},
    {"", NULL, NULL, ACCESS_NO_HOST},
    {"evil.example", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"localhost.evil.example", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"127.0.0.1.evil.example:9900", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"128.0.0.1", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"0.0.0.0:9900", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"192.168.1.2:9900", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"127.1", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"2130706433", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"0x7f.0.0.1", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"::1", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"[::1", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"[::2]:9900", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"[localhost]", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"localhost:", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"localhost:0", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"localhost:65536", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"localhost:80@evil.example", NULL, NULL, ACCESS_FOREIGN_HOST},
    {"localhost:9900", "http://localhost:9900", "same-origin", ACCESS_OK},
    {"127.0.0.1:9900", "http://127.0.0.1:9900", NULL, ACCESS_OK},
    {"localhost:9900", NULL, "none", ACCESS_OK},
    {"localhost:9900", "http://localhost:3000", NULL, ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", "http://127.0.0.1:9900", NULL, ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", "https://evil.example", NULL, ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", "null", NULL, ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", "", NULL, ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", NULL, "cross-site", ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", NULL, "same-site", ACCESS_FOREIGN_ORIGIN},
    {"localhost:9900", NULL, "", ACCESS_FOREIGN_ORIGIN},
    {"evil.example", "http://evil.example", "same-origin", ACCESS_FOREIGN_HOST}, /* rebinding */
};

static void only_this_machine_gets_in(void **state)
{
    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        enum access got =
            access_check(str_from(rows[i].host), str_from(rows[i].origin), str_from(rows[i].site));
        if (got != rows[i].want)
            fail_msg("row %zu: Host %s: got %d, want %d", i, rows[i].host, got, rows[i].want);
    }
}

static void loopback_addresses(void **state)
{
    (void)state;
    assert_true(access_address_is_loopback("127.0.0.1"));
    assert_true(access_address_is_loopback("127.255.0.1"));
    assert_true(access_address_is_loopback("::1"));
    assert_false(access_address_is_loopback("0.0.0.0"));
    assert_false(access_address_is_loopback("::"));
    assert_false(access_address_is_loopback("10.0.0.1"));
    assert_false(access_address_is_loopback("localhost"));
}

static void json_and_nothing_that_a_form_sends(void **state)
{
    (void)state;
    assert_true(access_content_type_is_json(STR("application/json")));
    assert_true(access_content_type_is_json(STR("Application/JSON; charset=utf-8")));
    assert_false(access_content_type_is_json(STR("text/plain")));
    assert_false(access_content_type_is_json(STR("application/x-www-form-urlencoded")));
    assert_false(access_content_type_is_json(STR("text/plain; application/json")));
    assert_false(access_content_type_is_json(STR("application/jsonp")));
    assert_false(access_content_type_is_json(str_from(NULL)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_this_machine_gets_in),
        cmocka_unit_test(loopback_addresses),
        cmocka_unit_test(json_and_nothing_that_a_form_sends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
