/*
 * frame: the bytes of one outgoing WebSocket frame (or of raw output such as an HTTP answer),
 * made once and shared by every connection that sends it.
 *
 * A broadcast to 10,000 sockets makes one frame and puts 10,000 pointers in output
 * queues. Servers do not mask (RFC 6455, 5.1), so one header serves all receivers.
 *
 * Callers   engineio makes frames; net/output queues and sends them.
 * Owner     whoever holds a reference. frame_new() gives the first one, frame_ref()
 *           adds one, frame_unref() takes one back and frees with the last.
 * Threads   filled by one thread, read-only once shared; only the count and the list of other
 *           spellings are atomic.
 * Units     sizes are bytes.
 * Errors    frame_new() returns NULL when out of memory. Nothing else can fail.
 */
#ifndef SKUA_NET_FRAME_H
#define SKUA_NET_FRAME_H

#include "base/str.h"

#include <stdint.h>

enum frame_kind {
    FRAME_RAW = -1,   /* no header: bytes that are not WebSocket's */
    FRAME_TEXT = 0x1, /* RFC 6455 opcodes */
    FRAME_BINARY = 0x2,
    FRAME_CLOSE = 0x8,
    FRAME_PING = 0x9,
    FRAME_PONG = 0xa,
};

struct frame;

/* A frame for `size` bytes of payload, which the caller fills before sharing it. */
struct frame *frame_new(enum frame_kind kind, size_t size);

/* The payload, writable while the caller holds the only reference. */
uint8_t *frame_payload(struct frame *frame);

enum frame_kind frame_kind(const struct frame *frame);

/* The payload of a frame that is shared. */
struct str frame_body(const struct frame *frame);

/* Header and payload as they go on the wire; `*size` is their length. */
const uint8_t *frame_wire(const struct frame *frame, size_t *size);

/*
 * The same message spelled for peers that cannot take it as it is: `make` is called on first need,
 * its frame is kept with this one and lives as long, so that a broadcast makes each spelling once.
 * `spelling` is any number that names it for all callers. NULL when out of memory.
 */
struct frame *frame_spelled(struct frame *frame, uint8_t spelling,
                            struct frame *(*make)(const struct frame *frame));

struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame);

#endif
