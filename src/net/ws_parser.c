#include "net/ws_parser.h"

#include "base/utf8.h"

#include <assert.h>
#include <stdlib.h>

enum {
    /* first byte of a header */
    FIN = 0x80,
    RESERVED = 0x70,
    COMPRESSED = 0x40, /* the one that may be agreed on */
    OPCODE = 0x0f,

    /* second byte */
    MASKED = 0x80,
    LENGTH = 0x7f,
    LENGTH_16 = 126,
    LENGTH_64 = 127,

    CONTINUATION = 0x0, /* opcode; the others are enum frame_kind's */
    CONTROL = 0x8,      /* bit that all control opcodes have */
    MASK_SIZE = 4,
    MESSAGE_FIRST = 4096, /* bytes held for a message of which little has come */
};

#define ASCII_ONLY UINT64_C(0x8080808080808080) /* no byte of a word has one of these bits */

static const struct ws_fault reserved_bits = {WS_CLOSE_PROTOCOL, "reserved bits are set"};
static const struct ws_fault unknown_opcode = {WS_CLOSE_PROTOCOL, "unknown opcode"};
static const struct ws_fault stray_continuation = {WS_CLOSE_PROTOCOL,
                                                   "continuation without a message"};
static const struct ws_fault message_inside = {WS_CLOSE_PROTOCOL,
                                               "new message inside a fragmented one"};
static const struct ws_fault fragmented_control = {WS_CLOSE_PROTOCOL,
                                                   "fragmented control frame"};
static const struct ws_fault long_control = {WS_CLOSE_PROTOCOL, "control frame over 125 bytes"};
static const struct ws_fault half_code = {WS_CLOSE_PROTOCOL, "close frame of one byte"};
static const struct ws_fault bad_code = {WS_CLOSE_PROTOCOL, "invalid close code"};
static const struct ws_fault not_masked = {WS_CLOSE_PROTOCOL, "unmasked frame"};
static const struct ws_fault bad_text = {WS_CLOSE_BAD_TEXT, "invalid UTF-8 in a text message"};
static const struct ws_fault bad_reason = {WS_CLOSE_BAD_TEXT,
                                           "invalid UTF-8 in a close reason"};
static const struct ws_fault corrupt = {WS_CLOSE_BAD_TEXT, "a compressed message is corrupt"};
static const struct ws_fault too_big = {WS_CLOSE_TOO_BIG, "message over the size limit"};
static const struct ws_fault no_memory = {WS_CLOSE_INTERNAL, "out of memory"};

void ws_parser_init(struct ws_parser *parser, size_t max_message)
{
    *parser = (struct ws_parser){.max_message = max_message, .utf8 = UTF8_START};
}

static void drop_message(struct ws_parser *parser)
{
    free(parser->message);
    parser->message = NULL;
    parser->size = parser->capacity = 0;
}

void ws_parser_free(struct ws_parser *parser)
{
    drop_message(parser);
    parser->stopped = true;
}

static uint64_t big_endian(const uint8_t *at, int width)
{
    uint64_t value = 0;

    for (int i = 0; i < width; i++)
        value = value << 8 | at[i];
    return value;
}

static int length_width(const uint8_t *header)
{
    switch (header[1] & LENGTH) {
    case LENGTH_16:
        return 2;
    case LENGTH_64:
        return 8;
    default:
        return 0;
    }
}

static uint64_t payload_length(const uint8_t *header)
{
    int width = length_width(header);

    return width == 0 ? header[1] & LENGTH : big_endian(header + 2, width);
}

/* A whole message is compressed or not: its first frame tells. */
static bool reserved_valid(const struct ws_parser *parser, uint8_t first)
{
    uint8_t opcode = first & OPCODE;
    bool data = opcode == FRAME_TEXT || opcode == FRAME_BINARY;

    return !(first & RESERVED) ||
           ((first & RESERVED) == COMPRESSED && data && parser->deflater);
}

