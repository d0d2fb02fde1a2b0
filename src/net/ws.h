/*
 * ws: a server's WebSocket connection after RFC 6455, with the behaviour of the `ws` package that
 * the reference uses (engine-io.md, 9).
 *
 * The handshake is checked and answered here, then the conn leaves HTTP. Incoming frames are
 * parsed incrementally and unmasked in place, a machine word at a time; a message that lies whole
 * in the read buffer reaches the handler without a copy. Pings are answered, close frames echoed.
 * A frame that many receive is compressed once for all of them.
 *
 * Callers   engineio.
 * Owner     the handler's owner owns the net_ws and ends it with net_ws_close() or
 *           net_ws_destroy(), unless `closed` was called. Memory is freed at the end of the turn.
 * Threads   the worker's own.
 * Units     bytes, milliseconds.
 * Errors    a protocol fault sends the right close code, ends the connection and calls `closed`.
 * Source    RFC 6455; ws 8.21.3 as measured in protocol/engine-io.md.
 */
#ifndef SKUA_NET_WS_H
#define SKUA_NET_WS_H

#include "net/http1.h"

struct net_ws;

enum net_ws_end {
    NET_WS_END_CLOSED,  /* the peer sent a close frame, dropped or reset the connection */
    NET_WS_END_FAULT,   /* a framing fault, or no memory for a message (1011) */
    NET_WS_END_TOO_BIG, /* a message over the limit: 1009 */
    NET_WS_END_BACKLOG, /* more bytes queued than allowed */
};

struct net_ws_closing {
    enum net_ws_end why;
    uint16_t code;      /* sent with a fault, or received; 1005: none, 1006: dropped */
    const char *detail; /* a sentence for the log: "unmasked frame" */
    uint64_t size;      /* too big: the size the peer announced so far; backlog: bytes queued */
};

struct net_ws_handler {
    /* A whole message. The payload may be changed in place and is gone when the call returns;
     * text is valid UTF-8. The owner may close the ws inside. */
    void (*message)(void *owner, enum frame_kind kind, uint8_t *payload, size_t size);

    /* Everything queued has been given to the kernel. May be NULL. */
    void (*drained)(void *owner);

    /* The last call. */
    void (*closed)(void *owner, const struct net_ws_closing *closing);
};

struct net_ws_options {
    size_t max_message; /* of a whole message, fragments added up */
    size_t backlog;
    struct deflater
        *deflater; /* permessage-deflate for clients that offer it; NULL: for none */
    const struct http_header *headers; /* extra ones for the 101, behind ours */
    size_t header_count;
};

enum {
    NET_WS_CLOSE_WAIT_MS = 30000, /* for the peer's answer to our close frame, as `ws` */
};

/*
 * Checks the upgrade request as the `ws` package does and answers 101. On a bad request its 400
 * answer is written, the exchange is over, NULL is returned. The handler may be called from the
 * loop only, also for bytes that came behind the head.
 */
struct net_ws *net_ws_accept(struct http_exchange *exchange,
                             const struct net_ws_options *options,
                             const struct net_ws_handler *handler, void *owner);

/* Another handler, e.g. when a probing transport becomes a session's. */
void net_ws_set_handler(struct net_ws *ws, const struct net_ws_handler *handler, void *owner);

/* Queues a frame (text, binary), compressed if that was agreed on and the frame is worth it; takes
 * a reference of its own. */
void net_ws_send(struct net_ws *ws, struct frame *frame);

/* Queues bytes that are no frame: the reference's raw text behind a 101 (error 5). */
void net_ws_send_raw(struct net_ws *ws, struct str bytes);

bool net_ws_writable(const struct net_ws *ws);
size_t net_ws_queued(const struct net_ws *ws);

/* Close handshake: what is queued, then a close frame (code 0: empty), then wait for the peer's.
 * Messages that still arrive are dropped. No more callbacks. */
void net_ws_close(struct net_ws *ws, uint16_t code);

/* Sends what is queued and ends the connection without a close frame. No more callbacks. */
void net_ws_destroy(struct net_ws *ws);

#endif
