/* The checksum gives the values that its standard lists. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/crc32c.h"

static void test_known_values(void **state)
{
    char zeros[32] = {0}, ones[32], rising[32];

    (void)state;
    memset(ones, 0xff, sizeof(ones));
    for (int i = 0; i < 32; i++)
        rising[i] = (char)i;
    assert_int_equal(crc32c(0, STR("123456789")), 0xe3069283);
    assert_int_equal(crc32c(0, (struct str){zeros, 32}), 0x8a9136aa);
    assert_int_equal(crc32c(0, (struct str){ones, 32}), 0x62a8ab43);
    assert_int_equal(crc32c(0, (struct str){rising, 32}), 0x46dd794e);
    assert_int_equal(crc32c(0, STR("")), 0);
}

static void test_pieces_are_the_whole(void **state)
{
    (void)state;
    for (size_t cut = 0; cut <= 9; cut++) {
        struct str all = STR("123456789");
        uint32_t crc = crc32c(0, (struct str){all.ptr, cut});
        assert_int_equal(crc32c(crc, (struct str){all.ptr + cut, 9 - cut}), 0xe3069283);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_known_values),
        cmocka_unit_test(test_pieces_are_the_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
