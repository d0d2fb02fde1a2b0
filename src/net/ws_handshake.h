/*
 * ws_handshake: what the server says to a request that wants to become a WebSocket.
 *
 * Callers   net/ws.
 * Errors    a failed buf: out of memory, or headers beyond its maximum.
 * Source    RFC 6455, 4.2; order of checks, texts and header order are those of ws 8.21.3.
 */
#ifndef SKUA_NET_WS_HANDSHAKE_H
#define SKUA_NET_WS_HANDSHAKE_H

#include "base/buf.h"
#include "net/http1.h"

struct ws_handshake {
    const struct http_header *headers; /* extra ones of the 101 */
    size_t header_count;
    bool deflate; /* whether permessage-deflate is to be had */
    uint8_t
        deflate_bits; /* out: 0, or it was agreed on, with a window of so many bits for us */
};

/* Whether the request is one; `answer` gets the 101 with the extra headers, or the refusal. */
bool ws_handshake_answer(const struct http_request *request, struct ws_handshake *handshake,
                         struct buf *answer);

#endif
