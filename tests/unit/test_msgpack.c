#include "msgpack/msgpack.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

/* What the bytes are as JSON; the fault is told by an empty text. */
static struct buf as_json(struct str bytes, uint32_t most_bins, enum msgpack_fault expected)
{
    struct msgpack_reader reader = msgpack_reader_of(bytes);
    struct msgpack_bins bins = {.maximum = most_bins};
    struct buf json;

    buf_init(&json, SIZE_MAX);
    assert_int_equal(msgpack_to_json(&reader, &json, &bins), expected);
    if (expected == MSGPACK_GOOD)
        assert_ptr_equal(reader.at, reader.end);
    free(bins.at);
    return json;
}

static void assert_json(struct str bytes, const char *json)
{
    struct buf text = as_json(bytes, 10, MSGPACK_GOOD);

    assert_int_equal(text.size, strlen(json));
    assert_memory_equal(text.at, json, text.size);
    buf_free(&text);
}

static void assert_refused(struct str bytes)
{
    struct buf text = as_json(bytes, 10, MSGPACK_BROKEN);

    buf_free(&text);
}

static void assert_packed(const char *json, struct str bytes)
{
    struct buf packed;

    buf_init(&packed, SIZE_MAX);
    assert_true(msgpack_from_json(&packed, str_from(json), NULL, 0));
    assert_int_equal(packed.size, bytes.size);
    assert_memory_equal(packed.at, bytes.at, bytes.size);
    buf_free(&packed);
}

/* --- both ways --------------------------------------------------------------------------------- */

static void values_have_one_shortest_form(void **state)
{
    static const struct {
        const char *json;
        struct str bytes;
    } cases[] = {
        {"null",                 STR("\xc0")                                 },
        {"false",                STR("\xc2")                                 },
        {"true",                 STR("\xc3")                                 },
        {"0",                    STR("\x00")                                 },
        {"127",                  STR("\x7f")                                 },
        {"128",                  STR("\xcc\x80")                             },
        {"255",                  STR("\xcc\xff")                             },
        {"256",                  STR("\xcd\x01\x00")                         },
        {"65535",                STR("\xcd\xff\xff")                         },
        {"65536",                STR("\xce\x00\x01\x00\x00")                 },
        {"4294967295",           STR("\xce\xff\xff\xff\xff")                 },
        {"4294967296",           STR("\xcf\x00\x00\x00\x01\x00\x00\x00\x00") },
        {"9223372036854775807",  STR("\xcf\x7f\xff\xff\xff\xff\xff\xff\xff") },
        {"-1",                   STR("\xff")                                 },
        {"-32",                  STR("\xe0")                                 },
        {"-33",                  STR("\xd0\xdf")                             },
        {"-128",                 STR("\xd0\x80")                             },
        {"-129",                 STR("\xd1\xff\x7f")                         },
        {"-32768",               STR("\xd1\x80\x00")                         },
        {"-32769",               STR("\xd2\xff\xff\x7f\xff")                 },
        {"-2147483648",          STR("\xd2\x80\x00\x00\x00")                 },
        {"-2147483649",          STR("\xd3\xff\xff\xff\xff\x7f\xff\xff\xff") },
        {"-9223372036854775808", STR("\xd3\x80\x00\x00\x00\x00\x00\x00\x00") },
        {"1.5",                  STR("\xcb\x3f\xf8\x00\x00\x00\x00\x00\x00") },
        {"1e+300",               STR("\xcb\x7e\x37\xe4\x3c\x88\x00\x75\x9c") },
        {"\"\"",                 STR("\xa0")                                 },
        {"\"a\\n\"",             STR("\xa2"
                         "a\n")                          },
        {"[]",                   STR("\x90")                                 },
        {"[1,[2]]",              STR("\x92\x01\x91\x02")                     },
        {"{}",                   STR("\x80")                                 },
        {"{\"a\":{\"b\":null}}", STR("\x81\xa1"
                                     "a\x81\xa1"
                                     "b\xc0")},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        assert_json(cases[i].bytes, cases[i].json);
        assert_packed(cases[i].json, cases[i].bytes);
    }
}

