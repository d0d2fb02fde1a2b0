/*
 * ws_parser: RFC 6455 frames of a client, fed in pieces of any size, to whole messages.
 *
 * It does no I/O: feed bytes, be called with messages. A message that lies whole in the bytes fed
 * is unmasked there and delivered without a copy; otherwise it is collected in memory that grows
 * with the bytes that have really come, whatever length a header announces. Between messages the
 * parser holds no memory.
 *
 * With a deflater, messages may come compressed (RFC 7692). Such a one is collected as it came and
 * decompressed when it is whole, so that connections share one state; it must keep the limit in
 * both forms, and the second is watched while it grows.
 *
 * Faults are those of the `ws` package (engine-io.md, 9). A length over the limit is refused when
 * the header is here, before the payload. Lengths that are not minimal are accepted.
 *
 * Callers   net/ws, unit tests, fuzzers.
 * Owner     embeds the struct and finds itself from it (CONTAINER_OF); ws_parser_free() at the end.
 *           The struct must live until ws_parser_feed() returns, also when it is stopped meanwhile.
 * Threads   one at a time.
 * Units     bytes.
 * Errors    ws_parser_feed() returns the fault; the parser is stopped then and eats no more.
 * Source    RFC 6455, 5 and 7.4.
 */
#ifndef SKUA_NET_WS_PARSER_H
#define SKUA_NET_WS_PARSER_H

#include "net/deflater.h"

enum {
    WS_CLOSE_NONE = 1005,    /* a close frame without a code; never on the wire */
    WS_CLOSE_DROPPED = 1006, /* no close frame at all; never on the wire */
    WS_CLOSE_PROTOCOL = 1002,
    WS_CLOSE_BAD_TEXT = 1007,
    WS_CLOSE_TOO_BIG = 1009,
    WS_CLOSE_INTERNAL = 1011,

    WS_HEADER_MAX = 14,   /* two bytes, a 64-bit length, the mask */
    WS_CONTROL_MAX = 125, /* payload of a control frame */
};

struct ws_fault {
    uint16_t code; /* for the close frame */
    const char *detail;
};

struct ws_parser {
    uint8_t *message; /* what has come of a message that is not whole; NULL between messages */
    size_t size;
    size_t capacity;
    size_t max_message;
    struct deflater *deflater; /* NULL: no message may be compressed */
    uint64_t frame_left;       /* payload bytes of the current frame that have not come */
    uint32_t mask; /* turned so that its first byte in memory is for the next byte */
    uint32_t utf8; /* state of utf8_feed() over the text so far */
    uint8_t header[WS_HEADER_MAX];
    uint8_t header_size;  /* bytes of a header that is not whole */
    uint8_t control_size; /* bytes of a control frame kept behind the message's */
    uint8_t opcode;       /* of the current frame */
    uint8_t kind;         /* of the message begun; 0 between messages */
    bool fin;             /* the current frame is its message's last */
    bool compressed;      /* the message is */
    bool in_payload;
    bool stopped;
};

/* Payloads may be changed in place and are gone when the call returns. All may stop the parser. */
struct ws_sink {
    void (*message)(struct ws_parser *parser, enum frame_kind kind, uint8_t *payload,
                    size_t size);
    void (*ping)(struct ws_parser *parser, struct str payload);

    /* A valid close frame: the code or WS_CLOSE_NONE, and its payload as it came (the code, then
     * the reason). The parser is stopped. */
    void (*close)(struct ws_parser *parser, uint16_t code, struct str payload);
};

void ws_parser_init(struct ws_parser *parser, size_t max_message);
void ws_parser_free(struct ws_parser *parser);

/* permessage-deflate was agreed on. */
static inline void ws_parser_allow_compression(struct ws_parser *parser,
                                               struct deflater *deflater)
{
    parser->deflater = deflater;
}

/* Takes all of the bytes, which are changed in place. NULL, or why the stream is broken. */
const struct ws_fault *ws_parser_feed(struct ws_parser *parser, const struct ws_sink *sink,
                                      uint8_t *bytes, size_t size);

/* Nothing is taken from now on, not even the rest of the bytes being fed. */
static inline void ws_parser_stop(struct ws_parser *parser)
{
    parser->stopped = true;
}

/* Of the current message: what has come, and what the frame's header announced. */
static inline uint64_t ws_parser_announced(const struct ws_parser *parser)
{
    return parser->size + parser->frame_left;
}

#endif
