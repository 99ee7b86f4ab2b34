/* What good/wire.yaml says about the proxy: limits, TLS listeners, who is trusted, how it ends. */
#include "policies/config.h"

#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "tests/unit/policies/parse.h"

#define CERTS "tests/data/policies/good/certs/"

static struct policy_set *wire(void)
{
    setenv("SLUICE_TEST_PORT", "9002", 1);
    return good_file("tests/data/policies/good/wire.yaml");
}

static void test_limits_and_life_cycle_arrive(void **state)
{
    struct policy_set *set = wire();
    const struct config *c = set->config;

    (void)state;
    assert_int_equal(c->limits.handshake_timeout_ns, 2 * NS_PER_SEC);
    assert_int_equal(c->limits.body_timeout_ns, 3 * NS_PER_SEC);
    assert_int_equal(c->limits.headers, 64);
    assert_int_equal(c->limits.requests, 1000);
    assert_int_equal(c->limits.replay_bytes, 0);
    assert_int_equal(c->limits.replay_total_bytes, 8 << 20);
    assert_int_equal(c->client_eof, CLIENT_EOF_CANCEL);
    assert_string_equal(c->health_path, "/-/ready");
    assert_int_equal(c->drain_delay_ns, 5 * NS_PER_SEC);
    assert_int_equal(c->drain_timeout_ns, NS_PER_MIN);
    policy_set_unref(set);
}

static void test_tls_belongs_to_its_listener(void **state)
{
    struct policy_set *set = wire();
    const struct config *c = set->config;

    (void)state;
    assert_int_equal(c->listen_count, 4);
    assert_null(c->listen[0].tls);
    assert_null(c->admin.tls);

    const struct config_tls *one = c->listen[1].tls;
    assert_int_equal(one->count, 1);
    assert_string_equal(one->certificates[0].certificate, CERTS "tls-crt.pem");
    assert_string_equal(one->certificates[0].key, CERTS "tls-key.pem");
    assert_null(one->client_ca);
    assert_int_equal(one->client_auth, CLIENT_AUTH_NONE);

    const struct config_tls *several = c->listen[2].tls;
    assert_int_equal(several->count, 2);
    assert_string_equal(several->certificates[0].certificate, CERTS "tls-crt.pem");
    assert_string_equal(several->certificates[1].certificate, CERTS "other-crt.pem");
    assert_string_equal(several->certificates[1].key, CERTS "other-key.pem");
    assert_int_equal(several->certificates[1].at.line, 33);
    assert_string_equal(several->client_ca, CERTS "clients.pem");
    assert_int_equal(several->client_auth, CLIENT_AUTH_OPTIONAL);

    const struct config_tls *strict = c->listen[3].tls;
    assert_string_equal(strict->client_ca, CERTS "clients.pem");
    assert_int_equal(strict->client_auth, CLIENT_AUTH_REQUIRED); /* what a CA alone means */
    policy_set_unref(set);
}

static void test_client_auth_none_asks_nobody(void **state)
{
    struct policy_set *set = good_file("tests/data/policies/good/listen_tls_not_asked.yaml");
    const struct config_tls *tls = set->config->listen[0].tls;

    (void)state;
    assert_int_equal(tls->client_auth, CLIENT_AUTH_NONE);
    assert_null(tls->client_ca);
    policy_set_unref(set);
}

static void test_trusted_networks_arrive(void **state)
{
    static const struct config_network expected[] = {
        {{10}, false, 8},
        {{192, 0, 2, 7}, false, 32},
        {{0x20, 0x01, 0x0d, 0xb8}, true, 32},
        {{[15] = 1}, true, 128},
    };
    struct policy_set *set = wire();
    const struct config *c = set->config;

    (void)state;
    assert_int_equal(c->trusted_proxy_count, ARRAY_LEN(expected));
    for (size_t i = 0; i < ARRAY_LEN(expected); i++) {
        assert_memory_equal(c->trusted_proxies[i].address, expected[i].address, 16);
        assert_int_equal(c->trusted_proxies[i].ipv6, expected[i].ipv6);
        assert_int_equal(c->trusted_proxies[i].bits, expected[i].bits);
    }
    policy_set_unref(set);
}

/* A small total is not a contradiction of a limit that nobody wrote. */
static void test_the_default_replay_is_cut_to_the_total(void **state)
{
    struct config *c = good_config("proxy: {limits: {replay_total: 512KiB}}\n");
    struct config *none = good_config("proxy: {limits: {replay_total: 0}}\n");

    (void)state;
    assert_int_equal(c->limits.replay_bytes, 512 * 1024);
    assert_int_equal(none->limits.replay_bytes, 0);
    config_free(c);
    config_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_limits_and_life_cycle_arrive),
        cmocka_unit_test(test_tls_belongs_to_its_listener),
        cmocka_unit_test(test_client_auth_none_asks_nobody),
        cmocka_unit_test(test_trusted_networks_arrive),
        cmocka_unit_test(test_the_default_replay_is_cut_to_the_total),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
