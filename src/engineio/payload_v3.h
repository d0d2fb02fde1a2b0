/*
 * payload_v3: packets and payloads of Engine.IO protocol 3, for clients of socket.io 1 and 2.
 *
 * What is unlike protocol 4 (payload.h): a binary frame begins with a type byte, base64 text with
 * "b4"; a body is a run of "<length>:<packet>" with lengths in UTF-16 code units, or in its binary
 * form a run of entries with lengths in bytes.
 *
 * Callers   codec.
 * Owner     as payload.h.
 * Threads   any, no state.
 * Units     bytes, UTF-16 code units where it says so.
 * Errors    as payload.h. A type that does not exist, in a binary or base64 packet, decodes as a
 *           noop: the reference ignores it.
 * Source    protocol/engine-io.md, 5; vectors engine-io-v3-parser.json.
 */
#ifndef SKUA_ENGINEIO_PAYLOAD_V3_H
#define SKUA_ENGINEIO_PAYLOAD_V3_H

#include "engineio/payload.h"

void eio_v3_packet_decode(enum frame_kind kind, uint8_t *bytes, size_t size,
                          struct eio_packet *packet);

/* Begins a body in text form (valid UTF-8) or binary form. */
void eio_v3_payload_begin(struct eio_payload *payload, enum frame_kind form, uint8_t *bytes,
                          size_t size);
bool eio_v3_payload_next(struct eio_payload *payload, struct eio_packet *packet);

/* A binary message with its type byte, and as text. */
struct frame *eio_v3_packet_typed(const struct frame *binary);
struct frame *eio_v3_packet_base64(const struct frame *binary);

/* The body of a poll's answer as a FRAME_RAW frame. `*form` is what the peer takes (FRAME_TEXT:
 * base64 only) and then what it became: FRAME_BINARY needs a binary message among the packets. */
struct frame *eio_v3_payload_encode(struct frame *const *frames, size_t count,
                                    enum frame_kind *form);

#endif