/* Whether a frame of that kind may stand here, by its first two bytes. */
static const struct ws_fault *check_kind(const struct ws_parser *parser, const uint8_t *header)
{
    uint8_t opcode = header[0] & OPCODE;
    uint8_t length = header[1] & LENGTH;

    if (!reserved_valid(parser, header[0]))
        return &reserved_bits;
    switch (opcode) {
    case CONTINUATION:
        if (parser->kind == 0)
            return &stray_continuation;
        break;
    case FRAME_TEXT:
    case FRAME_BINARY:
        if (parser->kind != 0)
            return &message_inside;
        break;
    case FRAME_CLOSE:
    case FRAME_PING:
    case FRAME_PONG:
        if (!(header[0] & FIN))
            return &fragmented_control;
        if (length > WS_CONTROL_MAX)
            return &long_control;
        if (opcode == FRAME_CLOSE && length == 1)
            return &half_code;
        break;
    default:
        return &unknown_opcode;
    }
    return header[1] & MASKED ? NULL : &not_masked;
}

/* Checks what is here of a header, so that a fault shows at its first byte. */
static const struct ws_fault *check_header(struct ws_parser *parser, const uint8_t *header,
                                           size_t have)
{
    const struct ws_fault *fault;

    if (have < 2)
        return NULL;
    fault = check_kind(parser, header);
    if (fault || header[0] & CONTROL || have < 2 + (size_t)length_width(header))
        return fault;
    if (payload_length(header) <= parser->max_message - parser->size)
        return NULL;
    parser->frame_left = payload_length(header); /* for ws_parser_announced() */
    return &too_big;
}

static void begin_frame(struct ws_parser *parser, const uint8_t *header)
{
    parser->opcode = header[0] & OPCODE;
    parser->frame_left = payload_length(header);
    memcpy(&parser->mask, header + 2 + length_width(header), MASK_SIZE);
    parser->header_size = 0;
    parser->in_payload = true;
    if (parser->opcode & CONTROL)
        return;
    parser->fin = header[0] & FIN;
    if (parser->opcode != CONTINUATION) {
        parser->kind = parser->opcode;
        parser->compressed = header[0] & COMPRESSED;
    }
}

/* Returns how many bytes belonged to the header. */
static size_t take_header(struct ws_parser *parser, const uint8_t *bytes, size_t size,
                          const struct ws_fault **fault)
{
    const uint8_t *header = bytes;
    size_t have = size, taken = 0;

    if (parser->header_size > 0 || size < WS_HEADER_MAX) {
        /* Byte by byte up to the length's end: only then the whole size is known. */
        header = parser->header;
        have = parser->header_size;
        while (taken < size &&
               (have < 2 || have < 2 + MASK_SIZE + (size_t)length_width(header)))
            parser->header[have++] = bytes[taken++];
        parser->header_size = (uint8_t)have;
    }
    *fault = check_header(parser, header, have);
    if (*fault || have < 2 || have < 2 + MASK_SIZE + (size_t)length_width(header))
        return taken;
    begin_frame(parser, header);
    return header == bytes ? 2 + MASK_SIZE + (size_t)length_width(header) : taken;
}

static uint32_t turn_mask(uint32_t mask, size_t by)
{
    uint8_t from[MASK_SIZE], to[MASK_SIZE];

    memcpy(from, &mask, MASK_SIZE);
    for (size_t i = 0; i < MASK_SIZE; i++)
        to[i] = from[(i + by) % MASK_SIZE];
    memcpy(&mask, to, MASK_SIZE);
    return mask;
}

static uint64_t unmask_word(uint8_t *at, uint64_t mask)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    word ^= mask;
    memcpy(at, &word, sizeof(word));
    return word;
}

