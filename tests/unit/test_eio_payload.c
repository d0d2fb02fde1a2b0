#include "engineio/payload.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

/* The cases are those of the reference's parser: vectors/engine-io-v4-parser.json. */

struct packet_case {
    struct str input;
    enum eio_packet_type type;
    struct str data;
};

static void assert_str(struct str got, struct str expected)
{
    assert_int_equal(got.size, expected.size);
    assert_memory_equal(got.at, expected.at, expected.size);
}

/* A copy on the heap, so that AddressSanitizer sees its borders. */
static uint8_t *copy_of(struct str text)
{
    uint8_t *bytes = malloc(text.size + (text.size == 0));

    memcpy(bytes, text.at, text.size);
    return bytes;
}

static void check_packet(const struct eio_packet *packet, enum eio_packet_type type,
                         enum frame_kind kind, struct str data)
{
    assert_int_equal(packet->type, type);
    if (type == EIO_PACKET_ERROR)
        return;
    assert_int_equal(packet->kind, kind);
    assert_str(str_of(packet->data, packet->size), data);
}

static void decodes_text_packets(void **state)
{
    static const struct packet_case cases[] = {
        {STR("0"),      EIO_PACKET_OPEN,    STR("")     },
        {STR("1"),      EIO_PACKET_CLOSE,   STR("")     },
        {STR("2"),      EIO_PACKET_PING,    STR("")     },
        {STR("2probe"), EIO_PACKET_PING,    STR("probe")},
        {STR("3"),      EIO_PACKET_PONG,    STR("")     },
        {STR("3probe"), EIO_PACKET_PONG,    STR("probe")},
        {STR("4"),      EIO_PACKET_MESSAGE, STR("")     },
        {STR("4hello"), EIO_PACKET_MESSAGE, STR("hello")},
        {STR("4é€"), EIO_PACKET_MESSAGE, STR("é€")},
        {STR("4\x1e"),  EIO_PACKET_MESSAGE, STR("\x1e") },
        {STR("5"),      EIO_PACKET_UPGRADE, STR("")     },
        {STR("6"),      EIO_PACKET_NOOP,    STR("")     },
        {STR("6x"),     EIO_PACKET_NOOP,    STR("x")    },
        {STR(""),       EIO_PACKET_ERROR,   STR("")     },
        {STR("7"),      EIO_PACKET_ERROR,   STR("")     },
        {STR("/"),      EIO_PACKET_ERROR,   STR("")     },
        {STR("a"),      EIO_PACKET_ERROR,   STR("")     },
        {STR("\x00"),   EIO_PACKET_ERROR,   STR("")     },
        {STR("\xff"),   EIO_PACKET_ERROR,   STR("")     },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *bytes = copy_of(cases[i].input);
        struct eio_packet packet;

        eio_packet_decode(FRAME_TEXT, bytes, cases[i].input.size, &packet);
        check_packet(&packet, cases[i].type, FRAME_TEXT, cases[i].data);
        free(bytes);
    }
}

static void decodes_base64_text_as_a_binary_message(void **state)
{
    static const struct packet_case cases[] = {
        {STR("bAQID"),   EIO_PACKET_MESSAGE, STR("\x01\x02\x03")},
        {STR("b"),       EIO_PACKET_MESSAGE, STR("")            },
        {STR("bAQ=="),   EIO_PACKET_MESSAGE, STR("\x01")        },
        {STR("bAQ"),     EIO_PACKET_MESSAGE, STR("\x01")        },
        {STR("bA"),      EIO_PACKET_MESSAGE, STR("")            },
        {STR("b!!!"),    EIO_PACKET_MESSAGE, STR("")            },
        {STR("bAQID\n"), EIO_PACKET_MESSAGE, STR("\x01\x02\x03")},
        {STR("b-_+/"),   EIO_PACKET_MESSAGE, STR("\xfb\xff\xbf")},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *bytes = copy_of(cases[i].input);
        struct eio_packet packet;

        eio_packet_decode(FRAME_TEXT, bytes, cases[i].input.size, &packet);
        check_packet(&packet, cases[i].type, FRAME_BINARY, cases[i].data);
        free(bytes);
    }
}

static void takes_binary_frames_as_messages_without_a_type_byte(void **state)
{
    static const struct str cases[] = {STR(""), STR("\x04"), STR("\xff\x00"), STR("b"),
                                       STR("7")};
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *bytes = copy_of(cases[i]);
        struct eio_packet packet;

        eio_packet_decode(FRAME_BINARY, bytes, cases[i].size, &packet);
        check_packet(&packet, EIO_PACKET_MESSAGE, FRAME_BINARY, cases[i]);
        free(bytes);
    }
}

struct expected {
    enum eio_packet_type type;
    enum frame_kind kind;
    struct str data;
};

enum {
    EXPECTED_MAX = 4,
};

