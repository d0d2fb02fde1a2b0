#include "json/tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static struct json_tree *parse(const char *text)
{
    struct json_tree *tree;

    assert_true(json_check(str_from(text)));
    tree = json_tree_parse(str_from(text));
    assert_non_null(tree);
    return tree;
}

static void assert_written(const struct json_tree *tree, const char *expected)
{
    struct buf text;

    buf_init(&text, SIZE_MAX);
    assert_true(json_tree_write(&text, tree));
    buf_add_byte(&text, '\0');
    assert_string_equal(text.at, expected);
    buf_free(&text);
}

static void assert_scalar(const struct json_tree *node, enum json_type type,
                          const char *expected)
{
    assert_non_null(node);
    assert_int_equal(json_tree_type(node), type);
    assert_true(str_equal(json_tree_scalar(node), str_from(expected)));
}

static void assert_order(const struct json_tree *object, const char *const *keys)
{
    struct str key;
    size_t i;

    for (i = 0; keys[i]; i++) {
        assert_non_null(json_tree_member_at(object, i, &key));
        assert_true(str_equal(key, str_from(keys[i])));
    }
    assert_int_equal(json_tree_count(object), i);
    assert_null(json_tree_member_at(object, i, &key));
}

/* --- reading --------------------------------------------------------------------------------- */

static void what_is_parsed_is_written_in_javascripts_spelling(void **state)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {" null ",                              "null"                              },
        {"true",                                "true"                              },
        {"false",                               "false"                             },
        {"-1.50",                               "-1.5"                              },
        {"1e400",                               "null"                              },
        {"9223372036854775807",                 "9223372036854775807"               },
        {"\"\\u0041\\/\\n\\ud800\"",            "\"A/\\n\\ud800\""                  },
        {"[ ]",                                 "[]"                                },
        {"{ }",                                 "{}"                                },
        {"[1, [2, {\"a\": []}], \"\"]",         "[1,[2,{\"a\":[]}],\"\"]"           },
        {"{\"a\": 1, \"\\u0061\": 2}",          "{\"a\":2}"                         },
        {"{\"a\":1,\"b\":[1],\"a\":{\"c\":3}}", "{\"a\":{\"c\":3},\"b\":[1]}"       },
        {"{\"b\":1,\"10\":2,\"2\":3,\"a\":4}",  "{\"2\":3,\"10\":2,\"b\":1,\"a\":4}"},
        {"{\"1\":1,\"1\":2}",                   "{\"1\":2}"                         },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_tree *tree = parse(cases[i].text);
        assert_written(tree, cases[i].written);
        json_tree_free(tree);
    }
}

static void keys_like_indices_come_first_ascending(void **state)
{
    static const char *const order[] = {
        "0", "7", "4294967294", "b", "4294967295", "01", "-1", "", "1.0", "42949672940", NULL};
    struct json_tree *tree =
        parse("{\"b\":1,\"4294967295\":1,\"4294967294\":1,\"01\":1,\"7\":1,"
              "\"-1\":1,\"\":1,\"0\":1,\"1.0\":1,\"42949672940\":1}");
    (void)state;

    assert_order(tree, order);
    json_tree_free(tree);
}

static void scalars_give_their_text(void **state)
{
    struct json_tree *tree = parse("[null,false,true,1.50,\"a\\\"\\u00e9\"]");
    (void)state;

    assert_int_equal(json_tree_type(tree), JSON_ARRAY);
    assert_int_equal(json_tree_count(tree), 5);
    assert_scalar(json_tree_element(tree, 0), JSON_NULL, "null");
    assert_scalar(json_tree_element(tree, 1), JSON_FALSE, "false");
    assert_scalar(json_tree_element(tree, 2), JSON_TRUE, "true");
    assert_scalar(json_tree_element(tree, 3), JSON_NUMBER, "1.5");
    assert_scalar(json_tree_element(tree, 4), JSON_STRING, "a\"\xc3\xa9");
    assert_int_equal(json_tree_count(json_tree_element(tree, 4)), 0);
    json_tree_free(tree);
}

