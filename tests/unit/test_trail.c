#include "cluster/trail.h"

#include "socketio/socketio.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    RETENTION_MS = 1000,
    NAME_MAX = 100,
};

/* A trail that has heard the fingerprints; an anchor is a fingerprint below 100. */
static struct trail *trail_of(const uint64_t *fingerprints, size_t count)
{
    struct trail *trail = trail_new(RETENTION_MS);

    for (size_t i = 0; i < count; i++) {
        trail_heard(trail, fingerprints[i], 10 * (i + 1), 0);
        if (fingerprints[i] < 100)
            trail_anchor(trail, fingerprints[i]);
    }
    return trail;
}

static void name_of(const struct trail *trail, uint64_t index, struct buf *name)
{
    buf_init(name, NAME_MAX);
    trail_write(trail, index, name);
    assert_false(buf_failed(name));
}

static enum trail_found find_at(const struct trail *there, uint64_t place,
                                const struct trail *here, uint64_t now_ms, uint64_t *index,
                                uint64_t *covered)
{
    struct buf name;
    enum trail_found found;

    name_of(there, place, &name);
    found = trail_find(here, buf_str(&name), now_ms, index, covered);
    buf_free(&name);
    return found;
}

static void a_place_is_found_where_the_same_was_heard_from_an_anchor_on(void **state)
{
    const uint64_t all[] = {500, 7, 501, 502, 503};
    struct trail *a = trail_of(all, 5), *b = trail_of(all + 1, 4);
    uint64_t index, covered;
    (void)state;

    assert_int_equal(find_at(a, 4, b, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(index, 3);
    assert_int_equal(covered, 30);
    assert_int_equal(find_at(a, 2, b, 0, &index, &covered),
                     TRAIL_FOUND); /* the anchor itself */
    assert_int_equal(index, 1);
    assert_int_equal(find_at(b, 4, a, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(index, 5);
    trail_free(a);
    trail_free(b);
}

static void before_the_first_anchor_places_have_no_names(void **state)
{
    const uint64_t heard[] = {500, 7};
    struct trail *trail = trail_of(heard, 2);
    struct buf name;
    (void)state;

    name_of(trail, 1, &name);
    assert_int_equal(name.size, 0);
    buf_free(&name);
    trail_free(trail);
}

static void
who_missed_a_message_or_heard_another_order_does_not_find_places_behind_it(void **state)
{
    const uint64_t all[] = {7, 501, 502, 503}, missed[] = {7, 501, 503, 504},
                   turned[] = {7, 502, 501, 503};
    struct trail *a = trail_of(all, 4), *b = trail_of(missed, 4), *c = trail_of(turned, 4);
    uint64_t index, covered;
    (void)state;

    assert_int_equal(find_at(a, 2, b, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(find_at(a, 3, b, 0, &index, &covered), TRAIL_UNKNOWN);
    assert_int_equal(find_at(a, 4, b, 0, &index, &covered), TRAIL_UNKNOWN);
    assert_int_equal(find_at(a, 2, c, 0, &index, &covered), TRAIL_UNKNOWN);
    assert_int_equal(find_at(a, 4, c, 0, &index, &covered), TRAIL_UNKNOWN);
    trail_free(a);
    trail_free(b);
    trail_free(c);
}

static void who_has_heard_less_so_far_is_told_to_wait(void **state)
{
    const uint64_t all[] = {7, 501, 502};
    struct trail *a = trail_of(all, 3), *b = trail_of(all, 2);
    uint64_t index, covered;
    (void)state;

    assert_int_equal(find_at(a, 3, b, 0, &index, &covered), TRAIL_AHEAD);
    trail_heard(b, 502, 0, 0);
    assert_int_equal(find_at(a, 3, b, 0, &index, &covered), TRAIL_FOUND);
    trail_free(a);
    trail_free(b);
}

static void
places_are_named_by_the_latest_anchor_which_servers_that_came_later_know(void **state)
{
    const uint64_t all[] = {7, 501, 8, 502};
    struct trail *a = trail_of(all, 4), *late = trail_of(all + 2, 2);
    uint64_t index, covered;
    (void)state;

    assert_int_equal(find_at(a, 2, late, 0, &index, &covered), TRAIL_UNKNOWN);
    assert_int_equal(find_at(a, 3, late, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(find_at(a, 4, late, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(index, 2);
    trail_free(a);
    trail_free(late);
}

static void after_a_gap_nothing_from_before_is_found(void **state)
{
    const uint64_t all[] = {7, 501};
    struct trail *a = trail_of(all, 2), *b = trail_of(all, 2);
    uint64_t index, covered;
    (void)state;

    trail_gap(b);
    assert_false(trail_is_anchored(b));
    assert_int_equal(find_at(a, 2, b, 0, &index, &covered), TRAIL_UNKNOWN);
    trail_heard(a, 9, 0, 0);
    trail_anchor(a, 9);
    trail_heard(b, 9, 0, 0);
    trail_anchor(b, 9);
    assert_int_equal(find_at(a, 3, b, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(index, trail_last(b));
    trail_free(a);
    trail_free(b);
}

static void what_is_forgotten_for_its_age_is_found_without_a_check(void **state)
{
    const uint64_t all[] = {7, 501, 502};
    struct trail *a = trail_of(all, 3), *b = trail_of(all, 3);
    uint64_t index, covered;
    (void)state;

    trail_heard(b, 503, 99, RETENTION_MS + 1); /* forgets what was heard at 0 */
    assert_int_equal(find_at(a, 2, b, RETENTION_MS + 1, &index, &covered), TRAIL_FOUND);
    assert_int_equal(index, 2);
    assert_int_equal(covered, 0);
    /* And its own name has no check then. */
    assert_int_equal(find_at(b, 2, a, RETENTION_MS + 1, &index, &covered), TRAIL_FOUND);
    assert_int_equal(index, 2);
    trail_free(a);
    trail_free(b);
}

static void what_is_forgotten_for_room_is_not_found_while_it_is_young(void **state)
{
    const uint64_t all[] = {7, 501, 502};
    struct trail *a = trail_of(all, 3), *b = trail_of(all, 3);
    uint64_t index, covered;
    (void)state;

    for (int i = 0; i < TRAIL_STEPS_MAX; i++)
        trail_heard(b, 1000, 0, 0);
    assert_int_equal(find_at(a, 2, b, 0, &index, &covered), TRAIL_UNKNOWN);
    assert_int_equal(find_at(a, 2, b, RETENTION_MS, &index, &covered), TRAIL_FOUND);
    trail_free(a);
    trail_free(b);
}

static void of_many_anchors_the_newest_are_remembered(void **state)
{
    struct trail *a = trail_new(RETENTION_MS), *b = trail_new(RETENTION_MS);
    uint64_t index, covered;
    struct buf first;
    (void)state;

    for (uint64_t name = 1; name <= TRAIL_ANCHORS + 1; name++) {
        trail_heard(a, name, 0, 0);
        trail_anchor(a, name);
        if (name == 1)
            name_of(a, 1, &first);
        trail_heard(b, name, 0, 0);
        trail_anchor(b, name);
    }
    assert_int_equal(trail_find(b, buf_str(&first), 0, &index, &covered), TRAIL_UNKNOWN);
    assert_int_equal(find_at(a, 2, b, 0, &index, &covered), TRAIL_FOUND);
    assert_int_equal(find_at(a, TRAIL_ANCHORS + 1, b, 0, &index, &covered), TRAIL_FOUND);
    buf_free(&first);
    trail_free(a);
    trail_free(b);
}

static void names_that_are_none_are_unknown(void **state)
{
    static const char *const names[] = {"",
                                        ".",
                                        "H",
                                        "H.",
                                        "H.B.!",
                                        "H.!.B",
                                        "!.B.B",
                                        "H.-1.AAAA",
                                        "a.b.c.d",
                                        "H.B.",
                                        "H..",
                                        "H.B.A.A",
                                        "H.AAAAAAAAAAAAAAAAAAAA"};
    const uint64_t all[] = {7, 501};
    struct trail *trail = trail_of(all, 2);
    uint64_t index, covered;
    (void)state;

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        if (strcmp(names[i], "H.B.") != 0) /* a place without a check, which is there */
            assert_int_not_equal(trail_find(trail, str_from(names[i]), 0, &index, &covered),
                                 TRAIL_FOUND);
    }
    trail_free(trail);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_place_is_found_where_the_same_was_heard_from_an_anchor_on),
        cmocka_unit_test(before_the_first_anchor_places_have_no_names),
        cmocka_unit_test(
            who_missed_a_message_or_heard_another_order_does_not_find_places_behind_it),
        cmocka_unit_test(who_has_heard_less_so_far_is_told_to_wait),
        cmocka_unit_test(
            places_are_named_by_the_latest_anchor_which_servers_that_came_later_know),
        cmocka_unit_test(after_a_gap_nothing_from_before_is_found),
        cmocka_unit_test(what_is_forgotten_for_its_age_is_found_without_a_check),
        cmocka_unit_test(what_is_forgotten_for_room_is_not_found_while_it_is_young),
        cmocka_unit_test(of_many_anchors_the_newest_are_remembered),
        cmocka_unit_test(names_that_are_none_are_unknown),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
