#include "base/map.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>

#include <cmocka.h>

enum {
    KEYS = 3000,
};

static char values[KEYS];

/* Short keys lie in the entry, long ones are allocated. */
static struct str key_of(int index, char room[64])
{
    snprintf(room, 64, index % 3 ? "key%d" : "a-key-that-does-not-fit-into-the-entry-%d",
             index);
    return str_from(room);
}

static void finds_what_was_put_and_nothing_else(void **state)
{
    struct map map;
    char room[64];
    (void)state;

    map_init(&map);
    assert_null(map_get(&map, STR("nothing")));
    for (int i = 0; i < KEYS; i++) {
        assert_true(map_put(&map, key_of(i, room), &values[i]));
        assert_int_equal(map_size(&map), i + 1);
    }
    for (int i = 0; i < KEYS; i++)
        assert_ptr_equal(map_get(&map, key_of(i, room)), &values[i]);
    assert_null(map_get(&map, STR("nothing")));
    map_free(&map);
}

static void put_replaces_and_remove_returns_the_value(void **state)
{
    struct map map;
    (void)state;

    map_init(&map);
    map_put(&map, STR("a"), &values[0]);
    map_put(&map, STR("a"), &values[1]);
    assert_int_equal(map_size(&map), 1);
    assert_ptr_equal(map_remove(&map, STR("a")), &values[1]);
    assert_null(map_remove(&map, STR("a")));
    assert_int_equal(map_size(&map), 0);
    map_free(&map);
}

/* Removals leave holes that growth closes: a long run of both must lose nothing. */
static void survives_any_mix_of_puts_and_removes(void **state)
{
    static bool in[KEYS];
    struct map map;
    char room[64];
    uint32_t random = 1;
    (void)state;

    map_init(&map);
    for (int round = 0; round < 200000; round++) {
        random = random * 1664525 + 1013904223;
        int index = (int)(random >> 8) % KEYS;
        struct str key = key_of(index, room);
        if (random >> 31)
            assert_true(map_put(&map, key, &values[index]));
        else
            assert_int_equal(map_remove(&map, key) != NULL, in[index]);
        in[index] = random >> 31;
    }
    for (int i = 0; i < KEYS; i++)
        assert_int_equal(map_get(&map, key_of(i, room)) != NULL, in[i]);
    map_free(&map);
}

static void iterates_in_the_order_of_insertion(void **state)
{
    struct map map;
    char room[64];
    uint32_t cursor = 0;
    void *value;
    struct str key;
    (void)state;

    map_init(&map);
    for (int i = 0; i < KEYS; i++)
        map_put(&map, key_of(i, room), &values[i]);
    for (int i = 0; i < KEYS; i += 2)
        map_remove(&map, key_of(i, room));
    for (int i = 1; i < KEYS; i += 2) {
        assert_true(map_next(&map, &cursor, &key, &value));
        assert_ptr_equal(value, &values[i]);
        assert_true(str_equal(key, key_of(i, room)));
    }
    assert_false(map_next(&map, &cursor, &key, &value));
    map_free(&map);
}

static void iteration_survives_adding_and_removing(void **state)
{
    struct map map;
    char room[64];
    uint32_t cursor = 0;
    void *value;
    int visited = 0;
    (void)state;

    map_init(&map);
    for (int i = 0; i < 100; i++)
        map_put(&map, key_of(i, room), &values[i]);
    while (map_next(&map, &cursor, NULL, &value)) {
        int index = (int)((char *)value - values);
        visited++;
        map_remove(&map, key_of(index, room));
        if (index < 100) /* an added key is visited too; it adds no more */
            assert_true(map_put(&map, key_of(index + 100, room), &values[index + 100]));
    }
    assert_int_equal(visited, 200);
    assert_int_equal(map_size(&map), 0);
    map_free(&map);
}

static void any_value_may_be_picked_and_no_removed_one(void **state)
{
    struct map map;
    char room[64];
    bool picked[20] = {false};
    (void)state;

    map_init(&map);
    assert_null(map_pick(&map, 7));
    for (int i = 0; i < 20; i++)
        map_put(&map, key_of(i, room), &values[i]);
    for (int i = 10; i < 20; i++)
        map_remove(&map, key_of(i, room));
    for (uint32_t number = 0; number < 1000; number++) {
        void *value = map_pick(&map, number * UINT32_C(2654435761));

        assert_non_null(value);
        picked[(char *)value - values] = true;
    }
    for (int i = 0; i < 20; i++)
        assert_int_equal(picked[i], i < 10);
    map_free(&map);
}

static void an_empty_map_holds_no_memory(void **state)
{
    struct map map;
    (void)state;

    map_init(&map);
    map_put(&map, STR("a"), &values[0]);
    map_remove(&map, STR("a"));
    assert_null(map.entries);
    assert_null(map.slots);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_what_was_put_and_nothing_else),
        cmocka_unit_test(put_replaces_and_remove_returns_the_value),
        cmocka_unit_test(survives_any_mix_of_puts_and_removes),
        cmocka_unit_test(iterates_in_the_order_of_insertion),
        cmocka_unit_test(iteration_survives_adding_and_removing),
        cmocka_unit_test(any_value_may_be_picked_and_no_removed_one),
        cmocka_unit_test(an_empty_map_holds_no_memory),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