static void what_is_not_there_is_null(void **state)
{
    struct json_tree *tree = parse("{\"a\":[1],\"b\":\"x\"}");
    struct json_tree *array = json_tree_member(tree, STR("a"));
    struct str key;
    (void)state;

    assert_null(json_tree_member(tree, STR("c")));
    assert_null(json_tree_element(tree, 0));
    assert_null(json_tree_element(array, 1));
    assert_null(json_tree_element(array, SIZE_MAX));
    assert_null(json_tree_member(array, STR("0")));
    assert_null(json_tree_member_at(array, 0, &key));
    assert_null(json_tree_member(json_tree_member(tree, STR("b")), STR("length")));
    json_tree_free(tree);
    json_tree_free(NULL);
}

/* --- changing -------------------------------------------------------------------------------- */

static void members_are_added_replaced_and_removed(void **state)
{
    struct json_tree *tree = json_tree_new_object();
    (void)state;

    assert_written(tree, "{}");
    assert_true(json_tree_set(tree, STR("b"), parse("1")));
    assert_true(json_tree_set(tree, STR("a"), parse("[2]")));
    assert_true(json_tree_set(tree, STR("5"), parse("3")));
    assert_true(json_tree_set(tree, STR("0"), parse("4")));
    assert_written(tree, "{\"0\":4,\"5\":3,\"b\":1,\"a\":[2]}");
    assert_true(json_tree_set(tree, STR("b"), parse("{\"c\":5}")));
    assert_true(json_tree_set(tree, STR("5"), parse("6")));
    assert_written(tree, "{\"0\":4,\"5\":6,\"b\":{\"c\":5},\"a\":[2]}");
    assert_true(json_tree_set(tree, STR("0"), NULL));
    assert_true(json_tree_set(tree, STR("b"), NULL));
    assert_true(json_tree_set(tree, STR("x"), NULL));
    assert_written(tree, "{\"5\":6,\"a\":[2]}");
    assert_true(json_tree_set(tree, STR("1"), parse("7")));
    assert_true(json_tree_set(tree, STR("b"), parse("8")));
    assert_written(tree, "{\"1\":7,\"5\":6,\"a\":[2],\"b\":8}");
    json_tree_free(tree);
}

static void inner_values_can_be_changed(void **state)
{
    struct json_tree *tree = parse("{\"a\":{\"b\":{}}}");
    struct json_tree *inner = json_tree_member(json_tree_member(tree, STR("a")), STR("b"));
    (void)state;

    assert_true(json_tree_set(inner, STR("c"), parse("[1]")));
    assert_true(json_tree_set_at(json_tree_member(inner, STR("c")), 1, parse("{}")));
    assert_written(tree, "{\"a\":{\"b\":{\"c\":[1,{}]}}}");
    json_tree_free(tree);
}

static void elements_are_replaced_appended_and_removed_at_the_end(void **state)
{
    struct json_tree *tree = parse("[1,2]");
    (void)state;

    assert_true(json_tree_set_at(tree, 2, parse("[3]")));
    assert_true(json_tree_set_at(tree, 0, parse("\"x\"")));
    assert_written(tree, "[\"x\",2,[3]]");
    assert_false(json_tree_set_at(tree, 4, parse("4")));
    assert_false(json_tree_set_at(tree, SIZE_MAX, parse("4")));
    assert_false(json_tree_set_at(tree, 1, NULL));
    assert_false(json_tree_set_at(tree, 3, NULL));
    assert_written(tree, "[\"x\",2,[3]]");
    for (size_t left = 3; left > 0; left--)
        assert_true(json_tree_set_at(tree, left - 1, NULL));
    assert_false(json_tree_set_at(tree, 0, NULL));
    assert_written(tree, "[]");
    json_tree_free(tree);
}

