#include "json/json.h"

#include <float.h>
#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static void assert_buf(struct buf *text, struct str expected)
{
    assert_int_equal(text->size, expected.size);
    assert_memory_equal(buf_str(text).at, expected.at, expected.size);
    buf_free(text);
}

/* --- strings --------------------------------------------------------------------------------- */

static void strings_are_escaped_as_javascript_does(void **state)
{
    static const struct {
        struct str text, written;
    } cases[] = {
        {STR(""),                         STR("\"\"")                               },
        {STR("plain"),                    STR("\"plain\"")                          },
        {STR("\b\t\n\f\r\"\\/"),          STR("\"\\b\\t\\n\\f\\r\\\"\\\\/\"")       },
        {STR("\0\x1f\x20\x7f"),           STR("\"\\u0000\\u001f \x7f\"")            },
        {STR("\xc3\xa9"),                 STR("\"\xc3\xa9\"")                       },
        {STR("\xe2\x80\xa8"),             STR("\"\xe2\x80\xa8\"")                   },
        {STR("\xf0\x9f\x98\x80"),         STR("\"\xf0\x9f\x98\x80\"")               },
        {STR("12345678\n12345678\""),     STR("\"12345678\\n12345678\\\"\"")        },
        {STR("\xed\x9f\xbf"),             STR("\"\xed\x9f\xbf\"")                   },
        {STR("a\xed\xa0\x80z"),           STR("\"a\\ud800z\"")                      },
        {STR("\xed\xaf\xbf"),             STR("\"\\udbff\"")                        },
        {STR("\xed\xb0\x80"),             STR("\"\\udc00\"")                        },
        {STR("\xed\xbf\xbf"),             STR("\"\\udfff\"")                        },
        {STR("\xee\x80\x80"),             STR("\"\xee\x80\x80\"")                   },
        {STR("\xed\xa0\xbd\xed\xb8\x80"), STR("\"\xf0\x9f\x98\x80\"")               },
        {STR("\xed\xaf\xbf\xed\xbf\xbf"), STR("\"\xf4\x8f\xbf\xbf\"")               },
        {STR("\xed\xb8\x80\xed\xa0\xbd"), STR("\"\\ude00\\ud83d\"")                 },
        {STR("\xed\xa0\xbd\xed\xb8"),     STR("\"\\ud83d\xef\xbf\xbd\xef\xbf\xbd\"")},
        {STR("\xed\xa0\xbd\xed\x9f\xbf"), STR("\"\\ud83d\xed\x9f\xbf\"")            },
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf text;
        buf_init(&text, SIZE_MAX);
        assert_true(json_write_string(&text, cases[i].text));
        assert_buf(&text, cases[i].written);
    }
}

#define FFFD "\xef\xbf\xbd"

/* As many U+FFFD as a WHATWG decoder gives. */
static void bytes_that_are_not_utf8_are_replaced(void **state)
{
    static const struct {
        struct str text, written;
    } cases[] = {
        {STR("\x80"),             STR("\"" FFFD "\"")               },
        {STR("\xff"
             "a"),
         STR("\"" FFFD "a\"")                                       },
        {STR("\xc0\xaf"),         STR("\"" FFFD FFFD "\"")          },
        {STR("\xc1\xbf"),         STR("\"" FFFD FFFD "\"")          },
        {STR("\xc2"),             STR("\"" FFFD "\"")               },
        {STR("\xc2\x41"),         STR("\"" FFFD "A\"")              },
        {STR("\xe0\x9f\xbf"),     STR("\"" FFFD FFFD FFFD "\"")     },
        {STR("\xe2\x82"),         STR("\"" FFFD "\"")               },
        {STR("\xe2\x82\x41"),     STR("\"" FFFD "A\"")              },
        {STR("\xf0\x8f\xbf\xbf"), STR("\"" FFFD FFFD FFFD FFFD "\"")},
        {STR("\xf0\x9f\x98"),     STR("\"" FFFD "\"")               },
        {STR("\xf4\x8f\xbf\xbf"), STR("\"\xf4\x8f\xbf\xbf\"")       },
        {STR("\xf4\x90\x80\x80"), STR("\"" FFFD FFFD FFFD FFFD "\"")},
        {STR("\xf5\x80\x80\x80"), STR("\"" FFFD FFFD FFFD FFFD "\"")},
        {STR("\xed\xa0"),         STR("\"" FFFD FFFD "\"")          },
        {STR("\xed\xa0\x41"),     STR("\"" FFFD FFFD "A\"")         },
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf text;
        char *copy = malloc(cases[i].text.size);

        memcpy(copy, cases[i].text.at, cases[i].text.size);
        buf_init(&text, SIZE_MAX);
        assert_true(json_write_string(&text, str_of(copy, cases[i].text.size)));
        assert_buf(&text, cases[i].written);
        free(copy);
    }
}

