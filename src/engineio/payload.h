/*
 * payload: Engine.IO packets as text and bytes, and payloads: many packets in one HTTP body.
 *
 * Outgoing packets are frames: the payload of a FRAME_TEXT frame is the packet's text, type digit
 * first; a FRAME_BINARY frame is a message. Incoming ones are decoded in place, without a copy.
 *
 * Callers   the transports and upgrade.
 * Owner     decoded packets point into the caller's bytes; frames are counted references.
 * Threads   any, no state.
 * Units     bytes.
 * Errors    bytes that are no packet decode as EIO_PACKET_ERROR; encoding returns NULL when out of
 *           memory.
 * Source    protocol/engine-io.md, 5; vectors engine-io-v4-parser.json.
 */
#ifndef SKUA_ENGINEIO_PAYLOAD_H
#define SKUA_ENGINEIO_PAYLOAD_H

#include "net/frame.h"

enum eio_packet_type {
    EIO_PACKET_OPEN, /* the digits of the wire */
    EIO_PACKET_CLOSE,
    EIO_PACKET_PING,
    EIO_PACKET_PONG,
    EIO_PACKET_MESSAGE,
    EIO_PACKET_UPGRADE,
    EIO_PACKET_NOOP,
    EIO_PACKET_ERROR, /* never on the wire */
};

struct eio_packet {
    enum eio_packet_type type;
    enum frame_kind kind; /* FRAME_BINARY: a message with these bytes */
    uint8_t *data;        /* without the type digit */
    size_t size;
};

/* Decodes one packet: the payload of a WebSocket message, or a part of a body (FRAME_TEXT). A
 * base64 packet is decoded over its own text. */
void eio_packet_decode(enum frame_kind kind, uint8_t *bytes, size_t size,
                       struct eio_packet *packet);

/* What is left of a body. */
struct eio_payload {
    uint8_t *at;
    size_t left;
    bool finished;
    bool binary; /* payload_v3 only: the form, and that there was nothing at all */
    bool empty;
};

void eio_payload_begin(struct eio_payload *payload, uint8_t *bytes, size_t size);

/* The next packet; false when there is none. An EIO_PACKET_ERROR is the last one. */
bool eio_payload_next(struct eio_payload *payload, struct eio_packet *packet);

/* A text packet. */
struct frame *eio_packet_frame(enum eio_packet_type type, struct str data);

/* The text form of a binary message, for peers that cannot take binary. */
struct frame *eio_packet_base64(const struct frame *binary);

/* Bytes that the frame takes in a body, its separator not counted. */
size_t eio_packet_body_size(const struct frame *frame);

/* The body of a poll's answer: at least one packet, joined by 0x1E, as a FRAME_RAW frame. */
struct frame *eio_payload_encode(struct frame *const *frames, size_t count);

#endif
