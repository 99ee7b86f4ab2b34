/* Numbers of any length come back; what is cut or too large is told. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"
#include "base/leb128.h"

static void test_there_and_back(void **state)
{
    char bytes[LEB128_BYTES_MAX];

    (void)state;
    for (unsigned bit = 0; bit < 64; bit++)
        for (int off = -1; off <= 1; off++) {
            uint64_t n = (UINT64_C(1) << bit) + (uint64_t)off, back = 0;
            size_t len = leb128_put(n, bytes);
            assert_true(len >= 1 && len <= LEB128_BYTES_MAX);
            assert_int_equal(leb128_get((struct str){bytes, len}, &back), len);
            assert_true(back == n);
            assert_int_equal(leb128_get((struct str){bytes, len - 1}, &back), 0);
        }
    assert_int_equal(leb128_put(UINT64_MAX, bytes), LEB128_BYTES_MAX);
}

static void test_what_was_written_elsewhere(void **state)
{
    static const struct {
        struct str bytes;
        size_t len; /* 0: refused */
        uint64_t n;
    } cases[] = {
        {{"", 0}, 0, 0},
        {{"\x80", 1}, 0, 0},
        {{"\x05rest", 5}, 1, 5},
        {{"\x85\x00", 2}, 2, 5}, /* longer than it needs */
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", 10}, 10, UINT64_MAX},
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02", 10}, 0, 0}, /* 65 bits */
        {{"\xff\xff\xff\xff\xff\xff\xff\xff\xff\x81\x00", 11}, 0, 0},
        {{"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x00", 11}, 0, 0},
    };

    (void)state;
    for (size_t i = 0; i < ARRAY_LEN(cases); i++) {
        uint64_t n = 0;
        assert_int_equal(leb128_get(cases[i].bytes, &n), cases[i].len);
        assert_true(cases[i].len == 0 || n == cases[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_there_and_back),
        cmocka_unit_test(test_what_was_written_elsewhere),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