static void strings_are_unescaped(void **state)
{
    static const struct {
        struct str raw, text;
    } cases[] = {
        {STR("\"\""),                                    STR("")                            },
        {STR("\"plain\""),                               STR("plain")                       },
        {STR("\"\\\"\\\\\\/\\b\\f\\n\\r\\t\""),          STR("\"\\/\b\f\n\r\t")             },
        {STR("\"\\u0000\\u007f\\u0080\\u07ff\\u0800\""),
         STR("\0\x7f\xc2\x80\xdf\xbf\xe0\xa0\x80")                                          },
        {STR("\"\\uFFFF\\uffff\""),                      STR("\xef\xbf\xbf\xef\xbf\xbf")    },
        {STR("\"\\ud83d\\ude00\""),                      STR("\xf0\x9f\x98\x80")            },
        {STR("\"\\uDBFF\\uDFFF\""),                      STR("\xf4\x8f\xbf\xbf")            },
        {STR("\"\\ud83d\""),                             STR("\xed\xa0\xbd")                },
        {STR("\"\\ud83dx\""),                            STR("\xed\xa0\xbd"
                                  "x")                         },
        {STR("\"\\ud83d\\n\""),                          STR("\xed\xa0\xbd\n")              },
        {STR("\"\\ud83d\\u0041\""),                      STR("\xed\xa0\xbd"
                                        "A")             },
        {STR("\"\\ude00\\ud83d\""),                      STR("\xed\xb8\x80\xed\xa0\xbd")    },
        {STR("\"\\ud83d\\ud83d\\ude00\""),               STR("\xed\xa0\xbd\xf0\x9f\x98\x80")},
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        struct buf text;
        buf_init(&text, SIZE_MAX);
        assert_true(json_string_decode(&text, cases[i].raw));
        assert_buf(&text, cases[i].text);
    }
}

static void strings_are_not_unescaped_past_the_maximum(void **state)
{
    struct buf text;
    (void)state;

    buf_init(&text, 4);
    assert_true(json_string_decode(&text, STR("\"ab\\n\\t\"")));
    buf_reset(&text);
    assert_false(json_string_decode(&text, STR("\"ab\\n\\tc\"")));
    buf_reset(&text);
    assert_false(json_string_decode(&text, STR("\"abc\\u00e9\"")));
    buf_reset(&text);
    assert_false(json_write_string(&text, STR("abc")));
    buf_free(&text);
}

/* --- numbers --------------------------------------------------------------------------------- */

static void assert_double(double number, const char *expected)
{
    struct buf text;

    buf_init(&text, SIZE_MAX);
    assert_true(json_write_double(&text, number));
    buf_add_byte(&text, '\0');
    assert_string_equal(text.at, expected);
    buf_free(&text);
}

static const struct {
    double number;
    const char *text;
} doubles[] = {
    {0.0,                     "0"                      },
    {1.0,                     "1"                      },
    {-1.0,                    "-1"                     },
    {0.1,                     "0.1"                    },
    {0.1 + 0.2,               "0.30000000000000004"    },
    {-1.5,                    "-1.5"                   },
    {1e20,                    "100000000000000000000"  },
    {123456789012345680000.0, "123456789012345680000"  },
    {999999999999999900000.0, "999999999999999900000"  },
    {1e21,                    "1e+21"                  },
    {-1.25e21,                "-1.25e+21"              },
    {0.000001,                "0.000001"               },
    {0.00000123,              "0.00000123"             },
    {1e-7,                    "1e-7"                   },
    {1.5e-7,                  "1.5e-7"                 },
    {9007199254740991.0,      "9007199254740991"       },
    {9007199254740992.0,      "9007199254740992"       },
    {0x1p60,                  "1152921504606847000"    },
    {0x1p-44,                 "5.684341886080802e-14"  }, /* nearest 16 digits read back wrong */
    {0x1p-1074,               "5e-324"                 },
    {0x1p-1073,               "1e-323"                 },
    {DBL_MIN,                 "2.2250738585072014e-308"},
    {0x0.fffffffffffffp-1022, "2.225073858507201e-308" },
    {DBL_MAX,                 "1.7976931348623157e+308"},
    {1.0 / 3,                 "0.3333333333333333"     },
    {2.0 / 3,                 "0.6666666666666666"     },
    {100.5,                   "100.5"                  },
    {4294967296.5,            "4294967296.5"           },
};

static void doubles_are_spelled_as_javascript_does(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(doubles); i++)
        assert_double(doubles[i].number, doubles[i].text);
    assert_double(-0.0, "0");
}

static void what_is_no_number_is_null(void **state)
{
    (void)state;
    assert_double(NAN, "null");
    assert_double(HUGE_VAL, "null");
    assert_double(-HUGE_VAL, "null");
}

static double real_of(const char *raw)
{
    int64_t integer = 0;
    double real = 0;

    return json_number_decode(str_from(raw), &integer, &real) ? (double)integer : real;
}

static void doubles_read_back_as_written(void **state)
{
    uint64_t seed = 1;
    (void)state;

    for (size_t i = 0; i < COUNT(doubles); i++)
        assert_true(real_of(doubles[i].text) == doubles[i].number);
    for (int i = 0; i < 20000; i++) {
        struct buf text;
        double number;

        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        memcpy(&number, &seed, sizeof(number));
        if (!isfinite(number))
            continue;
        buf_init(&text, SIZE_MAX);
        assert_true(json_write_double(&text, number));
        assert_true(text.size <= 25);
        buf_add_byte(&text, '\0');
        assert_true(real_of(text.at) == number);
        buf_free(&text);
    }
}