static void values_of_other_types_hold_nothing(void **state)
{
    struct json_tree *array = parse("[]"), *object = parse("{}"), *string = parse("\"\"");
    (void)state;

    assert_false(json_tree_set(array, STR("0"), parse("[1]")));
    assert_false(json_tree_set(string, STR("0"), parse("[1]")));
    assert_false(json_tree_set_at(object, 0, parse("[1]")));
    assert_false(json_tree_set_at(string, 0, parse("[1]")));
    json_tree_free(array);
    json_tree_free(object);
    json_tree_free(string);
}

/* Enough members for every way of searching, and removals from the front, the middle and the end. */
static void many_members_are_found_and_stay_in_order(void **state)
{
    enum {
        MEMBERS = 200,
    };
    struct json_tree *tree = json_tree_new_object();
    char text[16];
    struct str key;
    (void)state;

    for (int i = 0; i < MEMBERS; i++) {
        snprintf(text, sizeof(text), "key %d", i);
        assert_true(json_tree_set(tree, str_from(text), parse("0")));
        for (int k = 0; k <= i; k += 7) {
            snprintf(text, sizeof(text), "key %d", k);
            assert_non_null(json_tree_member(tree, str_from(text)));
        }
    }
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(text, sizeof(text), "key %d", i);
        assert_true(json_tree_set(tree, str_from(text), i % 3 ? parse("1") : NULL));
    }
    size_t place = 0;
    for (int i = 0; i < MEMBERS; i++) {
        snprintf(text, sizeof(text), "key %d", i);
        if (i % 3 == 0) {
            assert_null(json_tree_member(tree, str_from(text)));
            continue;
        }
        assert_scalar(json_tree_member_at(tree, place++, &key), JSON_NUMBER, "1");
        assert_true(str_equal(key, str_from(text)));
    }
    assert_int_equal(json_tree_count(tree), place);
    json_tree_free(tree);
}

static void many_indices_are_sorted_set_or_parsed(void **state)
{
    enum {
        MEMBERS = 3000,
    };
    struct json_tree *set = json_tree_new_object(), *parsed;
    struct buf text;
    struct str key;
    (void)state;

    buf_init(&text, SIZE_MAX);
    for (int i = 0; i < MEMBERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%d", i * 1009 % MEMBERS);
        assert_true(json_tree_set(set, str_from(name), parse("null")));
        buf_printf(&text, "%s\"%s\":null", i ? "," : "{\"last\":0,", name);
    }
    buf_add_byte(&text, '}');
    parsed = json_tree_parse(buf_str(&text));
    assert_non_null(parsed);
    for (size_t i = 0; i < MEMBERS; i++) {
        char name[16];
        snprintf(name, sizeof(name), "%zu", i);
        assert_non_null(json_tree_member_at(set, i, &key));
        assert_true(str_equal(key, str_from(name)));
        assert_non_null(json_tree_member_at(parsed, i, &key));
        assert_true(str_equal(key, str_from(name)));
    }
    assert_non_null(json_tree_member_at(parsed, MEMBERS, &key));
    assert_true(str_equal(key, STR("last")));
    json_tree_free(set);
    json_tree_free(parsed);
    buf_free(&text);
}

/* --- limits ---------------------------------------------------------------------------------- */

static struct json_tree *nested(size_t depth)
{
    char text[2 * JSON_DEPTH_MAX + 1] = {0};

    memset(text, '[', depth);
    memset(text + depth, ']', depth);
    return parse(text);
}

static struct json_tree *innermost(struct json_tree *array)
{
    while (json_tree_count(array) > 0)
        array = json_tree_element(array, 0);
    return array;
}

static void setting_does_not_pass_the_greatest_depth(void **state)
{
    struct json_tree *tree = nested(JSON_DEPTH_MAX - 10);
    struct json_tree *inner = innermost(tree);
    (void)state;

    assert_false(json_tree_set_at(inner, 0, nested(11)));
    assert_true(json_tree_set_at(inner, 0, nested(10)));
    assert_false(json_tree_set_at(innermost(tree), 0, parse("{}")));
    assert_true(json_tree_set_at(innermost(tree), 0, parse("1")));
    json_tree_free(tree);
}

