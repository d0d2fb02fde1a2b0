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

/* Whether the request is one; `answer` gets the 101 with the extra headers, or the refusal. */
bool ws_handshake_answer(const struct http_request *request, const struct http_header *extra,
                         size_t extra_count, struct buf *answer);

#endif
