#include "json/json.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* A copy of exactly its size, so that AddressSanitizer sees a read past the end. */
static bool check(struct str text)
{
    char *copy = malloc(text.size ? text.size : 1);

    memcpy(copy, text.at, text.size);
    bool ok = json_check((struct str){copy, text.size});
    free(copy);
    return ok;
}

static void takes_what_the_grammar_allows(void **state)
{
    static const char *const cases[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-0.0e-0",
        "10",
        "1.5",
        "1E5",
        "1e+5",
        "123456789012345678901234567890e99999",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00fF\"",
        "\"\\ud800\"",
        "\"\x7f\xc3\xa9\"",
        "\"1234567\\n1234567\\n12345678\\n\"",
        "[]",
        "{}",
        "[ ]",
        "{ }",
        " \t\r\n[\t1\r,\n2 ] ",
        "{\"a\":{\"b\":[{},[],\"c\"]},\"d\":1}",
        "{ \"a\" : 1 , \"a\" : 2 }",
        "[[],{},[{}],{\"\":[]}]",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        if (!check(str_from(cases[i])))
            fail_msg("refused: %s", cases[i]);
    }
}

static void refuses_what_the_grammar_does_not_allow(void **state)
{
    static const char *const cases[] = {
        "",
        " ",
        "nul",
        "nulll",
        "tru",
        "falsy",
        "True",
        "+1",
        "-",
        "01",
        "-01",
        "1.",
        ".5",
        "1e",
        "1e+",
        "0x1",
        "1_0",
        "- 1",
        "NaN",
        "Infinity",
        "\"",
        "\"a",
        "\"\\\"",
        "\"\\x41\"",
        "\"\\u12\"",
        "\"\\u12g4\"",
        "\"\\",
        "\"\\u",
        "\"\\u123",
        "'a'",
        "\"a\nb\"",
        "\"\t\"",
        "\"\x1f\"",
        "\"1234567\x01\"",
        "\"12345678\x1f\"",
        "[",
        "]",
        "{",
        "}",
        "[1",
        "[1,",
        "[1,]",
        "[,1]",
        "[1 2]",
        "[1}",
        "{]",
        "{a:1}",
        "{1:1}",
        "{\"a\"}",
        "{\"a\":}",
        "{\"a\":1,}",
        "{\"a\" 1}",
        "{\"a\":1",
        "{\"a\":1]",
        "{\"a\":1 \"b\":2}",
        "{,}",
        "[1]x",
        "[1]]",
        "1 2",
        "1,2",
        "[\"a\":1]",
        "/*x*/1",
        "\xef\xbb\xbf"
        "1",
        "\xc2\xa0"
        "1",
        "\f1",
        "undefined",
        "{\"a\":[1,{\"b\":2]}}",
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        if (check(str_from(cases[i])))
            fail_msg("taken: %s", cases[i]);
    }
}

static void refuses_nul_bytes_everywhere(void **state)
{
    (void)state;
    assert_false(check(STR("\0")));
    assert_false(check(STR("1\0")));
    assert_false(check(STR("\"\0\"")));
    assert_false(check(STR("\"12345678\0\"")));
    assert_false(check(STR("[1,\0]")));
}

/* At every distance from the string's start, and so in each of the eight places of a step. */
static void finds_special_bytes_at_every_offset(void **state)
{
    char text[64];
    (void)state;

    for (size_t length = 0; length < 40; length++) {
        for (size_t at = 0; at < length; at++) {
            text[0] = '"';
            memset(text + 1, 0xbf, length);
            text[length + 1] = '"';
            assert_true(check(str_of(text, length + 2)));
            text[at + 1] = 0x1f;
            assert_false(check(str_of(text, length + 2)));
            text[at + 1] = ' ';
            assert_true(check(str_of(text, length + 2)));
            text[at + 1] = '"';
            assert_false(check(str_of(text, length + 2)));
            text[at + 1] = '\\';
            assert_false(check(str_of(text, length + 2)));
        }
    }
}

/* Every proper beginning of a text that ends with its bracket is broken. */
static void refuses_every_cut(void **state)
{
    struct str text =
        STR("{\"key\":[true,false,null,-12.5e+3,\"a\\u00e9\\n\"],\"k\":{\"\":0}}");
    (void)state;

    assert_true(check(text));
    for (size_t size = 0; size < text.size; size++)
        assert_false(check(str_of(text.at, size)));
}

/* `depth` arrays or objects, each in the other. */
static struct str nested(size_t depth, bool objects)
{
    char *text = malloc(depth * 6 + 1);
    size_t size = 0;

