/* Compressed messages through ws_parser. */
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
    RSV1 = 0x40,
    CONTINUATION = 0,
    LIMIT = 1000,
};

#define HELLO "\xf2\x48\xcd\xc9\xc9\x07\x00" /* "Hello": RFC 7692, 7.2.3.1 */

struct recorder {
    struct ws_parser parser;
    struct buf events;
};

static void on_message(struct ws_parser *parser, enum frame_kind kind, uint8_t *payload,
                       size_t size)
{
    struct buf *events = &CONTAINER_OF(parser, struct recorder, parser)->events;

    buf_add_str(events, kind == FRAME_TEXT ? STR("T:") : STR("B:"));
    if (size > 100)
        buf_printf(events, "#%zu", size);
    else
        buf_add(events, payload, size);
    buf_add_byte(events, ' ');
}

static void on_ping(struct ws_parser *parser, struct str payload)
{
    (void)payload;
    buf_add_str(&CONTAINER_OF(parser, struct recorder, parser)->events, STR("P "));
}

static void on_close(struct ws_parser *parser, uint16_t code, struct str payload)
{
    (void)payload;
    buf_printf(&CONTAINER_OF(parser, struct recorder, parser)->events, "C%u ", code);
}

static const struct ws_sink sink = {on_message, on_ping, on_close};

/* A frame under a mask of zeros, which leaves the payload as it is. */
static void add_frame(struct buf *stream, int first, struct str payload)
{
    buf_add_byte(stream, (char)first);
    if (payload.size < 126) {
        buf_add_byte(stream, (char)(0x80 | payload.size));
    } else {
        buf_add_byte(stream, (char)(0x80 | 126));
        buf_add_byte(stream, (char)(payload.size >> 8));
        buf_add_byte(stream, (char)payload.size);
    }
    buf_add(stream, "\0\0\0\0", 4);
    buf_add_str(stream, payload);
}

/* In pieces of that many bytes, each in memory of exactly its size. */
static void feed(struct recorder *recorder, struct str bytes, size_t piece)
{
    for (size_t at = 0; at < bytes.size; at += piece) {
        struct str rest = str_from_index(bytes, at);
        size_t size = rest.size < piece ? rest.size : piece;
        uint8_t *copy = malloc(size);
        const struct ws_fault *fault;

        memcpy(copy, rest.at, size);
        fault = ws_parser_feed(&recorder->parser, &sink, copy, size);
        free(copy);
        if (fault) {
            buf_printf(&recorder->events, "F%u:%s ", fault->code, fault->detail);
            return;
        }
    }
}

static void says(const struct buf *stream, const char *expected)
{
    for (size_t piece = 1; piece <= stream->size; piece += piece < 20 ? 1 : stream->size) {
        struct deflater *deflater = deflater_new(&(struct deflater_options){.level = 6});
        struct recorder recorder;

        ws_parser_init(&recorder.parser, LIMIT);
        ws_parser_allow_compression(&recorder.parser, deflater);
        buf_init(&recorder.events, 1 << 16);
        feed(&recorder, buf_str(stream), piece);
        buf_add_byte(&recorder.events, '\0');
        assert_string_equal(recorder.events.at, expected);
        ws_parser_free(&recorder.parser);
        buf_free(&recorder.events);
        deflater_free(deflater);
    }
}

static void message_comes_as_it_was_before_in_whatever_pieces(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_frame(&stream, FIN | RSV1 | FRAME_TEXT, STR(HELLO));
    add_frame(&stream, FIN | FRAME_TEXT, STR("plain"));
    add_frame(&stream, FIN | RSV1 | FRAME_BINARY, STR(HELLO));
    says(&stream, "T:Hello T:plain B:Hello ");
    buf_free(&stream);
}

static void fragments_are_one_compressed_message(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_frame(&stream, RSV1 | FRAME_TEXT, STR("\xf2\x48\xcd"));
    add_frame(&stream, FIN | FRAME_PING, STR("!"));
    add_frame(&stream, CONTINUATION, STR(""));
    add_frame(&stream, FIN | CONTINUATION, STR("\xc9\xc9\x07\x00"));
    add_frame(&stream, FIN | FRAME_TEXT, STR("plain"));
    says(&stream, "P T:Hello T:plain ");
    buf_free(&stream);
}

static void empty_messages_are_empty(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_frame(&stream, FIN | RSV1 | FRAME_TEXT, STR("\0"));
    add_frame(&stream, FIN | RSV1 | FRAME_TEXT, STR(""));
    says(&stream, "T: T: ");
    buf_free(&stream);
}

static void bit_stands_in_the_first_frame_of_data_only(void **state)
{
    static const uint8_t wrong[] = {FIN | RSV1 | FRAME_PING, FIN | RSV1 | FRAME_CLOSE,
                                    FIN | RSV1 | CONTINUATION, FIN | RSV1 | 0x20 | FRAME_TEXT,
                                    FIN | 0x10 | FRAME_TEXT};
    struct buf stream;
    (void)state;

    for (size_t i = 0; i < sizeof(wrong); i++) {
        buf_init(&stream, 1000);
        add_frame(&stream, wrong[i], STR(""));
        says(&stream, "F1002:reserved bits are set ");
        buf_free(&stream);
    }
    buf_init(&stream, 1000);
    add_frame(&stream, RSV1 | FRAME_TEXT, STR("\xf2\x48\xcd"));
    add_frame(&stream, FIN | RSV1 | CONTINUATION, STR("\xc9\xc9\x07\x00"));
    says(&stream, "F1002:reserved bits are set ");
    buf_free(&stream);
}

