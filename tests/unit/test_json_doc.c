#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

static struct json_doc parse(const char *text)
{
    struct json_doc doc;

    assert_true(json_check(str_from(text)));
    assert_true(json_doc_init(&doc, str_from(text)));
    return doc;
}

static void assert_raw(const struct json_doc *doc, uint32_t value, const char *expected)
{
    struct str raw;

    assert_int_not_equal(value, JSON_NONE);
    raw = json_raw(doc, value);
    assert_int_equal(raw.size, strlen(expected));
    assert_memory_equal(raw.at, expected, raw.size);
}

static void roots_may_be_of_every_type(void **state)
{
    static const struct {
        const char *text, *raw;
        enum json_type type;
    } cases[] = {
        {"null",         "null",       JSON_NULL  },
        {" true\n",      "true",       JSON_TRUE  },
        {"\tfalse ",     "false",      JSON_FALSE },
        {" -1.5e3 ",     "-1.5e3",     JSON_NUMBER},
        {"0",            "0",          JSON_NUMBER},
        {" \"a \\\"\" ", "\"a \\\"\"", JSON_STRING},
        {"\"\"",         "\"\"",       JSON_STRING},
        {" [ 1 ] ",      "[ 1 ]",      JSON_ARRAY },
        {" {} ",         "{}",         JSON_OBJECT},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct json_doc doc = parse(cases[i].text);
        assert_int_equal(json_type(&doc, 0), cases[i].type);
        assert_raw(&doc, 0, cases[i].raw);
        json_doc_free(&doc);
    }
}

static void nothing_is_no_document(void **state)
{
    struct json_doc doc;
    (void)state;

    assert_false(json_doc_init(&doc, STR("")));
    assert_false(json_doc_init(&doc, STR(" \n")));
}

static void elements_are_visited_in_order(void **state)
{
    static const char *const raws[] = {"[]", "1", "[[2],{}]", "{\"a\":[3,4]}", "\"x\"", "null"};
    struct json_doc doc = parse("[ [], 1, [[2],{}], {\"a\":[3,4]}, \"x\", null ]");
    uint32_t value = json_first(&doc, 0);
    (void)state;

    assert_int_equal(json_count(&doc, 0), 6);
    for (uint32_t i = 0; i < 6; i++) {
        assert_raw(&doc, value, raws[i]);
        assert_int_equal(json_at(&doc, 0, i), value);
        value = json_next(&doc, 0, value);
    }
    assert_int_equal(value, JSON_NONE);
    assert_int_equal(json_at(&doc, 0, 6), JSON_NONE);
    assert_int_equal(json_at(&doc, 0, UINT32_MAX), JSON_NONE);
    json_doc_free(&doc);
}

static void the_last_element_of_an_inner_value_has_no_next(void **state)
{
    struct json_doc doc = parse("[[1,[2]],{\"a\":{\"b\":[3]}},4]");
    uint32_t inner = json_at(&doc, 0, 0);
    uint32_t object = json_at(&doc, 0, 1);
    (void)state;

    assert_int_equal(json_next(&doc, inner, json_at(&doc, inner, 1)), JSON_NONE);
    assert_int_equal(json_next(&doc, object, json_first(&doc, object)), JSON_NONE);
    assert_raw(&doc, json_next(&doc, 0, inner), "{\"a\":{\"b\":[3]}}");
    assert_raw(&doc, json_next(&doc, 0, object), "4");
    json_doc_free(&doc);
}

static void empty_values_and_scalars_have_no_first(void **state)
{
    struct json_doc doc = parse("[[],{},\"ab\",1]");
    (void)state;

    for (uint32_t i = 0; i < 4; i++) {
        assert_int_equal(json_count(&doc, json_at(&doc, 0, i)), 0);
        assert_int_equal(json_first(&doc, json_at(&doc, 0, i)), JSON_NONE);
    }
    json_doc_free(&doc);
}

static void members_are_visited_in_order(void **state)
{
    static const char *const keys[] = {"\"b\"", "\"a\"", "\"b\"", "\"\""};
    static const char *const values[] = {"1", "{\"x\":[2]}", "[3]", "\"s\""};
    struct json_doc doc = parse("{\"b\":1,\"a\":{\"x\":[2]},\"b\":[3],\"\":\"s\"}");
    uint32_t key = json_first(&doc, 0);
    (void)state;

    assert_int_equal(json_count(&doc, 0), 4);
    for (uint32_t i = 0; i < 4; i++) {
        assert_raw(&doc, key, keys[i]);
        assert_raw(&doc, json_member_value(&doc, key), values[i]);
        key = json_next(&doc, 0, key);
    }
    assert_int_equal(key, JSON_NONE);
    json_doc_free(&doc);
}

static void the_last_of_duplicate_members_is_found(void **state)
{
    struct json_doc doc = parse("{\"a\":1,\"b\":2,\"\\u0061\":3,\"c\":{\"a\":4}}");
    (void)state;

    assert_raw(&doc, json_member(&doc, 0, STR("a")), "3");
    assert_raw(&doc, json_member(&doc, 0, STR("b")), "2");
    assert_int_equal(json_member(&doc, 0, STR("x")), JSON_NONE);
    assert_int_equal(json_member(&doc, 0, STR("")), JSON_NONE);
    json_doc_free(&doc);
}

