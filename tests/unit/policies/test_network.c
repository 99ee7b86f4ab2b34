/* Networks as people write them: taken apart, and what was meant by a slip. */
#include "policies/network.h"

#include "base/check.h"
#include "tests/unit/policies/parse.h"

static void test_networks_are_read(void **state)
{
    static const struct {
        const char *text;
        enum network_error error;
        const char *meant; /* NULL: nothing */
    } rows[] = {
        {"10.0.0.0/8", NETWORK_OK, "10.0.0.0/8"},
        {"192.0.2.1", NETWORK_OK, "192.0.2.1"},
        {"192.0.2.1/32", NETWORK_OK, "192.0.2.1"},
        {"0.0.0.0/0", NETWORK_OK, "0.0.0.0/0"},
        {"2001:DB8::/32", NETWORK_OK, "2001:db8::/32"},
        {"::/0", NETWORK_OK, "::/0"},
        {"::1", NETWORK_OK, "::1"},
        {"fe80::1/128", NETWORK_OK, "fe80::1"},
        {"10.1.2.3/8", NETWORK_HOST_BITS, "10.0.0.0/8"},
        {"10.1.2.3/31", NETWORK_HOST_BITS, "10.1.2.2/31"},
        {"10.0.0.1/0", NETWORK_HOST_BITS, "0.0.0.0/0"},
        {"2001:db8::8000:0/97", NETWORK_OK, "2001:db8::8000:0/97"},
        {"2001:db8::8000:0/96", NETWORK_HOST_BITS, "2001:db8::/96"},
        {"::ffff:192.0.2.0/120", NETWORK_MAPPED, "192.0.2.0/24"},
        {"::ffff:192.0.2.1", NETWORK_MAPPED, "192.0.2.1"},
        {"::ffff:0:0/96", NETWORK_MAPPED, "0.0.0.0/0"},
        {"::ffff:0:0/95", NETWORK_HOST_BITS, "::fffe:0:0/95"},
        {"", NETWORK_NOT_AN_ADDRESS, NULL},
        {"/8", NETWORK_NOT_AN_ADDRESS, NULL},
        {"10/8", NETWORK_NOT_AN_ADDRESS, NULL},
        {"10.0.0.256/8", NETWORK_NOT_AN_ADDRESS, NULL},
        {"[::1]/128", NETWORK_NOT_AN_ADDRESS, NULL},
        {"fe80::1%eth0", NETWORK_NOT_AN_ADDRESS, NULL},
        {"localhost", NETWORK_NOT_AN_ADDRESS, NULL},
        {"10.0.0.0/33", NETWORK_BAD_PREFIX, NULL},
        {"::/129", NETWORK_BAD_PREFIX, NULL},
        {"10.0.0.0/", NETWORK_BAD_PREFIX, NULL},
        {"10.0.0.0/+8", NETWORK_BAD_PREFIX, NULL},
        {"10.0.0.0/255.0.0.0", NETWORK_BAD_PREFIX, NULL},
        {"10.0.0.0/18446744073709551624", NETWORK_BAD_PREFIX, NULL},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct config_network n = {.bits = 77};
        char text[NETWORK_TEXT_MAX];
        enum network_error error = network_parse(str_from(rows[i].text), &n);
        if (error != rows[i].error)
            fail_msg("%s: %d", rows[i].text, error);
        if (rows[i].meant == NULL)
            assert_int_equal(n.bits, 77); /* untouched */
        else
            assert_string_equal(network_text(&n, text), rows[i].meant);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_networks_are_read),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