static void what_is_removed_gives_its_depth_back(void **state)
{
    struct json_tree *tree = json_tree_new_object(), *outer = json_tree_new_object();
    (void)state;

    assert_true(json_tree_set(tree, STR("a"), nested(JSON_DEPTH_MAX - 1)));
    assert_true(json_tree_set(tree, STR("b"), nested(5)));
    assert_true(json_tree_set(tree, STR("a"), nested(JSON_DEPTH_MAX - 2)));
    assert_true(json_tree_set(outer, STR("tree"), tree));
    assert_false(json_tree_set(tree, STR("a"), nested(JSON_DEPTH_MAX - 1)));
    assert_true(json_tree_set(tree, STR("a"), NULL));
    assert_true(json_tree_set(tree, STR("c"), nested(JSON_DEPTH_MAX - 2)));
    json_tree_free(outer);
}

static void a_tree_too_deep_for_its_new_place_is_refused(void **state)
{
    struct json_tree *outer = json_tree_new_object();
    (void)state;

    assert_true(json_tree_set(outer, STR("a"), nested(JSON_DEPTH_MAX - 1)));
    assert_false(json_tree_set(outer, STR("b"), nested(JSON_DEPTH_MAX)));
    assert_int_equal(json_tree_count(outer), 1);
    json_tree_free(outer);
}

static void bytes_follow_what_is_written(void **state)
{
    struct json_tree *tree = parse("{\"a\":[1,22],\"b\":\"xyz\"}");
    struct json_tree *array = json_tree_member(tree, STR("a"));
    size_t before = json_tree_bytes(tree);
    (void)state;

    assert_in_range(before, 20, 30);
    assert_true(json_tree_set_at(array, 2, parse("\"12345678\"")));
    assert_int_equal(json_tree_bytes(tree), before + 11);
    assert_true(json_tree_set_at(array, 2, parse("\"1234\"")));
    assert_int_equal(json_tree_bytes(tree), before + 7);
    assert_true(json_tree_set_at(array, 2, NULL));
    assert_int_equal(json_tree_bytes(tree), before);
    assert_true(json_tree_set(tree, STR("a"), NULL));
    assert_true(json_tree_set(tree, STR("b"), NULL));
    assert_int_equal(json_tree_bytes(tree), 2);
    json_tree_free(tree);
}

static void writing_past_the_maximum_fails(void **state)
{
    struct json_tree *tree = parse("{\"a\":[1,22]}");
    struct buf text;
    (void)state;

    buf_init(&text, 12);
    assert_true(json_tree_write(&text, tree));
    buf_free(&text);
    buf_init(&text, 11);
    assert_false(json_tree_write(&text, tree));
    buf_free(&text);
    json_tree_free(tree);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_parsed_is_written_in_javascripts_spelling),
        cmocka_unit_test(keys_like_indices_come_first_ascending),
        cmocka_unit_test(scalars_give_their_text),
        cmocka_unit_test(what_is_not_there_is_null),
        cmocka_unit_test(members_are_added_replaced_and_removed),
        cmocka_unit_test(inner_values_can_be_changed),
        cmocka_unit_test(elements_are_replaced_appended_and_removed_at_the_end),
        cmocka_unit_test(values_of_other_types_hold_nothing),
        cmocka_unit_test(many_members_are_found_and_stay_in_order),
        cmocka_unit_test(many_indices_are_sorted_set_or_parsed),
        cmocka_unit_test(setting_does_not_pass_the_greatest_depth),
        cmocka_unit_test(what_is_removed_gives_its_depth_back),
        cmocka_unit_test(a_tree_too_deep_for_its_new_place_is_refused),
        cmocka_unit_test(bytes_follow_what_is_written),
        cmocka_unit_test(writing_past_the_maximum_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
