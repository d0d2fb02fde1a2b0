#include "base/hits.h"
#include "base/rate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

/* How many of `tries` at one moment are allowed. */
static unsigned allowed(uint64_t *state, uint32_t per_second, uint64_t now_ms, unsigned tries)
{
    unsigned count = 0;

    for (unsigned i = 0; i < tries; i++)
        count += rate_allows(state, per_second, now_ms);
    return count;
}

static void a_seconds_worth_may_come_at_once(void **state)
{
    static const uint32_t rates[] = {1, 2, 3, 7, 50, 999, 1000, 1001, 12345};
    (void)state;

    for (size_t i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
        uint64_t busy = 0;

        assert_int_equal(allowed(&busy, rates[i], 5000, rates[i]), rates[i]);
        assert_int_equal(allowed(&busy, rates[i], 5000, 1), 0);
    }
}

static void what_was_refused_does_not_count(void **state)
{
    uint64_t busy = 0;
    (void)state;

    assert_int_equal(allowed(&busy, 10, 1000, 1000000), 10);
    assert_int_equal(allowed(&busy, 10, 1099, 1), 0);
    assert_int_equal(allowed(&busy, 10, 1100, 10), 1);
    assert_int_equal(allowed(&busy, 10, 1300, 10), 2);
}

static void after_a_second_all_is_as_in_the_beginning(void **state)
{
    uint64_t busy = 0;
    (void)state;

    assert_int_equal(allowed(&busy, 10, 1000, 20), 10);
    assert_int_equal(allowed(&busy, 10, 2000, 20), 10);
    assert_int_equal(allowed(&busy, 10, 1000000, 20), 10);
}

static void an_even_flow_is_never_refused(void **state)
{
    uint64_t busy = 0;
    (void)state;

    for (uint64_t now_ms = 1; now_ms < 100000; now_ms += 10)
        assert_int_equal(allowed(&busy, 100, now_ms, 1), 1);
}

static void the_largest_rate_is_exact(void **state)
{
    uint64_t busy = 0;
    (void)state;

    assert_int_equal(allowed(&busy, RATE_MAX, 1000, RATE_MAX + 1), RATE_MAX);
    assert_int_equal(allowed(&busy, RATE_MAX, 1001, RATE_MAX), RATE_MAX / 1000);
}

static void hits_are_counted_and_logged_once_a_second(void **state)
{
    struct hits hits = {0};
    (void)state;

    assert_true(hits_note(&hits, HIT_EVENTS, 5));
    assert_false(hits_note(&hits, HIT_EVENTS, 6));
    assert_true(hits_note(&hits, HIT_PACKETS, 6));
    assert_false(hits_note(&hits, HIT_EVENTS, 5 + HITS_LOG_EVERY_MS - 1));
    assert_true(hits_note(&hits, HIT_EVENTS, 5 + HITS_LOG_EVERY_MS));
    assert_int_equal(hits.counts[HIT_EVENTS], 4);
    assert_int_equal(hits.counts[HIT_PACKETS], 1);
    assert_int_equal(hits.counts[HIT_PAYLOAD], 0);
}

static void without_a_counter_all_is_logged(void **state)
{
    (void)state;
    assert_true(hits_note(NULL, HIT_EVENTS, 5));
    assert_true(hits_note(NULL, HIT_EVENTS, 5));
}

static void every_limit_has_a_name_of_its_own(void **state)
{
    (void)state;
    for (int i = 0; i < HIT_KINDS; i++) {
        assert_non_null(hit_name((enum hit)i));
        for (int k = 0; k < i; k++)
            assert_string_not_equal(hit_name((enum hit)i), hit_name((enum hit)k));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_seconds_worth_may_come_at_once),
        cmocka_unit_test(what_was_refused_does_not_count),
        cmocka_unit_test(after_a_second_all_is_as_in_the_beginning),
        cmocka_unit_test(an_even_flow_is_never_refused),
        cmocka_unit_test(the_largest_rate_is_exact),
        cmocka_unit_test(hits_are_counted_and_logged_once_a_second),
        cmocka_unit_test(without_a_counter_all_is_logged),
        cmocka_unit_test(every_limit_has_a_name_of_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
