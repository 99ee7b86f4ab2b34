/* Targets and authorities: what each form gives, and what is no target. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "net/target.h"

static const struct {
    const char *text;
    bool options;
    const char *authority, *host, *path, *query; /* path NULL: refused */
} targets[] = {
    {"/", false, "", "", "/", ""},
    {"/a/b?c=d?e", false, "", "", "/a/b", "?c=d?e"},
    {"/?", false, "", "", "/", "?"},
    {"//evil.example/x", false, "", "", "//evil.example/x", ""},
    {"/a/../b//./c", false, "", "", "/a/../b//./c", ""}, /* as it came: never resolved here */
    {"/%2e%2E%00%0d%0a", false, "", "", "/%2e%2E%00%0d%0a", ""},
    {"/http://a/", false, "", "", "/http://a/", ""},
    {"http://a.example:81/x?y", false, "a.example:81", "a.example", "/x", "?y"},
    {"HTTPS://A/x", false, "A", "A", "/x", ""},
    {"http://a", false, "a", "a", "/", ""},
    {"http://a?x", false, "a", "a", "/", "?x"},
    {"http://[2001:db8::1]:9/", false, "[2001:db8::1]:9", "[2001:db8::1]", "/", ""},
    {"*", true, "", "", "*", ""},
    {"http://a", true, "a", "a", "*", ""}, /* RFC 9112, 3.2.4 */
    {"http://a/", true, "a", "a", "/", ""},
    {"http://a?x", true, "a", "a", "/", "?x"},
    {"*", false, NULL, NULL, NULL, NULL},
    {"*x", true, NULL, NULL, NULL, NULL},
    {"*?x", true, NULL, NULL, NULL, NULL},
    {"", false, NULL, NULL, NULL, NULL},
    {"a", false, NULL, NULL, NULL, NULL},
    {"?x", false, NULL, NULL, NULL, NULL},
    {"a:443", false, NULL, NULL, NULL, NULL},
    {"\\a", false, NULL, NULL, NULL, NULL},
    {"/a#b", false, NULL, NULL, NULL, NULL},
    {"/a b", false, NULL, NULL, NULL, NULL},
    {"/a\tb", false, NULL, NULL, NULL, NULL},
    {"/a\x7f", false, NULL, NULL, NULL, NULL},
    {"/caf\xe9", false, NULL, NULL, NULL, NULL},
    {"http://", false, NULL, NULL, NULL, NULL},
    {"http:///x", false, NULL, NULL, NULL, NULL},
    {"http:/x", false, NULL, NULL, NULL, NULL},
    {"http:x", false, NULL, NULL, NULL, NULL},
    {"ftp://a/x", false, NULL, NULL, NULL, NULL},
    {"ws://a/x", false, NULL, NULL, NULL, NULL},
    {"http://u@a/x", false, NULL, NULL, NULL, NULL},
    {"http://u:p@a/x", false, NULL, NULL, NULL, NULL},
    {"http://a:b/x", false, NULL, NULL, NULL, NULL},
    {"http://[::1/x", false, NULL, NULL, NULL, NULL},
};

static void assert_str(struct str s, const char *want)
{
    if (!str_eq(s, str_from(want)))
        fail_msg("\"%.*s\", not \"%s\"", (int)s.len, s.ptr, want);
}

static void test_targets(void **state)
{
    struct target t;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(targets); i++) {
        const char *wrong = target_parse(str_from(targets[i].text), targets[i].options, &t);
        if ((wrong != NULL) != (targets[i].path == NULL))
            fail_msg("%s: %s", targets[i].text, wrong == NULL ? "taken" : wrong);
        if (wrong != NULL)
            continue;
        assert_str(t.authority, targets[i].authority);
        assert_str(t.host, targets[i].host);
        assert_str(t.path, targets[i].path);
        assert_str(t.query, targets[i].query);
    }
}

static const struct {
    const char *text, *host; /* NULL: refused */
} authorities[] = {
    {"a", "a"},
    {"A.b-c_d.example", "A.b-c_d.example"},
    {"a:80", "a"},
    {"a:", "a"},
    {"a:65535", "a"},
    {"127.0.0.1:1", "127.0.0.1"},
    {"[::1]", "[::1]"},
    {"[::ffff:1.2.3.4]:8080", "[::ffff:1.2.3.4]"},
    {"xn--bcher-kva.example", "xn--bcher-kva.example"},
    {"a;b=c!$&'()*+%7e~", "a;b=c!$&'()*+%7e~"}, /* RFC 3986 lets a reg-name hold these */
    {"", NULL},
    {":80", NULL},
    {"a:65536", NULL},
    {"a:-1", NULL},
    {"a:8a", NULL},
    {"a:80:80", NULL},
    {"::1", NULL},
    {"[::1", NULL},
    {"[]", NULL},
    {"[a]", NULL},
    {"[::1]x", NULL},
    {"[fe80::1%25eth0]", NULL},
    {"a[b", NULL},
    {"a]b", NULL},
    {"u@a", NULL},
    {"a/b", NULL},
    {"a?b", NULL},
    {"a#b", NULL},
    {"a\\b", NULL},
    {"a,b", NULL},
    {"a b", NULL},
    {"a\x01", NULL},
    {"a\x7f", NULL},
    {"\xe9", NULL},
    {"a<b", NULL},
    {"a\"b", NULL},
    {"a^b", NULL},
    {"a`b", NULL},
    {"a|b", NULL},
    {"{a}", NULL},
};

static void test_authorities(void **state)
{
    static char text[258];
    struct str host;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(authorities); i++) {
        bool ok = target_split_authority(str_from(authorities[i].text), &host);
        if (ok != (authorities[i].host != NULL))
            fail_msg("%s", authorities[i].text);
        if (ok)
            assert_str(host, authorities[i].host);
    }
    memset(text, 'a', sizeof(text));
    assert_true(target_split_authority((struct str){text, 255}, &host));
    assert_false(target_split_authority((struct str){text, 256}, &host));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_targets),
        cmocka_unit_test(test_authorities),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