static void integers_are_told_from_reals(void **state)
{
    static const struct {
        const char *raw;
        bool is_integer;
        int64_t integer;
        double real;
    } cases[] = {
        {"0",                       true,  0,         0                     },
        {"-0",                      false, 0,         -0.0                  },
        {"-1",                      true,  -1,        0                     },
        {"9223372036854775807",     true,  INT64_MAX, 0                     },
        {"9223372036854775808",     false, 0,         9223372036854775808.0 },
        {"-9223372036854775808",    true,  INT64_MIN, 0                     },
        {"-9223372036854775809",    false, 0,         -9223372036854775808.0},
        {"1.0",                     false, 0,         1                     },
        {"1e3",                     false, 0,         1000                  },
        {"1E3",                     false, 0,         1000                  },
        {"-2.5e-1",                 false, 0,         -0.25                 },
        {"1e400",                   false, 0,         HUGE_VAL              },
        {"-1e400",                  false, 0,         -HUGE_VAL             },
        {"1e-400",                  false, 0,         0                     },
        {"0e99999999999999999999",  false, 0,         0                     },
        {"1e99999999999999999999",  false, 0,         HUGE_VAL              },
        {"1e-99999999999999999999", false, 0,         0                     },
    };
    (void)state;

    for (size_t i = 0; i < COUNT(cases); i++) {
        int64_t integer = 0;
        double real = 0;

        assert_int_equal(json_number_decode(str_from(cases[i].raw), &integer, &real),
                         cases[i].is_integer);
        assert_true(integer == cases[i].integer);
        assert_true(real == cases[i].real && signbit(real) == signbit(cases[i].real));
    }
}

/* 2^53 + 1 lies between two doubles: one digit however far behind decides. */
static void digits_far_behind_decide_a_tie(void **state)
{
    struct buf text;
    (void)state;

    buf_init(&text, SIZE_MAX);
    buf_add_str(&text, STR("9007199254740993."));
    memset(buf_extend(&text, 5000), '0', 5000);
    buf_add_str(&text, STR("0"));
    buf_add_byte(&text, '\0');
    assert_true(real_of(text.at) == 9007199254740992.0);
    text.at[text.size - 2] = '1';
    assert_true(real_of(text.at) == 9007199254740994.0);
    buf_free(&text);
}

static void exponents_make_up_for_long_digits(void **state)
{
    struct buf text;
    (void)state;

    buf_init(&text, SIZE_MAX);
    buf_add_str(&text, STR("0."));
    memset(buf_extend(&text, 5000), '0', 5000);
    buf_add_str(&text, STR("25e5001"));
    buf_add_byte(&text, '\0');
    assert_true(real_of(text.at) == 2.5);

    buf_reset(&text);
    buf_add_byte(&text, '1');
    memset(buf_extend(&text, 5000), '0', 5000);
    buf_add_str(&text, STR("e-5000"));
    buf_add_byte(&text, '\0');
    assert_true(real_of(text.at) == 1.0);
    buf_free(&text);
}

static void integers_are_written_whole(void **state)
{
    struct buf text;
    (void)state;

    buf_init(&text, SIZE_MAX);
    json_write_int(&text, 0);
    buf_add_byte(&text, ' ');
    json_write_int(&text, INT64_MAX);
    buf_add_byte(&text, ' ');
    assert_true(json_write_int(&text, INT64_MIN));
    assert_buf(&text, STR("0 9223372036854775807 -9223372036854775808"));
}

static void types_show_in_the_first_byte(void **state)
{
    (void)state;
    assert_int_equal(json_type_of(STR("null")), JSON_NULL);
    assert_int_equal(json_type_of(STR("false")), JSON_FALSE);
    assert_int_equal(json_type_of(STR("true")), JSON_TRUE);
    assert_int_equal(json_type_of(STR("-1")), JSON_NUMBER);
    assert_int_equal(json_type_of(STR("0")), JSON_NUMBER);
    assert_int_equal(json_type_of(STR("\"\"")), JSON_STRING);
    assert_int_equal(json_type_of(STR("[]")), JSON_ARRAY);
    assert_int_equal(json_type_of(STR("{}")), JSON_OBJECT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(strings_are_escaped_as_javascript_does),
        cmocka_unit_test(bytes_that_are_not_utf8_are_replaced),
        cmocka_unit_test(strings_are_unescaped),
        cmocka_unit_test(strings_are_not_unescaped_past_the_maximum),
        cmocka_unit_test(doubles_are_spelled_as_javascript_does),
        cmocka_unit_test(what_is_no_number_is_null),
        cmocka_unit_test(doubles_read_back_as_written),
        cmocka_unit_test(integers_are_told_from_reals),
        cmocka_unit_test(digits_far_behind_decide_a_tie),
        cmocka_unit_test(exponents_make_up_for_long_digits),
        cmocka_unit_test(integers_are_written_whole),
        cmocka_unit_test(types_show_in_the_first_byte),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
