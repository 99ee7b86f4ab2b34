/* SipHash-2-4 against the values of its authors. */
#include "base/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/check.h"

/* Keys 00..0f, messages 00, 00 01, ...: the first and some later rows of the reference vectors. */
static void test_reference_vectors(void **state)
{
    static const struct {
        size_t length;
        uint64_t hash;
    } rows[] = {
        {0, UINT64_C(0x726fdb47dd0e0e31)},  {1, UINT64_C(0x74f839c593dc67fd)},
        {7, UINT64_C(0xab0200f58b01d137)},  {8, UINT64_C(0x93f5f5799a932462)},
        {15, UINT64_C(0xa129ca6149be45e5)}, {16, UINT64_C(0x3f2acc7f57c29bdb)},
    };
    char message[16];

    (void)state;
    for (size_t i = 0; i < sizeof(message); i++)
        message[i] = (char)i;
    for (size_t i = 0; i < ARRAY_LEN(rows); i++)
        assert_true(hash_siphash((struct str){message, rows[i].length},
                                 UINT64_C(0x0706050403020100),
                                 UINT64_C(0x0f0e0d0c0b0a0908)) == rows[i].hash);
}

static void test_fnv(void **state)
{
    (void)state;
    assert_true(hash_fnv1a(STR("")) == UINT64_C(0xcbf29ce484222325));
    assert_true(hash_fnv1a(STR("a")) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(hash_fnv1a(STR("foobar")) == UINT64_C(0x85944171f73967e8));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_reference_vectors),
        cmocka_unit_test(test_fnv),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