/* Returns the bits that occur in any byte of the result: tells ASCII from other text for nothing. */
static uint64_t unmask(uint8_t *bytes, size_t size, uint32_t mask)
{
    uint64_t wide = (uint64_t)mask << 32 | mask;
    uint64_t seen = 0, seen_too = 0, tail = 0;
    size_t i = 0;

    for (; i + 32 <= size; i += 32) {
        seen |= unmask_word(bytes + i, wide);
        seen_too |= unmask_word(bytes + i + 8, wide);
        seen |= unmask_word(bytes + i + 16, wide);
        seen_too |= unmask_word(bytes + i + 24, wide);
    }
    for (; i + 8 <= size; i += 8)
        seen |= unmask_word(bytes + i, wide);
    if (i < size) {
        memcpy(&tail, bytes + i, size - i);
        tail ^= wide;
        memcpy(bytes + i, &tail, size - i);
        for (size_t j = i; j < size; j++)
            seen |= bytes[j];
    }
    return seen | seen_too;
}

/* Room for `more` bytes. `expected` is what the header promises: trusted as a bound only. */
static bool reserve(struct ws_parser *parser, size_t more, size_t expected)
{
    size_t needed = parser->size + more;
    size_t capacity =
        parser->capacity < MESSAGE_FIRST / 2 ? MESSAGE_FIRST : parser->capacity * 2;
    uint8_t *message;

    if (needed <= parser->capacity)
        return true;
    if (capacity > parser->size + expected)
        capacity = parser->size + expected;
    if (capacity < needed)
        capacity = needed;
    message = realloc(parser->message, capacity);
    if (!message)
        return false;
    parser->message = message;
    parser->capacity = capacity;
    return true;
}

static bool append(struct ws_parser *parser, const uint8_t *bytes, size_t size, size_t expected)
{
    if (size == 0)
        return true;
    if (!reserve(parser, size, expected))
        return false;
    memcpy(parser->message + parser->size, bytes, size);
    parser->size += size;
    return true;
}

/* Hands the message over; `held` is freed behind it. */
static void deliver(struct ws_parser *parser, const struct ws_sink *sink, uint8_t *bytes,
                    size_t size, uint8_t *held)
{
    enum frame_kind kind = parser->kind;

    /* Ready for the next message before the call: the owner may free the parser's memory in it. */
    parser->message = NULL;
    parser->size = parser->capacity = 0;
    parser->kind = 0;
    parser->utf8 = UTF8_START;
    sink->message(parser, kind, bytes, size);
    free(held);
}

static const struct ws_fault *deliver_compressed(struct ws_parser *parser,
                                                 const struct ws_sink *sink, struct str bytes)
{
    uint8_t *message;
    size_t size;

    switch (deflater_inflate(parser->deflater, bytes, parser->max_message, &message, &size)) {
    case DEFLATER_GOOD:
        break;
    case DEFLATER_CORRUPT:
        return &corrupt;
    case DEFLATER_TOO_LONG:
        /* For ws_parser_announced(): how long it would have become nobody knows. */
        parser->frame_left = parser->max_message + 1 - parser->size;
        return &too_big;
    case DEFLATER_NO_MEMORY:
        return &no_memory;
    }
    if (parser->kind == FRAME_TEXT && !utf8_valid(message, size)) {
        free(message);
        return &bad_text;
    }
    drop_message(parser);
    deliver(parser, sink, message, size, message);
    return NULL;
}

