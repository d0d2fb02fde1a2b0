#include "base/buf.h"
#include "base/list.h"
#include "net/ws_parser.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

enum {
    FIN = 0x80,
    MASKED = 0x80,
    LIMIT = 200000, /* largest message of these tests */
};

static const uint8_t mask[4] = {0x37, 0xfa, 0x21, 0x3d};

/* What a parser said, as text: "T5:hello" a message, "P2:hi" a ping, "C1000:" a close, "F1002"
 * a fault. Large payloads are shown by size and sum. */
struct recorder {
    struct ws_parser parser;
    struct buf events;
    bool stop_at_message;
};

static struct recorder *recorder_of(struct ws_parser *parser)
{
    return CONTAINER_OF(parser, struct recorder, parser);
}

static void record(struct recorder *recorder, const char *what, unsigned number,
                   struct str payload)
{
    buf_printf(&recorder->events, "%s%u:", what, number);
    if (payload.size <= 200) {
        buf_add_str(&recorder->events, payload);
    } else {
        unsigned sum = 0;
        for (size_t i = 0; i < payload.size; i++)
            sum = sum * 31 + (uint8_t)payload.at[i];
        buf_printf(&recorder->events, "#%x", sum);
    }
    buf_add_byte(&recorder->events, ' ');
}

static void on_message(struct ws_parser *parser, enum frame_kind kind, uint8_t *payload,
                       size_t size)
{
    record(recorder_of(parser), kind == FRAME_TEXT ? "T" : "B", (unsigned)size,
           str_of(payload, size));
    if (recorder_of(parser)->stop_at_message)
        ws_parser_stop(parser);
}

static void on_ping(struct ws_parser *parser, struct str payload)
{
    record(recorder_of(parser), "P", (unsigned)payload.size, payload);
}

static void on_close(struct ws_parser *parser, uint16_t code, struct str payload)
{
    record(recorder_of(parser), "C", code, str_from_index(payload, 2));
}

static const struct ws_sink sink = {on_message, on_ping, on_close};

static void begin(struct recorder *recorder)
{
    *recorder = (struct recorder){0};
    ws_parser_init(&recorder->parser, LIMIT);
    buf_init(&recorder->events, 1 << 20);
}

static void end(struct recorder *recorder)
{
    ws_parser_free(&recorder->parser);
    buf_free(&recorder->events);
}

/* A piece in memory of exactly its size, so that a read or write outside it shows. */
static bool feed(struct recorder *recorder, const void *bytes, size_t size)
{
    uint8_t *piece = malloc(size ? size : 1);
    const struct ws_fault *fault;

    memcpy(piece, bytes, size);
    fault = ws_parser_feed(&recorder->parser, &sink, piece, size);
    free(piece);
    if (fault)
        buf_printf(&recorder->events, "F%u:%s ", fault->code, fault->detail);
    return !fault && !recorder->parser.stopped;
}

/* A client's frame; `first` is the header's first byte. */
static void add_frame(struct buf *stream, uint8_t first, const void *payload, size_t size)
{
    buf_add_byte(stream, (char)first);
    if (size < 126) {
        buf_add_byte(stream, (char)(MASKED | size));
    } else if (size <= UINT16_MAX) {
        buf_add_byte(stream, (char)(MASKED | 126));
        buf_add_byte(stream, (char)(size >> 8));
        buf_add_byte(stream, (char)size);
    } else {
        buf_add_byte(stream, (char)(MASKED | 127));
        for (int shift = 56; shift >= 0; shift -= 8)
            buf_add_byte(stream, (char)((uint64_t)size >> shift));
    }
    buf_add(stream, mask, sizeof(mask));
    for (size_t i = 0; i < size; i++)
        buf_add_byte(stream, (char)(((const uint8_t *)payload)[i] ^ mask[i % 4]));
}

static void add_text(struct buf *stream, uint8_t first, const char *text)
{
    add_frame(stream, first, text, strlen(text));
}

static void said(struct recorder *recorder, const char *expected)
{
    buf_add_byte(&recorder->events, '\0');
    assert_string_equal(recorder->events.at, expected);
}

static void says(const struct buf *stream, const char *expected)
{
    struct recorder recorder;

    begin(&recorder);
    feed(&recorder, stream->at, stream->size);
    said(&recorder, expected);
    end(&recorder);
}

static void bytes_say(const char *bytes, size_t size, const char *expected)
{
    struct buf stream = {.at = (char *)bytes, .size = size};

    says(&stream, expected);
}

