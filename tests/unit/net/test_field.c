/* Field lines: which names are known, and that a line cut as plain ASCII is the line cut bytewise.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <ctype.h>

#include "base/check.h"
#include "net/field.h"

static const struct {
    enum field_id id;
    const char *name;
    bool hop;
} known[] = {
    {FIELD_ACCEPT, "accept", false},
    {FIELD_ACCEPT_ENCODING, "accept-encoding", false},
    {FIELD_CONNECTION, "connection", true},
    {FIELD_CONTENT_LENGTH, "content-length", false},
    {FIELD_CONTENT_TYPE, "content-type", false},
    {FIELD_DATE, "date", false},
    {FIELD_EXPECT, "expect", false},
    {FIELD_FORWARDED, "forwarded", false},
    {FIELD_HOST, "host", false},
    {FIELD_HTTP2_SETTINGS, "http2-settings", true},
    {FIELD_KEEP_ALIVE, "keep-alive", true},
    {FIELD_MAX_FORWARDS, "max-forwards", false},
    {FIELD_PROXY_AUTHENTICATE, "proxy-authenticate", true},
    {FIELD_PROXY_AUTHORIZATION, "proxy-authorization", true},
    {FIELD_PROXY_CONNECTION, "proxy-connection", true},
    {FIELD_TE, "te", true},
    {FIELD_TRACEPARENT, "traceparent", false},
    {FIELD_TRACESTATE, "tracestate", false},
    {FIELD_TRAILER, "trailer", false},
    {FIELD_TRANSFER_ENCODING, "transfer-encoding", true},
    {FIELD_UPGRADE, "upgrade", true},
    {FIELD_VIA, "via", false},
    {FIELD_X_FORWARDED_FOR, "x-forwarded-for", false},
    {FIELD_X_FORWARDED_HOST, "x-forwarded-host", false},
    {FIELD_X_FORWARDED_OTHER, "x-forwarded-port", false},
    {FIELD_X_FORWARDED_PROTO, "x-forwarded-proto", false},
    {FIELD_X_REQUEST_ID, "x-request-id", false},
    {FIELD_X_SLUICE_VERSION, "x-sluice-version", false},
};

static enum field_id identify(const char *name)
{
    return field_identify(str_from(name));
}

static void test_known_names_in_any_case(void **state)
{
    char name[32];

    (void)state;
    assert_int_equal(ARRAY_LEN(known), FIELD_ID_COUNT - 1);
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        assert_int_equal(known[i].id, i + 1);
        assert_int_equal(identify(known[i].name), known[i].id);
        assert_int_equal(field_is_hop(known[i].id), known[i].hop);
        for (int odd = 0; odd < 3; odd++) {
            size_t n = 0;
            for (; known[i].name[n] != '\0'; n++)
                name[n] = odd == 2 || (int)(n % 2) == odd ? (char)toupper(known[i].name[n])
                                                          : known[i].name[n];
            name[n] = '\0';
            assert_int_equal(identify(name), known[i].id);
        }
    }
    assert_false(field_is_hop(FIELD_OTHER));
}

/* One byte of a known name is any other: it is known no more, unless it is the same letter. */
static void test_nearly_known_names(void **state)
{
    char name[32];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(known); i++) {
        struct str right = str_from(known[i].name);
        memcpy(name, right.ptr, right.len);
        for (size_t at = 0; at < right.len; at++) {
            for (int c = 0; c < 256; c++) {
                name[at] = (char)c;
                enum field_id got = field_identify((struct str){name, right.len});
                bool same = str_ieq((struct str){name, right.len}, right);
                bool other = at >= 12 && memcmp(right.ptr, "x-forwarded-", 12) == 0;
                assert_int_equal(got, same    ? known[i].id
                                      : other ? FIELD_X_FORWARDED_OTHER
                                              : FIELD_OTHER);
            }
            name[at] = right.ptr[at];
        }
        if (known[i].id != FIELD_X_FORWARDED_OTHER)
            assert_int_not_equal(field_identify((struct str){right.ptr, right.len - 1}),
                                 known[i].id);
    }
    assert_int_equal(identify(""), FIELD_OTHER);
    assert_int_equal(identify("x-forwarded-"), FIELD_OTHER);
    assert_int_equal(identify("X-Forwarded-Something-Of-Some-Length"), FIELD_X_FORWARDED_OTHER);
    assert_int_equal(identify("a-name-that-is-longer-than-all-that-are-known"), FIELD_OTHER);
}

static const struct {
    const char *line; /* without its CRLF */
    bool gaps;
    const char *name, *value; /* NULL: refused */
} lines[] = {
    {"Host: a", false, "Host", "a"},
    {"Host:a", false, "Host", "a"},
    {"X: \t a b \t ", false, "X", "a b"},
    {"X:", false, "X", ""},
    {"X:   ", false, "X", ""},
    {"x_y!: 1:2", false, "x_y!", "1:2"},
    {"A-Name-Of-More-Than-Sixteen.Bytes: v", false, "A-Name-Of-More-Than-Sixteen.Bytes", "v"},
    {"X : 1", true, "X", "1"},
    {"X : 1", false, NULL, NULL},
    {"X Y: 1", true, NULL, NULL},
    {": 1", false, NULL, NULL},
    {"", false, NULL, NULL},
    {"nothing", false, NULL, NULL},
    {"a/b: 1", false, NULL, NULL},
    {" X: 1", false, NULL, NULL},
};

static void test_lines(void **state)
{
    char text[128];
    struct field_cut cut;

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(lines); i++) {
        struct str line = str_from(lines[i].line);
        memcpy(text, line.ptr, line.len);
        for (int follows = 0; follows < 2; follows++) { /* the last of the bytes, and not */
            strcpy(text + line.len, follows ? "\r\nY: 1\r\n\r\n" : "\r\n");
            const char *wrong = field_cut(str_from(text), lines[i].gaps, &cut);
            assert_int_equal(wrong == NULL, lines[i].name != NULL);
            if (wrong != NULL)
                continue;
            assert_true(str_eq(cut.name, str_from(lines[i].name)));
            assert_true(str_eq(cut.value, str_from(lines[i].value)));
            assert_int_equal(cut.line.len, line.len + 2);
            assert_int_equal(cut.gap > 0, lines[i].gaps);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_names_in_any_case),
        cmocka_unit_test(test_nearly_known_names),
        cmocka_unit_test(test_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