/* `head` and then `size` times `unit`. */
static struct buf repeated(struct str head, struct str unit, size_t size)
{
    struct buf bytes;

    buf_init(&bytes, SIZE_MAX);
    buf_add_str(&bytes, head);
    for (size_t i = 0; i < size; i++)
        buf_add_str(&bytes, unit);
    return bytes;
}

static void lengths_have_their_shortest_form(void **state)
{
    static const struct {
        struct str head, unit;
        size_t size;
    } cases[] = {
        {STR("\xbf"),                 STR("x"),        31   },
        {STR("\xd9\x20"),             STR("x"),        32   },
        {STR("\xd9\xff"),             STR("x"),        255  },
        {STR("\xda\x01\x00"),         STR("x"),        256  },
        {STR("\xda\xff\xff"),         STR("x"),        65535},
        {STR("\xdb\x00\x01\x00\x00"), STR("x"),        65536},
        {STR("\x9f"),                 STR("\x01"),     15   },
        {STR("\xdc\x00\x10"),         STR("\x01"),     16   },
        {STR("\xdc\xff\xff"),         STR("\x01"),     65535},
        {STR("\xdd\x00\x01\x00\x00"), STR("\x01"),     65536},
        {STR("\x8f"),                 STR("\xa0\x01"), 15   },
        {STR("\xde\x00\x10"),         STR("\xa0\x01"), 16   },
        {STR("\xdf\x00\x01\x00\x00"), STR("\xa0\x01"), 65536},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf bytes = repeated(cases[i].head, cases[i].unit, cases[i].size);
        struct buf json = as_json(buf_str(&bytes), 0, MSGPACK_GOOD);
        struct buf packed;

        buf_init(&packed, SIZE_MAX);
        assert_true(msgpack_from_json(&packed, buf_str(&json), NULL, 0));
        assert_int_equal(packed.size, bytes.size);
        assert_memory_equal(packed.at, bytes.at, bytes.size);
        buf_free(&packed);
        buf_free(&json);
        buf_free(&bytes);
    }
}

/* --- to JSON ----------------------------------------------------------------------------------- */

static void longer_forms_than_needed_are_read(void **state)
{
    (void)state;
    assert_json(STR("\xcc\x01"), "1");
    assert_json(STR("\xcd\x00\x01"), "1");
    assert_json(STR("\xce\x00\x00\x00\x01"), "1");
    assert_json(STR("\xcf\x00\x00\x00\x00\x00\x00\x00\x01"), "1");
    assert_json(STR("\xcf\xff\xff\xff\xff\xff\xff\xff\xff"), "18446744073709552000");
    assert_json(STR("\xd0\xff"), "-1");
    assert_json(STR("\xd3\x00\x00\x00\x00\x00\x00\x00\x01"), "1");
    assert_json(STR("\xca\x3f\xc0\x00\x00"), "1.5");
    assert_json(STR("\xdb\x00\x00\x00\x01x"), "\"x\"");
    assert_json(STR("\xdd\x00\x00\x00\x01\x01"), "[1]");
}

static void what_json_has_no_word_for_is_as_javascript_says(void **state)
{
    (void)state;
    assert_json(STR("\xd4\x00\x00"), "null");
    assert_json(STR("\x92\xd4\x00\x00\x01"), "[null,1]");
    assert_json(STR("\x82\xa1"
                    "a\xd4\x00\x00\xa1"
                    "b\x01"),
                "{\"b\":1}");
    assert_json(STR("\x81\xa1"
                    "a\xd4\x00\x00"),
                "{}");
    assert_json(STR("\xcb\x7f\xf8\x00\x00\x00\x00\x00\x00"), "null");
    assert_json(STR("\xcb\x7f\xf0\x00\x00\x00\x00\x00\x00"), "null");
    assert_json(STR("\xcb\x80\x00\x00\x00\x00\x00\x00\x00"), "0");
    assert_json(STR("\xa1\xff"), "\"\xef\xbf\xbd\"");
}