static void delivers_a_message_of_each_length_form(void **state)
{
    static const size_t sizes[] = {0, 1, 7, 8, 9, 31, 32, 33, 125, 126, 127, 200};
    char payload[200], expected[256];
    (void)state;

    memset(payload, 'x', sizeof(payload));
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct buf stream;

        buf_init(&stream, 1 << 20);
        add_frame(&stream, FIN | FRAME_BINARY, payload, sizes[i]);
        snprintf(expected, sizeof(expected), "B%zu:%.*s ", sizes[i], (int)sizes[i], payload);
        says(&stream, expected);
        buf_free(&stream);
    }
}

static void unmasks_every_length_at_every_split(void **state)
{
    (void)state;
    for (size_t size = 0; size < 80; size++) {
        struct buf stream;
        char payload[80];

        for (size_t i = 0; i < size; i++)
            payload[i] = (char)('0' + i);
        buf_init(&stream, 1000);
        add_frame(&stream, FIN | FRAME_TEXT, payload, size);
        for (size_t cut = 0; cut <= stream.size; cut++) {
            struct recorder recorder;
            struct str said;

            begin(&recorder);
            feed(&recorder, stream.at, cut);
            feed(&recorder, stream.at + cut, stream.size - cut);
            said = buf_str(&recorder.events);
            assert_true(said.size == size + (size < 10 ? 4 : 5));
            assert_memory_equal(said.at + said.size - 1 - size, payload, size);
            assert_null(recorder.parser.message);
            end(&recorder);
        }
        buf_free(&stream);
    }
}

static void accepts_lengths_that_are_not_minimal(void **state)
{
    (void)state;
    bytes_say("\x82\xfe\0\1\0\0\0\0x", 9, "B1:x ");
    bytes_say("\x82\xff\0\0\0\0\0\0\0\1\0\0\0\0x", 15, "B1:x ");
}

static void joins_fragments_and_answers_controls_between_them(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_text(&stream, FRAME_TEXT, "he");
    add_text(&stream, FIN | FRAME_PING, "you there");
    add_text(&stream, 0, "");
    add_text(&stream, 0, "llo \xe2\x82");
    add_text(&stream, FIN | FRAME_PONG, "ignored");
    add_text(&stream, FIN, "\xac");
    add_text(&stream, FRAME_BINARY, "");
    add_text(&stream, FIN, "");
    says(&stream, "P9:you there T9:hello \xe2\x82\xac B0: ");
    buf_free(&stream);
}

static void refuses_what_the_protocol_forbids(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *says;
    } cases[] = {
        {"\x81\x01x",                                3,  "F1002:unmasked frame "                     },
        {"\xc1\x80",                                 2,  "F1002:reserved bits are set "              },
        {"\xa1\x80",                                 2,  "F1002:reserved bits are set "              },
        {"\x91\x80",                                 2,  "F1002:reserved bits are set "              },
        {"\x83\x80",                                 2,  "F1002:unknown opcode "                     },
        {"\x87\x80",                                 2,  "F1002:unknown opcode "                     },
        {"\x8b\x80",                                 2,  "F1002:unknown opcode "                     },
        {"\x8f\x80",                                 2,  "F1002:unknown opcode "                     },
        {"\x80\x80",                                 2,  "F1002:continuation without a message "     },
        {"\x00\x80",                                 2,  "F1002:continuation without a message "     },
        {"\x01\x80\0\0\0\0\x81\x80",                 8,  "F1002:new message inside a fragmented one "},
        {"\x01\x80\0\0\0\0\x02\x80",                 8,  "F1002:new message inside a fragmented one "},
        {"\x81\x80\0\0\0\0\x80\x80",                 8,  "T0: F1002:continuation without a message " },
        {"\x09\x80",                                 2,  "F1002:fragmented control frame "           },
        {"\x89\xfe",                                 2,  "F1002:control frame over 125 bytes "       },
        {"\x88\xff",                                 2,  "F1002:control frame over 125 bytes "       },
        {"\x88\x81",                                 2,  "F1002:close frame of one byte "            },
        {"\x81\x81\0\0\0\0\xff",                     7,  "F1007:invalid UTF-8 in a text message "    },
        {"\x81\x82\0\0\0\0\xe2\x82",                 8,  "F1007:invalid UTF-8 in a text message "    },
        {"\x81\x83\0\0\0\0\xed\xa0\x80",             9,  "F1007:invalid UTF-8 in a text message "    },
        {"\x88\x83\0\0\0\0\x03\xe8\xff",             9,  "F1007:invalid UTF-8 in a close reason "    },
        {"\x82\xff\x80\0\0\0\0\0\0\0",               10, "F1009:message over the size limit "        },
        {"\x82\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10, "F1009:message over the size limit "        },
    };
    (void)state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++)
        bytes_say(cases[i].bytes, cases[i].size, cases[i].says);
}

