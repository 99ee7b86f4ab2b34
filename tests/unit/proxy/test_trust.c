/* Whose word is believed: networks, and the walk through X-Forwarded-For. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <stdio.h>

#include "base/check.h"
#include "proxy/trust.h"

/* 10.0.0.0/8, 192.0.2.16/28, 2001:db8::/33, ::1/128 */
static const struct config_network networks[] = {
    {.address = {10}, .bits = 8},
    {.address = {192, 0, 2, 16}, .bits = 28},
    {.address = {0x20, 0x01, 0x0d, 0xb8}, .ipv6 = true, .bits = 33},
    {.address = {[15] = 1}, .ipv6 = true, .bits = 128},
};
static const struct config config = {.trusted_proxies = networks,
                                     .trusted_proxy_count = ARRAY_LEN(networks)};
static const struct config nobody = {.trusted_proxy_count = 0};

static struct sockaddr_storage address(const char *text)
{
    struct sockaddr_storage s = {0};
    struct sockaddr_in *four = (struct sockaddr_in *)&s;
    struct sockaddr_in6 *six = (struct sockaddr_in6 *)&s;

    if (inet_pton(AF_INET, text, &four->sin_addr) == 1) {
        four->sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &six->sin6_addr), 1);
        six->sin6_family = AF_INET6;
    }
    return s;
}

static void test_peers(void **state)
{
    static const struct {
        const char *text;
        bool trusted;
    } rows[] = {
        {"10.0.0.0", true},
        {"10.255.255.255", true},
        {"11.0.0.0", false},
        {"192.0.2.15", false},
        {"192.0.2.16", true},
        {"192.0.2.31", true},
        {"192.0.2.32", false},
        {"2001:db8::1", true},
        {"2001:db8:7fff::1", true},
        {"2001:db8:8000::1", false},
        {"::1", true},
        {"::2", false},
        {"::ffff:10.1.2.3", true}, /* IPv4 that came in as IPv6 */
        {"::ffff:11.1.2.3", false},
        {"a00::", false}, /* its first bytes are 10.0.0.0's */
    };
    struct sockaddr_storage other = {.ss_family = AF_UNIX};

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        struct sockaddr_storage s = address(rows[i].text);
        if (trust_peer(&config, (struct sockaddr *)&s) != rows[i].trusted)
            fail_msg("%s", rows[i].text);
        assert_false(trust_peer(&nobody, (struct sockaddr *)&s));
    }
    assert_false(trust_peer(&config, (struct sockaddr *)&other));
}

static void test_everybody(void **state)
{
    static const struct config_network all[] = {{.bits = 0}, {.ipv6 = true, .bits = 0}};
    static const struct config open = {.trusted_proxies = all, .trusted_proxy_count = 2};
    struct sockaddr_storage four = address("203.0.113.1"), six = address("2001:db8::");

    (void)state;
    assert_true(trust_peer(&open, (struct sockaddr *)&four));
    assert_true(trust_peer(&open, (struct sockaddr *)&six));
}

static void test_clients(void **state)
{
    static const struct {
        const char *peer, *fields, *want;
    } rows[] = {
        {"10.0.0.1", "", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"},
        {"10.0.0.1", "X-Forwarded-For: 1.1.1.1, 203.0.113.7, 10.0.0.9\r\n", "203.0.113.7"},
        {"10.0.0.1", "X-Forwarded-For: 1.1.1.1\r\nX: y\r\nX-Forwarded-For: 10.0.0.9\r\n",
         "1.1.1.1"},
        {"10.0.0.1", "X-Forwarded-For: 10.0.0.7, 10.0.0.8\r\n", "10.0.0.7"}, /* all of them ours */
        {"10.0.0.1", "X-Forwarded-For: 203.0.113.7, , 10.0.0.8 ,\r\n", "203.0.113.7"},
        {"10.0.0.1", "X-Forwarded-For: 203.0.113.7:4711\r\n", "203.0.113.7"},
        {"10.0.0.1", "X-Forwarded-For: 2001:db9::7\r\n", "2001:db9::7"},
        {"10.0.0.1", "X-Forwarded-For: [2001:db9::7]:99\r\n", "2001:db9::7"},
        {"10.0.0.1", "X-Forwarded-For: [2001:db9::7]\r\n", "2001:db9::7"},
        {"10.0.0.1", "X-Forwarded-For: evil\"}, 10.0.0.8\r\n", "10.0.0.8"},
        {"10.0.0.1", "X-Forwarded-For: unknown\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: [::1\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For: 1.2.3.4:x\r\n", "10.0.0.1"},
        {"10.0.0.1", "X-Forwarded-For:\r\n", "10.0.0.1"},
        {"10.0.0.1", "Connection: X-Forwarded-For\r\nX-Forwarded-For: 203.0.113.7\r\n", "10.0.0.1"},
        {"::1", "X-Forwarded-For: 203.0.113.7\r\n", "203.0.113.7"},
        {"203.0.113.1", "X-Forwarded-For: 1.1.1.1\r\n", "203.0.113.1"}, /* not one of ours */
    };
    char text[256];
    struct head h;
    const char *why;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: a\r\n%s\r\n", rows[i].fields);
        assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why), 0);
        struct str got = trust_client(&config, &h, str_from(rows[i].peer));
        if (!str_eq(got, str_from(rows[i].want)))
            fail_msg("%s from %s: %.*s", rows[i].fields, rows[i].peer, (int)got.len, got.ptr);
        assert_true(
            str_eq(trust_client(&nobody, &h, str_from(rows[i].peer)), str_from(rows[i].peer)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peers),
        cmocka_unit_test(test_everybody),
        cmocka_unit_test(test_clients),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
