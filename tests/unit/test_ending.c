#include "server/ending.h"

#include <setjmp.h>
#include <stdarg.h>

#include <cmocka.h>

static void all_sessions_are_due_when_the_window_is_over(void **state)
{
    (void)state;
    assert_int_equal(ending_share(7, 0, 0, 0), 7);
    assert_int_equal(ending_share(7, 20, 20, 0), 7);
    assert_int_equal(ending_share(7, 30, 20, 0), 7);
}

static void no_time_closes_nobody(void **state)
{
    (void)state;
    assert_int_equal(ending_share(1000, 0, 5000, 0), 0);
    assert_int_equal(ending_share(0, 20, 5000, 0), 0);
}

static void the_whole_part_of_the_share_is_sure_and_the_dice_decide_about_the_rest(void **state)
{
    uint32_t more = 0;
    (void)state;

    assert_int_equal(ending_share(1000, 20, 5000, 1234), 4);
    for (uint32_t dice = 0; dice < 5000; dice++) {
        uint32_t share = ending_share(1100, 20, 5000, dice); /* 4.4 */

        assert_in_range(share, 4, 5);
        more += share - 4;
    }
    assert_int_equal(more, 2000);
}

static void shares_of_many_sessions_and_long_windows_do_not_overflow(void **state)
{
    (void)state;
    assert_int_equal(ending_share(UINT32_MAX, UINT64_C(1) << 30, UINT64_C(1) << 31, 0),
                     UINT32_MAX / 2 + 1);
    assert_int_equal(ending_share(10, UINT64_C(1) << 30, UINT64_C(1) << 31, 0), 5);
}

static void a_window_of_ticks_closes_every_session_once(void **state)
{
    uint32_t sessions = 1000;
    uint32_t first_half = 0;
    uint32_t dice = 1;
    (void)state;

    for (uint64_t left = 5000; left > 0; left -= 20) {
        uint32_t share;

        dice = dice * 1664525 + 1013904223;
        share = ending_share(sessions, left > 20 ? 20 : left, left, dice >> 8);
        assert_true(share <= sessions);
        sessions -= share;
        first_half += left > 2500 ? share : 0;
    }
    assert_int_equal(sessions, 0);
    assert_in_range(first_half, 400, 600);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_sessions_are_due_when_the_window_is_over),
        cmocka_unit_test(no_time_closes_nobody),
        cmocka_unit_test(
            the_whole_part_of_the_share_is_sure_and_the_dice_decide_about_the_rest),
        cmocka_unit_test(shares_of_many_sessions_and_long_windows_do_not_overflow),
        cmocka_unit_test(a_window_of_ticks_closes_every_session_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