    for (size_t i = 0; i < depth; i++) {
        if (objects && i + 1 < depth)
            size += (size_t)sprintf(text + size, "{\"\":");
        else
            text[size++] = objects ? '{' : '[';
    }
    memset(text + size, objects ? '}' : ']', depth);
    return str_of(text, size + depth);
}

static bool ignore(void *context, struct str value)
{
    (void)context;
    (void)value;
    return true;
}

static void bounds_the_depth(void **state)
{
    (void)state;
    for (int objects = 0; objects < 2; objects++) {
        struct str deepest = nested(JSON_DEPTH_MAX, objects);
        struct str deeper = nested(JSON_DEPTH_MAX + 1, objects);

        assert_true(check(deepest));
        assert_false(check(deeper));
        assert_int_equal(json_split(deepest, ignore, NULL), !objects);
        assert_false(json_split(deeper, ignore, NULL));
        free((char *)deepest.at);
        free((char *)deeper.at);
    }
}

static void depth_is_of_nesting_and_not_of_count(void **state)
{
    struct buf text;
    (void)state;

    buf_init(&text, SIZE_MAX);
    buf_add_byte(&text, '[');
    for (int i = 0; i < 2 * JSON_DEPTH_MAX; i++)
        buf_add_str(&text, STR("[{\"a\":[]}],"));
    buf_add_str(&text, STR("0]"));
    assert_true(check(buf_str(&text)));
    buf_free(&text);
}

static void hostile_openings_are_refused(void **state)
{
    enum {
        SIZE = 1 << 20,
    };
    char *text = malloc(SIZE);
    (void)state;

    memset(text, '[', SIZE);
    assert_false(check(str_of(text, SIZE)));
    memset(text, '-', SIZE);
    assert_false(check(str_of(text, SIZE)));
    free(text);
}

/* --- json_split ------------------------------------------------------------------------------ */

struct seen {
    struct buf text; /* each element between bars */
    int left;        /* how many more are wanted */
};

static bool note(void *context, struct str value)
{
    struct seen *seen = context;

    buf_add_str(&seen->text, value);
    buf_add_byte(&seen->text, '|');
    return --seen->left > 0;
}

static bool split(const char *text, int wanted, const char *expected)
{
    struct seen seen = {.left = wanted};

    buf_init(&seen.text, SIZE_MAX);
    bool ok = json_split(str_from(text), note, &seen);
    buf_add_byte(&seen.text, '\0');
    assert_string_equal(seen.text.at, expected);
    buf_free(&seen.text);
    return ok;
}

static void split_gives_trimmed_elements_in_order(void **state)
{
    (void)state;
    assert_true(split("[]", 9, ""));
    assert_true(split(" [ ] ", 9, ""));
    assert_true(split("[1]", 9, "1|"));
    assert_true(split("[ \"a , b\" ,\n[1 , 2]\t, {\"x\": [ ]} , null ] ", 9,
                      "\"a , b\"|[1 , 2]|{\"x\": [ ]}|null|"));
}

static void split_refuses_what_is_no_array(void **state)
{
    (void)state;
    assert_false(split("", 9, ""));
    assert_false(split("1", 9, ""));
    assert_false(split("{}", 9, ""));
    assert_false(split("\"[]\"", 9, ""));
}

static void split_reports_elements_before_a_fault(void **state)
{
    (void)state;
    assert_false(split("[", 9, ""));
    assert_false(split("[1,2", 9, "1|2|"));
    assert_false(split("[1,2,]", 9, "1|2|"));
    assert_false(split("[1 2]", 9, "1|"));
    assert_false(split("[1]]", 9, "1|"));
    assert_false(split("[]x", 9, ""));
    assert_false(split("[1}", 9, "1|"));
    assert_false(split("[[1,x],2]", 9, ""));
}

static void split_stops_when_told(void **state)
{
    (void)state;
    assert_false(split("[1,2,3]", 2, "1|2|"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_what_the_grammar_allows),
        cmocka_unit_test(refuses_what_the_grammar_does_not_allow),
        cmocka_unit_test(refuses_nul_bytes_everywhere),
        cmocka_unit_test(finds_special_bytes_at_every_offset),
        cmocka_unit_test(refuses_every_cut),
        cmocka_unit_test(bounds_the_depth),
        cmocka_unit_test(depth_is_of_nesting_and_not_of_count),
        cmocka_unit_test(hostile_openings_are_refused),
        cmocka_unit_test(split_gives_trimmed_elements_in_order),
        cmocka_unit_test(split_refuses_what_is_no_array),
        cmocka_unit_test(split_reports_elements_before_a_fault),
        cmocka_unit_test(split_stops_when_told),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
