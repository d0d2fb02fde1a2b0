#include "net/frame.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>

#include <cmocka.h>

/* Each length form of RFC 6455, 5.2, and both sides of its borders. */
static void header_matches_length(void **state)
{
    static const struct {
        size_t size;
        uint8_t header[10];
        size_t header_size;
    } cases[] = {
        {0,     {0x81, 0},                           2 },
        {125,   {0x81, 125},                         2 },
        {126,   {0x81, 126, 0, 126},                 4 },
        {65535, {0x81, 126, 0xff, 0xff},             4 },
        {65536, {0x81, 127, 0, 0, 0, 0, 0, 1, 0, 0}, 10},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame *frame = frame_new(FRAME_TEXT, cases[i].size);
        size_t size;
        const uint8_t *wire = frame_wire(frame, &size);

        assert_int_equal(size, cases[i].header_size + cases[i].size);
        assert_memory_equal(wire, cases[i].header, cases[i].header_size);
        frame_unref(frame);
    }
}

static void payload_follows_header(void **state)
{
    struct frame *frame = frame_new(FRAME_BINARY, 5);
    size_t size;
    (void)state;

    memcpy(frame_payload(frame), "hello", 5);
    assert_memory_equal(frame_wire(frame, &size), "\x82\x05hello", 7);
    assert_int_equal(size, 7);
    frame_unref(frame);
}

static void raw_frame_has_no_header(void **state)
{
    struct frame *frame = frame_new(FRAME_RAW, 200);
    size_t size;
    (void)state;

    memset(frame_payload(frame), 'x', 200);
    assert_int_equal(frame_wire(frame, &size)[0], 'x');
    assert_int_equal(size, 200);
    assert_int_equal(frame_body(frame).size, 200);
    assert_int_equal(frame_kind(frame), FRAME_RAW);
    frame_unref(frame);
}

/* Run under AddressSanitizer: a frame freed early or never shows there. */
static void lives_until_last_reference(void **state)
{
    struct frame *frame = frame_new(FRAME_TEXT, 1);
    (void)state;

    frame_ref(frame);
    frame_unref(frame);
    *frame_payload(frame) = 'x';
    frame_unref(frame);
}

static void refuses_sizes_that_overflow(void **state)
{
    (void)state;
    assert_null(frame_new(FRAME_TEXT, SIZE_MAX - 4));
}

static struct frame *shout(const struct frame *frame)
{
    struct frame *made = frame_new(FRAME_TEXT, frame_body(frame).size + 1);

    memcpy(frame_payload(made), frame_body(frame).at, frame_body(frame).size);
    frame_payload(made)[frame_body(frame).size] = '!';
    return made;
}

static struct frame *no_memory(const struct frame *frame)
{
    (void)frame;
    return NULL;
}

static void makes_each_spelling_once(void **state)
{
    struct frame *frame = frame_new(FRAME_TEXT, 2);
    (void)state;

    memcpy(frame_payload(frame), "hi", 2);
    struct frame *first = frame_spelled(frame, 1, shout);
    struct frame *second = frame_spelled(frame, 2, shout);
    assert_memory_equal(frame_body(first).at, "hi!", 3);
    assert_ptr_not_equal(first, second);
    assert_ptr_equal(frame_spelled(frame, 1, no_memory), first);
    assert_ptr_equal(frame_spelled(frame, 2, no_memory), second);
    assert_null(frame_spelled(frame, 3, no_memory));
    frame_unref(frame);
}

/* Run under AddressSanitizer. */
static void spelling_outlives_its_frame_while_someone_sends_it(void **state)
{
    struct frame *frame = frame_new(FRAME_TEXT, 1);
    (void)state;

    *frame_payload(frame) = 'x';
    struct frame *queued = frame_ref(frame_spelled(frame, 1, shout));
    frame_spelled(frame, 2, shout);
    frame_unref(frame);
    assert_memory_equal(frame_body(queued).at, "x!", 2);
    frame_unref(queued);
}

/* Run under AddressSanitizer. */
static void spelling_has_spellings_of_its_own(void **state)
{
    struct frame *frame = frame_new(FRAME_TEXT, 1);
    (void)state;

    *frame_payload(frame) = 'x';
    struct frame *first = frame_spelled(frame, 1, shout);
    struct frame *second = frame_spelled(frame, 2, shout);
    struct frame *inner = frame_spelled(first, 2, shout);
    assert_memory_equal(frame_body(inner).at, "x!!", 3);
    assert_ptr_not_equal(inner, second);
    assert_ptr_equal(frame_find_spelling(first, 2), inner);
    assert_null(frame_find_spelling(second, 2));
    assert_ptr_equal(frame_find_spelling(frame, 2), second);
    frame_unref(frame);
}

static void first_of_two_equal_spellings_is_kept(void **state)
{
    struct frame *frame = frame_new(FRAME_TEXT, 1);
    struct frame *first = frame_keep_spelling(frame, 3, frame_new(FRAME_TEXT, 2));
    (void)state;

    assert_ptr_equal(frame_keep_spelling(frame, 3, frame_new(FRAME_TEXT, 4)), first);
    assert_int_equal(frame_body(first).size, 2);
    frame_unref(frame);
}

static void trimming_moves_the_header(void **state)
{
    static const size_t sizes[] = {65536, 65535, 126, 125, 0};
    struct frame *frame = frame_new(FRAME_BINARY, 70000);
    struct frame *fresh;
    (void)state;

    for (size_t i = 0; i < 70000; i++)
        frame_payload(frame)[i] = (uint8_t)i;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        size_t size, fresh_size;

        frame = frame_trim(frame, sizes[i]);
        fresh = frame_new(FRAME_BINARY, sizes[i]);
        memcpy(frame_payload(fresh), frame_body(frame).at, sizes[i]);
        const uint8_t *wire = frame_wire(frame, &size);
        const uint8_t *fresh_wire = frame_wire(fresh, &fresh_size);
        assert_int_equal(size, fresh_size);
        assert_memory_equal(wire, fresh_wire, fresh_size);
        assert_true(sizes[i] < 100 || frame_body(frame).at[99] == 99);
        frame_unref(fresh);
    }
    frame_unref(frame);
}

static void marks_show_in_the_header_or_only_to_us(void **state)
{
    struct frame *frame = frame_new(FRAME_TEXT, 3);
    size_t size;
    (void)state;

    assert_false(frame_is_plain(frame));
    frame_keep_plain(frame);
    assert_true(frame_is_plain(frame));
    assert_int_equal(frame_wire(frame, &size)[0], 0x81);
    frame_mark_deflated(frame);
    assert_int_equal(frame_wire(frame, &size)[0], 0xc1);
    assert_int_equal(size, 5);
    frame_unref(frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(header_matches_length),
        cmocka_unit_test(payload_follows_header),
        cmocka_unit_test(raw_frame_has_no_header),
        cmocka_unit_test(lives_until_last_reference),
        cmocka_unit_test(refuses_sizes_that_overflow),
        cmocka_unit_test(makes_each_spelling_once),
        cmocka_unit_test(spelling_outlives_its_frame_while_someone_sends_it),
        cmocka_unit_test(spelling_has_spellings_of_its_own),
        cmocka_unit_test(first_of_two_equal_spellings_is_kept),
        cmocka_unit_test(trimming_moves_the_header),
        cmocka_unit_test(marks_show_in_the_header_or_only_to_us),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
