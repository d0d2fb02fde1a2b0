#include "engineio/payload_v3.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The cases are those of the reference's parser: vectors/engine-io-v3-parser.json. */

enum {
    PACKETS_MAX = 3,
};

struct expected {
    enum eio_packet_type type;
    enum frame_kind kind;
    struct str data;
};

/* A copy on the heap, so that AddressSanitizer sees its borders. */
static uint8_t *copy_of(struct str text)
{
    uint8_t *bytes = malloc(text.size + (text.size == 0));

    memcpy(bytes, text.at, text.size);
    return bytes;
}

static void assert_str(struct str got, struct str expected)
{
    assert_int_equal(got.size, expected.size);
    assert_memory_equal(got.at, expected.at, expected.size);
}

static void check_packet(const struct eio_packet *packet, const struct expected *expected)
{
    assert_int_equal(packet->type, expected->type);
    if (packet->type == EIO_PACKET_ERROR)
        return;
    assert_int_equal(packet->kind, expected->kind);
    assert_str(str_of(packet->data, packet->size), expected->data);
}

static void decodes_packets(void **state)
{
    static const struct {
        enum frame_kind kind;
        struct str input;
        struct expected packet;
    } cases[] = {
        {FRAME_TEXT,   STR("4hello"),   {EIO_PACKET_MESSAGE, FRAME_TEXT, STR("hello")}   },
        {FRAME_TEXT,   STR("2probe"),   {EIO_PACKET_PING, FRAME_TEXT, STR("probe")}      },
        {FRAME_TEXT,   STR("4"),        {EIO_PACKET_MESSAGE, FRAME_TEXT, STR("")}        },
        {FRAME_TEXT,   STR("b4AQID"),   {EIO_PACKET_MESSAGE, FRAME_BINARY, STR("\1\2\3")}},
        {FRAME_TEXT,   STR("b4"),       {EIO_PACKET_MESSAGE, FRAME_BINARY, STR("")}      },
        {FRAME_TEXT,   STR("b"),        {EIO_PACKET_NOOP, FRAME_BINARY, STR("")}         },
        {FRAME_TEXT,   STR("b7AQID"),   {EIO_PACKET_NOOP, FRAME_BINARY, STR("\1\2\3")}   },
        {FRAME_TEXT,   STR(""),         {EIO_PACKET_ERROR, FRAME_TEXT, STR("")}          },
        {FRAME_TEXT,   STR("7"),        {EIO_PACKET_ERROR, FRAME_TEXT, STR("")}          },
        {FRAME_TEXT,   STR("x"),        {EIO_PACKET_ERROR, FRAME_TEXT, STR("")}          },
        {FRAME_BINARY,
         STR("\x04\x01\x02\x03"),
         {EIO_PACKET_MESSAGE, FRAME_BINARY, STR("\1\2\3")}                               },
        {FRAME_BINARY, STR("\x00"),     {EIO_PACKET_OPEN, FRAME_BINARY, STR("")}         },
        {FRAME_BINARY, STR("\x06\x01"), {EIO_PACKET_NOOP, FRAME_BINARY, STR("\1")}       },
        {FRAME_BINARY, STR("\x07\x01"), {EIO_PACKET_NOOP, FRAME_BINARY, STR("\1")}       },
        {FRAME_BINARY, STR("\x09\xff"), {EIO_PACKET_NOOP, FRAME_BINARY, STR("\xff")}     },
        {FRAME_BINARY, STR("4x"),       {EIO_PACKET_NOOP, FRAME_BINARY, STR("x")}        },
        {FRAME_BINARY, STR(""),         {EIO_PACKET_NOOP, FRAME_BINARY, STR("")}         },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *bytes = copy_of(cases[i].input);
        struct eio_packet packet;

        eio_v3_packet_decode(cases[i].kind, bytes, cases[i].input.size, &packet);
        check_packet(&packet, &cases[i].packet);
        free(bytes);
    }
}

struct payload_case {
    struct str input;
    struct expected packets[PACKETS_MAX];
    size_t count;
};

static void check_payloads(enum frame_kind form, const struct payload_case *cases, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        uint8_t *bytes = copy_of(cases[i].input);
        struct eio_payload payload;
        struct eio_packet packet;

        eio_v3_payload_begin(&payload, form, bytes, cases[i].input.size);
        for (size_t j = 0; j < cases[i].count; j++) {
            assert_true(eio_v3_payload_next(&payload, &packet));
            check_packet(&packet, &cases[i].packets[j]);
        }
        assert_false(eio_v3_payload_next(&payload, &packet));
        free(bytes);
    }
}

#define TEXT(text)                                                                             \
    {                                                                                          \
        EIO_PACKET_MESSAGE, FRAME_TEXT, STR(text)                                              \
    }
#define BINARY(bytes)                                                                          \
    {                                                                                          \
        EIO_PACKET_MESSAGE, FRAME_BINARY, STR(bytes)                                           \
    }
#define FAULT                                                                                  \
    {                                                                                          \
        EIO_PACKET_ERROR, FRAME_TEXT, STR("")                                                  \
    }

