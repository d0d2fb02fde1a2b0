#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

/* What the reference's JSON.parse and JSON.stringify made of each input. */
static const char VECTORS[] = "tests/protocol/vectors/json.json";

static struct buf read_file(const char *path)
{
    FILE *file = fopen(path, "rb");
    struct buf bytes;
    int c;

    assert_non_null(file);
    buf_init(&bytes, SIZE_MAX);
    while ((c = getc(file)) != EOF)
        buf_add_byte(&bytes, (char)c);
    fclose(file);
    return bytes;
}

static struct buf decoded_member(const struct json_doc *doc, uint32_t object, struct str key)
{
    uint32_t value = json_member(doc, object, key);
    struct buf text;

    assert_int_not_equal(value, JSON_NONE);
    buf_init(&text, SIZE_MAX);
    assert_true(json_string_decode(&text, json_raw(doc, value)));
    return text;
}

static void assert_normalised(struct str text, struct str expected)
{
    struct buf written;

    buf_init(&written, SIZE_MAX);
    if (!json_check(text) || !json_normalise(&written, text))
        fail_msg("refused: %.*s", (int)text.size, text.at);
    if (!str_equal(buf_str(&written), expected))
        fail_msg("%.*s became %.*s and not %.*s", (int)text.size, text.at, (int)written.size,
                 written.at, (int)expected.size, expected.at);
    buf_free(&written);
}

static void the_references_vectors_come_out_byte_for_byte(void **state)
{
    struct buf file = read_file(VECTORS);
    struct json_doc doc;
    uint32_t seen = 0;
    (void)state;

    assert_true(json_check(buf_str(&file)));
    assert_true(json_doc_init(&doc, buf_str(&file)));
    uint32_t cases = json_member(&doc, 0, STR("cases"));
    for (uint32_t at = json_first(&doc, cases); at != JSON_NONE;
         at = json_next(&doc, cases, at)) {
        struct buf input = decoded_member(&doc, at, STR("input"));
        struct buf expected = decoded_member(&doc, at, STR("expect"));
        if (!str_equal(buf_str(&expected), STR("rejected")))
            assert_normalised(buf_str(&input), buf_str(&expected));
        else if (json_check(buf_str(&input)))
            fail_msg("taken: %.*s", (int)input.size, input.at);
        buf_free(&input);
        buf_free(&expected);
        seen++;
    }
    assert_int_equal(seen, 60);
    json_doc_free(&doc);
    buf_free(&file);
}

static void white_space_goes_and_order_stays(void **state)
{
    (void)state;
    assert_normalised(STR(" [ 1 ,\t[ ] ,\r\n{ } , [ [ \"a b\" ] ] ] "),
                      STR("[1,[],{},[[\"a b\"]]]"));
    assert_normalised(STR("{ \"b\" : { \"d\" : 1 , \"c\" : 2 } , \"a\" : [ ] }"),
                      STR("{\"b\":{\"d\":1,\"c\":2},\"a\":[]}"));
}

/* Strings that end like a container begins must not swallow a comma. */
static void brackets_in_strings_are_text(void **state)
{
    (void)state;
    assert_normalised(STR("[\"[\", \"{\", {\"{\": \"[\", \"[\": 1}]"),
                      STR("[\"[\",\"{\",{\"{\":\"[\",\"[\":1}]"));
}

static void index_keys_come_first_in_every_object(void **state)
{
    (void)state;
    assert_normalised(
        STR("{\"x\":{\"b\":1,\"3\":2,\"1\":3},\"9\":[],\"x\":{\"4\":1,\"00\":2,\"0\":3}}"),
        STR("{\"9\":[],\"x\":{\"0\":3,\"4\":1,\"00\":2}}"));
    assert_normalised(STR("{\"2\":1,\"\\u0031\":2,\"1\":3}"), STR("{\"1\":3,\"2\":1}"));
    assert_normalised(STR("{\"9999999999\":1,\"a\":2,\"1\":3}"),
                      STR("{\"1\":3,\"9999999999\":1,\"a\":2}"));
}

static void keys_are_spelled_anew(void **state)
{
    (void)state;
    assert_normalised(STR("{\"\\u00e9\\/\\u001F\\ud800\":\"\\u0041\"}"),
                      STR("{\"\xc3\xa9/\\u001f\\ud800\":\"A\"}"));
}

static void the_deepest_text_is_written(void **state)
{
    char arrays[2 * JSON_DEPTH_MAX];
    struct buf objects;
    (void)state;

    memset(arrays, '[', JSON_DEPTH_MAX);
    memset(arrays + JSON_DEPTH_MAX, ']', JSON_DEPTH_MAX);
    assert_normalised(str_of(arrays, sizeof(arrays)), str_of(arrays, sizeof(arrays)));

    buf_init(&objects, SIZE_MAX);
    for (int i = 1; i < JSON_DEPTH_MAX; i++)
        buf_add_str(&objects, STR("{\"1\":"));
    buf_add_str(&objects, STR("{}"));
    for (int i = 1; i < JSON_DEPTH_MAX; i++)
        buf_add_byte(&objects, '}');
    assert_normalised(buf_str(&objects), buf_str(&objects));
    buf_free(&objects);
}

static void writing_past_the_maximum_fails(void **state)
{
    struct str text = STR("{\"1\":[\"a\\n\",{\"b\":0.5}],\"c\":null}");
    (void)state;

    for (size_t maximum = 0; maximum <= text.size; maximum++) {
        struct buf to;
        buf_init(&to, maximum);
        assert_int_equal(json_normalise(&to, text), maximum == text.size);
        buf_free(&to);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_references_vectors_come_out_byte_for_byte),
        cmocka_unit_test(white_space_goes_and_order_stays),
        cmocka_unit_test(brackets_in_strings_are_text),
        cmocka_unit_test(index_keys_come_first_in_every_object),
        cmocka_unit_test(keys_are_spelled_anew),
        cmocka_unit_test(the_deepest_text_is_written),
        cmocka_unit_test(writing_past_the_maximum_fails),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
