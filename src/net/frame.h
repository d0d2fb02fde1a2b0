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

enum frame_spelling {
    /* below: engineio/codec's */
    FRAME_DEFLATED = 0x40, /* and the bits of the window: 0x49 to 0x4f */
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

/* Makes the payload shorter than it was asked for and gives memory back. The caller holds the only
 * reference; the frame may move. */
struct frame *frame_trim(struct frame *frame, size_t size);

/* The payload is a message deflated after RFC 7692; before sharing it. */
void frame_mark_deflated(struct frame *frame);

/* The sender does not want this message compressed; before sharing it. */
void frame_keep_plain(struct frame *frame);
bool frame_is_plain(const struct frame *frame);

/*
 * The same message spelled for peers that cannot take it as it is: `make` is called on first need,
 * its frame is kept with this one and lives as long, so that a broadcast makes each spelling once.
 * A spelling may have spellings of its own. NULL when out of memory.
 */
struct frame *frame_spelled(struct frame *frame, uint8_t spelling,
                            struct frame *(*make)(const struct frame *frame));

/* The two halves of that: NULL if it was not made yet; and keeping a new one, whose reference is
 * taken over. Of two threads that do so at once both get the first one's. */
struct frame *frame_find_spelling(const struct frame *frame, uint8_t spelling);
struct frame *frame_keep_spelling(struct frame *frame, uint8_t spelling, struct frame *made);

struct frame *frame_ref(struct frame *frame);
void frame_unref(struct frame *frame);

#endif
