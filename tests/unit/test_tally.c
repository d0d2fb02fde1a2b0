#include "net/tally.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct tally_address *begin(struct tally *tally, const char *address)
{
    tally_begin(tally);
    struct tally_address *counted = tally_address_begin(tally, str_from(address));
    if (!counted)
        tally_end(tally);
    return counted;
}

static void addresses_are_limited_each_for_itself(void **state)
{
    struct tally *tally = tally_new(2);
    struct tally_address *a, *b, *c;
    (void)state;

    assert_true(tally_counts_addresses(tally));
    a = begin(tally, "10.0.0.1");
    b = begin(tally, "10.0.0.1");
    c = begin(tally, "10.0.0.2");
    assert_non_null(a);
    assert_ptr_equal(a, b);
    assert_non_null(c);
    assert_null(begin(tally, "10.0.0.1"));
    assert_int_equal(tally_connections(tally), 3);
    tally_address_end(a);
    a = begin(tally, "10.0.0.1");
    assert_non_null(a);
    assert_null(begin(tally, "10.0.0.1"));
    tally_address_end(a);
    tally_address_end(b);
    tally_address_end(c);
    assert_int_equal(tally_connections(tally), 0);
    tally_leave(tally);
}

static void tallies_of_one_sum_are_limited_together(void **state)
{
    struct tally_sum *sum = tally_sum_new(2);
    struct tally *one = tally_new_of(sum), *other = tally_new_of(sum);
    struct tally_address *a, *b;
    (void)state;

    tally_sum_unref(sum);
    a = begin(one, "10.0.0.1");
    b = begin(other, "10.0.0.1");
    assert_non_null(a);
    assert_non_null(b);
    assert_null(begin(one, "10.0.0.1"));
    assert_null(begin(other, "10.0.0.1"));
    assert_int_equal(tally_connections(one), 1);
    assert_int_equal(tally_all_connections(one), 2);
    tally_address_end(a);
    tally_address_end(b);
    b = begin(one, "10.0.0.1");
    assert_non_null(b);
    tally_address_end(b);
    assert_int_equal(tally_all_connections(other), 0);
    tally_leave(one);
    tally_leave(other);
}

static void connections_without_an_address_count_in_all_only(void **state)
{
    struct tally *tally = tally_new(0);
    (void)state;

    assert_false(tally_counts_addresses(tally));
    tally_begin(tally);
    tally_begin(tally);
    assert_int_equal(tally_connections(tally), 2);
    tally_end(tally);
    assert_int_equal(tally_take_most(tally), 2);
    assert_int_equal(tally_take_most(tally), 1);
    tally_end(tally);
    tally_leave(tally);
}

/* The leak checker sees a tally that stays. */
static void the_last_connection_frees_what_the_server_left(void **state)
{
    struct tally *tally = tally_new(1);
    struct tally_address *a = begin(tally, "::1");
    (void)state;

    tally_begin(tally);
    tally_leave(tally);
    tally_address_end(a);
    assert_int_equal(tally_connections(tally), 1);
    tally_end(tally);
}

static void many_addresses_come_and_go(void **state)
{
    enum { ADDRESSES = 1000 };
    struct tally_address *all[ADDRESSES];
    struct tally *tally = tally_new(1);
    char name[32];
    (void)state;

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < ADDRESSES; i++) {
            snprintf(name, sizeof(name), "10.0.%d.%d", i / 256, i % 256);
            all[i] = begin(tally, name);
            assert_non_null(all[i]);
            assert_null(begin(tally, name));
        }
        for (int i = 0; i < ADDRESSES; i++)
            tally_address_end(all[i]);
    }
    tally_leave(tally);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_limited_each_for_itself),
        cmocka_unit_test(tallies_of_one_sum_are_limited_together),
        cmocka_unit_test(connections_without_an_address_count_in_all_only),
        cmocka_unit_test(the_last_connection_frees_what_the_server_left),
        cmocka_unit_test(many_addresses_come_and_go),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