static void text_may_be_any_bytes_when_it_is_binary(void **state)
{
    (void)state;
    bytes_say("\x82\x81\0\0\0\0\xff", 7, "B1:\xff ");
}

static void bad_text_shows_at_its_fragment(void **state)
{
    (void)state;
    bytes_say("\x01\x81\0\0\0\0\xff", 7, "F1007:invalid UTF-8 in a text message ");
}

static void close_codes_are_checked_on_both_sides_of_each_border(void **state)
{
    static const uint16_t valid[] = {1000, 1003, 1007, 1014, 3000, 4999};
    static const uint16_t invalid[] = {0, 999, 1004, 1005, 1006, 1015, 1016, 2999, 5000, 65535};
    char frame[8] = "\x88\x82", expected[32];
    (void)state;

    for (size_t i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        frame[6] = (char)(valid[i] >> 8);
        frame[7] = (char)valid[i];
        snprintf(expected, sizeof(expected), "C%u: ", valid[i]);
        bytes_say(frame, 8, expected);
    }
    for (size_t i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        frame[6] = (char)(invalid[i] >> 8);
        frame[7] = (char)invalid[i];
        bytes_say(frame, 8, "F1002:invalid close code ");
    }
}

static void a_close_frame_is_the_end(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_text(&stream, FIN | FRAME_CLOSE, "\x0f\xa0why");
    add_text(&stream, FIN | FRAME_TEXT, "late");
    says(&stream, "C4000:why ");
    buf_free(&stream);
    bytes_say("\x88\x80\0\0\0\0\x88\x80\0\0\0\0", 12, "C1005: ");
}

static void nothing_follows_a_fault(void **state)
{
    struct recorder recorder;
    (void)state;

    begin(&recorder);
    assert_false(feed(&recorder, "\x81\x01", 2));
    assert_false(feed(&recorder, "\x82\x81\0\0\0\0x", 7));
    said(&recorder, "F1002:unmasked frame ");
    end(&recorder);
}

static void stops_when_told_inside_a_message(void **state)
{
    static const char two[] = "\x82\x81\0\0\0\0a\x82\x81\0\0\0\0b";
    struct recorder recorder;
    (void)state;

    begin(&recorder);
    recorder.stop_at_message = true;
    feed(&recorder, two, 14);
    feed(&recorder, two, 14);
    said(&recorder, "B1:a ");
    end(&recorder);
}

static void limit_holds_for_one_frame_and_for_fragments(void **state)
{
    char *big = calloc(1, LIMIT);
    struct buf stream;
    (void)state;

    buf_init(&stream, 1 << 20);
    add_frame(&stream, FIN | FRAME_BINARY, big, LIMIT);
    add_frame(&stream, FRAME_BINARY, big, LIMIT - 1);
    add_frame(&stream, FIN, big, 1);
    says(&stream, "B200000:#0 B200000:#0 ");
    add_frame(&stream, FRAME_BINARY, big, LIMIT);
    add_frame(&stream, FIN, big, 0);
    add_frame(&stream, FRAME_BINARY, big, LIMIT);
    add_frame(&stream, FIN, big, 1);
    says(&stream, "B200000:#0 B200000:#0 B200000:#0 F1009:message over the size limit ");
    buf_free(&stream);
    free(big);
}

static void length_over_the_limit_is_refused_before_its_payload(void **state)
{
    struct recorder recorder;
    (void)state;

    begin(&recorder);
    assert_true(feed(&recorder, "\x02\x81\0\0\0\0x\x80\xff\0\0\0\0\0\x03\x0d", 16));
    assert_false(feed(&recorder, "\x40", 1)); /* 0x30d40 is the limit, one byte is there */
    assert_int_equal(ws_parser_announced(&recorder.parser), LIMIT + 1);
    end(&recorder);
}

static void memory_follows_what_came_not_what_was_announced(void **state)
{
    struct recorder recorder;
    (void)state;

    begin(&recorder);
    assert_true(feed(&recorder, "\x82\xff\0\0\0\0\0\x03\x0d\x40\0\0\0\0x", 15));
    assert_true(recorder.parser.capacity <= 4096);
    end(&recorder);
}

static void a_flood_of_tiny_fragments_costs_its_bytes_only(void **state)
{
    struct recorder recorder;
    (void)state;

    begin(&recorder);
    assert_true(feed(&recorder, "\x02\x80\0\0\0\0", 6));
    for (int i = 0; i < 100000; i++) {
        assert_true(feed(&recorder, "\0\x80\0\0\0\0", 6));
        assert_true(feed(&recorder, "\0\x81\0\0\0\0x", 7));
    }
    assert_int_equal(recorder.parser.size, 100000);
    assert_true(recorder.parser.capacity <= 2 * 100000);
    end(&recorder);
}

