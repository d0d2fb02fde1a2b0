#include "base/base64.h"
#include "base/buf.h"
#include "base/log.h"
#include "base/random.h"
#include "base/utf8.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* --- buf ----------------------------------------------------------------------------------- */

static void buf_takes_its_maximum_and_not_a_byte_more(void **state)
{
    struct buf buf;
    char byte = 'x';
    (void)state;

    buf_init(&buf, 100);
    for (int i = 0; i < 100; i++)
        assert_true(buf_add(&buf, &byte, 1));
    assert_false(buf_add(&buf, &byte, 1));
    assert_true(buf_failed(&buf));
    assert_int_equal(buf.size, 100);
    assert_false(buf_add_byte(&buf, 'y')); /* a failure stays one until reset */
    buf_reset(&buf);
    assert_true(buf_printf(&buf, "%d-%s", 42, "x"));
    assert_true(buf_add_u64(&buf, UINT64_MAX));
    assert_true(str_equal(buf_str(&buf), STR("42-x18446744073709551615")));
    buf_consume(&buf, 5);
    assert_int_equal(buf.at[0], '8');
    buf_free(&buf);
}

static void buf_hands_its_bytes_on_with_a_nul_behind(void **state)
{
    struct buf buf;
    size_t size;
    (void)state;

    buf_init(&buf, 64);
    for (int i = 0; i < 64; i++)
        buf_add_byte(&buf, 'x');
    char *bytes = buf_steal(&buf, &size);
    assert_int_equal(size, 64);
    assert_int_equal(bytes[64], '\0');
    free(bytes);
    bytes = buf_steal(&buf, &size);
    assert_int_equal(size, 0);
    assert_string_equal(bytes, "");
    free(bytes);
}

/* --- base64 -------------------------------------------------------------------------------- */

/* What Node 20's Buffer.from(text, "base64") gives. */
static void base64_decodes_as_node_does(void **state)
{
    static const struct {
        const char *text, *bytes;
    } cases[] = {
        {"",                 ""        },
        {"Y",                ""        },
        {"YW",               "a"       },
        {"YWJ",              "ab"      },
        {"YWJj",             "abc"     },
        {"YQ==YQ==",         "a"       },
        {"YQ=YQ",            "a"       },
        {"YW J\nj",          "abc"     },
        {"=YWJj",            ""        },
        {"Y=W=J=j",          ""        },
        {"YWJjZ",            "abc"     },
        {"%%YW%%Jj",         "abc"     },
        {"YWJj\xc3\xa9",     "abc"     },
        {"YWJjYWJj====YWJj", "abcabc"  },
        {"-_8=",             "\xfb\xff"},
        {"+/8",              "\xfb\xff"},
    };
    uint8_t out[32];
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        size_t size = base64_decode(out, cases[i].text, strlen(cases[i].text));
        assert_int_equal(size, strlen(cases[i].bytes));
        assert_memory_equal(out, cases[i].bytes, size);
    }
}

static void base64_encodes_every_length_and_decodes_it_in_place(void **state)
{
    uint8_t bytes[64];
    char text[128];
    (void)state;

    for (size_t size = 0; size < sizeof(bytes); size++) {
        for (size_t i = 0; i < size; i++)
            bytes[i] = (uint8_t)(i * 37 + size);
        base64_encode(text, bytes, size);
        assert_int_equal(base64_decode((uint8_t *)text, text, base64_encoded_size(size)), size);
        assert_memory_equal(text, bytes, size);
    }
}

static void ids_are_twenty_url_safe_characters_that_differ(void **state)
{
    struct random random;
    char one[RANDOM_ID_SIZE], other[RANDOM_ID_SIZE];
    (void)state;

    random_init(&random);
    for (int i = 0; i < 1000; i++) {
        random_id(&random, one);
        random_id(&random, other);
        assert_memory_not_equal(one, other, RANDOM_ID_SIZE);
        for (int at = 0; at < RANDOM_ID_SIZE; at++)
            assert_non_null(
                memchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_",
                       one[at], 64));
    }
}

/* --- utf8 ---------------------------------------------------------------------------------- */