static void corrupt_and_cut_messages_are_faults(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_frame(&stream, FIN | RSV1 | FRAME_BINARY, STR("\xff\xff\xff"));
    says(&stream, "F1007:a compressed message is corrupt ");
    buf_free(&stream);
    buf_init(&stream, 1000);
    add_frame(&stream, FIN | RSV1 | FRAME_BINARY, STR("\xf2\x48\xcd\xc9"));
    says(&stream, "F1007:a compressed message is corrupt ");
    buf_free(&stream);
}

/* Deflated for the test by the same deflater, as a client would. */
static void add_deflated(struct buf *stream, enum frame_kind kind, struct str payload)
{
    struct deflater *deflater = deflater_new(&(struct deflater_options){.level = 6});
    struct frame *frame = frame_new(kind, payload.size);
    struct frame *made;

    memcpy(frame_payload(frame), payload.at, payload.size);
    made = deflater_message(deflater, 15, frame);
    add_frame(stream, FIN | RSV1 | kind, frame_body(made));
    frame_unref(made);
    frame_unref(frame);
    deflater_free(deflater);
}

static void text_is_checked_when_it_is_whole(void **state)
{
    struct buf stream;
    (void)state;

    buf_init(&stream, 1000);
    add_deflated(&stream, FRAME_BINARY, STR("\xff\xfe"));
    add_deflated(&stream, FRAME_TEXT, STR("\xe2\x82\xac"));
    add_deflated(&stream, FRAME_TEXT, STR("\xe2\x82"));
    says(&stream, "B:\xff\xfe T:\xe2\x82\xac F1007:invalid UTF-8 in a text message ");
    buf_free(&stream);
}

static void limit_holds_for_both_forms(void **state)
{
    char zeros[LIMIT + 1] = {0};
    struct buf stream;
    (void)state;

    buf_init(&stream, 10000);
    add_deflated(&stream, FRAME_BINARY, str_of(zeros, LIMIT));
    add_deflated(&stream, FRAME_BINARY, str_of(zeros, LIMIT + 1));
    says(&stream, "B:#1000 F1009:message over the size limit ");
    buf_free(&stream);
    buf_init(&stream, 10000);
    add_frame(&stream, FIN | RSV1 | FRAME_BINARY, str_of(zeros, LIMIT + 1));
    says(&stream, "F1009:message over the size limit ");
    buf_free(&stream);
}

static void size_of_what_grew_too_long_is_over_the_limit(void **state)
{
    struct deflater *deflater = deflater_new(&(struct deflater_options){.level = 6});
    char zeros[10 * LIMIT] = {0};
    struct recorder recorder;
    struct buf stream;
    (void)state;

    buf_init(&stream, 10000);
    buf_init(&recorder.events, 1 << 16);
    add_deflated(&stream, FRAME_BINARY, str_of(zeros, sizeof(zeros)));
    ws_parser_init(&recorder.parser, LIMIT);
    ws_parser_allow_compression(&recorder.parser, deflater);
    feed(&recorder, buf_str(&stream), 7);
    assert_int_equal(ws_parser_announced(&recorder.parser), LIMIT + 1);
    ws_parser_free(&recorder.parser);
    buf_free(&recorder.events);
    buf_free(&stream);
    deflater_free(deflater);
}

static void nothing_is_held_between_messages(void **state)
{
    struct deflater *deflater = deflater_new(&(struct deflater_options){.level = 6});
    struct recorder recorder;
    struct buf stream;
    (void)state;

    buf_init(&stream, 10000);
    buf_init(&recorder.events, 1 << 16);
    add_frame(&stream, FIN | RSV1 | FRAME_TEXT, STR(HELLO));
    ws_parser_init(&recorder.parser, LIMIT);
    ws_parser_allow_compression(&recorder.parser, deflater);
    feed(&recorder, buf_str(&stream), 1);
    assert_null(recorder.parser.message);
    assert_int_equal(recorder.parser.capacity, 0);
    ws_parser_free(&recorder.parser);
    buf_free(&recorder.events);
    buf_free(&stream);
    deflater_free(deflater);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(message_comes_as_it_was_before_in_whatever_pieces),
        cmocka_unit_test(fragments_are_one_compressed_message),
        cmocka_unit_test(empty_messages_are_empty),
        cmocka_unit_test(bit_stands_in_the_first_frame_of_data_only),
        cmocka_unit_test(corrupt_and_cut_messages_are_faults),
        cmocka_unit_test(text_is_checked_when_it_is_whole),
        cmocka_unit_test(limit_holds_for_both_forms),
        cmocka_unit_test(size_of_what_grew_too_long_is_over_the_limit),
        cmocka_unit_test(nothing_is_held_between_messages),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