static void dates_are_their_iso_text(void **state)
{
    (void)state;
    assert_json(STR("\xd7\x00\x00\x00\x00\x00\x00\x00\x00\x00"),
                "\"1970-01-01T00:00:00.000Z\"");
    assert_json(STR("\xd7\x00\x00\x00\x00\xe8\xd4\xa5\x10\x00"),
                "\"2001-09-09T01:46:40.000Z\"");
    assert_json(STR("\xd7\x00\xff\xff\xff\xff\xff\xff\xff\xff"),
                "\"1969-12-31T23:59:59.999Z\"");
    assert_json(STR("\xd7\x00\x00\x00\x00\xdd\x9a\xa6\xe0\x00"),
                "\"2000-02-29T00:00:00.000Z\"");
    assert_json(STR("\xd7\x00\x00\x1e\xb2\x08\xc2\xdc\x00\x00"),
                "\"+275760-09-13T00:00:00.000Z\"");
    assert_json(STR("\xd7\x00\x00\x1e\xb2\x08\xc2\xdc\x00\x01"), "null");
    assert_json(STR("\xd7\x00\xff\xe1\x4d\xf7\x3d\x24\x00\x00"),
                "\"-271821-04-20T00:00:00.000Z\"");
    assert_json(STR("\xd7\x00\xff\xe1\x4d\xf7\x3d\x23\xff\xff"), "null");
    assert_json(STR("\xd7\x00\x80\x00\x00\x00\x00\x00\x00\x00"), "null");
}

static void binary_values_are_placeholders(void **state)
{
    (void)state;
    assert_json(STR("\xc4\x00"), "{\"_placeholder\":true,\"num\":0}");
    assert_json(STR("\x92\xc5\x00\x01x\xc6\x00\x00\x00\x01y"),
                "[{\"_placeholder\":true,\"num\":0},{\"_placeholder\":true,\"num\":1}]");
    assert_json(STR("\xc7\x01\x00x"), "{\"_placeholder\":true,\"num\":0}"); /* ArrayBuffer */
    assert_json(STR("\xd4\x05x"), "[5,{\"_placeholder\":true,\"num\":0}]");
    assert_json(STR("\xc7\x01\xfex"), "[-2,{\"_placeholder\":true,\"num\":0}]");
    assert_json(STR("\xd5\x00xy"), "[0,{\"_placeholder\":true,\"num\":0}]");
}

static void binary_values_are_counted(void **state)
{
    struct buf bytes = repeated(STR("\x9a"), STR("\xc4\x01x"), 10);
    (void)state;

    struct buf json = as_json(buf_str(&bytes), 10, MSGPACK_GOOD);
    buf_free(&json);
    json = as_json(buf_str(&bytes), 9, MSGPACK_TOO_MANY_BINS);
    buf_free(&json);
    buf_free(&bytes);
}

static void keys_that_are_no_text_become_text(void **state)
{
    (void)state;
    assert_json(STR("\x84\x01\x02\xff\x02\xc0\x03\xc3\x04"),
                "{\"1\":2,\"-1\":2,\"null\":3,\"true\":4}");
    assert_refused(STR("\x81\x90\x01"));
    assert_refused(STR("\x81\x80\x01"));
    assert_refused(STR("\x81\xc4\x00\x01"));
    assert_refused(STR("\x81\xd4\x00\x00\x01"));
}

static void bytes_that_are_cut_off_are_refused(void **state)
{
    static const struct str whole[] = {
        STR("\xcd\x01\x00"),
        STR("\xcf\x00\x00\x00\x01\x00\x00\x00\x00"),
        STR("\xca\x00\x00\x00\x00"),
        STR("\xcb\x00\x00\x00\x00\x00\x00\x00\x00"),
        STR("\xa2xy"),
        STR("\xd9\x02xy"),
        STR("\xda\x00\x02xy"),
        STR("\xc6\x00\x00\x00\x02xy"),
        STR("\x92\x01\x02"),
        STR("\xdc\x00\x02\x01\x02"),
        STR("\x81\xa1x\x01"),
        STR("\xc8\x00\x01\x05x"),
        STR("\xd8\x00"
            "0123456789abcdef"),
    };
    (void)state;

    for (size_t i = 0; i < COUNT(whole); i++) {
        struct buf json = as_json(whole[i], 10, MSGPACK_GOOD);
        buf_free(&json);
        for (size_t size = 0; size < whole[i].size; size++) {
            struct msgpack_reader reader = msgpack_reader_of(str_of(whole[i].at, size));
            assert_refused(str_of(whole[i].at, size));
            assert_false(msgpack_skip(&reader));
        }
    }
    assert_refused(STR("\xc1"));
    assert_refused(STR("\xdd\xff\xff\xff\xff\x01"));
    assert_refused(STR("\xdf\xff\xff\xff\xff\x01\x01"));
    assert_refused(STR("\xdb\xff\xff\xff\xffx"));
}

