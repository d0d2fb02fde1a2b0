/*
 * fuzz_ws: a client's WebSocket bytes to net/ws_parser, fed whole and in pieces: both must give
 * the same messages, pings, close frame and fault.
 *
 * Input     limit on messages (a table below; from 0x80 on they may be compressed), count of pieces' sizes, these, the stream.
 */
#include "fuzz.h"

#include "base/buf.h"
#include "base/utf8.h"
#include "net/ws_parser.h"

enum {
    PIECES_MAX = 15,
    STORY_MAX = 1 << 20,
};

struct reader {
    struct ws_parser parser;
    struct buf story; /* what the sink was told */
    size_t max_message;
};

static struct reader *reader_of(struct ws_parser *parser)
{
    return (struct reader *)((char *)parser - offsetof(struct reader, parser));
}

static void on_message(struct ws_parser *parser, enum frame_kind kind, uint8_t *payload,
                       size_t size)
{
    struct reader *reader = reader_of(parser);

    assert(kind == FRAME_BINARY || (kind == FRAME_TEXT && utf8_valid(payload, size)));
    assert(size <= reader->max_message);
    buf_printf(&reader->story, "message %d %zu:", kind, size);
    buf_add(&reader->story, payload, size);
    memset(payload, 0xee, size); /* it is ours to change */
}

static void on_ping(struct ws_parser *parser, struct str payload)
{
    assert(payload.size <= WS_CONTROL_MAX);
    buf_printf(&reader_of(parser)->story, "ping %zu:", payload.size);
    buf_add_str(&reader_of(parser)->story, payload);
}

static void on_close(struct ws_parser *parser, uint16_t code, struct str payload)
{
    assert(payload.size <= WS_CONTROL_MAX && payload.size != 1);
    buf_printf(&reader_of(parser)->story, "close %u %zu:", code, payload.size);
    buf_add_str(&reader_of(parser)->story, payload);
}

static void feed(struct reader *reader, struct str bytes)
{
    static const struct ws_sink sink = {on_message, on_ping, on_close};
    uint8_t *copy = fuzz_copy(bytes);
    const struct ws_fault *fault = ws_parser_feed(&reader->parser, &sink, copy, bytes.size);

    if (fault) {
        assert(reader->parser.stopped);
        buf_printf(&reader->story, "fault %u %s", fault->code, fault->detail);
    }
    free(copy);
}

static void begin(struct reader *reader, size_t max_message, struct deflater *deflater)
{
    reader->max_message = max_message;
    ws_parser_init(&reader->parser, max_message);
    ws_parser_allow_compression(&reader->parser, deflater);
    buf_init(&reader->story, STORY_MAX);
}

static void end(struct reader *reader)
{
    /* an idle connection holds nothing */
    if (reader->parser.kind == 0 && !reader->parser.in_payload && !reader->parser.stopped)
        assert(!reader->parser.message);
    ws_parser_free(&reader->parser);
    buf_free(&reader->story);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const size_t limits[] = {1000000, 0, 1, 125, 126, 1000, 5000, SIZE_MAX};
    struct fuzz_input input = {bytes, size};
    uint8_t first = fuzz_byte(&input);
    size_t max_message = limits[first % (sizeof(limits) / sizeof(limits[0]))];
    struct deflater *deflater =
        first & 0x80 ? deflater_new(&(struct deflater_options){.level = 1}) : NULL;
    size_t piece_count = fuzz_byte(&input) % (PIECES_MAX + 1);
    uint8_t pieces[PIECES_MAX + 1] = {1};
    struct reader whole, cut;

    for (size_t i = 0; i < piece_count; i++)
        pieces[i] = fuzz_byte(&input) | (i == 0); /* at least one that is not 0 */
    if (piece_count == 0)
        piece_count = 1;

    struct str stream = fuzz_rest(&input);
    begin(&whole, max_message, deflater);
    begin(&cut, max_message, deflater);
    feed(&whole, stream);
    for (size_t i = 0; stream.size > 0; i++) {
        size_t piece = pieces[i % piece_count];

        feed(&cut, str_of(stream.at, piece < stream.size ? piece : stream.size));
        stream = str_from_index(stream, piece);
    }
    assert(str_equal(buf_str(&whole.story), buf_str(&cut.story)));
    end(&whole);
    end(&cut);
    deflater_free(deflater);
    return 0;
}
