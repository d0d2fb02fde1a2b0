#include "net/deflater.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum {
    LARGE = 300000,
};

static struct deflater *make(void)
{
    struct deflater *deflater =
        deflater_new(&(struct deflater_options){.threshold = 10, .level = 6});

    assert_non_null(deflater);
    return deflater;
}

static struct frame *text_frame(struct str text)
{
    struct frame *frame = frame_new(FRAME_TEXT, text.size);

    assert_non_null(frame);
    memcpy(frame_payload(frame), text.at, text.size);
    return frame;
}

/* Text that shrinks, but not to nothing. */
static char *large_text(void)
{
    char *text = malloc(LARGE);
    unsigned state = 1;

    for (size_t i = 0; i < LARGE; i++) {
        state = state * 1103515245 + 12345;
        text[i] = (char)('a' + (state >> 16) % 8);
    }
    return text;
}

static enum deflater_result inflate_to(struct deflater *deflater, struct str bytes, size_t max,
                                       struct str expected)
{
    uint8_t *out = NULL;
    size_t size = 0;
    /* in memory of exactly its size, so that a read outside it shows */
    char *copy = malloc(bytes.size ? bytes.size : 1);

    memcpy(copy, bytes.at, bytes.size);
    enum deflater_result result =
        deflater_inflate(deflater, str_of(copy, bytes.size), max, &out, &size);
    free(copy);
    if (result == DEFLATER_GOOD) {
        assert_int_equal(size, expected.size);
        assert_memory_equal(out, expected.at, size);
        free(out);
    }
    return result;
}