static void nesting_has_a_limit(void **state)
{
    struct buf bytes = repeated(STR(""), STR("\x91"), JSON_DEPTH_MAX);
    (void)state;

    buf_add_byte(&bytes, 1);
    struct buf json = as_json(buf_str(&bytes), 0, MSGPACK_GOOD);
    assert_true(json_check(buf_str(&json)));
    buf_free(&json);
    bytes.at[bytes.size - 1] = (char)0x91;
    buf_add_byte(&bytes, 1);
    assert_refused(buf_str(&bytes));
    struct msgpack_reader reader = msgpack_reader_of(buf_str(&bytes));
    assert_true(msgpack_skip(&reader));
    buf_free(&bytes);
}

/* --- from JSON --------------------------------------------------------------------------------- */

static void placeholders_become_binary_values(void **state)
{
    static const struct str bins[] = {STR("ab"), STR("")};
    static const struct {
        const char *json;
        struct str bytes;
    } cases[] = {
        {"[{\"_placeholder\":true,\"num\":0}]", STR("\x91\xc4\x02"
                                                    "ab")},
        {"{\"num\":1,\"_placeholder\":true}",   STR("\xc4\x00")                                         },
        {"{\"_placeholder\":true}",             STR("\x81\xac"
                                        "_placeholder\xc3")          },
        {"{\"_placeholder\":1}",                STR("\x81\xac"
                                     "_placeholder\x01")                },
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf packed;
        buf_init(&packed, SIZE_MAX);
        assert_true(msgpack_from_json(&packed, str_from(cases[i].json), bins, 2));
        assert_int_equal(packed.size, cases[i].bytes.size);
        assert_memory_equal(packed.at, cases[i].bytes.at, packed.size);
        buf_free(&packed);
    }
    assert_packed("{\"_placeholder\":true,\"num\":0}", STR("\x82\xac"
                                                           "_placeholder\xc3\xa3"
                                                           "num\x00"));
}

static void whole_numbers_are_integers_however_they_are_spelled(void **state)
{
    (void)state;
    assert_packed("1.0", STR("\x01"));
    assert_packed("1e2", STR("\x64"));
    assert_packed("-0", STR("\x00"));
    assert_packed("9223372036854775808", STR("\xcf\x80\x00\x00\x00\x00\x00\x00\x00"));
    assert_packed("18446744073709551616", STR("\xcb\x43\xf0\x00\x00\x00\x00\x00\x00"));
    assert_packed("-1e19", STR("\xcb\xc3\xe1\x58\xe4\x60\x91\x3d\x00"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_have_one_shortest_form),
        cmocka_unit_test(lengths_have_their_shortest_form),
        cmocka_unit_test(longer_forms_than_needed_are_read),
        cmocka_unit_test(what_json_has_no_word_for_is_as_javascript_says),
        cmocka_unit_test(dates_are_their_iso_text),
        cmocka_unit_test(binary_values_are_placeholders),
        cmocka_unit_test(binary_values_are_counted),
        cmocka_unit_test(keys_that_are_no_text_become_text),
        cmocka_unit_test(bytes_that_are_cut_off_are_refused),
        cmocka_unit_test(nesting_has_a_limit),
        cmocka_unit_test(placeholders_become_binary_values),
        cmocka_unit_test(whole_numbers_are_integers_however_they_are_spelled),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
