#include "base/timer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct timer_wheel wheel;
static int fired;

static void count(struct timer *timer)
{
    assert_int_equal(timer->due_ms, wheel.now_ms);
    fired++;
}

static int prepare(void **state)
{
    (void)state;
    timer_wheel_init(&wheel, 1000);
    fired = 0;
    return 0;
}

/* Both sides of each level's border. */
static void fires_exactly_when_due(void **state)
{
    static const uint64_t delays[] = {1,     2,     255,      256,      257,     511,
                                      65535, 65536, 16777215, 16777216, 20000000};
    (void)state;

    for (size_t i = 0; i < sizeof(delays) / sizeof(delays[0]); i++) {
        struct timer timer;
        timer_init(&timer, count);
        timer_start(&wheel, &timer, delays[i]);
        fired = 0;
        timer_wheel_advance(&wheel, wheel.now_ms + delays[i] - 1);
        assert_int_equal(fired, 0);
        assert_true(timer_running(&timer));
        timer_wheel_advance(&wheel, wheel.now_ms + 1);
        assert_int_equal(fired, 1);
        assert_false(timer_running(&timer));
    }
}

static void waiting_never_oversleeps_a_timer(void **state)
{
    enum { TIMERS = 500 };
    static struct timer timers[TIMERS];
    uint32_t random = 7;
    (void)state;

    for (int i = 0; i < TIMERS; i++) {
        random = random * 1664525 + 1013904223;
        timer_init(&timers[i], count);
        timer_start(&wheel, &timers[i], random >> 12);
    }
    for (int i = 0; i < TIMERS; i += 3)
        timer_stop(&wheel, &timers[i]);
    while (timer_wheel_wait(&wheel) >= 0) {
        uint64_t until = wheel.now_ms + (uint64_t)timer_wheel_wait(&wheel);
        for (int i = 0; i < TIMERS; i++)
            assert_true(!timer_running(&timers[i]) || timers[i].due_ms >= until);
        timer_wheel_advance(&wheel, until);
    }
    assert_int_equal(fired, TIMERS - (TIMERS + 2) / 3);
}

static struct timer other;

static void stop_other(struct timer *timer)
{
    (void)timer;
    timer_stop(&wheel, &other);
}

static void a_timer_may_stop_another_that_is_due(void **state)
{
    struct timer timer;
    (void)state;

    timer_init(&timer, stop_other);
    timer_init(&other, count);
    timer_start(&wheel, &timer, 5);
    timer_start(&wheel, &other, 5);
    timer_wheel_advance(&wheel, wheel.now_ms + 10);
    assert_int_equal(fired, 0);
    assert_int_equal(timer_wheel_wait(&wheel), -1);
}

static void again_at_once(struct timer *timer)
{
    fired++;
    timer_start(&wheel, timer, 0);
}

static void a_delay_of_zero_waits_for_the_next_advance(void **state)
{
    struct timer timer;
    (void)state;

    timer_init(&timer, again_at_once);
    timer_start(&wheel, &timer, 0);
    timer_wheel_advance(&wheel, wheel.now_ms);
    assert_int_equal(fired, 0);
    timer_wheel_advance(&wheel, wheel.now_ms + 3);
    assert_int_equal(fired, 1);
    timer_wheel_advance(&wheel, wheel.now_ms + 1);
    assert_int_equal(fired, 2);
    timer_stop(&wheel, &timer);
}

static void starting_again_moves_a_timer(void **state)
{
    struct timer timer;
    (void)state;

    timer_init(&timer, count);
    timer_start(&wheel, &timer, 10);
    timer_start(&wheel, &timer, 300);
    timer_wheel_advance(&wheel, wheel.now_ms + 299);
    assert_int_equal(fired, 0);
    timer_wheel_advance(&wheel, wheel.now_ms + 1);
    assert_int_equal(fired, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(fires_exactly_when_due, prepare),
        cmocka_unit_test_setup(waiting_never_oversleeps_a_timer, prepare),
        cmocka_unit_test_setup(a_timer_may_stop_another_that_is_due, prepare),
        cmocka_unit_test_setup(a_delay_of_zero_waits_for_the_next_advance, prepare),
        cmocka_unit_test_setup(starting_again_moves_a_timer, prepare),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
