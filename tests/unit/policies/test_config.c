/* The configuration: defaults without a file, what is written, shorthands. */
#include "policies/config.h"

#include "base/clock.h"
#include "policies/schema.h"
#include "tests/unit/policies/parse.h"

static void test_defaults_need_no_file(void **state)
{
    struct config *c = config_default();

    (void)state;
    assert_int_equal(c->listen_count, 1);
    assert_string_equal(c->listen[0].text, "127.0.0.1:8080");
    assert_string_equal(c->listen[0].host, "127.0.0.1");
    assert_int_equal(c->listen[0].port, 8080);
    assert_int_equal(c->workers, 0);
    assert_int_equal(c->limits.connections, 20000);
    assert_int_equal(c->limits.head_bytes, 64 * 1024);
    assert_int_equal(c->limits.body_bytes, 64 * 1024 * 1024);
    assert_int_equal(c->limits.header_timeout_ns, 10 * NS_PER_SEC);
    assert_int_equal(c->limits.idle_timeout_ns, 75 * NS_PER_SEC);
    assert_int_equal(c->limits.handshake_timeout_ns, 10 * NS_PER_SEC);
    assert_int_equal(c->limits.body_timeout_ns, 60 * NS_PER_SEC);
    assert_int_equal(c->limits.headers, 128);
    assert_int_equal(c->limits.requests, 0);
    assert_int_equal(c->limits.replay_bytes, 1 << 20);
    assert_int_equal(c->limits.replay_total_bytes, 64 << 20);
    assert_int_equal(c->client_eof, CLIENT_EOF_AUTO);
    assert_int_equal(c->trusted_proxy_count, 0);
    assert_null(c->health_path);
    assert_int_equal(c->drain_delay_ns, 0);
    assert_int_equal(c->drain_timeout_ns, 30 * NS_PER_SEC);
    assert_null(c->listen[0].tls);
    assert_null(c->files);
    assert_string_equal(c->access_log.to, "off");
    assert_near(c->access_log.sample, 0.01, 1e-15);
    assert_int_equal(c->access_log.errors, ACCESS_LOG_ERRORS_ALL);
    assert_string_equal(c->admin.text, "127.0.0.1:9900");
    assert_string_equal(c->admin.host, "127.0.0.1");
    assert_int_equal(c->admin.port, 9900);
    assert_null(c->policies);
    assert_null(c->file);
    config_free(c);
    config_free(NULL);
}

static void test_what_is_written_arrives(void **state)
{
    struct config *c =
        good_config("proxy:\n"
                    "  listen: [0.0.0.0:80, {address: \"[::1]:0\"}, 127.0.0.1:0]\n"
                    "  workers: 4\n"
                    "  limits: {connections: 100, head: 8KiB, body: 1GiB, header_timeout: 5s,"
                    " idle_timeout: 1m}\n"
                    "  access_log: {to: /var/log/sluice, sample: 50%, errors: sampled}\n"
                    "controller: {admin: \"[::1]:0\"}\n"
                    "policies: policies.d/\n");

    (void)state;
    assert_int_equal(c->listen_count, 3);
    assert_string_equal(c->listen[1].text, "[::1]:0");
    assert_string_equal(c->listen[1].host, "::1");
    assert_int_equal(c->listen[1].port, 0);
    assert_int_equal(c->listen[1].at.line, 2);
    assert_int_equal(c->workers, 4);
    assert_int_equal(c->limits.connections, 100);
    assert_int_equal(c->limits.head_bytes, 8192);
    assert_int_equal(c->limits.body_bytes, 1 << 30);
    assert_int_equal(c->limits.header_timeout_ns, 5 * NS_PER_SEC);
    assert_int_equal(c->limits.idle_timeout_ns, NS_PER_MIN);
    assert_string_equal(c->access_log.to, "/var/log/sluice");
    assert_near(c->access_log.sample, 0.5, 0);
    assert_int_equal(c->access_log.errors, ACCESS_LOG_ERRORS_SAMPLED);
    assert_string_equal(c->admin.host, "::1");
    assert_string_equal(c->policies, "policies.d/");
    assert_int_equal(c->policies_at.line, 7);
    assert_string_equal(c->file, "test.yaml");
    config_free(c);
}

static void test_one_address_needs_no_list(void **state)
{
    static const char *const texts[] = {
        "proxy: {listen: 127.0.0.1:81}\n",
        "proxy: {listen: {address: 127.0.0.1:81}}\n",
        "proxy: {listen: [127.0.0.1:81]}\n",
        "proxy:\n  listen:\n    - address: 127.0.0.1:81\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct config *c = good_config(texts[i]);
        assert_int_equal(c->listen_count, 1);
        assert_string_equal(c->listen[0].text, "127.0.0.1:81");
        config_free(c);
    }
}

/* What the schema calls a default is what an empty configuration has. */
static void test_written_defaults_change_nothing(void **state)
{
    struct config *without = config_default();
    struct config *with = good_config(
        "proxy: {listen: 127.0.0.1:8080, workers: auto, limits: {connections: 20000, head: 64KiB,"
        " body: 64MiB, header_timeout: 10s, idle_timeout: 75s, handshake_timeout: 10s,"
        " body_timeout: 60s, headers: 128, requests: 0, replay: 1MiB, replay_total: 64MiB},"
        " client_eof: auto, drain_delay: 0s, drain_timeout: 30s,"
        " access_log: {to: off, sample: 1%, errors: all}}\n"
        "controller: {admin: 127.0.0.1:9900}\n");

    (void)state;
    assert_string_equal(with->listen[0].text, without->listen[0].text);
    assert_int_equal(with->workers, without->workers);
    assert_memory_equal(&with->limits, &without->limits, sizeof(with->limits));
    assert_int_equal(with->client_eof, without->client_eof);
    assert_int_equal(with->drain_delay_ns, without->drain_delay_ns);
    assert_int_equal(with->drain_timeout_ns, without->drain_timeout_ns);
    assert_string_equal(with->access_log.to, without->access_log.to);
    assert_near(with->access_log.sample, without->access_log.sample, 0);
    assert_string_equal(with->admin.text, without->admin.text);
    assert_string_equal(schema_row(&schema_config, "proxy.limits.head")->default_text, "64KiB");
    config_free(with);
    config_free(without);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults_need_no_file),
        cmocka_unit_test(test_what_is_written_arrives),
        cmocka_unit_test(test_one_address_needs_no_list),
        cmocka_unit_test(test_written_defaults_change_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