static void message_is_rfc_7692s_example(void **state)
{
    struct deflater *deflater = make();
    struct frame *hello = text_frame(STR("Hello"));
    struct frame *made = deflater_message(deflater, 15, hello);
    size_t size;
    const uint8_t *wire = frame_wire(made, &size);
    (void)state;

    assert_int_equal(size, 9);
    assert_memory_equal(wire, "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 9);
    frame_unref(made);
    /* nothing of the first message helps the second one: no context is kept */
    made = deflater_message(deflater, 15, hello);
    assert_memory_equal(frame_wire(made, &size), "\xc1\x07\xf2\x48\xcd\xc9\xc9\x07\x00", 9);
    frame_unref(made);
    frame_unref(hello);
    deflater_free(deflater);
}

static void message_comes_back_from_every_window(void **state)
{
    struct deflater *deflater = make();
    char *text = large_text();
    struct frame *frame = text_frame(str_of(text, LARGE));
    (void)state;

    for (int bits = DEFLATER_BITS_MIN; bits <= DEFLATER_BITS_MAX; bits++) {
        struct frame *made = deflater_message(deflater, bits, frame);
        assert_non_null(made);
        assert_true(frame_body(made).size < LARGE / 2);
        assert_int_equal(frame_kind(made), FRAME_TEXT);
        assert_int_equal(inflate_to(deflater, frame_body(made), LARGE, str_of(text, LARGE)),
                         DEFLATER_GOOD);
        frame_unref(made);
    }
    frame_unref(frame);
    free(text);
    deflater_free(deflater);
}

static void empty_message_is_one_byte(void **state)
{
    struct deflater *deflater = make();
    struct frame *empty = text_frame(STR(""));
    struct frame *made = deflater_message(deflater, 15, empty);
    (void)state;

    assert_int_equal(frame_body(made).size, 1);
    assert_memory_equal(frame_body(made).at, "\0", 1);
    assert_int_equal(inflate_to(deflater, frame_body(made), 0, STR("")), DEFLATER_GOOD);
    assert_int_equal(inflate_to(deflater, STR(""), 0, STR("")), DEFLATER_GOOD);
    frame_unref(made);
    frame_unref(empty);
    deflater_free(deflater);
}

/* RFC 7692, 7.2.3: the forms that a message may have. */
static void message_may_be_of_any_blocks(void **state)
{
    struct deflater *deflater = make();
    struct str hello = STR("Hello");
    (void)state;

    struct str fixed = STR("\xf2\x48\xcd\xc9\xc9\x07\x00");
    struct str stored = STR("\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00");
    struct str last = STR("\xf3\x48\xcd\xc9\xc9\x07\x00\x00");
    struct str last_without_padding = STR("\xf3\x48\xcd\xc9\xc9\x07\x00");
    struct str two = STR("\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00");
    assert_int_equal(inflate_to(deflater, fixed, 100, hello), DEFLATER_GOOD);
    assert_int_equal(inflate_to(deflater, stored, 100, hello), DEFLATER_GOOD);
    assert_int_equal(inflate_to(deflater, last, 100, hello), DEFLATER_GOOD);
    assert_int_equal(inflate_to(deflater, last_without_padding, 100, hello), DEFLATER_GOOD);
    assert_int_equal(inflate_to(deflater, two, 100, hello), DEFLATER_GOOD);
    deflater_free(deflater);
}

static void limit_is_of_what_a_message_becomes(void **state)
{
    struct deflater *deflater = make();
    struct str hello = STR("\xf2\x48\xcd\xc9\xc9\x07\x00");
    (void)state;

    assert_int_equal(inflate_to(deflater, hello, 5, STR("Hello")), DEFLATER_GOOD);
    assert_int_equal(inflate_to(deflater, hello, 4, STR("")), DEFLATER_TOO_LONG);
    deflater_free(deflater);
}

static void bomb_is_found_while_it_grows(void **state)
{
    struct deflater *deflater = make();
    struct frame *zeros = frame_new(FRAME_BINARY, 64 << 20);
    struct frame *bomb;
    (void)state;

    memset(frame_payload(zeros), 0, 64 << 20);
    bomb = deflater_message(deflater, 15, zeros);
    frame_unref(zeros);
    assert_true(frame_body(bomb).size < 70000);
    assert_int_equal(inflate_to(deflater, frame_body(bomb), 100000, STR("")),
                     DEFLATER_TOO_LONG);
    /* the state is good for the next message */
    assert_int_equal(
        inflate_to(deflater, STR("\xf2\x48\xcd\xc9\xc9\x07\x00"), 100, STR("Hello")),
        DEFLATER_GOOD);
    frame_unref(bomb);
    deflater_free(deflater);
}

static void corrupt_and_cut_messages_are_found(void **state)
{
    struct deflater *deflater = make();
    char *text = large_text();
    struct frame *frame = text_frame(str_of(text, 1000));
    struct frame *made = deflater_message(deflater, 15, frame);
    struct str whole = frame_body(made);
    (void)state;

    assert_int_equal(inflate_to(deflater, STR("\xff\xff\xff"), 1000, STR("")),
                     DEFLATER_CORRUPT);
    assert_int_equal(inflate_to(deflater, STR("\x06"), 1000, STR("")), DEFLATER_CORRUPT);
    for (size_t size = 20; size < whole.size - 1; size += 7)
        assert_int_equal(inflate_to(deflater, str_of(whole.at, size), 1000, str_of(text, 1000)),
                         DEFLATER_CORRUPT);
    assert_int_equal(inflate_to(deflater, whole, 1000, str_of(text, 1000)), DEFLATER_GOOD);
    frame_unref(made);
    frame_unref(frame);
    free(text);
    deflater_free(deflater);
}

static void body_is_gzip_or_zlib(void **state)
{
    struct deflater *deflater = make();
    char *text = large_text();
    uint8_t *back = malloc(LARGE);
    struct frame *gzip = deflater_body(deflater, DEFLATER_GZIP, str_of(text, LARGE));
    struct frame *zlib = deflater_body(deflater, DEFLATER_ZLIB, str_of(text, LARGE));
    (void)state;

    assert_int_equal(frame_kind(gzip), FRAME_RAW);
    assert_memory_equal(frame_body(gzip).at, "\x1f\x8b\x08", 3);
    assert_int_equal((uint8_t)frame_body(zlib).at[0], 0x78);
    assert_true(deflater_gunzip(frame_body(gzip), back, LARGE));
    assert_memory_equal(back, text, LARGE);
    assert_false(deflater_gunzip(frame_body(gzip), back, LARGE - 1));
    assert_false(deflater_gunzip(frame_body(zlib), back, LARGE));
    frame_unref(gzip);
    frame_unref(zlib);
    free(back);
    free(text);
    deflater_free(deflater);
}

static void what_is_worth_it_is_bounded_on_both_sides(void **state)
{
    struct deflater *deflater = make();
    (void)state;

    assert_false(deflater_worth(deflater, 9));
    assert_true(deflater_worth(deflater, 10));
    assert_true(deflater_worth(deflater, DEFLATER_WORTH_MAX));
    assert_false(deflater_worth(deflater, DEFLATER_WORTH_MAX + 1));
    deflater_free(deflater);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_is_rfc_7692s_example),
        cmocka_unit_test(message_comes_back_from_every_window),
        cmocka_unit_test(empty_message_is_one_byte),
        cmocka_unit_test(message_may_be_of_any_blocks),
        cmocka_unit_test(limit_is_of_what_a_message_becomes),
        cmocka_unit_test(bomb_is_found_while_it_grows),
        cmocka_unit_test(corrupt_and_cut_messages_are_found),
        cmocka_unit_test(body_is_gzip_or_zlib),
        cmocka_unit_test(what_is_worth_it_is_bounded_on_both_sides),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