static void reads_text_bodies(void **state)
{
    static const struct payload_case cases[] = {
        {STR("2:4a"),         {TEXT("a")},                              1},
        {STR("2:4a3:4bc"),    {TEXT("a"), TEXT("bc")},                  2},
        {STR("1:6"),          {{EIO_PACKET_NOOP, FRAME_TEXT, STR("")}}, 1},
        {STR("2:4é"),        {TEXT("é")},                             1},
        {STR("2:4€2:4b"),   {TEXT("€"), TEXT("b")},                 2},
        {STR("3:4😀"),      {TEXT("😀")},                           1},
        {STR("3:4😀2:4b"),  {TEXT("😀"), TEXT("b")},                2},
        {STR("6:b4AQID"),     {BINARY("\1\2\3")},                       1},
        {STR("6:b4AQID2:4a"), {BINARY("\1\2\3"), TEXT("a")},            2},
        {STR("4:4a:b"),       {TEXT("a:b")},                            1},
    };
    (void)state;

    check_payloads(FRAME_TEXT, cases, sizeof(cases) / sizeof(cases[0]));
}

/* "0:" is no packet; a length is whatever Number() makes of it. */
static void reads_odd_lengths_as_the_reference(void **state)
{
    static const struct payload_case cases[] = {
        {STR("0:"),       {{0}},                                    0},
        {STR("-0:"),      {{0}},                                    0},
        {STR(" :"),       {{0}},                                    0},
        {STR("2:4a0:"),   {TEXT("a")},                              1},
        {STR("0:2:4a"),   {TEXT("a")},                              1},
        {STR("2.0:4a"),   {TEXT("a")},                              1},
        {STR(" 2:4a"),    {TEXT("a")},                              1},
        {STR("02:4a"),    {TEXT("a")},                              1},
        {STR("0x2:4a"),   {TEXT("a")},                              1},
        {STR("1e0:6"),    {{EIO_PACKET_NOOP, FRAME_TEXT, STR("")}}, 1},
        {STR("20e-1:4a"), {TEXT("a")},                              1},
    };
    (void)state;

    check_payloads(FRAME_TEXT, cases, sizeof(cases) / sizeof(cases[0]));
}

static void ends_text_bodies_at_a_fault(void **state)
{
    static const struct payload_case cases[] = {
        {STR(""),                        {FAULT},            1},
        {STR("a"),                       {FAULT},            1},
        {STR("5:4a"),                    {FAULT},            1},
        {STR("2:4ax"),                   {TEXT("a"), FAULT}, 2},
        {STR("x:4a"),                    {FAULT},            1},
        {STR("1:9"),                     {FAULT},            1},
        {STR(":4a"),                     {FAULT},            1},
        {STR("-1:4"),                    {FAULT},            1},
        {STR("1.5:4a"),                  {FAULT},            1},
        {STR("Infinity:4a"),             {FAULT},            1},
        {STR("1e400:4a"),                {FAULT},            1},
        {STR("18446744073709551616:4a"), {FAULT},            1},
        {STR("2:4😀"),                 {FAULT},            1},
        {STR("3:4€"),                  {FAULT},            1},
        {STR("2:4a:"),                   {TEXT("a"), FAULT}, 2},
    };
    (void)state;

    check_payloads(FRAME_TEXT, cases, sizeof(cases) / sizeof(cases[0]));
}

static void reads_binary_bodies(void **state)
{
    static const struct payload_case cases[] = {
        {STR("\x00\x02\xff"
             "4a"),
         {TEXT("a")},
         1                                                                                          },
        {STR("\x01\x04\xff\x04\x01\x02\x03"),        {BINARY("\1\2\3")},                           1},
        {STR("\x00\x03\xff"
             "4é"),
         {TEXT("é")},
         1                                                                                          },
        {STR("\x00\x02\xff"
             "4a\x01\x03\xff\x04\x01\x02"),
         {TEXT("a"), BINARY("\1\2")},
         2                                                                                          },
        {STR("\x00\x01\x00\xff"
             "4123456789"),
         {TEXT("123456789")},
         1                                                                                          },
        {STR(""),                                    {{0}},                                        0},
        {STR("\x00\x02\xff"
             "4"),
         {TEXT("")},
         1                                                                                          },
        {STR("\x00\x06\xff"
             "b4AQID"),
         {BINARY("\1\2\3")},
         1                                                                                          },
        {STR("\x01\x02\xff\x09\x01"),                {{EIO_PACKET_NOOP, FRAME_BINARY, STR("\1")}}, 1},
    };
    (void)state;

    check_payloads(FRAME_BINARY, cases, sizeof(cases) / sizeof(cases[0]));
}

