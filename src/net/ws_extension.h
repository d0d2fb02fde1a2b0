/*
 * ws_extension: what a client offers in Sec-WebSocket-Extensions, and what we take of it.
 *
 * The one extension is permessage-deflate. Its first offer that can be met is taken, on the terms
 * that neither side keeps its window from message to message: then a connection holds no state,
 * and a broadcast is compressed once for all who have windows of one size.
 *
 * Callers   net/ws_handshake.
 * Threads   any, no state.
 * Errors    a header that is none by its grammar is reported; the `ws` package refuses the
 *           handshake then. An offer with unknown, repeated or wrong parameters is declined (the
 *           `ws` package refuses the handshake here too, against RFC 7692, 7.1).
 * Source    RFC 6455, 9.1; RFC 7692, 7.1.
 */
#ifndef SKUA_NET_WS_EXTENSION_H
#define SKUA_NET_WS_EXTENSION_H

#include "base/buf.h"
#include "net/http1.h"

/* False: malformed. `*bits`: of the window that messages are compressed with; 0: no extension was
 * agreed on. `answer` gets the answer's value then. */
bool ws_extension_agree(const struct http_request *request, struct buf *answer, uint8_t *bits);

#endif
