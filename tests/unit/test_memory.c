/*
 * The release binary's own memcpy and memmove, compiled in under other names: the sanitizer build
 * has the library's.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#undef __GLIBC__
#define memcpy tested_memcpy
#define memmove tested_memmove
#include "../../src/base/memory.c"
#undef memcpy
#undef memmove

enum {
    SIZES = 700, /* past every border in the code */
    GUARD = 32,
};

static void copies_every_size_and_nothing_around(void **state)
{
    static char from[SIZES + 2 * GUARD], to[SIZES + 2 * GUARD], expected[SIZES + 2 * GUARD];
    (void)state;

    for (size_t i = 0; i < sizeof(from); i++)
        from[i] = (char)(i * 31 + 7);
    for (size_t size = 0; size < SIZES; size++) {
        memset(to, '#', sizeof(to));
        memset(expected, '#', sizeof(expected));
        for (size_t i = 0; i < size; i++)
            expected[GUARD + i] = from[3 + i];
        assert_ptr_equal(tested_memcpy(to + GUARD, from + 3, size), to + GUARD);
        assert_memory_equal(to, expected, sizeof(to));
    }
}

static void moves_over_itself_both_ways_by_any_distance(void **state)
{
    char bytes[200], expected[200];
    (void)state;

    for (int distance = -40; distance <= 40; distance++) {
        for (size_t size = 0; size < 100; size++) {
            for (size_t i = 0; i < sizeof(bytes); i++)
                bytes[i] = expected[i] = (char)i;
            for (size_t i = 0; i < size; i++)
                expected[50 + distance + (int)i] = (char)(50 + i);
            tested_memmove(bytes + 50 + distance, bytes + 50, size);
            assert_memory_equal(bytes, expected, sizeof(bytes));
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_every_size_and_nothing_around),
        cmocka_unit_test(moves_over_itself_both_ways_by_any_distance),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