static void ends_binary_bodies_at_a_fault(void **state)
{
    static const struct payload_case cases[] = {
        {STR("\x00"),            {FAULT}, 1},
        {STR("\x00\x02"),        {FAULT}, 1},
        {STR("\x00\xff"),        {FAULT}, 1},
        {STR("\x00\x0a\xff"
             "4a"),
         {FAULT},
         1                                 },
        {STR("\x00\x02\xff"
             "4\xff"),
         {FAULT},
         1                                 },
        {STR("\x00\x00\xff"),    {FAULT}, 1},
        {STR("2:4a"),            {FAULT}, 1},
        {STR("\x00\x02\xff"
             "4a\x00"),
         {TEXT("a"), FAULT},
         2                                 },
    };
    (void)state;

    check_payloads(FRAME_BINARY, cases, sizeof(cases) / sizeof(cases[0]));
}

static void bounds_the_digits_of_a_binary_length(void **state)
{
    uint8_t bytes[400];
    struct eio_payload payload;
    struct eio_packet packet;
    (void)state;

    memset(bytes, 0, sizeof(bytes));
    for (size_t digits = 310; digits <= 311; digits++) {
        bytes[digits] = 1;
        bytes[digits + 1] = 255;
        bytes[digits + 2] = '4';
        eio_v3_payload_begin(&payload, FRAME_BINARY, bytes, digits + 3);
        assert_true(eio_v3_payload_next(&payload, &packet));
        assert_int_equal(packet.type, digits == 310 ? EIO_PACKET_MESSAGE : EIO_PACKET_ERROR);
        bytes[digits] = 0;
    }
}

static struct frame *text_frame(struct str text)
{
    return eio_packet_frame(EIO_PACKET_MESSAGE, text);
}

static struct frame *binary_frame(struct str bytes)
{
    struct frame *frame = frame_new(FRAME_BINARY, bytes.size);

    memcpy(frame_payload(frame), bytes.at, bytes.size);
    return frame;
}

static void spells_binary_messages(void **state)
{
    struct frame *binary = binary_frame(STR("\1\2\3"));
    struct frame *typed = eio_v3_packet_typed(binary);
    struct frame *base64 = eio_v3_packet_base64(binary);
    (void)state;

    assert_int_equal(frame_kind(typed), FRAME_BINARY);
    assert_str(frame_body(typed), STR("\4\1\2\3"));
    assert_int_equal(frame_kind(base64), FRAME_TEXT);
    assert_str(frame_body(base64), STR("b4AQID"));
    frame_unref(base64);
    frame_unref(typed);
    frame_unref(binary);
}

/* Takes the frames over. */
static void check_encoded(struct frame **frames, size_t count, enum frame_kind takes,
                          enum frame_kind form, struct str expected)
{
    struct frame *body = eio_v3_payload_encode(frames, count, &takes);

    assert_int_equal(takes, form);
    assert_int_equal(frame_kind(body), FRAME_RAW);
    assert_str(frame_body(body), expected);
    frame_unref(body);
    for (size_t i = 0; i < count; i++)
        frame_unref(frames[i]);
}

static void writes_text_bodies(void **state)
{
    (void)state;

    check_encoded((struct frame *[]){text_frame(STR("a"))}, 1, FRAME_BINARY, FRAME_TEXT,
                  STR("2:4a"));
    check_encoded((struct frame *[]){text_frame(STR("é")), text_frame(STR("😀x"))}, 2,
                  FRAME_BINARY, FRAME_TEXT, STR("2:4é4:4😀x"));
    check_encoded((struct frame *[]){text_frame(STR("a")), binary_frame(STR("\1\2"))}, 2,
                  FRAME_TEXT, FRAME_TEXT, STR("2:4a6:b4AQI="));
    check_encoded((struct frame *[]){eio_packet_frame(EIO_PACKET_NOOP, STR(""))}, 1,
                  FRAME_BINARY, FRAME_TEXT, STR("1:6"));
}

static void writes_binary_bodies_when_a_packet_is_binary(void **state)
{
    (void)state;

    check_encoded((struct frame *[]){text_frame(STR("a")), binary_frame(STR("\1\2"))}, 2,
                  FRAME_BINARY, FRAME_BINARY,
                  STR("\x00\x02\xff"
                      "4a\x01\x03\xff\x04\x01\x02"));
    check_encoded((struct frame *[]){text_frame(STR("é€")), binary_frame(STR("\xff"))}, 2,
                  FRAME_BINARY, FRAME_BINARY,
                  STR("\x00\x06\xff"
                      "4é€\x01\x02\xff\x04\xff"));
    check_encoded((struct frame *[]){text_frame(STR("123456789")), binary_frame(STR(""))}, 2,
                  FRAME_BINARY, FRAME_BINARY,
                  STR("\x00\x01\x00\xff"
                      "4123456789\x01\x01\xff\x04"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_packets),
        cmocka_unit_test(reads_text_bodies),
        cmocka_unit_test(reads_odd_lengths_as_the_reference),
        cmocka_unit_test(ends_text_bodies_at_a_fault),
        cmocka_unit_test(reads_binary_bodies),
        cmocka_unit_test(ends_binary_bodies_at_a_fault),
        cmocka_unit_test(bounds_the_digits_of_a_binary_length),
        cmocka_unit_test(spells_binary_messages),
        cmocka_unit_test(writes_text_bodies),
        cmocka_unit_test(writes_binary_bodies_when_a_packet_is_binary),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