static void utf8_accepts_and_refuses_at_the_borders(void **state)
{
    static const struct {
        const char *text;
        bool valid;
    } cases[] = {
        {"",                                true },
        {"plain ascii, longer than a word", true },
        {"\xc2\x80",                        true },
        {"\xdf\xbf",                        true },
        {"\xe0\xa0\x80",                    true },
        {"\xed\x9f\xbf",                    true },
        {"\xee\x80\x80",                    true },
        {"\xf0\x90\x80\x80",                true },
        {"\xf4\x8f\xbf\xbf",                true },
        {"\x80",                            false},
        {"\xc0\xaf",                        false}, /* overlong */
        {"\xc1\xbf",                        false},
        {"\xe0\x9f\xbf",                    false},
        {"\xf0\x8f\xbf\xbf",                false},
        {"\xed\xa0\x80",                    false}, /* a surrogate */
        {"\xf4\x90\x80\x80",                false}, /* past U+10FFFF */
        {"\xf5\x80\x80\x80",                false},
        {"\xc2",                            false}, /* cut */
        {"\xf0\x90\x80",                    false},
        {"12345678\xff",                    false},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        assert_int_equal(utf8_valid(cases[i].text, strlen(cases[i].text)), cases[i].valid);
}

static void utf8_in_pieces_is_as_utf8_whole(void **state)
{
    static const char text[] = "a\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80 and some ascii";
    (void)state;

    for (size_t cut = 0; cut < sizeof(text); cut++) {
        uint32_t all =
            utf8_feed(utf8_feed(UTF8_START, text, cut), text + cut, sizeof(text) - 1 - cut);
        assert_true(cut == sizeof(text) - 1 || utf8_complete(all));
    }
    assert_false(utf8_complete(utf8_feed(UTF8_START, "\xe2\x82", 2)));
}

/* As Node's Buffer.toString(): one U+FFFD for each maximal part of a sequence. */
static void utf8_repair_replaces_maximal_parts(void **state)
{
    static const struct {
        const char *text, *repaired;
    } cases[] = {
        {"good \xc3\xa9",        "good \xc3\xa9"                       },
        {"\xff",                 "\xef\xbf\xbd"                        },
        {"a\xe2\x82",            "a\xef\xbf\xbd"                       },
        {"\xe2\x82z",            "\xef\xbf\xbdz"                       },
        {"\xf0\x9f\x98\xc3\xa9", "\xef\xbf\xbd\xc3\xa9"                },
        {"\xed\xa0\x80",         "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\xc0\x80",             "\xef\xbf\xbd\xef\xbf\xbd"            },
        {"a\x80"
         "b",           "a\xef\xbf\xbd"
         "b"                                     },
    };
    struct buf buf;
    (void)state;

    buf_init(&buf, 1000);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        buf_reset(&buf);
        assert_true(utf8_repair(&buf, str_from(cases[i].text)));
        assert_int_equal(buf.size, strlen(cases[i].repaired));
        assert_memory_equal(buf.at, cases[i].repaired, buf.size);
    }
    buf_free(&buf);
}

/* --- log ----------------------------------------------------------------------------------- */

static size_t logged(enum log_format format, struct str message, struct str value, char *to,
                     size_t size)
{
    int ends[2];

    assert_int_equal(pipe(ends), 0);
    struct log log = {.fd = ends[1], .level = LOG_INFO, .format = format};
    const struct log_field fields[] = {log_str("value", value), log_int("n", -5), LOG_END};
    log_debug(&log, "below the level", LOG_END);
    log_write_fields(&log, LOG_WARN, message, fields);
    close(ends[1]);

    size_t got = 0;
    ssize_t step;
    while ((step = read(ends[0], to + got, size - got)) > 0)
        got += (size_t)step;
    close(ends[0]);
    return got;
}

static void log_quotes_what_would_be_ambiguous(void **state)
{
    char line[512];
    (void)state;

    size_t size =
        logged(LOG_TEXT, STR("it happened"), STR("a \"b\"\n"), line, sizeof(line) - 1);
    line[size] = '\0';
    assert_string_equal(line + 24, " warn it happened value=\"a \\\"b\\\"\\n\" n=-5\n");

    size = logged(LOG_JSON, STR("it \"happened\""), STR("plain"), line, sizeof(line) - 1);
    line[size] = '\0';
    assert_string_equal(
        strstr(line, "\"level\""),
        "\"level\":\"warn\",\"msg\":\"it \\\"happened\\\"\",\"value\":\"plain\",\"n\":-5}\n");
}

static void log_lines_are_cut_and_stay_lines(void **state)
{
    static char text[2 * LOG_LINE_MAX], line[2 * LOG_LINE_MAX];
    (void)state;

    memset(text, '\n', sizeof(text));
    size_t size = logged(LOG_JSON, str_of(text, sizeof(text)), STR("v"), line, sizeof(line));
    assert_in_range(size, LOG_LINE_MAX / 2, LOG_LINE_MAX);
    assert_memory_equal(line + size - 3, "\"}\n", 3);

    memset(text, 'x', sizeof(text));
    size = logged(LOG_TEXT, STR("m"), str_of(text, sizeof(text)), line, sizeof(line));
    assert_in_range(size, LOG_LINE_MAX / 2, LOG_LINE_MAX);
    assert_memory_equal(line + size - 4, "…\n", 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(buf_takes_its_maximum_and_not_a_byte_more),
        cmocka_unit_test(buf_hands_its_bytes_on_with_a_nul_behind),
        cmocka_unit_test(base64_decodes_as_node_does),
        cmocka_unit_test(base64_encodes_every_length_and_decodes_it_in_place),
        cmocka_unit_test(ids_are_twenty_url_safe_characters_that_differ),
        cmocka_unit_test(utf8_accepts_and_refuses_at_the_borders),
        cmocka_unit_test(utf8_in_pieces_is_as_utf8_whole),
        cmocka_unit_test(utf8_repair_replaces_maximal_parts),
        cmocka_unit_test(log_quotes_what_would_be_ambiguous),
        cmocka_unit_test(log_lines_are_cut_and_stay_lines),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