static void keys_are_compared_decoded(void **state)
{
    struct json_doc doc =
        parse("{\"\\u00e9\":1,\"a\\\\b\":2,\"\\\"\":3,\"\":4,\"\\u0000\":5,\"aaaaaaa\\n\":6}");
    (void)state;

    assert_raw(&doc, json_member(&doc, 0, STR("\xc3\xa9")), "1");
    assert_raw(&doc, json_member(&doc, 0, STR("a\\b")), "2");
    assert_raw(&doc, json_member(&doc, 0, STR("\"")), "3");
    assert_raw(&doc, json_member(&doc, 0, STR("")), "4");
    assert_raw(&doc, json_member(&doc, 0, STR("\0")), "5");
    assert_raw(&doc, json_member(&doc, 0, STR("aaaaaaa\n")), "6");
    assert_int_equal(json_member(&doc, 0, STR("a\\\\b")), JSON_NONE);
    assert_int_equal(json_member(&doc, 0, STR("\\u00e9")), JSON_NONE);
    assert_int_equal(json_member(&doc, 0, STR("aaaaaaa")), JSON_NONE);
    assert_int_equal(json_member(&doc, 0, STR("aaaaaaaa\n")), JSON_NONE);
    json_doc_free(&doc);
}

static void members_are_of_objects_and_elements_of_arrays(void **state)
{
    struct json_doc doc = parse("[{\"0\":1},[\"a\",2],\"a\"]");
    (void)state;

    assert_int_equal(json_at(&doc, json_at(&doc, 0, 0), 0), JSON_NONE);
    assert_int_equal(json_member(&doc, json_at(&doc, 0, 1), STR("a")), JSON_NONE);
    assert_int_equal(json_member(&doc, json_at(&doc, 0, 2), STR("a")), JSON_NONE);
    json_doc_free(&doc);
}

static void the_deepest_text_is_read(void **state)
{
    char text[2 * JSON_DEPTH_MAX + 1] = {0};
    (void)state;

    memset(text, '[', JSON_DEPTH_MAX);
    memset(text + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    struct json_doc doc = parse(text);
    uint32_t value = 0;
    for (int i = 1; i < JSON_DEPTH_MAX; i++) {
        assert_int_equal(json_count(&doc, value), 1);
        assert_int_equal(json_next(&doc, value, json_first(&doc, value)), JSON_NONE);
        value = json_first(&doc, value);
    }
    assert_raw(&doc, value, "[]");
    json_doc_free(&doc);
}

/* Not what callers should give, but neither a crash nor a leak. */
static void text_that_was_not_checked_is_refused(void **state)
{
    static const char *const cases[] = {"[", "[1", "{\"a\":[}", "\"a", "[}", "{\"a\":1"};
    struct json_doc doc;
    char *text = malloc(2 * JSON_DEPTH_MAX + 2);
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_false(json_doc_init(&doc, str_from(cases[i])));
    memset(text, '[', JSON_DEPTH_MAX + 1);
    memset(text + JSON_DEPTH_MAX + 1, ']', JSON_DEPTH_MAX + 1);
    assert_false(json_doc_init(&doc, str_of(text, 2 * JSON_DEPTH_MAX + 2)));
    free(text);
}

static void a_long_array_is_read_whole(void **state)
{
    enum {
        ELEMENTS = 200000,
    };
    struct buf text;
    struct json_doc doc;
    uint32_t count = 0;
    (void)state;

    buf_init(&text, SIZE_MAX);
    buf_add_byte(&text, '[');
    for (int i = 0; i < ELEMENTS; i++)
        buf_add_str(&text, i ? STR(",[1]") : STR("[1]"));
    buf_add_byte(&text, ']');
    assert_true(json_doc_init(&doc, buf_str(&text)));
    assert_int_equal(json_count(&doc, 0), ELEMENTS);
    for (uint32_t at = json_first(&doc, 0); at != JSON_NONE; at = json_next(&doc, 0, at))
        count++;
    assert_int_equal(count, ELEMENTS);
    json_doc_free(&doc);
    buf_free(&text);
}

/* Brackets that close at once must not each walk through those closed before: this would take
 * seconds. */
static void many_deep_values_are_read(void **state)
{
    enum {
        DEPTH = JSON_DEPTH_MAX - 1,
        ELEMENTS = 2000,
    };
    struct buf text;
    struct json_doc doc;
    uint32_t value;
    (void)state;

    buf_init(&text, SIZE_MAX);
    for (int i = 0; i < ELEMENTS; i++) {
        buf_add_byte(&text, i ? ',' : '[');
        memset(buf_extend(&text, DEPTH), '[', DEPTH);
        memset(buf_extend(&text, DEPTH), ']', DEPTH);
    }
    buf_add_byte(&text, ']');
    assert_true(json_check(buf_str(&text)));
    assert_true(json_doc_init(&doc, buf_str(&text)));
    assert_int_equal(json_count(&doc, 0), ELEMENTS);
    value = json_first(&doc, 0);
    for (uint32_t i = 0; i < ELEMENTS; i++, value = json_next(&doc, 0, value)) {
        assert_int_equal(value, 1 + i * DEPTH);
        assert_int_equal(json_raw(&doc, value).size, 2 * DEPTH);
    }
    assert_int_equal(value, JSON_NONE);
    json_doc_free(&doc);
    buf_free(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(roots_may_be_of_every_type),
        cmocka_unit_test(nothing_is_no_document),
        cmocka_unit_test(elements_are_visited_in_order),
        cmocka_unit_test(the_last_element_of_an_inner_value_has_no_next),
        cmocka_unit_test(empty_values_and_scalars_have_no_first),
        cmocka_unit_test(members_are_visited_in_order),
        cmocka_unit_test(the_last_of_duplicate_members_is_found),
        cmocka_unit_test(keys_are_compared_decoded),
        cmocka_unit_test(members_are_of_objects_and_elements_of_arrays),
        cmocka_unit_test(the_deepest_text_is_read),
        cmocka_unit_test(text_that_was_not_checked_is_refused),
        cmocka_unit_test(a_long_array_is_read_whole),
        cmocka_unit_test(many_deep_values_are_read),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