/* A stream of everything, ended by `last`. */
static void make_stream(struct buf *stream, const char *last, size_t last_size)
{
    char big[300];

    memset(big, 'z', sizeof(big));
    buf_init(stream, 10000);
    add_text(stream, FIN | FRAME_TEXT, "hello");
    add_text(stream, FIN | FRAME_TEXT, "gr\xc3\xbc\xc3\x9f dich \xf0\x9f\x98\x80");
    add_text(stream, FRAME_TEXT, "\xf0\x9f");
    add_text(stream, FIN | FRAME_PING, "ping within");
    add_text(stream, 0, "");
    add_text(stream, FIN, "\x98\x80 end");
    add_frame(stream, FIN | FRAME_BINARY, big, sizeof(big));
    add_text(stream, FIN | FRAME_PING, "");
    add_frame(stream, FRAME_BINARY, big, 130);
    add_text(stream, FIN | FRAME_PONG, "pong");
    add_frame(stream, FIN, big, 7);
    buf_add(stream, last, last_size);
}

static void same_result_however_the_stream_is_cut(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } lasts[] = {
        {"\x88\x85\0\0\0\0\x03\xe8"
         "bye",                               11},
        {"\x88\x85\0\0\0\0\x03\xe8"
         "by\xff",                            11},
        {"\x81\x84\0\0\0\0ab\xe2\x82",                 10},
        {"\x82\xff\0\0\0\0\0\x03\x0d\x41\0\0\0\0junk", 18},
        {"\x89\xfe\x01\x00\0\0\0\0",                   8 },
    };
    (void)state;

    for (size_t n = 0; n < sizeof(lasts) / sizeof(lasts[0]); n++) {
        struct recorder whole, cut;
        struct buf stream;

        make_stream(&stream, lasts[n].bytes, lasts[n].size);
        begin(&whole);
        feed(&whole, stream.at, stream.size);
        for (size_t at = 0; at <= stream.size; at++) {
            begin(&cut);
            if (feed(&cut, stream.at, at))
                feed(&cut, stream.at + at, stream.size - at);
            assert_true(str_equal(buf_str(&cut.events), buf_str(&whole.events)));
            end(&cut);
        }
        for (size_t step = 1; step < 20; step++) {
            begin(&cut);
            for (size_t at = 0; at < stream.size; at += step)
                feed(&cut, stream.at + at, at + step < stream.size ? step : stream.size - at);
            assert_true(str_equal(buf_str(&cut.events), buf_str(&whole.events)));
            end(&cut);
        }
        end(&whole);
        buf_free(&stream);
    }
}

/* Run under AddressSanitizer: hostile bytes may only end in a fault. */
static void survives_random_bytes(void **state)
{
    uint32_t random = 1;
    (void)state;

    for (int round = 0; round < 20000; round++) {
        struct recorder recorder;
        bool alive = true;

        begin(&recorder);
        for (int piece = 0; piece < 4 && alive; piece++) {
            uint8_t bytes[64];
            size_t size;

            for (size_t i = 0; i < sizeof(bytes); i++) {
                random = random * 1664525 + 1013904223;
                bytes[i] = (uint8_t)(random >> 24);
            }
            size = bytes[0] % sizeof(bytes);
            bytes[0] &= 0x8b; /* mostly legal first bytes, or nothing deep is reached */
            bytes[1] |= 0x80;
            alive = feed(&recorder, bytes, size);
        }
        assert_true(recorder.parser.capacity <= LIMIT + WS_CONTROL_MAX);
        end(&recorder);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(delivers_a_message_of_each_length_form),
        cmocka_unit_test(unmasks_every_length_at_every_split),
        cmocka_unit_test(accepts_lengths_that_are_not_minimal),
        cmocka_unit_test(joins_fragments_and_answers_controls_between_them),
        cmocka_unit_test(refuses_what_the_protocol_forbids),
        cmocka_unit_test(text_may_be_any_bytes_when_it_is_binary),
        cmocka_unit_test(bad_text_shows_at_its_fragment),
        cmocka_unit_test(close_codes_are_checked_on_both_sides_of_each_border),
        cmocka_unit_test(a_close_frame_is_the_end),
        cmocka_unit_test(nothing_follows_a_fault),
        cmocka_unit_test(stops_when_told_inside_a_message),
        cmocka_unit_test(limit_holds_for_one_frame_and_for_fragments),
        cmocka_unit_test(length_over_the_limit_is_refused_before_its_payload),
        cmocka_unit_test(memory_follows_what_came_not_what_was_announced),
        cmocka_unit_test(a_flood_of_tiny_fragments_costs_its_bytes_only),
        cmocka_unit_test(same_result_however_the_stream_is_cut),
        cmocka_unit_test(survives_random_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
