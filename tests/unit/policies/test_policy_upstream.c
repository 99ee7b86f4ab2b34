/* `upstream` and what goes with it: what good/wire.yaml says arrives, and what nobody wrote. */
#include "policies/policy.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/check.h"
#include "base/clock.h"
#include "policies/named_file.h"
#include "tests/unit/policies/parse.h"

#define WIRE  "tests/data/policies/good/wire.yaml"
#define CERTS "tests/data/policies/good/certs/"

static struct policy_set *wire(void)
{
    setenv("SLUICE_TEST_PORT", "9002", 1);
    return good_file(WIRE);
}

static void test_defaults(void **state)
{
    struct policy *p = good_policy(STABLE);
    const struct policy_upstream *u = &p->upstream;

    (void)state;
    assert_int_equal(p->protocol, PROTOCOL_AUTO);
    assert_int_equal(p->shield, SHIELD_SAFE);
    assert_int_equal(p->rollback_drain_ns, 10 * NS_PER_MIN);
    assert_int_equal(u->host, UPSTREAM_HOST_PRESERVE);
    assert_null(u->host_name);
    assert_null(u->tls.ca);
    assert_null(u->tls.certificate);
    assert_null(u->tls.key);
    assert_null(u->tls.server_name);
    assert_true(u->tls.verify);
    assert_int_equal(u->set_header_count, 0);
    assert_int_equal(u->remove_header_count, 0);
    assert_int_equal(u->retries_max, 1);
    assert_near(u->retries_budget, 0.1, 1e-15);
    assert_int_equal(u->max_requests, 1024);
    assert_int_equal(u->queue_max, 128);
    assert_int_equal(u->queue_timeout_ns, NS_PER_SEC);
    assert_false(p->versions[VARIANT_STABLE].endpoints[0].tls);
    assert_null(p->files);
    policy_free(p);
}

static void test_what_is_written_arrives(void **state)
{
    struct policy_set *set = wire();
    const struct policy *p = set->policies[0];
    const struct policy_upstream *u = &p->upstream;

    (void)state;
    assert_int_equal(p->protocol, PROTOCOL_ANTHROPIC);
    assert_int_equal(p->shield, SHIELD_ALL);
    assert_int_equal(p->rollback_drain_ns, 0);
    assert_int_equal(u->host, UPSTREAM_HOST_NAME);
    assert_string_equal(u->host_name, "Model.internal:8443");
    assert_string_equal(u->tls.ca, CERTS "ca.pem");
    assert_string_equal(u->tls.certificate, CERTS "client-crt.pem");
    assert_string_equal(u->tls.key, "tests/data/policies/good/./certs/client-key.pem");
    assert_string_equal(u->tls.server_name, "model.internal");
    assert_true(u->tls.verify);
    assert_int_equal(u->tls.at.line, 12);
    assert_string_equal(u->tls.at.file, WIRE);
    assert_int_equal(u->retries_max, 5);
    assert_near(u->retries_budget, 0, 0);
    assert_int_equal(u->max_requests, 8);
    assert_int_equal(u->queue_max, 0);
    assert_int_equal(u->queue_timeout_ns, 250 * NS_PER_MS);
    policy_set_unref(set);
}

static void test_header_fields_end_in_lower_case(void **state)
{
    struct policy_set *set = wire();
    const struct policy_upstream *u = &set->policies[0]->upstream;

    (void)state;
    assert_int_equal(u->set_header_count, 3);
    assert_string_equal(u->set_headers[0].name, "x-team");
    assert_string_equal(u->set_headers[0].value, "ml");
    assert_string_equal(u->set_headers[1].name, "authorization");
    assert_string_equal(u->set_headers[1].value, "Bearer 9002"); /* from the environment */
    assert_string_equal(u->set_headers[2].name, "x-empty");
    assert_string_equal(u->set_headers[2].value, "");
    assert_int_equal(u->remove_header_count, 2);
    assert_string_equal(u->remove_headers[0], "cookie");
    assert_string_equal(u->remove_headers[1], "x-debug");
    policy_set_unref(set);
}

