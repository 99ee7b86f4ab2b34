/* Which rollout takes a request: hosts before wildcards before none, then the longest path, then
 * the most conditions.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

#include "base/arena.h"
#include "base/check.h"
#include "proxy/route.h"

#define STABLE "stable: {version: \"1\", endpoints: [\"http://127.0.0.1:9\"]}\n"

static const char *const texts[] = {
    "rollout: any\n" STABLE,
    "rollout: v1\n" STABLE "match: {paths: [/v1/]}\n",
    "rollout: chat\n" STABLE "match: {paths: [/v1/chat]}\n",
    "rollout: post\n" STABLE "match: {paths: [/v1/chat], methods: [POST]}\n",
    "rollout: tenant\n" STABLE
    "match: {paths: [/v1/chat], methods: [POST], headers: {x-tenant: acme}}\n",
    "rollout: host\n" STABLE "match: {hosts: [api.example.com]}\n",
    "rollout: hostpath\n" STABLE "match: {hosts: [api.example.com], paths: [/predict]}\n",
    "rollout: wild\n" STABLE "match: {hosts: [\"*.example.com\"]}\n",
    "rollout: deep\n" STABLE "match: {hosts: [\"*.models.example.com\"]}\n",
};

struct fixture {
    struct policy_set set;
    struct config *config;
    struct policy *policies[ARRAY_LEN(texts)];
    struct route_table *table;
};

static void load(struct fixture *f, const char *const *from, size_t n)
{
    struct diagnostics d;

    diagnostics_init(&d);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(policy_parse(STR("t.yaml"), str_from(from[i]), &f->policies[i], &d), 0);
    diagnostics_deinit(&d);
    f->config = config_default();
    f->set = (struct policy_set){.config = f->config,
                                 .policies = (const struct policy *const *)f->policies,
                                 .count = n,
                                 .references = 2};
    f->table = route_table_new(&f->set);
}

static void unload(struct fixture *f)
{
    route_table_free(f->table);
    for (size_t i = 0; i < f->set.count; i++)
        policy_free(f->policies[i]);
    config_free(f->config);
}

static const char *match(const struct fixture *f, const char *method, const char *host,
                         const char *target, const char *extra)
{
    static struct head h;
    char text[512];
    const char *why;

    snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: %s\r\n%s\r\n", method, target, host,
             extra);
    assert_int_equal(head_parse_request(str_from(text), 0, HEAD_LIMITS_MOST, &h, &why), 0);
    const struct route *r = route_match(f->table, &h);
    return r == NULL ? "-" : r->policy->name;
}

static void test_order(void **state)
{
    static const struct {
        const char *method, *host, *target, *extra, *want;
    } rows[] = {
        {"GET", "other", "/", "", "any"},
        {"GET", "other", "/v1/models", "", "v1"},
        {"GET", "other", "/v1", "", "any"}, /* "/v1/" is what is beneath */
        {"GET", "other", "/v1/chat", "", "chat"},
        {"GET", "other", "/v1/chat/completions?x=/y", "", "chat"},
        {"GET", "other", "/v1/chatter", "", "v1"}, /* whole segments */
        {"POST", "other", "/v1/chat", "", "post"},
        {"POST", "other", "/v1/chat", "X-Tenant: acme\r\n", "tenant"},
        {"POST", "other", "/v1/chat", "X-Tenant: other\r\n", "post"},
        {"GET", "api.example.com", "/v1/chat", "", "host"}, /* the host decides first */
        {"GET", "API.Example.COM:8080", "/", "", "host"},
        {"GET", "api.example.com.", "/", "", "host"},
        {"GET", "api.example.com", "/predict", "", "hostpath"},
        {"GET", "api.example.com", "/predict?x", "", "hostpath"},
        {"GET", "api.example.com", "/predictions", "", "host"},
        {"GET", "x.example.com", "/v1/chat", "", "wild"},
        {"GET", "a.b.example.com", "/", "", "wild"},
        {"GET", "a.models.example.com", "/", "", "deep"},
        {"GET", "models.example.com", "/", "", "wild"},
        {"GET", "example.com", "/", "", "any"},
    };
    struct fixture f;

    (void)state;
    load(&f, texts, ARRAY_LEN(texts));
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        const char *got = match(&f, rows[i].method, rows[i].host, rows[i].target, rows[i].extra);
        if (strcmp(got, rows[i].want) != 0)
            fail_msg("%s %s%s: %s, not %s", rows[i].method, rows[i].host, rows[i].target, got,
                     rows[i].want);
    }
    unload(&f);
}

static void test_nothing_matches(void **state)
{
    struct fixture f;

    (void)state;
    load(&f, &texts[5], 1);
    assert_string_equal(match(&f, "GET", "other", "/", ""), "-");
    assert_string_equal(match(&f, "GET", "api.example.com", "/", ""), "host");
    unload(&f);
}

/* One name that is unknown today must not keep the rest from serving. */
static void test_a_name_that_does_not_resolve(void **state)
{
    static const char *const text[] = {
        "rollout: x\nstable: {version: \"1\", endpoints: [\"http://no-such-host.invalid:9\", "
        "\"http://localhost:9\", \"http://[::1]:9\", \"http://127.0.0.1:9\"]}\n"};
    struct fixture f;

    (void)state;
    load(&f, text, 1);
    const struct route_version *v = &route_at(f.table, 0)->versions[VARIANT_STABLE];
    assert_int_equal(v->endpoint_count, 4);
    assert_null(route_endpoint_address(&v->endpoints[0]));
    assert_int_equal(route_endpoint_address(&v->endpoints[1])->sa_family, AF_INET);
    assert_int_equal(route_endpoint_address(&v->endpoints[2])->sa_family, AF_INET6);
    assert_int_equal(route_endpoint_address(&v->endpoints[3])->sa_family, AF_INET);
    unload(&f);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_order),
        cmocka_unit_test(test_nothing_matches),
        cmocka_unit_test(test_a_name_that_does_not_resolve),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