static void splits_a_body_at_each_separator_up_to_the_first_error(void **state)
{
#define TEXT(text)                                                                             \
    {                                                                                          \
        EIO_PACKET_MESSAGE, FRAME_TEXT, STR(text)                                              \
    }
#define ERROR                                                                                  \
    {                                                                                          \
        EIO_PACKET_ERROR, FRAME_TEXT, STR("")                                                  \
    }
    static const struct {
        struct str body;
        size_t count;
        struct expected packets[EXPECTED_MAX];
    } cases[] = {
        {STR("4a"),          1, {TEXT("a")}           },
        {STR("4a\x1e"
             "4b"),
         2,                     {TEXT("a"), TEXT("b")}},
        {STR("2\x1e"
             "bAQID\x1e"
             "4x"),
         3,                     {{EIO_PACKET_PING, FRAME_TEXT, STR("")},
          {EIO_PACKET_MESSAGE, FRAME_BINARY, STR("\x01\x02\x03")},
          TEXT("x")}                       },
        {STR(""),            1, {ERROR}               },
        {STR("\x1e"),        1, {ERROR}               },
        {STR("4a\x1e"),      2, {TEXT("a"), ERROR}    },
        {STR("\x1e"
             "4a"),
         1,                     {ERROR}               },
        {STR("4a\x1ex\x1e"
             "4b"),
         2,                     {TEXT("a"), ERROR}    },
        {STR("4a\x1e\x1e"
             "4b"),
         2,                     {TEXT("a"), ERROR}    },
    };
#undef TEXT
#undef ERROR
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint8_t *bytes = copy_of(cases[i].body);
        struct eio_payload payload;
        struct eio_packet packet;

        eio_payload_begin(&payload, bytes, cases[i].body.size);
        for (size_t n = 0; n < cases[i].count; n++) {
            const struct expected *expected = &cases[i].packets[n];

            assert_true(eio_payload_next(&payload, &packet));
            check_packet(&packet, expected->type, expected->kind, expected->data);
        }
        assert_false(eio_payload_next(&payload, &packet));
        free(bytes);
    }
}

static void encodes_text_packets(void **state)
{
    static const struct packet_case cases[] = {
        {STR("0{\"sid\":\"x\"}"), EIO_PACKET_OPEN,    STR("{\"sid\":\"x\"}")},
        {STR("1"),                EIO_PACKET_CLOSE,   STR("")               },
        {STR("2probe"),           EIO_PACKET_PING,    STR("probe")          },
        {STR("3probe"),           EIO_PACKET_PONG,    STR("probe")          },
        {STR("4"),                EIO_PACKET_MESSAGE, STR("")               },
        {STR("4é€😀"),       EIO_PACKET_MESSAGE, STR("é€😀")      },
        {STR("5"),                EIO_PACKET_UPGRADE, STR("")               },
        {STR("6"),                EIO_PACKET_NOOP,    STR("")               },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame *frame = eio_packet_frame(cases[i].type, cases[i].data);

        assert_int_equal(frame_kind(frame), FRAME_TEXT);
        assert_str(frame_body(frame), cases[i].input);
        frame_unref(frame);
    }
}

static struct frame *binary_frame(struct str bytes)
{
    struct frame *frame = frame_new(FRAME_BINARY, bytes.size);

    memcpy(frame_payload(frame), bytes.at, bytes.size);
    return frame;
}

static void encodes_binary_as_base64_for_peers_without_binary(void **state)
{
    static const struct {
        struct str bytes;
        struct str text;
    } cases[] = {
        {STR(""),                 STR("b")        },
        {STR("\x01"),             STR("bAQ==")    },
        {STR("\x01\x02"),         STR("bAQI=")    },
        {STR("\x01\x02\x03"),     STR("bAQID")    },
        {STR("\x01\x02\x03\x04"), STR("bAQIDBA==")},
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct frame *binary = binary_frame(cases[i].bytes);
        struct frame *text = eio_packet_base64(binary);

        assert_int_equal(frame_kind(text), FRAME_TEXT);
        assert_str(frame_body(text), cases[i].text);
        frame_unref(text);
        frame_unref(binary);
    }
}

static void joins_packets_of_a_body_with_the_separator(void **state)
{
    struct frame *frames[] = {
        eio_packet_frame(EIO_PACKET_MESSAGE, STR("x")),
        binary_frame(STR("\x01\x02\x03\x04")),
        eio_packet_frame(EIO_PACKET_PING, STR("")),
    };
    static const struct str bodies[] = {STR("4x"),
                                        STR("4x\x1e"
                                            "bAQIDBA=="),
                                        STR("4x\x1e"
                                            "bAQIDBA==\x1e"
                                            "2")};
    (void)state;

    for (size_t count = 1; count <= 3; count++) {
        struct frame *body = eio_payload_encode(frames, count);

        assert_int_equal(frame_kind(body), FRAME_RAW);
        assert_str(frame_body(body), bodies[count - 1]);
        frame_unref(body);
    }
    for (size_t i = 0; i < 3; i++)
        frame_unref(frames[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(decodes_text_packets),
        cmocka_unit_test(decodes_base64_text_as_a_binary_message),
        cmocka_unit_test(takes_binary_frames_as_messages_without_a_type_byte),
        cmocka_unit_test(splits_a_body_at_each_separator_up_to_the_first_error),
        cmocka_unit_test(encodes_text_packets),
        cmocka_unit_test(encodes_binary_as_base64_for_peers_without_binary),
        cmocka_unit_test(joins_packets_of_a_body_with_the_separator),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