static void test_https_endpoints(void **state)
{
    static const struct {
        const char *host, *authority;
        uint16_t port;
        bool tls;
    } rows[] = {
        {"10.0.0.11", "10.0.0.11", 443, true},
        {"model.internal", "model.internal:8443", 8443, true},
        {"10.0.0.12", "10.0.0.12:443", 443, false}, /* the scheme says it, not the port */
    };
    struct policy_set *set = wire();
    const struct policy_version *stable = &set->policies[0]->versions[VARIANT_STABLE];
    const struct policy_endpoint *canary = &set->policies[0]->versions[VARIANT_CANARY].endpoints[0];

    (void)state;
    assert_int_equal(stable->endpoint_count, ARRAY_LEN(rows));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        assert_string_equal(stable->endpoints[i].host, rows[i].host);
        assert_string_equal(stable->endpoints[i].authority, rows[i].authority);
        assert_int_equal(stable->endpoints[i].port, rows[i].port);
        assert_int_equal(stable->endpoints[i].tls, rows[i].tls);
    }
    assert_string_equal(canary->host, "2001:db8::1");
    assert_int_equal(canary->port, 443);
    assert_true(canary->tls);
    assert_int_equal(canary->weight, 3);
    policy_set_unref(set);
}

static void test_ways_to_say_what_a_rollback_does(void **state)
{
    static const struct {
        const char *text;
        int64_t drain_ns;
    } rows[] = {
        {"on_rollback: cut\n", 0},
        {"on_rollback: {drain: cut}\n", 0},
        {"on_rollback: {drain: 0s}\n", 0},
        {"on_rollback: {drain: 30s}\n", 30 * NS_PER_SEC},
        {"on_rollback: 30s\n", 30 * NS_PER_SEC},
        {"on_rollback: {}\n", 10 * NS_PER_MIN},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        snprintf(text, sizeof(text), "%s%s", STABLE, rows[i].text);
        struct policy *p = good_policy(text);
        assert_int_equal(p->rollback_drain_ns, rows[i].drain_ns);
        policy_free(p);
    }
}

static void test_ways_to_say_the_host(void **state)
{
    static const struct {
        const char *written;
        enum upstream_host host;
        const char *name;
    } rows[] = {
        {"preserve", UPSTREAM_HOST_PRESERVE, NULL},
        {"endpoint", UPSTREAM_HOST_ENDPOINT, NULL},
        {"api.internal", UPSTREAM_HOST_NAME, "api.internal"},
        {"10.0.0.1:80", UPSTREAM_HOST_NAME, "10.0.0.1:80"},
        {"\"[::1]:80\"", UPSTREAM_HOST_NAME, "[::1]:80"},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        char text[256];
        snprintf(text, sizeof(text), STABLE "upstream: {host: %s}\n", rows[i].written);
        struct policy *p = good_policy(text);
        assert_int_equal(p->upstream.host, rows[i].host);
        if (rows[i].name == NULL)
            assert_null(p->upstream.host_name);
        else
            assert_string_equal(p->upstream.host_name, rows[i].name);
        policy_free(p);
    }
}

static void test_protocols_are_in_the_order_of_their_names(void **state)
{
    static const char *const names[PROTOCOL_COUNT] = {
        [PROTOCOL_AUTO] = "auto",           [PROTOCOL_OPENAI] = "openai",
        [PROTOCOL_ANTHROPIC] = "anthropic", [PROTOCOL_KSERVE] = "kserve",
        [PROTOCOL_PLAIN] = "plain",
    };

    (void)state;
    for (size_t i = 0; i < PROTOCOL_COUNT; i++) {
        char text[256];
        snprintf(text, sizeof(text), STABLE "protocol: %s\n", names[i]);
        struct policy *p = good_policy(text);
        assert_int_equal(p->protocol, i);
        policy_free(p);
    }
}

/* Whoever loads a set knows every file that is named, with its place. */
static void test_files_are_noted_with_their_places(void **state)
{
    struct policy_set *set = wire();
    size_t count = 0;

    (void)state;
    for (const struct named_file *f = set->policies[0]->files; f != NULL; f = f->next, count++)
        if (strcmp(f->key, "upstream.tls.certificate") == 0) {
            assert_string_equal(f->path, CERTS "client-crt.pem");
            assert_int_equal(f->at.line, 14);
            assert_int_equal(f->at.column, 18);
        }
    assert_int_equal(count, 3);
    policy_set_unref(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_what_is_written_arrives),
        cmocka_unit_test(test_header_fields_end_in_lower_case),
        cmocka_unit_test(test_https_endpoints),
        cmocka_unit_test(test_ways_to_say_what_a_rollback_does),
        cmocka_unit_test(test_ways_to_say_the_host),
        cmocka_unit_test(test_protocols_are_in_the_order_of_their_names),
        cmocka_unit_test(test_files_are_noted_with_their_places),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
