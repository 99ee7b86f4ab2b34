/* Text to numbers and back. */
#include "base/units.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/clock.h"

static void test_durations(void **state)
{
    static const struct {
        const char *text;
        int64_t ns; /* -1: refused */
    } rows[] = {
        {"250ms", 250 * NS_PER_MS},
        {"10s", 10 * NS_PER_SEC},
        {"5m", 5 * NS_PER_MIN},
        {"1h", NS_PER_HOUR},
        {"1m30s", 90 * NS_PER_SEC},
        {"2d", 48 * NS_PER_HOUR},
        {"1.5s", 1500 * NS_PER_MS},
        {"0", 0},
        {"0s", 0},
        {"7us", 7000},
        {"7ns", 7},
        {"1h0.5m", NS_PER_HOUR + 30 * NS_PER_SEC},
        {"100000d", INT64_C(8640000000000000000)},
        {"", -1},
        {"10", -1},
        {"s", -1},
        {"-1s", -1},
        {"+1s", -1},
        {"1 s", -1},
        {" 1s", -1},
        {"1s ", -1},
        {"30s1m", -1},
        {"1s1s", -1},
        {"1.s", -1},
        {".5s", -1},
        {"1.2.3s", -1},
        {"1e3s", -1},
        {"1S", -1},
        {"1w", -1},
        {"5 parsecs", -1},
        {"1000000d", -1},
        {"9999999999999999999s", -1},
        {"nan", -1},
        {"0x1s", -1},
        {"00", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        int64_t ns = 42;
        bool ok = units_parse_duration(str_from(rows[i].text), &ns);
        if (ok != (rows[i].ns >= 0) || ns != (ok ? rows[i].ns : 42))
            fail_msg("\"%s\" gives %d, %lld", rows[i].text, ok, (long long)ns);
    }
}

static void test_durations_print_as_people_write_them(void **state)
{
    static const struct {
        int64_t ns;
        const char *text;
    } rows[] = {
        {0, "0s"},
        {1, "1ns"},
        {999, "999ns"},
        {1500, "1.5us"},
        {12340, "12.3us"},
        {999499, "999us"},
        {999600, "1ms"}, /* never 1000us */
        {250 * NS_PER_MS, "250ms"},
        {9996000, "10ms"},
        {4250000, "4.25ms"},
        {999499999, "999ms"},
        {999700000, "1s"},
        {1500 * NS_PER_MS, "1.5s"},
        {4200 * NS_PER_MS, "4.2s"},
        {10 * NS_PER_SEC, "10s"},
        {90 * NS_PER_SEC, "1m30s"},
        {10 * NS_PER_MIN, "10m"},
        {NS_PER_HOUR, "1h"},
        {25 * NS_PER_HOUR, "1d1h"},
        {59999700000, "1m"},
        {-90 * NS_PER_SEC, "-1m30s"},
        {INT64_MAX, "106751d23h47m16.855s"},
        {INT64_MIN, "-106751d23h47m16.855s"},
    };
    char to[UNITS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(units_duration_text(rows[i].ns, to), rows[i].text);
}

/* What is printed reads as the same, for every whole number of milliseconds. */
static void test_printed_durations_read_back(void **state)
{
    char to[UNITS_TEXT_MAX];

    (void)state;
    for (int64_t ms = 1; ms < INT64_C(1000000000000); ms = ms * 3 + 7) {
        int64_t ns;
        assert_true(units_parse_duration(str_from(units_duration_text(ms * NS_PER_MS, to)), &ns));
        assert_true(ns == ms * NS_PER_MS);
    }
}

static void test_sizes(void **state)
{
    static const struct {
        const char *text;
        int64_t bytes; /* -1: refused */
    } rows[] = {
        {"0", 0},         {"512", 512},        {"512B", 512},
        {"64KiB", 65536}, {"10MiB", 10485760}, {"1GiB", 1 << 30},
        {"64KB", 64000},  {"10MB", 10000000},  {"1GB", 1000000000},
        {"1.5KiB", 1536}, {"0.5B", -1},        {"", -1},
        {"KiB", -1},      {"-1", -1},          {"1 KiB", -1},
        {"1kib", -1},     {"1TiB", -1},        {"10000000GiB", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        uint64_t bytes = 42;
        bool ok = units_parse_size(str_from(rows[i].text), &bytes);
        if (ok != (rows[i].bytes >= 0) || bytes != (ok ? (uint64_t)rows[i].bytes : 42))
            fail_msg("\"%s\" gives %d, %llu", rows[i].text, ok, (unsigned long long)bytes);
    }
}

static void test_sizes_print(void **state)
{
    static const struct {
        uint64_t bytes;
        const char *text;
    } rows[] = {
        {0, "0B"},
        {1023, "1023B"},
        {1024, "1KiB"},
        {65536, "64KiB"},
        {1536, "1.5KiB"},
        {UINT64_C(1) << 30, "1GiB"},
        {UINT64_C(1) << 50, "1024TiB"},
    };
    char to[UNITS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(units_size_text(rows[i].bytes, to), rows[i].text);
}

static void test_shares(void **state)
{
    static const struct {
        const char *text;
        double share; /* -1: refused */
    } rows[] = {
        {"1%", 0.01}, {"0.1%", 0.001}, {"0.01", 0.01},   {"100%", 1},      {"1", 1},
        {"0", 0},     {"0%", 0},       {"99.9%", 0.999}, {"0.999", 0.999}, {"101%", -1},
        {"1.1", -1},  {"-1%", -1},     {"1 %", -1},      {"%", -1},        {"", -1},
        {"1%%", -1},  {"1e-2", -1},    {".5", -1},       {"1,5%", -1},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++) {
        double share = 42;
        bool ok = units_parse_share(str_from(rows[i].text), &share);
        double error = share - (ok ? rows[i].share : 42);
        if (ok != (rows[i].share >= 0) || error > 1e-15 || error < -1e-15)
            fail_msg("\"%s\" gives %d, %.17g", rows[i].text, ok, share);
    }
}

static void test_shares_print(void **state)
{
    static const struct {
        double share;
        const char *text;
    } rows[] = {
        {0, "0%"},          {1, "100%"},          {0.005, "0.5%"},
        {0.123, "12.3%"},   {0.01, "1%"},         {0.000012, "0.0012%"},
        {0.3333, "33.33%"}, {0.123456, "12.35%"}, {1e-15, "0%"},
    };
    char to[UNITS_TEXT_MAX];

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_string_equal(units_share_text(rows[i].share, to), rows[i].text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_durations),
        cmocka_unit_test(test_durations_print_as_people_write_them),
        cmocka_unit_test(test_printed_durations_read_back),
        cmocka_unit_test(test_sizes),
        cmocka_unit_test(test_sizes_print),
        cmocka_unit_test(test_shares),
        cmocka_unit_test(test_shares_print),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