static const struct ws_fault *take_data(struct ws_parser *parser, const struct ws_sink *sink,
                                        uint8_t *bytes, size_t size, uint64_t seen)
{
    bool whole = parser->frame_left == 0 && parser->fin;
    size_t expected = size + parser->frame_left;

    if (parser->kind == FRAME_TEXT && !parser->compressed) {
        if (seen & ASCII_ONLY || !utf8_complete(parser->utf8))
            parser->utf8 = utf8_feed(parser->utf8, bytes, size);
        if (parser->utf8 == UTF8_BROKEN || (whole && !utf8_complete(parser->utf8)))
            return &bad_text;
    }
    if (!whole || parser->size > 0) {
        /* More fragments may follow: their growth is geometric, not bounded by this frame. */
        if (!parser->fin)
            expected = parser->max_message - parser->size;
        if (!append(parser, bytes, size, expected))
            return &no_memory;
    }
    if (!whole)
        return NULL;
    if (parser->size > 0) {
        bytes = parser->message;
        size = parser->size;
    }
    if (parser->compressed)
        return deliver_compressed(parser, sink, str_of(bytes, size));
    deliver(parser, sink, bytes, size, parser->message);
    return NULL;
}

static bool close_code_valid(uint16_t code)
{
    if (code >= 3000)
        return code <= 4999;
    return code >= 1000 && code <= 1014 && code != 1004 && code != WS_CLOSE_NONE &&
           code != WS_CLOSE_DROPPED;
}

static const struct ws_fault *take_close(struct ws_parser *parser, const struct ws_sink *sink,
                                         struct str payload)
{
    uint16_t code = WS_CLOSE_NONE;

    if (payload.size > 0) {
        code = (uint16_t)big_endian((const uint8_t *)payload.at, 2);
        if (!close_code_valid(code))
            return &bad_code;
        if (!utf8_valid(payload.at + 2, payload.size - 2))
            return &bad_reason;
    }
    parser->stopped = true;
    sink->close(parser, code, payload);
    return NULL;
}

/* A control frame that is cut is kept behind the bytes of the message around it. */
static const struct ws_fault *take_control(struct ws_parser *parser, const struct ws_sink *sink,
                                           const uint8_t *bytes, size_t size)
{
    const struct ws_fault *fault = NULL;
    struct str payload = str_of(bytes, size);

    if (parser->frame_left > 0 || parser->control_size > 0) {
        if (!append(parser, bytes, size, WS_CONTROL_MAX))
            return &no_memory;
        parser->control_size += (uint8_t)size;
    }
    if (parser->frame_left > 0)
        return NULL;
    if (parser->control_size > 0) {
        parser->size -= parser->control_size;
        payload = str_of(parser->message + parser->size, parser->control_size);
        parser->control_size = 0;
    }
    if (parser->opcode == FRAME_CLOSE)
        fault = take_close(parser, sink, payload);
    else if (parser->opcode == FRAME_PING)
        sink->ping(parser, payload);
    if (parser->size == 0)
        drop_message(parser);
    return fault;
}

/* Returns how many bytes belonged to the frame; a frame without payload takes none. */
static size_t take_payload(struct ws_parser *parser, const struct ws_sink *sink, uint8_t *bytes,
                           size_t size, const struct ws_fault **fault)
{
    size_t taken = parser->frame_left < size ? (size_t)parser->frame_left : size;
    uint64_t seen = unmask(bytes, taken, parser->mask);

    parser->frame_left -= taken;
    if (parser->frame_left == 0)
        parser->in_payload = false;
    else
        parser->mask = turn_mask(parser->mask, taken);
    *fault = parser->opcode & CONTROL ? take_control(parser, sink, bytes, taken)
                                      : take_data(parser, sink, bytes, taken, seen);
    return taken;
}

const struct ws_fault *ws_parser_feed(struct ws_parser *parser, const struct ws_sink *sink,
                                      uint8_t *bytes, size_t size)
{
    const struct ws_fault *fault = NULL;
    const uint8_t *end = bytes + size;

    assert(bytes);
    while (!parser->stopped && bytes < end) {
        if (!parser->in_payload)
            bytes += take_header(parser, bytes, (size_t)(end - bytes), &fault);
        if (!fault && parser->in_payload)
            bytes += take_payload(parser, sink, bytes, (size_t)(end - bytes), &fault);
        if (fault) {
            parser->stopped = true;
            return fault;
        }
    }
    return NULL;
}
